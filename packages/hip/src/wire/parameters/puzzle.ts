/**
 * PUZZLE and SOLUTION (RFC 7401 §5.2.4, §5.2.5). n = length of RHASH, 32 or 48, as the responder's HIT says.
 *
 *     0  K 1 | lifetime 1 | opaque 2          0  K 1 | reserved 1 | opaque 2
 *     4  random #I n                          4  random #I n
 *                                           4+n  solution #J n
 */
import { concatBytes } from "@i3/common";
import { exactly, FieldReader, uintBytes } from "../fields.js";

/** Length of RHASH in bytes: SHA-256 or SHA-384. */
export type RhashBytes = 32 | 48;

export interface PuzzleContents {
  /** K, bits. */
  readonly difficulty: number;
  /** The puzzle is good for 2^(lifetime - 32) seconds. */
  readonly lifetime: number;
  /** 2 bytes, for the responder's own use. */
  readonly opaque: Uint8Array;
  /** #I, 32 or 48 bytes. */
  readonly random: Uint8Array;
}

/** What of the puzzle is repeated, and the answer. The lifetime is not: its byte is reserved here. */
export interface SolutionContents extends Omit<PuzzleContents, "lifetime"> {
  /** #J, as long as #I. */
  readonly solution: Uint8Array;
}

export const encodePuzzle = (fields: PuzzleContents): Uint8Array => concatBytes(
  uintBytes(1, fields.difficulty), uintBytes(1, fields.lifetime), exactly("opaque", fields.opaque, 2), exactly("#I", fields.random, 32, 48));

export const encodeSolution = (fields: SolutionContents): Uint8Array =>
  concatBytes(encodePuzzle({ ...fields, lifetime: 0 }), exactly("#J", fields.solution, fields.random.length));

/** `rhashBytes`: what the responder's HIT says. */
export function decodePuzzle(contents: Uint8Array, rhashBytes: RhashBytes): PuzzleContents {
  const reader = new FieldReader("PUZZLE", contents);
  const fields = { difficulty: reader.uint(1), lifetime: reader.uint(1), opaque: reader.bytes(2), random: reader.bytes(rhashBytes) };
  reader.end();
  return fields;
}

/** `rhashBytes`: what the responder's HIT says. */
export function decodeSolution(contents: Uint8Array, rhashBytes: RhashBytes): SolutionContents {
  const reader = new FieldReader("SOLUTION", contents);
  const difficulty = reader.uint(1);
  reader.skip(1);
  const fields = { difficulty, opaque: reader.bytes(2), random: reader.bytes(rhashBytes), solution: reader.bytes(rhashBytes) };
  reader.end();
  return fields;
}
