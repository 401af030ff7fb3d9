/** The running proxy: the core, an engine on TUN and UDP, DNS, routes, guard, journal, clock and signals. */
import type { Socket } from "node:net";
import { join } from "node:path";

import {
  anonymousAsTheyAre, EMPTY_ADDRESS_BOOK, errorLine, findRule, formatIpText, I3Error, inRange, locatorText, MAX_ADDRESS_BOOK_BYTES, MAX_CONFIG_BYTES, parseAddressBook,
  sameBytes, sameLocator, stderrLog, WatchedFile, type AddressBook, type AddressRule, type FileUpdate, type Log, type ProxyConfig, type ProxyRule, type RunningDaemon, type Locator, type SignedRecord,
} from "@i3/common";
import { LIMITS, type Datapath } from "@i3/datapath";
import { connectMarkedTcp, engineCounterFields, engineFields, openEngine, type RunningEngine } from "@i3/datapath/io";
import { loadNativeIo, type NativeIo } from "@i3/datapath/native-io";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { withP256, type HostIdentity } from "@i3/hip";
import { ListedServers } from "@i3/i3-client";

import type { NameSource } from "../dns/dns-core.js";
import { SearchNames } from "../dns/search-names.js";
import { takenBy } from "../gateways/gateway-networks.js";
import { addressesOf } from "../mappings/mapping-table.js";
import type { Pins } from "../policy/pins.js";
import { unruledNames, unruledText, unruledZones } from "../policy/unruled-names.js";
import { coreCounterFields } from "../core-counter-fields.js";
import type { OwnPlace } from "../paths/own-locators.js";
import { Proxy } from "../proxy.js";
import { proxyStatus, type ProxyStatus } from "../status/proxy-status.js";
import { AnonymousClients } from "./anonymous-clients.js";
import { anonymousTuns } from "./anonymous-guard.js";
import { readBookOf } from "./check-files.js";
import { openControl } from "./control-socket.js";
import type { DaemonPart, OpenPart } from "./daemon-part.js";
import { DetourSocket, tcpServers } from "./detour-socket.js";
import { Interception } from "./interception.js";
import type { NftRunner } from "./interception-nft.js";
import { markedLookup } from "./marked-lookup.js";
import { watchMachine } from "./machine-watch.js";
import { Journal, type JournalContent } from "./journal.js";
import { Networks } from "./networks.js";
import { openIdentity } from "./own-identity.js";
import { OWN_MARK } from "./own-mark.js";
import { pinFileOf, readPins, writePins } from "./pin-file.js";
import { pooledRandom } from "./pooled-random.js";
import { PortMapping } from "./port-mapping.js";
import { PublishedRecords } from "./published-records.js";
import { beginRehearsals } from "./rehearsals.js";
import { ResolverFiles } from "./dns-upstream-resolvers.js";
import { overlapText, rangeText, SystemView } from "./system-view.js";
import { readServers, ServerFile, serverFileOf } from "./server-file.js";
import { ServerNames, systemLookup } from "./server-names.js";
import { awaitRing, leaveRing } from "./ring-waits.js";
import { VirtualAddressesInUse } from "./virtual-addresses-in-use.js";
import { VirtualRoutes } from "./virtual-routes.js";
import { readZoneRecords, ZoneRecordFile, zoneRecordFileOf } from "./zone-record-file.js";

const MAX_SLEEP_MS = 1_000;

export interface ProxyStart<Config extends ProxyConfig> {
  readonly name: string;
  readonly release: string;
  readonly config: Config;
  readonly onFailure: (error: I3Error) => void;
  readonly file: string;
  readonly signal: AbortSignal;
  readonly parse: (bytes: Uint8Array, file: string) => Config;
  readonly part: DaemonPart<Config> | null;
}

/** Starts the proxy. Rejects with I3Error for what a person must mend. */
export async function startProxy<Config extends ProxyConfig>(start: ProxyStart<Config>): Promise<RunningDaemon> {
  const { config } = start;
  const log = stderrLog(config.log);
  const daemon = new Daemon(start, log);
  try {
    await daemon.open();
    return daemon;
  } catch (error) {
    await daemon.fail();
    throw error;
  }
}

const aborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => (signal.aborted ? resolve(null) : signal.addEventListener("abort", () => resolve(null), { once: true })));

/** What is read from the state directory. */
interface KeptState {
  readonly content: JournalContent;
  readonly journal: Journal;
  readonly pins: Pins;
  readonly zoneRecords: readonly SignedRecord[];
}

class Daemon<Config extends ProxyConfig> implements RunningDaemon {
  readonly ended: Promise<void>;
  ready = "";
  readonly #start: ProxyStart<Config>;
  readonly #config: Config;
  readonly #log: Log;
  /** The start is not to wait for anybody any more. */
  readonly #signal: AbortSignal;
  #end: () => void = () => undefined;
  /** Undone in reverse order. */
  readonly #closers: (() => void | Promise<void>)[] = [];
  #proxy: Proxy | undefined;
  #engine: RunningEngine | undefined;
  #routes: VirtualRoutes | undefined;
  #interception: Interception | undefined;
  #anonymous: AnonymousClients | undefined;
  #networks: Networks | undefined;
  #overlaps: readonly string[] = [];
  /** As they are in use now. */
  #rules: readonly ProxyRule[];
  #addressRules: readonly AddressRule[];
  /** Of the ring's servers. */
  #lookup: (name: string) => Promise<readonly string[]> = systemLookup;
  #book = EMPTY_ADDRESS_BOOK;
  /** What the log has said of names without a rule. */
  #unruled: string | null = null;
  #onResolvers: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #list: ListedServers | undefined;
  #portMapping: PortMapping | undefined;
  #part: OpenPart<Config> | undefined;
  #askedPlaces: readonly OwnPlace[] = [];
  #stopping = false;
  #hasBegun = false;
  #hasFailed = false;
  readonly #zoneFile: ZoneRecordFile;
  readonly #serverFile: ServerFile;
  readonly #published: PublishedRecords;
  readonly #addresses: VirtualAddressesInUse;
  readonly #detour: DetourSocket | undefined;
  /** The timers of searches that DNS questions began are set anew soon. */
  #lookSoon: NodeJS.Immediate | undefined;

  constructor(start: ProxyStart<Config>, log: Log) {
    const { config, signal } = start;
    this.#start = start;
    this.#signal = signal;
    this.#config = config;
    this.#rules = config.rules;
    this.#addressRules = config.addressRules;
    this.#log = log;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#addresses = new VirtualAddressesInUse({
      proxy: () => this.#proxy, routes: () => this.#routes, interception: () => this.#interception, onGiven: () => setImmediate(() => this.#run((proxy) => proxy.installFresh())),
    });
    const servers = tcpServers(config.servers);
    this.#detour = servers.length === 0 ? undefined : new DetourSocket({
      servers, onOpened: () => this.#run((proxy, nowMs) => proxy.detour?.handleOpened(nowMs)), onClosed: (why) => this.#run((proxy, nowMs) => proxy.detour?.handleClosed(nowMs, why)),
      onDatagram: (from, bytes) => this.#proxy?.detour?.handleDatagram(performance.now(), from, bytes),
      connectTcp: ({ host, tcp: { port } }) => (this.#isRuled(host.text) ? this.#connectMarked(host.text, host.kind === "name", port) : null),
    });
    this.#closers.push(() => this.#detour?.disconnect());
    this.#zoneFile = new ZoneRecordFile(zoneRecordFileOf(config.state.directory), log, () => this.#proxy?.zones.records() ?? []);
    this.#serverFile = new ServerFile(serverFileOf(config.state.directory), log, () => this.#proxy?.gateways.servers.all() ?? []);
    this.#published = new PublishedRecords({ zones: config.zones, log, wallMs: () => Date.now(), run: (work) => this.#run((proxy, nowMs) => work(proxy.client, nowMs)) });
  }

  async open(): Promise<void> {
    const config = this.#config;
    const io = loadNativeIo();
    const book = await readBookOf(config);
    const { identity, created } = openIdentity(config);
    if (created) this.#log("info", "key-created", { file: config.identity.keyFile, hit: formatIpText(identity.hit) });
    const listed = this.#readList();
    const resolvers = new ResolverFiles({ onChange: () => this.#onResolvers?.() });
    this.#closers.push(() => resolvers.close());
    this.#lookup = async (name) => await (this.#isRuled(name) ? markedLookup(io, OWN_MARK, resolvers.resolvers, name) : systemLookup(name));
    const serverNames = new ServerNames({ log: this.#log, lookup: this.#lookup, onFound: (found) => this.#run((proxy, nowMs) => proxy.addServers(nowMs, found)) });
    this.#closers.push(() => serverNames.close());
    const looked = serverNames.first(config.servers);
    const engine = await this.#openEngine();
    // Only now: the ports and the TUN show that no other proxy writes this journal.
    const { journal, content } = Journal.open(config.state.directory, (error) =>
      this.#log("error", "journal-failed", { error: errorLine(error), remedy: "Mappings live on, but not over a restart. Is the disk full? It is tried again with each change." }));
    this.#closers.push(() => journal.close());
    const pins = readPins(pinFileOf(config.state.directory));
    if (content.damage !== null) this.#log("warn", "journal-damaged", { at: content.damage, mappings: content.mappings.length, remedy: "The file was set aside, as mappings.journal.damaged. As many mappings of it as this line says go on; other hosts are met as if for the first time." });
    const view = this.#systemView(io, resolvers);
    const zoneRecords = readZoneRecords(zoneRecordFileOf(config.state.directory));
    const knownServers = readServers(serverFileOf(config.state.directory));
    this.#proxy = this.#makeProxy(book, withP256(identity, loadNativeP256()), { content, journal, pins, zoneRecords }, view, engine.datapath);
    journal.setOwn(identity.hit, this.#proxy.own4);
    const restored = content.mappings.flatMap((mapping) => addressesOf(mapping));
    this.#openRoutes(io, restored);
    this.#openPlaces(io, engine);
    await this.#openInterception(io, view, resolvers, restored, engine);
    const servers = await Promise.race([looked, aborted(this.#signal)]);
    if (servers === null) return;
    const hasServers = config.servers.length > 0 || config.serverList !== undefined;
    this.#hasBegun = true;
    this.#book = book;
    await this.#openControl();
    this.#run((proxy, nowMs) => {
      proxy.start(nowMs, servers.length > 0 ? servers : listed, content.mappings, hasServers);
      proxy.client.setListedServers(nowMs, listed);
      proxy.gateways.restore(nowMs, knownServers);
    });
    await this.#interception?.enable();
    this.#list?.start();
    this.#closers.push(() => this.#zoneFile.close());
    this.#closers.push(() => this.#serverFile.close());
    this.#closers.push(() => this.#published.close());
    await this.#published.start();
    await this.#openPart(io, view, resolvers);
    this.#logUnruled();
    for (const why of unruledZones(config.zones, config.rules)) this.#log("warn", "no-rule", { why, remedy: 'Its names are not looked for. Add a rule with go="i3".' });
    if (!hasServers) this.#log("info", "no-servers", { remedy: "<servers> is left out: hosts are called by address, none over i3." });
    else await awaitRing({ proxy: this.#proxy, servers: config.servers, signal: this.#signal, log: this.#log });
    if (this.#signal.aborted) return;
    await this.#watch(view);
    this.ready = `hit=${formatIpText(identity.hit)} address=${formatIpText(this.#proxy.own4)} tun=${engine.tun?.name ?? ""} port=${engine.udp.port} engine=${engine.implementation}${this.#part === undefined ? "" : ` ${this.#part.ready}`}`;
    if (this.#proxy.setups.hip !== undefined) this.#closers.push(beginRehearsals(this.#log));
    this.#log("info", "started", { hit: formatIpText(identity.hit), address: formatIpText(this.#proxy.own4), mappings: this.#proxy.mappings.size, engine: engine.implementation });
  }

  /** Before anybody is waited for: who asks hears what is waited for. */
  async #openControl(): Promise<void> {
    const control = await openControl(this.#config.control?.socket, this.#log, { "/v1/status": () => this.#status() });
    if (control !== null) this.#closers.push(() => control.close());
  }

  #status(): ProxyStatus {
    const [proxy, engine] = [this.#proxy, this.#engine];
    if (proxy === undefined || engine === undefined) throw new RangeError("the control socket outlives the proxy");
    const { name, release, file } = this.#start;
    const state = this.#stopping ? "stopping" : this.ready === "" ? "starting" : "running";
    return proxyStatus(performance.now(), {
      daemon: { name, release, pid: process.pid, uptimeS: Math.floor(process.uptime()), config: file, state }, proxy, engine, hasServers: this.#config.servers.length > 0 || this.#config.serverList !== undefined,
      book: this.#book, overlaps: this.#overlaps, unruled: unruledNames(this.#book, this.#rules),
    });
  }

  async #openPart(io: NativeIo, view: SystemView, resolvers: ResolverFiles): Promise<void> {
    const { config, part } = this.#start;
    const [proxy, engine] = [this.#proxy, this.#engine];
    if (part === null || proxy === undefined || engine?.tun === undefined || engine.tun === null) return;
    const own = config.dns.resolvers.map(({ host, port }) => ({ address: host.bytes, port, zone: null }));
    const { tun, datapath } = engine;
    const open = await part.open({
      config, book: this.#book, log: this.#log, io, tun, mark: OWN_MARK, datapath, proxy, view, names: this.#names(proxy, resolvers), resolvers: () => (own.length > 0 ? own : resolvers.resolvers), run: (work) => this.#run(work),
    });
    if (open === null) return;
    this.#part = open;
    this.#closers.push(() => open.close());
    // What came while it opened.
    open.setBook(this.#book);
  }

  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log("info", "stopping", {});
    void Promise.resolve(this.#part?.drain?.()).then(() => this.#leave()).then(() => this.abandon()).then(() => this.#end());
  }

  /** While peers answer, our private ids are still needed. */
  async #leave(): Promise<void> {
    if (this.#proxy === undefined) return;
    const others = this.#anonymous?.close(true);
    await leaveRing(this.#proxy, (work) => this.#run(work), () => this.#proxy === undefined);
    await others;
  }

  /** A start that failed: as {@link abandon}, but what is to be closed while there is no proxy stays so. */
  async fail(): Promise<void> {
    this.#hasFailed = true;
    if (this.#networks?.isShut === true) this.#log("warn", "left-shut", { remedy: 'What rules with when-down="refuse" lead to gateways is refused until i3-proxy has started, or --clean.' });
    await this.#networks?.leave();
    await this.abandon();
  }

  /** Closes whatever is open. */
  async abandon(): Promise<void> {
    clearTimeout(this.#timer);
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  logCounters(): void {
    const [proxy, engine] = [this.#proxy, this.#engine];
    if (proxy === undefined || engine === undefined) return;
    this.#log("info", "counters", {
      engine: engineCounterFields(engine),
      ...coreCounterFields(proxy), detourSocket: this.#detour?.counters, portMapping: this.#portMapping?.counters, dns: this.#interception?.counters(), anonymous: this.#anonymous?.report(), ...this.#part?.counters(),
      mappings: proxy.report(performance.now()), gateways: proxy.gateways.report(),
      servers: proxy.client.servers().map((s) => ({ server: locatorText(s.locator), liveness: s.liveness, rttMs: Math.round(s.rttMs * 10) / 10, inUse: s.inUse })),
    });
  }

  async #openEngine(): Promise<RunningEngine> {
    const { tun, listen, engine: settings, hip } = this.#config;
    const engine = await openEngine({
      ...settings, kind: "native", tun, udp: { address: listen.host.text, port: listen.port, mark: OWN_MARK },
      hip: hip?.udpPort === undefined ? undefined : { port: hip.udpPort }, ip: hip?.ipProtocol, clock: { nowMs: () => performance.now() },
      // Before the mappings of an earlier run are there, nobody is to begin others.
      onUpcalls: (upcalls) => void (this.#hasBegun && this.#run((proxy, nowMs) => proxy.handleUpcalls(nowMs, upcalls))), onFailure: this.#start.onFailure,
    });
    this.#engine = engine;
    this.#closers.push(() => {
      this.#proxy = undefined;
      this.#engine = undefined;
      engine.close();
    });
    this.#log("info", "engine", engineFields(engine));
    return engine;
  }

  /** Whether the way to a server, or the question for its name, may go to a gateway that only the ring leads to, or where others are not let. */
  #isRuled(host: string): boolean {
    const go = findRule(this.#rules, host.toLowerCase())?.go;
    return this.#addressRules.length > 0 || anonymousAsTheyAre(this.#rules, this.#config.dns.suffix) !== undefined || (go !== undefined && go !== "direct");
  }

  /** Past rules by address. */
  async #connectMarked(host: string, isName: boolean, port: number): Promise<Socket> {
    const [address = host] = isName ? await this.#lookup(host) : [host];
    return connectMarkedTcp(loadNativeIo(), { address, port, mark: OWN_MARK });
  }

  #systemView(io: NativeIo, resolvers: ResolverFiles): SystemView {
    const tunIndex = this.#engine?.tun?.index ?? 0;
    // Whoever has a say in virtual addresses, as gateways have, is not to take the place of these.
    const { dns, servers } = this.#config;
    const configured = [...dns.resolvers.map(({ host }) => host.bytes), ...servers.flatMap(({ host }) => (host.kind === "name" ? [] : [host.bytes]))];
    const view = new SystemView({ io, tunIndex: () => tunIndex, isOurs: (index) => this.#anonymous?.isTun(index) === true, resolvers: () => [...resolvers.resolvers.map((r) => r.address), ...configured] });
    this.#logOverlaps(view);
    return view;
  }

  /** Each overlap once. */
  #logOverlaps(view: SystemView): void {
    const { range } = this.#config.virtualAddresses;
    const overlaps = view.findOverlaps(range).map(overlapText);
    for (const overlap of overlaps) {
      if (this.#overlaps.includes(overlap)) continue;
      this.#log("warn", "overlap", { range: rangeText(range), with: overlap, remedy: "Its addresses are not given out. If names fail, choose another <virtual-addresses range>." });
    }
    this.#overlaps = overlaps;
  }

  /** Names of the book without a rule: once, until they are others. */
  #logUnruled(): void {
    const unruled = unruledNames(this.#book, this.#rules);
    const text = unruledText(unruled);
    if (text !== null && text !== this.#unruled) {
      this.#log("warn", "no-rule", { names: unruled.names, count: unruled.count, remedy: 'No rule matches these names of the address book, so they are not answered for here. Add one with go="i3".' });
    }
    this.#unruled = text;
  }

  #makeProxy(book: AddressBook, identity: HostIdentity, { content, journal, pins, zoneRecords }: KeptState, view: SystemView, datapath: Datapath): Proxy {
    const { virtualAddresses: { range }, mappings: { max, maxUnproven, lifetimeS, unprovenLifetimeS }, dns, rules, addressRules, access, publishedNames, zones } = this.#config;
    const random = pooledRandom();
    try {
      return new Proxy({
        identity, sharedKey: content.sharedKey, nearerKeys: content.nearerKeys, keepNearerKeys: (keys) => journal.keepNearerKeys(keys), lastOwn4: content.own4, leastGeneration: content.generation, keepGeneration: (generation) => journal.keepGeneration(generation), datapath, tunMtu: this.#config.tun.mtu, suffix: dns.suffix, rules, addressRules, access, hip: this.#config.hip, detourLink: this.#detour, rekeyAfterMs: this.#config.esp.rekeyAfterS * 1_000, publishedNames, randomBytes: random, wallMs: () => Date.now(), log: this.#log,
        pins, pinFile: pinFileOf(this.#config.state.directory), onPinned: () => this.#writePins(pins), zones, zoneRecords, port: this.#engine?.udp.port ?? 0, shortcutsToStrangers: this.#config.shortcuts.strangers,
        // Their addresses are guarded like those of the book.
        onZoneRecords: () => {
          this.#zoneFile.changed();
          this.#addresses.guardBookSoon();
        },
        onServer: () => this.#serverFile.changed(),
        onNetworks: () => this.#networks?.update(this.#proxy?.gateways.networks.ways ?? []),
        onCallGateway: (via) => this.#interception?.callGateway(via),
        onAskAgain: (name, family) => this.#interception?.askAgain(name, family),
        onRecord: (event) => {
          this.#list?.handleRecord(event);
          this.#published.handleRecord(event);
        },
        addresses: { range, isTaken: (address) => view.isTaken(address) || this.#takes(address), randomBytes: random },
        // Two flows a mapping; a quarter of a small range is left free, so that drawing an address does not take long.
        limits: { max: Math.min(max, LIMITS.flows / 2, (2 ** (32 - range.prefixBits) * 3) / 4), maxUnproven, lifetimeMs: lifetimeS * 1_000, unprovenLifetimeMs: unprovenLifetimeS * 1_000 },
        hooks: {
          allocated: (addresses) => {
            this.#addresses.allocated(addresses);
            this.#part?.allocated(addresses);
          },
          released: (addresses) => {
            this.#addresses.released(addresses);
            this.#part?.released(addresses);
          },
          changed: (mapping) => journal.put(mapping),
          removed: (mapping) => journal.remove(mapping),
        },
      }, book);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new I3Error("ERR_I3_RANGE_FULL", `no address of ${rangeText(range)} is free on this machine`, { cause, remedy: "Choose another <virtual-addresses range>." });
    }
  }

  /** Before there is a proxy, which draws its own address first, those of the configuration. */
  #takes(address: Uint8Array): boolean {
    return this.#proxy?.gateways.networks.takes(address) ?? takenBy(this.#addressRules, this.#config.virtualAddresses.range.prefixBits, address);
  }

  /** At once, so that a crash does not let another key be the first; and its addresses are guarded like those of the book. */
  #writePins(pins: Pins): void {
    try {
      writePins(pinFileOf(this.#config.state.directory), pins);
    } catch (error) {
      this.#log("error", "pins-failed", { error: errorLine(error) });
    }
    this.#addresses.guardBook();
  }

  #names({ names }: Proxy, resolvers: ResolverFiles): NameSource {
    const searches = new SearchNames({ domains: () => resolvers.searchDomains, keeps: (name, beside) => names.keeps(name, beside) });
    return {
      isKept: (name) => names.isKept?.(name) === true, isSearched: (name) => searches.isSearched(performance.now(), name), hides: (address) => this.#anonymous?.hides(address) === true,
      // Until the mappings of the last run are there, a question would make others in their place.
      resolve: (name) => (this.#hasBegun ? names.resolve(name) : "unavailable"), gatewayOf: (name) => (this.#hasBegun ? (names.gatewayOf?.(name) ?? null) : null), isAnonymous: (name) => this.#anonymous?.isOne(name) === true, reverse: (address) => names.reverse(address), told: (address) => this.#addresses.told(address),
      whenKnown: (name, done) => {
        this.#lookSoon ??= setImmediate(() => {
          this.#lookSoon = undefined;
          this.#run((proxy, nowMs) => proxy.handleTimer(nowMs));
        });
        return names.whenKnown?.(name, done) ?? (() => undefined);
      },
    };
  }

  /** Addresses of the TUN, and the ways to what programs were given before a crash. */
  #openRoutes(io: NativeIo, restored: readonly Uint8Array[]): void {
    const proxy = this.#proxy as Proxy;
    const tun = this.#engine?.tun;
    if (tun === null || tun === undefined) throw new RangeError("a proxy without a TUN");
    const own = [proxy.own4, proxy.own6];
    for (const address of own) io.addAddress({ index: tun.index, address, prefixBits: address.length * 8 });
    const routes = new VirtualRoutes({ io, tunIndex: tun.index, own, range: this.#config.virtualAddresses.range });
    routes.start(restored);
    this.#routes = routes;
    this.#closers.push(() => routes.close());
  }

  #openPlaces(io: NativeIo, { tun, udp }: RunningEngine): void {
    const machine = watchMachine({ io, tunIndex: tun?.index ?? 0, listen: this.#config.listen.host.bytes, log: this.#log, run: (work) => {
      this.#run(work);
      this.#anonymous?.moved();
    } });
    this.#closers.push(() => machine.close());
    if (!this.#config.shortcuts.portMapping) return;
    const { range } = this.#config.virtualAddresses;
    const isOurs = (address: Uint8Array): boolean => inRange(range, address) || this.#askedPlaces.some(({ addresses }) => addresses.some((own) => sameBytes(own, address)));
    const mapping = new PortMapping({ port: udp.port, log: this.#log, isOurs, onMapped: (key, locator) => this.#run((proxy, nowMs) => proxy.setMapped(nowMs, key, locator)) });
    this.#portMapping = mapping;
    this.#closers.push(() => mapping.close());
  }

  /** Routers are asked once packets may go past i3, and again when the machine is elsewhere. */
  #askRouters(): void {
    const places = this.#proxy?.ownPlaces;
    if (this.#portMapping === undefined || places === undefined || places === this.#askedPlaces) return;
    this.#askedPlaces = places;
    this.#portMapping.setPlaces(places.flatMap(({ key, family, gateway, addresses: [address] }) => (family === 4 && gateway?.length === 4 && address !== undefined ? [{ key, gateway, address }] : [])));
  }

  async #openInterception(io: NativeIo, view: SystemView, resolvers: ResolverFiles, restored: readonly Uint8Array[], engine: RunningEngine): Promise<void> {
    const proxy = this.#proxy as Proxy;
    const early: { nft?: NftRunner } = {};
    const anonymous = new AnonymousClients({
      io, config: this.#config, mark: OWN_MARK, nft: { run: (line) => (early.nft ?? interception).run(line) }, rules: this.#rules, book: () => this.#book, log: this.#log,
      servers: () => {
        const servers = proxy.client.servers().filter(({ locator }) => proxy.client.configuredServers().some((one) => sameLocator(one, locator)));
        const alive = servers.filter(({ liveness }) => liveness === "alive");
        return (alive.length > 0 ? alive : servers).map(({ locator }) => locator);
      },
      view,
    });
    const interception = await Interception.open({
      networks: () => this.#addressRules.flatMap(({ prefixes }) => prefixes), anonymous,
      beforePorts: async (nft) => {
        early.nft = nft;
        await this.#openNetworks(io, engine, nft);
        await anonymous.shut();
      },
      anonymousTuns: anonymousTuns(this.#config.tun.name),
      io, tunName: this.#engine?.tun?.name ?? "", mark: OWN_MARK, config: this.#config, names: this.#names(proxy, resolvers), gateways: proxy.gateways, own: [proxy.own4, proxy.own6], restored, resolvers, view, log: this.#log,
    });
    this.#interception = interception;
    this.#closers.push(() => interception.close());
    this.#closers.push(async () => await (this.#hasFailed ? this.#networks?.leave() : this.#networks?.close()));
    this.#closers.push(() => anonymous.close(this.#stopping));
    await anonymous.open();
    this.#anonymous = anonymous;
    this.#closers.push(() => this.#addresses.unguardBook());
    this.#addresses.guardBook();
    this.#onResolvers = () => {
      view.refresh();
      interception.update();
    };
  }

  /** Before anybody is waited for: what goes to gateways, or is refused, does so from now on. */
  async #openNetworks(io: NativeIo, { tun, udp }: RunningEngine, nft: NftRunner): Promise<void> {
    const proxy = this.#proxy;
    if (proxy === undefined || tun === null) return;
    const { hip, state, virtualAddresses } = this.#config;
    const ports = [udp.port, ...(hip?.udpPort === undefined ? [] : [hip.udpPort])];
    const { own4, own6, gateways: { networks } } = proxy;
    this.#networks = new Networks({
      io, nft, tunIndex: tun.index, tunName: tun.name, anonymousTuns: anonymousTuns(tun.name), own4, own6, range: virtualAddresses.range, mark: OWN_MARK, ports, hasIpProtocols: hip?.ipProtocol === true, stateDirectory: state.directory,
      keepOthers: (entries) => this.#routes?.keep(entries) ?? 0, log: this.#log,
    });
    await this.#networks.start(networks.ways);
  }

  #readList(): readonly Locator[] {
    const { serverList: config, state } = this.#config;
    if (config === undefined) return [];
    const list = new ListedServers({ config, copyFile: join(state.directory, "server-list"), log: this.#log, wallMs: () => Date.now(), run: (work) => this.#run((proxy, nowMs) => work(proxy.client, nowMs)) });
    this.#list = list;
    this.#closers.push(() => list.close());
    return list.read();
  }

  /** Calls the core, then sends what it left in the engine and sets the clock for its next deadline. */
  #run(work: (proxy: Proxy, nowMs: number) => void): void {
    const proxy = this.#proxy;
    if (proxy === undefined) return;
    work(proxy, performance.now());
    this.#addresses.settle();
    this.#settle();
  }

  /** What was left in the engine goes out, and the timer is set anew. */
  #settle(): void {
    const proxy = this.#proxy;
    if (proxy === undefined || this.#closers.length === 0) return;
    this.#engine?.settle();
    this.#askRouters();
    clearTimeout(this.#timer);
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, proxy.nextDeadlineMs() - performance.now()));
    this.#timer = setTimeout(() => this.#run((p, nowMs) => p.handleTimer(nowMs)), Math.ceil(sleepMs));
  }

  async #watch(view: SystemView): Promise<void> {
    const { addressBook } = this.#config;
    const config = await WatchedFile.open<Config>({
      file: this.#start.file, maxBytes: MAX_CONFIG_BYTES, parse: this.#start.parse, onUpdate: (update) => this.#onConfig(update),
    });
    this.#closers.push(() => config.close());
    // The start may have waited for servers, and the file was changed meanwhile.
    if (JSON.stringify(config.current) !== JSON.stringify(this.#config)) this.#onConfig({ ok: true, value: config.current });
    if (addressBook !== undefined) {
      const watched = await WatchedFile.open<AddressBook>({
        file: addressBook.file, maxBytes: MAX_ADDRESS_BOOK_BYTES, parse: parseAddressBook,
        onUpdate: (update) => this.#onBook(update),
      });
      if (JSON.stringify(watched.current) !== JSON.stringify(this.#book)) this.#onBook({ ok: true, value: watched.current });
      this.#closers.push(() => watched.close());
    }
    const changes = view.watch(() => {
      this.#logOverlaps(view);
      this.#anonymous?.routesChanged();
      this.#interception?.update();
      this.#run((proxy, nowMs) => {
        proxy.dropOverlapping(nowMs);
      });
      this.#addresses.guardBook();
    });
    this.#closers.push(() => changes.close());
  }

  #onBook(update: FileUpdate<AddressBook>): void {
    if (!update.ok) return this.#log("error", "address-book", { error: errorLine(update.error), remedy: "The last good address book stays in use." });
    this.#run((proxy) => proxy.setBook(update.value));
    this.#addresses.guardBook();
    this.#book = update.value;
    this.#anonymous?.setBook(update.value);
    this.#part?.setBook(update.value);
    this.#logUnruled();
    this.#log("info", "address-book", { entries: update.value.entries.length });
  }

  /** Rules and the access list act at once; everything else of the configuration is read at the start only, and the log says so. */
  #onConfig(update: FileUpdate<Config>): void {
    if (!update.ok) return this.#log("error", "config", { error: errorLine(update.error), remedy: "The last good configuration stays in use." });
    const { rules, addressRules, access } = update.value;
    this.#run((proxy, nowMs) => {
      proxy.setRules(nowMs, rules, addressRules);
      proxy.setAccess(nowMs, access);
      proxy.dropOverlapping(nowMs);
    });
    this.#rules = rules;
    this.#anonymous?.setRules(rules);
    this.#addressRules = addressRules;
    this.#interception?.update();
    this.#logUnruled();
    const own = Object.fromEntries((this.#part === undefined ? [] : this.#start.part?.elements ?? []).map((name) => [name, null]));
    const rest = (config: Config): string => JSON.stringify({ ...config, rules: [], addressRules: [], access: null, ...own });
    // It acts whatever else has changed.
    const isPartSame = this.#part?.setConfig(update.value) !== false;
    const isSame = rest(update.value) === rest(this.#config) && isPartSame;
    this.#log(isSame ? "info" : "warn", "config", { rules: rules.length + addressRules.length, ...(isSame ? {} : { remedy: "Rules and access are in use now; other changes act after a restart." }) });
  }
}
