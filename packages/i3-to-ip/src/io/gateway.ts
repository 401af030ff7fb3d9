/** The gateway beside its proxy: clients' questions, their servers' addresses, the packet filter and NAT of the system (docs/gateways.md). */
import { errorLine, formatIpText, I3Error, inRange, publicId, sameBytes, type AddressBook, type GatewayConfig, type GatewayProxyConfig } from "@i3/common";
import { endConntrackOf, type Nflog } from "@i3/datapath/io";
import { FewLines, NftElements, NftSession, replaceTable, type DaemonPart, type Mapping, type OpenPart, type PartHost } from "@i3/i3-proxy";

import { GatewayDns, refusedAnswer, type RefusalReason } from "../dns/gateway-dns.js";
import { ServerLeases } from "../leases/server-leases.js";
import { addSet, gatewayTable, grantElement, placeElement, removeSet, serverElement, tableBody, type TableElement } from "../nat/gateway-table.js";
import { DecisionLog } from "../policy/decision-log.js";
import { Grants } from "../policy/grants.js";
import { LedClients, type Led } from "../policy/led-clients.js";
import { QuestionShares } from "../policy/question-shares.js";
import { RuleSets, type RuleSet } from "../policy/rule-sets.js";
import { ClientQuestions } from "./client-questions.js";
import { readDecisions } from "./decisions.js";
import { readGatewayState, stateFileOf, writeGatewayState, type GatewayState } from "./gateway-state.js";
import { AskedResolvers } from "./resolver.js";
import { passPackets, readRouterSettings, restoreRouterSettings, type RouterSettings } from "./router-settings.js";
import { SystemNetworks } from "./system-networks.js";

// Ours:
/** Pairs of client and server, of all clients. */
const MOST_LED = 65_536;
const SWEEP_MS = 60_000;
const SAVE_MS = 5_000;
const TELL_MS = 2_000;
/** Of NFLOG: one for each gateway of a network namespace. */
const [LOG_GROUP, LOG_GROUPS] = [26_000, 1_000] as const;

/** For what only the key of an element is asked. */
const NO_SET: RuleSet = { number: 0, verdicts: [] };

type Host = PartHost<GatewayProxyConfig>;

const REFUSED_REMEDY: Readonly<Record<RefusalReason, string>> = {
  own: "It is an address of this machine, of its virtual range, or none that a server can have: nobody is led there.",
  access: 'If the client may reach it, write an <allow> with that name and that network into <gateway>. Without networks="…" an entry means the internet alone.',
  full: "Too many servers or names are in use; raise <gateway max-servers>.",
};

export class Gateway implements OpenPart<GatewayProxyConfig> {
  readonly ready: string;
  readonly #host: Host;
  readonly #stateFile: string;
  readonly #router: RouterSettings;
  readonly #leases: ServerLeases;
  readonly #led = new LedClients(MOST_LED);
  readonly #shares = new QuestionShares();
  readonly #sets: RuleSets;
  readonly #nft: NftSession;
  readonly #elements: NftElements;
  readonly #networks: SystemNetworks;
  readonly #resolvers: AskedResolvers;
  readonly #questions: ClientQuestions;
  readonly #dns: GatewayDns;
  readonly #lines = new FewLines();
  readonly #counts = { strangers: 0, unlisted: 0, led: 0, refused: { own: 0, access: 0, full: 0 }, failed: 0 };
  /** That the table has chains of. */
  readonly #chains = new Set<RuleSet>();
  /** Keys of `granted` by client address, as nft writes them. */
  readonly #granted = new Map<string, Map<string, string>>();
  /** Client addresses in `places`. */
  readonly #placed = new Set<string>();
  #config: GatewayConfig;
  #book: AddressBook;
  #grants: Grants;
  #hasTable = false;
  readonly #logGroup: number;
  readonly #decisions: DecisionLog;
  #reading: Nflog | undefined;
  #timers: NodeJS.Timeout[] = [];
  #isSaved = true;

  private constructor(host: Host, state: GatewayState) {
    const { config, proxy, log, io } = host;
    this.#host = host;
    this.#stateFile = stateFileOf(config.state.directory);
    this.#router = state.router ?? readRouterSettings();
    this.#config = config.gateway;
    this.#book = host.book;
    this.#grants = new Grants(this.#config, this.#book);
    this.#networks = new SystemNetworks({ io, out: config.gateway.out });
    this.#leases = new ServerLeases({ hit: proxy.own6, most: config.gateway.maxServers, isTaken: (address) => this.#isGiven(address) });
    this.#sets = new RuleSets(state.lastSet);
    this.#nft = new NftSession({ log });
    this.#elements = new NftElements(this.#nft, { table: gatewayTable(host.tun.name), coalesceMs: 0, onError: (error) => log("error", "nft", { error: errorLine(error), remedy: "Clients are told of no new servers until nft takes changes again." }) });
    this.#resolvers = new AskedResolvers({ io, mark: host.mark, resolvers: host.resolvers, log });
    this.#questions = new ClientQuestions({ own: [proxy.own4, proxy.own6], answer: (from, message, transport) => this.#answer(from, message, transport) });
    this.#dns = new GatewayDns({
      leases: this.#leases, isOwn: (address) => this.#isGiven(address) || this.#networks.isLocal(address) || this.#isVirtual(address), hasIpv6: () => this.#networks.hasIpv6(),
      mayReach: (hit, name, real) => this.#grants.verdictsOf(hit, [name], real).length > 0,
      onLeased: (hit, name, real, virtual) => this.#lead(hit, name, real, virtual),
      onRefused: (hit, name, addresses, why) => this.#tellRefused(hit, name, addresses, why),
    });
    this.#logGroup = LOG_GROUP + (host.tun.index % LOG_GROUPS);
    this.#decisions = new DecisionLog({ log, whoIs: (client) => this.#whoIs(client) });
    this.ready = `gateway=${config.gateway.out.join(",")}`;
    for (const lease of state.leases) this.#leases.restore(lease);
    for (const led of state.led) this.#led.restore(led);
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
        ...this.#counts, servers: this.#leases.size, pairs: this.#led.size, sets: this.#chains.size, questions: this.#questions.counters, shares: this.#shares.counters, resolvers: this.#resolvers.counters, decisions: this.#reading?.counters(),
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

  /** A client that has been led somewhere before is here again. */
  allocated(addresses: readonly Uint8Array[]): void {
    const [address] = addresses;
    const mapping = address === undefined ? undefined : this.#host.proxy.mappings.byAddress(address);
    if (mapping === undefined || mapping.peerHit === null) return;
    for (const led of this.#led.of(mapping.peerHit)) this.#judge(led, mapping);
    this.#judgePlaces(mapping);
  }

  /** Another client may get them: nothing of this one's is to be found there. */
  released(addresses: readonly Uint8Array[]): void {
    for (const address of addresses) {
      const client = formatIpText(address);
      const granted = this.#granted.get(client);
      if (granted === undefined && !this.#placed.has(client)) continue;
      this.#setPlaces(address, null);
      for (const [key, set] of granted ?? []) this.#elements.set(set, key, null);
      this.#granted.delete(client);
      void this.#elements.settled().then(() => endConntrackOf(this.#host.io, address)).catch((error: unknown) => this.#host.log("warn", "conntrack", { error: errorLine(error) }));
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    await this.#questions.close();
    this.#resolvers.close();
    this.#reading?.close();
    await this.#elements.settled().catch(() => undefined);
    // The table stays: without it the system would answer servers for its clients.
    await this.#nft.close();
    try {
      restoreRouterSettings(this.#router);
      this.#save(null);
    } catch (error) {
      this.#host.log("warn", "gateway-left", { error: errorLine(error) });
    }
  }

  async #start(): Promise<void> {
    const { config: { gateway: { out, helpers } }, proxy, tun, log } = this.#host;
    for (const group of this.#grants.emptyGroups()) log("warn", "no-group", { group, remedy: "<gateway> names this group, and no host of the address book is in it." });
    const missing = this.#networks.missing();
    if (missing.length > 0) log("warn", "no-interface", { interfaces: missing, remedy: "<gateway out> names these, and they are not there: servers are not reached by them." });
    this.#save(this.#router);
    const elements: TableElement[] = this.#leases.all().map(({ real, virtual }) => serverElement(virtual, real));
    for (const led of this.#led.all()) {
      const mapping = this.#mappingOf(led);
      const element = mapping === undefined ? null : this.#elementOf(led, mapping);
      if (element === null || mapping === undefined) continue;
      elements.push(element);
      proxy.setForwarding(mapping, true);
    }
    for (const mapping of proxy.mappings.all()) {
      const set = this.#placesOf(mapping);
      if (set === null) continue;
      const placed = addressesOf(mapping).map((address) => placeElement(address, set));
      for (const { key } of placed) this.#placed.add(key);
      elements.push(...placed);
      proxy.setForwarding(mapping, true);
    }
    this.#host.run(() => undefined);
    const wasRouter = this.#router.forward4 === "1" || (this.#router.forward6 ?? "0") !== "0";
    await this.#nft.run(replaceTable(gatewayTable(tun.name), tableBody({ tunName: tun.name, out, own4: proxy.own4, own6: proxy.own6, wasRouter, helpers, logGroup: this.#logGroup }, this.#chains, elements)));
    this.#hasTable = true;
    for (const { set, key, value } of elements) this.#elements.told(set, key, value);
    this.#reading = readDecisions({ io: this.#host.io, group: this.#logGroup, decisions: this.#decisions, log });
    passPackets(this.#router, out);
    await this.#questions.open();
    this.#timers = [setInterval(() => this.#sweep(), SWEEP_MS), setInterval(() => this.#saveChanges(), SAVE_MS), setInterval(() => this.#decisions.tellMore(performance.now()), TELL_MS)];
  }

  async #answer(from: Uint8Array, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    const mapping = this.#host.proxy.mappings.byAddress(from);
    const hit = mapping?.isKeyed === true ? mapping.peerHit : null;
    if (hit === null) {
      this.#counts.strangers += 1;
      return null;
    }
    if (!this.#shares.begin(performance.now(), hit)) return null;
    try {
      return await this.#answerTo(hit, message, transport);
    } catch (error) {
      this.#counts.failed += 1;
      if (!(error instanceof I3Error)) this.#host.log("error", "internal", { error: errorLine(error) });
      return null;
    } finally {
      this.#shares.end(hit);
    }
  }

  async #answerTo(hit: Uint8Array, message: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | null> {
    const verdict = this.#dns.read(message, transport);
    if (verdict.kind === "drop") return null;
    if (verdict.kind === "answer") return verdict.bytes;
    const { question } = verdict;
    if (!this.#grants.admits(hit)) {
      this.#counts.unlisted += 1;
      return refusedAnswer(question);
    }
    const answers = await Promise.all(question.types.map((type) => this.#resolvers.ask(question.name, type)));
    const bytes = this.#dns.answer(Date.now(), hit, question, answers);
    this.#host.run(() => undefined);
    // Before the client hears of an address, packets for it pass.
    await this.#elements.settled();
    return bytes;
  }

  /** False: there is no room for one more. */
  #lead(hit: Uint8Array, name: string, real: Uint8Array, virtual: Uint8Array): boolean {
    const mapping = this.#host.proxy.mappings.byPeer(publicId(hit));
    const found = mapping === undefined ? null : this.#led.lead(Date.now(), hit, real, name);
    if (mapping === undefined || found === null) return false;
    this.#isSaved = false;
    this.#counts.led += 1;
    if (found.gone !== null) this.#forget(found.gone);
    const { set, key, value } = serverElement(virtual, real);
    this.#elements.set(set, key, value);
    this.#judge(found.led, mapping);
    return true;
  }

  #judgeAll(): void {
    this.#grants = new Grants(this.#config, this.#book);
    for (const led of this.#led.all()) {
      const mapping = this.#mappingOf(led);
      if (mapping !== undefined) this.#judge(led, mapping);
    }
    for (const mapping of this.#host.proxy.mappings.all()) this.#judgePlaces(mapping);
    this.#dropUnusedSets();
    this.#host.run(() => undefined);
  }

  /** Chains of rule sets that no pair has any more go, behind what still named them. */
  #dropUnusedSets(): void {
    const inUse = new Set([...[...this.#led.all()].map((led) => this.#setOf(led)), ...[...this.#host.proxy.mappings.all()].map((mapping) => this.#placesOf(mapping))].filter((set) => set !== null));
    const gone = this.#sets.forgetOthers(inUse).filter((set) => this.#chains.delete(set));
    if (gone.length === 0) return;
    void this.#elements.settled().then(() => this.#nft.run(gone.map((set) => removeSet(this.#host.tun.name, set)).join(" "))).catch((error: unknown) => this.#host.log("warn", "nft", { error: errorLine(error) }));
  }

  /** What the list says of a pair is what the filter does, from now on. */
  #judge(led: Led, mapping: Mapping): void {
    const element = this.#elementOf(led, mapping);
    if (element === null) return this.#forget(led);
    this.#elements.set(element.set, element.key, element.value);
    this.#host.proxy.setForwarding(mapping, true);
  }

  /** What a client may send to servers' own addresses. */
  #judgePlaces(mapping: Mapping): void {
    const set = this.#placesOf(mapping);
    for (const address of addressesOf(mapping)) this.#setPlaces(address, set);
    if (set !== null) this.#host.proxy.setForwarding(mapping, true);
  }

  #setPlaces(client: Uint8Array, set: RuleSet | null): void {
    const element = placeElement(client, set ?? NO_SET);
    if (set === null) this.#placed.delete(element.key);
    else this.#placed.add(element.key);
    this.#elements.set(element.set, element.key, set === null ? null : element.value);
  }

  #placesOf({ peerHit }: Mapping): RuleSet | null {
    const verdicts = peerHit === null ? [] : this.#grants.addressVerdictsOf(peerHit);
    return verdicts.length === 0 ? null : this.#withChain(this.#sets.of(verdicts));
  }

  #forget(led: Led): void {
    const mapping = this.#mappingOf(led);
    const client = mapping === undefined ? null : clientAddress(mapping, led.real);
    if (client === null) return;
    const { set, key } = grantElement(client, led.real, NO_SET);
    this.#elements.set(set, key, null);
    this.#granted.get(formatIpText(client))?.delete(key);
  }

  #elementOf(led: Led, mapping: Mapping): TableElement | null {
    const [set, client] = [this.#setOf(led), clientAddress(mapping, led.real)];
    if (set === null || client === null) return null;
    const element = grantElement(client, led.real, set);
    const text = formatIpText(client);
    const keys = this.#granted.get(text) ?? new Map<string, string>();
    this.#granted.set(text, keys.set(element.key, element.set));
    return element;
  }

  #setOf({ hit, names, real }: Led): RuleSet | null {
    const verdicts = this.#grants.verdictsOf(hit, names, real);
    return verdicts.length === 0 ? null : this.#withChain(this.#sets.of(verdicts));
  }

  #withChain(set: RuleSet | null): RuleSet | null {
    if (set === null || this.#chains.has(set)) return set;
    this.#chains.add(set);
    // A chain that the table is made with, at the start, stands in its body.
    if (this.#hasTable) void this.#nft.run(addSet(this.#host.tun.name, set, this.#logGroup)).catch((error: unknown) => this.#host.log("error", "nft", { error: errorLine(error) }));
    return set;
  }

  #mappingOf({ hit }: Led): Mapping | undefined {
    return this.#host.proxy.mappings.byPeer(publicId(hit));
  }

  /** To this host, or to a client. */
  #isGiven(address: Uint8Array): boolean {
    const { own4, own6, mappings } = this.#host.proxy;
    return sameBytes(own4, address) || sameBytes(own6, address) || mappings.byAddress(address) !== undefined;
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
    const nowMs = Date.now();
    for (const { real, virtual } of this.#leases.takeEnded(nowMs)) {
      const { set, key } = serverElement(virtual, real);
      this.#elements.set(set, key, null);
      this.#isSaved = false;
    }
    for (const led of this.#led.takeEnded(nowMs)) {
      this.#forget(led);
      this.#isSaved = false;
    }
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
    writeGatewayState(this.#stateFile, { lastSet: this.#sets.last, router, leases: this.#leases.all(), led: [...this.#led.all()] });
    this.#isSaved = true;
  }
}

const addressesOf = ({ local4, local6 }: Mapping): readonly Uint8Array[] => (local6 === null ? [local4] : [local4, local6]);
const clientAddress = ({ local4, local6 }: Mapping, { length }: Uint8Array): Uint8Array | null => (length === 4 ? local4 : local6);

export const GATEWAY_PART: DaemonPart<GatewayProxyConfig> = { elements: ["gateway"], open: (host) => Gateway.open(host) };
