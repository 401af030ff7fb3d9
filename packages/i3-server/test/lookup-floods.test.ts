/** Floods that make a server look up random keys: what is left for others. */
import { describe, expect, it } from "vitest";

import { encodeControl, makeLocator, type Locator } from "@i3/common";

import { plusPowerOfTwo } from "../src/chord/ring-key.js";
import { MAX_CLIENT_LOOKUPS, MAX_WAITING_PER_KEY } from "../src/server/constants.js";
import { anyMember, RingPeer } from "./ring-peer.js";
import { CLIENT, NONCE, ServerBench } from "./server-bench.js";

const flooders = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(198, 51, 100, i), 1_000 + i));
/** Addresses of one /64, which one subscriber has. */
const siteOf = (count: number): Locator[] => Array.from({ length: count }, (_, i) => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, i, 1), 5_000));
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

it("so many requests wait for the lookup of one key; what is more is counted", () => {
  const { bench } = new FloodedServer();
  const bytes = encodeControl({ type: "LOCATE", ringKey: plusPowerOfTwo(bench.self.key, 90) }, NONCE);
  for (let i = 0; i < MAX_WAITING_PER_KEY + 5; i += 1) bench.sendBytes(bytes);
  expect([bench.core.counters.get("lookups"), bench.core.counters.get("cache-pending-full")]).toEqual([1, 5]);
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
    const many = Array.from({ length: 1_000 }, (_, i) => makeLocator(Uint8Array.of(203, 0, i >> 8, i & 0xff), 1_000));
    expect(server.begun(kind, 3, many)).toBe(MAX_CLIENT_LOOKUPS);
    expect(server.bench.core.inspect().lookups).toBeLessThan(MAX_CLIENT_LOOKUPS + 64);
  });
});
