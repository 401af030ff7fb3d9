/**
 * The padding of ESP packets (RFC 4303 §2.4), whose length carries the checksum's state when that was negotiated (docs/wire.md §7):
 *
 *     padding = the least that fills the block + state × block
 */
import { CHECKSUM } from "./step.js";

/** Pad length and next header. */
export const TRAILER_BYTES = 2;

export const leastPadding = (payloadBytes: number, blockBytes: number): number => (blockBytes - ((payloadBytes + TRAILER_BYTES) % blockBytes)) % blockBytes;

/** The state that a padding says; `complete` when it is none that a sender of ours would make. */
export function stateOfPadding(payloadBytes: number, paddingBytes: number, blockBytes: number): number {
  const state = (paddingBytes - leastPadding(payloadBytes, blockBytes)) / blockBytes;
  return state === CHECKSUM.partial || state === CHECKSUM.verified ? state : CHECKSUM.complete;
}
