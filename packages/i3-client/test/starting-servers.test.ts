/** Servers that have started and are in no ring yet answer no PING (docs/wire.md §4.2): no client takes them for its first hop, in virtual time. */
import { locatorText, privateId } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";
import type { ServerCore } from "@i3/i3-server";
import { describe, expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const EVERY_MS = 20;
const coreOf = ({ core }: Node): ServerCore => core as ServerCore;
const unanswered = (node: Node): number => coreOf(node).counters.get("not-settled");
const firstHop = ({ client }: Program): string => {
  const locator = client.firstHop();
  return locator === null ? "none" : locatorText(locator);
};

describe("a server that starts", () => {
  /** A ring whose servers are far from each other, so that one joins for long; a receiver, and a sender that knows the server 192.0.2.9 too. */
  function farRing() {
    const isNear = ([, , net, last]: Uint8Array): boolean => net === 2 && last === 9;
    const world = new World({ seed: "far", delayBetweenMs: (from, to) => (from[2] === 2 && to[2] === 2 ? 150 : isNear(from) || isNear(to) ? 2 : 40) });
    const ring = world.ring(5);
    world.run(20_000);
    const fresh = { locator: { ...(ring[0] as Node).locator, address: Uint8Array.of(192, 0, 2, 9) } };
    const receiver = new Program(world, "198.51.100.1", ring);
    const sender = new Program(world, "198.51.100.2", [fresh, ...ring]);
    world.run(2_000);
    const key = triggerKeyFromSeed(world.random(32));
    const id = privateId(key.prefix, filled(16, 1));
    receiver.listen(id);
    receiver.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    world.run(3_000);
    let sent = 0;
    const traffic = (forMs: number): void => {
      for (const endMs = world.nowMs + forMs; world.nowMs < endMs; world.run(EVERY_MS)) sender.say(id, String((sent += 1)));
    };
    const lost = (): number => {
      world.run(1_000);
      return sent - new Set(receiver.texts()).size;
    };
    return { world, ring, sender, receiver, traffic, lost };
  }

  it("near a client that asks it is its first hop when it has joined, and no packet is lost", () => {
    const { world, ring, sender, traffic, lost } = farRing();
    // The client asks a dead one each 5 s: in the midst of its join.
    world.run(10_000, () => sender.client.servers().find(({ locator }) => locator.address[3] === 9)?.liveness === "dead");
    const asked = (): number => world.wire.filter(({ to }) => to.address[3] === 9).length;
    const before = asked();
    world.run(10_000, () => asked() > before);
    world.run(4_700);
    const fresh = world.server(9, [ring[0] as Node]);
    traffic(700);
    const [silent, hopInJoin] = [unanswered(fresh), firstHop(sender)];
    // With 300 ms there and back between servers that takes some seconds.
    for (let left = 150; left > 0 && !fresh.log.some(({ event }) => event === "joined"); left -= 1) traffic(100);
    traffic(6_000);
    expect(firstHop(sender)).toBe(locatorText(fresh.locator));
    const lostPackets = lost();
    process.stdout.write(`    PINGs without an answer: ${silent}; first hop meanwhile ${hopInJoin}; lost ${lostPackets}\n`);
    expect(lostPackets).toBe(0);
    expect(silent).toBeGreaterThan(0);
    expect(hopInJoin).not.toBe(locatorText(fresh.locator));
  }, 60_000);

  it("alone answers when it has looked for others long enough, and a client that began before it has it within a second of that", () => {
    const world = new World({ seed: "alone" });
    const client = new Program(world, "198.51.100.1", [world.node("192.0.2.1")]);
    world.run(700);
    const server = world.server(1, [world.node("192.0.2.77")]);
    const settled = (): boolean => server.log.some(({ event }) => event === "alone");
    while (!settled()) {
      world.run(10);
      expect(firstHop(client)).toBe("none");
    }
    expect(world.nowMs).toBeLessThanOrEqual(2_710);
    world.run(1_100, () => client.client.firstHop() !== null);
    expect(firstHop(client)).toBe(locatorText(server.locator));
    expect(unanswered(server)).toBeGreaterThan(0);
  });

  it.each([[1, 1_000], [10, 1_000], [50, 5_000]])("together with four others (ways of %i ms) is in a ring within %i ms, and a client has one of them a second later, and all in the end", (delayMs, withinMs) => {
    const world = new World({ seed: `together ${delayMs}`, delayMs });
    const members = [1, 2, 3, 4, 5].map((n) => world.node(`192.0.2.${n}`));
    const ring = [1, 2, 3, 4, 5].map((n) => world.server(n, members));
    const client = new Program(world, "198.51.100.1", ring);
    world.run(5_000, () => ring.every((node) => coreOf(node).inspect().successors.length > 0));
    process.stdout.write(`    ways of ${delayMs} ms: all are in it after ${world.nowMs} ms; PINGs without an answer: ${ring.map(unanswered).join(", ")}\n`);
    expect(world.nowMs).toBeLessThan(withinMs);
    const states = (): readonly string[] => client.client.servers().map(({ liveness }) => liveness);
    world.run(1_000 + 2 * delayMs, () => states().includes("alive"));
    expect(states()).toContain("alive");
    world.run(6_000); // Once one answers, those that have not are asked each 5 s.
    expect(states()).toEqual(Array.from({ length: 5 }, () => "alive"));
  });
});
