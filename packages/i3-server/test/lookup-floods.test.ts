/** Floods that make a server look up random keys: what is left for others. */
import { describe, expect, it } from "vitest";

import { encodeControl, makeLocator, TRIGGER_ACTION, type Locator } from "@i3/common";
import { generateTriggerKey } from "@i3/hip";

import { MAX_LOOKUPS } from "../src/chord/constants.js";
import { plusPowerOfTwo } from "../src/chord/ring-key.js";
import { MAX_CLIENT_LOOKUPS, MAX_PROVEN_LOOKUPS, MAX_PROVEN_PER_NETWORK, MAX_PROVEN_SOURCES, MAX_WAITING_PER_KEY, PROVEN_MS } from "../src/server/constants.js";
import { ProvenSources } from "../src/server/proven-sources.js";
import { anyMember, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, NONCE, ServerBench } from "./server-bench.js";

const flooders = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(198, 51, 100, i), 1_000 + i));
/** Addresses of one /64, which one subscriber has. */
const siteOf = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, i, 1), 5_000));
/** One address in each of so many /64s of a /48. */
const networkOf = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 7, i >> 8, i & 0xff, 0, 0, 0, 0, 0, 0, 0, 1), 5_000));
const madeUp = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(203, 0, i >> 8, i & 0xff), 1_000));
const clients = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(192, 0, 2, i), 5_000));
const ports = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(198, 51, 100, 1), 1_000 + i));

/** A server whose only neighbour answers nothing, so that lookups of its keys take long. */
class FloodedServer {
  readonly bench = new ServerBench({ ring: anyMember() });
  readonly #neighbour = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000));
  #keys = 0;

  constructor() {
    this.meetAgain();
  }

  /** The neighbour, whom the server takes for dead after a while. */
  meetAgain(): void {
    this.bench.ring(this.#neighbour, { type: "NOTIFY", from: this.#neighbour.node });
  }

  /** A trigger of each of these, which the server acknowledges. */
  prove(sources: readonly Locator[]): void {
    let key = this.ownKey();
    for (const [i, from] of sources.entries()) {
      if (i % 100 === 99) key = this.ownKey(); // A ring key has room for 128 triggers.
      this.bench.answer("TRIGGER_OK", this.bench.trigger({ id: idOf(key, i + 1), signer: { kind: "private", key }, from }), from);
    }
  }

  /** Whose ids belong to this server. */
  ownKey() {
    for (;;) {
      const key = generateTriggerKey();
      if (this.bench.ask({ type: "CHALLENGE_REQUEST", ringKey: key.prefix, flags: 0 })?.type === "CHALLENGE") return key;
    }
  }

  /** How many lookups begin when each source asks for so many keys of the neighbour's, by LOCATE or by packets. */
  begun(kind: "requests" | "packets", times: number, sources: readonly Locator[]): number {
    const before = this.bench.core.counters.get("lookups");
    for (let i = 0; i < times; i += 1) {
      for (const from of sources) {
        const ringKey = plusPowerOfTwo(this.bench.self.key, 90);
        new DataView(ringKey.buffer).setUint32(12, (this.#keys += 1));
        this.bench.upcall(kind === "packets" ? { kind: "route-miss", ringKey, from } : { kind: "control", from, bytes: encodeControl({ type: "LOCATE", ringKey }, NONCE) });
      }
    }
    return this.bench.core.counters.get("lookups") - before;
  }
}

describe("requests for one key", () => {
  /** How many of them found no room to wait for its lookup. */
  function refused({ bench }: FloodedServer, sources: readonly Locator[]): number {
    const before = bench.core.counters.get("cache-pending-full");
    const bytes = encodeControl({ type: "LOCATE", ringKey: plusPowerOfTwo(bench.self.key, 90) }, NONCE);
    for (const from of sources) bench.sendBytes(bytes, from);
    return bench.core.counters.get("cache-pending-full") - before;
  }

  it("wait for its lookup, so many; what is more is counted", () => {
    const server = new FloodedServer();
    expect(refused(server, flooders(MAX_WAITING_PER_KEY + 5))).toBe(5);
    expect(server.bench.core.counters.get("lookups")).toBe(1);
  });

  it.each([["one source", ports(200), 198], ["one IPv6 /64", siteOf(200), 198], ["four", flooders(4).flatMap((from) => Array<Locator>(50).fill(from)), 192]] as const)("of %s leave room for others", (_name, sources, most) => {
    const server = new FloodedServer();
    expect(refused(server, sources)).toBe(most);
    expect(refused(server, [CLIENT])).toBe(0);
  });

  it("of 1,000 made-up sources cost those nothing who have proven their address", () => {
    const server = new FloodedServer();
    server.prove(clients(10));
    expect(refused(server, madeUp(1_000))).toBe(1_000 - MAX_WAITING_PER_KEY);
    expect(refused(server, clients(10))).toBe(0);
  });
});

describe.each(["requests", "packets"] as const)("%s for random keys", (kind) => {
  const other = kind === "packets" ? "requests" : "packets";

  it.each<[string, readonly Locator[], number, number]>([
    ["one source", flooders(1), 29, 10],
    ["one address with many ports", ports(200), 29, 10],
    ["one IPv6 /64 with many addresses", siteOf(200), 29, 10],
    ["12 sources", flooders(12), 12 * 13, 10],
    ["200 sources", flooders(200), MAX_CLIENT_LOOKUPS - 8, 1],
  ])("of %s: others get their lookups", (_name, sources, most, honest) => {
    const server = new FloodedServer();
    const times = Math.ceil(4_000 / sources.length);
    const taken = server.begun(kind, times, sources);
    expect(taken).toBeLessThanOrEqual(most);
    expect(taken).toBeGreaterThan(most * 0.9);
    expect(server.bench.core.counters.get("lookups-refused")).toBe(times * sources.length - taken);
    expect(server.begun(kind, honest, [CLIENT])).toBe(honest);
    expect(server.begun(other, 20, [CLIENT])).toBe(20);
    if (kind === "packets") expect(server.bench.engine.discarded).toHaveLength(times * sources.length - taken);
  });

  it("give their places back when the lookups have ended", () => {
    const server = new FloodedServer();
    const taken = server.begun(kind, 100, flooders(1));
    expect(server.begun(kind, 1, flooders(1))).toBe(0);
    server.bench.advance(6_000);
    expect(server.bench.core.inspect().waiting).toBe(0);
    server.meetAgain();
    expect(server.begun(kind, 100, flooders(1))).toBe(taken);
  });

  it("never run more than there are places for", () => {
    const server = new FloodedServer();
    expect(server.begun(kind, 3, madeUp(1_000))).toBe(MAX_CLIENT_LOOKUPS);
    expect(server.bench.core.inspect().lookups).toBeLessThan(MAX_CLIENT_LOOKUPS + 64);
  });

  it("of 1,000 made-up sources cost those nothing who have proven their address, while the flood goes on", () => {
    const server = new FloodedServer();
    server.prove(clients(20));
    server.begun(kind, 3, madeUp(1_000));
    const refused = (): number => server.bench.core.counters.get("lookups-refused");
    const lost = { proven: 0, others: 0 };
    for (let second = 0; second < 4; second += 1) {
      server.begun(kind, 1, madeUp(1_000));
      const before = refused();
      expect(server.begun(kind, 1, clients(20))).toBe(20);
      lost.proven += refused() - before;
      lost.others += 1 - server.begun(kind, 1, flooders(1));
      server.bench.advance(1_000);
      server.meetAgain();
    }
    expect(lost).toEqual({ proven: 0, others: 4 });
  });

  it("of sources that have proven their address have places of their own beside all others', and no more", () => {
    const server = new FloodedServer();
    server.prove(clients(200));
    expect([server.begun(kind, 3, madeUp(1_000)), server.begun(kind, 3, clients(200))]).toEqual([MAX_CLIENT_LOOKUPS, MAX_PROVEN_LOOKUPS]);
    server.bench.advance(6_000);
    server.meetAgain();
    expect([server.begun(kind, 100, [CLIENT]), server.begun(kind, 100, flooders(1))], "both kinds of places, and those for all").toEqual([15 + 29, 26]);
    expect(2 * (MAX_CLIENT_LOOKUPS + MAX_PROVEN_LOOKUPS) + 64).toBe(MAX_LOOKUPS);
  });

  it("of 200 IPv6 /64s of one /48 leave room for others that have proven their address as well", () => {
    const server = new FloodedServer();
    server.prove([...networkOf(200), ...clients(20)]);
    server.begun(kind, 3, madeUp(1_000));
    expect(server.begun(kind, 10, networkOf(200))).toBeLessThanOrEqual(MAX_PROVEN_LOOKUPS / 8);
    expect(server.begun(kind, 1, clients(20))).toBe(20);
  });

  it("of another server are taken as of one that has proven its address", () => {
    const server = new FloodedServer();
    server.begun(kind, 3, madeUp(1_000));
    expect(server.begun(kind, 10, [makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000)])).toBe(10);
  });

  it.each(["a cookie of another address", "another counter than the newest"] as const)("of who sends a trigger with %s are not", (what) => {
    const server = new FloodedServer();
    const key = server.ownKey();
    const [owner, other] = clients(2) as [Locator, Locator];
    const signer = { kind: "private", key } as const;
    const trigger = server.bench.trigger({ id: idOf(key), signer, from: other, counter: 5 });
    server.bench.answer("TRIGGER_OK", trigger, other);
    const bad = what === "a cookie of another address" ? { ...trigger, target: owner } : server.bench.trigger({ id: idOf(key), signer, from: owner, counter: 4, action: TRIGGER_ACTION.remove });
    server.bench.answer("REFUSED", bad, owner);
    server.begun(kind, 3, madeUp(1_000));
    expect([server.begun(kind, 1, [owner]), server.begun(kind, 1, [other])]).toEqual([0, 1]);
  });
});

describe("sources that have proven their address", () => {
  it("are so for two hours after the last time, and as many as fit", () => {
    const proven = new ProvenSources();
    const [a, b] = clients(2) as [Locator, Locator];
    proven.add(0, a);
    expect([proven.has(PROVEN_MS - 1, a), proven.has(PROVEN_MS, a), proven.has(0, b)]).toEqual([true, false, false]);
    proven.add(10, b);
    proven.add(20, a);
    for (const other of madeUp(MAX_PROVEN_SOURCES - 1)) proven.add(30, other);
    expect([proven.has(40, b), proven.has(40, a), ...madeUp(1).map((first) => proven.has(40, first))]).toEqual([false, true, true]);
  });

  it("of one IPv6 /48 are so many, and make no others forgotten", () => {
    const proven = new ProvenSources();
    const [a, b] = clients(2) as [Locator, Locator];
    proven.add(0, a);
    const sites = networkOf(65_536);
    for (const other of sites) proven.add(1, other);
    proven.add(2, b);
    expect([a, b].map((from) => proven.has(3, from))).toEqual([true, true]);
    expect(sites.filter((from) => proven.has(3, from))).toEqual(sites.slice(-MAX_PROVEN_PER_NETWORK));
  });
});
