/**
 * R1 packets made from one that was signed beforehand (RFC 7401 §5.3.2), without remembering anything:
 *
 *     #I = HMAC-RHASH(secret, "i3/1 puzzle" | HIT of the initiator 16 | our HIT 16 | path)
 *
 * path: the id (32) that the answer goes to, or the address (16, IPv4 as IPv4-mapped) that the I1 came from.
 */
import { createHmac } from "node:crypto";
import { LIMITS, type HipResponder } from "../datapath.js";
import { HIP_OFFSET, HIT_BYTES, hipType } from "@i3/common";
import { ID_BYTES } from "../wire/data-header.js";
import { HIP_PARAMETER, HIP_TYPE, PARAMETER_HEAD_BYTES, PUZZLE_OFFSET } from "../wire/hip.js";
import { equalAt, ownBuffer, put16, requireLength, u16 } from "./octets.js";

const LABEL = Buffer.from("i3/1 puzzle", "latin1");
const RANDOM_BYTES = { sha256: 32, sha384: 48 } as const;
const SECRET_BYTES = 32;

export class PreparedResponder {
  readonly hit: Buffer;
  readonly group: number;
  readonly #openIds: readonly Buffer[];
  /** With the opaque, without receiver and #I. */
  readonly r1: Buffer;
  readonly #rhash: "sha256" | "sha384";
  readonly #randomAt: number;
  readonly #secret: Buffer;

  /** Copies. Throws RangeError. */
  constructor(responder: HipResponder) {
    requireResponder(responder);
    const { hit, openIds, r1, puzzleOffset, rhash, group, epoch, secret } = responder;
    this.hit = ownBuffer(hit);
    this.group = group;
    this.#openIds = openIds.map(ownBuffer);
    this.r1 = ownBuffer(r1);
    this.#rhash = rhash;
    put16(this.r1, puzzleOffset + PUZZLE_OFFSET.opaque, epoch);
    this.#randomAt = puzzleOffset + PUZZLE_OFFSET.random;
    this.#secret = ownBuffer(secret);
  }

  /** Whether an I1 to no HIT is answered that came for the id at `bytes[idAt …]`. */
  isOpen(bytes: Buffer, idAt: number): boolean {
    return this.#openIds.some((id) => equalAt(bytes, idAt, id));
  }

  /** #I for the initiator whose HIT is at `bytes[hitAt …]`. */
  random(bytes: Buffer, hitAt: number, path: Buffer): Buffer {
    return createHmac(this.#rhash, this.#secret).update(LABEL).update(bytes.subarray(hitAt, hitAt + HIT_BYTES)).update(this.hit).update(path).digest();
  }

  /** Writes the R1 to the initiator whose HIT is at `bytes[hitAt …]`. */
  write(into: Buffer, at: number, bytes: Buffer, hitAt: number, random: Buffer): void {
    this.r1.copy(into, at);
    bytes.copy(into, at + HIP_OFFSET.receiverHit, hitAt, hitAt + HIT_BYTES);
    random.copy(into, at + this.#randomAt);
  }

  /** It must not be used after this. */
  wipe(): void {
    this.#secret.fill(0);
  }
}

/** Throws RangeError when the R1 could not be made from what is there. */
export function requireResponder({ hit, openIds, r1, puzzleOffset, rhash, group, epoch, secret }: HipResponder): void {
  requireLength("HIT", hit, HIT_BYTES);
  if (openIds.length > LIMITS.hipOpenIds) throw new RangeError(`${openIds.length} open ids, and ${LIMITS.hipOpenIds} are the most`);
  for (const id of openIds) requireLength("open id", id, ID_BYTES);
  requireLength("HIP secret", secret, SECRET_BYTES);
  if (!Object.hasOwn(RANDOM_BYTES, rhash)) throw new RangeError(`RHASH ${rhash}`);
  if (!Number.isInteger(group) || group < 1 || group > 0xff) throw new RangeError(`Diffie-Hellman group ${group}`);
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff) throw new RangeError(`HIP epoch ${epoch}`);
  if (r1.length > LIMITS.hipR1Bytes || hipType(r1, 0, r1.length) !== HIP_TYPE.r1 || !equalAt(r1, HIP_OFFSET.senderHit, hit)) throw new RangeError(`no R1 of ours, at most ${LIMITS.hipR1Bytes} bytes`);
  const randomBytes = RANDOM_BYTES[rhash];
  const [head, end] = [puzzleOffset - PARAMETER_HEAD_BYTES, puzzleOffset + PUZZLE_OFFSET.random + randomBytes];
  const isPuzzle =
    Number.isInteger(puzzleOffset) && head >= HIP_OFFSET.receiverHit + HIT_BYTES && end <= r1.length && u16(r1, head) === HIP_PARAMETER.puzzle && u16(r1, head + 2) === end - puzzleOffset;
  if (!isPuzzle) throw new RangeError(`no PUZZLE with ${randomBytes} bytes of #I at ${puzzleOffset} of the R1`);
  const blanks: readonly (readonly [from: number, to: number])[] = [
    [HIP_OFFSET.checksum, HIP_OFFSET.checksum + 2], [HIP_OFFSET.receiverHit, HIP_OFFSET.receiverHit + HIT_BYTES], [puzzleOffset + PUZZLE_OFFSET.opaque, end],
  ];
  if (blanks.some(([from, to]) => r1.subarray(from, to).some((byte) => byte !== 0))) throw new RangeError("the R1's receiver, checksum, opaque and #I are not zero");
}
