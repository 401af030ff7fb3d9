/**
 * R1s signed ahead, and puzzles without state (RFC 7401 §4.1.2, §6.7.1, appendix A).
 *
 *     #I = HMAC-RHASH(secret of the epoch, "i3/1 puzzle" | HIT-I 16 | HIT-R 16 | path)          opaque = number of the epoch
 *
 * path: the return id (32) of an I1 over i3, else its source address (16, IPv4 mapped). So an I1 costs a copy and one HMAC and leaves nothing behind;
 * the packet engine does the same from the same secret (docs/wire.md §9.4). Difficulty is not in #I, so an epoch has one.
 *
 * The responder's Diffie-Hellman keys belong to the epoch: exchanges of 60 s share them, and they are forgotten with it, 120 s after they were made.
 */
import { createHmac } from "node:crypto";

import { bytesKey, HIT_BYTES, I3Error } from "@i3/common";

import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import { ESP_SUITE, type EspSuite } from "../crypto/esp-suites.js";
import { HIP_CIPHER_SUITE } from "../crypto/hip-cipher.js";
import { RHASH_BYTES, type Rhash } from "../crypto/rhash.js";
import { HIT_SUITE, rhashOf } from "../identity/hit.js";
import { algorithmNumber, type HostKey } from "../identity/host-key.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { encodeHipPacket, hipPacketBytes } from "../wire/packet.js";
import { encodeDhGroupList, encodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { encodeHostId } from "../wire/parameters/host-id.js";
import { encodeI3OwnId } from "../wire/parameters/i3.js";
import { encodePuzzle } from "../wire/parameters/puzzle.js";
import { encodeR1Counter } from "../wire/parameters/r1-counter.js";
import { encodeEspTransform, encodeHipCipher, encodeHitSuiteList, encodeTransportFormatList } from "../wire/parameters/suites.js";
import { TLV_HEADER_BYTES, type ParameterContents } from "../wire/tlv.js";
import type { HipEnvironment, R1Responder } from "./events.js";
import {
  EASIER_EPOCH_GRACE_MS, EPOCH_GRACE_MS, EPOCH_MS, I3_I1_BYTES, MAX_ENGINE_EPOCHS, MAX_ENGINE_R1_BYTES, MAX_SPOILT_SOLUTIONS, MAX_USED_SOLUTIONS, MIN_EPOCH_MS, PUZZLE_LIFETIME, SPOILT_LIMIT,
} from "./limits.js";
import { headerOf, signatureOf } from "./seal.js";

/** A whole signed R1, but for the receiver's HIT, opaque and #I, which are zero as is the checksum. */
export interface R1Template {
  readonly r1: Uint8Array;
  /** Where the contents of PUZZLE begin: K, lifetime, opaque 2, #I. */
  readonly puzzleOffset: number;
  readonly rhash: Rhash;
}

export interface PuzzleSecret {
  /** 0 to 65,535. */
  readonly epoch: number;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export const DEFAULT_DH_GROUPS: readonly DhGroup[] = [7, 8, 4, 11];
export const DEFAULT_ESP_SUITES: readonly EspSuite[] = [ESP_SUITE.aesGcm16, ESP_SUITE.aes256CbcSha256, ESP_SUITE.aes128CbcSha256, ESP_SUITE.nullSha256];
/** NULL would show who calls and where to. */
export const HIP_CIPHERS: readonly number[] = [HIP_CIPHER_SUITE.aes256Cbc, HIP_CIPHER_SUITE.aes128Cbc];
export const HIT_SUITES: readonly number[] = [HIT_SUITE.ecdsa, HIT_SUITE.rsa];
/** Groups whose R1 is no longer than {@link I3_I1_BYTES}. */
export const isGroupForI3 = (group: DhGroup): boolean => group === 7 || group === 8 || group === 9;

const SECRET_BYTES = 32;
const PUZZLE_LABEL = new TextEncoder().encode("i3/1 puzzle");
const OFFSET_SENDER_HIT = 8;
const OFFSET_RECEIVER_HIT = 24;
const PUZZLE_OPAQUE = 2;
const PUZZLE_RANDOM = 4;

/** The puzzle of one initiator on one path: RHASH_len bytes. */
export function puzzleRandom(rhash: Rhash, secret: Uint8Array, hitI: Uint8Array, hitR: Uint8Array, path: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac(rhash, secret).update(PUZZLE_LABEL).update(hitI).update(hitR).update(path).digest());
}

/**
 * The R1 that answers `i1`, a HIP packet whose form was checked. Pure: what the packet engine computes, byte by byte.
 * @param path {@link puzzlePathBytes} of where the I1 came from; over i3 of its return id
 */
export function answerI1(template: R1Template, puzzle: PuzzleSecret, i1: Uint8Array, path: Uint8Array): Uint8Array {
  const out = template.r1.slice();
  const hitI = i1.subarray(OFFSET_SENDER_HIT, OFFSET_SENDER_HIT + HIT_BYTES);
  out.set(hitI, OFFSET_RECEIVER_HIT);
  out[template.puzzleOffset + PUZZLE_OPAQUE] = puzzle.epoch >> 8;
  out[template.puzzleOffset + PUZZLE_OPAQUE + 1] = puzzle.epoch & 0xff;
  const hitR = out.subarray(OFFSET_SENDER_HIT, OFFSET_SENDER_HIT + HIT_BYTES);
  out.set(puzzleRandom(template.rhash, puzzle.secret, hitI, hitR, path), template.puzzleOffset + PUZZLE_RANDOM);
  return out;
}

/** HOST_ID of a key, without a domain identifier. */
export const hostIdOf = (key: HostKey): Uint8Array => encodeHostId({ algorithm: algorithmNumber(key), hi: key.hi, domainId: null });

export interface OfferedR1 {
  readonly template: R1Template;
  readonly keyPair: DhKeyPair;
}

/** One secret, one difficulty, one key pair of each group that was asked for. */
export class Epoch implements PuzzleSecret {
  readonly epoch: number;
  readonly generation: bigint;
  readonly difficulty: number;
  readonly secret: Uint8Array;
  readonly startMs: number;
  /** When its solutions are good no more. */
  untilMs: number;
  readonly r1s = new Map<DhGroup, OfferedR1>();
  /** HIT-I, #I and #J of every exchange that came to an end: the same ones again would make the same keys. */
  readonly #used = new Set<string>();
  readonly #spoilt = new Map<string, number>();

  constructor(fields: PuzzleSecret & { readonly generation: bigint; readonly difficulty: number; readonly startMs: number }) {
    this.epoch = fields.epoch;
    this.secret = fields.secret;
    this.generation = fields.generation;
    this.difficulty = fields.difficulty;
    this.startMs = fields.startMs;
    this.untilMs = fields.startMs + EPOCH_MS + EPOCH_GRACE_MS;
  }

  get isFull(): boolean {
    return this.#used.size >= MAX_USED_SOLUTIONS;
  }

  /** Whether an I2 with this solution may still make an association. */
  isFresh(hitI: Uint8Array, j: Uint8Array): boolean {
    const key = bytesKey(hitI) + bytesKey(j);
    return !this.#used.has(key) && (this.#spoilt.get(key) ?? 0) < SPOILT_LIMIT;
  }

  /** #I follows from HIT-I and path; the path is left out, since #J is random. */
  use(hitI: Uint8Array, j: Uint8Array): void {
    this.#used.add(bytesKey(hitI) + bytesKey(j));
  }

  /** Something behind a right solution was wrong (RFC 7401 §8). */
  spoil(hitI: Uint8Array, j: Uint8Array): void {
    const key = bytesKey(hitI) + bytesKey(j);
    const count = (this.#spoilt.get(key) ?? 0) + 1;
    this.#spoilt.delete(key);
    this.#spoilt.set(key, count);
    for (const oldest of this.#spoilt.keys()) {
      if (this.#spoilt.size <= MAX_SPOILT_SOLUTIONS) break;
      this.#spoilt.delete(oldest);
    }
  }
}

export type R1Source = Pick<HipEnvironment, "identity" | "ownPublicId" | "random" | "dhSource" | "dhGroups" | "espSuites" | "r1Generation">;

export class R1Pool {
  readonly #env: R1Source;
  readonly #rhash: Rhash;
  readonly #groups: readonly DhGroup[];
  readonly #espSuites: readonly EspSuite[];
  readonly #hostId: Uint8Array;
  /** Newest last; several, because a rise of the difficulty ends one early. */
  readonly #epochs: Epoch[] = [];
  #generation: bigint;
  #number: number;
  #difficulty = 0;

  /** I3Error ERR_I3_HIP_IDENTITY when this identity's R1 is too long for i3. RangeError without any group for i3. */
  constructor(env: R1Source, nowMs: number) {
    this.#env = env;
    this.#rhash = rhashOf(env.identity.hit);
    // Every R1 is signed with the whole list, and who gets another group than the first common one takes it for an attack (§5.2.6).
    // So those that fit i3 come first where i3 is spoken, and the engine's one R1 has the first of all.
    const groups = env.dhGroups ?? DEFAULT_DH_GROUPS;
    this.#groups = env.ownPublicId === null ? groups : [...groups.filter(isGroupForI3), ...groups.filter((group) => !isGroupForI3(group))];
    this.#espSuites = env.espSuites ?? DEFAULT_ESP_SUITES;
    this.#hostId = hostIdOf(env.identity);
    this.#generation = env.r1Generation;
    const number = env.random(2);
    this.#number = ((number[0] ?? 0) << 8) | (number[1] ?? 0);
    if (this.#groups.length === 0) throw new RangeError("no Diffie-Hellman group");
    this.#begin(nowMs);
    if (env.ownPublicId === null) return;
    const [first] = this.#groups;
    if (first === undefined || !isGroupForI3(first)) throw new RangeError("over i3 one of the groups 7, 8 and 9 is needed");
    const bytes = this.offered(first).template.r1.length;
    if (bytes > I3_I1_BYTES) {
      throw new I3Error("ERR_I3_HIP_IDENTITY", `R1 with this host key has ${bytes} bytes, and over i3 at most ${I3_I1_BYTES} are allowed: it must not be longer than the packet that it answers`, {
        remedy: "Use a host key of ECDSA P-256 or P-384, or RSA of 2048 to 3072 bits.",
      });
    }
  }

  get current(): Epoch {
    return this.#epochs.at(-1) as Epoch;
  }

  /** When {@link rotate} has something to do. */
  get dueMs(): number {
    return Math.min(this.current.startMs + EPOCH_MS, ...this.#epochs.slice(0, -1).map(({ untilMs }) => untilMs));
  }

  /** Whether an epoch began, or the solutions of one are good no more: {@link responder} has changed. */
  rotate(nowMs: number): boolean {
    const over = this.#epochs.slice(0, -1).filter(({ untilMs }) => untilMs <= nowMs);
    for (const epoch of over) this.#forget(epoch);
    const { startMs, isFull, difficulty } = this.current;
    const isHarder = this.#difficulty > difficulty && nowMs >= startMs + MIN_EPOCH_MS;
    if (nowMs < startMs + EPOCH_MS && !isHarder && !isFull) return over.length > 0;
    this.#begin(nowMs);
    return true;
  }

  /** A rise holds within {@link MIN_EPOCH_MS}, a fall from the next epoch on. Call {@link rotate} behind it. */
  setDifficulty(difficulty: number): void {
    this.#difficulty = difficulty;
  }

  /** The epoch that `opaque` names, unless it is over. */
  find(nowMs: number, opaque: Uint8Array): Epoch | undefined {
    const number = ((opaque[0] ?? 0) << 8) | (opaque[1] ?? 0);
    const found = this.#epochs.find(({ epoch }) => epoch === number);
    return found !== undefined && nowMs < found.untilMs ? found : undefined;
  }

  /** The most preferred group that the initiator named too; the most preferred one when there is none (RFC 7401 §6.7, step 4). */
  choose(groups: readonly number[], isOverI3: boolean): OfferedR1 {
    const fitting = isOverI3 ? this.#groups.filter(isGroupForI3) : this.#groups;
    const group = fitting.find((candidate) => groups.includes(candidate)) ?? fitting[0];
    if (group === undefined) throw new RangeError("no Diffie-Hellman group for i3");
    return this.offered(group);
  }

  /** The R1 of the current epoch with this group; made when it is first asked for. */
  offered(group: DhGroup): OfferedR1 {
    const epoch = this.current;
    let found = epoch.r1s.get(group);
    if (found === undefined) {
      const keyPair = this.#env.dhSource(group);
      found = { keyPair, template: this.#template(epoch, keyPair) };
      epoch.r1s.set(group, found);
    }
    return found;
  }

  /** For the packet engine, which answers I1s that name the most preferred group. */
  responder(): R1Responder | null {
    const [group] = this.#groups;
    if (group === undefined) return null;
    const { r1, puzzleOffset, rhash } = this.offered(group).template;
    if (r1.length > MAX_ENGINE_R1_BYTES) return null;
    const puzzles = this.#epochs.slice(-MAX_ENGINE_EPOCHS).toReversed().map(({ epoch, secret, difficulty }) => ({ epoch, secret, difficulty }));
    return { hit: this.#env.identity.hit, r1, puzzleOffset, rhash, group, puzzles };
  }

  /** Forgets all secrets. */
  wipe(): void {
    for (const epoch of [...this.#epochs]) this.#forget(epoch);
  }

  #begin(nowMs: number): void {
    for (const old of this.#epochs) {
      const graceMs = old.difficulty < this.#difficulty ? EASIER_EPOCH_GRACE_MS : EPOCH_GRACE_MS;
      old.untilMs = Math.min(old.untilMs, nowMs + graceMs);
    }
    this.#number = (this.#number + 1) % 65_536;
    this.#generation += 1n;
    this.#epochs.push(new Epoch({
      epoch: this.#number, secret: this.#env.random(SECRET_BYTES), generation: this.#generation, difficulty: this.#difficulty, startMs: nowMs,
    }));
  }

  #forget(epoch: Epoch): void {
    // Key pairs are inside OpenSSL, which wipes them when nobody refers to them.
    this.#epochs.splice(this.#epochs.indexOf(epoch), 1);
    epoch.secret.fill(0);
  }

  #template(epoch: Epoch, keyPair: DhKeyPair): R1Template {
    const { identity, ownPublicId } = this.#env;
    const before: ParameterContents[] = [{ type: PARAMETER.r1Counter, contents: encodeR1Counter(epoch.generation) }];
    const puzzle = { difficulty: epoch.difficulty, lifetime: PUZZLE_LIFETIME, opaque: new Uint8Array(2), random: new Uint8Array(RHASH_BYTES[this.#rhash]) };
    const parameters: ParameterContents[] = [
      ...before,
      { type: PARAMETER.puzzle, contents: encodePuzzle(puzzle) },
      { type: PARAMETER.dhGroupList, contents: encodeDhGroupList(this.#groups) },
      { type: PARAMETER.diffieHellman, contents: encodeDiffieHellman(keyPair) },
      { type: PARAMETER.hipCipher, contents: encodeHipCipher(HIP_CIPHERS) },
      { type: PARAMETER.hostId, contents: this.#hostId },
      { type: PARAMETER.hitSuiteList, contents: encodeHitSuiteList(HIT_SUITES) },
      { type: PARAMETER.transportFormatList, contents: encodeTransportFormatList([PARAMETER.espTransform]) },
      { type: PARAMETER.espTransform, contents: encodeEspTransform(this.#espSuites) },
      ...(ownPublicId === null ? [] : [{ type: PARAMETER.i3OwnId, contents: encodeI3OwnId(ownPublicId) }]),
    ];
    const header = headerOf(HIP_PACKET.r1, identity.hit, new Uint8Array(HIT_BYTES));
    const r1 = encodeHipPacket(header, [...parameters, signatureOf(identity, header, parameters, PARAMETER.hipSignature2)]);
    return { r1, puzzleOffset: hipPacketBytes(before) + TLV_HEADER_BYTES, rhash: this.#rhash };
  }
}
