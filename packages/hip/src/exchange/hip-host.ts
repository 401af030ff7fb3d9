/** A HIP host: all its calls and associations (RFC 7401 §4.4, §6). Without I/O, clock and randomness of its own. */
import { bytesKey, sameBytes, toHex, TokenBucket, WireError } from "@i3/common";

import type { EspSuite } from "../crypto/esp-suites.js";
import { isGreaterHit } from "../crypto/keymat.js";
import { suiteOfHit } from "../identity/hit.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { decodeHipPacketLeniently, parametersOf, type HipPacket } from "../wire/packet.js";
import { decodeDhGroupList } from "../wire/parameters/diffie-hellman.js";
import { decodeNotification, notifyName } from "../wire/parameters/notification.js";
import { CriticalParameterError } from "../wire/tlv.js";
import { Association, hashText } from "./association.js";
import { answerKey, Attempt, attemptKey, type Call } from "./attempt.js";
import type { PeerLocator } from "./candidates.js";
import { newHipCounters, type HipCounters } from "./counters.js";
import { Deadlines } from "./deadlines.js";
import { difficultyFor } from "./difficulty.js";
import type { EstablishedEvent, FailedEvent, HipEnvironment, R1Responder } from "./events.js";
import { agreed, type I3Extras } from "./i3-extras.js";
import { CROSSED_I2_MS, DEAR_GROUPS, DEAR_I2S_PER_SECOND, I1_ANSWERS_PER_SECOND, MAX_ASSOCIATIONS, MAX_ATTEMPTS, PUZZLE_TRIES_PER_TICK } from "./limits.js";
import { pathText, puzzlePathBytes, type HipPath } from "./paths.js";
import { PeerGenerations } from "./peer-generations.js";
import { answerI1, R1Pool, type Epoch } from "./r1-pool.js";
import { checkCritical, HipRefusal, notificationOf } from "./refusal.js";
import { answerPath, checkI2, checkPuzzle, makeR2, type AcceptedI2, type PaidI2 } from "./responder-packets.js";
import { Scope } from "./scope.js";
import { required } from "./seal.js";

/** Packets whose handlers look at `unknownCritical`: the others have not paid, or prove nothing. */
const MAY_BE_TOLD: readonly number[] = [HIP_PACKET.r1, HIP_PACKET.i2, HIP_PACKET.update, HIP_PACKET.close];
/** I2s of one peer, lost to our own, whose solutions are not to be used later. */
const MAX_CROSSED_I2 = 16;

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

export class HipHost {
  readonly counters: HipCounters = newHipCounters();
  readonly #env: HipEnvironment;
  readonly #scope: Scope;
  readonly #pool: R1Pool;
  readonly #i1s = new TokenBucket(I1_ANSWERS_PER_SECOND, I1_ANSWERS_PER_SECOND);
  readonly #dearI2s = new TokenBucket(DEAR_I2S_PER_SECOND, 2 * DEAR_I2S_PER_SECOND);
  readonly #attempts = new Map<string, Attempt>();
  /** Those to a HIT, by where answers come from; of several the first. */
  readonly #byAnswer = new Map<string, Attempt>();
  readonly #solving = new Set<Attempt>();
  /** By the peer's HIT. */
  readonly #associations = new Map<string, Association>();
  readonly #byId = new Map<number, Association>();
  readonly #deadlines = new Deadlines<Attempt | Association>();
  readonly #generations = new PeerGenerations();
  #nextId = 1;
  #crossedI2s = 0;
  #nowMs: number;

  /** I3Error ERR_I3_HIP_IDENTITY when this identity's R1 is too long for i3. */
  constructor(env: HipEnvironment, nowMs: number) {
    this.#env = env;
    this.#scope = new Scope(env, this.counters);
    this.#pool = new R1Pool(env, nowMs);
    this.#nowMs = nowMs;
  }

  /** What the packet engine may answer I1 with. Changes are told by events of kind "responder". */
  get responder(): R1Responder | null {
    return this.#pool.responder();
  }

  /** Of the R1s that go out now (RFC 7401 §4.1.4). */
  get generation(): bigint {
    return this.#pool.current.generation;
  }

  /** Calls in progress and associations, in any state. */
  get sizes(): { readonly attempts: number; readonly associations: number } {
    return { attempts: this.#attempts.size, associations: this.#associations.size };
  }

  /** Associations that this host has ended, and whose peers have not answered yet. */
  get closing(): number {
    return [...this.#byId.values()].filter(({ state }) => state === "closing").length;
  }

  /** Begins an exchange; nothing when one with this peer is under way. An association that exists stays until the new one takes its place. RangeError without a return id over i3. */
  connect(nowMs: number, call: Call): void {
    this.#nowMs = nowMs;
    if ((call.path.kind === "i3") !== (call.returnId !== null)) throw new RangeError("a return id belongs to a call over i3");
    if (call.hit !== null && sameBytes(call.hit, this.#env.identity.hit)) throw new RangeError("a call of the host itself");
    if (this.#attempts.has(attemptKey(call))) return;
    if (this.#attempts.size >= MAX_ATTEMPTS) {
      this.#fail({ kind: "failed", call, peerHit: call.hit, path: call.path, code: "busy", reason: `${MAX_ATTEMPTS} other calls are under way` });
      return;
    }
    const attempt = new Attempt(this.#scope, nowMs, call, { least: (hit) => this.#generations.least(this.#nowMs, hit), remember: (hit, generation) => this.#generations.remember(this.#nowMs, hit, generation) });
    this.#attempts.set(attempt.key, attempt);
    if (call.hit !== null && !this.#byAnswer.has(attempt.answerKey)) this.#byAnswer.set(attempt.answerKey, attempt);
    this.#schedule(attempt);
  }

  /** Any bytes: what is not good is counted. The packet is not kept. */
  handle(nowMs: number, bytes: Uint8Array, from: HipPath): void {
    this.#nowMs = nowMs;
    this.counters.received++;
    try {
      const packet = decodeHipPacketLeniently(bytes);
      if (packet.unknownCritical !== null && !MAY_BE_TOLD.includes(packet.header.type)) throw new CriticalParameterError("HIP", packet.unknownCritical);
      this.#checkHits(packet, from);
      this.#dispatch(nowMs, packet, from);
    } catch (cause) {
      this.#scope.drop(cause, from);
    }
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#rotate(nowMs);
    this.#solve(nowMs);
    for (let item = this.#deadlines.take(nowMs); item !== undefined; item = this.#deadlines.take(nowMs)) {
      if (item instanceof Attempt) {
        const failure = item.tick(nowMs);
        if (failure === null) this.#schedule(item);
        else this.#endAttempt(item, failure);
      } else {
        item.tick(nowMs);
        this.#settle(item);
      }
    }
  }

  /** New ESP keys for an association, now: of each pair that has none on their way. Nothing when it is gone. */
  rekey(nowMs: number, association: number): void {
    this.#nowMs = nowMs;
    const found = this.#byId.get(association);
    found?.rekey(nowMs);
    if (found !== undefined) this.#settle(found);
  }

  /**
   * A second pair of ESP associations with the same peer, of another kind than that of the exchange (docs/wire.md §9.6). Events: "inbound" and "paired", or "pair-failed".
   * Nothing when the association is gone or has one. RangeError for two of one kind.
   */
  addPair(nowMs: number, association: number, espSuite: EspSuite): void {
    this.#nowMs = nowMs;
    const found = this.#byId.get(association);
    found?.addPair(nowMs, espSuite);
    if (found !== undefined) this.#settle(found);
  }

  /**
   * Tells a peer where this host may be reached straight: all of it, in place of what was said before; with the next {@link tick}, and again until the peer has it. Nothing
   * when the association is gone, or not both allow shortcuts. RangeError for more than 16.
   */
  setLocators(nowMs: number, association: number, locators: readonly PeerLocator[]): void {
    this.#nowMs = nowMs;
    const found = this.#byId.get(association);
    found?.setLocators(nowMs, locators);
    if (found !== undefined) this.#settle(found);
  }

  /**
   * This host has another address, or uses another: packets to a peer without i3 leave by it from now on, and the peer is told (RFC 8046 §3.2), at most once in 200 ms; one that does
   * not answer is gone ("closed", silent). Over i3 nothing: triggers move there.
   * @param local of the peer's family; left out: the system's choice, and the peer goes by where the packet comes from
   * @returns the way that packets go from now on; null when nothing was done. RangeError for an address of another family.
   */
  readdress(nowMs: number, association: number, local?: Uint8Array): HipPath | null {
    this.#nowMs = nowMs;
    const found = this.#byId.get(association);
    const path = found?.readdress(nowMs, local) ?? null;
    if (found !== undefined) this.#settle(found);
    return path;
  }

  /** Ends an association; its event comes at once. Nothing when it is gone. */
  close(nowMs: number, association: number): void {
    this.#nowMs = nowMs;
    const found = this.#byId.get(association);
    found?.close(nowMs);
    if (found !== undefined) this.#settle(found);
  }

  /** Since when a call waits for what it waits for: an R1, or an R2. Infinity while it solves a puzzle; undefined when it is over. */
  waitsSinceMs(call: Call): number | undefined {
    return this.#attempts.get(attemptKey(call))?.waitsSinceMs;
  }

  /** Ends a call that is under way, without an event. What went wrong with it last, for people; null: nothing did, or it is over. */
  abandon(call: Call): string | null {
    const found = this.#attempts.get(attemptKey(call));
    if (found !== undefined) this.#removeAttempt(found);
    return found?.trouble ?? null;
  }

  /** When {@link tick} is to be called; at once while a puzzle is being solved. */
  nextDeadlineMs(): number | undefined {
    if (this.#solving.size > 0) return this.#nowMs;
    return Math.min(this.#deadlines.next() ?? Number.POSITIVE_INFINITY, this.#pool.dueMs);
  }

  /**
   * Packets per second, those that the engine answered among them; decides how hard puzzles are. To be told every second or so.
   * @param fullness part of the places for strangers that is taken, 0 to 1
   */
  load(nowMs: number, i1PerSecond: number, i2PerSecond: number, fullness = 0): void {
    this.#nowMs = nowMs;
    this.#pool.setDifficulty(difficultyFor(i1PerSecond, i2PerSecond, fullness));
    this.#rotate(nowMs);
  }

  #rotate(nowMs: number): void {
    if (this.#pool.rotate(nowMs)) this.#scope.emit({ kind: "responder", responder: this.#pool.responder() });
  }

  #solve(nowMs: number): void {
    let tries = PUZZLE_TRIES_PER_TICK;
    for (const attempt of this.#solving) {
      if (tries <= 0) return;
      // Behind the others for the next turn.
      this.#solving.delete(attempt);
      tries = attempt.solve(nowMs, tries);
      this.#schedule(attempt);
    }
  }

  #checkHits({ header }: HipPacket, from: HipPath): void {
    const { hit } = this.#env.identity;
    const isOpen = header.type === HIP_PACKET.i1 && from.kind === "i3" && this.#env.isOpen?.(from.id) === true && isZero(header.receiverHit);
    if (!isOpen && !sameBytes(header.receiverHit, hit)) throw new HipRefusal("hit", "for another host");
    if (sameBytes(header.senderHit, hit)) throw new HipRefusal("hit", "from ourselves");
    try {
      suiteOfHit(header.senderHit);
    } catch (cause) {
      throw new HipRefusal("hit", (cause as Error).message);
    }
  }

  #dispatch(nowMs: number, packet: HipPacket, from: HipPath): void {
    switch (packet.header.type) {
      case HIP_PACKET.i1: return this.#handleI1(nowMs, packet, from);
      case HIP_PACKET.r1: return this.#handleR1(nowMs, packet, from);
      case HIP_PACKET.i2: return this.#handleI2(nowMs, packet, from);
      case HIP_PACKET.r2: return this.#handleR2(nowMs, packet, from);
      case HIP_PACKET.update:
      case HIP_PACKET.close:
      case HIP_PACKET.closeAck: return this.#handleOfAssociation(nowMs, packet, from);
      case HIP_PACKET.notify: return this.#handleNotify(packet, from);
      default: throw new HipRefusal("type", `packet type ${packet.header.type}`);
    }
  }

  #handleI1(nowMs: number, packet: HipPacket, from: HipPath): void {
    const groups = decodeDhGroupList(required(packet, PARAMETER.dhGroupList, "DH_GROUP_LIST"));
    const path = answerPath(packet, from);
    const hitI = packet.header.senderHit;
    // RFC 7401 §6.7, step 3: when both began, the one with the greater HIT responds.
    if (this.#attempts.get(toHex(hitI))?.state === "i1-sent" && isGreaterHit(hitI, this.#env.identity.hit)) throw new HipRefusal("crossed", "we called first");
    if (!this.#i1s.take(nowMs)) throw new HipRefusal("rate", "too many I1s");
    this.#rotate(nowMs);
    const { template } = this.#pool.choose(groups, path.kind === "i3");
    if (path.kind === "i3" && template.r1.length > packet.bytes.length) throw new HipRefusal("amplification", "I1 shorter than R1");
    this.counters.i1Answered++;
    this.#env.send(path, answerI1(template, this.#pool.current, packet.bytes, puzzlePathBytes(path)));
  }

  #handleR1(nowMs: number, packet: HipPacket, from: HipPath): void {
    // One of another host than was called is looked at too: people shall hear who answers in its place.
    const attempt = this.#attemptFor(packet.header.senderHit, from) ?? this.#byAnswer.get(answerKey(from));
    if (attempt === undefined) throw new HipRefusal("unexpected", "R1 without a call");
    try {
      attempt.handleR1(nowMs, packet, from);
    } catch (cause) {
      const failure = attempt.failureOf(cause);
      if (failure === null) this.#schedule(attempt);
      else this.#endAttempt(attempt, failure);
      throw cause;
    }
    this.#solving.add(attempt);
    this.#solve(nowMs);
    this.#schedule(attempt);
  }

  #handleI2(nowMs: number, packet: HipPacket, from: HipPath): void {
    this.counters.i2Received++;
    const { identity } = this.#env;
    const peerHit = packet.header.senderHit;
    const old = this.#associations.get(bytesKey(peerHit));
    const i2Hash = hashText(packet.bytes);
    if (old?.answerAgain(nowMs, i2Hash) === true) return;
    const isAdmitted = this.#env.admits(peerHit);
    const paid = checkPuzzle(nowMs, packet, from, this.#pool, identity.hit);
    this.counters.i2Paid++;
    const j = paid.solution.solution;
    if (!paid.epoch.isFresh(peerHit, j)) throw new HipRefusal("used", "a solution again");
    try {
      if (!isAdmitted) {
        this.#env.onRefused?.(peerHit);
        throw new HipRefusal("refused", "the access list does not allow this host", { notify: "BLOCKED_BY_POLICY" });
      }
      if (isGreaterHit(peerHit, identity.hit)) this.#checkCrossed(nowMs, paid.epoch, peerHit, j, old);
      if (old === undefined && this.#associations.size >= MAX_ASSOCIATIONS) throw new HipRefusal("full", "too many associations", { notify: "RESPONDER_BUSY_PLEASE_RETRY" });
      checkCritical(packet);
      const accepted = checkI2(packet, paid, this.#env, (group) => !DEAR_GROUPS.includes(group) || this.#dearI2s.take(nowMs), old?.fields.peer);
      if (!this.#env.admits(accepted.peer.hit, accepted.peer)) throw new HipRefusal("refused", "the access list does not allow this key", { notify: "BLOCKED_BY_POLICY" });
      this.#accept(nowMs, paid, accepted, i2Hash, old);
    } catch (cause) {
      if (!(cause instanceof HipRefusal || cause instanceof WireError)) throw cause;
      if (!(cause instanceof HipRefusal && (cause.drop === "crossed" || cause.drop === "rate"))) paid.epoch.spoil(peerHit, j);
      const said = notificationOf(cause);
      if (said !== null) this.#scope.notify(nowMs, paid.path, packet, said);
      throw cause;
    }
  }

  /** RFC 7401 §6.9, step 5: of two that call each other the greater HIT responds, so an I2 from it is void. */
  #checkCrossed(nowMs: number, epoch: Epoch, peerHit: Uint8Array, j: Uint8Array, old: Association | undefined): void {
    if (this.#isI2SentTo(peerHit)) {
      // It could come again when our own exchange is through, and then take the place of a living association.
      if (this.#crossedI2s++ < MAX_CROSSED_I2) epoch.use(peerHit, j);
      throw new HipRefusal("crossed", "we called too, and the greater HIT responds");
    }
    // The R2 may have overtaken that I2. A peer that really begins anew sends it again.
    if (old?.fields.role === "initiator" && nowMs - old.sinceMs < CROSSED_I2_MS) throw new HipRefusal("crossed", "right behind an exchange of ours");
  }

  #isI2SentTo(peerHit: Uint8Array): boolean {
    if (this.#attempts.get(toHex(peerHit))?.state === "i2-sent") return true;
    for (const attempt of this.#attempts.values()) if (attempt.call.hit === null && attempt.hasSentTo(peerHit)) return true;
    return false;
  }

  #accept(nowMs: number, paid: PaidI2, accepted: AcceptedI2, i2Hash: string, old: Association | undefined): void {
    paid.epoch.use(accepted.peer.hit, paid.solution.solution);
    const spiIn = this.#scope.takeSpi();
    const r2 = makeR2(this.#env.identity, paid.rhash, accepted, spiIn, this.#env.random);
    const { peer, cipher, espSuite, group, keyPair, publicValue, keys, esp, spiOut, extras } = accepted;
    const association = new Association(this.#scope, nowMs, {
      id: this.#nextId++, peer, role: "responder", path: lastingPath(paid.path, extras), rhash: paid.rhash, cipher, espSuite, group,
      i: paid.solution.random, j: paid.solution.solution, shortcuts: agreed(accepted.offer.preferences, extras.preferences).shortcuts,
    }, { keys, keyPair, peerPublicValue: publicValue, spiIn, spiOut, answered: { hash: i2Hash, answer: r2, path: paid.path } });
    const attempt = this.#attempts.get(toHex(peer.hit));
    if (attempt !== undefined) this.#removeAttempt(attempt);
    // Before R2, so that nothing comes in for an SPI that nobody knows.
    this.#establish(association, esp, extras, accepted.offer, old, null);
    this.#env.send(paid.path, r2.slice());
  }

  #handleR2(nowMs: number, packet: HipPacket, from: HipPath): void {
    const attempt = this.#attemptFor(packet.header.senderHit, from);
    if (attempt === undefined) throw new HipRefusal("unexpected", "R2 without an I2");
    const { sent, spiOut, extras } = attempt.handleR2(packet);
    const { r1, i2, offer } = sent;
    const association = new Association(this.#scope, nowMs, {
      id: this.#nextId++, peer: r1.peer, role: "initiator", path: lastingPath(sent.path, extras), rhash: r1.rhash, cipher: r1.cipher, espSuite: r1.espSuite,
      group: r1.group, i: r1.puzzle.random, j: sent.solution, shortcuts: agreed(offer.preferences, extras.preferences).shortcuts,
    }, { keys: i2.keys, keyPair: sent.keyPair, peerPublicValue: r1.publicValue, spiIn: sent.spiIn, spiOut, answered: null });
    attempt.release(sent);
    this.#removeAttempt(attempt);
    this.#establish(association, i2.esp, extras, offer, this.#associations.get(bytesKey(r1.peer.hit)), attempt.call);
  }

  #establish(association: Association, esp: Pick<AcceptedI2, "esp">["esp"], extras: I3Extras, offer: I3Extras, old: Association | undefined, call: Call | null): void {
    const { id, peer, role, path, espSuite } = association.fields;
    if (old !== undefined) this.#removeAssociation(old);
    this.#associations.set(bytesKey(peer.hit), association);
    this.#byId.set(id, association);
    this.#schedule(association);
    this.counters.established++;
    const event: EstablishedEvent = {
      kind: "established", peer, association: id, espSuite, ...association.spis, keysIn: esp.in, keysOut: esp.out, peerPrivateId: extras.privateId, peerPreferences: extras.preferences,
      path, role, call, ...agreed(offer.preferences, extras.preferences), pathKeys: association.pathKeys(), replaces: old?.isLive === true ? old.fields.id : null,
    };
    this.#scope.emit(event);
  }

  #handleOfAssociation(nowMs: number, packet: HipPacket, from: HipPath): void {
    const association = this.#associations.get(bytesKey(packet.header.senderHit));
    if (association === undefined) throw new HipRefusal("unexpected", "of no association");
    try {
      if (packet.header.type === HIP_PACKET.update) association.handleUpdate(nowMs, packet, from);
      else if (packet.header.type === HIP_PACKET.close) association.handleClose(nowMs, packet);
      else association.handleCloseAck(packet);
    } finally {
      this.#settle(association);
    }
  }

  #handleNotify(packet: HipPacket, from: HipPath): void {
    this.counters.notifyReceived++;
    const [found] = parametersOf(packet, PARAMETER.notification);
    const code = found === undefined ? null : decodeNotification(found.contents).code;
    this.#env.log("debug", "hip-notify", { peer: toHex(packet.header.senderHit), path: pathText(from), says: code === null ? "nothing" : notifyName(code) });
    const attempt = this.#attemptFor(packet.header.senderHit, from);
    if (attempt === undefined) return;
    const failure = attempt.handleNotify(this.#nowMs, packet, from);
    if (failure === null) this.#schedule(attempt);
    else this.#endAttempt(attempt, failure);
  }

  /** By HIT; or one that takes whoever answers, by the way that the packet came. */
  #attemptFor(peerHit: Uint8Array, from: HipPath): Attempt | undefined {
    return this.#attempts.get(toHex(peerHit)) ?? this.#attempts.get(answerKey(from));
  }

  #endAttempt(attempt: Attempt, failure: FailedEvent): void {
    this.#removeAttempt(attempt);
    this.#fail(failure);
  }

  #fail(failure: FailedEvent): void {
    this.counters.failed++;
    this.#scope.emit(failure);
  }

  #removeAttempt(attempt: Attempt): void {
    attempt.forget();
    this.#attempts.delete(attempt.key);
    if (this.#byAnswer.get(attempt.answerKey) === attempt) this.#byAnswer.delete(attempt.answerKey);
    this.#solving.delete(attempt);
    this.#deadlines.set(attempt, undefined);
    if (this.#attempts.size === 0) this.#crossedI2s = 0;
  }

  #removeAssociation(association: Association): void {
    association.forget();
    this.#associations.delete(bytesKey(association.fields.peer.hit));
    this.#byId.delete(association.fields.id);
    this.#deadlines.set(association, undefined);
  }

  #settle(association: Association): void {
    if (association.isOver) this.#removeAssociation(association);
    else this.#schedule(association);
  }

  #schedule(item: Attempt | Association): void {
    if (item instanceof Attempt && item.isSolving) this.#solving.add(item);
    this.#deadlines.set(item, item.dueMs);
  }
}

/** Return ids are used once: what comes later goes to the peer's private id. */
const lastingPath = (path: HipPath, { privateId }: I3Extras): HipPath => (path.kind === "i3" && privateId !== null ? { kind: "i3", id: privateId } : path);
