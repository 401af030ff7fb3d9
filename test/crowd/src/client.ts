/** One client of a gateway: a whole proxy, with what a daemon has for it but DNS port, guard and journal. All of its addresses are its own, so that many live in one namespace. */
import { randomBytes } from "node:crypto";
import { parseAddressBook, parseProxyConfig, type ProxyRule } from "@i3/common";
import { openEngine, type RunningEngine } from "@i3/datapath/io";
import type { NativeIo } from "@i3/datapath/native-io";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { generateTriggerKey, withP256, type HostIdentity } from "@i3/hip";
import { GatewayUpstream, ownQuery, Pins, Proxy } from "@i3/i3-proxy";
import { decode } from "dns-packet";

export interface ClientOptions {
  readonly io: NativeIo;
  /** 0 to 65,535: its TUN and its part of the virtual range. */
  readonly number: number;
  readonly identity: HostIdentity;
  /** The machine's address that it sends from. */
  readonly address: string;
  /** The gateway's, HIT and address as text. */
  readonly gateway: { readonly hit: string; readonly address: string };
  readonly pattern: string;
}

const GATE = "gate.i3";
const HIP = { udpPort: 10_500, ipProtocol: false } as const;
const MTU = 1_360;
const DAY_MS = 86_400_000;
const MAX_SLEEP_MS = 1_000;
const MAIN_TABLE = 254;
const FIRST_TABLE = 10_000;
const RULE_PRIORITY = 2_000;
/** RFC 7343. */
const HITS = { network: Uint8Array.of(0x20, 0x01, 0x00, 0x20, ...new Uint8Array(12)), prefixBits: 28 };
const SUFFIX = "i3";
const LIMITS = { max: 64, maxUnproven: 8, lifetimeMs: DAY_MS, unprovenLifetimeMs: DAY_MS } as const;

export class CrowdClient {
  readonly #proxy: Proxy;
  readonly #engine: RunningEngine;
  readonly #upstream: GatewayUpstream;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  /** Rejects when its TUN or its port cannot be made. */
  static async open(options: ClientOptions): Promise<CrowdClient> {
    const made: { client?: CrowdClient } = {};
    const engine = await openEngine({
      kind: "native", workers: 1, tun: { name: `crowd${options.number}`, mtu: MTU }, udp: { address: options.address, port: 0, mark: 0 }, hip: { port: HIP.udpPort }, clock: { nowMs: () => performance.now() },
      onUpcalls: (upcalls) => made.client?.run((proxy, nowMs) => proxy.handleUpcalls(nowMs, upcalls)),
      onFailure: (error) => {
        throw error;
      },
    });
    made.client = new CrowdClient(options, engine);
    return made.client;
  }

  private constructor(options: ClientOptions, engine: RunningEngine) {
    const { io, number, identity, gateway, pattern } = options;
    const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
    const range = { network: Uint8Array.of(10, number >> 8, number & 0xff, 0), prefixBits: 24 };
    this.#engine = engine;
    this.#proxy = new Proxy({
      identity: withP256(identity, loadNativeP256()), sharedKey: generateTriggerKey(), nearerKeys: [], keepNearerKeys: () => undefined, datapath: engine.datapath, tunMtu: MTU, addresses: { range, isTaken: () => false, randomBytes: random },
      lastOwn4: null, leastGeneration: 0n, keepGeneration: () => undefined, limits: LIMITS, hooks: { allocated: () => this.#installSoon(), released: () => undefined, changed: () => undefined, removed: () => undefined },
      suffix: SUFFIX, rules: rulesFor(pattern), pins: new Pins(), pinFile: "", onPinned: () => undefined, publishedNames: [], access: undefined, hip: HIP, shortcutsToStrangers: false, port: engine.udp.port, rekeyAfterMs: DAY_MS, randomBytes: random, wallMs: () => Date.now(), log: () => undefined,
    }, parseAddressBook(`<address-book version="1"><host name="${GATE}" hit="${gateway.hit}" address="${gateway.address}"/></address-book>`, "book.xml"));
    const index = engine.tun?.index ?? 0;
    const { own4, own6 } = this.#proxy;
    for (const address of [own4, own6]) io.addAddress({ index, address, prefixBits: address.length * 8 });
    io.setRoute({ type: "unicast", destination: range.network, prefixBits: range.prefixBits, index, table: MAIN_TABLE, metric: 0, source: own4 });
    // The gateway has one HIT for all clients: whose packets they are their source says.
    const table = FIRST_TABLE + number;
    io.setRule({ family: 6, priority: RULE_PRIORITY, table, from: { address: own6, prefixBits: 128 }, to: null });
    io.setRoute({ type: "unicast", destination: HITS.network, prefixBits: HITS.prefixBits, index, table, metric: 0, source: own6 });
    const { names } = this.#proxy;
    this.#upstream = new GatewayUpstream({
      io, gateways: this.#proxy.gateways, names: {
        told: () => this.run((proxy) => proxy.installFresh()),
        whenKnown: (name, done) => {
          setImmediate(() => this.run((proxy, nowMs) => proxy.handleTimer(nowMs)));
          return names.whenKnown?.(name, done) ?? (() => undefined);
        },
      },
    });
    this.run((proxy, nowMs) => proxy.start(nowMs, [], [], true));
  }

  /** The virtual address that the gateway leads to a server by; null when it is not led there. */
  lookUp(name: string): Promise<string | null> {
    const query = ownQuery(name, 4);
    if (query === null) return Promise.resolve(null);
    return new Promise((resolve) => this.#upstream.ask({ ...query, via: GATE, transport: "udp", limit: 65_535, reply: (bytes) => resolve(firstAddress(bytes)) }));
  }

  run(work: (proxy: Proxy, nowMs: number) => void): void {
    work(this.#proxy, performance.now());
    this.#engine.settle();
    clearTimeout(this.#timer);
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.max(0, this.#proxy.nextDeadlineMs() - performance.now()));
    this.#timer = setTimeout(() => this.run((core, nowMs) => core.handleTimer(nowMs)), Math.ceil(sleepMs));
  }

  #installSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.run((proxy) => proxy.installFresh());
    });
  }
}

/** As a configuration says them. */
function rulesFor(pattern: string): readonly ProxyRule[] {
  return parseProxyConfig(`<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><hip udp-port="${HIP.udpPort}"/><rules><rule name="gate\\.i3" go="i3"/><rule name="${pattern}" go="gateway" via="${GATE}"/></rules></i3-proxy>`, "crowd.xml").rules;
}

function firstAddress(answer: Uint8Array): string | null {
  const found = decode(Buffer.from(answer)).answers?.find(({ type }) => type === "A");
  return found?.type === "A" ? found.data : null;
}
