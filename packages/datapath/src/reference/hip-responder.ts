/**
 * R1 packets made from one that was signed beforehand (RFC 7401 §5.3.2), without remembering anything, and their puzzles when they come back solved (§6.9, steps 4 to 6):
 *
 *     #I = HMAC-RHASH(secret, "i3/1 puzzle" | HIT of the initiator 16 | our HIT 16 | path)
 *
 *     the K last bits of RHASH(#I | HIT of the initiator | our HIT | #J) are 0
 *
 * path: the id (32) that the answer goes to, or the address (16, IPv4 as IPv4-mapped) that the I1 or I2 came from.
 */
import { createHash, createHmac } from "node:crypto";
import { LIMITS, type HipResponder } from "../datapath.js";
import { HIP_OFFSET, HIT_BYTES, hipType } from "@i3/common";
import { ID_BYTES } from "../wire/data-header.js";
import { HIP_PARAMETER, HIP_TYPE, PARAMETER_HEAD_BYTES, PUZZLE_OFFSET } from "../wire/hip.js";
import { equalAt, ownBuffer, put16, requireLength, u16, u8 } from "./octets.js";

const LABEL = Buffer.from("i3/1 puzzle", "latin1");
const RANDOM_BYTES = { sha256: 32, sha384: 48 } as const;
const SECRET_BYTES = 32;

interface PreparedPuzzles {
  readonly epoch: number;
  readonly secret: Buffer;
  readonly difficulty: number;
}

export class PreparedResponder {
  readonly hit: Buffer;
  readonly group: number;
  readonly #openIds: readonly Buffer[];
  /** With the opaque, without receiver and #I. */
  readonly r1: Buffer;
  readonly #rhash: "sha256" | "sha384";
  readonly #randomAt: number;
  /** The first is that of the R1. */
  readonly #puzzles: readonly PreparedPuzzles[];

  /** Copies. Throws RangeError. */
  constructor(responder: HipResponder) {
    requireResponder(responder);
    const { hit, openIds, r1, puzzleOffset, rhash, group, puzzles } = responder;
    this.hit = ownBuffer(hit);
    this.group = group;
    this.#openIds = openIds.map(ownBuffer);
    this.r1 = ownBuffer(r1);
    this.#rhash = rhash;
    put16(this.r1, puzzleOffset + PUZZLE_OFFSET.opaque, puzzles[0]?.epoch ?? 0);
    this.#randomAt = puzzleOffset + PUZZLE_OFFSET.random;
    this.#puzzles = puzzles.map(({ epoch, secret, difficulty }) => ({ epoch, secret: ownBuffer(secret), difficulty }));
  }

  /** Whether an I1 to no HIT is answered that came for the id at `bytes[idAt …]`. */
  isOpen(bytes: Buffer, idAt: number): boolean {
    return this.#openIds.some((id) => equalAt(bytes, idAt, id));
  }

  /** #I for the initiator whose HIT is at `bytes[hitAt …]`. */
  random(bytes: Buffer, hitAt: number, path: Buffer): Buffer {
    const [{ secret }] = this.#puzzles as [PreparedPuzzles];
    return this.#randomOf(secret, bytes, hitAt, path);
  }

  /** Of SOLUTION's contents. */
  get solutionBytes(): number {
    return PUZZLE_OFFSET.random + 2 * RANDOM_BYTES[this.#rhash];
  }

  /** Whether SOLUTION's contents at `bytes[at …]` solve a puzzle of ours that the initiator whose HIT is at `bytes[hitAt …]` got on this path. */
  isSolved(bytes: Buffer, at: number, hitAt: number, path: Buffer): boolean {
    const epoch = u16(bytes, at + PUZZLE_OFFSET.opaque);
    const puzzles = this.#puzzles.find((candidate) => candidate.epoch === epoch);
    if (puzzles === undefined || u8(bytes, at + PUZZLE_OFFSET.difficulty) !== puzzles.difficulty) return false;
    if (!equalAt(bytes, at + PUZZLE_OFFSET.random, this.#randomOf(puzzles.secret, bytes, hitAt, path))) return false;
    const [randomAt, solutionAt] = [at + PUZZLE_OFFSET.random, at + PUZZLE_OFFSET.random + RANDOM_BYTES[this.#rhash]];
    const digest = createHash(this.#rhash)
      .update(bytes.subarray(randomAt, solutionAt)).update(bytes.subarray(hitAt, hitAt + HIT_BYTES)).update(this.hit).update(bytes.subarray(solutionAt, at + this.solutionBytes)).digest();
    return endsInZeros(digest, puzzles.difficulty);
  }

  #randomOf(secret: Buffer, bytes: Buffer, hitAt: number, path: Buffer): Buffer {
    return createHmac(this.#rhash, secret).update(LABEL).update(bytes.subarray(hitAt, hitAt + HIT_BYTES)).update(this.hit).update(path).digest();
  }

  /** Writes the R1 to the initiator whose HIT is at `bytes[hitAt …]`. */
  write(into: Buffer, at: number, bytes: Buffer, hitAt: number, random: Buffer): void {
    this.r1.copy(into, at);
    bytes.copy(into, at + HIP_OFFSET.receiverHit, hitAt, hitAt + HIT_BYTES);
    random.copy(into, at + this.#randomAt);
  }

  /** It must not be used after this. */
  wipe(): void {
    for (const { secret } of this.#puzzles) secret.fill(0);
  }
}

function endsInZeros(digest: Buffer, bits: number): boolean {
  const whole = bits >> 3;
  const last = digest.length - whole - 1;
  return digest.subarray(last + 1).every((byte) => byte === 0) && (u8(digest, last) & ((1 << (bits & 7)) - 1)) === 0;
}

/** Throws RangeError when the R1 could not be made from what is there. */
export function requireResponder({ hit, openIds, r1, puzzleOffset, rhash, group, puzzles }: HipResponder): void {
  requireLength("HIT", hit, HIT_BYTES);
  if (openIds.length > LIMITS.hipOpenIds) throw new RangeError(`${openIds.length} open ids, and ${LIMITS.hipOpenIds} are the most`);
  for (const id of openIds) requireLength("open id", id, ID_BYTES);
  if (puzzles.length < 1 || puzzles.length > LIMITS.hipPuzzles) throw new RangeError(`puzzles of ${puzzles.length} epochs, and 1 to ${LIMITS.hipPuzzles} are taken`);
  for (const { epoch, secret, difficulty } of puzzles) {
    requireLength("HIP secret", secret, SECRET_BYTES);
    if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff) throw new RangeError(`HIP epoch ${epoch}`);
    if (!Number.isInteger(difficulty) || difficulty < 0 || difficulty > 0xff) throw new RangeError(`puzzles of difficulty ${difficulty}`);
  }
  if (!Object.hasOwn(RANDOM_BYTES, rhash)) throw new RangeError(`RHASH ${rhash}`);
  if (!Number.isInteger(group) || group < 1 || group > 0xff) throw new RangeError(`Diffie-Hellman group ${group}`);
  if (r1.length > LIMITS.hipR1Bytes || hipType(r1, 0, r1.length) !== HIP_TYPE.r1 || !equalAt(r1, HIP_OFFSET.senderHit, hit)) throw new RangeError(`no R1 of ours, at most ${LIMITS.hipR1Bytes} bytes`);
  const randomBytes = RANDOM_BYTES[rhash];
  const [head, end] = [puzzleOffset - PARAMETER_HEAD_BYTES, puzzleOffset + PUZZLE_OFFSET.random + randomBytes];
  const isPuzzle =
    Number.isInteger(puzzleOffset) && head >= HIP_OFFSET.receiverHit + HIT_BYTES && end <= r1.length && u16(r1, head) === HIP_PARAMETER.puzzle && u16(r1, head + 2) === end - puzzleOffset;
  if (!isPuzzle) throw new RangeError(`no PUZZLE with ${randomBytes} bytes of #I at ${puzzleOffset} of the R1`);
  if (r1[puzzleOffset + PUZZLE_OFFSET.difficulty] !== puzzles[0]?.difficulty) throw new RangeError("the R1's K is not that of its epoch");
  const blanks: readonly (readonly [from: number, to: number])[] = [
    [HIP_OFFSET.checksum, HIP_OFFSET.checksum + 2], [HIP_OFFSET.receiverHit, HIP_OFFSET.receiverHit + HIT_BYTES], [puzzleOffset + PUZZLE_OFFSET.opaque, end],
  ];
  if (blanks.some(([from, to]) => r1.subarray(from, to).some((byte) => byte !== 0))) throw new RangeError("the R1's receiver, checksum, opaque and #I are not zero");
}
