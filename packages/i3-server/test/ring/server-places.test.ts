/** Where servers are, for what goes to nobody else. */
import { makeLocator, type Locator } from "@i3/common";
import { beforeEach, describe, expect, it } from "vitest";

import { MAX_NAMED, NAMED_OF_ONE, ServerPlaces } from "../../src/ring/server-places.js";

const PLACE_MS = 600_000;
const at = (i: number): Locator => makeLocator(Uint8Array.of(198, 18, i >> 8, i & 0xff), 5_610);
const key = (i: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, at) => (at === 0 ? i >> 8 : at === 1 ? i & 0xff : 7));

let places: ServerPlaces;
beforeEach(() => (places = new ServerPlaces()));

describe("places of servers", () => {
  it("count for ten minutes since they were noted or named last", () => {
    places.note(0, key(1), at(1));
    places.noteNamed(0, key(2), at(2));
    places.note(1_000, key(1), at(1));
    places.noteNamed(1_000, key(2), at(2));
    for (const i of [1, 2]) expect([places.has(1_000 + PLACE_MS - 1, at(i)), places.has(1_000 + PLACE_MS, at(i))]).toEqual([true, false]);
    expect(places.has(0, at(3))).toBe(false);
  });

  it("at which a member is said to be are few at a time, the last ones", () => {
    for (let i = 0; i < 100; i += 1) places.noteNamed(0, key(1), at(i));
    expect(Array.from({ length: 100 }, (_, i) => i).filter((i) => places.has(0, at(i)))).toEqual([96, 97, 98, 99].slice(-NAMED_OF_ONE));
  });

  it("are another's still when one of whom it was said too is elsewhere, and proven ones whoever was said to be there", () => {
    places.note(0, key(1), at(1));
    for (const member of [1, 2]) for (const i of [1, 2]) places.noteNamed(0, key(member), at(i));
    for (let i = 10; i < 20; i += 1) places.noteNamed(0, key(1), at(i));
    expect([places.has(0, at(1)), places.has(0, at(2))]).toEqual([true, true]);
  });

  it("are still a member's own when another that named them last is elsewhere", () => {
    places.noteNamed(0, key(2), at(2));
    places.noteNamed(0, key(1), at(2));
    for (let i = 10; i < 20; i += 1) places.noteNamed(0, key(1), at(i));
    expect(places.has(0, at(2))).toBe(true);
    for (let i = 20; i < 30; i += 1) places.noteNamed(0, key(2), at(i));
    expect(places.has(0, at(2))).toBe(false);
  });

  it("at which a member has shown itself are two, the last ones, whatever it forges, and another's still when it moves on", () => {
    places.note(0, key(2), at(3));
    for (let i = 0; i < 100; i += 1) places.note(0, key(1), at(i));
    expect(Array.from({ length: 100 }, (_, i) => i).filter((i) => places.has(0, at(i)))).toEqual([3, 98, 99]);
  });

  it("at which members have shown themselves are bounded in all, by who was heard last", () => {
    for (let i = 0; i < 8_192; i += 1) places.note(0, key(i), at(i));
    places.note(0, key(0), at(0));
    places.note(0, key(8_192), at(8_192));
    expect([0, 1, 2, 8_192].map((i) => places.has(0, at(i)))).toEqual([true, false, true, true]);
  });

  it("that were only said are bounded in all, and take none of the proven ones' room", () => {
    places.note(0, key(0), at(0));
    for (let i = 1; i <= 10_000; i += 1) places.noteNamed(0, key(i), at(i));
    expect(Array.from({ length: 10_000 }, (_, i) => i + 1).filter((i) => places.has(0, at(i))).length).toBe(MAX_NAMED);
    expect(places.has(0, at(0))).toBe(true);
  });
});
