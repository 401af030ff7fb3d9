/** HIP packets for tests (docs/wire.md §9), made here from the page and not with the engine's code; and the oracle for #I and #J. */
import { createHash, createHmac } from "node:crypto";
import type { HipPuzzles, HipResponder } from "../../src/datapath.js";
import { be16, be32, bytes, concat, data, makeId } from "./packets.js";

export const MARK = bytes(0, 0, 0, 0);
export const NO_HIT = new Uint8Array(16);
export const RETURN_ID = 32_770;
export const PADDING = 32_778;
export const DH_GROUP_LIST = 511;
const PUZZLE = 257;
export const SOLUTION = 321;
const SIGNATURE_2 = 61_633;

/** A HIT of suite 2. */
export const hit = (last: number): Uint8Array => concat(bytes(0x20, 0x01, 0x00, 0x22), new Uint8Array(11), bytes(last));
export const OWN_HIT = hit(0xee);

export function parameter(type: number, contents: Uint8Array): Uint8Array {
  const padding = (8 - ((4 + contents.length) % 8)) % 8;
  return concat(be16(type), be16(contents.length), contents, new Uint8Array(padding));
}

export function hipPacket(type: number, sender: Uint8Array, receiver: Uint8Array, ...parameters: readonly Uint8Array[]): Uint8Array {
  const body = concat(...parameters);
  return concat(bytes(59, (40 + body.length) / 8 - 1, type, 0x21, 0, 0, 0, 0), sender, receiver, body);
}

export interface I1Fields {
  readonly sender: Uint8Array;
  readonly receiver: Uint8Array;
  readonly groups: readonly number[];
  readonly returnId: Uint8Array | null;
  /** In all; less than there is: as it is. A multiple of 8. */
  readonly length: number;
}

/** As a host of ours sends it: groups, the return id, padding. */
export function i1({ sender = hit(1), receiver = OWN_HIT, groups = [7, 8, 9], returnId = null, length = 0 }: Partial<I1Fields> = {}): Uint8Array {
  const parameters = [parameter(DH_GROUP_LIST, bytes(...groups)), ...(returnId === null ? [] : [parameter(RETURN_ID, returnId)])];
  const least = hipPacket(1, sender, receiver, ...parameters).length;
  return hipPacket(1, sender, receiver, ...parameters, ...(length > least ? [parameter(PADDING, new Uint8Array(length - least - 4))] : []));
}

export const straight = (packet: Uint8Array): Uint8Array => concat(MARK, packet);

/** The public id of most tests, and another one. */
export const OPEN_IDS = [makeId(9), makeId(8)] as const;

export interface ResponderFields extends Omit<HipResponder, "r1" | "puzzleOffset" | "puzzles">, HipPuzzles {
  readonly older: readonly HipPuzzles[];
  readonly r1Bytes: number;
}

/** What an R1 is before it is given to one initiator: PUZZLE is its first parameter, what else would be there is one long signature. */
export function responder({ hit: own = OWN_HIT, openIds = OPEN_IDS, rhash = "sha384", group = 7, epoch = 0x0102, secret = data(32), difficulty = 10, older = [], r1Bytes = 320 }: Partial<ResponderFields> = {}): HipResponder {
  const puzzle = parameter(PUZZLE, concat(bytes(difficulty, 37, 0, 0), new Uint8Array(rhash === "sha256" ? 32 : 48)));
  const r1 = hipPacket(2, own, NO_HIT, puzzle, parameter(SIGNATURE_2, data(r1Bytes - 40 - puzzle.length - 4)));
  return { hit: own, openIds, r1, puzzleOffset: 44, rhash, group, puzzles: [{ epoch, secret, difficulty }, ...older] };
}

/** `path`: the return id, or the source's address as 16 bytes. */
export const randomOf = ({ rhash, puzzles, hit: own }: HipResponder, initiator: Uint8Array, path: Uint8Array, epoch = 0): Uint8Array =>
  Uint8Array.from(createHmac(rhash, puzzles[epoch]?.secret ?? bytes()).update(concat(Buffer.from("i3/1 puzzle"), initiator, own, path)).digest());

/** The R1 that such a responder gives. */
export function r1For(given: HipResponder, initiator: Uint8Array, path: Uint8Array): Uint8Array {
  const out = Uint8Array.from(given.r1);
  out.set(initiator, 24);
  out.set(be16(given.puzzles[0]?.epoch ?? 0), given.puzzleOffset + 2);
  out.set(randomOf(given, initiator, path), given.puzzleOffset + 4);
  return out;
}

/** How many bits at its end are zero; up to 31 are told. */
function zerosOf(digest: Buffer): number {
  const last = digest.readUInt32BE(digest.length - 4);
  return 31 - Math.clz32(last & -last);
}

export interface I2Fields {
  readonly sender: Uint8Array;
  readonly receiver: Uint8Array;
  readonly returnId: Uint8Array | null;
  /** Which of the responder's puzzles is solved. */
  readonly epoch: number;
  /** How many bits its #J has beyond what is asked for, or lacks; exactly so many. @default any that are enough */
  readonly more: number | null;
  /** Changes SOLUTION's contents when it is made. */
  readonly edit: (solution: Uint8Array) => Uint8Array;
}

/** An I2 that solves a puzzle which the responder gave for this path: as {@link randomOf}. SOLUTION is its first parameter, so that #I is at 48 of the packet. */
export function i2(given: HipResponder, path: Uint8Array, { sender = hit(1), receiver = given.hit, returnId = null, epoch = 0, more = null, edit = (same) => same }: Partial<I2Fields> = {}): Uint8Array {
  const { epoch: opaque = 0, difficulty = 0 } = given.puzzles[epoch] ?? {};
  const random = randomOf(given, sender, path, epoch);
  const j = new Uint8Array(random.length);
  for (let n = 0; ; n++) {
    j.set(be32(n), j.length - 4);
    const zeros = zerosOf(createHash(given.rhash).update(concat(random, sender, given.hit, j)).digest());
    if (more === null ? zeros >= difficulty : zeros === difficulty + more) break;
  }
  const solution = parameter(SOLUTION, edit(concat(bytes(difficulty, 0), be16(opaque), random, j)));
  return hipPacket(3, sender, receiver, solution, parameter(513, data(70)), ...(returnId === null ? [] : [parameter(RETURN_ID, returnId)]));
}
