/**
 * One pair of ESP associations: how it comes to be beside the first one, and its rekeys (RFC 7402 §5.1.1, §6.8 to §6.10; rekey.ts has the order of packets).
 * Each has KEYMAT of its own from its first new Diffie-Hellman secret on, so that what becomes of one is nothing to the other.
 */
import { TokenBucket } from "@i3/common";

import { wipeSecrets, type Directions } from "../crypto/keymat.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import type { EspKeys, EspSuite } from "../crypto/esp-suites.js";
import { PARAMETER } from "../wire/numbers.js";
import { encodeEspTransform } from "../wire/parameters/suites.js";
import type { ParameterContents } from "../wire/tlv.js";
import { ALL_TRIES_MS, MAX_RETIRING, PEER_REKEY_BURST, PEER_REKEYS_PER_SECOND, RETIRE_MS } from "./limits.js";
import { firstKeysOf, halfParameters, newKeys, ownHalf, type KeymatTerms, type Material, type OwnHalf, type PeerHalf } from "./rekey.js";
import { HipRefusal } from "./refusal.js";
import type { Scope } from "./scope.js";

/** Sent until it is answered. */
export interface Outstanding {
  readonly id: number;
  readonly bytes: Uint8Array;
  tries: number;
  dueMs: number;
}

/** What a pair has of its association. */
export interface PairHome {
  readonly scope: Scope;
  readonly association: number;
  readonly group: DhGroup;
  readonly terms: Omit<KeymatTerms, "espSuite">;
  readonly rekeyAfterMs: number;
  /** An UPDATE with the next id, which acknowledges the peer's last one too. */
  readonly sendUpdate: (nowMs: number, espInfo: ParameterContents, rest: readonly ParameterContents[]) => Outstanding;
}

export interface PairSpis {
  readonly spiIn: number;
  readonly spiOut: number;
}

/** New keys on their way. */
interface Turn {
  readonly own: OwnHalf;
  /** Whether the peer is to answer, rather than we. */
  readonly isOurs: boolean;
  /** When it has waited too long for the peer's half, though the peer has acknowledged ours. */
  readonly untilMs: number;
  outstanding: Outstanding | null;
  isAcked: boolean;
  /** Known as soon as the peer's half is. */
  done: { readonly peer: PeerHalf; readonly keysOut: EspKeys } | null;
}

export interface FirstPair extends PairSpis {
  readonly material: Material;
}

export class Pair {
  /** 0: that of the exchange. */
  readonly number: number;
  readonly espSuite: EspSuite;
  readonly #home: PairHome;
  #material: Material | null;
  #spis: PairSpis | null;
  #turn: Turn | null = null;
  #rekeyAtMs = Number.POSITIVE_INFINITY;
  #retiring: { readonly spiIn: number; readonly untilMs: number }[] = [];
  readonly #peerRekeys = new TokenBucket(PEER_REKEYS_PER_SECOND, PEER_REKEY_BURST);

  /** @param first null: it has to be agreed upon, by {@link begin} or {@link take} */
  constructor(home: PairHome, nowMs: number, number: number, espSuite: EspSuite, first: FirstPair | null) {
    this.#home = home;
    this.number = number;
    this.espSuite = espSuite;
    this.#material = first === null ? null : { ...first.material, keyPair: this.#kept(first.material.keyPair) };
    this.#spis = first === null ? null : { spiIn: first.spiIn, spiOut: first.spiOut };
    if (first !== null) this.#rekeyAtMs = nowMs + home.rekeyAfterMs;
  }

  /** Null until both sides have it. */
  get spis(): PairSpis | null {
    return this.#spis;
  }

  /** Whether we have said our half first and know nothing of the peer's. */
  get isAsked(): boolean {
    return this.#turn !== null && this.#turn.isOurs && this.#turn.done === null;
  }

  get dueMs(): number {
    const turn = this.#turn;
    return Math.min(turn === null ? this.#rekeyAtMs : (turn.outstanding?.dueMs ?? turn.untilMs), this.#retiring[0]?.untilMs ?? Number.POSITIVE_INFINITY);
  }

  /** What is to be sent again. */
  get outstanding(): Outstanding | null {
    return this.#turn?.outstanding ?? null;
  }

  /** Whether new keys have waited too long for the peer's half. */
  isStuck(nowMs: number): boolean {
    return this.#turn !== null && this.#turn.outstanding === null && nowMs >= this.#turn.untilMs;
  }

  isRekeyDue(nowMs: number): boolean {
    return this.#turn === null && nowMs >= this.#rekeyAtMs;
  }

  /** New keys, the first ones too; nothing while some are on their way. */
  begin(nowMs: number): void {
    if (this.#turn !== null) return;
    const { scope } = this.#home;
    const spiIn = scope.takeSpi();
    const own = this.#material === null ? this.#firstHalf(spiIn) : ownHalf(this.#material, spiIn, null, scope.env.rekeyWithDh ?? true, () => this.#newKeyPair());
    this.#turn = { own, isOurs: true, untilMs: nowMs + 2 * ALL_TRIES_MS, outstanding: null, isAcked: false, done: null };
    this.#send(nowMs, this.#turn, this.#spis === null);
  }

  /** The peer's half; throws HipRefusal, and nothing has changed then. Whether {@link answer} is to be called. */
  take(nowMs: number, peer: PeerHalf): boolean {
    if (this.#turn !== null) {
      if (this.#turn.done !== null) throw new HipRefusal("unexpected", "a rekey before the last one is through");
      this.#install(this.#turn, peer);
      return false;
    }
    // Each costs us a key pair, a secret and a signature. The peer sends its half again, later.
    if (!this.#peerRekeys.take(nowMs)) throw new HipRefusal("rate", "the peer wants new keys too often");
    const { scope } = this.#home;
    const spiIn = scope.takeSpi();
    const own = this.#material === null ? this.#firstHalf(spiIn) : ownHalf(this.#material, spiIn, peer, false, () => this.#newKeyPair());
    const turn: Turn = { own, isOurs: false, untilMs: nowMs + 2 * ALL_TRIES_MS, outstanding: null, isAcked: false, done: null };
    try {
      this.#install(turn, peer);
    } catch (refusal) {
      scope.freeSpi(spiIn);
      throw refusal;
    }
    this.#turn = turn;
    return true;
  }

  /** Our half of what the peer began. */
  answer(nowMs: number): Uint8Array {
    const turn = this.#turn as Turn;
    this.#send(nowMs, turn, false);
    return (turn.outstanding as Outstanding).bytes;
  }

  /** The peer has our half. */
  handleAck(): void {
    const turn = this.#turn;
    if (turn === null) return;
    turn.outstanding = null;
    turn.isAcked = true;
  }

  /** When both have both halves the peer has its keys, so we send with ours. */
  finish(nowMs: number): void {
    const turn = this.#turn;
    if (turn === null || !turn.isAcked || turn.done === null) return;
    const { scope, association, rekeyAfterMs } = this.#home;
    const { own, done } = turn;
    const old = this.#spis;
    this.#turn = null;
    this.#spis = { spiIn: own.spiIn, spiOut: done.peer.spiOut };
    this.#rekeyAtMs = nowMs + rekeyAfterMs;
    const event = { association, pair: this.number, ...this.#spis, keysOut: done.keysOut };
    if (old === null) {
      scope.counters.paired++;
      scope.emit({ kind: "paired", espSuite: this.espSuite, ...event });
      return;
    }
    this.#retiring.push({ spiIn: old.spiIn, untilMs: nowMs + RETIRE_MS });
    if (this.#retiring.length > MAX_RETIRING) this.#retired((this.#retiring.shift() as { spiIn: number }).spiIn);
    scope.counters.rekeyed++;
    scope.emit({ kind: "rekeyed", ...event, oldSpiIn: old.spiIn, oldSpiOut: old.spiOut });
  }

  /** Old inbound keys whose time is over. */
  retire(nowMs: number): void {
    for (let first = this.#retiring[0]; first !== undefined && nowMs >= first.untilMs; first = this.#retiring[0]) {
      this.#retiring.shift();
      this.#retired(first.spiIn);
    }
  }

  /** A pair that does not come to be: the keys that were told of are good no more. */
  giveUp(): void {
    if (this.#turn !== null && this.#turn.done !== null) this.#retired(this.#turn.own.spiIn);
    else if (this.#turn !== null) this.#home.scope.freeSpi(this.#turn.own.spiIn);
    this.#turn = null;
    this.#material?.keymat.wipe();
  }

  /** Wipes KEYMAT and gives back the SPIs; ESP keys are their receiver's. */
  forget(): void {
    const keysOut = this.#turn?.done?.keysOut;
    if (keysOut !== undefined) wipeSecrets(keysOut);
    this.#material?.keymat.wipe();
    for (const spi of [this.#spis?.spiIn, this.#turn?.own.spiIn, ...this.#retiring.map(({ spiIn }) => spiIn)]) if (spi !== undefined) this.#home.scope.freeSpi(spi);
  }

  #retired(spiIn: number): void {
    const { scope, association } = this.#home;
    scope.freeSpi(spiIn);
    scope.emit({ kind: "retired", association, spiIn });
  }

  #firstHalf(spiIn: number): OwnHalf {
    return { spiIn, keymatIndex: 0, keyPair: this.#newKeyPair() };
  }

  #newKeyPair(): DhKeyPair {
    return this.#home.scope.env.dhSource(this.#home.group);
  }

  /** Both halves are known: the peer may send with the new keys as soon as it has heard from us. */
  #install(turn: Turn, peer: PeerHalf): void {
    const { scope, association, terms } = this.#home;
    const { esp, material } = this.#keysOf(turn.own, peer, { ...terms, espSuite: this.espSuite });
    this.#material = { ...material, keyPair: this.#kept(material.keyPair) };
    turn.done = { peer, keysOut: esp.out };
    scope.emit({ kind: "inbound", association, pair: this.number, espSuite: this.espSuite, spiIn: turn.own.spiIn, keysIn: esp.in });
  }

  #keysOf(own: OwnHalf, peer: PeerHalf, terms: KeymatTerms): { readonly esp: Directions<EspKeys>; readonly material: Material } {
    return this.#material === null ? firstKeysOf(terms, own, peer) : newKeys(this.#material, terms, own, peer);
  }

  #send(nowMs: number, turn: Turn, isProposal: boolean): void {
    const { espInfo, dh } = halfParameters(turn.own, this.#spis?.spiIn ?? 0);
    const suite = isProposal ? [{ type: PARAMETER.espTransform, contents: encodeEspTransform([this.espSuite]) }] : [];
    turn.outstanding = this.#home.sendUpdate(nowMs, espInfo, [...dh, ...suite]);
  }

  #kept(keyPair: DhKeyPair | null): DhKeyPair | null {
    return this.#home.scope.env.rekeyWithDh === false ? keyPair : null;
  }
}
