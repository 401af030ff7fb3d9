/**
 * One anonymous name (docs/anonymity.md): a whole proxy for it alone, with a key, an engine, a UDP port, a TUN and addresses of its own, all of them new and none of them kept. It knows
 * nothing of the machine's own proxy, so that nothing of that can come out of it.
 */
import { randomBytes, randomInt } from "node:crypto";
import { bytesKey, locatorKey, type AddressBook, type AddressRange, type Locator, type Log, type ProxyConfig } from "@i3/common";
import { openEngine, type RunningEngine } from "@i3/datapath/io";
import type { NativeIo } from "@i3/datapath/native-io";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { generateHostIdentity, generateTriggerKey, withP256 } from "@i3/hip";

import { bookOf, rulesOf, type AnonymousTarget } from "../anonymous/anonymous-names.js";
import { RCODE } from "../dns/dns-answer.js";
import type { NameSource } from "../dns/dns-core.js";
import { HEADER_BYTES, readQuestion, readUint16 } from "../dns/question.js";
import { readRecords } from "../dns/records.js";
import { ownQuery } from "../gateways/gateway-messages.js";
import { Pins } from "../policy/pins.js";
import { Proxy } from "../proxy.js";
import type { AnonymousGuard } from "./anonymous-guard.js";
import { WaitingQuestions } from "./dns-port-waiting.js";
import { GatewayUpstream } from "./gateway-upstream.js";
import { leaveRing, until } from "./ring-waits.js";
import { VirtualRoutes } from "./virtual-routes.js";

// Ours:
/** A server that has not answered by then is joined by another one, at random too. */
const NEXT_SERVER_MS = 1_000;
const MAX_SERVERS = 4;
const MAX_SLEEP_MS = 1_000;
/** It calls one host, and nobody calls it. */
const MAX_MAPPINGS = 4;
const TYPE_A = 1;

export interface InstanceOptions {
  readonly io: NativeIo;
  readonly config: ProxyConfig;
  readonly target: AnonymousTarget;
  readonly book: AddressBook;
  /** Those of the ring that may be chosen; asked whenever one is needed. */
  readonly servers: () => readonly Locator[];
  readonly tunName: string;
  /** SO_MARK of what goes past all TUNs. */
  readonly mark: number;
  readonly guard: AnonymousGuard;
  /** Nobody else here has addresses of it. */
  readonly range: AddressRange;
  /** Without anything that tells what was asked for: {@link untelling}. */
  readonly log: Log;
  /** Its engine has broken. */
  readonly onFailure: (instance: AnonymousInstance) => void;
}

/** What a program hears of a name: addresses of 4 bytes. */
export interface AnonymousAnswer {
  readonly rcode: number;
  readonly addresses: readonly Uint8Array[];
}

const FAILED: AnonymousAnswer = { rcode: RCODE.serverFailure, addresses: [] };

/** Lines of an instance name hosts, keys and ids: none of that comes into the log, at any level. That something happened does, at "debug". */
export const untelling = (log: Log): Log => (_level, event) => log("debug", "anonymous-line", { of: event });

export class AnonymousInstance {
  readonly #options: InstanceOptions;
  readonly #given = new Map<string, Uint8Array>();
  /** What ends each question that waits. */
  readonly #asked = new Set<() => void>();
  #book: AddressBook;
  #engine: RunningEngine | undefined;
  #proxy: Proxy | undefined;
  #routes: VirtualRoutes | undefined;
  #upstream: GatewayUpstream | undefined;
  #waiting: WaitingQuestions | undefined;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #isClosed = false;

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.#book = options.book;
  }

  /** Once. Rejects (I3Error, RangeError, what the system says) when any part of it cannot be made, or no server answers; nothing of it stays then. */
  async open(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      this.close();
      for (const address of this.#given.values()) this.#options.guard.remove(address);
      throw error;
    }
  }

  get tunIndex(): number {
    return this.#engine?.tun?.index ?? 0;
  }

  get tunName(): string {
    return this.#options.tunName;
  }

  /** All that it has or had: 4 bytes each. */
  addresses(): readonly Uint8Array[] {
    return [...this.#given.values()];
  }

  get range(): AddressRange {
    return this.#options.range;
  }

  /** When a program last sent something, or it was last heard, by the monotonic clock in ms; -Infinity: never. */
  lastUseMs(): number {
    const [proxy, datapath] = [this.#proxy, this.#engine?.datapath];
    if (proxy === undefined || datapath === undefined) return -Infinity;
    const addresses = [...Array.from(proxy.mappings.all(), ({ local4 }) => local4), ...Array.from(proxy.gateways.servers.all(), ({ address }) => address)];
    return addresses.reduce((last, address) => Math.max(last, datapath.lastUse(address) ?? -Infinity), -Infinity);
  }

  /** Its own address on the TUN, 4 bytes; null: there is none yet, or no more. */
  get own4(): Uint8Array | null {
    return this.#proxy?.own4 ?? null;
  }

  /** What its name stands for now; it fails when this ends. Never rejects. */
  lookUp(): Promise<AnonymousAnswer> {
    const { name, via } = this.#options.target;
    return new Promise((resolve) => {
      const fail = (): void => resolve(FAILED);
      if (this.#isClosed) return fail();
      this.#asked.add(fail);
      void (via === null ? this.#lookUpHost(name) : this.#askGateway(name, via)).then(resolve, fail).finally(() => this.#asked.delete(fail));
    });
  }

  /** Before it is open too. */
  setBook(book: AddressBook): void {
    this.#book = book;
    this.#run((proxy) => proxy.setBook(bookOf(book, this.#options.target)));
  }

  /** The machine is elsewhere. */
  moved(): void {
    this.#run((proxy, nowMs) => proxy.awake(nowMs));
  }

  /** The far end hears that it goes, and the ring forgets it; then {@link close}. */
  async leave(): Promise<void> {
    if (this.#proxy !== undefined) await leaveRing(this.#proxy, (work) => this.#run(work), () => this.#isClosed);
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#soon);
    this.#upstream?.close();
    this.#waiting?.close();
    // Those that ask there are told nothing.
    for (const fail of this.#asked) fail();
    this.#proxy = undefined;
    for (const address of this.#given.values()) this.#routes?.remove(address);
    if (this.#engine === undefined) return;
    this.#options.guard.removePort(this.#engine.udp.port);
    this.#engine.close();
  }

  async #open(): Promise<void> {
    const { io, config, target, mark, tunName, guard, range, log } = this.#options;
    const { tun, listen, engine: settings, mappings: { lifetimeS, unprovenLifetimeS }, esp, dns, zones } = config;
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
    const engine = await openEngine({
      ...settings, kind: "native", workers: 1, tun: { ...tun, name: tunName }, udp: { address: listen.host.text, port: 0, mark }, clock: { nowMs: () => performance.now() },
      onUpcalls: (upcalls) => this.#run((proxy, nowMs) => proxy.handleUpcalls(nowMs, upcalls)), onFailure: () => this.#options.onFailure(this),
    });
    this.#engine = engine;
    if (engine.tun === null) throw new RangeError("an instance without a TUN");
    const proxy = new Proxy({
      identity: withP256(generateHostIdentity(), loadNativeP256()), isHidden: true, sharedKey: generateTriggerKey(), nearerKeys: [], keepNearerKeys: () => undefined, datapath: engine.datapath, tunMtu: tun.mtu,
      addresses: { range, isTaken: () => false, randomBytes: random }, lastOwn4: null, leastGeneration: 0n, keepGeneration: () => undefined,
      limits: { max: MAX_MAPPINGS, maxUnproven: 0, lifetimeMs: lifetimeS * 1_000, unprovenLifetimeMs: unprovenLifetimeS * 1_000 },
      hooks: { allocated: (addresses) => this.#allocated(addresses), released: (addresses) => this.#released(addresses), changed: () => undefined, removed: () => undefined },
      suffix: dns.suffix, rules: rulesOf(target), pins: new Pins(), pinFile: "", onPinned: () => undefined, publishedNames: [], access: { default: "refuse", entries: [] }, shortcutsToStrangers: false, port: engine.udp.port,
      rekeyAfterMs: esp.rekeyAfterS * 1_000, zones: zones.map((zone) => ({ ...zone, records: [] })), onAskAgain: (name, family) => void (family === 4 && this.#upstream?.askAgain(target.via ?? "", name, family)),
      randomBytes: random, wallMs: () => Date.now(), log,
    }, bookOf(this.#book, target));
    this.#given.set(bytesKey(proxy.own4), proxy.own4);
    guard.add(proxy.own4);
    guard.addPort(engine.udp.port);
    await guard.settled();
    io.addAddress({ index: engine.tun.index, address: proxy.own4, prefixBits: 32 });
    this.#routes = new VirtualRoutes({ io, tunIndex: engine.tun.index, own: [proxy.own4], range });
    this.#proxy = proxy;
    const names = this.#names(proxy);
    this.#waiting = new WaitingQuestions(names);
    this.#upstream = new GatewayUpstream({ io, names, gateways: proxy.gateways });
    this.#run((core, nowMs) => core.start(nowMs, this.#drawServer([]), [], true));
    await this.#awaitServer();
  }

  async #awaitServer(): Promise<void> {
    const asked = (): readonly Locator[] => this.#proxy?.client.configuredServers() ?? [];
    const hasAnswer = (): boolean => this.#isClosed || this.#proxy?.client.firstHop() !== null;
    for (let i = 0; i < MAX_SERVERS && !(await until(hasAnswer, NEXT_SERVER_MS, () => this.#isClosed)); i += 1) this.#run((proxy, nowMs) => proxy.addServers(nowMs, this.#drawServer(asked())));
    if (this.#isClosed || !hasAnswer()) throw new RangeError("no i3 server answers");
  }

  /** One of those that are not known yet; none when all are. */
  #drawServer(known: readonly Locator[]): readonly Locator[] {
    const keys = new Set(known.map(locatorKey));
    const others = this.#options.servers().filter((server) => !keys.has(locatorKey(server)));
    const drawn = others[others.length === 0 ? 0 : randomInt(others.length)];
    return drawn === undefined ? [] : [drawn];
  }

  #allocated(addresses: readonly Uint8Array[]): void {
    for (const address of addresses.filter(({ length }) => length === 4)) {
      this.#given.set(bytesKey(address), address.slice());
      this.#options.guard.add(address);
      this.#routes?.add(address);
    }
    // What a question of our own has made; others see to it before they answer.
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#run((proxy) => proxy.installFresh());
    });
  }

  /** The guard goes on refusing it: a program may still hold it. */
  #released(addresses: readonly Uint8Array[]): void {
    for (const address of addresses) if (address.length === 4) this.#routes?.remove(address);
  }

  #names({ names }: Proxy): Pick<NameSource, "whenKnown" | "told"> {
    return {
      told: () => this.#run((proxy) => proxy.installFresh()),
      whenKnown: (name, done) => {
        setImmediate(() => this.#run((proxy, nowMs) => proxy.handleTimer(nowMs)));
        return names.whenKnown?.(name, done) ?? (() => undefined);
      },
    };
  }

  #lookUpHost(name: string, isLast = false): Promise<AnonymousAnswer> {
    const [proxy, waiting] = [this.#proxy, this.#waiting];
    if (proxy === undefined || waiting === undefined) return Promise.resolve(FAILED);
    const found = proxy.names.resolve(name);
    this.#run((core) => core.installFresh());
    if (found === "looking" && !isLast) return new Promise((resolve) => waiting.add(name, () => resolve(this.#lookUpHost(name, true)), () => resolve(FAILED)));
    if (found === "unknown" || found === "elsewhere") return Promise.resolve({ rcode: RCODE.nxDomain, addresses: [] });
    return Promise.resolve(typeof found === "string" || found.v4 === null ? FAILED : { rcode: RCODE.noError, addresses: [found.v4] });
  }

  #askGateway(name: string, via: string): Promise<AnonymousAnswer> {
    const [own, upstream] = [ownQuery(name, 4), this.#upstream];
    if (own === null || upstream === undefined) return Promise.resolve(FAILED);
    return new Promise((resolve) => upstream.ask({ ...own, via, transport: "udp", limit: 65_535, reply: (answer) => resolve(readReply(answer)) }));
  }

  #run(work: (proxy: Proxy, nowMs: number) => void): void {
    const proxy = this.#proxy;
    if (proxy === undefined) return;
    work(proxy, performance.now());
    this.#engine?.settle();
    clearTimeout(this.#timer);
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, proxy.nextDeadlineMs() - performance.now()));
    this.#timer = setTimeout(() => this.#run((core, nowMs) => core.handleTimer(nowMs)), Math.ceil(sleepMs));
  }
}

/** Of an answer that has been judged already (gateway-messages.ts). */
function readReply(answer: Uint8Array): AnonymousAnswer {
  const records = readRecords(answer, readQuestion(answer)?.end ?? HEADER_BYTES) ?? [];
  return { rcode: readUint16(answer, 2) & 0xf, addresses: records.filter(({ type, section }) => type === TYPE_A && section === "answer").map(({ dataAt, end }) => answer.slice(dataAt, end)) };
}
