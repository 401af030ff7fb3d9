/**
 * Messages between servers (docs/wire.md §4.2): HMAC-SHA-256 under the ring's secret over the datagram before it and the
 * receiver's node key (zeros when it is not known), first 16 bytes. Requests are padded, so that no answer is larger.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

import { encodeControl, FLAG_MAC, MAC_BYTES, RING_KEY_BYTES, type ControlMessage, type ControlType, type DecodedControl } from "@i3/common";

/** The largest answers over IPv6: FOUND 112, STATE_IS with 8 successors 425, ALIVE_YES 72. */
const RING_PADDED_BYTES: Readonly<Partial<Record<ControlType, number>>> = { FIND: 128, STATE: 448, ALIVE: 96 };
const UNKNOWN_RECEIVER = new Uint8Array(RING_KEY_BYTES);
const OFFSET_FLAGS = 2;

const macOf = (secret: Uint8Array, covered: Uint8Array, receiver: Uint8Array): Uint8Array =>
  createHmac("sha256", secret).update(covered).update(receiver).digest().subarray(0, MAC_BYTES);

/** One datagram. `receiver`: its node key, null when not known. */
export function sealRingMessage(message: ControlMessage, nonce: Uint8Array, secret: Uint8Array, receiver: Uint8Array | null): Uint8Array {
  const bare = encodeControl(message, nonce);
  const out = new Uint8Array(Math.max(bare.length + MAC_BYTES, RING_PADDED_BYTES[message.type] ?? 0));
  out.set(bare);
  out[OFFSET_FLAGS] = FLAG_MAC;
  const macStart = out.length - MAC_BYTES;
  out.set(macOf(secret, out.subarray(0, macStart), receiver ?? UNKNOWN_RECEIVER), macStart);
  return out;
}

/** Whether the MAC is right for this receiver. Only FIND may be meant for a receiver whose key the asker does not know. */
export function isRingMacRight({ message, mac }: DecodedControl, secret: Uint8Array, self: Uint8Array): boolean {
  if (mac === null) return false;
  if (timingSafeEqual(macOf(secret, mac.covered, self), mac.value)) return true;
  return message.type === "FIND" && timingSafeEqual(macOf(secret, mac.covered, UNKNOWN_RECEIVER), mac.value);
}
