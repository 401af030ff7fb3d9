/** Two proxies whose keys are of different algorithms, encrypted over i3. Virtual time. */
import { describe, expect, it } from "vitest";

import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World } from "../../../test/sim/world.js";
import { roundTrip } from "./traffic.js";

describe("hosts with keys", () => {
  it.each([["rsa", "rsa"], ["rsa", "ecdsa-p384"], ["ecdsa-p384", "ecdsa-p256"]] as const)("of %s and %s speak encrypted, and find their keys anew", (ofLaptop, ofHome) => {
    const world = new World();
    const ring = world.ring(2);
    world.run(3_000);
    const [a, b] = [generateHostIdentity(ofLaptop), generateHostIdentity(ofHome)];
    const book = bookOf({ "laptop.i3": a, "home.i3": b });
    const options = { servers: ring, book, security: "esp" } as const;
    const [laptop, home] = [addHost(world, "198.51.100.1", { ...options, identity: a }), addHost(world, "198.51.100.2", { ...options, identity: b })];
    world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
    expect(roundTrip(world, laptop, home, "home.i3", "nobody reads this").back).not.toBe("nothing");
    expect(world.wire.filter(({ bytes }) => Buffer.from(bytes).includes("nobody reads this"))).toEqual([]);
    laptop.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
    world.inject(laptop.node, {});
    world.run(2_000);
    expect([laptop, home].map(({ node }) => node.log.filter(({ event }) => event === "rekeyed").length)).toEqual([1, 1]);
    expect(roundTrip(world, home, laptop, "laptop.i3", "nor this").back).not.toBe("nothing");
    // The other one calls as well, and both have one association.
    expect([laptop, home].map(({ proxy, node }) => [proxy.setups.hip?.hip.sizes.associations, node.log.filter(({ event }) => event === "mapping-open").length])).toEqual([[1, 1], [1, 1]]);
  }, 30_000);
});
