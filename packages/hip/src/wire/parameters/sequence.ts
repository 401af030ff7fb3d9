/**
 * SEQ and ACK (RFC 7401 §5.2.16, §5.2.17).
 *
 *     0  update id 4                0  update id of the peer 4, …
 */
import { FieldReader, uintBytes, uintListBytes } from "../fields.js";

/** Ours: a host has one UPDATE in flight, or few. */
export const MAX_ACKS = 32;

export const encodeSeq = (updateId: number): Uint8Array => uintBytes(4, updateId);

export function decodeSeq(contents: Uint8Array): number {
  const reader = new FieldReader("SEQ", contents);
  const updateId = reader.uint(4);
  reader.end();
  return updateId;
}

export const encodeAck = (updateIds: readonly number[]): Uint8Array => uintListBytes(4, updateIds, MAX_ACKS);

export const decodeAck = (contents: Uint8Array): readonly number[] => new FieldReader("ACK", contents).uints(4, MAX_ACKS);
