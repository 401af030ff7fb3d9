/** ECHO_REQUEST and ECHO_RESPONSE, signed and not (RFC 7401 §5.2.20 to §5.2.23): opaque bytes, returned as they came. */

/** Ours: an answer should not make a packet much longer than the request did. */
export const MAX_ECHO_BYTES = 1_024;

/** A copy. RangeError when longer than {@link MAX_ECHO_BYTES}. */
export function encodeEcho(opaque: Uint8Array): Uint8Array {
  if (opaque.length > MAX_ECHO_BYTES) throw new RangeError(`echo of ${opaque.length} bytes`);
  return opaque.slice();
}

/** A copy. Any bytes are good; what is too long to return is the caller's to see. */
export const decodeEcho = (contents: Uint8Array): Uint8Array => contents.slice();
