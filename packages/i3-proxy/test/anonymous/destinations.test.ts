/** Places of anonymous names and the parts of the range that they have, in virtual time. */
import { inRange } from "@i3/common";
import { describe, expect, it } from "vitest";

import { AddressParts } from "../../src/anonymous/address-parts.js";
import { Destinations, KEPT_MS } from "../../src/anonymous/destinations.js";

const LIMITS = { max: 3, idleMs: 300_000, renewAfterMs: 3_600_000 };
const none = (): number => -Infinity;

describe("instances", () => {
  it("are found by their key, and end when neither a question nor a packet came for so long", () => {
    const places = new Destinations<string>(LIMITS);
    places.add(0, "a", "A");
    places.add(0, "b", "B");
    expect([places.find(299_999, "a"), places.find(0, "c")]).toEqual(["A", undefined]);
    expect(places.takeIdle(300_000, none)).toEqual(["B"]);
    expect(places.takeIdle(599_998, none)).toEqual([]);
    expect(places.takeIdle(600_000, () => 599_000), "its packets count").toEqual([]);
    expect(places.takeIdle(899_000, none)).toEqual(["A"]);
    expect([places.size, places.find(899_000, "a")]).toEqual([0, undefined]);
  });

  it("are renewed for the next question when they are old; the old one goes on until it is idle", () => {
    const places = new Destinations<string>(LIMITS);
    places.add(0, "a", "old");
    places.takeIdle(3_599_000, () => 3_599_000);
    expect([places.find(3_599_999, "a"), places.find(3_600_000, "a")]).toEqual(["old", undefined]);
    places.add(3_600_000, "a", "new");
    expect([places.find(3_600_001, "a"), [...places.all()]]).toEqual(["new", ["old", "new"]]);
    places.remove("old");
    expect(places.find(3_600_002, "a")).toBe("new");
    places.remove("new");
    expect(places.find(3_600_003, "a")).toBeUndefined();
  });

  it("have so many places; the one that is unused for longest makes room, if it is so for a minute", () => {
    const places = new Destinations<string>(LIMITS);
    for (const [at, key] of [[0, "a"], [10, "b"], [20, "c"]] as const) places.add(at, key, key.toUpperCase());
    places.find(30, "a");
    const idle = (): boolean => false;
    expect(places.room(KEPT_MS, 0, idle)).toBe("full");
    expect(places.room(10 + KEPT_MS, 0, idle)).toEqual({ ends: "B" });
    expect([places.room(30 + KEPT_MS, 0, (one) => one === "B"), places.room(30 + KEPT_MS, 0, () => true)], "nobody's connections end for it").toEqual([{ ends: "C" }, "full"]);
    places.remove("B");
    expect([places.room(10 + KEPT_MS, 0, idle), places.room(10 + KEPT_MS, 1, idle)]).toEqual(["free", "full"]);
  });
});

describe("parts of the range", () => {
  const bytes = (number: number) => (): Uint8Array => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
  const none = (): boolean => false;

  it("are drawn among those that nobody has, and where nothing is real; each is one's alone until it is given back", () => {
    const range = { network: Uint8Array.of(198, 18, 0, 0), prefixBits: 20 };
    const parts = new AddressParts(range, bytes(6));
    const taken = [parts.take(none), parts.take(none), parts.take(none), parts.take(none)];
    expect(taken.map((part) => [...(part?.network ?? [])].join("."))).toEqual(["198.18.8.0", "198.18.0.0", "198.18.4.0", "198.18.12.0"]);
    expect([taken.every((part) => part?.prefixBits === 22 && inRange(range, part.network)), parts.take(none)]).toEqual([true, null]);
    parts.give({ network: Uint8Array.of(198, 18, 12, 0), prefixBits: 22 });
    expect([parts.take(({ network }) => network[2] === 12), parts.take(none)?.network, parts.take(none)]).toEqual([null, Uint8Array.of(198, 18, 12, 0), null]);
    expect(range.network).toEqual(Uint8Array.of(198, 18, 0, 0));
  });

  it("are all of the range, the widest and the usual one", () => {
    for (const [network, prefixBits, count] of [[Uint8Array.of(100, 0, 0, 0), 8, 16_384], [Uint8Array.of(198, 18, 0, 0), 15, 128]] as const) {
      const seen = new Set<string>();
      new AddressParts({ network, prefixBits }, bytes(0xffff_ffff)).take((part) => {
        seen.add(part.network.join("."));
        return true;
      });
      expect([seen.size, seen.has("198.19.252.0") || seen.has("100.255.252.0")]).toEqual([count, true]);
    }
  });
});
