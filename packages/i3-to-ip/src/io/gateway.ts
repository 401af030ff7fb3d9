/** The gateway beside its proxy: clients' questions, their servers' addresses, the packet filter and NAT of the system (docs/gateways.md). */
import { randomBytes } from "node:crypto";

import { bytesKey, errorLine, formatIpText, inRange, MAX_TRY, publicId, sameBytes, TokenBucket, type AddressBook, type GatewayConfig, type GatewayProxyConfig, type VirtualOption } from "@i3/common";
import { conntrackUse, endConntrackOf, type Nflog } from "@i3/datapath/io";
import {
  addressesOf, DnsListener, FewLines, passPackets, QuestionShares, readRouterSettings, restoreRouterSettings, routedFamilies, takeWholeTrains, type DaemonPart, type Mapping, type OpenPart, type PartHost, type RouterSettings,
} from "@i3/i3-proxy";

import { failedAnswer, GatewayDns, refusedAnswer, type RefusalReason } from "../dns/gateway-dns.js";
import { SECRET_BYTES, serverAddress, type AddressKey } from "../dns/server-address.js";
import { insideElement } from "../nat/gateway-table.js";
import { PacketFilter } from "../nat/packet-filter.js";
import { INSIDE_RANGE, Translations } from "../nat/translations.js";
import { DecisionLog } from "../policy/decision-log.js";
import { Grants } from "../policy/grants.js";
import { LedClients, type Led } from "../policy/led-clients.js";
import { readDecisions } from "./decisions.js";
import { readGatewayState, stateFileOf, writeGatewayState, type GatewayState } from "./gateway-state.js";
import { Nat } from "./nat.js";
import { AskedResolvers } from "./resolver.js";
import { SystemNetworks } from "./system-networks.js";

// Ours:
/** Of one client. */
const SHARES = { perSecond: 50, burst: 200, mostOfOne: 32, mostOfAll: 1_024 } as const;
const SWEEP_MS = 60_000;
const SAVE_MS = 5_000;
const TELL_MS = 2_000;
/** At their limits at once, that the kernel's table of connections should have room for. */
const CROWDED_CLIENTS = 16;
/** Of NFLOG: one for each gateway of a network namespace. */
const [LOG_GROUP, LOG_GROUPS] = [26_000, 1_000] as const;

/** Whose share all clients have together that nothing names: each can make any number of keys. */
const ANONYMOUS = new Uint8Array(16);

type Host = PartHost<GatewayProxyConfig>;

const REFUSED_REMEDY: Readonly<Record<RefusalReason, string>> = {
  own: "It is an address of this machine, of its virtual range, or none that a server can have: nobody is led there.",
  access: 'If the client may reach it, write an <allow> with that name and that network into <gateway>. Without networks="…" an entry means the internet alone.',
  full: "Too many servers are in use, of this client or of all; raise <gateway max-servers>.",
};

export class Gateway implements OpenPart<GatewayProxyConfig> {
  readonly ready: string;
  readonly #host: Host;
  readonly #stateFile: string;
  readonly #router: RouterSettings;
  readonly #key: AddressKey;
  readonly #translations: Translations;
  readonly #led: LedClients;
  readonly #shares = new QuestionShares(SHARES);
  readonly #filter: PacketFilter;
  readonly #nat: Nat;
  readonly #networks: SystemNetworks;
  readonly #resolvers: AskedResolvers;
  readonly #questions: DnsListener;
  readonly #dns: GatewayDns;
  readonly #lines = new FewLines();
  readonly #faultLines = new TokenBucket(1, 10);
  readonly #decisions: DecisionLog;
  readonly #logGroup: number;
  readonly #counts = { strangers: 0, unlisted: 0, led: 0, refused: { own: 0, access: 0, full: 0 }, failed: 0 };
  #config: GatewayConfig;
  #book: AddressBook;
  #grants: Grants;
  #reading: Nflog | undefined;
  #timers: readonly NodeJS.Timeout[] = [];
  #inside = "";
  #isSaved = true;
  #isOpen = false;

  private constructor(host: Host, state: GatewayState) {
    const { config, proxy, log, io, tun } = host;
    const { own4, own6 } = proxy;
    const { out, helpers, limits, maxServers } = config.gateway;
    this.#host = host;
    this.#stateFile = stateFileOf(config.state.directory);
    this.#router = state.router ?? readRouterSettings();
    this.#networks = new SystemNetworks({ io, out });
    this.#config = config.gateway;
    this.#book = host.book;
    this.#grants = this.#makeGrants();
    this.#key = { hit: own6, secret: state.secret ?? new Uint8Array(randomBytes(SECRET_BYTES)) };
    this.#translations = new Translations({ isOn: config.gateway.translates, key: this.#key, range: INSIDE_RANGE, set: (client, from, to) => host.datapath.setTranslation(client, from, to) });
    this.#led = new LedClients(maxServers, (hit) => this.#grants.isAnonymous(hit));
    this.#logGroup = LOG_GROUP + (tun.index % LOG_GROUPS);
    this.#nat = new Nat({
      settings: { tunName: tun.name, out, own4, own6, routed: routedFamilies(this.#router), helpers, limits, logGroup: this.#logGroup }, log,
      content: () => ({ sets: this.#filter.sets, elements: [...this.#networks.inside().map(insideElement), ...this.#filter.elements()] }),
    });
    this.#filter = new PacketFilter(this.#nat);
    this.#decisions = new DecisionLog({ log, shareOf: (client) => this.#shareAt(client), whoIs: (client) => this.#whoIs(client) });
    this.#resolvers = new AskedResolvers({ io, mark: host.mark, resolvers: host.resolvers });
    this.#questions = new DnsListener({
      // Reached over the overlay alone. Who asks is known by the address: only the holder of its key sends from it.
      own: [own4, own6], isClient: (from) => this.#clientAt(from) !== null, clientOf: (from) => ({ group: bytesKey(this.#shareAt(from)), key: bytesKey(from) }), answer: (from, message, transport) => this.#answer(from, message, transport),
      remedy: "A DNS server of this machine listens on all of its addresses: have it listen on those of its network alone.",
    });
    this.#dns = new GatewayDns({
      isOwn: (address) => this.#isGiven(address) || this.#networks.isLocal(address) || this.#isVirtual(address), hasIpv6: () => this.#networks.hasIpv6(),
      mayReach: (hit, name, real) => this.#grants.verdictsOf(hit, [name], real).length > 0,
      translates: () => config.gateway.translates, lead: (hit, name, real, option, bytes) => this.#lead(hit, name, real, option, bytes), onRefused: (hit, name, addresses, why) => this.#tellRefused(hit, name, addresses, why),
    });
    this.ready = `gateway=${out.join(",")}`;
    for (const led of state.led) this.#led.restore({ ...led, called: led.called.filter((called) => this.#translations.takes(called)) });
  }

  /** Rejects with I3Error. */
  static async open(host: Host): Promise<Gateway> {
    const gateway = new Gateway(host, readGatewayState(stateFileOf(host.config.state.directory)));
    try {
      await gateway.#start();
      return gateway;
    } catch (error) {
      await gateway.close();
      throw error;
    }
  }

  counters(): object {
    return {
      gateway: {
        ...this.#counts, servers: this.#led.size, translations: this.#translations.size, sets: this.#filter.sets.length, questions: this.#questions.counters, shares: this.#shares.counters, resolvers: this.#resolvers.counters, decisions: this.#reading?.counters(),
      },
    };
  }

  setConfig(config: GatewayProxyConfig): boolean {
    this.#config = config.gateway;
    this.#judgeAll();
    const rest = (one: GatewayConfig): string => JSON.stringify({ ...one, entries: null });
    return rest(this.#config) === rest(this.#host.config.gateway);
  }

  setBook(book: AddressBook): void {
    this.#book = book;
    this.#judgeAll();
  }

  /** A client that has been led somewhere before is here again, or one that may go by address. */
  allocated(addresses: readonly Uint8Array[]): void {
    const [address] = addresses;
    const mapping = address === undefined ? undefined : this.#host.proxy.mappings.byAddress(address);
    if (mapping !== undefined) this.#judgeClient(mapping);
  }

  /** Another client may get them: nothing of this one's is to be found there. */
  released(addresses: readonly Uint8Array[]): void {
    for (const address of addresses) this.#translations.release(address);
    for (const address of addresses.filter((one) => this.#filter.has(one))) {
      this.#filter.release(address);
      void this.#nat.settled().then(() => endConntrackOf(this.#host.io, address)).catch((error: unknown) => this.#host.log("warn", "conntrack", { error: errorLine(error) }));
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#questions.close();
    this.#resolvers.close();
    this.#reading?.close();
    await this.#nat.close();
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const end of [() => restoreRouterSettings(this.#router), () => this.#save(null)]) {
      try {
        end();
      } catch (error) {
        this.#host.log("warn", "gateway-left", { error: errorLine(error) });
      }
    }
  }

  async #start(): Promise<void> {
    const { proxy, log, io, tun } = this.#host;
    for (const group of this.#grants.emptyGroups()) log("warn", "no-group", { group, remedy: "<gateway> names this group, and no host of the address book is in it." });
    for (const why of this.#grants.oddities()) log("warn", "gateway-list", { why });
    const missing = this.#networks.missing();
    if (missing.length > 0) log("warn", "no-interface", { interfaces: missing, remedy: "<gateway out> names these, and they are not there: servers are not reached by them." });
    const [room, wanted] = [conntrackUse()?.max, this.#config.limits.connectionsPerClient * CROWDED_CLIENTS];
    if (room !== undefined && room < wanted) log("warn", "conntrack-room", { room, wanted, remedy: `${CROWDED_CLIENTS} clients with as many connections as <limits> lets them have would leave no room for others: raise net.netfilter.nf_conntrack_max of the system, or lower connections-per-client.` });
    this.#save(this.#router);
    this.#isOpen = true;
    for (const mapping of proxy.mappings.all()) this.#judgeAddresses(mapping);
    this.#inside = JSON.stringify(this.#networks.inside());
    await this.#nat.open();
    // Nothing passes before the filter is there.
    this.#judgeAll();
    passPackets(this.#router, this.#config.out);
    takeWholeTrains(io, tun.index);
    this.#reading = readDecisions({ io, group: this.#logGroup, decisions: this.#decisions, log });
    await this.#questions.open();
    this.#timers = [setInterval(() => this.#sweep(), SWEEP_MS), setInterval(() => this.#saveChanges(), SAVE_MS), setInterval(() => this.#look(), TELL_MS)];
  }

  /** The HIT of a client at an address, if only the holder of its key can send from there. */
  #clientAt(from: Uint8Array): Uint8Array | null {
    const mapping = this.#host.proxy.mappings.byAddress(from);
    return mapping?.isKeyed === true ? mapping.peerHit : null;
  }

  #shareOf(hit: Uint8Array): Uint8Array {
    return this.#grants.isAnonymous(hit) ? ANONYMOUS : hit;
  }

  #shareAt(client: Uint8Array): Uint8Array {
    const hit = this.#host.proxy.mappings.byAddress(client)?.peerHit ?? null;
    return hit === null ? client : this.#shareOf(hit);
  }

  async #answer(from: Uint8Array, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    const hit = this.#clientAt(from);
    if (hit === null) {
      this.#counts.strangers += 1;
      return null;
    }
    const share = this.#shareOf(hit);
    if (!this.#shares.begin(performance.now(), bytesKey(share))) return null;
    try {
      return await this.#answerTo(hit, message, transport);
    } catch (error) {
      this.#counts.failed += 1;
      if (this.#faultLines.take(performance.now())) this.#host.log("warn", "unanswered", { error: errorLine(error) });
      return null;
    } finally {
      this.#shares.end(bytesKey(share));
    }
  }

  async #answerTo(hit: Uint8Array, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    const verdict = this.#dns.read(message, transport);
    if (verdict.kind === "drop") return null;
    if (verdict.kind === "answer") return verdict.bytes;
    const { question } = verdict;
    if (!this.#grants.mayAsk(hit, question.name)) {
      this.#counts.unlisted += 1;
      return refusedAnswer(question);
    }
    const answers = await Promise.all(question.types.map((type) => this.#resolvers.ask(question.name, type)));
    const bytes = this.#dns.answer(hit, question, answers);
    this.#host.run(() => undefined);
    try {
      // Before the client hears of an address, packets for it pass.
      await this.#nat.settled();
      return bytes;
    } catch {
      this.#counts.failed += 1;
      return failedAnswer(question);
    }
  }

  /** Null: there is no room for one more, or the client has another server there. */
  #lead(hit: Uint8Array, name: string, real: Uint8Array, option: VirtualOption, bytes: 4 | 16): Uint8Array | null {
    const { proxy } = this.#host;
    const mapping = proxy.mappings.byPeer(publicId(hit));
    // The client asks for another try only when it has the address itself; what is taken here is passed over.
    for (let { tries } = option; mapping !== undefined && tries <= MAX_TRY; tries += 1) {
      const virtual = serverAddress(this.#key, real, { ...option, tries }, bytes);
      if (this.#isOwn(virtual)) continue;
      const called = this.#led.calledBy(hit, real, virtual) ?? this.#translations.calledFor(virtual, real);
      const found = called === null ? "taken" : this.#led.lead(Date.now(), hit, real, called, name);
      if (found === "taken") continue;
      if (found === "full") return null;
      this.#isSaved = false;
      this.#counts.led += 1;
      for (const gone of found.gone) this.#forget(gone);
      this.#judge(found.led, mapping);
      return virtual;
    }
    return null;
  }

  #makeGrants(): Grants {
    return new Grants(this.#config, this.#book, (address) => this.#networks.isInside(address));
  }

  #judgeAll(): void {
    this.#grants = this.#makeGrants();
    this.#led.regrade();
    for (const mapping of this.#host.proxy.mappings.all()) this.#judgeClient(mapping);
    this.#nat.removeSets(this.#filter.takeUnused());
    this.#host.run(() => undefined);
  }

  /** What the list says of a client is what the filter does, from now on. */
  #judgeClient(mapping: Mapping): void {
    if (!this.#judgeAddresses(mapping)) return;
    // What comes before nftables knows the client it would refuse, which ends a connection that is being made; the engine drops it, and it comes again.
    const forward = (): void => this.#host.run(({ mappings }) => {
      if (mappings.byAddress(mapping.local4) === mapping) this.#host.proxy.setForwarding(mapping, true);
    });
    void this.#nat.settled().then(forward, forward);
  }

  /** Whether the client may send anything beyond this host. */
  #judgeAddresses(mapping: Mapping): boolean {
    const hit = mapping.peerHit;
    if (hit === null) return false;
    this.#share(mapping, hit);
    const led = this.#led.of(hit).map((one) => this.#judgeOne(one, mapping));
    const places = addressesOf(mapping).map((address) => this.#filter.judgePlaces(address, this.#grants.addressVerdictsOf(hit)));
    return [...led, ...places].includes(true);
  }

  #share(mapping: Mapping, hit: Uint8Array): void {
    const isAnonymous = this.#grants.isAnonymous(hit);
    for (const address of addressesOf(mapping)) this.#filter.share(address, isAnonymous);
  }

  #judge(led: Led, mapping: Mapping): void {
    this.#share(mapping, led.hit);
    if (this.#judgeOne(led, mapping)) this.#host.proxy.setForwarding(mapping, true);
  }

  #judgeOne(led: Led, mapping: Mapping): boolean {
    const client = clientAddress(mapping, led.real);
    // Also of one that it may not reach any more: what ends its connections is translated too.
    this.#translations.tell(addressesOf(mapping), led);
    return client !== null && this.#filter.judge(client, led, this.#grants.verdictsOf(led.hit, led.names, led.real));
  }

  #forget(led: Led): void {
    const mapping = this.#host.proxy.mappings.byPeer(publicId(led.hit));
    if (mapping === undefined) return;
    this.#translations.forget(addressesOf(mapping), led);
    const client = clientAddress(mapping, led.real);
    if (client !== null) this.#filter.forget(client, led);
  }

  #isOwn(address: Uint8Array): boolean {
    const { own4, own6 } = this.#host.proxy;
    return sameBytes(own4, address) || sameBytes(own6, address);
  }

  /** To this host, or to a client. */
  #isGiven(address: Uint8Array): boolean {
    return this.#isOwn(address) || this.#host.proxy.mappings.byAddress(address) !== undefined;
  }

  /** Of the virtual range, and no network that is really there has it. */
  #isVirtual(address: Uint8Array): boolean {
    const { config: { virtualAddresses: { range } }, view } = this.#host;
    return address.length === 4 && inRange(range, address) && !view.isTaken(address);
  }

  #whoIs(client: Uint8Array): { readonly name: string | null; readonly hit: Uint8Array | null } {
    const mapping = this.#host.proxy.mappings.byAddress(client);
    return { name: mapping?.name ?? null, hit: mapping?.peerHit ?? null };
  }

  #tellRefused(hit: Uint8Array, name: string, addresses: readonly string[], why: RefusalReason): void {
    this.#counts.refused[why] += 1;
    if (!this.#lines.take(performance.now(), hit)) return;
    this.#host.log("info", "not-led", { client: this.#host.proxy.mappings.byPeer(publicId(hit))?.name ?? null, hit: formatIpText(hit), name, addresses, why, remedy: REFUSED_REMEDY[why] });
  }

  #sweep(): void {
    const ended = this.#led.takeEnded(Date.now());
    for (const led of ended) this.#forget(led);
    if (ended.length > 0) this.#isSaved = false;
  }

  #look(): void {
    this.#decisions.tellMore(performance.now());
    let inside = this.#inside;
    try {
      inside = JSON.stringify(this.#networks.inside());
    } catch {
      // Too many routes, or a table that never stands still: as it was.
    }
    if (inside === this.#inside) return;
    this.#inside = inside;
    this.#judgeAll();
    this.#nat.remake();
  }

  #saveChanges(): void {
    if (this.#isSaved) return;
    try {
      this.#save(this.#router);
    } catch (error) {
      this.#host.log("error", "gateway-state", { error: errorLine(error) });
    }
  }

  #save(router: RouterSettings | null): void {
    writeGatewayState(this.#stateFile, { router, secret: this.#key.secret, led: [...this.#led.all()] });
    this.#isSaved = true;
  }
}

const clientAddress = ({ local4, local6 }: Mapping, { length }: Uint8Array): Uint8Array | null => (length === 4 ? local4 : local6);

export const GATEWAY_PART: DaemonPart<GatewayProxyConfig> = { elements: ["gateway"], open: (host) => Gateway.open(host) };
