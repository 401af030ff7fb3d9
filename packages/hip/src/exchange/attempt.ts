/** One call of a host: I1-SENT, the puzzle, I2-SENT (RFC 7401 §4.4). It ends in an association, or fails. */
import { formatIpText, idsMatch, ringKey, sameBytes, toHex, WireError } from "@i3/common";

import { wipeKeys } from "../crypto/keymat.js";
import { PuzzleSearch } from "../crypto/puzzle.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import { RHASH_BYTES } from "../crypto/rhash.js";
import type { HostKey } from "../identity/host-key.js";
import { decodeHipPacket, parameter, parametersOf, type HipPacket } from "../wire/packet.js";
import { PARAMETER } from "../wire/numbers.js";
import { decodeNotification, isError, notifyName, NOTIFY_CODE } from "../wire/parameters/notification.js";
import { decodePuzzle } from "../wire/parameters/puzzle.js";
import type { FailedEvent, HipOffer } from "./events.js";
import { checkR1, checkR2, makeI1, makeI2, type CheckedR1, type CheckedR2, type MadeI2 } from "./initiator-packets.js";
import { I1_AGAIN_FROM_TRY, MAX_NOTIFY_CHECKS, MAX_R1_CHECKS, MAX_TRIES, PUZZLE_LIFETIME, RETRY_MS } from "./limits.js";
import { pathKey, pathText, puzzlePathBytes, type HipPath } from "./paths.js";
import { DEFAULT_DH_GROUPS, isGroupForI3 } from "./r1-pool.js";
import { HipRefusal } from "./refusal.js";
import type { Scope } from "./scope.js";
import { checkSignature, notifiedHash, required } from "./seal.js";

export interface Call {
  /** 16 bytes; null: whoever answers on the path (trust on first use). */
  readonly hit: Uint8Array | null;
  /** Over i3: the id to call. */
  readonly path: HipPath;
  /** Over i3: an id of ours, used for this call alone, at which answers come in. */
  readonly returnId: Uint8Array | null;
}

/** I2-SENT. */
export interface SentI2 {
  readonly r1: CheckedR1;
  readonly i2: MadeI2;
  readonly solution: Uint8Array;
  readonly keyPair: DhKeyPair;
  readonly spiIn: number;
  readonly offer: HipOffer;
  /** Where I2 goes. */
  readonly path: HipPath;
}

interface Solving {
  readonly r1: CheckedR1;
  readonly search: PuzzleSearch;
  readonly path: HipPath;
  readonly untilMs: number;
}

const NO_HIT = new Uint8Array(16);
const NOTHING = new Uint8Array(0);
const NOTHING_OFFERED: HipOffer = { privateId: null, preferences: null };

export class Attempt {
  readonly call: Call;
  /** Where it is found: by HIT, or by path when that is not known. */
  readonly key: string;
  /** Where answers come from, or over i3 where they come in. */
  readonly answerKey: string;
  readonly #scope: Scope;
  readonly #leastGeneration: (peerHit: Uint8Array) => bigint;
  readonly #groups: readonly DhGroup[];
  readonly #i1: Uint8Array;
  #solving: Solving | null = null;
  /** Another R1 than the one that was answered, as new as it: one of the two was forged or is old, since #I is not signed. */
  #other: { readonly bytes: Uint8Array; readonly from: HipPath } | null = null;
  #sent: SentI2 | null = null;
  #waitsSinceMs: number;
  #tries = 0;
  /** Of I2s of other puzzles. */
  #triesBefore = 0;
  #dueMs = 0;
  #r1Checks = 0;
  #notifyChecks = 0;
  /** The last thing that went wrong, for the message when all fails. */
  #trouble: string | null = null;

  constructor(scope: Scope, nowMs: number, call: Call, leastGeneration: (peerHit: Uint8Array) => bigint) {
    this.#scope = scope;
    this.call = call;
    this.key = attemptKey(call);
    this.answerKey = attemptKey({ ...call, hit: null });
    this.#leastGeneration = leastGeneration;
    const groups = scope.env.dhGroups ?? DEFAULT_DH_GROUPS;
    this.#groups = call.path.kind === "i3" ? groups.filter(isGroupForI3) : groups;
    this.#i1 = makeI1(scope.identity.hit, call.hit ?? NO_HIT, this.#groups, call.returnId);
    this.#waitsSinceMs = nowMs;
    this.#sendI1();
    this.#wait(nowMs);
  }

  /** Since when it waits for R1, or for R2; Infinity while it has work to do. */
  get waitsSinceMs(): number {
    return this.#solving === null ? this.#waitsSinceMs : Number.POSITIVE_INFINITY;
  }

  get state(): "i1-sent" | "solving" | "i2-sent" {
    return this.#sent !== null ? "i2-sent" : this.#solving !== null ? "solving" : "i1-sent";
  }

  /** The last thing that went wrong; for people. */
  get trouble(): string | null {
    return this.#trouble;
  }

  get sent(): SentI2 | null {
    return this.#sent;
  }

  /** Undefined while the puzzle is being solved: then {@link solve} is what it waits for. */
  get dueMs(): number | undefined {
    return this.#solving === null ? this.#dueMs : undefined;
  }

  /** Whether a packet that came in this way can be an answer. */
  fits(from: HipPath): boolean {
    const { path, returnId } = this.call;
    if (path.kind === "i3") return from.kind === "i3" && returnId !== null && idsMatch(from.id, returnId);
    // Else whoever has once seen an R1 could draw the exchange to itself. A NAT may have changed the port.
    return this.call.hit === null ? pathKey(from) === pathKey(path) : from.kind === path.kind && sameBytes(puzzlePathBytes(from), puzzlePathBytes(path));
  }

  /** Throws HipRefusal and WireError; a final one ends the attempt. */
  handleR1(nowMs: number, packet: HipPacket, from: HipPath): CheckedR1 {
    if (!this.fits(from)) throw new HipRefusal("unexpected", "R1 on another path than the call's");
    if (this.#r1Checks >= MAX_R1_CHECKS) throw new HipRefusal("rate", "too many R1s for one call");
    const { env } = this.#scope;
    const calledId = this.call.path.kind === "i3" ? this.call.path.id : null;
    // RFC 7401 §6.8, step 8: once one was answered, only a newer one counts. The same again is the usual case.
    const before = this.#sent?.r1 ?? this.#solving?.r1;
    const leastGeneration = before === undefined ? this.#leastGeneration : (): bigint => before.generation + 1n;
    if (before !== undefined && isSameAge(packet, before)) {
      if (!hasSamePuzzle(packet, before)) this.#other = { bytes: packet.bytes.slice(), from };
      throw new HipRefusal("replayed", "R1 of the generation that was answered");
    }
    let r1;
    try {
      r1 = checkR1(packet, { identity: env.identity, calledId, groups: this.#groups, espSuitesFor: (hit) => env.espSuitesFor(hit, this.call), leastGeneration, checkIsMeant: (peer) => this.#checkIsMeant(peer) });
    } catch (cause) {
      if (!(cause instanceof HipRefusal && cause.drop === "replayed")) {
        this.#r1Checks++;
        this.#trouble = (cause as Error).message;
      }
      throw cause;
    }
    if (env.accepts === undefined && !env.admits(r1.peer.hit, r1.peer)) throw new HipRefusal("refused", "the access list does not allow this host", { isFinal: true });
    this.forget();
    const path: HipPath = this.call.path.kind === "i3" && r1.i3OwnId !== null ? { kind: "i3", id: r1.i3OwnId } : from.kind === "i3" ? this.call.path : from;
    const search = new PuzzleSearch(r1.rhash, r1.puzzle, env.identity.hit, r1.peer.hit, env.random(RHASH_BYTES[r1.rhash]));
    const lifetimeMs = 1_000 * 2 ** ((r1.puzzle.lifetime === 0 ? PUZZLE_LIFETIME : r1.puzzle.lifetime) - 32);
    this.#solving = { r1, search, path, untilMs: nowMs + lifetimeMs };
    return r1;
  }

  /** Throws HipRefusal. Not a final one: somebody else may have answered first. */
  #checkIsMeant(peer: HostKey): void {
    const { hit } = this.call;
    const why = this.#scope.env.accepts?.(this.call, peer.hit) ?? null;
    if (why !== null) throw new HipRefusal("hit", why);
    if (hit !== null && !sameBytes(hit, peer.hit)) throw new HipRefusal("hit", "R1 of another host");
  }

  /** Goes on with the puzzle for at most `tries` hashes, and sends I2 when it is solved. Returns the hashes left. */
  solve(nowMs: number, tries: number): number {
    if (this.#solving === null) return tries;
    const { r1, search, path, untilMs } = this.#solving;
    const before = search.tries;
    const solution = search.step(tries);
    if (solution !== null) this.#sendFirstI2(nowMs, r1, solution, path);
    else if (nowMs >= untilMs) this.#startOver(nowMs);
    return tries - (search.tries - before);
  }

  /** Throws HipRefusal and WireError. */
  handleR2(packet: HipPacket): CheckedR2 {
    if (this.#sent === null || !sameBytes(packet.header.senderHit, this.#sent.r1.peer.hit)) throw new HipRefusal("unexpected", "R2 without an I2");
    return checkR2(packet, this.#sent.r1, this.#sent.i2);
  }

  /**
   * How the call failed when the peer refuses this very I2, which it signed; null when nothing changes. Throws HipRefusal and WireError.
   * DEVIATION: RFC 7401 §6.13 would have no NOTIFY change anything. One that does not name our I2, which is how other HIP hosts write it, is only noted for people:
   * it may be an old one.
   */
  handleNotify(packet: HipPacket, from: HipPath): FailedEvent | null {
    if (this.#sent === null || !this.fits(from)) throw new HipRefusal("unexpected", "NOTIFY without an I2");
    if (this.#notifyChecks >= MAX_NOTIFY_CHECKS) throw new HipRefusal("rate", "too many NOTIFYs for one call");
    this.#notifyChecks++;
    checkSignature(packet, this.#sent.r1.peer);
    const [found] = parametersOf(packet, PARAMETER.notification);
    if (found === undefined) return null;
    const { code, data } = decodeNotification(found.contents);
    const says = `the peer says ${notifyName(code)}`;
    if (isError(code) && code !== NOTIFY_CODE.RESPONDER_BUSY_PLEASE_RETRY && sameBytes(data, notifiedHash(decodeHipPacket(this.#sent.i2.bytes)))) return this.failure("refused", says);
    this.#trouble = says;
    return null;
  }

  /** Sends again. What to tell when there is nothing left to try, else null. */
  tick(nowMs: number): FailedEvent | null {
    if (this.#solving !== null || nowMs < this.#dueMs) return null;
    if (this.#tries >= MAX_TRIES) return this.failure("silent");
    this.#scope.counters.retransmitted++;
    if (this.#sent !== null && this.#takeOther(nowMs)) return null;
    if (this.#sent === null) this.#sendI1();
    else {
      this.#scope.env.send(this.#sent.path, this.#sent.i2.bytes.slice());
      if (this.#tries >= I1_AGAIN_FROM_TRY) this.#sendI1();
    }
    this.#wait(nowMs);
    return null;
  }

  /** I2 has no answer: its puzzle may have been somebody else's. Whether the other R1 is good, and so is tried. */
  #takeOther(nowMs: number): boolean {
    const [sent, other, tries] = [this.#sent, this.#other, this.#tries];
    this.#other = null;
    if (sent === null || other === null) return false;
    this.#sent = null;
    try {
      this.handleR1(nowMs, decodeHipPacket(other.bytes), other.from);
    } catch (cause) {
      if (!(cause instanceof HipRefusal || cause instanceof WireError)) throw cause;
      this.#sent = sent;
      return false;
    }
    this.#forgetSent(sent);
    this.#triesBefore = tries;
    return true;
  }

  failure(code: FailedEvent["code"], trouble: string | null = this.#trouble): FailedEvent {
    const { hit, path } = this.call;
    const name = hit === null ? "whoever is there" : formatIpText(hit);
    const asked = this.#sent === null ? "the call" : "the second packet of the exchange";
    const why = trouble ?? `nothing answered ${asked}`;
    return { kind: "failed", call: this.call, peerHit: hit, path, code, reason: `no association with ${name} by ${pathText(path)}: ${why}` };
  }

  /** Wipes keys and gives back the SPI, unless an association took them. */
  forget(): void {
    if (this.#sent !== null) this.#forgetSent(this.#sent);
    this.#sent = null;
    this.#solving = null;
  }

  #forgetSent({ i2, spiIn }: SentI2): void {
    wipeKeys(i2.keys.hip);
    wipeKeys(i2.esp);
    i2.keys.keymat.wipe();
    this.#scope.freeSpi(spiIn);
  }

  /** The keys and the SPI now belong to an association. */
  release(): void {
    this.#sent = null;
  }

  #sendFirstI2(nowMs: number, r1: CheckedR1, solution: Uint8Array, path: HipPath): void {
    this.#solving = null;
    const { env } = this.#scope;
    const keyPair = env.dhSource(r1.group);
    const offer = env.offerFor(r1.peer.hit, this.call) ?? NOTHING_OFFERED;
    const spiIn = this.#scope.takeSpi();
    let i2;
    try {
      i2 = makeI2({ identity: env.identity, r1, solution, keyPair, spiIn, returnId: this.call.returnId, extras: offer, random: env.random });
    } catch (cause) {
      // The peer's public value was none: it signed nonsense.
      this.#scope.freeSpi(spiIn);
      this.#trouble = (cause as Error).message;
      this.#startOver(nowMs);
      return;
    }
    this.#sent = { r1, i2, solution, keyPair, spiIn, offer, path };
    // All puzzles of a call together are tried no more often than one would be.
    this.#tries = this.#triesBefore;
    if (this.#triesBefore === 0) this.#waitsSinceMs = nowMs;
    env.send(path, i2.bytes.slice());
    this.#wait(nowMs);
  }

  #startOver(nowMs: number): void {
    this.#solving = null;
    this.#dueMs = nowMs;
  }

  #sendI1(): void {
    this.#r1Checks = 0;
    this.#scope.env.send(this.call.path, this.#i1.slice());
  }

  #wait(nowMs: number): void {
    this.#dueMs = nowMs + RETRY_MS * 2 ** this.#tries;
    this.#tries++;
  }
}

const isSameAge = (packet: HipPacket, { counter, peer }: CheckedR1): boolean =>
  sameBytes(packet.header.senderHit, peer.hit) && sameBytes(parameter(packet, PARAMETER.r1Counter)?.contents ?? NOTHING, counter ?? NOTHING);

function hasSamePuzzle(packet: HipPacket, { rhash, puzzle }: CheckedR1): boolean {
  const { opaque, random } = decodePuzzle(required(packet, PARAMETER.puzzle, "PUZZLE"), RHASH_BYTES[rhash]);
  return sameBytes(opaque, puzzle.opaque) && sameBytes(random, puzzle.random);
}

/** Ids match by their first half. */
const returnKey = (id: Uint8Array): string => `i3 ${toHex(ringKey(id))}`;

/** By HIT; without one by where the answer will come from, or for i3 where it will come in. */
export const attemptKey = ({ hit, path, returnId }: Call): string => (hit !== null ? toHex(hit) : returnId !== null ? returnKey(returnId) : pathKey(path));
/** The key of a call without a HIT that an answer from there can belong to. */
export const answerKey = (from: HipPath): string => (from.kind === "i3" ? returnKey(from.id) : pathKey(from));
