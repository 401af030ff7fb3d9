/**
 * R1_COUNTER (RFC 7401 §5.2.3): the generation of the responder's puzzles.
 *
 *     0  reserved 4
 *     4  generation 8
 */
import { concatBytes, u64Bytes } from "@i3/common";
import { FieldReader } from "../fields.js";

/** RangeError unless it fits 64 bits. */
export function encodeR1Counter(generation: bigint): Uint8Array {
  if (generation < 0n || generation >= 1n << 64n) throw new RangeError(`R1 generation ${generation}`);
  return concatBytes(new Uint8Array(4), u64Bytes(generation));
}

export function decodeR1Counter(contents: Uint8Array): bigint {
  const reader = new FieldReader("R1_COUNTER", contents);
  reader.skip(4);
  const generation = reader.u64();
  reader.end();
  return generation;
}
