import { describe, expect, it } from "vitest";

import { Places, type Place } from "../../src/places/places.js";

const LIMITS = { all: 8, perSource: 4, waiting: 4, waitingPerSource: 2 };
const v4 = (last: number): Uint8Array => Uint8Array.of(192, 0, 2, last);
const v6 = (site: number, host: number): Uint8Array => Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, site, 0, 0, 0, 0, 0, 0, 0, host);

function room(): { readonly places: Places; readonly gone: string[]; readonly enter: (name: string, address: Uint8Array, waits?: boolean) => Place | null } {
  const places = new Places(LIMITS);
  const gone: string[] = [];
  return { places, gone, enter: (name, address, waits = true) => places.enter(address, waits, () => gone.push(name)) };
}

describe("places", () => {
  it("of a source: the oldest of its own that waits makes room, and nobody else's", () => {
    const { places, gone, enter } = room();
    enter("other", v4(9));
    for (const name of ["a", "b", "c", "d"]) expect(enter(name, v4(1))).not.toBeNull();
    expect(gone).toEqual(["a", "b"]);
    expect([places.size, places.waiting, places.counters.displaced]).toEqual([3, 3, 2]);
  });

  it("of all that wait: the oldest makes room", () => {
    const { places, gone, enter } = room();
    for (let i = 1; i <= 6; i += 1) enter(String(i), v4(i));
    expect(gone).toEqual(["1", "2"]);
    expect(places.waiting).toBe(4);
  });

  it("who has said whom it means is never displaced", () => {
    const { places, gone, enter } = room();
    enter("settled", v4(1))?.settle();
    for (let i = 2; i <= 7; i += 1) enter(String(i), v4(i));
    expect(gone).toEqual(["2", "3"]);
    expect(places.size).toBe(5);
  });

  it("a source has its part, an IPv6 /64 as one", () => {
    const { places, enter } = room();
    for (let i = 1; i <= 4; i += 1) expect(enter("x", v6(1, i), false)).not.toBeNull();
    expect(enter("x", v6(1, 5), false)).toBeNull();
    expect(enter("y", v6(2, 5), false)).not.toBeNull();
    expect(places.counters).toMatchObject({ accepted: 5, fullOfSource: 1, full: 0 });
  });

  it("all are taken: who waits makes room, else there is none", () => {
    const { places, gone, enter } = room();
    for (let i = 1; i <= 7; i += 1) enter(String(i), v4(i), false);
    enter("waits", v4(20));
    expect(enter("8", v4(8), false)).not.toBeNull();
    expect(gone).toEqual(["waits"]);
    expect(enter("9", v4(9), false)).toBeNull();
    expect(places.counters.full).toBe(1);
  });

  it("are free again when left, once", () => {
    const { places, enter } = room();
    const first = enter("a", v4(1), false);
    for (let i = 0; i < 3; i += 1) enter("b", v4(1), false);
    first?.leave();
    first?.leave();
    expect(places.size).toBe(3);
    expect(enter("c", v4(1), false)).not.toBeNull();
    expect(enter("d", v4(1), false)).toBeNull();
  });

  it("who was displaced leaves again without harm", () => {
    const { places, gone, enter } = room();
    const places1 = ["a", "b", "c"].map((name) => enter(name, v4(1)));
    expect(gone).toEqual(["a"]);
    places1[0]?.leave();
    expect([places.size, places.waiting]).toEqual([2, 2]);
    for (const place of places1) place?.leave();
    expect([places.size, places.waiting]).toEqual([0, 0]);
  });
});
