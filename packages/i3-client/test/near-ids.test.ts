import { beforeEach, describe, expect, it } from "vitest";

import { bytesKey, locatorText, makeLocator, privateId, sameLocator } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";

import { BareClient } from "../../../test/sim/bare-client.js";
import { World, type Node } from "../../../test/sim/world.js";
import type { NearKey } from "../src/index.js";
import { FakeRing, filled } from "./fake-ring.js";

const NEAR_MS = 2;
const FAR_MS = 60;

/** Six servers, one of them near. The client knows two far ones and the near one, or two far ones. */
class Bed {
  readonly world = new World({
    seed: "near",
    delayBetweenMs: (from, to) => (from[0] === 192 && to[0] === 192 ? 10 : from[3] === 3 || to[3] === 3 ? NEAR_MS : FAR_MS),
  });
  readonly servers: Node[] = this.world.ring(6);
  readonly near = this.servers[2] as Node;
  readonly host: BareClient;

  constructor(known: readonly number[]) {
    this.world.run(10_000);
    this.host = new BareClient(this.world, "198.51.100.9", known.map((n) => this.servers[n] as Node));
    this.world.run(1_000);
  }

  take(count: number, limitMs: number): NearKey[] {
    const taken: NearKey[] = [];
    this.host.client.wantNearKeys(this.world.nowMs, count);
    this.world.run(limitMs, () => {
      const key = this.host.client.takeNearKey(this.world.nowMs);
      if (key !== null) taken.push(key);
      return taken.length >= count;
    });
    return taken;
  }
}

describe("private ids", () => {
  it.each<[string, readonly number[]]>([["is known", [0, 1, 2]], ["is found on the way", [0, 1]]])("land on the near server when it %s", (_what, known) => {
    const bed = new Bed(known);
    const keys = bed.take(3, 30_000);
    expect(keys).toHaveLength(3);
    for (const { server, rttMs } of keys) {
      expect(locatorText(server)).toBe(locatorText(bed.near.locator));
      expect(rttMs).toBeLessThan(3 * NEAR_MS);
    }
    expect(new Set(keys.map(({ key }) => bytesKey(key.prefix))).size).toBe(3);
    // The trigger is where the search has said.
    const [{ key } = keys[0] as NearKey] = keys;
    const id = privateId(key.prefix, filled(16, 1));
    bed.host.client.insertTrigger(bed.world.nowMs, id, { kind: "private", key });
    bed.world.run(2_000);
    const [trigger] = bed.host.client.triggers(bed.world.nowMs);
    expect(trigger?.live).toBe(true);
    expect(trigger?.server).toEqual(bed.near.locator);
  });

  it("drawn without a search land on any server", () => {
    const bed = new Bed([2]);
    const keys = Array.from({ length: 12 }, (_, i) => triggerKeyFromSeed(filled(32, i + 1)));
    for (const key of keys) bed.host.client.insertTrigger(bed.world.nowMs, privateId(key.prefix, filled(16, 1)), { kind: "private", key });
    bed.world.run(3_000);
    const far = bed.host.client.triggers(bed.world.nowMs).filter(({ server }) => server !== null && !sameLocator(server, bed.near.locator));
    expect(far.length).toBeGreaterThan(keys.length / 2);
  });
});

describe("the search", () => {
  let ring: FakeRing;
  const locates = (): number => ring.servers.reduce((sum, server) => sum + server.count("LOCATE"), 0);
  beforeEach(() => {
    ring = new FakeRing(2);
    ring.server(1).delayMs = 5;
    ring.server(2).delayMs = 80;
    ring.owner = ring.server(2); // of every id
    ring.run(1_000);
  });

  it("ends after 32 draws with the nearest there is", () => {
    ring.client.wantNearKeys(ring.nowMs, 1);
    ring.run(20_000);
    expect(locates()).toBe(32);
    expect(ring.client.takeNearKey(ring.nowMs)?.server).toEqual(ring.server(2).locator);
    expect(ring.client.takeNearKey(ring.nowMs)).toBeNull();
  });

  it("never waits: nothing is ready at first, and nothing is asked before a server answers", () => {
    for (const server of ring.servers) server.down = true;
    ring.run(6_000);
    ring.client.wantNearKeys(ring.nowMs, 1);
    expect(ring.client.takeNearKey(ring.nowMs)).toBeNull();
    ring.run(5_000);
    expect(locates()).toBe(0);
    ring.server(1).down = false;
    ring.owner = ring.server(1);
    ring.run(10_000);
    expect(ring.client.takeNearKey(ring.nowMs)?.server).toEqual(ring.server(1).locator);
  });

  it("takes the servers of its ids from whom it has asked alone, though another knows the nonce", () => {
    const forger = makeLocator(filled(4, 66), 5610);
    let forged = 0;
    ring.overhears = (message, nonce) => {
      if (message.type !== "LOCATE") return;
      forged += 1;
      ring.inject(forger, { type: "LOCATED", ringKey: message.ringKey, node: { key: filled(16, 9), locator: ring.server(1).locator } }, nonce);
    };
    ring.client.wantNearKeys(ring.nowMs, 1);
    ring.run(20_000);
    expect(forged).toBe(32);
    expect(ring.client.counters.unexpected).toBe(32);
    expect(ring.client.takeNearKey(ring.nowMs)?.server).toEqual(ring.server(2).locator); // and not the near one, which has none of them
  });

  it("that measures nothing comes again a minute later, and takes no server for near that never answered", () => {
    ring.server(1).script = (message) => (message.type === "LOCATE" ? { type: "LOCATED", ringKey: message.ringKey, node: { key: filled(16, 9), locator: { address: filled(4, 9), port: 9 } } } : undefined);
    ring.client.wantNearKeys(ring.nowMs, 1);
    ring.run(30_000);
    expect(locates()).toBe(32);
    expect(ring.client.takeNearKey(ring.nowMs)).toBeNull();
    ring.run(60_000);
    expect(locates()).toBe(64);
  });
});
