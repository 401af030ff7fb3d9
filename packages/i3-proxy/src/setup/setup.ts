/**
 * The plain set-up between proxies (paper §4.3; docs/wire.md §6) and what it installs in the packet engine. The encrypted set-up
 * (docs/wire.md §9) will stand beside it: a mapping's state and its `install` stay, the messages change.
 *
 *     idle ──first packet──► calling ──CONFIRM or INIT──► open ──NOT_PRESENT──► calling …
 *                               └── nobody ──► refused ──1 s──► idle
 */
import { bytesKey, concatBytes, publicId, TokenBucket, WireError, type Log, type Security } from "@i3/common";
import { PAYLOAD_KIND, type AddressRewrite, type Datapath, type Upcall } from "@i3/datapath";
import type { HostIdentity } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import type { MappingTable } from "../mappings/mapping-table.js";
import { isPlain, type Mapping, type PeerSide } from "../mappings/mapping.js";
import { selectorOfPacket } from "../policy/packet-selector.js";
import { hasServices, isEnough, securityOf, STRENGTH, type PeerPolicy } from "../policy/policy.js";
import { largestRelayed } from "./esp-room.js";
import type { FlowWays } from "./flow-ways.js";
import { decodeSetup, encodeConfirm, encodeInit, isHostOf, splitSetup, type AddressPairs, type ConfirmFields, type InitFields, type SetupMessage } from "./messages.js";
import type { MappingLog } from "./mapping-log.js";
import { PeerPaths } from "./peer-paths.js";
import type { RingReach } from "./ring-reach.js";
import { absenceOf, patienceMs, peerText, REFUSED_MS, type Absence, type UnreachableLog } from "./unreachable.js";

// Ours:
const CALL_RETRY_MS = 400;
/** A mapping that was in use a moment ago survives a failure of servers on either side. */
const LIVING_AFTER_MS = 12_000;
const CONFIRM_AGAIN_MS = 100;
const MAX_EARLY_PACKETS = 8;
/** An ECDSA verification takes 0.2 ms: at most a tenth of a core goes into strangers' signatures. */
const PROOFS_PER_SECOND = 500;
const PROOF_BURST = 200;
const MAX_REMEMBERED_PROOFS = 512;
/** Of answers to our own calls, which nobody can forge who has not seen one; and our signatures on answers, one for each call that comes again. */
const CONFIRMS_PER_SECOND = 200;
const CONFIRM_BURST = 200;

const ZERO6 = new Uint8Array(16);

export interface SetupEnvironment {
  readonly identity: HostIdentity;
  readonly ownId: Uint8Array;
  readonly own4: Uint8Array;
  readonly datapath: Datapath;
  readonly client: I3Client;
  readonly mappings: MappingTable;
  readonly wallMs: () => number;
  readonly flows: FlowWays;
  /** Name of a peer in the address book, for the log and its policy; null for a stranger. */
  readonly nameOf: (hit: Uint8Array) => string | null;
  /** Policy of a peer (null: a stranger) that comes in cleartext; null: it may not. */
  readonly plainPolicyOf: (name: string | null) => PeerPolicy | null;
  /** The access list; of one who proves nothing the HIT is zero. */
  readonly admits: (hit: Uint8Array) => boolean;
  /** With whom nothing may begin at all. */
  readonly refuses: (peer: Pick<Mapping, "peerHit" | "peerId">) => boolean;
  /** Told whom the list has turned away; null: one who proves nothing. */
  readonly onRefused: (hit: Uint8Array | null) => void;
  /** Told that a program here calls whom an entry of the list refuses. */
  readonly onOwnRefused: (mapping: Mapping) => void;
  /** Told whose security the rules do not take; null: one who proves nothing. */
  readonly onUnwanted: (hit: Uint8Array | null, asked: Security) => void;
  /** Told of a packet in cleartext from a host whose packets need keys. */
  readonly onReadable: (mapping: Mapping, packet: Uint8Array) => void;
  /** Whether a peer gets a trigger of its own. */
  readonly ownTriggerFor: (name: string | null) => boolean;
  readonly onOwnTrigger: (mapping: Mapping) => void;
  /** Takes a mapping out of the engine and out of the table. */
  readonly drop: (mapping: Mapping) => void;
  /** While it is silent packets are refused, and what is open stays so. */
  readonly ring: Pick<RingReach, "isSilent" | "is6">;
  readonly log: Log;
  readonly mappingLog: MappingLog;
  readonly unreachableLog: UnreachableLog;
}

export interface SetupCounters {
  malformed: number;
  /** INIT with a counter that is not newer. */
  replayed: number;
  /** CONFIRM for nothing that we asked, or by somebody else. */
  unexpected: number;
  /** More signatures than we check in a second. */
  rate: number;
  mappingsFull: number;
  /** Packets in cleartext for an id that no mapping has, of a peer that has not said who it is, or beside keys that the peer wanted. */
  unconfirmed: number;
  /** Packets in cleartext for a host whose packets need keys. */
  tooLittleProtection: number;
  /** Callers whom the access list does not let in, or in cleartext where the rules want none. */
  refused: number;
}

export class Setup {
  readonly counters: SetupCounters = { malformed: 0, replayed: 0, unexpected: 0, rate: 0, mappingsFull: 0, unconfirmed: 0, tooLittleProtection: 0, refused: 0 };
  readonly #env: SetupEnvironment;
  readonly #paths: PeerPaths;
  readonly #proofs = new Map<string, Uint8Array | null>();
  readonly #proofBudget = new TokenBucket(PROOFS_PER_SECOND, PROOF_BURST);
  readonly #confirmsIn = new TokenBucket(CONFIRMS_PER_SECOND, CONFIRM_BURST);
  readonly #confirmsOut = new TokenBucket(CONFIRMS_PER_SECOND, CONFIRM_BURST);
  /** Mappings with a deadline. */
  readonly #timed = new Set<Mapping>();
  /** INIT of each calling mapping. */
  readonly #calls = new Map<Mapping, { readonly init: Uint8Array; readonly isLiving: boolean; absent: boolean }>();
  /** Its messages have room for a P-256 key only (docs/wire.md §6): another host neither calls nor answers. */
  readonly #isSpoken: boolean;
  #lastCounter = 0;

  constructor(environment: SetupEnvironment) {
    this.#env = environment;
    this.#paths = new PeerPaths(environment);
    this.#isSpoken = environment.identity.algorithm === "ecdsa-p256";
  }

  /** Programs the engine for a mapping as it is now. */
  install(mapping: Mapping): void {
    const header = this.#headerOf(mapping);
    // Behind the first packets only.
    const initBytes = mapping.state === "calling" ? (this.#calls.get(mapping)?.init.length ?? 0) : 0;
    this.#env.flows.install(mapping, (_, source) => {
      if (mapping.state === "refused" || (mapping.state === "open" && this.#env.ring.isSilent)) return { action: "refuse" };
      return header === null ? { action: "setup" } : { action: "tunnel", header, source, ...(this.#env.ring.is6 && { mtu: largestRelayed(header.length - initBytes, null) }) };
    });
    this.#env.datapath.setInbound(mapping.ownPrivateId, mapping.peer === null ? { action: "upcall" } : this.#inboundOf(mapping, mapping.peer));
  }

  /** A mapping of the journal: its peer's private id is tried as it was, unless our own address is another one now: then we must call again. */
  restore(mapping: Mapping, mustCall: boolean): void {
    this.#lastCounter = Math.max(this.#lastCounter, mapping.lastCallCounter);
    if (this.#env.refuses(mapping) || (!mapping.isOurs && !this.#admits(mapping))) mapping.peer = null;
    if (mapping.peer !== null && !this.#openPeer(mapping, mapping.peer)) mapping.peer = null;
    if (mapping.peer === null) mapping.isOurs = false;
    if (mapping.peer === null || (mustCall && mapping.peerId !== null)) mapping.state = "idle";
    this.install(mapping);
  }

  /** After a long silence: what arrives is still let in, and the next packet calls again. A peer that proved nothing cannot be called. */
  rest(mapping: Mapping): void {
    if (mapping.state !== "open" || mapping.peerId === null) return;
    mapping.state = "idle";
    this.install(mapping);
  }

  /** The access list has changed: whoever it allows no more is cut off, but for those whom we called and it does not refuse by an entry. */
  recheckAccess(nowMs: number): void {
    for (const mapping of [...this.#env.mappings.all()]) {
      if (!isPlain(mapping) || (mapping.peer === null && mapping.state !== "calling") || (this.#isOurs(mapping) && !this.#env.refuses(mapping)) || this.#admits(mapping)) continue;
      this.#env.mappingLog.ended(mapping);
      if (mapping.peerId === null) this.#env.drop(mapping);
      else this.#cutOff(nowMs, mapping);
    }
  }

  /** Takes a mapping out of the engine. */
  uninstall(mapping: Mapping): void {
    this.#env.flows.remove(mapping);
    this.#env.datapath.setInbound(mapping.ownPrivateId, null);
    this.#end(mapping);
  }

  /** HIP has it from now on. */
  giveAway(mapping: Mapping): void {
    this.#end(mapping);
    Object.assign(mapping, { peer: null, early: [], state: "idle" });
    this.install(mapping);
  }

  #end(mapping: Mapping): void {
    if (this.#calls.has(mapping)) this.#endCall(mapping);
    if (mapping.peer !== null) this.#paths.close(mapping, mapping.peer.privateId);
    this.#timed.delete(mapping);
    mapping.isOurs = false;
  }

  /** The first packet to a peer: INIT goes with it and with all that follow (paper §4.3 step 2). */
  call(nowMs: number, mapping: Mapping, firstPacket: Uint8Array | null): void {
    if (!this.#isSpoken || mapping.peerId === null || mapping.state === "calling") return;
    const isRefused = this.#env.refuses(mapping);
    if (isRefused) this.#env.onOwnRefused(mapping);
    if (isRefused || (!mapping.mayCall && !this.#admits(mapping))) return this.#endRefused(nowMs, mapping);
    if (!this.#env.client.openPath(mapping.peerId)) return;
    this.#lastCounter = Math.max(this.#lastCounter + 1, Math.floor(this.#env.wallMs()));
    const fields = { calleeId: mapping.peerId, callerPrivateId: mapping.ownPrivateId, counter: this.#lastCounter, ...this.#ownSide(mapping) };
    this.#calls.set(mapping, { init: encodeInit(fields, this.#env.identity), isLiving: mapping.state === "open", absent: false });
    mapping.state = "calling";
    mapping.callCounter = fields.counter;
    mapping.lastCallCounter = fields.counter;
    mapping.callStartedMs = nowMs;
    mapping.nextCallMs = nowMs + CALL_RETRY_MS;
    mapping.firstPacket = firstPacket;
    this.#timed.add(mapping);
    this.#env.mappings.changed(mapping);
    this.install(mapping);
  }

  /** A packet that the engine handed up: a set-up message, or data before its CONFIRM. */
  handlePayload(nowMs: number, upcall: Extract<Upcall, { kind: "payload" }>): void {
    if (upcall.payloadKind === PAYLOAD_KIND.ipPacket) return this.#keepEarly(nowMs, upcall);
    if (upcall.payloadKind !== PAYLOAD_KIND.setUp) return;
    if (!this.#isSpoken) {
      this.counters.unexpected += 1;
      return;
    }
    try {
      const { message, rest } = splitSetup(upcall.payload);
      const decoded = decodeSetup(message);
      if (decoded.type === "INIT") this.#handleInit(nowMs, upcall.id, message, decoded, rest);
      else this.#handleConfirm(nowMs, upcall.id, decoded);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.counters.malformed += 1;
    }
  }

  /** The responsible server has no trigger for an id that a mapping sends to. */
  handleNotPresent(nowMs: number, id: Uint8Array): void {
    const called = this.#env.mappings.byPeer(id);
    const call = called === undefined ? undefined : this.#calls.get(called);
    if (call !== undefined) {
      call.absent = true;
      return;
    }
    for (const open of this.#paths.mappingsOf(id)) {
      this.#env.log("info", "peer-absent", { peer: peerText(open) });
      if (open.peerId === null) continue;
      this.call(nowMs, open, null);
      this.#sendInit(open);
    }
  }

  /** The header of a path has changed. */
  handlePathChanged(id: Uint8Array): void {
    const called = this.#env.mappings.byPeer(id);
    for (const mapping of called === undefined ? this.#paths.mappingsOf(id) : [called]) if (isPlain(mapping)) this.install(mapping);
  }

  handleTimer(nowMs: number): void {
    for (const mapping of this.#timed) {
      if (mapping.state === "calling" && mapping.nextCallMs <= nowMs) this.#callAgain(nowMs, mapping);
      else if (mapping.state === "refused" && mapping.refusedUntilMs <= nowMs) this.#endRefusal(mapping);
    }
  }

  nextDeadlineMs(): number {
    let deadline = Infinity;
    for (const mapping of this.#timed) deadline = Math.min(deadline, mapping.state === "refused" ? mapping.refusedUntilMs : mapping.nextCallMs);
    return deadline;
  }

  #callAgain(nowMs: number, mapping: Mapping): void {
    const waitedMs = nowMs - mapping.callStartedMs;
    const call = this.#calls.get(mapping);
    const absence = absenceOf(call?.absent === true, this.#env.client);
    const limitMs = call?.isLiving === true ? LIVING_AFTER_MS : patienceMs(absence !== null);
    if (waitedMs >= limitMs) return this.#refuse(nowMs, mapping, absence);
    mapping.nextCallMs = nowMs + Math.min(CALL_RETRY_MS, Math.max(limitMs - waitedMs, 1));
    this.#sendInit(mapping);
  }

  #sendInit(mapping: Mapping): void {
    const call = this.#calls.get(mapping);
    if (call !== undefined && mapping.peerId !== null) this.#sendTo(mapping.peerId, call.init);
  }

  #sendTo(id: Uint8Array, message: Uint8Array): void {
    const { client, datapath } = this.#env;
    const locator = client.serverOfPath(id);
    if (locator !== null) datapath.send([{ locator, bytes: concatBytes(client.pathHeader(id, PAYLOAD_KIND.setUp), message) }]);
  }

  /** Nobody answers: programs hear it, at once for the packet that began the call. */
  #refuse(nowMs: number, mapping: Mapping, absence: Absence): void {
    this.#env.unreachableLog.givenUp(mapping, { absence });
    const packet = mapping.firstPacket;
    this.#endCall(mapping);
    this.#endRefused(nowMs, mapping);
    if (packet !== null) this.#env.datapath.submit([packet]);
  }

  #endRefused(nowMs: number, mapping: Mapping): void {
    mapping.state = "refused";
    mapping.refusedUntilMs = nowMs + REFUSED_MS;
    this.#timed.add(mapping);
    this.install(mapping);
  }

  #cutOff(nowMs: number, mapping: Mapping): void {
    if (mapping.state === "calling") this.#endCall(mapping);
    if (mapping.peer !== null) this.#paths.close(mapping, mapping.peer.privateId);
    Object.assign(mapping, { peer: null, isOurs: false, mayCall: false, early: [] });
    this.#env.mappings.changed(mapping);
    this.#endRefused(nowMs, mapping);
  }

  #isOurs(mapping: Mapping): boolean {
    return mapping.isOurs || (mapping.state === "calling" && mapping.mayCall);
  }

  #admits({ peerHit }: Mapping): boolean {
    return this.#env.admits(peerHit ?? ZERO6);
  }

  #endRefusal(mapping: Mapping): void {
    mapping.state = "idle";
    this.#timed.delete(mapping);
    this.install(mapping);
  }

  #endCall(mapping: Mapping): void {
    this.#calls.delete(mapping);
    this.#timed.delete(mapping);
    mapping.firstPacket = null;
    mapping.callCounter = 0;
    mapping.nextCallMs = Infinity;
    if (mapping.peerId !== null) this.#env.client.closePath(mapping.peerId);
  }

  #handleInit(nowMs: number, id: Uint8Array, message: Uint8Array, init: Extract<SetupMessage, { type: "INIT" }>, packet: Uint8Array): void {
    if (bytesKey(id) !== bytesKey(this.#env.ownId) || bytesKey(init.calleeId) !== bytesKey(this.#env.ownId)) {
      this.counters.malformed += 1;
      return;
    }
    const hit = this.#prove(nowMs, message, init);
    if (hit === undefined) return;
    const mapping = this.#mappingForCaller(hit, init);
    if (mapping === null) return;
    if (hit !== null && !this.#acceptCounter(mapping, init)) return;
    const isNewer = hit !== null && init.counter > mapping.peerCounter;
    if (mapping.peer === null || isNewer) {
      const isOpen = this.#open(mapping, "responder", { privateId: init.callerPrivateId, ...addressesOfMessage(init) }, hit === null ? 0 : init.counter);
      if (!isOpen) return this.#forgetUnused(mapping);
    }
    this.#confirm(nowMs, mapping, init);
    if (packet.length > 0) this.#env.datapath.deliver(mapping.ownPrivateId, [packet]);
  }

  /** HIT of the caller, null when unproved, undefined when it is not checked now. */
  #prove(nowMs: number, message: Uint8Array, decoded: SetupMessage): Uint8Array | null | undefined {
    const key = bytesKey(message);
    const known = this.#proofs.get(key);
    if (known !== undefined) return known;
    if (!this.#proofBudget.take(nowMs)) {
      this.counters.rate += 1;
      return undefined;
    }
    const hit = decoded.prove();
    if (this.#proofs.size >= MAX_REMEMBERED_PROOFS) this.#proofs.delete(this.#proofs.keys().next().value as string);
    this.#proofs.set(key, hit);
    return hit;
  }

  #mappingForCaller(hit: Uint8Array | null, init: InitFields): Mapping | null {
    const { mappings, nameOf, ownTriggerFor } = this.#env;
    const peerId = hit === null ? null : publicId(hit);
    if (peerId !== null && bytesKey(peerId) === bytesKey(this.#env.ownId)) return null;
    const old = peerId === null ? mappings.byUnproved(init.callerPrivateId) : mappings.byPeer(peerId);
    const isAsked = old === undefined || !this.#isOurs(old) || (hit !== null && this.#env.refuses({ peerHit: hit, peerId }));
    if (isAsked && !this.#env.admits(hit ?? ZERO6)) {
      this.#env.onRefused(hit);
      return this.#refuseCaller();
    }
    if (old !== undefined) {
      if (!isPlain(old)) return this.#refusePlain(hit);
      if (hit !== null) mappings.learnHit(old, hit);
      return old;
    }
    const name = hit === null ? null : nameOf(hit);
    const policy = this.#env.plainPolicyOf(name);
    if (policy === null) return this.#refusePlain(hit);
    const mapping = mappings.create(this.#env.wallMs(), {
      peerId, peerHit: hit, privateId: init.callerPrivateId, name, ownTrigger: hit !== null && ownTriggerFor(name), wanted: name !== null, policy,
    });
    if (mapping === null) this.counters.mappingsFull += 1;
    else if (mapping.ownKey !== null) this.#env.onOwnTrigger(mapping);
    return mapping;
  }

  /** Not on the access list; or in cleartext where the rules want more. */
  #refuseCaller(): null {
    this.counters.refused += 1;
    return null;
  }

  #refusePlain(hit: Uint8Array | null): null {
    this.#env.onUnwanted(hit, "none");
    return this.#refuseCaller();
  }

  /** Only a newer counter changes a living mapping; an equal one is the same INIT again. */
  #acceptCounter(mapping: Mapping, init: InitFields): boolean {
    if (init.counter > mapping.peerCounter) return true;
    const isSame = init.counter === mapping.peerCounter && mapping.peer !== null && bytesKey(mapping.peer.privateId) === bytesKey(init.callerPrivateId);
    if (!isSame) this.counters.replayed += 1;
    return isSame;
  }

  #confirm(nowMs: number, mapping: Mapping, init: InitFields): void {
    const last = mapping.confirmedMs;
    if (mapping.peer === null || (last !== null && nowMs - last < CONFIRM_AGAIN_MS)) return;
    if (!this.#confirmsOut.take(nowMs)) {
      this.counters.rate += 1;
      return;
    }
    mapping.confirmedMs = nowMs;
    const fields: ConfirmFields = {
      callerId: mapping.peerId ?? new Uint8Array(32), callerPrivateId: mapping.peer.privateId, calleePrivateId: mapping.ownPrivateId,
      counter: init.counter, ...this.#ownSide(mapping),
    };
    this.#sendTo(mapping.peer.privateId, encodeConfirm(fields, this.#env.identity));
  }

  #handleConfirm(nowMs: number, id: Uint8Array, confirm: Extract<SetupMessage, { type: "CONFIRM" }>): void {
    const mapping = this.#env.mappings.byPrivateId(id);
    const isAwaited = mapping !== undefined && isPlain(mapping) && mapping.state === "calling" && mapping.peerId !== null && confirm.counter === mapping.callCounter
      && bytesKey(confirm.callerId) === bytesKey(this.#env.ownId) && bytesKey(confirm.callerPrivateId) === bytesKey(mapping.ownPrivateId);
    if (isAwaited && !this.#confirmsIn.take(nowMs)) {
      this.counters.rate += 1;
      return;
    }
    const hit = isAwaited ? confirm.prove() : null;
    if (mapping === undefined || mapping.peerId === null || !isHostOf(hit, mapping.peerId)) {
      this.counters.unexpected += 1;
      return;
    }
    this.#env.mappings.learnHit(mapping, hit as Uint8Array);
    if (this.#env.refuses(mapping)) return this.#cutOff(nowMs, mapping);
    this.#open(mapping, "initiator", { privateId: confirm.calleePrivateId, ...addressesOfMessage(confirm) }, mapping.peerCounter);
  }

  /** Both private ids are known: packets go to the peer's from now on. False, and nothing is changed, when the id cannot be used. */
  #open(mapping: Mapping, role: "initiator" | "responder", peer: PeerSide, peerCounter: number): boolean {
    const { datapath, mappings } = this.#env;
    const old = mapping.peer;
    if (!this.#openPeer(mapping, peer)) return false;
    if (old !== null && bytesKey(old.privateId) !== bytesKey(peer.privateId)) this.#paths.close(mapping, old.privateId);
    if (old === null) {
      mapping.isOurs = this.#isOurs(mapping);
      mapping.mayCall = mapping.isOurs;
    }
    if (mapping.state === "calling") this.#endCall(mapping);
    mapping.peer = peer;
    mapping.peerCounter = peerCounter;
    mapping.state = "open";
    this.#timed.delete(mapping);
    this.install(mapping);
    datapath.release(mapping.local4);
    if (mapping.local6 !== null) datapath.release(mapping.local6);
    if (mapping.early.length > 0) datapath.deliver(mapping.ownPrivateId, mapping.early.splice(0));
    mappings.changed(mapping);
    this.#env.mappingLog.opened(mapping, { security: "none", role, proved: mapping.peerId !== null });
    return true;
  }

  /** A mapping that was made for a caller whose INIT then could not be used. */
  #forgetUnused(mapping: Mapping): void {
    if (mapping.peer !== null || !mapping.isStranger) return;
    this.uninstall(mapping);
    this.#env.mappings.remove(mapping);
  }

  /** False when the private id cannot be used. */
  #openPeer(mapping: Mapping, peer: PeerSide): boolean {
    const isOpen = this.#paths.open(mapping, peer.privateId);
    if (!isOpen) this.counters.mappingsFull += 1;
    return isOpen;
  }

  /** A peer that we have cut off, and that is let in again, cannot know: we call it. */
  #keepEarly(nowMs: number, upcall: Extract<Upcall, { kind: "payload" }>): void {
    const mapping = this.#env.mappings.byPrivateId(upcall.id);
    if (mapping === undefined) {
      this.counters.unconfirmed += 1;
      return;
    }
    if (!isPlain(mapping)) return this.#countReadable(mapping, upcall.payload);
    if (mapping.peer === null && mapping.state === "idle" && this.#admits(mapping)) this.call(nowMs, mapping, null);
    const isAwaited = mapping.peer !== null || (mapping.state === "calling" && mapping.early.length < MAX_EARLY_PACKETS);
    if (!isAwaited) this.counters.unconfirmed += 1;
    else if (mapping.peer !== null) this.#env.datapath.deliver(mapping.ownPrivateId, [upcall.payload]);
    else mapping.early.push(upcall.payload);
  }

  /** What comes in cleartext from a host that has keys, or needs them: too little, unless the rules take it so at another time. */
  #countReadable(mapping: Mapping, packet: Uint8Array): void {
    const selector = selectorOfPacket(packet);
    if (selector !== null && isEnough("none", securityOf(mapping.policy, selector))) {
      this.counters.unconfirmed += 1;
      return;
    }
    this.counters.tooLittleProtection += 1;
    this.#env.onReadable(mapping, packet);
  }

  #ownSide(mapping: Mapping): AddressPairs {
    return { own4: this.#env.own4, peer4: mapping.local4, own6: this.#env.identity.hit, peer6: mapping.local6 ?? ZERO6 };
  }

  /** Null: nothing to send with yet, the first packet starts a call. */
  #headerOf(mapping: Mapping): Uint8Array | null {
    const { client } = this.#env;
    const call = this.#calls.get(mapping);
    if (mapping.state === "calling" && call !== undefined && mapping.peerId !== null) {
      return concatBytes(client.pathHeader(mapping.peerId, PAYLOAD_KIND.setUp), call.init);
    }
    return mapping.state === "open" ? this.#paths.headerOf(mapping, PAYLOAD_KIND.ipPacket) : null;
  }

  #inboundOf(mapping: Mapping, peer: PeerSide): Parameters<Datapath["setInbound"]>[1] {
    const { own4, identity } = this.#env;
    const pair = (from: Uint8Array, to: Uint8Array): AddressRewrite => ({ from, to });
    // A peer that called us by id, before it knew our HIT, had no IPv6 address for us; it takes the HIT.
    const peer6 = bytesKey(peer.peer6) === bytesKey(ZERO6) ? identity.hit : peer.peer6;
    return {
      action: "tun", ...(hasServices(mapping.policy) ? { strength: STRENGTH.none } : {}), flow: mapping.local4, source4: pair(peer.own4, mapping.local4), destination4: pair(peer.peer4, own4),
      source6: mapping.local6 === null ? null : pair(peer.own6, mapping.local6), destination6: mapping.local6 === null ? null : pair(peer6, identity.hit),
    };
  }
}

const addressesOfMessage = ({ own4, peer4, own6, peer6 }: AddressPairs): AddressPairs => ({ own4, peer4, own6, peer6 });
