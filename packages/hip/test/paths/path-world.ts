/** Two hosts with their path sets in virtual time, each place behind a NAT of some kind (RFC 4787), and nothing else between them but delay and loss. */
import { bytesKey, decodeControl, locatorKey, sameLocator, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";

import { CheckBudget, PathSet, type PathActivity, type PathKeys, type PathMessage, type PathPlace, type PeerPlace } from "../../src/index.js";

/** ei: the same for all; ad: by address; apd: by address and port. */
export type By = "ei" | "ad" | "apd";

export interface NatKind {
  readonly mapping: By;
  readonly filtering: By;
}

const keyFor = (by: By, to: Locator): string => (by === "ei" ? "" : by === "ad" ? bytesKey(to.address) : locatorKey(to));

/** A place of a host: its address, and the NAT before it; null: none. */
export class Site {
  readonly inside: Locator;
  readonly kind: NatKind | null;
  readonly family: 4 | 6;
  /** null: by its place among its host's. */
  rank: number | null = null;
  readonly #outside: Uint8Array;
  #nextPort: number;
  #mappings = new Map<string, { readonly port: number; readonly allowed: Set<string> }>();
  delayMs = 10;
  isCut = false;

  /** Of IPv6 there are no NATs. */
  constructor(number: number, kind: NatKind | null, family: 4 | 6) {
    const address = family === 4 ? Uint8Array.of(kind === null ? 203 : 192, kind === null ? 0 : 168, number, 2) : Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 2);
    this.inside = { address, port: 5_610 };
    this.family = family;
    this.#outside = Uint8Array.of(198, 51, 100, number);
    this.kind = kind;
    this.#nextPort = 20_000 + number * 100;
  }

  /** As who is outside sees a packet to there. */
  out(to: Locator): Locator {
    if (this.kind === null) return this.inside;
    const key = keyFor(this.kind.mapping, to);
    const mapping = this.#mappings.get(key) ?? { port: this.#nextPort++, allowed: new Set<string>() };
    this.#mappings.set(key, mapping);
    mapping.allowed.add(keyFor(this.kind.filtering, to));
    return { address: this.#outside, port: mapping.port };
  }

  /** Whether a packet to this locator comes in here. */
  takes(from: Locator, to: Locator): boolean {
    if (this.kind === null) return sameLocator(to, this.inside);
    if (bytesKey(to.address) !== bytesKey(this.#outside)) return false;
    const mapping = [...this.#mappings.values()].find(({ port }) => port === to.port);
    return mapping !== undefined && (this.kind.filtering === "ei" || mapping.allowed.has(keyFor(this.kind.filtering, from)));
  }

  /** All mappings are forgotten; later ones are others. */
  reboot(): void {
    this.#mappings = new Map();
    this.#nextPort += 50;
  }
}

const SERVER: Locator = { address: Uint8Array.of(192, 0, 2, 1), port: 5_610 };

export class Host {
  readonly set: PathSet;
  readonly spi: number;
  readonly sites: Site[] = [];
  heardBytes = 0;
  sentBytes = 0;
  /** Set before there are paths. The least: nothing longer is looked for. */
  mostBytes = 1_200;
  /** What went straight, to whom. */
  readonly sent: { readonly atMs: number; readonly to: Locator; readonly bytes: number }[] = [];

  constructor(readonly world: PathWorld, spi: number, keys: PathKeys, peerSpi: number, /** Of another association of the same machine, if any. */ readonly budget = new CheckBudget()) {
    this.spi = spi;
    const random = new Random(spi);
    this.set = new PathSet({
      random: (bytes) => random.bytes(bytes), keys, peerSpi: () => peerSpi, budget: this.budget.share(String(spi), false), isPlausible: ({ address }) => address[0] !== 127, heardBytes: () => this.heardBytes, sentBytes: () => this.sentBytes, mostBytes: () => this.mostBytes,
      send: (place, to, bytes) => this.send(place, to, bytes),
    });
  }

  places(): PathPlace[] {
    return this.sites.map((site, i) => ({ key: locatorKey(site.inside), family: site.family, interfaceIndex: this.world.indexOf(site), rank: site.rank ?? i, prefixes: null }));
  }

  /** What it says of itself: its own addresses, and as a server sees them. */
  locators(): PeerPlace[] {
    return this.sites.flatMap((site, i) => (site.kind === null ? [site.inside] : [site.inside, site.out(SERVER)]).map((locator) => ({ locator, rank: site.rank ?? i })));
  }

  siteOf(place: PathPlace | null): Site | undefined {
    return place === null ? this.sites[0] : this.sites.find((site) => this.world.indexOf(site) === place.interfaceIndex);
  }

  send(place: PathPlace | null, to: Locator, bytes: Uint8Array): void {
    const site = this.siteOf(place);
    if (site === undefined || site.isCut) return;
    this.sent.push({ atMs: this.world.nowMs, to, bytes: bytes.length + 28 });
    this.world.carry(site, site.out(to), to, bytes);
  }
}

interface Event {
  readonly atMs: number;
  readonly run: () => void;
}

export class PathWorld {
  nowMs = 0;
  lossPercent = 0;
  /** Longer packets get lost without a word. */
  mtu = 1_500;
  /** Of the way through i3. */
  relayMs = 30;
  readonly a: Host;
  readonly b: Host;
  readonly #sites: Site[] = [];
  readonly #random: Random;
  #events: Event[] = [];

  constructor(seed = 1) {
    this.#random = new Random(seed);
    const [one, two] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    this.a = new Host(this, 0x3000_0001, { in: one, out: two }, 0x3000_0002);
    this.b = new Host(this, 0x3000_0002, { in: two, out: one }, 0x3000_0001);
  }

  site(kind: NatKind | null, family: 4 | 6 = 4): Site {
    const site = new Site(this.#sites.length + 1, kind, family);
    this.#sites.push(site);
    return site;
  }

  indexOf(site: Site): number {
    return this.#sites.indexOf(site) + 1;
  }

  /** The host looks at its places, and tells the peer by i3. */
  look(host: Host): void {
    host.set.setPlaces(this.nowMs, host.places());
    const said = host.locators();
    this.at(this.relayMs, () => (host === this.a ? this.b : this.a).set.setPeer(this.nowMs, said));
  }

  /** Both have their keys and begin. */
  start(activity: PathActivity = "carrying"): void {
    for (const host of [this.a, this.b]) {
      host.set.setActivity(this.nowMs, activity);
      this.look(host);
    }
  }

  carry(site: Site, from: Locator, to: Locator, bytes: Uint8Array): void {
    if (bytes.length + 28 > this.mtu || this.#random.below(100) < this.lossPercent) return;
    this.at(site.delayMs, () => {
      for (const host of [this.a, this.b]) {
        for (const there of host.sites) {
          if (there.isCut || there === site || !there.takes(from, to)) continue;
          this.at(there.delayMs, () => this.arrive(host, from, bytes));
        }
      }
    });
  }

  arrive(host: Host, from: Locator, bytes: Uint8Array): void {
    const { message, nonce, mac } = decodeControl(bytes);
    host.set.handle(this.nowMs, from, { nonce, mac }, message as PathMessage);
  }

  at(afterMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + afterMs, run });
  }

  /** Until `isDone`, at most so long. Whether it was. */
  runUntil(isDone: () => boolean, mostMs: number): boolean {
    const endMs = this.nowMs + mostMs;
    while (!isDone()) {
      const next = Math.min(...this.#events.map(({ atMs }) => atMs), this.a.set.dueMs, this.b.set.dueMs);
      if (next > endMs) {
        this.nowMs = endMs;
        return false;
      }
      this.nowMs = Math.max(this.nowMs, next);
      const due = this.#events.filter(({ atMs }) => atMs <= this.nowMs);
      this.#events = this.#events.filter(({ atMs }) => atMs > this.nowMs);
      for (const { run } of due) run();
      for (const { set } of [this.a, this.b]) if (set.dueMs <= this.nowMs) set.handleTimer(this.nowMs);
    }
    return true;
  }

  run(ms: number): void {
    this.runUntil(() => false, ms);
  }
}

export const isDirect = ({ set: { choice } }: Host): boolean => choice.kind === "straight" && choice.creditBytes === null;
