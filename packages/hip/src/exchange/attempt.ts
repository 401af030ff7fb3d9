/** One call of a host: I1-SENT, the puzzle, I2-SENT (RFC 7401 §4.4). It ends in an association, or fails. */
import { formatIpText, idsMatch, ringKey, sameBytes, toHex } from "@i3/common";

import { wipeKeys } from "../crypto/keymat.js";
import { PuzzleSearch } from "../crypto/puzzle.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import { RHASH_BYTES } from "../crypto/rhash.js";
import type { HostKey } from "../identity/host-key.js";
import { decodeHipPacket, decodeHipPacketLeniently, parameter, parametersOf, type HipPacket } from "../wire/packet.js";
import { PARAMETER } from "../wire/numbers.js";
import { decodeNotification, isError, notifyName, NOTIFY_CODE } from "../wire/parameters/notification.js";
import { decodePuzzle } from "../wire/parameters/puzzle.js";
import { decodeR1Counter } from "../wire/parameters/r1-counter.js";
import type { FailedEvent, HipOffer } from "./events.js";
import { checkR1, checkR2, makeI1, makeI2, type CheckedR1, type CheckedR2, type MadeI2 } from "./initiator-packets.js";
import { I1_AGAIN_FROM_TRY, MAX_ANSWERED_R1S, MAX_NOTIFY_CHECKS, MAX_OPEN_R1S, MAX_R1_CHECKS, MAX_TRIES, OTHER_R1_MS, PUZZLE_LIFETIME, R1_COUNTER_MS, RETRY_MS } from "./limits.js";
import { pathKey, pathText, puzzlePathBytes, type HipPath } from "./paths.js";
import { DEFAULT_DH_GROUPS, isGroupForI3 } from "./r1-pool.js";
import { HipRefusal } from "./refusal.js";
import type { Scope } from "./scope.js";
import { checkSignature, namedBy, notifiedHash, required } from "./seal.js";
import { WaitingR1s } from "./waiting-r1s.js";

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

/** R1 generation counters of peers (RFC 7401 §4.1.4). */
export interface Generations {
  /** R1s of this peer that are older are refused. */
  readonly least: (peerHit: Uint8Array) => bigint;
  /** A signed R1 said so. */
  readonly remember: (peerHit: Uint8Array, generation: bigint) => void;
}

/** What people read behind the name of a code. */
const SAYS: ReadonlyMap<number, string> = new Map([[NOTIFY_CODE.INVALID_ESP_TRANSFORM_CHOSEN, ": its rules do not take the security that ours ask for"]]);
const SAYS_OF_THE_PAST = `its R1s have older counters than those of before: its state directory was lost and its clock set back, or somebody repeats old ones. They are taken again ${R1_COUNTER_MS / 60_000} minutes after the last newer one`;
const NO_HIT = new Uint8Array(16);
const NOTHING = new Uint8Array(0);
const NOTHING_OFFERED: HipOffer = { privateId: null, preferences: null };

/**
 * R1s may be forged: of a call to a HIT in #I and opaque alone, which are not signed, of one to whoever answers altogether. So several are answered one after another, and
 * whichever I2 is answered first wins; limits.ts says how many, and how soon after each other.
 */
export class Attempt {
  readonly call: Call;
  /** Where it is found: by HIT, or by path when that is not known. */
  readonly key: string;
  /** Where answers come from, or over i3 where they come in. */
  readonly answerKey: string;
  readonly #scope: Scope;
  readonly #generations: Generations;
  readonly #groups: readonly DhGroup[];
  readonly #i1: Uint8Array;
  /** By turns; with {@link #open} at most {@link MAX_OPEN_R1S}. */
  #solving: Solving[] = [];
  /** I2s that an R2 may answer, the oldest first. */
  #open: SentI2[] = [];
  readonly #waiting: WaitingR1s;
  /** When the next of those that wait is looked at. */
  #turnMs = 0;
  #r1sAnswered = 0;
  #hasSentI2 = false;
  #waitsSinceMs: number;
  #tries = 0;
  #dueMs = 0;
  #r1Checks = 0;
  #notifyChecks = 0;
  /** The last thing that went wrong, for the message when all fails. */
  #trouble: string | null = null;
  /** An R1 of an earlier generation came, and none that could be answered. */
  #isOfThePast = false;
  /** Of a call to whoever answers: how one that did would have ended it. */
  #verdict: FailedEvent | null = null;

  constructor(scope: Scope, nowMs: number, call: Call, generations: Generations) {
    this.#scope = scope;
    this.call = call;
    this.key = attemptKey(call);
    this.answerKey = attemptKey({ ...call, hit: null });
    this.#generations = generations;
    this.#waiting = new WaitingR1s(scope.env.random);
    const groups = scope.env.dhGroups ?? DEFAULT_DH_GROUPS;
    this.#groups = call.path.kind === "i3" ? groups.filter(isGroupForI3) : groups;
    this.#i1 = makeI1(scope.identity.hit, call.hit ?? NO_HIT, this.#groups, call.returnId);
    this.#waitsSinceMs = nowMs;
    this.#sendI1();
    this.#wait(nowMs);
  }

  /** Since when it waits for R1, or for R2; Infinity while it has work to do first. */
  get waitsSinceMs(): number {
    return this.state === "solving" ? Number.POSITIVE_INFINITY : this.#waitsSinceMs;
  }

  get state(): "i1-sent" | "solving" | "i2-sent" {
    return this.#open.length > 0 ? "i2-sent" : this.isSolving ? "solving" : "i1-sent";
  }

  /** Whether {@link solve} has something to do. */
  get isSolving(): boolean {
    return this.#solving.length > 0;
  }

  /** The last thing that went wrong; for people. */
  get trouble(): string | null {
    return this.#trouble ?? (this.#isOfThePast && this.#r1sAnswered === 0 ? SAYS_OF_THE_PAST : null);
  }

  /** Whether an I2 of this call went to that host, which it may still answer. */
  hasSentTo(peerHit: Uint8Array): boolean {
    return this.#open.some(({ r1 }) => sameBytes(r1.peer.hit, peerHit));
  }

  /** Undefined while there is nothing to do but {@link solve}. */
  get dueMs(): number | undefined {
    const dueMs = Math.min(this.state === "solving" ? Number.POSITIVE_INFINITY : this.#dueMs, this.#hasTurn ? this.#turnMs : Number.POSITIVE_INFINITY);
    return dueMs === Number.POSITIVE_INFINITY ? undefined : dueMs;
  }

  /** Whether a packet that came in this way can be an answer. */
  fits(from: HipPath): boolean {
    const { path, returnId } = this.call;
    if (path.kind === "i3") return from.kind === "i3" && returnId !== null && idsMatch(from.id, returnId);
    // Else whoever has once seen an R1 could draw the exchange to itself. A NAT may have changed the port.
    return this.call.hit === null ? pathKey(from) === pathKey(path) : from.kind === path.kind && sameBytes(puzzlePathBytes(from), puzzlePathBytes(path));
  }

  /** Answers an R1 now, or keeps it for later. Throws HipRefusal and WireError; {@link failureOf} says whether that ends the attempt. */
  handleR1(nowMs: number, packet: HipPacket, from: HipPath): void {
    if (!this.fits(from)) throw new HipRefusal("unexpected", "R1 on another path than the call's");
    const { senderHit } = packet.header;
    const isOfOther = this.call.hit !== null && !sameBytes(this.call.hit, senderHit);
    const answered = this.#answered;
    if (answered.length > 0) {
      if (isOfOther) throw new HipRefusal("hit", "R1 of another host");
      if (answered.some((r1) => isSameAge(packet, r1) && hasSamePuzzle(packet, r1))) throw new HipRefusal("replayed", "R1 that was answered");
      if (generationOf(packet) < this.#generations.least(senderHit)) throw new HipRefusal("replayed", "R1 of a generation that is over");
    }
    const isNow = answered.length > 0 ? this.#waiting.size === 0 && nowMs >= this.#turnMs && this.#mayAnswer : this.#r1Checks < MAX_R1_CHECKS;
    if (isNow) this.#take(nowMs, packet, from);
    else if (isOfOther || !this.#mayAnswer) throw new HipRefusal("rate", "too many R1s for one call");
    else this.#keep(packet, from);
  }

  /** How the call ends by what {@link handleR1} threw; null: it goes on. */
  failureOf(cause: unknown): FailedEvent | null {
    return cause instanceof HipRefusal && cause.isFinal && this.call.hit !== null ? this.#failureOf(cause) : null;
  }

  #failureOf({ drop, message }: HipRefusal): FailedEvent {
    return this.failure(drop === "refused" ? "refused" : "incompatible", message);
  }

  /** The host that signed this R1 hears why it led to nothing; over i3 at the id that was called, since it says no other that is checked yet. */
  #refuse(nowMs: number, r1: HipPacket, from: HipPath, refusal: HipRefusal): void {
    if (refusal.notify !== null) this.#scope.notify(nowMs, from.kind === "i3" ? this.call.path : from, r1, refusal.notify);
    if (this.call.hit === null) this.#judge(nowMs, this.#failureOf(refusal));
  }

  get #answered(): readonly CheckedR1[] {
    return [...this.#open, ...this.#solving].map(({ r1 }) => r1);
  }

  get #mayAnswer(): boolean {
    return this.#r1sAnswered < MAX_ANSWERED_R1S;
  }

  get #hasTurn(): boolean {
    return this.#waiting.size > 0 && this.#mayAnswer;
  }

  #keep({ bytes }: HipPacket, from: HipPath): void {
    const what = this.#waiting.add(bytes, from);
    if (what === "again") throw new HipRefusal("replayed", "R1 that waits already");
    if (what === "dropped") throw new HipRefusal("rate", "too many R1s for one call");
  }

  #take(nowMs: number, packet: HipPacket, from: HipPath): void {
    const { env } = this.#scope;
    const calledId = this.call.path.kind === "i3" ? this.call.path.id : null;
    let r1;
    try {
      r1 = checkR1(packet, {
        identity: env.identity, calledId, groups: this.#groups, espSuitesFor: (hit) => env.espSuitesFor(hit, this.call), leastGeneration: this.#generations.least,
        checkIsMeant: (peer) => this.#checkIsMeant(peer),
      });
      if (env.accepts === undefined && !env.admits(r1.peer.hit, r1.peer)) throw new HipRefusal("refused", "the access list does not allow this host", { isFinal: true });
    } catch (cause) {
      if (cause instanceof HipRefusal && cause.drop === "replayed") this.#isOfThePast = true;
      else {
        this.#r1Checks++;
        this.#trouble = (cause as Error).message;
      }
      if (cause instanceof HipRefusal && cause.isFinal) this.#refuse(nowMs, packet, from, cause);
      throw cause;
    }
    this.#generations.remember(r1.peer.hit, r1.generation);
    this.#forgetOlder(r1);
    while (this.#open.length + this.#solving.length >= MAX_OPEN_R1S) this.#forgetOldest();
    const path: HipPath = this.call.path.kind === "i3" && r1.i3OwnId !== null ? { kind: "i3", id: r1.i3OwnId } : from.kind === "i3" ? this.call.path : from;
    const search = new PuzzleSearch(r1.rhash, r1.puzzle, env.identity.hit, r1.peer.hit, env.random(RHASH_BYTES[r1.rhash]));
    const lifetimeMs = 1_000 * 2 ** ((r1.puzzle.lifetime === 0 ? PUZZLE_LIFETIME : r1.puzzle.lifetime) - 32);
    this.#solving.push({ r1, search, path, untilMs: nowMs + lifetimeMs });
    // Another one means something only when the first has had its time.
    this.#turnMs = nowMs + (this.#r1sAnswered === 0 ? RETRY_MS : OTHER_R1_MS);
    this.#r1sAnswered++;
  }

  /** Throws HipRefusal. Not a final one: somebody else may have answered first. */
  #checkIsMeant(peer: HostKey): void {
    const { hit } = this.call;
    const why = this.#scope.env.accepts?.(this.call, peer.hit) ?? null;
    if (why !== null) throw new HipRefusal("hit", why);
    if (hit !== null && !sameBytes(hit, peer.hit)) throw new HipRefusal("hit", "R1 of another host");
  }

  /** Whoever answers such a call may be anybody: the one that was meant has the time of a try to answer too. */
  #judge(nowMs: number, verdict: FailedEvent): void {
    this.#verdict = verdict;
    this.#dueMs = Math.min(this.#dueMs, nowMs + RETRY_MS);
  }

  /** Goes on with one puzzle for at most `tries` hashes, and sends I2 when it is solved. Returns the hashes left. */
  solve(nowMs: number, tries: number): number {
    const solving = this.#solving.shift();
    if (solving === undefined) return tries;
    const { r1, search, path, untilMs } = solving;
    const before = search.tries;
    const solution = search.step(tries);
    if (solution !== null) this.#sendFirstI2(nowMs, r1, solution, path);
    else if (nowMs < untilMs) this.#solving.push(solving);
    // It was none, or is over: the next, or the next I1, whose time may have come long ago.
    if (this.state === "i1-sent") this.#turnMs = nowMs;
    return tries - (search.tries - before);
  }

  /** Throws HipRefusal and WireError. Which I2 it answers its MAC says. */
  handleR2(packet: HipPacket): CheckedR2 & { readonly sent: SentI2 } {
    let why: unknown = new HipRefusal("unexpected", "R2 without an I2");
    for (const sent of this.#open.filter(({ r1 }) => sameBytes(packet.header.senderHit, r1.peer.hit))) {
      try {
        return { ...checkR2(packet, sent.r1, sent.i2), sent };
      } catch (cause) {
        if (!(cause instanceof HipRefusal && cause.drop === "mac")) throw cause;
        why = cause;
      }
    }
    throw why;
  }

  /**
   * How the call failed when the peer refuses one of our I2s, which it signed; null when nothing changes. Throws HipRefusal and WireError.
   * DEVIATION: RFC 7401 §6.13 would have no NOTIFY change anything. One that does not name our I2, which is how other HIP hosts write it, is only noted for people:
   * it may be an old one.
   */
  handleNotify(nowMs: number, packet: HipPacket, from: HipPath): FailedEvent | null {
    const open = this.#open.filter(({ r1 }) => sameBytes(packet.header.senderHit, r1.peer.hit));
    const [first] = open;
    if (first === undefined || !this.fits(from)) throw new HipRefusal("unexpected", "NOTIFY without an I2");
    if (this.#notifyChecks >= MAX_NOTIFY_CHECKS) throw new HipRefusal("rate", "too many NOTIFYs for one call");
    this.#notifyChecks++;
    checkSignature(packet, first.r1.peer);
    const [found] = parametersOf(packet, PARAMETER.notification);
    if (found === undefined) return null;
    const { code, data } = decodeNotification(found.contents);
    this.#trouble = `the peer says ${notifyName(code)}${SAYS.get(code) ?? ""}`;
    if (!isError(code) || code === NOTIFY_CODE.RESPONDER_BUSY_PLEASE_RETRY) return null;
    const named = open.find(({ i2 }) => sameBytes(namedBy({ code, data }), notifiedHash(decodeHipPacket(i2.bytes))));
    if (named === undefined) return null;
    const failure = this.failure("refused");
    if (this.call.hit !== null) return failure;
    this.#forgetSent(named);
    this.#judge(nowMs, failure);
    return null;
  }

  /** Sends again, and looks at what waits. What to tell when there is nothing left to try, else null. */
  tick(nowMs: number): FailedEvent | null {
    const failure = this.#hasTurn && nowMs >= this.#turnMs ? this.#takeTurn(nowMs) : null;
    if (failure !== null) return failure;
    if (this.state === "solving" || nowMs < this.#dueMs) return null;
    if (this.#verdict !== null && this.state === "i1-sent" && !this.#hasTurn) return this.#verdict;
    if (this.#tries >= MAX_TRIES) return this.#verdict ?? this.failure("silent");
    for (const { path, i2 } of this.#open) this.#scope.env.send(path, i2.bytes.slice());
    this.#scope.counters.retransmitted += Math.max(1, this.#open.length);
    // Of several R1s none was right, it seems; but those that wait come first, since new ones would take their places.
    const areNoneLeft = this.#r1sAnswered > 1 && this.#waiting.size === 0;
    if (this.#open.length === 0 || areNoneLeft || this.#tries >= I1_AGAIN_FROM_TRY) this.#sendI1();
    this.#wait(nowMs);
    return null;
  }

  #takeTurn(nowMs: number): FailedEvent | null {
    this.#turnMs = nowMs + OTHER_R1_MS;
    const r1 = this.#waiting.take();
    if (r1 === undefined) return null;
    try {
      this.#take(nowMs, decodeHipPacketLeniently(r1.bytes), r1.from);
    } catch (cause) {
      this.#scope.drop(cause, r1.from);
      return this.failureOf(cause);
    }
    return null;
  }

  failure(code: FailedEvent["code"], trouble: string | null = this.trouble): FailedEvent {
    const { hit, path } = this.call;
    const name = hit === null ? "whoever is there" : formatIpText(hit);
    const asked = this.#open.length === 0 ? "the call" : "the second packet of the exchange";
    const why = trouble ?? `nothing answered ${asked}`;
    return { kind: "failed", call: this.call, peerHit: hit, path, code, reason: `no association with ${name} by ${pathText(path)}: ${why}` };
  }

  /** Wipes keys and gives back SPIs, unless an association took them. */
  forget(): void {
    for (const sent of this.#open) this.#wipe(sent);
    this.#open = [];
    this.#solving = [];
    this.#scope.counters.drops.unexpected += this.#waiting.clear();
  }

  /** The keys and the SPI now belong to an association. */
  release(sent: SentI2): void {
    this.#open = this.#open.filter((other) => other !== sent);
  }

  #forgetSent(sent: SentI2): void {
    this.release(sent);
    this.#wipe(sent);
  }

  #wipe({ i2, spiIn }: SentI2): void {
    wipeKeys(i2.keys.hip);
    wipeKeys(i2.esp);
    i2.keys.keymat.wipe();
    this.#scope.freeSpi(spiIn);
  }

  /** What a host said before. Else it could make one association of each, and this side another one than the last (RFC 7401 §6.8, step 8). */
  #forgetOlder({ peer, generation }: CheckedR1): void {
    const isOlder = ({ r1 }: Solving | SentI2): boolean => sameBytes(r1.peer.hit, peer.hit) && r1.generation < generation;
    for (const sent of this.#open.filter(isOlder)) this.#forgetSent(sent);
    this.#solving = this.#solving.filter((solving) => !isOlder(solving));
  }

  #forgetOldest(): void {
    const [oldest] = this.#open;
    if (oldest === undefined) this.#solving.shift();
    else this.#forgetSent(oldest);
  }

  #sendFirstI2(nowMs: number, r1: CheckedR1, solution: Uint8Array, path: HipPath): void {
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
      return;
    }
    // The first, or the first of a host that was called by its HIT and says something newer. Others make no call longer than it is.
    if (this.#open.length === 0 && (!this.#hasSentI2 || this.call.hit !== null)) {
      this.#hasSentI2 = true;
      this.#tries = 0;
      this.#waitsSinceMs = nowMs;
      this.#wait(nowMs);
    }
    this.#open.push({ r1, i2, solution, keyPair, spiIn, offer, path });
    env.send(path, i2.bytes.slice());
  }

  #sendI1(): void {
    this.#r1Checks = 0;
    this.#waiting.beginRound();
    this.#scope.env.send(this.call.path, this.#i1.slice());
  }

  #wait(nowMs: number): void {
    this.#dueMs = nowMs + RETRY_MS * 2 ** this.#tries;
    this.#tries++;
  }
}

function generationOf(packet: HipPacket): bigint {
  const counter = parameter(packet, PARAMETER.r1Counter);
  return counter === undefined ? 0n : decodeR1Counter(counter.contents);
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
