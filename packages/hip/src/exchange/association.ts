/** One association with one peer: R2-SENT, ESTABLISHED, CLOSING, CLOSED (RFC 7401 §4.4), with its UPDATEs (§6.11, §6.12) and its end (§6.14, §6.15). */
import { hash } from "node:crypto";

import { formatIpText, sameBytes, TokenBucket } from "@i3/common";

import { wipeKeys, type Directions } from "../crypto/keymat.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import { isEspSuite, isReadableSuite, type EspSuite } from "../crypto/esp-suites.js";
import type { HipCipherSuite } from "../crypto/hip-cipher.js";
import type { Rhash } from "../crypto/rhash.js";
import type { HostKey } from "../identity/host-key.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { parameter, parametersOf, type HipPacket } from "../wire/packet.js";
import { decodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { decodeEcho, encodeEcho } from "../wire/parameters/echo.js";
import { decodeEspInfo, encodeEspInfo, type EspInfo } from "../wire/parameters/esp-info.js";
import { decodeLocatorSet, type LocatorSet } from "../wire/parameters/locator-set.js";
import { decodeAck, decodeSeq, encodeAck, encodeSeq } from "../wire/parameters/sequence.js";
import { decodeEspTransform } from "../wire/parameters/suites.js";
import type { ParameterContents } from "../wire/tlv.js";
import { ECHO_BYTES, echoesFor } from "./address-check.js";
import { Announcement, type AnnouncementHome } from "./announcement.js";
import { decrypted, encrypted, pathKeysOf, type ExchangeKeys } from "./association-keys.js";
import { addressParameter, Candidates, locatorSetIn, type PeerLocator } from "./candidates.js";
import type { ClosedEvent, HipRole } from "./events.js";
import { ALL_TRIES_MS, CLOSED_MS, MAX_TRIES, MIN_SPI, PEER_UPDATE_BURST, PEER_UPDATES_PER_SECOND, REKEY_AFTER_MS, REPEAT_MS, RETRY_MS } from "./limits.js";
import type { HipPath } from "./paths.js";
import { DEFAULT_ESP_SUITES } from "./r1-pool.js";
import { Pair, type Outstanding, type PairHome, type PairSpis } from "./pair.js";
import { isAtSameHost, PeerPlace, type PeerPlaceHome } from "./peer-place.js";
import type { PeerHalf } from "./rekey.js";
import { checkCritical, HipRefusal } from "./refusal.js";
import type { Scope } from "./scope.js";
import { checkMac, checkSignature, headerOf, required, sealPacket } from "./seal.js";
import { UpdateIds } from "./update-ids.js";

export type AssociationState = "r2-sent" | "established" | "closing" | "closed";

export interface AssociationFields {
  readonly id: number;
  readonly peer: HostKey;
  readonly role: HipRole;
  /** At first: the peer is followed. */
  readonly path: HipPath;
  readonly rhash: Rhash;
  readonly cipher: HipCipherSuite;
  readonly espSuite: EspSuite;
  /** #I and #J: a rekey makes KEYMAT of them too. */
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly group: DhGroup;
  /** Both allow shortcuts. */
  readonly shortcuts: boolean;
}

export interface FirstKeys {
  readonly keys: ExchangeKeys;
  readonly keyPair: DhKeyPair;
  readonly peerPublicValue: Uint8Array;
  readonly spiIn: number;
  readonly spiOut: number;
  /** Of the responder: the I2 by its hash, and the R2 that answers it, as long as that I2 may come again. */
  readonly answered: Answered | null;
}

/** A packet of the peer by its hash, and what answers it. */
interface Answered {
  readonly hash: string;
  readonly answer: Uint8Array;
  readonly path: HipPath;
}

/** An UPDATE's word on new keys. */
interface NewKeys {
  readonly pair: Pair;
  readonly half: PeerHalf;
}

/** One of each kind: encrypted, and readable. */
const MAX_PAIRS = 2;
/** The answer to a pair that is not wanted. */
const NO_PAIR: ParameterContents = { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex: 0, oldSpi: 0, newSpi: 0 }) };
/** The responder begins a rekey later, so that usually only one of them does. */
const RESPONDER_PATIENCE = 1.1;

export const hashText = (bytes: Uint8Array): string => hash("sha256", bytes, "base64");

export class Association {
  readonly fields: AssociationFields;
  readonly sinceMs: number;
  readonly #scope: Scope;
  readonly #hip: ExchangeKeys["hip"];
  readonly #place: PeerPlace;
  /** That we are elsewhere. */
  readonly #own: Announcement;
  readonly #home: PairHome;
  /** The first is that of the exchange. */
  readonly #pairs: Pair[];
  #state: AssociationState;
  #answered: Answered | null;
  #repeatedMs = Number.NEGATIVE_INFINITY;
  #nextUpdateId = 0;
  readonly #peerIds = new UpdateIds();
  #lastPeerId: number | null = null;
  /** The last one about each pair, by its number, about candidates, and about nothing of these. */
  readonly #answers = new Map<number | "candidates" | null, Answered>();
  readonly #candidates: Candidates;
  readonly #updates = new TokenBucket(PEER_UPDATES_PER_SECOND, PEER_UPDATE_BURST);
  /** While an UPDATE is answered: where to, and with what else. */
  #reply: { readonly path: HipPath; readonly echoes: readonly ParameterContents[] } | null = null;
  #closing: Outstanding | null = null;
  #echo: Uint8Array | null = null;
  #isTold = false;
  #isOver = false;
  #closedUntilMs = 0;
  /** An answer that we wait for came with a wrong signature: the next one waits for its turn as others do. */
  #hasForgedNews = false;

  constructor(scope: Scope, nowMs: number, fields: AssociationFields, first: FirstKeys) {
    this.#scope = scope;
    this.fields = fields;
    this.sinceMs = nowMs;
    this.#hip = first.keys.hip;
    this.#place = new PeerPlace(this.#placeHome(), fields.path);
    this.#own = new Announcement(this.#announcementHome());
    this.#home = this.#makeHome();
    this.#candidates = new Candidates({
      announcement: this.#announcementHome(), spiIn: () => this.spis.spiIn,
      encrypt: (parameters) => encrypted(fields.cipher, this.#hip.out.encryption, scope.env.random, parameters),
    });
    const material = { keymat: first.keys.keymat, keyPair: first.keyPair, peerPublicValue: first.peerPublicValue };
    this.#pairs = [new Pair(this.#home, nowMs, 0, fields.espSuite, { material, spiIn: first.spiIn, spiOut: first.spiOut })];
    this.#answered = first.answered;
    this.#repeatedMs = nowMs;
    this.#state = first.answered === null ? "established" : "r2-sent";
  }

  get state(): AssociationState {
    return this.#state;
  }

  /** Whether data may flow. */
  get isLive(): boolean {
    return this.#state === "r2-sent" || this.#state === "established";
  }

  /** UNASSOCIATED: nothing of it is needed any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Of the pair of the exchange. */
  get spis(): PairSpis {
    return this.#pairs[0]?.spis as PairSpis;
  }

  get dueMs(): number | undefined {
    if (this.#state === "closed") return this.#closedUntilMs;
    if (this.#state === "closing") return this.#closing?.dueMs;
    return Math.min(this.#state === "r2-sent" ? this.sinceMs + ALL_TRIES_MS : Number.POSITIVE_INFINITY, this.#place.dueMs, this.#own.dueMs, this.#candidates.announcement.dueMs, ...this.#pairs.map((pair) => pair.dueMs));
  }

  tick(nowMs: number): void {
    if (this.#state === "closed") this.#isOver = nowMs >= this.#closedUntilMs;
    else if (this.#state === "closing") this.#tickClosing(nowMs);
    else {
      if (this.#state === "r2-sent" && nowMs >= this.sinceMs + ALL_TRIES_MS) this.#establish();
      this.#place.tick(nowMs);
      this.#tickOwn(nowMs);
      this.#candidates.announcement.tick(nowMs);
      for (const pair of [...this.#pairs]) if (this.isLive) this.#tickPair(nowMs, pair);
    }
  }

  /** The I2 that made this association came again: the R2 goes out again, unless it just did. Whether it was that one. */
  answerAgain(nowMs: number, i2Hash: string): boolean {
    return this.#repeat(nowMs, this.#answered, i2Hash);
  }

  /** Begins a rekey of each pair that is not at it. */
  rekey(nowMs: number): void {
    if (!this.isLive) return;
    for (const pair of this.#pairs) if (pair.spis !== null) pair.begin(nowMs);
  }

  /** Begins a second pair, unless there is one or it is on its way. RangeError when the first is of the same kind. */
  addPair(nowMs: number, espSuite: EspSuite): void {
    if (!this.isLive || this.#pairs.length >= MAX_PAIRS) return;
    if (isReadableSuite(espSuite) === isReadableSuite(this.fields.espSuite)) throw new RangeError(`ESP suite ${espSuite} beside ${this.fields.espSuite}`);
    const pair = new Pair(this.#home, nowMs, this.#pairs.length, espSuite, null);
    this.#pairs.push(pair);
    pair.begin(nowMs);
  }

  /** Says to the peer where we may be reached straight. Nothing where shortcuts are not allowed. RangeError for more than 16. */
  setLocators(nowMs: number, locators: readonly PeerLocator[]): void {
    if (this.isLive && this.fields.shortcuts) this.#candidates.set(nowMs, locators);
  }

  /** Packets leave by another address of ours, and the peer is told. The way that they go; null over i3, or when the association is over. RangeError for another family. */
  readdress(nowMs: number, local: Uint8Array | undefined): HipPath | null {
    if (!this.isLive || this.#path.kind === "i3") return null;
    this.#place.leaveBy(local);
    this.#own.say(nowMs, () => (local === undefined ? [] : [addressParameter(this.spis.spiIn, local)]));
    this.#tickOwn(nowMs);
    return this.#path;
  }

  /** New ones at each call. */
  pathKeys(): Directions<Uint8Array> {
    return pathKeysOf(this.#hip);
  }

  /** Throws HipRefusal and WireError. MAC before anything else, signature before anything changes. */
  handleUpdate(nowMs: number, packet: HipPacket, from: HipPath): void {
    if (!this.isLive) throw new HipRefusal("unexpected", "UPDATE of an association that is closed");
    const seq = parameter(packet, PARAMETER.seq);
    const ack = parameter(packet, PARAMETER.ack);
    if (seq === undefined && ack === undefined) throw new HipRefusal("malformed", "UPDATE without SEQ and ACK");
    const id = seq === undefined ? null : decodeSeq(seq.contents);
    const acked = ack === undefined ? [] : decodeAck(ack.contents);
    checkMac(packet, { rhash: this.fields.rhash, key: this.#hip.in.integrity });
    const news = this.#pairs.filter(({ outstanding }) => outstanding !== null && acked.includes(outstanding.id));
    const check = this.#place.acked(acked);
    const heard = [this.#own, this.#candidates.announcement].filter((announcement) => announcement.isAcked(acked));
    const isNews = news.length > 0 || check !== null || heard.length > 0;
    if (id === null && !isNews) throw new HipRefusal("unexpected", "ACK of nothing");
    if (id !== null && this.#peerIds.classify(id) !== "new" && !isNews) {
      this.#repeatAnswer(nowMs, String(id), this.#place.replyPath(from));
      throw new HipRefusal("replayed", `UPDATE ${id} again`);
    }
    // A signature costs more than all before it.
    if ((!isNews || this.#hasForgedNews) && !this.#updates.take(nowMs)) throw new HipRefusal("rate", "the peer sends too many UPDATEs");
    this.#hasForgedNews = isNews;
    checkSignature(packet, this.fields.peer);
    this.#hasForgedNews = false;
    this.#checkCritical(nowMs, packet);
    this.#establish();
    for (const announcement of heard) announcement.handleAck();
    this.#candidates.announcement.heard(nowMs);
    for (const pair of news) this.#handleAck(nowMs, packet, pair);
    if (check !== null) this.#place.end(packet, check, from);
    const isNew = id !== null && this.#peerIds.classify(id) === "new";
    if (isNew) {
      // Its answer goes where it came from; nothing else does yet.
      this.#reply = { path: this.#place.replyPath(from), echoes: isAtSameHost(from, this.#path) ? echoesFor(packet) : [] };
      try {
        this.#handleSeq(nowMs, packet, id);
      } finally {
        this.#reply = null;
      }
    }
    // What belongs to a check begins none: else whoever passes packets on could keep two hosts at it.
    if (!this.isLive || check !== null || parameter(packet, PARAMETER.echoRequestSigned) !== undefined) return;
    this.#place.follow(nowMs, from);
    const places = isNew ? parameter(packet, PARAMETER.locatorSet) : undefined;
    if (places === undefined) return;
    const { locators, skipped } = decodeLocatorSet(places.contents);
    this.#scope.counters.locatorsSkipped += skipped;
    this.#place.prefer(nowMs, locators, from, this.#pairs.flatMap(({ spis }) => (spis === null ? [] : [spis.spiOut])));
  }

  /** Ends the association from here. The event goes out at once; CLOSE is repeated until the peer answers. */
  close(nowMs: number, code: ClosedEvent["code"] = "asked", reason = "closed by this host"): void {
    if (!this.isLive) return;
    this.#state = "closing";
    this.#echo = this.#scope.env.random(ECHO_BYTES);
    const bytes = this.#seal(HIP_PACKET.close, [{ type: PARAMETER.echoRequestSigned, contents: encodeEcho(this.#echo) }]);
    this.#closing = { id: 0, bytes, tries: 1, dueMs: nowMs + RETRY_MS };
    this.#tell(code, reason);
    this.#send(bytes);
  }

  /** Throws HipRefusal and WireError. */
  handleClose(nowMs: number, packet: HipPacket): void {
    const packetHash = hashText(packet.bytes);
    if (this.#state === "closed" && this.#repeatAnswer(nowMs, packetHash)) return;
    checkMac(packet, { rhash: this.fields.rhash, key: this.#hip.in.integrity });
    if (!this.#updates.take(nowMs)) throw new HipRefusal("rate", "the peer sends too many CLOSEs");
    checkSignature(packet, this.fields.peer);
    this.#checkCritical(nowMs, packet);
    required(packet, PARAMETER.echoRequestSigned, "ECHO_REQUEST_SIGNED");
    const answer = this.#seal(HIP_PACKET.closeAck, echoesFor(packet));
    // Others do not put off its end.
    if (this.#state !== "closed") this.#closedUntilMs = nowMs + CLOSED_MS;
    this.#state = "closed";
    this.#answer(nowMs, packetHash, answer, null);
    this.#tell("peer", "closed by the peer");
  }

  /** Throws HipRefusal and WireError. */
  handleCloseAck(packet: HipPacket): void {
    if (this.#echo === null) throw new HipRefusal("unexpected", "CLOSE_ACK without a CLOSE");
    checkMac(packet, { rhash: this.fields.rhash, key: this.#hip.in.integrity });
    const echo = decodeEcho(required(packet, PARAMETER.echoResponseSigned, "ECHO_RESPONSE_SIGNED"));
    if (!sameBytes(echo, this.#echo)) throw new HipRefusal("unexpected", "CLOSE_ACK of another CLOSE");
    checkSignature(packet, this.fields.peer);
    this.#isOver = true;
  }

  /** Wipes what belongs to the association, and gives back its SPIs; ESP keys are those of who received their event, but for the half that nobody has yet. */
  forget(): void {
    wipeKeys(this.#hip);
    for (const pair of this.#pairs) pair.forget();
  }

  get #path(): HipPath {
    return this.#place.path;
  }

  #placeHome(): PeerPlaceHome {
    return {
      scope: this.#scope, association: this.fields.id,
      ask: (nowMs, path, request) => {
        const id = this.#takeUpdateId();
        const bytes = this.#seal(HIP_PACKET.update, [{ type: PARAMETER.seq, contents: encodeSeq(id) }, request]);
        this.#scope.env.send(path, bytes.slice());
        return { id, bytes, tries: 1, dueMs: nowMs + RETRY_MS };
      },
      repeat: (nowMs, outstanding, path) => this.#repeatOutstanding(nowMs, outstanding, path),
    };
  }

  /** Two that have moved at once find each other by a fresh exchange. */
  #tickOwn(nowMs: number): void {
    if (this.#own.tick(nowMs) === "silent") this.close(nowMs, "silent", "the peer does not answer at its last address since this host has another");
  }

  #makeHome(): PairHome {
    const { id, rhash, i, j, peer, group, role } = this.fields;
    const { env, identity } = this.#scope;
    return {
      scope: this.#scope, association: id, group, terms: { rhash, i, j, ownHit: identity.hit, peerHit: peer.hit },
      rekeyAfterMs: (env.rekeyAfterMs ?? REKEY_AFTER_MS) * (role === "responder" ? RESPONDER_PATIENCE : 1),
      sendUpdate: (nowMs, espInfo, rest) => this.#sendUpdate(nowMs, espInfo, rest),
    };
  }

  #announcementHome(): AnnouncementHome {
    return {
      send: (nowMs, word) => this.#sendUpdate(nowMs, this.#sameSpi(), word),
      repeat: (nowMs, outstanding) => this.#repeatOutstanding(nowMs, outstanding),
    };
  }

  /** ESP_INFO of an UPDATE that is not about keys (RFC 8046 §3.2). */
  #sameSpi(): ParameterContents {
    const { spiIn } = this.spis;
    return { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex: 0, oldSpi: spiIn, newSpi: spiIn }) };
  }

  #tickPair(nowMs: number, pair: Pair): void {
    pair.retire(nowMs);
    const { outstanding } = pair;
    if (outstanding !== null && nowMs >= outstanding.dueMs) this.#sendAgain(nowMs, pair, outstanding);
    else if (pair.isStuck(nowMs)) this.#endSilent(nowMs, pair);
    else if (pair.isRekeyDue(nowMs)) pair.begin(nowMs);
  }

  #handleAck(nowMs: number, packet: HipPacket, pair: Pair): void {
    pair.handleAck();
    const info = firstEspInfo(packet);
    // To a rekey nobody says no.
    if (pair.spis === null && info !== null && info.oldSpi === 0 && info.newSpi === 0) this.#endPair(pair, "refused");
    else pair.finish(nowMs);
  }

  #handleSeq(nowMs: number, packet: HipPacket, id: number): void {
    const inClear = parameter(packet, PARAMETER.locatorSet);
    if (inClear !== undefined) decodeLocatorSet(inClear.contents);
    const candidates = this.#candidatesOf(packet);
    const found = this.#newKeysOf(nowMs, packet);
    const pair = found === null || found === "no" ? null : found.pair;
    const isBegun = found !== null && found !== "no" && found.pair.take(nowMs, found.half);

    // Nothing can go wrong from here on.
    if (inClear !== undefined) this.#scope.counters.locatorSets++;
    // Addresses are private, and over i3 nobody needs any but those inside ENCRYPTED.
    if (inClear !== undefined && this.#path.kind === "i3") this.#scope.counters.locatorSetsIgnored++;
    this.#peerIds.add(id);
    this.#lastPeerId = id;
    if (pair !== null && !this.#pairs.includes(pair)) this.#pairs.push(pair);
    if (found === "no") this.#scope.counters.pairsRefused++;
    if (pair !== null && isBegun) this.#answer(nowMs, String(id), pair.answer(nowMs), pair.number, true);
    else {
      const ack = this.#seal(HIP_PACKET.update, [...(found === "no" ? [NO_PAIR] : []), { type: PARAMETER.ack, contents: encodeAck([id]) }, ...(this.#reply?.echoes ?? [])]);
      this.#answer(nowMs, String(id), ack, pair?.number ?? (candidates === null ? null : "candidates"));
    }
    pair?.finish(nowMs);
    if (candidates !== null) this.#takeCandidates(id, candidates);
  }

  /** What an UPDATE says inside ENCRYPTED; null: nothing, or nobody asked for it. Throws HipRefusal and WireError. */
  #candidatesOf(packet: HipPacket): LocatorSet | null {
    const hidden = this.fields.shortcuts ? parameter(packet, PARAMETER.encrypted) : undefined;
    return hidden === undefined ? null : locatorSetIn(decrypted(this.fields.cipher, this.#hip.in.encryption, hidden.contents));
  }

  #takeCandidates(id: number, set: LocatorSet): void {
    const { counters } = this.#scope;
    const taken = this.#candidates.take(id, set);
    counters.locatorSets++;
    if (taken === null) {
      counters.locatorSetsIgnored++;
      return;
    }
    counters.locatorsSkipped += taken.skipped;
    this.#scope.emit({ kind: "locators", association: this.fields.id, locators: taken.locators });
  }

  /** What the peer says of new keys: null when the UPDATE is about something else, "no" to a pair that is not wanted. Throws HipRefusal and WireError. */
  #newKeysOf(nowMs: number, packet: HipPacket): NewKeys | "no" | null {
    const info = firstEspInfo(packet);
    if (info === null || info.newSpi === info.oldSpi) return null;
    const pair = info.oldSpi === 0 ? null : this.#pairs.find(({ spis }) => spis?.spiOut === info.oldSpi);
    if (pair === undefined || info.newSpi < MIN_SPI) {
      throw new HipRefusal("spi", `SPI ${info.newSpi} in place of ${info.oldSpi}, where ${this.#pairs.map(({ spis }) => spis?.spiOut ?? "none").join(" and ")} is in use`);
    }
    const dh = parameter(packet, PARAMETER.diffieHellman);
    if (dh === undefined) {
      if (pair === null) throw new HipRefusal("proposal", "a new pair without a Diffie-Hellman value");
      return { pair, half: { spiOut: info.newSpi, keymatIndex: info.keymatIndex, publicValue: null } };
    }
    const { group, publicValue } = decodeDiffieHellman(dh.contents);
    if (group !== this.fields.group) throw new HipRefusal("proposal", `group ${group} in a rekey, where ${this.fields.group} is in use`);
    if (info.keymatIndex !== 0) throw new HipRefusal("spi", `KEYMAT index ${info.keymatIndex} with a new Diffie-Hellman value`);
    const half = { spiOut: info.newSpi, keymatIndex: 0, publicValue };
    return pair === null ? this.#newPairOf(nowMs, packet, half) : { pair, half };
  }

  /** A pair that the peer wants, or its half of one that we want. */
  #newPairOf(nowMs: number, packet: HipPacket, half: PeerHalf): NewKeys | "no" {
    const own = this.#pairs.find(({ isAsked, spis }) => isAsked && spis === null);
    const transform = parameter(packet, PARAMETER.espTransform);
    if (transform === undefined) {
      if (own === undefined) throw new HipRefusal("unexpected", "an answer to a pair that we do not want");
      return { pair: own, half };
    }
    const [suite, ...more] = decodeEspTransform(transform.contents);
    if (more.length > 0 || suite === undefined || !isEspSuite(suite)) return "no";
    // Both want it: the halves are one pair, if it is the same one.
    if (own !== undefined) return own.espSuite === suite ? { pair: own, half } : "no";
    const { env } = this.#scope;
    const isWanted = env.espSuitesFor(this.fields.peer.hit, null).includes(suite) && (env.espSuites ?? DEFAULT_ESP_SUITES).includes(suite);
    if (!isWanted || this.#pairs.some(({ espSuite }) => isReadableSuite(espSuite) === isReadableSuite(suite))) return "no";
    return { pair: new Pair(this.#home, nowMs, this.#pairs.length, suite, null), half };
  }

  /** It ACKs the peer's last one too, in case that ACK was lost. */
  #sendUpdate(nowMs: number, espInfo: ParameterContents, rest: readonly ParameterContents[]): Outstanding {
    const id = this.#takeUpdateId();
    const bytes = this.#seal(HIP_PACKET.update, [
      espInfo, { type: PARAMETER.seq, contents: encodeSeq(id) },
      ...(this.#lastPeerId === null ? [] : [{ type: PARAMETER.ack, contents: encodeAck([this.#lastPeerId]) }]), ...rest, ...(this.#reply?.echoes ?? []),
    ].sort((a, b) => a.type - b.type));
    this.#send(bytes);
    return { id, bytes, tries: 1, dueMs: nowMs + RETRY_MS };
  }

  #takeUpdateId(): number {
    const id = this.#nextUpdateId;
    this.#nextUpdateId = (id + 1) >>> 0;
    return id;
  }

  /** The peer may just not know second pairs; whoever knew a pair and is silent is gone. */
  #endSilent(nowMs: number, pair: Pair): void {
    if (pair.spis === null && pair.isAsked) this.#endPair(pair, "silent");
    else this.close(nowMs, "silent", "the peer does not answer a rekey");
  }

  #endPair(pair: Pair, code: "refused" | "silent"): void {
    pair.giveUp();
    this.#pairs.splice(this.#pairs.indexOf(pair), 1);
    this.#scope.emit({ kind: "pair-failed", association: this.fields.id, espSuite: pair.espSuite, code });
  }

  #sendAgain(nowMs: number, pair: Pair, outstanding: Outstanding): void {
    if (outstanding.tries >= MAX_TRIES) this.#endSilent(nowMs, pair);
    else this.#repeatOutstanding(nowMs, outstanding);
  }

  #tickClosing(nowMs: number): void {
    if (this.#closing === null || nowMs < this.#closing.dueMs) return;
    if (this.#closing.tries >= MAX_TRIES) this.#isOver = true;
    else this.#repeatOutstanding(nowMs, this.#closing);
  }

  #repeatOutstanding(nowMs: number, outstanding: Outstanding, path = this.#path): void {
    outstanding.dueMs = nowMs + RETRY_MS * 2 ** outstanding.tries;
    outstanding.tries++;
    this.#scope.counters.retransmitted++;
    this.#scope.env.send(path, outstanding.bytes.slice());
  }

  /** Says so to the peer, where it is known to be: somebody may have sent its packet from elsewhere. */
  #checkCritical(nowMs: number, packet: HipPacket): void {
    try {
      checkCritical(packet);
    } catch (cause) {
      if (cause instanceof HipRefusal && cause.notify !== null) this.#scope.notify(nowMs, this.#path, packet, cause.notify);
      throw cause;
    }
  }

  /** The peer's packets show that it has our R2, or no further I2 can come. */
  #establish(): void {
    if (this.#state !== "r2-sent") return;
    this.#state = "established";
    this.#answered = null;
  }

  #tell(code: ClosedEvent["code"], reason: string): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#scope.counters.closed++;
    const { id, peer } = this.fields;
    this.#scope.emit({ kind: "closed", association: id, peerHit: peer.hit, code, reason: `association with ${formatIpText(peer.hit)}: ${reason}` });
  }

  #answer(nowMs: number, key: string, answer: Uint8Array, about: number | "candidates" | null, isSent = false): void {
    this.#answers.set(about, { hash: key, answer, path: this.#reply?.path ?? this.#path });
    this.#repeatedMs = nowMs;
    if (!isSent) this.#send(answer);
  }

  #repeatAnswer(nowMs: number, key: string, path?: HipPath): boolean {
    const found = [...this.#answers.values()].find(({ hash: of }) => of === key) ?? null;
    return this.#repeat(nowMs, found === null || path === undefined ? found : { ...found, path }, key);
  }

  #repeat(nowMs: number, answered: Answered | null, key: string): boolean {
    if (answered?.hash !== key) return false;
    if (nowMs - this.#repeatedMs >= REPEAT_MS) {
      this.#repeatedMs = nowMs;
      this.#scope.counters.repeated++;
      this.#scope.env.send(answered.path, answered.answer.slice());
    }
    return true;
  }

  #seal(type: number, parameters: readonly ParameterContents[]): Uint8Array {
    const { identity } = this.#scope;
    return sealPacket(identity, headerOf(type, identity.hit, this.fields.peer.hit), parameters, { rhash: this.fields.rhash, key: this.#hip.out.integrity });
  }

  #send(bytes: Uint8Array): void {
    this.#scope.env.send(this.#reply?.path ?? this.#path, bytes.slice());
  }
}

function firstEspInfo(packet: HipPacket): EspInfo | null {
  const [found] = parametersOf(packet, PARAMETER.espInfo);
  return found === undefined ? null : decodeEspInfo(found.contents);
}
