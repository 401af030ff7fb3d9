/** A client with several interfaces: which one it goes over to, whom it asks by each, and what it says of it. Fake servers, virtual time. */
import type { Locator } from "@i3/common";
import { describe, expect, it } from "vitest";

import { FakeRing } from "./fake-ring.js";

const PLACES = [1, 2, 3].map((interfaceIndex) => ({ interfaceIndex, family: 4 as const, prefixes: null }));
/** By the system: the first. */
const ways = (ring: FakeRing, isDead: (interfaceIndex: number, to: Locator) => boolean): void => void (ring.isDeadEnd = (index, to) => isDead(index === 0 ? 1 : index, to));
const uplinks = (ring: FakeRing): readonly unknown[] => ring.events.flatMap((event) => (event.kind === "uplink" ? [`${event.interfaceIndex} ${event.why}`] : []));

describe("a client with several interfaces says why it takes another one", () => {
  it.each([["is preferred now", [3, 1, 2], "0 preferred"], ["is gone", [1, 2], "0 gone"]] as const)("when servers fall silent, when they answer again by one that is preferred, and when the one in use %s", (_, order, last) => {
    const ring = new FakeRing(2);
    ring.client.setUplinks(0, PLACES);
    ring.run(5_000);
    ways(ring, (index) => index < 3);
    ring.run(5_000);
    expect(uplinks(ring)).toEqual(["3 silent"]);
    ways(ring, (index) => index === 1);
    ring.run(10_000);
    expect(uplinks(ring)).toEqual(["3 silent", "2 back"]);
    ways(ring, () => false);
    ring.run(60_000);
    expect(uplinks(ring)).toEqual(["3 silent", "2 back", "0 back"]);
    ways(ring, (index) => index < 3);
    ring.run(5_000);
    expect(uplinks(ring).at(-1)).toBe("3 silent");
    ring.client.setUplinks(ring.nowMs, order.map((interfaceIndex) => ({ interfaceIndex, family: 4, prefixes: null })));
    ring.run(0);
    expect(uplinks(ring).at(-1)).toBe(last);
  });
});
