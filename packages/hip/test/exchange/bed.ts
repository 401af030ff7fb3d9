/** HIP hosts joined by a network that exists only as a list of packets in flight: virtual time, one seed, one run. */
import { generateKeyPairSync } from "node:crypto";

import { bytesKey, makeLocator, publicId, sameBytes, toHex, type Locator } from "@i3/common";

import { Random } from "@i3/common/testing";
import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import { ESP_SUITE, type EspKeys, type EspSuite } from "../../src/crypto/esp-suites.js";
import type { EstablishedEvent, HipEnvironment, HipEvent, HipOffer } from "../../src/exchange/events.js";
import { HipHost } from "../../src/exchange/hip-host.js";
import type { HipPath } from "../../src/exchange/paths.js";
import type { HostKeyAlgorithm } from "../../src/identity/host-identity-field.js";
import { identityOf, type HostIdentity } from "../../src/identity/host-identity.js";

/** What a host says to one peer, and the suites that it takes from it. */
export type BedOffer = HipOffer & { readonly espSuites: readonly EspSuite[] };

export { HipHost };

function newIdentity(algorithm: HostKeyAlgorithm): HostIdentity {
  if (algorithm === "rsa") return identityOf(generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey);
  return identityOf(generateKeyPairSync("ec", { namedCurve: algorithm === "ecdsa-p256" ? "P-256" : "P-384" }).privateKey);
}

const made = new Map<string, HostIdentity>();
/** Keys are dear, so tests of a file share them: the n-th of an algorithm. */
export function identity(algorithm: HostKeyAlgorithm = "ecdsa-p256", n = 0): HostIdentity {
  const key = `${algorithm} ${n}`;
  const found = made.get(key) ?? newIdentity(algorithm);
  made.set(key, found);
  return found;
}

/** Two of one algorithm, the smaller HIT first. */
export function orderedIdentities(): readonly [HostIdentity, HostIdentity] {
  const [a, b] = [identity("ecdsa-p256", 0), identity("ecdsa-p256", 1)];
  return Buffer.compare(a.hit, b.hit) < 0 ? [a, b] : [b, a];
}

export interface Sent {
  readonly atMs: number;
  readonly from: Node;
  readonly path: HipPath;
  readonly bytes: Uint8Array;
}

export class Node {
  readonly name: string;
  readonly locator: Locator;
  readonly events: HipEvent[] = [];
  readonly sas = new Associations();
  /** What this host says to peers; tests change it. */
  offer: BedOffer = { privateId: null, preferences: null, espSuites: [ESP_SUITE.aesGcm16, ESP_SUITE.aes256CbcSha256, ESP_SUITE.aes128CbcSha256] };
  admits: (hit: Uint8Array) => boolean = () => true;
  /** Ids at which this node is reached over i3. */
  readonly ids: Uint8Array[] = [];
  host: HipHost;
  env: HipEnvironment;

  constructor(name: string, locator: Locator, env: HipEnvironment, nowMs: number) {
    this.name = name;
    this.locator = locator;
    this.env = env;
    this.host = new HipHost(env, nowMs);
  }

  of<K extends HipEvent["kind"]>(kind: K): Extract<HipEvent, { kind: K }>[] {
    return this.events.filter((event): event is Extract<HipEvent, { kind: K }> => event.kind === kind);
  }

  last<K extends HipEvent["kind"]>(kind: K): Extract<HipEvent, { kind: K }> {
    const found = this.of(kind).at(-1);
    if (found === undefined) throw new Error(`${this.name} has no event ${kind}: ${this.events.map((event) => event.kind).join(", ")}`);
    return found;
  }
}

/** What a control plane makes of the events: the SPIs that data may come in for, and the one that it goes out with. */
export class Associations {
  readonly inbound = new Map<number, string>();
  outbound: { readonly spi: number; readonly key: string } | null = null;
  /** Of a second pair. */
  second: { readonly spi: number; readonly key: string } | null = null;
  readonly #ofAssociation = new Map<number, Set<number>>();

  take(event: HipEvent): void {
    switch (event.kind) {
      case "established":
        if (event.replaces !== null) this.#drop(event.replaces);
        this.second = null;
        this.#install(event.association, event.spiIn, event.keysIn);
        this.outbound = { spi: event.spiOut, key: keysText(event.keysOut) };
        return;
      case "inbound": return this.#install(event.association, event.spiIn, event.keysIn);
      case "rekeyed":
        if (event.pair === 0) this.outbound = { spi: event.spiOut, key: keysText(event.keysOut) };
        else this.second = { spi: event.spiOut, key: keysText(event.keysOut) };
        return;
      case "paired": this.second = { spi: event.spiOut, key: keysText(event.keysOut) }; return;
      case "retired": this.inbound.delete(event.spiIn); return;
      case "closed":
        this.#drop(event.association);
        this.outbound = this.second = null;
        return;
      case "failed": case "responder": case "pair-failed": case "moved": case "moving": case "stayed": case "locators": return;
    }
  }

  #install(association: number, spi: number, keys: EspKeys): void {
    if (this.inbound.has(spi)) throw new Error(`SPI ${spi} twice`);
    this.inbound.set(spi, keysText(keys));
    this.#ofAssociation.set(association, (this.#ofAssociation.get(association) ?? new Set()).add(spi));
  }

  #drop(association: number): void {
    for (const spi of this.#ofAssociation.get(association) ?? []) this.inbound.delete(spi);
  }
}

export interface NetworkOptions {
  readonly seed?: number;
  /** 0 to 1. */
  readonly loss?: number;
  readonly duplicates?: number;
  /** One way: 10 ms and up to so many more, so that packets overtake each other. */
  readonly jitterMs?: number;
}

/** What a test does to a packet on its way: null drops it. */
export type Middlebox = (sent: Sent) => Uint8Array | null;

export class Network {
  nowMs = 1_000;
  readonly random: Random;
  readonly nodes: Node[] = [];
  readonly wire: Sent[] = [];
  middlebox: Middlebox = ({ bytes }) => bytes;
  loss: number;
  readonly #duplicates: number;
  readonly #jitterMs: number;
  #flights: { readonly atMs: number; readonly order: number; readonly to: Node; readonly path: HipPath; readonly bytes: Uint8Array }[] = [];
  #order = 0;

  constructor(options: NetworkOptions = {}) {
    this.random = new Random(options.seed ?? 1);
    this.loss = options.loss ?? 0;
    this.#duplicates = options.duplicates ?? 0;
    this.#jitterMs = options.jitterMs ?? 0;
  }

  add(name: string, own: HostIdentity = identity(), changes: Partial<HipEnvironment> = {}): Node {
    const locator = makeLocator(Uint8Array.of(192, 0, 2, this.nodes.length + 1), 10_500);
    const node: Node = new Node(name, locator, this.environment(() => node, own, changes), this.nowMs);
    if (node.env.ownPublicId !== null) node.ids.push(node.env.ownPublicId);
    this.nodes.push(node);
    return node;
  }

  environment(node: () => Node, own: HostIdentity, changes: Partial<HipEnvironment>): HipEnvironment {
    const random = (length: number): Uint8Array => this.random.bytes(length);
    return {
      identity: own, ownPublicId: null, random, dhSource: (group) => dhKeyPair(group, random), r1Generation: BigInt(Math.floor(this.nowMs / 1_000)),
      send: (path, bytes) => this.#send({ atMs: this.nowMs, from: node(), path, bytes }),
      newSpi: () => 256 + this.random.below(2 ** 31), admits: (hit) => node().admits(hit), espSuitesFor: () => node().offer.espSuites, offerFor: () => node().offer,
      onEvent: (event) => {
        node().events.push(event);
        node().sas.take(event);
      }, log: () => undefined, ...changes,
    };
  }

  /** The machine loses all that it knew. */
  restart(node: Node): void {
    node.env = { ...node.env, r1Generation: BigInt(Math.floor(this.nowMs / 1_000)) };
    node.host = new HipHost(node.env, this.nowMs);
  }

  /** As if `bytes` had come from the address of `from`. */
  deliver(to: Node, bytes: Uint8Array, from: Node | HipPath): void {
    to.host.handle(this.nowMs, bytes, from instanceof Node ? { kind: "udp", locator: from.locator } : from);
  }

  connect(from: Node, to: Node): void {
    from.host.connect(this.nowMs, { hit: to.env.identity.hit, path: { kind: "udp", locator: to.locator }, returnId: null });
  }

  /** Over i3, with a return id made for it. */
  connectI3(from: Node, to: Node, id: Uint8Array = publicId(to.env.identity.hit)): void {
    const returnId = this.random.bytes(32);
    from.ids.push(returnId);
    from.host.connect(this.nowMs, { hit: to.env.identity.hit, path: { kind: "i3", id }, returnId });
  }

  /** Arrives after `delayMs` as if `from` had sent it. */
  inject(to: Node, bytes: Uint8Array, from: Node, delayMs: number): void {
    this.#flights.push({ atMs: this.nowMs + delayMs, order: this.#order++, to, path: { kind: "udp", locator: from.locator }, bytes });
  }

  /** Data each ms in both directions for so long, each packet as slow as any other. How many had no key where they arrived. */
  runWithData(a: Node, b: Node, ms: number): number {
    const flights: { readonly atMs: number; readonly to: Node; readonly spi: number; readonly key: string }[] = [];
    let lost = 0;
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      for (const [from, to] of [[a, b], [b, a]] as const) {
        const ways = [from.sas.outbound, from.sas.second].filter((way) => way !== null);
        if (ways.length === 0) lost++;
        for (const way of ways) flights.push({ atMs: this.nowMs + 1 + this.random.below(10 + this.#jitterMs), to, ...way });
      }
      this.run(1);
      for (let at = flights.length - 1; at >= 0; at--) {
        const flight = flights[at];
        if (flight === undefined || flight.atMs > this.nowMs) continue;
        flights.splice(at, 1);
        if (flight.to.sas.inbound.get(flight.spi) !== flight.key) lost++;
      }
    }
    return lost;
  }

  #send(sent: Sent): void {
    this.wire.push(sent);
    const bytes = this.middlebox(sent);
    if (bytes === null) return;
    for (const to of this.nodes.filter((candidate) => this.#reaches(sent, candidate))) {
      const path: HipPath = sent.path.kind === "i3" ? sent.path : { kind: "udp", locator: sent.from.locator };
      for (let copies = 1 + (this.#happens(this.#duplicates) ? 1 : 0); copies > 0; copies--) {
        if (this.#happens(this.loss)) continue;
        const atMs = this.nowMs + 10 + (this.#jitterMs === 0 ? 0 : this.random.below(this.#jitterMs));
        this.#flights.push({ atMs, order: this.#order++, to, path, bytes: bytes.slice() });
      }
    }
  }

  #reaches({ path }: Sent, node: Node): boolean {
    if (path.kind === "i3") return node.ids.some((id) => sameBytes(id.subarray(0, 16), path.id.subarray(0, 16)));
    return path.kind === "udp" && sameBytes(path.locator.address, node.locator.address);
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.random.below(1_000_000) < chance * 1_000_000;
  }

  /** All that happens in so many ms. */
  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let turns = 0; ; turns++) {
      if (turns > 1_000_000) throw new Error("the network does not come to rest");
      this.#flights.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const due = [this.#flights[0]?.atMs, ...this.nodes.map((node) => node.host.nextDeadlineMs())].filter((at) => at !== undefined);
      const atMs = Math.max(this.nowMs, Math.min(...due));
      if (atMs > endMs) break;
      this.nowMs = atMs;
      for (const node of this.nodes) if ((node.host.nextDeadlineMs() ?? Infinity) <= atMs) node.host.tick(atMs);
      const arrived = this.#flights.filter((flight) => flight.atMs <= atMs);
      this.#flights = this.#flights.filter((flight) => flight.atMs > atMs);
      for (const { to, path, bytes } of arrived) to.host.handle(atMs, bytes, path);
    }
    this.nowMs = endMs;
  }

  /** Types of all packets sent, in their order. */
  types(from?: Node): number[] {
    return this.wire.filter((sent) => from === undefined || sent.from === from).map(({ bytes }) => bytes[2] ?? 0);
  }

  packet(type: number): Uint8Array {
    const found = this.wire.findLast(({ bytes }) => bytes[2] === type);
    if (found === undefined) throw new Error(`no packet of type ${type}`);
    return found.bytes;
  }
}

export const keysText = (keys: EspKeys): string => JSON.stringify(keys, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value));

/** What each sends with is what the other receives with. */
export function pairMatches(a: EstablishedEvent, b: EstablishedEvent): boolean {
  return a.spiIn === b.spiOut && a.spiOut === b.spiIn && keysText(a.keysIn) === keysText(b.keysOut) && keysText(a.keysOut) === keysText(b.keysIn) && a.spiIn !== a.spiOut;
}

export const suites = (...espSuites: EspSuite[]): BedOffer => ({ privateId: null, preferences: null, espSuites });
export const hitKey = (node: Node): string => bytesKey(node.env.identity.hit);
