/**
 * The encrypted set-up (architecture §6.2, §6.3): HIP base exchanges between mappings' hosts, and what they install in the packet engine.
 *
 *     idle ──first packet──► calling ──established──► open ──fresh exchange──► open
 *                               └── nobody, or failed ──► refused ──1 s──► idle
 *
 * Programs' packets wait in the engine while the exchange runs. A fresh exchange never takes the working keys away before it has succeeded.
 */
import { inRange, sameBytes } from "@i3/common";
import { MAX_SPI, MIN_SPI, type Strength, type Upcall } from "@i3/datapath";
import {
  ESP_SUITE, HIP_PACKET, HipHost, isReadableSuite, pathText, wipeEventKeys, type EstablishedEvent, type FailedEvent, type HipEvent, type R1Responder,
} from "@i3/hip";

import { isPlain, type Mapping } from "../mappings/mapping.js";
import { hasServices, STRENGTH, strengthsOf } from "../policy/policy.js";
import { HipAccess } from "./hip-access.js";
import { HipCalls } from "./hip-calls.js";
import type { HipSetupEnvironment } from "./hip-environment.js";
import { addressCalled, newLink, type Link } from "./hip-link.js";
import { HipLoad } from "./hip-load.js";
import { sendHip } from "./hip-output.js";
import { hipReport, type HipReport } from "./hip-report.js";
import { HipWays, secondName } from "./hip-ways.js";
import { HipPeers } from "./hip-peers.js";
import { KnownPeers } from "./known-peers.js";
import { NamedCalls } from "./named-calls.js";
import { PeerPaths } from "./peer-paths.js";
import { locatorOf, pathOf } from "./hip-paths.js";
import { suitesOf } from "./policy-suites.js";
import { SecondPairs } from "./second-pairs.js";
import { StraightWays } from "./straight-ways.js";
import { absenceOf, patienceMs, peerText, REFUSED_MS, type Absence } from "./unreachable.js";

// Ours:
/** We send and hear nothing: the peer may have lost its keys, or moved. */
const UNHEARD_MS = 6_000;
/**
 * Who answered a call sends nothing for so long after R2, unless something was heard before: packets would overtake the caller's work on R2, and be lost. Three
 * times what that work takes on a slow machine.
 */
const SETTLE_MS = 50;
/** Fresh exchanges with one peer begin at most this often. */
const RENEW_EVERY_MS = 10_000;
/** Mappings of the journal whose keys are made anew at the start, those used last first; the others when they are used. */
const MAX_RENEWED_AT_START = 64;

export class HipSetup {
  readonly hip: HipHost;
  readonly #env: HipSetupEnvironment;
  readonly #paths: PeerPaths;
  readonly #ways: HipWays;
  readonly #load: HipLoad;
  readonly straight: StraightWays;
  readonly #links = new Map<Mapping, Link>();
  readonly #byAssociation = new Map<number, Mapping>();
  readonly #timed = new Set<Mapping>();
  readonly #second: SecondPairs;
  readonly #named: NamedCalls;
  readonly #calls: HipCalls;
  readonly #access: HipAccess;
  readonly #peers: HipPeers;
  readonly #known: KnownPeers;
  #toRenew: Mapping[] = [];
  #isLeaving = false;
  #nowMs: number;

  /** I3Error ERR_I3_HIP_IDENTITY when this identity is too long for i3. */
  constructor(environment: HipSetupEnvironment, nowMs: number) {
    this.#env = environment;
    this.#paths = new PeerPaths(environment);
    this.straight = new StraightWays({ ...environment, hip: () => this.hip, mappingOf: (association) => this.#byAssociation.get(association), install: (mapping) => this.install(mapping) });
    this.#ways = new HipWays({ ...environment, paths: this.#paths, choice: (association) => this.straight.choice(association) });
    this.#named = new NamedCalls(environment, this.#links);
    this.#access = new HipAccess(environment, this.#links);
    this.#peers = new HipPeers({ ...environment, paths: this.#paths, calls: this.#named, nowMs: () => this.#nowMs });
    this.#known = new KnownPeers(environment.datapath, () => this.#nowMs);
    this.#nowMs = nowMs;
    const { identity, ownId, randomBytes, dhSource, rekeyAfterMs, wallMs, log } = environment;
    this.hip = new HipHost({
      identity, ownPublicId: ownId, random: randomBytes, dhSource, rekeyAfterMs, r1Generation: firstGeneration(wallMs(), environment.leastGeneration), admits: (hit) => this.#access.admits(hit), isOpen: (id) => environment.openIds.some((open) => sameBytes(open, id)), onRefused: environment.onRefused, onUnwanted: (hit, suite) => environment.onUnwanted(hit, isReadableSuite(suite) ? "auth" : "esp"), log,
      send: (path, packet) => sendHip(environment, path, packet), newSpi: () => this.#newSpi(), onEvent: (event) => this.#handleEvent(event),
      isOverlay: (address) => inRange(environment.range, address), espSuitesFor: (hit, call) => suitesOf(this.#peers.policyOf(hit, call)), offerFor: (hit, call) => this.#peers.offerFor(hit, call), accepts: (call, hit) => this.#named.accepts(call, hit),
    }, nowMs);
    this.#calls = new HipCalls({ ...environment, hip: this.hip, named: this.#named, known: this.#known, linkOf: (atMs, mapping) => this.#linkOf(atMs, mapping) });
    this.#second = new SecondPairs({ hip: this.hip, links: this.#links, install: (mapping) => this.install(mapping), log });
    this.#load = new HipLoad(this.hip, environment.datapath, environment.mappings);
    environment.keepGeneration(this.hip.generation);
    this.#setResponder(this.hip.responder);
  }

  get counters(): HipHost["counters"] {
    return this.hip.counters;
  }

  /** Programs the engine for a mapping as it is now. */
  install(mapping: Mapping): void {
    this.#ways.install(mapping, this.#links.get(mapping));
  }

  /** A mapping of the journal: its addresses are as they were, its keys are gone. */
  restore(mapping: Mapping): void {
    mapping.state = "idle";
    this.install(mapping);
    if (mapping.peerHit === null) return;
    this.#toRenew.push(mapping);
    if (this.#needsRing(mapping)) this.#env.returnIds.fill();
  }

  /** Takes a mapping out of the engine. */
  uninstall(nowMs: number, mapping: Mapping): void {
    const link = this.#links.get(mapping);
    if (link !== undefined) {
      if (link.association !== null) this.hip.close(nowMs, link.association);
      this.#forgetLink(mapping, link);
    }
    this.#timed.delete(mapping);
    this.#second.forget(mapping);
    // Behind the end of its association, of which the event installs flows that ask for another one.
    this.#ways.uninstall(mapping);
  }

  /** Another set-up has a mapping that had keys once. */
  letGo(mapping: Mapping): void {
    this.#timed.delete(mapping);
  }

  /** A mapping's policy has changed: what it has goes on as far as it is wanted. */
  handlePolicy(nowMs: number, mapping: Mapping): void {
    this.#nowMs = nowMs;
    const link = this.#links.get(mapping);
    if (link === undefined || link.association === null) return this.install(mapping);
    const wanted = strengthsOf(mapping.policy);
    // Without services the engine does not ask by which of two pairs a packet came.
    const isUseless = !wanted.includes(link.strength) || (link.second !== "none" && !hasServices(mapping.policy));
    if (isUseless) return this.#end(nowMs, mapping, link);
    if (link.second === "refused") link.second = "none";
    link.isRefusalTold = false;
    if (!mapping.policy.shortcut) this.straight.close(nowMs, link.association, false);
    this.install(mapping);
  }

  /** A program's packet waits in the engine, on the way of a strength, or keys are wanted before one does: null. */
  call(nowMs: number, mapping: Mapping, strength: Strength | null): void {
    this.#nowMs = nowMs;
    if (strength === STRENGTH.auth || strength === STRENGTH.esp) this.#linkOf(nowMs, mapping).wanted.add(strength);
    if (mapping.state === "open") {
      this.#activateWhenHeard(mapping);
      this.#second.addWanted(this.#nowMs, mapping);
      return;
    }
    if (mapping.state !== "idle") return;
    if (this.#isLeaving) return this.#refuse(nowMs, mapping);
    const link = this.#links.get(mapping);
    if (link !== undefined) link.wrongKey = null;
    if (!this.#access.mayCall(mapping)) return this.#refuse(nowMs, mapping);
    if (!this.#calls.connect(nowMs, mapping)) return;
    mapping.state = "calling";
    mapping.callStartedMs = nowMs;
    this.#timed.add(mapping);
    this.install(mapping);
  }

  /** A HIP packet that the engine handed up. */
  handleUpcall(nowMs: number, upcall: Extract<Upcall, { kind: "payload" | "hip" }>): void {
    this.#nowMs = nowMs;
    const bytes = upcall.kind === "hip" ? upcall.bytes : upcall.payload;
    if (this.#isLeaving && !isOfEnd(bytes)) return;
    this.hip.handle(nowMs, bytes, upcall.kind === "hip" ? pathOf(upcall.from) : { kind: "i3", id: upcall.id });
  }

  /**
   * This host goes: nothing is begun or answered from now on, and at most so many peers are told, those that were spoken with last first. To be called again until all know.
   * @returns peers that are not told yet, or have not answered
   */
  leave(nowMs: number, most: number): number {
    this.#nowMs = nowMs;
    this.#isLeaving = true;
    this.#toRenew = [];
    const open = [...this.#links].filter(([, { association }]) => association !== null).sort(([a], [b]) => b.lastUseMs - a.lastUseMs);
    for (const [mapping, link] of open.slice(0, most)) this.#end(nowMs, mapping, link);
    return Math.max(0, open.length - most) + this.hip.closing;
  }

  /** The responsible server has no trigger for an id that a mapping sends to. */
  handleNotPresent(nowMs: number, id: Uint8Array): void {
    const called = this.#env.mappings.byPeer(id);
    const users = called === undefined ? this.#paths.mappingsOf(id) : [called];
    const caller = users.length === 0 ? this.#named.callerOf(id) : undefined;
    for (const mapping of caller === undefined ? users : [caller]) this.#handleAbsence(nowMs, mapping, id);
  }

  #handleAbsence(nowMs: number, mapping: Mapping, id: Uint8Array): void {
    const link = this.#links.get(mapping);
    if (link === undefined) return;
    if (this.#calls.askWhoHasTheName(nowMs, mapping, link, id)) return;
    if (mapping.state === "calling" || link.call !== null) link.absent = true;
    else this.#renew(nowMs, mapping, "its id is gone from the ring");
    if (link.renewalDueMs < Infinity) link.renewalDueMs = Math.min(link.renewalDueMs, this.#patienceEndsMs(mapping));
  }

  /** The header of a path has changed. */
  handlePathChanged(id: Uint8Array): void {
    for (const mapping of this.#paths.mappingsOf(id)) this.install(mapping);
  }

  /** This host has other places than before: peers past i3 are told, and those without i3 hear from the new one (RFC 8046). */
  handlePlaces(nowMs: number): void {
    this.#nowMs = nowMs;
    this.straight.handlePlaces(nowMs);
    for (const [mapping, link] of this.#links) {
      const path = link.association === null || link.locator === null ? null : this.hip.readdress(nowMs, link.association);
      if (path === null) continue;
      Object.assign(link, { locator: locatorOf(path), moving: null });
      this.install(mapping);
    }
  }

  /** Whether a mapping's packets are heard of; called now and then for each. */
  watch(nowMs: number, mapping: Mapping): void {
    const link = this.#links.get(mapping);
    if (link === undefined || mapping.state !== "open") return;
    // Another host has the name: that must not keep us from asking for the right one again.
    if (link.wrongKey !== null && link.call?.hit === null) {
      this.hip.abandon(link.call);
      this.#calls.end(link);
    }
    const { sent, heard } = this.#ways.traffic(mapping);
    if (heard !== link.heard || sent === link.sent) link.heardMs = nowMs;
    if (link.association !== null) this.straight.watch(nowMs, link.association, heard !== link.heard || sent !== link.sent);
    link.heard = heard;
    link.sent = sent;
    if (link.association !== null && this.#ways.isWornOut(link)) this.hip.rekey(nowMs, link.association);
    if (nowMs - link.heardMs >= UNHEARD_MS) this.#renew(nowMs, mapping, "nothing is heard of it");
  }

  /** For people; null: there is no association. */
  report(nowMs: number, mapping: Mapping): HipReport | null {
    return hipReport(nowMs, this.#links.get(mapping), this.straight);
  }

  /** The access list has changed: whoever it allows no more is cut off, but for those whom we called and it does not refuse by an entry. */
  recheckAccess(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [mapping, link] of [...this.#links]) {
      const isIdle = link.association === null && link.call === null;
      if (isIdle || mapping.peerHit === null || this.#access.admits(mapping.peerHit)) continue;
      this.#env.mappingLog.ended(mapping);
      mapping.mayCall = false;
      this.#env.mappings.changed(mapping);
      this.#end(nowMs, mapping, link);
      this.#refuse(nowMs, mapping);
    }
  }

  handleTimer(nowMs: number): void {
    this.#nowMs = nowMs;
    this.hip.tick(nowMs);
    for (const mapping of this.#timed) {
      const dueMs = this.#links.get(mapping)?.activeFromMs ?? null;
      if (dueMs !== null && dueMs <= nowMs) this.#activate(mapping);
    }
    this.#ways.handleTimer(nowMs);
    this.#known.handleTimer(nowMs);
    for (const mapping of this.#timed) {
      if (mapping.state === "refused" && mapping.refusedUntilMs <= nowMs) this.#endRefusal(mapping);
      else if (!isTimed(mapping)) this.#timed.delete(mapping);
      else if (mapping.state === "calling" && this.#patienceEndsMs(mapping) <= nowMs) this.#giveUp(nowMs, mapping);
      else if (mapping.state === "open") this.#checkRenewal(nowMs, mapping);
    }
    this.#second.handleTimer(nowMs);
    this.straight.handleTimer(nowMs);
    this.#renewRestored(nowMs);
    this.#load.tell(nowMs);
  }

  nextDeadlineMs(): number {
    let deadline = Math.min(this.hip.nextDeadlineMs() ?? Infinity, this.#load.dueMs, this.#ways.dueMs, this.#known.dueMs);
    for (const mapping of this.#timed) deadline = Math.min(deadline, this.#dueMs(mapping));
    deadline = Math.min(deadline, this.#second.nextDeadlineMs(), this.straight.nextDeadlineMs());
    return deadline;
  }

  #setResponder(responder: R1Responder | null): void {
    const { datapath, openIds } = this.#env;
    datapath.setHipResponder(responder === null ? null : { ...responder, openIds });
  }

  #dueMs(mapping: Mapping): number {
    if (mapping.state === "refused") return mapping.refusedUntilMs;
    if (!isTimed(mapping)) return Infinity;
    const link = this.#links.get(mapping);
    return mapping.state === "open" ? Math.min(link?.activeFromMs ?? Infinity, link?.renewalDueMs ?? Infinity) : this.#patienceEndsMs(mapping);
  }

  /** The caller has its keys: it has sent with them. */
  #activateWhenHeard(mapping: Mapping): void {
    const link = this.#links.get(mapping);
    if (link !== undefined && link.activeFromMs !== null && this.#ways.traffic(mapping).heard > link.heardBefore) this.#activate(mapping);
  }

  #activate(mapping: Mapping): void {
    const link = this.#links.get(mapping);
    if (link === undefined) return;
    link.activeFromMs = null;
    this.#timed.delete(mapping);
    this.install(mapping);
    this.#second.addWanted(this.#nowMs, mapping);
  }

  /** The ring says that nobody has the id, or there is no ring, where it is needed. */
  #absenceOf(mapping: Mapping): Absence {
    const link = this.#links.get(mapping);
    return addressCalled(link) !== null ? null : absenceOf(link?.absent === true, this.#env.client);
  }

  #patienceEndsMs(mapping: Mapping): number {
    const hasWrongKey = typeof this.#links.get(mapping)?.wrongKey === "string";
    const link = this.#links.get(mapping);
    const startedMs = mapping.state === "open" ? (link?.startedMs ?? Infinity) : mapping.callStartedMs;
    // Who has answered once is there: its puzzle may be hard, and its answer to the solution takes its time.
    const waitsSinceMs = link === undefined || link.call === null ? startedMs : (this.hip.waitsSinceMs(link.call) ?? startedMs);
    return Math.max(startedMs, waitsSinceMs) + patienceMs(hasWrongKey || this.#absenceOf(mapping) !== null);
  }

  /** A fresh exchange beside the keys that are in use. */
  #renew(nowMs: number, mapping: Mapping, why: string): void {
    const link = this.#linkOf(nowMs, mapping);
    if (link.call !== null || nowMs - link.startedMs < RENEW_EVERY_MS) return;
    this.#env.log("info", "fresh-exchange", { peer: peerText(mapping), why });
    link.heardMs = nowMs;
    if (!this.#calls.connect(nowMs, mapping)) return;
    Object.assign(link, { renewalDueMs: this.#patienceEndsMs(mapping), heardAtRenewal: this.#ways.traffic(mapping).heard });
    this.#timed.add(mapping);
  }

  /** A fresh exchange that nobody has answered in time: unless the old keys have brought something meanwhile, the peer is gone. */
  #checkRenewal(nowMs: number, mapping: Mapping): void {
    const link = this.#links.get(mapping);
    if (link === undefined || link.renewalDueMs > nowMs) return;
    link.renewalDueMs = Infinity;
    if (this.#ways.traffic(mapping).heard === link.heardAtRenewal) this.#giveUp(nowMs, mapping);
  }

  #needsRing({ peerHit }: Mapping): boolean {
    return peerHit === null || this.#env.directOf(peerHit) === null;
  }

  #renewRestored(nowMs: number): void {
    if (this.#toRenew.length === 0) return;
    const ready = this.#env.returnIds.hasLive ? this.#toRenew : this.#toRenew.filter((mapping) => !this.#needsRing(mapping));
    const newest = [...ready].sort((a, b) => b.lastUseMs - a.lastUseMs).slice(0, MAX_RENEWED_AT_START);
    this.#toRenew = this.#env.returnIds.hasLive ? [] : this.#toRenew.filter((mapping) => this.#needsRing(mapping));
    for (const mapping of newest) if (mapping.state === "idle" && !isPlain(mapping) && this.#env.mappings.byPrivateId(mapping.ownPrivateId) === mapping) this.call(nowMs, mapping, null);
  }

  /** The engine copies keys, so ours are wiped whatever became of the event. */
  #handleEvent(event: HipEvent): void {
    try {
      this.#take(event);
    } finally {
      wipeEventKeys(event);
    }
  }

  #take(event: HipEvent): void {
    switch (event.kind) {
      case "responder":
        this.#env.keepGeneration(this.hip.generation);
        return this.#setResponder(event.responder);
      case "established": return this.#established(event);
      case "failed": return this.#failed(event);
      default: return this.#changed(event);
    }
  }

  /** Ends what a mapping has, also what HIP knows no more; the next packet calls anew. */
  #end(nowMs: number, mapping: Mapping, link: Link): void {
    if (link.association !== null) this.hip.close(nowMs, link.association);
    // The event has done it already, if there was one.
    if (this.#links.get(mapping) === link) this.#forgetLink(mapping, link);
    mapping.state = "idle";
    this.install(mapping);
  }

  #endFull(mapping: Mapping, link: Link): void {
    this.#env.log("warn", "associations-full", { peer: peerText(mapping), remedy: "The engine has no room for more associations: fewer hosts at a time can be spoken with." });
    this.#end(this.#nowMs, mapping, link);
  }

  /** Keys that cannot be used: HIP knows them no more, nor those whose place they took, and the call that led to them is over. */
  #reject({ association, spiIn, replaces, call, peer }: EstablishedEvent, why: string): void {
    const nowMs = this.#nowMs;
    this.#ways.removeInbound(spiIn);
    this.#ways.removeOutbound(association);
    this.hip.close(nowMs, association);
    const old = replaces === null ? undefined : this.#byAssociation.get(replaces);
    const caller = call === null ? undefined : this.#named.of(call, peer.hit);
    for (const mapping of [old, caller]) {
      const link = mapping === undefined ? undefined : this.#links.get(mapping);
      if (mapping === undefined || link === undefined) continue;
      const isCalling = mapping.state === "calling";
      if (mapping === caller) this.#calls.end(link);
      if (mapping === old) this.#end(nowMs, mapping, link);
      if (!isCalling) continue;
      this.#env.unreachableLog.failed(mapping, why);
      this.#refuse(nowMs, mapping);
    }
  }

  #changed(event: Exclude<HipEvent, { kind: "responder" | "established" | "failed" }>): void {
    const { log } = this.#env;
    const mapping = this.#byAssociation.get(event.association);
    const link = mapping === undefined ? undefined : this.#links.get(mapping);
    if (mapping === undefined || link === undefined || link.form === null) return;
    this.straight.handleEvent(this.#nowMs, event);
    if (event.kind === "inbound") {
      if (!this.#ways.takes(event, link.form)) return this.#endFull(mapping, link);
      link.spisIn = [...link.spisIn, event.spiIn];
      // The peer wants a second pair: from here on the rules may end it.
      if (event.pair !== 0 && link.second === "none") link.second = "asked";
    } else if (event.kind === "rekeyed" || event.kind === "paired") {
      const name = event.pair === 0 ? event.association : secondName(event.association);
      if (!this.#ways.sends(name, event, link.form)) return this.#endFull(mapping, link);
      log("debug", event.kind, { peer: peerText(mapping) });
      if (event.pair === 0 && link.keys !== null) link.keys.sinceMs = this.#nowMs;
      if (event.kind === "rekeyed") return;
      // Without services the engine does not ask by which of two pairs a packet came.
      link.second = "up";
      if (!hasServices(mapping.policy)) return this.#end(this.#nowMs, mapping, link);
      this.#second.forget(mapping);
      this.install(mapping);
    } else if (event.kind === "pair-failed") {
      this.#second.refuse(this.#nowMs, mapping, link, event);
    } else if (event.kind === "moving") {
      this.#ways.follow(mapping, link, locatorOf(event.path));
    } else if (event.kind === "stayed") {
      link.moving = null;
      this.install(mapping);
    } else if (event.kind === "moved") {
      Object.assign(link, { locator: locatorOf(event.path), moving: null });
      this.#known.update(link);
      log(mapping.isStranger ? "debug" : "info", "peer-moved", { peer: peerText(mapping) });
      this.install(mapping);
    } else if (event.kind === "retired") {
      this.#ways.removeInbound(event.spiIn);
      link.spisIn = link.spisIn.filter((spi) => spi !== event.spiIn);
    } else if (event.kind === "closed") {
      log(mapping.isStranger ? "debug" : "info", "association-closed", { peer: peerText(mapping), why: event.reason });
      this.#forgetLink(mapping, link);
      mapping.state = "idle";
      this.install(mapping);
    }
  }

  /** Keys for both directions: packets go with them from now on. */
  #established(event: EstablishedEvent): void {
    // Of a host that was known by its name only, this is the first that is known of its key; who is refused gets no name pinned.
    if (this.#env.refuses({ peerHit: event.peer.hit, peerId: null })) return this.#reject(event, "the access list refuses it");
    const mapping = this.#named.proven(event.call, event.peer.hit, (hit) => this.#peers.of(hit));
    if (mapping === null) return this.#reject(event, "there is no room for one more host, or the name may not have this key");
    // The rules may have changed while it ran.
    if (!suitesOf(mapping.policy).includes(event.espSuite)) return this.#reject(event, "the rules have changed while it was called");
    const link = this.#linkOf(this.#nowMs, mapping);
    const old = { association: link.association, spisIn: link.spisIn, second: link.second };
    const form = this.#ways.formOf(mapping, event);
    if (!this.#ways.installs(event, form)) return this.#reject(event, "the engine has no room for more associations");
    if (isPlain(mapping)) this.#env.onKeyed(mapping);
    if (!this.#peers.open(mapping, event)) return this.#reject(event, "the id that it names for packets is another host's, or there is no room for it");
    mapping.isKeyed = true;
    link.form = form;
    const strength = isReadableSuite(event.espSuite) ? STRENGTH.auth : STRENGTH.esp;
    this.#second.forget(mapping);
    if (link.association === null) {
      link.isOurs = link.call !== null && mapping.mayCall;
      mapping.mayCall = link.isOurs;
    }
    link.keys = { suite: event.espSuite, role: event.role, sinceMs: this.#nowMs };
    Object.assign(link, { association: event.association, strength, second: "none", isRefusalTold: false, spisIn: [event.spiIn], locator: locatorOf(event.path), moving: null, creditedBytes: this.#ways.heardBytes(mapping), absent: false, wrongKey: null, heardMs: this.#nowMs });
    this.#byAssociation.set(event.association, mapping);
    this.#calls.end(link);
    mapping.knowsIpv4 = event.peerPreferences !== null;
    mapping.state = "open";
    this.straight.established(this.#nowMs, mapping, event);
    link.heardBefore = this.#ways.traffic(mapping).heard;
    link.activeFromMs = event.role === "initiator" ? null : this.#nowMs + SETTLE_MS;
    if (link.activeFromMs === null) this.#timed.delete(mapping);
    else this.#timed.add(mapping);
    this.install(mapping);
    // After the flows: no packet finds an association that is gone.
    this.#ways.retire(this.#nowMs, old.spisIn);
    this.#removeAssociations({ ...old, spisIn: [] });
    if (old.second === "up") link.wanted.add(strength === STRENGTH.esp ? STRENGTH.auth : STRENGTH.esp);
    this.#second.addWanted(this.#nowMs, mapping);
    this.#second.tellWithoutClear(mapping, link);
    this.#env.mappings.changed(mapping);
    this.#env.mappingLog.opened(mapping, { security: event.espSuite === ESP_SUITE.nullSha256 ? "auth" : "esp", role: event.role, proved: true });
  }

  #failed({ call, peerHit, code, reason }: FailedEvent): void {
    const mapping = this.#named.of(call, peerHit);
    const link = mapping === undefined ? undefined : this.#links.get(mapping);
    if (mapping === undefined || link === undefined) return;
    this.#calls.end(link);
    const isRefused = code === "refused";
    if (mapping.state !== "calling" && !(mapping.state === "open" && isRefused)) return;
    this.#env.unreachableLog.failed(mapping, reason, code);
    // The peer has said that a fresh exchange is not wanted: the old keys lead nowhere.
    if (link.association !== null) this.hip.close(this.#nowMs, link.association);
    this.#refuse(this.#nowMs, mapping);
  }

  #giveUp(nowMs: number, mapping: Mapping): void {
    const link = this.#links.get(mapping);
    const called = addressCalled(link);
    const absence = this.#absenceOf(mapping);
    const trouble = link === undefined ? null : this.#calls.abandon(link);
    const remedy = called === null ? undefined : `Is the other machine on, does it take HIP by ${pathText(called)}, and is its key the one of the address book? A host with another key keeps silent.`;
    this.#env.unreachableLog.givenUp(mapping, { absence, wrongKey: link?.wrongKey ?? null, remedy, trouble });
    if (link !== undefined && mapping.state === "open") this.#end(nowMs, mapping, link);
    this.#refuse(nowMs, mapping);
  }

  /** Programs hear that nobody is there, at once for those whose packets waited. */
  #refuse(nowMs: number, mapping: Mapping): void {
    const { datapath } = this.#env;
    // What is set up plainly as well may now be, with who has no keys any more.
    mapping.isKeyed = false;
    mapping.state = "refused";
    mapping.refusedUntilMs = nowMs + REFUSED_MS;
    this.#timed.add(mapping);
    for (const address of [mapping.local4, mapping.local6]) if (address !== null) datapath.discard(address, true);
    this.install(mapping);
  }

  #endRefusal(mapping: Mapping): void {
    mapping.state = "idle";
    this.#timed.delete(mapping);
    this.install(mapping);
  }

  #linkOf(nowMs: number, mapping: Mapping): Link {
    let link = this.#links.get(mapping);
    if (link === undefined) {
      link = newLink(nowMs);
      this.#links.set(mapping, link);
    }
    return link;
  }

  #forgetLink(mapping: Mapping, link: Link): void {
    this.#calls.abandon(link);
    this.#removeAssociations(link);
    link.association = null;
    mapping.isKeyed = false;
    this.#known.forget(link);
    if (mapping.peer !== null) this.#paths.close(mapping, mapping.peer.privateId);
    // The plain set-up would let in what comes from it.
    mapping.peer = null;
    this.#links.delete(mapping);
    this.#timed.delete(mapping);
    this.#second.forget(mapping);
  }

  #removeAssociations({ association, spisIn, second }: Pick<Link, "association" | "spisIn" | "second">): void {
    for (const spi of spisIn) this.#ways.removeInbound(spi);
    if (association === null) return;
    this.#ways.removeOutbound(association);
    if (second === "up") this.#ways.removeOutbound(secondName(association));
    this.straight.close(this.#nowMs, association, true);
    this.#byAssociation.delete(association);
  }

  #newSpi(): number {
    const view = new DataView(this.#env.randomBytes(4).buffer);
    return MIN_SPI + (view.getUint32(0) % (MAX_SPI - MIN_SPI + 1));
  }

}

/** Refused for a moment, or with an exchange or keys. The plain set-up may take a mapping while it is refused. */
const isTimed = (mapping: Mapping): boolean => mapping.state === "refused" || (mapping.state !== "idle" && !isPlain(mapping));

/** CLOSE and CLOSE_ACK (RFC 7401 §5.1: type in the low 7 bits of the third byte). */
const isOfEnd = (bytes: Uint8Array): boolean => [HIP_PACKET.close, HIP_PACKET.closeAck].some((type) => ((bytes[2] ?? 0) & 0x7f) === type);

/** The clock's seconds, so that a lost state directory does little harm; they run faster than generations do. */
const firstGeneration = (wallMs: number, least: bigint): bigint => {
  const seconds = BigInt(Math.floor(wallMs / 1_000));
  return seconds > least ? seconds : least;
};
