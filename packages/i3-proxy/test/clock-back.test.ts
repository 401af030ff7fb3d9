/** A machine whose clock was fast, by as much as is tolerated, and is right again after a restart: the ring remembers a trigger counter that is ahead. Virtual time. */
import { expect, it } from "vitest";

import { locatorKey } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";

it.each([["stopped", 200_000, 0], ["killed", 200_000, 0], ["killed", 299_000, -299_000]])("a host that was %s, %i ms fast, and is %i ms fast now, can be called as soon as ever", (how, beforeMs, nowMs) => {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const identity = generateHostIdentity();
  const start = (clockErrorMs: number, last?: Host): { host: Host; tookMs: number } => {
    const [host, beganMs] = [addHost(world, "198.51.100.2", { servers: ring, identity, ...(last === undefined ? {} : { sharedKey: last.sharedKey }), book: bookOf({}), security: "esp", clockErrorMs }), world.nowMs];
    world.run(60_000, () => host.proxy.isReady(world.nowMs));
    return { host, tookMs: world.nowMs - beganMs };
  };
  const first = start(beforeMs);
  world.run(5_000);
  if (how === "stopped") {
    first.host.proxy.stop(world.nowMs);
    world.inject(first.host.node, {});
    world.run(1_000);
  }
  world.nodes.delete(locatorKey(first.host.node.locator));
  // One refusal, and a challenge and an insertion more.
  expect(start(nowMs, first.host).tookMs).toBeLessThanOrEqual(first.tookMs + 80);
});
