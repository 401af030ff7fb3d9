/**
 * A datagram inside a WebSocket, one a message (docs/wire.md §10):
 *
 *     | length of the locator 1: 6 or 18 | locator | datagram 1–65,507 |
 *
 * The locator says where it goes, or where it came from. Whatever else a message holds, it is no frame.
 */
import { WireError } from "../errors.js";
import { decodeLocator, encodeLocator, type Locator } from "../locator.js";

const LONGEST_LOCATOR_BYTES = 18;
/** The most that one UDP datagram over IPv4 carries. */
const MAX_DATAGRAM_BYTES = 65_507;
export const MAX_DETOUR_FRAME_BYTES = 1 + LONGEST_LOCATOR_BYTES + MAX_DATAGRAM_BYTES;
/**
 * Of a WebSocket (`ws`): what is not whole yet is kept, and each piece costs hundreds of bytes, or all of the TLS record that it came in. A message is one
 * frame, of the few TLS records that it takes.
 */
export const DETOUR_PIECES = { maxFragments: 1, maxBufferedChunks: 128 } as const;
/** Where the WebSockets are, at a server: the path of their URL. */
export const DETOUR_PATH = "/i3";

export interface DetourFrame {
  readonly locator: Locator;
  readonly bytes: Uint8Array;
}

export function encodeDetourFrame({ locator, bytes }: DetourFrame): Uint8Array {
  const where = encodeLocator(locator);
  const out = new Uint8Array(1 + where.length + bytes.length);
  out[0] = where.length;
  out.set(where, 1);
  out.set(bytes, 1 + where.length);
  return out;
}

/** The datagram is a view. Throws WireError. */
export function decodeDetourFrame(frame: Uint8Array): DetourFrame {
  const at = 1 + (frame[0] ?? 0);
  if (frame.length <= at || frame.length > at + MAX_DATAGRAM_BYTES) throw new WireError("detour frame", `length ${frame.length}`);
  return { locator: decodeLocator(frame.subarray(1, at)), bytes: frame.subarray(at) };
}
