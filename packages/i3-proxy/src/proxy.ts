/**
 * The i3 proxy as a core (paper §3, §4): joins names, mappings, the set-up and the i3 client, and programs the packet engine. No
 * I/O, clock or randomness of its own. After every call the owner wakes the engine and arms its timer for `nextDeadlineMs`.
 */
import {
  bytesKey, errorLine, formatIpText, inRange, locatorText, nameId, publicId, sameBytes, TokenBucket, type AccessConfig, type AddressBook, type AddressRule, type DecodedControl, type Locator, type ProxyRule, type Security,
} from "@i3/common";
import type { Upcall } from "@i3/datapath";
import { dhKeyPair, type TriggerKey } from "@i3/hip";
import { I3Client, type ClientEvent } from "@i3/i3-client";

import type { NameSource } from "./dns/dns-core.js";
import { Gateways } from "./gateways/gateways.js";
import { adoptPolicy, isPlain, type Mapping } from "./mappings/mapping.js";
import { addressesOf, MappingTable, type MappingHooks } from "./mappings/mapping-table.js";
import { MappingUses } from "./mappings/mapping-uses.js";
import { SharedKeys } from "./mappings/shared-keys.js";
import { VirtualAddresses } from "./mappings/virtual-addresses.js";
import { Names } from "./names.js";
import { AccessList } from "./policy/access-list.js";
import { AccessLog } from "./policy/access-log.js";
import { movedName } from "./policy/moved-names.js";
import { NameTrust } from "./policy/name-trust.js";
import { hasServices, servicesText, UNNAMED_POLICY, type PeerPolicy } from "./policy/policy.js";
import { ProtectionLog } from "./policy/protection-log.js";
import { SameKeyLog } from "./policy/same-key-log.js";
import { SecurityLog } from "./policy/security-log.js";
import { OwnLocators, type MachinePlace, type OwnPlace } from "./paths/own-locators.js";
import { tellUplink } from "./paths/uplink-log.js";
import type { ProxyEnvironment } from "./proxy-environment.js";
import { Detour } from "./setup/detour.js";
import { FlowWays } from "./setup/flow-ways.js";
import { NameClaims } from "./setup/name-claims.js";
import { HipSetup } from "./setup/hip-setup.js";
import { MappingLog } from "./setup/mapping-log.js";
import { ReturnIds } from "./setup/return-ids.js";
import { RingLog } from "./setup/ring-log.js";
import { RingReach } from "./setup/ring-reach.js";
import { Setup } from "./setup/setup.js";
import { Setups } from "./setup/setups.js";
import { peerText, UnreachableLog } from "./setup/unreachable.js";
import { WaitingCalls, type FlowSetup } from "./setup/waiting-calls.js";
import { ZoneNames } from "./zones/zone-names.js";

// Ours:
/** Uses are read from the engine, and mappings expire, this often. */
const SWEEP_MS = 2_000;
/** A path that carried a packet this lately has its server watched. */
const ACTIVE_MS = 10_000;
/**
 * After this silence the next packet carries an INIT again (no round trip is added): the peer may have forgotten a mapping that we
 * keep, and could not tell us. Shorter than any mapping lives: strangers' live 120 s.
 */
const CALL_AGAIN_AFTER_MS = 60_000;
/** Ready for peers that get a key of their own: a few programs call a few hosts at a time. Otherwise one, for what peers share. */
const NEAR_KEYS = 4;
const NO_PLACES: readonly OwnPlace[] = Object.freeze([]);
/** What the access list is asked with for one who proves none. */
const NO_HIT = new Uint8Array(16);

export class Proxy {
  readonly ownId: Uint8Array;
  /** 4 bytes. */
  readonly own4: Uint8Array;
  /** The HIT, 16 bytes. */
  readonly own6: Uint8Array;
  readonly client: I3Client;
  readonly mappings: MappingTable;
  readonly setups: Setups;
  readonly zones: ZoneNames;
  readonly gateways: Gateways;
  /** The way to the ring by TCP; undefined: there is none. */
  readonly detour: Detour | undefined;
  /** Exceptions that an upcall caused: each is a fault of ours. */
  internalErrors = 0;
  readonly #env: ProxyEnvironment;
  readonly #names: Names;
  readonly #trust: NameTrust;
  readonly #claims: NameClaims;
  readonly #sharedKeys: SharedKeys;
  readonly #uses: MappingUses;
  /** Mappings whose addresses were given out and that the engine does not know yet. */
  readonly #fresh: Mapping[] = [];
  readonly #waitingCalls = new WaitingCalls();
  readonly #returnIds: ReturnIds;
  readonly #flows: FlowWays;
  #rules: readonly ProxyRule[];
  #book: AddressBook;
  #accessConfig: AccessConfig | undefined;
  #access: AccessList;
  readonly #accessLog: AccessLog;
  #hasServers = true;
  readonly #ring = new RingReach();
  readonly #ringLog: RingLog;
  readonly #own: OwnLocators;
  /** Lines about hosts that only servers would lead to. */
  readonly #serverlessLogs = new TokenBucket(1, 10);
  readonly #protectionLog: ProtectionLog;
  readonly #sameKeyLog: SameKeyLog;
  #nextSweepMs = 0;
  #nowMs = 0;

  /** Throws RangeError when the virtual range has no address free for this host. */
  constructor(environment: ProxyEnvironment, book: AddressBook) {
    const { identity, datapath, sharedKey, randomBytes, wallMs, log } = environment;
    this.#env = environment;
    this.#rules = environment.rules;
    this.#book = book;
    this.#accessConfig = environment.access;
    this.#access = new AccessList(environment.access, book);
    this.ownId = publicId(identity.hit);
    this.own6 = identity.hit;
    this.#own = new OwnLocators(environment.port, environment.addresses.range, log);
    const addresses = new VirtualAddresses(environment.addresses);
    const { lastOwn4 } = environment;
    const keeps = lastOwn4 !== null && inRange(environment.addresses.range, lastOwn4) && addresses.take(lastOwn4);
    const own4 = keeps ? lastOwn4 : addresses.draw4(this.ownId);
    if (own4 === null) throw new RangeError("no virtual address is free");
    addresses.take(this.own6);
    this.own4 = own4;
    this.client = new I3Client({ datapath, randomBytes, wallMs });
    const { detourLink: link } = environment;
    this.detour = link === undefined ? undefined : new Detour({
      link, datapath, randomBytes, log, servers: () => this.client.configuredServers(), roundTripMs: () => this.client.roundTripMs(), onTurned: (nowMs, isOn, answered) => this.#handleDetour(nowMs, isOn, answered),
    });
    this.#uses = new MappingUses(datapath, wallMs);
    this.mappings = new MappingTable({ limits: environment.limits, addresses, hooks: this.#hooks(), sharedPrefix: () => this.#sharedKeys.prefix, randomBytes, packetsOut: (mapping) => this.#uses.packetsOut(mapping), nearKey: () => this.client.takeNearKey(this.#nowMs)?.key ?? null });
    const { pins, pinFile, onPinned, publishedNames } = environment;
    this.zones = new ZoneNames({
      zones: environment.zones ?? [], restored: environment.zoneRecords ?? [], find: (nowMs, ringKey, leastSequence) => this.client.findRecord(nowMs, ringKey, leastSequence),
      wallMs, onChange: (name, before, now) => this.#handleZoneName(name, before, now), onKept: () => environment.onZoneRecords?.(), log,
    });
    this.#trust = new NameTrust({ zones: this.zones, pins, pinFile, onPinned, wallMs, log }, book, environment.rules);
    this.#sharedKeys = new SharedKeys({ first: sharedKey, nearer: environment.nearerKeys, keep: environment.keepNearerKeys, client: this.client, randomBytes });
    this.#claims = new NameClaims({ names: publishedNames, sharedKey, datapath, client: this.client, log });
    this.#names = new Names({
      trust: this.#trust, zones: this.zones, published: publishedNames, suffix: environment.suffix, rules: environment.rules, unnamed: Object.freeze({ ...UNNAMED_POLICY, shortcut: environment.shortcutsToStrangers }), own: { id: this.ownId, v4: own4, v6: this.own6 }, mappings: this.mappings, wallMs,
      prepare: (id) => addresses.prepare(id), onCreated: (mapping) => void this.#fresh.push(mapping), serverName: (address) => this.gateways.servers.nameOf(address), exit: () => this.gateways.networks.exit, log,
    }, book);
    this.gateways = new Gateways({
      own4, own6: this.own6, range: environment.addresses.range, addresses, mappings: this.mappings, datapath, lifetimeMs: environment.limits.lifetimeMs, names: this.#names, log,
      allocated: (given) => environment.hooks.allocated(given), released: (given) => environment.hooks.released(given), changed: (server, isThere) => environment.onServer?.(server, isThere), askAgain: (name, family) => environment.onAskAgain?.(name, family),
      addressRules: environment.addressRules ?? [], networksChanged: () => environment.onNetworks?.(), call: (via) => environment.onCallGateway?.(via),
    });
    this.#accessLog = new AccessLog(log, (hit) => this.#names.nameOfHit(hit));
    this.#accessLog.oddities(this.#access);
    this.#accessLog.emptyGroups(this.#access);
    this.#protectionLog = new ProtectionLog(log, () => this.#judged());
    this.#sameKeyLog = new SameKeyLog(log, identity.hit);
    const securityLog = new SecurityLog(log, (hit) => this.#names.nameOfHit(hit), (name) => this.#names.policyOf(name));
    this.#flows = new FlowWays({ datapath, own4, identity });
    const both = {
      mappingLog: new MappingLog(log, () => this.#nowMs, () => this.#access), unreachableLog: new UnreachableLog(log, () => this.#nowMs), ring: this.#ring, identity, ownId: this.ownId, own4, datapath, client: this.client, mappings: this.mappings, flows: this.#flows, wallMs, log,
      nameOf: (hit: Uint8Array) => this.#names.nameOfHit(hit), ownTriggerFor: (name: string | null) => this.#names.wantsOwnTrigger(name),
      onOwnTrigger: (mapping: Mapping) => this.#insertOwnTrigger(0, mapping), admits: (hit: Uint8Array) => this.#access.admits(hit), refuses: (peer: Pick<Mapping, "peerHit" | "peerId">) => this.#access.refuses(peer),
      drop: (mapping: Mapping) => this.#drop(this.#nowMs, mapping), onRefused: (hit: Uint8Array | null) => this.#accessLog.refused(this.#nowMs, hit, this.#access),
      onOwnRefused: (mapping: Mapping) => this.#accessLog.refusedOwn(this.#nowMs, peerText(mapping), mapping, this.#access),
      onUnwanted: (hit: Uint8Array | null, asked: Security) => securityLog.refused(this.#nowMs, hit, asked),
    };
    this.#returnIds = new ReturnIds({ randomBytes, open: (id, key) => this.#openReturnId(id, key), close: (id) => this.#closeReturnId(id) });
    this.#ringLog = new RingLog({ log, clocks: () => this.client.clocks(), isReturnId: (id) => this.#returnIds.has(id) });
    this.setups = new Setups(this.mappings, new Setup({ ...both, plainPolicyOf: (name) => this.#names.plainPolicyOf(name), onReadable: (mapping, packet) => this.#protectionLog.came(peerText(mapping), packet) }), () => new HipSetup({
      ...both, returnIds: this.#returnIds, randomBytes, dhSource: (group) => dhKeyPair(group, randomBytes, identity.p256), directOf: (hit) => this.#names.directOf(hit), ports: environment.hip, own: this.#own, range: environment.addresses.range, tunMtu: environment.tunMtu, rekeyAfterMs: environment.rekeyAfterMs, policyOf: (name) => this.#names.policyOf(name),
      onKeyed: (mapping) => this.setups.plain.giveAway(mapping), onNamed: (mapping) => void this.#setPolicy(mapping), trust: this.#trust, openIds: [this.ownId, ...this.#claims.ids],
      leastGeneration: environment.leastGeneration, keepGeneration: environment.keepGeneration,
    }, 0));
  }

  #openReturnId(id: Uint8Array, key: TriggerKey): void {
    this.#env.datapath.setInbound(id, { action: "upcall" });
    this.client.insertTrigger(this.#nowMs, id, { kind: "private", key });
  }

  #closeReturnId(id: Uint8Array): void {
    this.client.removeTrigger(this.#nowMs, id);
    this.#ringLog.forget(id);
    this.#env.datapath.setInbound(id, null);
  }

  /** Whoever calls may call encrypted. Own calls, once a rule wants them so, need ids for their answers that are in the ring by then. */
  #prepareEncryption(): void {
    this.setups.enableHip();
    if (this.#env.isHidden !== true) this.client.wantNearKeys(this.#nowMs, this.#rules.some((rule) => rule.go === "i3" && rule.privateId === "own") ? NEAR_KEYS : 1);
    if (this.#claims.ids.length > 0 || this.#rules.some((rule) => rule.go === "i3" && rule.security !== "none")) this.#returnIds.fill();
  }

  get names(): NameSource & Pick<Names, "keeps"> {
    return this.#names;
  }

  setBook(book: AddressBook): void {
    this.#book = book;
    this.#trust.setBook(book);
    this.#dropMovedNames(book);
    this.#names.setBook(book);
    this.#setPolicies();
    this.#setAccess(this.#accessConfig);
    this.gateways.networks.refresh(this.#nowMs);
  }

  /** Names to which the book now gives another key or id: what lives under the old one ends. A name that is in it no more keeps what it has. */
  #dropMovedNames(book: AddressBook): void {
    for (const mapping of [...this.mappings.all()]) this.#dropIfMoved(mapping, book);
  }

  #dropIfMoved(mapping: Mapping, book: AddressBook): boolean {
    const moved = movedName(mapping, book, { pins: this.#env.pins, trust: this.#trust, nameOfHit: (hit) => this.#names.nameOfHit(hit) });
    if (moved === null) return false;
    const { event, ...more } = moved;
    this.#env.log("info", event, { name: mapping.name, ...more });
    this.#drop(this.#nowMs, mapping);
    return true;
  }

  /** A zone's name stands for another host, or for none. Only what may have had it, or gets it, is looked at: zones change often. */
  #handleZoneName(name: string, before: Uint8Array | null, now: Uint8Array | null): void {
    for (const id of [nameId(name), ...[before, now].filter((hit) => hit !== null).map((hit) => publicId(hit))]) {
      const mapping = this.mappings.byPeer(id);
      if (mapping === undefined || this.#dropIfMoved(mapping, this.#book)) continue;
      this.#names.rename(mapping);
      this.#followPolicy(mapping);
    }
    this.#names.zoneChanged(name);
  }

  /** Another access list: whoever it admits no more is cut off at once. */
  setAccess(nowMs: number, access: AccessConfig | undefined): void {
    this.#nowMs = nowMs;
    this.#setAccess(access);
    this.#accessLog.oddities(this.#access);
  }

  #setAccess(access: AccessConfig | undefined): void {
    this.#accessConfig = access;
    this.#access = new AccessList(access, this.#book);
    this.#accessLog.emptyGroups(this.#access);
    this.setups.recheckAccess(this.#nowMs);
  }

  setRules(nowMs: number, rules: readonly ProxyRule[], addressRules: readonly AddressRule[] = []): void {
    this.#nowMs = nowMs;
    this.#rules = rules;
    this.#trust.setRules(rules);
    this.#names.setRules(rules);
    this.#prepareEncryption();
    this.#setPolicies();
    this.gateways.networks.setRules(nowMs, addressRules);
    this.gateways.rulesChanged();
  }

  /** Rules or names have changed: living mappings follow them. */
  #setPolicies(): void {
    for (const mapping of [...this.mappings.all()]) this.#followPolicy(mapping);
  }

  #followPolicy(mapping: Mapping): void {
    if (this.#setPolicy(mapping)) return;
    const why = this.#policyOf(mapping) === null ? "the rules let no stranger in without protection any more" : "the engine has no room for the services of more hosts";
    this.#env.log("warn", "mapping-lost", { name: mapping.name, why, remedy: "Its programs have to connect again." });
    this.#drop(this.#nowMs, mapping);
  }

  /** False: the rules do not let it in, or there is no room for its services. */
  #setPolicy(mapping: Mapping): boolean {
    const policy = this.#policyOf(mapping);
    return policy !== null && this.setups.setPolicy(this.#nowMs, mapping, policy);
  }

  /** Null: a peer that proved nothing, or a stranger in cleartext, may not be here any more. */
  #policyOf({ name, security }: Mapping): PeerPolicy | null {
    return name === null && security === "none" ? this.#names.plainPolicyOf(null) : this.#names.policyOf(name);
  }

  /** Virtual addresses that hosts of the address book have or would get (at most 4,096 hosts), but for those of real machines. */
  bookAddresses(): readonly Uint8Array[] {
    return this.#names.bookAddresses(this.#env.addresses.range).filter((address) => !this.#env.addresses.isTaken(address));
  }

  /** Whether a virtual address stands for somebody now: a host, or a server behind one. */
  isGiven(address: Uint8Array): boolean {
    return this.mappings.byAddress(address) !== undefined || this.gateways.servers.has(address);
  }

  /** Mappings whose address something real of this machine has now: their programs cannot be helped, the real one must be reachable. */
  dropOverlapping(nowMs: number): void {
    for (const mapping of [...this.mappings.all()]) {
      if (!this.#env.addresses.isTaken(mapping.local4)) continue;
      this.#env.log("warn", "mapping-lost", { name: mapping.name, why: "its virtual address is used by something else now", remedy: "Ask for the name again: it gets another address." });
      this.#drop(nowMs, mapping);
    }
    this.gateways.dropTaken(this.#env.addresses.isTaken);
  }

  /**
   * Takes over the mappings of the journal and registers with the ring.
   * @param hasServers false: there never will be any. Otherwise those that are found later are {@link addServers added}
   */
  start(nowMs: number, servers: readonly Locator[], restored: readonly Mapping[], hasServers = servers.length > 0): void {
    this.#hasServers = hasServers;
    this.addServers(nowMs, servers);
    this.#env.datapath.setInbound(this.ownId, { action: "upcall" });
    if (this.#env.isHidden !== true) this.client.insertTrigger(nowMs, this.ownId, { kind: "host", identity: this.#env.identity });
    this.#sharedKeys.start(nowMs);
    this.#prepareEncryption();
    this.#claims.start(nowMs);
    for (const mapping of restored) this.#restore(nowMs, mapping);
    this.gateways.networks.refresh(nowMs);
    this.#nextSweepMs = nowMs + SWEEP_MS;
  }

  /** The interfaces by which this host sends, those used first first. To be told before {@link start} and whenever they change. */
  setPlaces(nowMs: number, places: readonly MachinePlace[]): void {
    this.#nowMs = nowMs;
    const change = this.#own.setPlaces(places);
    if (change === "none") return;
    this.client.setUplinks(nowMs, this.#own.places);
    // Another address beside those in use: packets go on as they did, and peers hear of one more place to try.
    if (change === "more") return this.setups.hip?.straight.handlePlaces(nowMs);
    this.client.renewTriggers(nowMs);
    this.setups.hip?.handlePlaces(nowMs);
    this.detour?.handlePlaces(nowMs, this.#own.firstAddresses);
  }

  /** The ring has another way to us. On the detour nobody outside sees us, though peers that are near may. */
  #handleDetour(nowMs: number, isOn: boolean, answered: Locator | null): void {
    this.#own.setOutside(!isOn);
    this.client.setDetoured(nowMs, isOn);
    if (answered !== null) this.client.leftDetour(nowMs, answered);
    this.client.renewTriggers(nowMs, true);
    this.setups.hip?.straight.handleDetour(nowMs, isOn);
  }

  /** The machine has slept: whoever knew it may have forgotten it, or it is elsewhere. */
  awake(nowMs: number): void {
    this.#nowMs = nowMs;
    this.client.renewTriggers(nowMs);
    this.setups.hip?.handlePlaces(nowMs);
    this.detour?.awake(nowMs);
  }

  /** A router has opened our port at a place of {@link ownPlaces}, or closed it: null. */
  setMapped(nowMs: number, placeKey: string, locator: Locator | null): void {
    this.#nowMs = nowMs;
    if (this.#own.mapped(nowMs, placeKey, locator)) this.setups.hip?.straight.handlePlaces(nowMs);
  }

  /** Where routers are worth asking: none while no packets may go past i3. */
  get ownPlaces(): readonly OwnPlace[] {
    return this.setups.hip?.straight.isWanted === true ? this.#own.places : NO_PLACES;
  }

  addServers(nowMs: number, servers: readonly Locator[]): void {
    this.#nowMs = nowMs;
    for (const server of servers) this.client.addServer(nowMs, server);
    if (servers.length > 0) this.detour?.start(nowMs);
  }

  /**
   * Programs the engine for mappings that names have been resolved to. To be called before a program is told the address, and after
   * every resolution: an engine with threads of its own takes the first packet before we get to do anything more.
   */
  installFresh(): void {
    for (const mapping of this.#fresh.splice(0)) {
      this.#insertOwnTrigger(0, mapping);
      this.setups.install(mapping);
    }
  }

  /** Whether this host passes packets on for a peer, as a gateway does. */
  setForwarding(mapping: Mapping, isOn: boolean): void {
    this.#flows.setForwarding(mapping, isOn);
  }

  /** First step of a stop: nobody can call this host any more, and peers hear that it goes. To be called again until it is true: all know. */
  leave(nowMs: number): boolean {
    this.#nowMs = nowMs;
    for (const { id } of this.client.triggers(nowMs)) if (sameBytes(id, this.ownId) || this.#claims.has(id)) this.client.removeTrigger(nowMs, id);
    this.client.handleTimer(nowMs);
    return this.setups.leave(nowMs);
  }

  /** Removes our triggers, so that nobody waits for a host that is gone. */
  stop(nowMs: number): void {
    for (const { id } of this.client.triggers(nowMs)) this.client.removeTrigger(nowMs, id);
    this.client.handleTimer(nowMs);
  }

  /** True when the public id, the private one and those for answers are in the ring. Names may be refused: nobody waits for them. */
  isReady(nowMs: number): boolean {
    const triggers = this.client.triggers(nowMs).filter(({ id }) => !this.#claims.has(id));
    return triggers.length > 0 && triggers.every((trigger) => trigger.live);
  }

  handleUpcalls(nowMs: number, upcalls: readonly Upcall[]): void {
    this.#nowMs = nowMs;
    this.installFresh();
    for (const upcall of upcalls) {
      try {
        this.#handleUpcall(nowMs, upcall);
      } catch (error) {
        // A fault of ours that a datagram has found: it costs that datagram, never the host's connections.
        this.internalErrors += 1;
        this.#env.log("error", "internal", { upcall: upcall.kind, error: errorLine(error) });
      }
    }
    this.#handleEvents(nowMs);
  }

  #handleUpcall(nowMs: number, upcall: Upcall): void {
    if (upcall.kind === "control") this.#handleControl(nowMs, upcall.from, upcall.bytes);
    else if (upcall.kind === "flow-setup") this.#begin(nowMs, upcall);
    else if (upcall.kind === "payload" || upcall.kind === "hip") this.setups.handleUpcall(nowMs, upcall);
    else if (upcall.kind === "detour") this.detour?.handleUpcall(upcall);
    else if (upcall.kind === "elsewhere" || upcall.kind === "send-failed") this.setups.hip?.straight.handleUpcall(nowMs, upcall);
  }

  #handleControl(nowMs: number, from: Locator, bytes: Uint8Array): void {
    const decoded = this.client.decode(bytes);
    if (decoded === null) return;
    if (decoded.message.type === "PONG") this.#handlePong(nowMs, from, decoded);
    else if (this.setups.hip?.straight.handleControl(nowMs, from, decoded) === true) return;
    else if (this.client.handleDecoded(nowMs, from, decoded) && decoded.message.type === "TRIGGER_OK") this.detour?.handleTriggerOk(nowMs, from, decoded.nonce);
  }

  /** What answers a question of this host over UDP, and nothing else, says that UDP works: anybody can send a PONG. */
  #handlePong(nowMs: number, from: Locator, decoded: DecodedControl): void {
    if (this.detour?.cameByTcp(decoded.nonce) === true) this.client.handleDecoded(nowMs, from, decoded, true);
    else if (this.detour?.handlePong(nowMs, from, decoded.nonce) === true) return;
    else if (this.setups.hip?.straight.handleControl(nowMs, from, decoded) === true) this.detour?.handleUdp(nowMs, from);
    else if (this.client.handleDecoded(nowMs, from, decoded)) this.detour?.handleAnswer(nowMs, from);
  }

  handleTimer(nowMs: number): void {
    this.#nowMs = nowMs;
    this.gateways.networks.handleTimer(nowMs);
    this.installFresh();
    this.detour?.handleTimer(nowMs);
    this.client.handleTimer(nowMs);
    this.#handleEvents(nowMs);
    if (this.#ring.handleTimer(nowMs)) this.setups.handleRing();
    this.setups.handleTimer(nowMs);
    this.#endWaits(nowMs, null);
    if (nowMs >= this.#nextSweepMs) this.#sweep(nowMs);
  }

  /** All mappings, for people: nothing of it is secret. */
  report(nowMs: number): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.mappings.all(), (mapping) => {
      const { name, peerHit, state, security, local4, policy } = mapping;
      const services = hasServices(policy) ? { services: servicesText(policy) } : {};
      return { name, hit: peerHit === null ? null : formatIpText(peerHit), state, security, address: formatIpText(local4), ...this.setups.hip?.report(nowMs, mapping), ...services };
    });
  }

  nextDeadlineMs(): number {
    return Math.min(this.detour?.nextDeadlineMs() ?? Infinity, this.#waitingCalls.deadlineMs(), this.#ring.deadlineMs(), this.#ringLog.deadlineMs(), this.client.nextDeadlineMs(), this.setups.nextDeadlineMs(), this.#nextSweepMs);
  }

  #hooks(): MappingHooks {
    const { hooks } = this.#env;
    return {
      allocated: (addresses) => hooks.allocated(addresses),
      released: (addresses) => hooks.released(addresses),
      changed: (mapping) => {
        this.#uses.saved(mapping);
        hooks.changed(mapping);
      },
      removed: (mapping) => {
        this.gateways.removed(mapping);
        hooks.removed(mapping);
      },
    };
  }

  #insertOwnTrigger(nowMs: number, mapping: Mapping): void {
    if (mapping.ownKey !== null) this.client.insertTrigger(nowMs, mapping.ownPrivateId, { kind: "private", key: mapping.ownKey });
  }

  #restore(nowMs: number, mapping: Mapping): void {
    // The book may have changed since it was written.
    this.#names.rename(mapping);
    const policy = this.#policyOf(mapping);
    if (policy !== null) adoptPolicy(mapping, policy);
    const isRefused = mapping.peerId === null && !this.#access.admits(NO_HIT);
    if (policy === null || isRefused || !this.mappings.restore(mapping)) {
      const why = isRefused ? "the access list lets nobody in who proves no key" : policy === null ? "the rules let no stranger in without protection any more" : "its virtual address is used by something else now";
      this.#env.log("warn", "mapping-lost", { name: mapping.name, why });
      this.#env.hooks.removed(mapping);
      return;
    }
    this.#insertOwnTrigger(nowMs, mapping);
    const { lastOwn4 } = this.#env;
    this.setups.restore(mapping, lastOwn4 !== null && !sameBytes(lastOwn4, this.own4));
  }

  /** First packet of a program to a virtual address. */
  #begin(nowMs: number, upcall: FlowSetup): void {
    const mapping = this.mappings.byAddress(upcall.address);
    if (mapping === undefined) return this.#env.datapath.discard(upcall.address, true);
    const isDirect = mapping.peerHit !== null && this.#names.directOf(mapping.peerHit) !== null;
    if (!isDirect && !this.#hasServers && mapping.state === "idle") return this.#refuseWithoutServers(nowMs, mapping, upcall.address);
    const isLive = mapping.ownKey === null || isDirect || this.client.triggers(nowMs).some((t) => t.live && bytesKey(t.id) === bytesKey(mapping.ownPrivateId));
    if (isLive || mapping.state !== "idle") this.#call(nowMs, mapping, upcall);
    else this.#waitingCalls.add(nowMs, { mapping, upcall });
  }

  /** Programs hear so at once. */
  #refuseWithoutServers(nowMs: number, mapping: Mapping, address: Uint8Array): void {
    this.#env.datapath.discard(address, true);
    if (!this.#serverlessLogs.take(nowMs)) return;
    this.#env.log("warn", "unreachable", { peer: peerText(mapping), why: "it has no address in the address book, and there are no i3 servers", remedy: "Give it an address in the address book, or add <servers> to the configuration." });
  }

  #call(nowMs: number, mapping: Mapping, { packet, strength }: FlowSetup): void {
    this.setups.call(nowMs, mapping, packet, strength);
    for (const address of addressesOf(mapping)) {
      if (mapping.state === "idle") this.#env.datapath.discard(address, true);
      // With HIP they wait for the keys, and go when the flow gets them.
      else if (isPlain(mapping)) this.#env.datapath.release(address);
    }
  }

  /** Calls whose trigger is in the ring, or that have waited long enough. */
  #endWaits(nowMs: number, liveId: Uint8Array | null): void {
    for (const { mapping, upcall } of this.#waitingCalls.take(nowMs, liveId)) {
      if (this.mappings.byPrivateId(mapping.ownPrivateId) === mapping) this.#call(nowMs, mapping, upcall);
    }
  }

  #handleEvents(nowMs: number): void {
    for (const event of this.client.takeEvents()) this.#handleEvent(nowMs, event);
    this.#ringLog.look(nowMs);
  }

  #handleEvent(nowMs: number, event: ClientEvent): void {
    switch (event.kind) {
      case "path-changed": return this.setups.handlePathChanged(event.id);
      case "not-present": return this.setups.handleNotPresent(nowMs, event.id);
      case "record": case "record-kept": case "record-refused":
        if (!this.zones.handleRecord(nowMs, event)) this.#env.onRecord?.(event);
        return;
      case "trigger-replaced":
        if (sameBytes(event.id, this.ownId)) this.#sameKeyLog.replaced(nowMs);
        return;
      case "first-hop":
        if (this.#ring.handleFirstHop(nowMs, event.server)) this.setups.handleRing();
        break;
      case "near-key":
        this.#sharedKeys.handleNearKey(nowMs, event.server);
        break;
      case "trigger-live":
        this.#endWaits(nowMs, event.id);
        this.#returnIds.handleLive(event.id);
        this.#sharedKeys.handleLive(nowMs, event.id);
        break;
      case "trigger-refused":
        if (this.#claims.handleRefused(event.id, event.code)) return;
        break;
      case "shortcut": return; // the proxy asks for none
      case "moved":
        this.#env.log("info", "seen-elsewhere", { server: locatorText(event.server), why: "a NAT before this host has given it another address or port" });
        this.setups.hip?.straight.handleMoved(nowMs);
        return;
      case "udp": return this.detour?.handleUdp(nowMs, event.server);
      case "uplink": return tellUplink(this.#env.log, this.#own.places, event);
      case "trigger-lost": break;
    }
    this.#ringLog.tell(nowMs, event);
  }

  /** Reads the uses from the engine, watches the servers of active paths, and ends mappings whose time is over. */
  #sweep(nowMs: number): void {
    this.#nextSweepMs = nowMs + SWEEP_MS;
    for (const mapping of this.mappings.all()) {
      const sinceMs = this.#uses.read(nowMs, mapping);
      for (const id of [mapping.peerId, mapping.peer?.privateId]) if (id) this.client.setPathActive(id, sinceMs <= ACTIVE_MS);
      this.setups.watch(nowMs, mapping, sinceMs > CALL_AGAIN_AFTER_MS);
      if (this.#uses.isToBeSaved(mapping)) this.mappings.changed(mapping);
    }
    this.mappings.lookAtStrangers(nowMs);
    this.gateways.handleTimer(nowMs);
    this.zones.sweep(nowMs);
    this.#protectionLog.look(nowMs, this.#env.datapath.counters().drops.policy + this.setups.plain.counters.tooLittleProtection);
    for (const mapping of this.mappings.expired(this.#env.wallMs())) this.#drop(nowMs, mapping);
    this.#sharedKeys.sweep(nowMs, Array.from(this.mappings.all(), ({ ownPrivateId }) => ownPrivateId));
  }

  /** Hosts of which the packet engine looks at each packet. */
  *#judged(): Generator<string> {
    for (const mapping of this.mappings.all()) if (hasServices(mapping.policy)) yield peerText(mapping);
  }

  #drop(nowMs: number, mapping: Mapping): void {
    if (mapping.ownKey !== null) this.client.removeTrigger(nowMs, mapping.ownPrivateId);
    this.#ringLog.forget(mapping.ownPrivateId);
    this.setups.uninstall(nowMs, mapping);
    this.mappings.remove(mapping);
  }
}
