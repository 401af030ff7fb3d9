/** Places of anonymous names and the parts of the range that they have, in virtual time. */
import { inRange } from "@i3/common";
import { describe, expect, it } from "vitest";

import { Destinations, KEPT_MS } from "../../src/anonymous/destinations.js";
import { rangePart } from "../../src/anonymous/range-part.js";

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
    expect(places.room(KEPT_MS, 0)).toBe("full");
    expect(places.room(10 + KEPT_MS, 0)).toEqual({ ends: "B" });
    places.remove("B");
    expect([places.room(10 + KEPT_MS, 0), places.room(10 + KEPT_MS, 1)]).toEqual(["free", "full"]);
  });
});

describe("a part of the range", () => {
  const bytes = (number: number) => (): Uint8Array => Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);

  it("is one of those as wide as gateways can be told, wherever the dice fall", () => {
    const ten = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };
    expect(rangePart(ten, bytes(0x1234_5678))).toEqual({ network: Uint8Array.of(10, 0x78, 0, 0), prefixBits: 16 });
    expect(rangePart({ network: Uint8Array.of(172, 16, 0, 0), prefixBits: 12 }, bytes(0xffff_ffff))).toEqual({ network: Uint8Array.of(172, 31, 240, 0), prefixBits: 20 });
    expect(rangePart({ network: Uint8Array.of(192, 168, 0, 0), prefixBits: 20 }, bytes(0xff))).toEqual({ network: Uint8Array.of(192, 168, 15, 0), prefixBits: 24 });
    const narrow = { network: Uint8Array.of(192, 168, 3, 0), prefixBits: 24 };
    expect(rangePart(narrow, bytes(0xffff))).toEqual(narrow);
    expect(ten.network).toEqual(Uint8Array.of(10, 0, 0, 0));
    expect(inRange(ten, rangePart(ten, bytes(0xdead_beef)).network)).toBe(true);
  });
});
