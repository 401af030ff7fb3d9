/** One association with one peer: R2-SENT, ESTABLISHED, CLOSING, CLOSED (RFC 7401 §4.4), with its UPDATEs (§6.11, §6.12) and its end (§6.14, §6.15). */
import { hash } from "node:crypto";

import { sameBytes, toHex } from "@i3/common";

import { wipeKeys } from "../crypto/keymat.js";
import type { DhGroup, DhKeyPair } from "../crypto/diffie-hellman.js";
import type { EspKeys, EspSuite } from "../crypto/esp-suites.js";
import type { HipCipherSuite } from "../crypto/hip-cipher.js";
import type { Rhash } from "../crypto/rhash.js";
import type { HostKey } from "../identity/host-key.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import { parameter, parametersOf, type HipPacket } from "../wire/packet.js";
import { decodeDiffieHellman } from "../wire/parameters/diffie-hellman.js";
import { decodeEcho, encodeEcho } from "../wire/parameters/echo.js";
import { decodeEspInfo } from "../wire/parameters/esp-info.js";
import { decodeLocatorSet } from "../wire/parameters/locator-set.js";
import { decodeAck, decodeSeq, encodeAck, encodeSeq } from "../wire/parameters/sequence.js";
import type { ParameterContents } from "../wire/tlv.js";
import type { ExchangeKeys } from "./association-keys.js";
import type { ClosedEvent, HipRole } from "./events.js";
import { ALL_TRIES_MS, CLOSED_MS, MAX_TRIES, MIN_SPI, REKEY_AFTER_MS, REPEAT_MS, RETIRE_MS, RETRY_MS } from "./limits.js";
import { samePath, type HipPath } from "./paths.js";
import { halfParameters, newKeys, ownHalf, type Material, type OwnHalf, type PeerHalf } from "./rekey.js";
import { HipRefusal } from "./refusal.js";
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

/** Sent until it is answered. */
interface Outstanding {
  readonly id: number;
  readonly bytes: Uint8Array;
  tries: number;
  dueMs: number;
}

interface Rekey {
  readonly own: OwnHalf;
  readonly updateId: number;
  isAcked: boolean;
  /** Known as soon as the peer's half is. */
  done: { readonly peer: PeerHalf; readonly keysOut: EspKeys } | null;
}

const ECHO_BYTES = 16;
/** The responder begins a rekey later, so that usually only one of them does. */
const RESPONDER_PATIENCE = 1.1;

export const hashText = (bytes: Uint8Array): string => hash("sha256", bytes, "base64");

export class Association {
  readonly fields: AssociationFields;
  readonly sinceMs: number;
  readonly #scope: Scope;
  readonly #hip: ExchangeKeys["hip"];
  #path: HipPath;
  #material: Material;
  #spiIn: number;
  #spiOut: number;
  #state: AssociationState;
  #answered: Answered | null;
  #repeatedMs = Number.NEGATIVE_INFINITY;
  #nextUpdateId = 0;
  readonly #peerIds = new UpdateIds();
  #lastPeerId: number | null = null;
  #lastAnswer: Answered | null = null;
  #outstanding: Outstanding | null = null;
  #rekey: Rekey | null = null;
  #rekeyAtMs: number;
  #retiring: { readonly spiIn: number; readonly untilMs: number }[] = [];
  #closing: Outstanding | null = null;
  #echo: Uint8Array | null = null;
  #isTold = false;
  #isOver = false;
  #closedUntilMs = 0;

  constructor(scope: Scope, nowMs: number, fields: AssociationFields, first: FirstKeys) {
    this.#scope = scope;
    this.fields = fields;
    this.sinceMs = nowMs;
    this.#hip = first.keys.hip;
    this.#path = fields.path;
    this.#material = { keymat: first.keys.keymat, keyPair: this.#kept(first.keyPair), peerPublicValue: first.peerPublicValue };
    this.#spiIn = first.spiIn;
    this.#spiOut = first.spiOut;
    this.#answered = first.answered;
    this.#repeatedMs = nowMs;
    this.#state = first.answered === null ? "established" : "r2-sent";
    this.#rekeyAtMs = this.#nextRekeyMs(nowMs);
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

  get spis(): { readonly spiIn: number; readonly spiOut: number } {
    return { spiIn: this.#spiIn, spiOut: this.#spiOut };
  }

  get dueMs(): number | undefined {
    if (this.#state === "closed") return this.#closedUntilMs;
    if (this.#state === "closing") return this.#closing?.dueMs;
    return Math.min(
      this.#state === "r2-sent" ? this.sinceMs + ALL_TRIES_MS : Number.POSITIVE_INFINITY, this.#outstanding?.dueMs ?? Number.POSITIVE_INFINITY,
      this.#rekey === null ? this.#rekeyAtMs : Number.POSITIVE_INFINITY, this.#retiring[0]?.untilMs ?? Number.POSITIVE_INFINITY,
    );
  }

  tick(nowMs: number): void {
    if (this.#state === "closed") this.#isOver = nowMs >= this.#closedUntilMs;
    else if (this.#state === "closing") this.#tickClosing(nowMs);
    else {
      if (this.#state === "r2-sent" && nowMs >= this.sinceMs + ALL_TRIES_MS) this.#establish();
      this.#retire(nowMs);
      if (this.#outstanding !== null && nowMs >= this.#outstanding.dueMs) this.#sendAgain(nowMs, this.#outstanding);
      else if (nowMs >= this.#rekeyAtMs) this.rekey(nowMs);
    }
  }

  /** The I2 that made this association came again: the R2 goes out again, unless it just did. Whether it was that one. */
  answerAgain(nowMs: number, i2Hash: string): boolean {
    return this.#repeat(nowMs, this.#answered, i2Hash);
  }

  /** Begins a rekey, unless one is under way or the association is over. */
  rekey(nowMs: number): void {
    if (!this.isLive || this.#rekey !== null || this.#outstanding !== null) return;
    const own = ownHalf(this.#material, this.#scope.takeSpi(), null, this.#scope.env.rekeyWithDh ?? true, () => this.#scope.env.dhSource(this.fields.group));
    this.#rekey = { own, updateId: this.#nextUpdateId, isAcked: false, done: null };
    this.#sendHalf(nowMs, own);
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
    const isNews = this.#outstanding !== null && acked.includes(this.#outstanding.id);
    if (id === null && !isNews) throw new HipRefusal("unexpected", "ACK of nothing");
    if (id !== null && this.#peerIds.classify(id) !== "new" && !isNews) {
      this.#repeat(nowMs, this.#lastAnswer, String(id));
      throw new HipRefusal("replayed", `UPDATE ${id} again`);
    }
    checkSignature(packet, this.fields.peer);
    this.#follow(from);
    this.#establish();
    if (isNews) this.#handleAck(nowMs);
    if (id !== null && this.#peerIds.classify(id) === "new") this.#handleSeq(nowMs, packet, id);
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
    if (this.#state === "closed" && this.#repeat(nowMs, this.#lastAnswer, packetHash)) return;
    checkMac(packet, { rhash: this.fields.rhash, key: this.#hip.in.integrity });
    checkSignature(packet, this.fields.peer);
    const echo = decodeEcho(required(packet, PARAMETER.echoRequestSigned, "ECHO_REQUEST_SIGNED"));
    const answer = this.#seal(HIP_PACKET.closeAck, [{ type: PARAMETER.echoResponseSigned, contents: encodeEcho(echo) }]);
    this.#state = "closed";
    this.#closedUntilMs = nowMs + CLOSED_MS;
    this.#answer(nowMs, packetHash, answer);
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

  /** Wipes what belongs to the association, and gives back its SPIs; ESP keys are their receiver's. */
  forget(): void {
    wipeKeys(this.#hip);
    this.#material.keymat.wipe();
    for (const spi of [this.#spiIn, this.#rekey?.own.spiIn, ...this.#retiring.map(({ spiIn }) => spiIn)]) if (spi !== undefined) this.#scope.freeSpi(spi);
  }

  /** Its packet is genuine and new: it is where this one came from (RFC 9028 §4.10 keeps NATs open; one that was rebooted gives another port). Over i3 nobody is anywhere. */
  #follow(from: HipPath): void {
    if (from.kind === "i3" || this.#path.kind !== from.kind || samePath(from, this.#path)) return;
    this.#path = from;
    this.#scope.counters.moved++;
    this.#scope.emit({ kind: "moved", association: this.fields.id, path: from });
  }

  #handleAck(nowMs: number): void {
    const id = this.#outstanding?.id;
    this.#outstanding = null;
    if (this.#rekey === null || this.#rekey.updateId !== id) return;
    this.#rekey.isAcked = true;
    this.#finish(nowMs);
  }

  #handleSeq(nowMs: number, packet: HipPacket, id: number): void {
    const locators = parameter(packet, PARAMETER.locatorSet);
    if (locators !== undefined) decodeLocatorSet(locators.contents);
    const peer = this.#peerHalf(packet);
    const rekey = this.#rekey;
    if (peer !== null && rekey !== null && rekey.done !== null) throw new HipRefusal("unexpected", "a rekey before the last one is through");
    if (peer !== null && rekey !== null) this.#install(rekey, peer);
    const begun = peer !== null && rekey === null ? this.#answerHalf(peer) : null;

    // Nothing can go wrong from here on.
    if (locators !== undefined) this.#scope.counters.locatorSets++;
    this.#peerIds.add(id);
    this.#lastPeerId = id;
    if (begun !== null) this.#answer(nowMs, String(id), this.#sendHalf(nowMs, begun), true);
    else this.#answer(nowMs, String(id), this.#seal(HIP_PACKET.update, [{ type: PARAMETER.ack, contents: encodeAck([id]) }]));
    if (rekey !== null) this.#finish(nowMs);
  }

  /** What the peer says of new keys; null when the UPDATE is about something else. */
  #peerHalf(packet: HipPacket): PeerHalf | null {
    const [found] = parametersOf(packet, PARAMETER.espInfo);
    const info = found === undefined ? null : decodeEspInfo(found.contents);
    const dh = parameter(packet, PARAMETER.diffieHellman);
    if (info === null || info.newSpi === info.oldSpi) return null;
    if (info.oldSpi !== this.#spiOut || info.newSpi < MIN_SPI) throw new HipRefusal("spi", `SPI ${info.newSpi} in place of ${info.oldSpi}, where ${this.#spiOut} is in use`);
    if (dh === undefined) return { spiOut: info.newSpi, keymatIndex: info.keymatIndex, publicValue: null };
    const { group, publicValue } = decodeDiffieHellman(dh.contents);
    if (group !== this.fields.group) throw new HipRefusal("proposal", `group ${group} in a rekey, where ${this.fields.group} is in use`);
    if (info.keymatIndex !== 0) throw new HipRefusal("spi", `KEYMAT index ${info.keymatIndex} with a new Diffie-Hellman value`);
    return { spiOut: info.newSpi, keymatIndex: 0, publicValue };
  }

  /** Our half of a rekey that the peer began. */
  #answerHalf(peer: PeerHalf): OwnHalf {
    const spiIn = this.#scope.takeSpi();
    const own = ownHalf(this.#material, spiIn, peer, false, () => this.#scope.env.dhSource(this.fields.group));
    const rekey: Rekey = { own, updateId: this.#nextUpdateId, isAcked: false, done: null };
    try {
      this.#install(rekey, peer);
    } catch (refusal) {
      this.#scope.freeSpi(spiIn);
      throw refusal;
    }
    this.#rekey = rekey;
    return own;
  }

  /** Both halves are known: the peer may send with the new keys as soon as it has heard from us. */
  #install(rekey: Rekey, peer: PeerHalf): void {
    const { fields } = this;
    const terms = { rhash: fields.rhash, i: fields.i, j: fields.j, espSuite: fields.espSuite, ownHit: this.#scope.identity.hit, peerHit: fields.peer.hit };
    const { esp, material } = newKeys(this.#material, terms, rekey.own, peer);
    this.#material = { ...material, keyPair: this.#kept(material.keyPair) };
    rekey.done = { peer, keysOut: esp.out };
    this.#scope.emit({ kind: "inbound", association: fields.id, spiIn: rekey.own.spiIn, keysIn: esp.in });
  }

  /** The peer has its keys too, so we send with ours. */
  #finish(nowMs: number): void {
    if (this.#rekey === null || !this.#rekey.isAcked || this.#rekey.done === null) return;
    const { own, done } = this.#rekey;
    const [oldSpiIn, oldSpiOut] = [this.#spiIn, this.#spiOut];
    this.#rekey = null;
    this.#spiIn = own.spiIn;
    this.#spiOut = done.peer.spiOut;
    this.#retiring.push({ spiIn: oldSpiIn, untilMs: nowMs + RETIRE_MS });
    this.#rekeyAtMs = this.#nextRekeyMs(nowMs);
    this.#scope.counters.rekeyed++;
    this.#scope.emit({ kind: "rekeyed", association: this.fields.id, spiIn: own.spiIn, spiOut: done.peer.spiOut, keysOut: done.keysOut, oldSpiIn, oldSpiOut });
  }

  /** An UPDATE with our half, until it is ACKed. It ACKs the peer's last one too, in case that ACK was lost. */
  #sendHalf(nowMs: number, own: OwnHalf): Uint8Array {
    const { espInfo, dh } = halfParameters(own, this.#spiIn);
    const id = this.#nextUpdateId;
    this.#nextUpdateId = (id + 1) >>> 0;
    const bytes = this.#seal(HIP_PACKET.update, [
      espInfo, { type: PARAMETER.seq, contents: encodeSeq(id) },
      ...(this.#lastPeerId === null ? [] : [{ type: PARAMETER.ack, contents: encodeAck([this.#lastPeerId]) }]), ...dh,
    ]);
    this.#outstanding = { id, bytes, tries: 1, dueMs: nowMs + RETRY_MS };
    this.#send(bytes);
    return bytes;
  }

  #sendAgain(nowMs: number, outstanding: Outstanding): void {
    if (outstanding.tries >= MAX_TRIES) {
      this.#outstanding = null;
      this.close(nowMs, "silent", "the peer does not answer a rekey");
      return;
    }
    this.#repeatOutstanding(nowMs, outstanding);
  }

  #tickClosing(nowMs: number): void {
    if (this.#closing === null || nowMs < this.#closing.dueMs) return;
    if (this.#closing.tries >= MAX_TRIES) this.#isOver = true;
    else this.#repeatOutstanding(nowMs, this.#closing);
  }

  #repeatOutstanding(nowMs: number, outstanding: Outstanding): void {
    outstanding.dueMs = nowMs + RETRY_MS * 2 ** outstanding.tries;
    outstanding.tries++;
    this.#scope.counters.retransmitted++;
    this.#send(outstanding.bytes);
  }

  #retire(nowMs: number): void {
    for (let first = this.#retiring[0]; first !== undefined && nowMs >= first.untilMs; first = this.#retiring[0]) {
      this.#retiring.shift();
      this.#scope.freeSpi(first.spiIn);
      this.#scope.emit({ kind: "retired", association: this.fields.id, spiIn: first.spiIn });
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
    this.#scope.emit({ kind: "closed", association: id, peerHit: peer.hit, code, reason: `association with ${toHex(peer.hit)}: ${reason}` });
  }

  #answer(nowMs: number, key: string, answer: Uint8Array, isSent = false): void {
    this.#lastAnswer = { hash: key, answer, path: this.#path };
    this.#repeatedMs = nowMs;
    if (!isSent) this.#send(answer);
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
    this.#scope.env.send(this.#path, bytes.slice());
  }

  #kept(keyPair: DhKeyPair | null): DhKeyPair | null {
    return this.#scope.env.rekeyWithDh === false ? keyPair : null;
  }

  #nextRekeyMs(nowMs: number): number {
    const afterMs = this.#scope.env.rekeyAfterMs ?? REKEY_AFTER_MS;
    return nowMs + afterMs * (this.fields.role === "responder" ? RESPONDER_PATIENCE : 1);
  }
}

