/**
 * A whole overlay in one process and virtual time: real server, client and proxy cores on real reference engines, joined by a
 * network that is only a delay, a loss rate and a list of hosts that are cut off. Deterministic: one seed, one run.
 */
import { createHash } from "node:crypto";

import { EMPTY_ADDRESS_BOOK, locatorKey, makeLocator, parseAddressBook, formatIpText, toHex, publicId, sameBytes, type AddressBook, type Locator, type AddressRule, type ProxyRule, type AccessConfig, type HipConfig, type Via, type ViaLocator, type Security, type SignedRecord, type ZoneConfig } from "@i3/common";
import { IP_PROTOCOL, makeDatagramBatch, makePacketBatch, ReferenceEngine, WAY_SLOT_BYTES, type Batch, type DatagramBatch, type PacketBatch, type Upcall } from "@i3/datapath";
import { generateHostIdentity, generateTriggerKey, hipChecksum, setChecksum, type HostIdentity } from "@i3/hip";
import { admitServer, ServerCore, type RingMembership } from "@i3/i3-server";

import type { Mapping } from "../../packages/i3-proxy/src/mappings/mapping.js";
import type { MachinePlace } from "../../packages/i3-proxy/src/paths/own-locators.js";
import { Pins } from "../../packages/i3-proxy/src/policy/pins.js";
import { Proxy } from "../../packages/i3-proxy/src/proxy.js";
import type { DetourLink } from "../../packages/i3-proxy/src/setup/detour.js";

const WALL_START_MS = 1_800_000_000_000;
/** More turns than these at one moment: a core whose deadline does not move. */
const MAX_TURNS = 10_000;
const RING_AUTHORITY = new Uint8Array(32).fill(7);

/** Deterministic bytes. */
export function seededBytes(seed: string): (length: number) => Uint8Array {
  let counter = 0;
  return (length) => {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      counter += 1;
      out.set(createHash("sha256").update(`${seed}/${counter}`).digest().subarray(0, Math.min(32, length - at)), at);
    }
    return out;
  };
}

export interface LogLine {
  readonly atMs: number;
  readonly level: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One of several interfaces of a machine. */
export interface Uplink {
  readonly interfaceIndex: number;
  readonly address: Uint8Array;
  /** Nothing goes or comes by it, and the machine does not know. */
  isDead: boolean;
  /** What would leave by it while it is dead comes here. */
  swallows?: (to: Locator, bytes: Uint8Array) => void;
}

interface Core {
  handleUpcalls(nowMs: number, upcalls: readonly Upcall[]): void;
  handleTimer(nowMs: number): void;
  deadlineMs(): number;
}

/** One machine: an engine and the core that programs it. */
export class Node {
  readonly engine = new ReferenceEngine();
  /** Packets that the engine gave to local programs. */
  readonly received: Uint8Array[] = [];
  readonly log: LogLine[] = [];
  core: Core | null = null;
  down = false;
  /** What is open beside the main port. */
  hip: HipConfig | undefined = undefined;
  /** Of a NAT before it, that others see. */
  natPort: number | null = null;
  /** Whom that NAT lets in: where packets went (RFC 4787 §5, address and port-dependent filtering); null: everybody. */
  natAllows: Set<string> | null = null;
  /** How long that NAT lets packets in after the last one that went out. */
  natForgetsMs = Infinity;
  sentMs = -Infinity;
  /** Behind a NAT with port-dependent mappings and filters (RFC 4787 §4.1, §5): each destination sees another port, and nobody else gets in by it. Destination → port. */
  symmetric: Map<string, number> | null = null;
  /** In place of the engine. */
  tap: ((from: Locator, bytes: Uint8Array) => void) | null = null;
  /** The first is the system's choice, and has the address of `locator`; none: the machine has but that. */
  uplinks: readonly Uplink[] = [];
  readonly tunOut: PacketBatch = makePacketBatch(64, 2_048);
  readonly udpOut: DatagramBatch = makeDatagramBatch(64, 9_216);

  constructor(readonly locator: Locator) {}
}

interface Flight {
  readonly atMs: number;
  readonly order: number;
  /** As the receiver sees it: by IP itself the port is the protocol. */
  readonly from: Locator;
  readonly to: ViaLocator;
  readonly bytes: Uint8Array;
}

export interface WorldOptions {
  readonly seed?: string;
  /** One way, ms. @default 10 */
  readonly delayMs?: number;
  /** One way between two addresses, ms, in the place of `delayMs`. */
  readonly delayBetweenMs?: (from: Uint8Array, to: Uint8Array) => number;
  /** 0–1. @default 0 */
  readonly loss?: number;
}

export class World {
  nowMs = 0;
  readonly random: (length: number) => Uint8Array;
  readonly nodes = new Map<string, Node>();
  /** Every datagram that was sent, for tests that look at the wire. */
  readonly wire: { readonly atMs: number; readonly from: Locator; readonly to: ViaLocator; readonly bytes: Uint8Array }[] = [];
  delayMs: number;
  loss: number;
  readonly #delayBetweenMs: WorldOptions["delayBetweenMs"];
  #flights: Flight[] = [];
  #order = 0;

  constructor(options: WorldOptions = {}) {
    this.random = seededBytes(options.seed ?? "world");
    this.delayMs = options.delayMs ?? 10;
    this.loss = options.loss ?? 0;
    this.#delayBetweenMs = options.delayBetweenMs;
  }

  wallMs = (): number => Math.floor(WALL_START_MS + this.nowMs);

  /** `port`: two programs of one address have different ones. */
  node(address: string, port = 5610): Node {
    const node = new Node(makeLocator(Uint8Array.from(address.split(".").map(Number)), port));
    this.nodes.set(locatorKey(node.locator), node);
    return node;
  }

  /** A server's place on the ring, to be chosen by a test. */
  membership = (): RingMembership => admitServer(RING_AUTHORITY, this.random);

  /** A server at 192.0.2.`n`; all know the first. `clockErrorMs`: what its clock is wrong by. */
  server(n: number, members: readonly Node[] = [], ring = this.membership(), clockErrorMs = 0): Node {
    const node = this.node(`192.0.2.${n}`);
    const core = new ServerCore({
      self: { key: ring.credential.nodeKey, locator: node.locator }, members: members.map((m) => m.locator), ring,
      datapath: node.engine, limits: { triggers: 10_000, perSource: 1_000, claimsPerName: 4 }, random: this.random, wallMs: (nowMs) => Math.floor(WALL_START_MS + nowMs + clockErrorMs),
      log: (level, event, fields) => node.log.push({ atMs: this.nowMs, level, event, fields }),
    });
    node.core = core;
    core.start(this.nowMs);
    return node;
  }

  ring(size: number): Node[] {
    const first = this.server(1);
    return [first, ...Array.from({ length: size - 1 }, (_, i) => this.server(i + 2, [first]))];
  }

  inject(node: Node, input: { readonly tun?: Uint8Array; readonly udp?: { readonly from: ViaLocator; readonly bytes: Uint8Array } }): void {
    const tun = input.tun === undefined ? null : batchOf(makePacketBatch(1, 2_048), input.tun);
    const udp = input.udp === undefined ? null : batchOf(makeDatagramBatch(1, 9_216), input.udp.bytes);
    if (udp !== null && input.udp !== undefined) writeAddress(udp, 0, input.udp.from);
    this.#step(node, { tun, udp });
  }

  /** As a program of that machine's. */
  sendFrom({ locator }: Node, to: Locator, bytes: Uint8Array): void {
    this.#send(locator, to, bytes);
  }

  /** Datagrams that come at once, as those of a flood do. */
  injectAll(node: Node, datagrams: readonly { readonly from: Locator; readonly bytes: Uint8Array }[]): void {
    const udp = makeDatagramBatch(datagrams.length, 2_048);
    datagrams.forEach(({ from, bytes }, i) => {
      udp.arena.set(bytes, i * udp.slotBytes);
      udp.lengths[i] = bytes.length;
      writeAddress(udp, i, from);
    });
    udp.count = datagrams.length;
    this.#step(node, { tun: null, udp });
  }

  /** Runs until `untilMs` of virtual time, or until `done` holds. */
  run(forMs: number, done: () => boolean = () => false): void {
    const untilMs = this.nowMs + forMs;
    let turns = 0;
    while (!done()) {
      const nextMs = Math.min(this.#flights[0]?.atMs ?? Infinity, ...[...this.nodes.values()].map((n) => (n.down ? Infinity : Math.max(n.core?.deadlineMs() ?? Infinity, this.nowMs))));
      if (nextMs > untilMs) break;
      turns = nextMs === this.nowMs ? turns + 1 : 0;
      if (turns > MAX_TURNS) throw new Error(`time stands still at ${this.nowMs} ms`);
      this.nowMs = nextMs;
      this.#deliverDue();
      for (const node of this.nodes.values()) {
        if (node.down || node.core === null || node.core.deadlineMs() > this.nowMs) continue;
        node.core.handleTimer(this.nowMs);
        this.#step(node, { tun: null, udp: null });
      }
    }
    if (!done()) this.nowMs = untilMs;
  }

  #deliverDue(): void {
    while ((this.#flights[0]?.atMs ?? Infinity) <= this.nowMs) {
      const flight = this.#flights.shift() as Flight;
      const there = [...this.nodes.values()].filter((each) => isAt(each, flight.to.address));
      const node = there.find(({ locator }) => locator.port === flight.to.port) ?? there[0];
      const via = node === undefined || node.down ? null : this.#arrivesVia(node, flight);
      if (node === undefined || via === null) continue;
      if (node.tap !== null) {
        node.tap(flight.from, flight.bytes);
        continue;
      }
      this.inject(node, { udp: { from: via === "udp" ? flight.from : { ...flight.from, via, local: node.locator.address }, bytes: flight.bytes } });
    }
  }

  /** By which of its sockets a node gets it; null: by none. */
  #arrivesVia({ hip, locator, natPort, natAllows, natForgetsMs, sentMs, symmetric }: Node, { from, to }: Flight): Via | null {
    if (symmetric !== null) return symmetric.get(locatorKey(from)) === to.port ? "udp" : null;
    if (this.nowMs - sentMs > natForgetsMs || natAllows?.has(locatorKey(from)) === false) return null;
    if (to.via === "ip") return hip?.ipProtocol === true ? "ip" : null;
    if (natPort !== null) return to.port !== natPort ? null : hip?.udpPort === undefined ? "udp" : "hip";
    return to.port === locator.port ? "udp" : to.port === hip?.udpPort ? "hip" : null;
  }

  #step(node: Node, input: { tun: PacketBatch | null; udp: DatagramBatch | null }): void {
    let next = input;
    let turns = 0;
    do {
      turns += 1;
      if (turns > MAX_TURNS) throw new Error(`an engine and its core keep each other busy at ${this.nowMs} ms`);
      node.tunOut.count = 0;
      node.udpOut.count = 0;
      const upcalls = node.engine.step(this.nowMs, next, node.tunOut, node.udpOut);
      next = { tun: null, udp: null };
      this.#collect(node);
      if (upcalls.length > 0) node.core?.handleUpcalls(this.nowMs, upcalls);
    } while (node.engine.pending());
  }

  #collect(node: Node): void {
    for (let i = 0; i < node.tunOut.count; i += 1) node.received.push(slot(node.tunOut, i));
    for (let i = 0; i < node.udpOut.count; i += 1) this.#sendFrom(node, readAddress(node.udpOut, i), slot(node.udpOut, i));
  }

  /** What a node's port does: it has only the sockets that were opened, and fills in HIP's checksum. */
  #sendFrom(node: Node, to: ViaLocator, bytes: Uint8Array): void {
    const { hip, locator, natPort, uplinks } = node;
    const uplink = uplinks.find(({ interfaceIndex }) => interfaceIndex === to.interfaceIndex) ?? uplinks[0];
    if (uplink?.isDead === true) return uplink.swallows?.(to, bytes.slice());
    if (uplink !== undefined) return this.#send(makeLocator(uplink.address, locator.port), to, bytes);
    node.sentMs = this.nowMs;
    node.natAllows?.add(locatorKey(to));
    if (to.via === "ip") {
      if (hip?.ipProtocol !== true) return;
      if (to.port === IP_PROTOCOL.hip) setChecksum(bytes, hipChecksum(bytes, locator.address, to.address));
      return this.#send(makeLocator(locator.address, to.port), to, bytes);
    }
    if (to.via === "hip" && hip?.udpPort === undefined) return;
    if (node.symmetric !== null && !node.symmetric.has(locatorKey(to))) node.symmetric.set(locatorKey(to), 40_000 + node.symmetric.size);
    const mappedPort = node.symmetric?.get(locatorKey(to)) ?? natPort;
    this.#send(makeLocator(locator.address, mappedPort ?? (to.via === "hip" ? hip?.udpPort ?? 0 : locator.port)), to, bytes);
  }

  #send(from: Locator, to: ViaLocator, bytes: Uint8Array): void {
    this.wire.push({ atMs: this.nowMs, from, to, bytes });
    if (this.loss > 0 && (this.random(1)[0] ?? 0) / 256 < this.loss) return;
    this.#order += 1;
    const flight = { atMs: this.nowMs + (this.#delayBetweenMs?.(from.address, to.address) ?? this.delayMs), order: this.#order, from, to, bytes };
    let at = this.#flights.length;
    while (at > 0 && (this.#flights[at - 1] as Flight).atMs > flight.atMs) at -= 1;
    this.#flights.splice(at, 0, flight);
  }
}

const isAt = ({ locator, uplinks }: Node, address: Uint8Array): boolean =>
  uplinks.length === 0 ? sameBytes(locator.address, address) : uplinks.some((uplink) => !uplink.isDead && sameBytes(uplink.address, address));

const slot = (batch: Batch, i: number): Uint8Array => batch.arena.slice(i * batch.slotBytes, i * batch.slotBytes + (batch.lengths[i] ?? 0));

function batchOf<T extends Batch>(batch: T, bytes: Uint8Array): T {
  batch.arena.set(bytes);
  batch.lengths[0] = bytes.length;
  batch.count = 1;
  return batch;
}

const WAY_INTERFACE_OFFSET = 17;
const VIAS = ["udp", "hip", "ip"] as const;

function writeAddress(batch: DatagramBatch, i: number, locator: ViaLocator): void {
  const at = i * 18;
  const wayAt = i * WAY_SLOT_BYTES;
  batch.ways.fill(0, wayAt, wayAt + WAY_SLOT_BYTES);
  batch.ways[wayAt] = VIAS.indexOf(locator.via ?? "udp");
  if (locator.local !== undefined) batch.ways.set([0xff, 0xff, ...locator.local], wayAt + 11);
  batch.addresses.fill(0, at, at + 18);
  if (locator.address.length === 4) batch.addresses.set([0xff, 0xff, ...locator.address], at + 10);
  else batch.addresses.set(locator.address, at);
  batch.addresses.set([locator.port >> 8, locator.port & 0xff], at + 16);
}

const readAddress = (batch: DatagramBatch, i: number): ViaLocator => {
  const at = i * 18;
  const locator = makeLocator(batch.addresses.subarray(at, at + 16), ((batch.addresses[at + 16] ?? 0) << 8) | (batch.addresses[at + 17] ?? 0));
  const via = VIAS[batch.ways[i * WAY_SLOT_BYTES] ?? 0] ?? "udp";
  const interfaceIndex = new DataView(batch.ways.buffer, batch.ways.byteOffset).getUint32(i * WAY_SLOT_BYTES + WAY_INTERFACE_OFFSET);
  return { ...locator, ...(via !== "udp" && { via }), ...(interfaceIndex !== 0 && { interfaceIndex }) };
};

export interface HostOptions {
  readonly servers: readonly Node[];
  readonly identity?: HostIdentity;
  readonly book?: AddressBook;
  readonly isTaken?: (address: Uint8Array) => boolean;
  readonly privateId?: "shared" | "own";
  readonly lifetimeMs?: number;
  /** Mappings; a quarter is for strangers. @default 1,000 */
  readonly maxMappings?: number;
  readonly lastOwn4?: Uint8Array;
  readonly restored?: readonly Mapping[];
  readonly sharedKey?: ReturnType<typeof generateTriggerKey>;
  readonly nearerKeys?: readonly ReturnType<typeof generateTriggerKey>[];
  /** Told the nearer keys that there are. */
  readonly keepNearerKeys?: (keys: readonly ReturnType<typeof generateTriggerKey>[]) => void;
  /** @default none */
  readonly security?: Security;
  /** In place of one for all names. */
  readonly rules?: readonly ProxyRule[];
  readonly addressRules?: readonly AddressRule[];
  /** @default false */
  readonly isHidden?: boolean;
  readonly access?: AccessConfig | undefined;
  readonly hip?: HipConfig;
  /** @default an hour */
  readonly rekeyAfterMs?: number;
  /** @default none */
  readonly detourLink?: DetourLink;
  /** Whether its rule allows ways past i3; it has one interface then. @default false */
  readonly shortcut?: boolean;
  /** Of a second interface, which the system does not choose while the first is there. @default none */
  readonly secondAddress?: string;
  /** @default false */
  readonly shortcutsToStrangers?: boolean;
  readonly pins?: Pins;
  readonly publishedNames?: readonly string[];
  readonly zones?: readonly ZoneConfig[];
  /** Names of zones from before a restart. */
  readonly zoneRecords?: readonly SignedRecord[];
  /** @default 0 */
  readonly leastGeneration?: bigint;
  /** Told the generation of the R1s at the start and with each new epoch. */
  readonly keepGeneration?: (generation: bigint) => void;
  /** @default the world's */
  readonly randomBytes?: (length: number) => Uint8Array;
  /** What this machine's clock is wrong by. @default 0 */
  readonly clockErrorMs?: number;
}

export interface Host {
  readonly node: Node;
  readonly proxy: Proxy;
  readonly identity: HostIdentity;
  readonly sharedKey: ReturnType<typeof generateTriggerKey>;
  readonly changed: Mapping[];
  /** Names behind gateways that the proxy would ask for again, with the length of their addresses. */
  readonly askedAgain: string[];
}

/** A book that names hosts by HIT. */
export const bookOf = (names: Readonly<Record<string, HostIdentity>>): AddressBook =>
  parseAddressBook(`<address-book version="1">${Object.entries(names).map(([name, id]) => `<host name="${name}" hit="${formatIpText(id.hit)}"/>`).join("")}</address-book>`, "book.xml");

/** The same, by id. */
export const bookOfIds = (names: Readonly<Record<string, HostIdentity>>): AddressBook =>
  parseAddressBook(`<address-book version="1">${Object.entries(names).map(([name, id]) => `<host name="${name}" id="${toHex(publicId(id.hit))}"/>`).join("")}</address-book>`, "book.xml");

/** A proxy on a machine of its own. */
export function addHost(world: World, address: string, options: HostOptions): Host {
  const node = world.node(address);
  node.hip = options.hip;
  const identity = options.identity ?? generateHostIdentity();
  const sharedKey = options.sharedKey ?? generateTriggerKey();
  const changed: Mapping[] = [];
  const askedAgain: string[] = [];
  const rule = { pattern: { source: ".*\\.i3", expression: /^.*\.i3$/i }, line: 1, go: "i3", security: options.security ?? "none", privateId: options.privateId ?? "shared", shortcut: options.shortcut ?? false } as unknown as ProxyRule;
  const proxy = new Proxy({
    identity, sharedKey, nearerKeys: options.nearerKeys ?? [], keepNearerKeys: options.keepNearerKeys ?? (() => undefined), datapath: node.engine, tunMtu: 1_360, lastOwn4: options.lastOwn4 ?? null, suffix: "i3", rules: options.rules ?? [rule], addressRules: options.addressRules ?? [], access: options.access, hip: options.hip, detourLink: options.detourLink, rekeyAfterMs: options.rekeyAfterMs ?? 3_600_000, port: node.locator.port, shortcutsToStrangers: options.shortcutsToStrangers ?? false, randomBytes: options.randomBytes ?? world.random, wallMs: () => Math.floor(world.wallMs() + (options.clockErrorMs ?? 0)),
    pins: options.pins ?? new Pins(), pinFile: "/s/pins", onPinned: () => undefined, publishedNames: options.publishedNames ?? [], zones: options.zones ?? [], zoneRecords: options.zoneRecords ?? [],
    leastGeneration: options.leastGeneration ?? 0n, keepGeneration: options.keepGeneration ?? (() => undefined),
    addresses: { range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 }, isTaken: options.isTaken ?? (() => false), randomBytes: world.random },
    limits: { max: options.maxMappings ?? 1_000, maxUnproven: 8, lifetimeMs: options.lifetimeMs ?? 7_200_000, unprovenLifetimeMs: 120_000 },
    isHidden: options.isHidden === true,
    hooks: { allocated: () => undefined, released: () => undefined, changed: (m) => void changed.push(m), removed: () => undefined },
    onAskAgain: (name, family) => void askedAgain.push(`${name} ${family}`),
    log: (level, event, fields) => node.log.push({ atMs: world.nowMs, level, event, fields }),
  }, options.book ?? EMPTY_ADDRESS_BOOK);
  node.core = {
    handleUpcalls: (nowMs, upcalls) => proxy.handleUpcalls(nowMs, upcalls), handleTimer: (nowMs) => proxy.handleTimer(nowMs), deadlineMs: () => proxy.nextDeadlineMs(),
  };
  const { secondAddress } = options;
  if (secondAddress !== undefined) node.uplinks = [node.locator.address, Uint8Array.from(secondAddress.split(".").map(Number))].map((uplink, i) => ({ interfaceIndex: i + 1, address: uplink, isDead: false }));
  if (options.shortcut === true || secondAddress !== undefined) proxy.setPlaces(world.nowMs, placesOf(node));
  proxy.start(world.nowMs, options.servers.map((s) => s.locator), options.restored ?? []);
  return { node, proxy, identity, sharedKey, changed, askedAgain };
}

/** What a proxy is told of its machine's interfaces. */
export const placesOf = ({ locator, uplinks }: Node): readonly MachinePlace[] =>
  (uplinks.length === 0 ? [{ interfaceIndex: 1, address: locator.address }] : uplinks).map(({ interfaceIndex, address }) => ({ interfaceIndex, family: 4, addresses: [address], gateway: null, prefixes: null }));
