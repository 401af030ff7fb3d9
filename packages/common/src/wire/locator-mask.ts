/**
 * Where a server or peer has seen us, as it stands in a message: some NATs write their own address into whatever payload has it (RFC 5389 §15.2). Its own inverse.
 *
 *     byte i of the locator (address, port)  XOR  byte 7 - i % 8 of the nonce
 *
 * From the end, since a CHECK's nonce begins with a number that is often 0.
 */

/** A copy. `nonce`: 8 bytes, of the message. */
export function maskLocator(locator: Uint8Array, nonce: Uint8Array): Uint8Array {
  const last = nonce.length - 1;
  return locator.map((byte, i) => byte ^ (nonce[last - (i % nonce.length)] ?? 0));
}
