import { describe, expect, it } from "vitest";

import { SharedRoom } from "../src/shared-room.js";

/** Enters, and says who gave. */
function roomOf(most: number, mostOfOne: number) {
  const [room, gone] = [new SharedRoom({ most, mostOfOne }), [] as string[]];
  let count = 0;
  const enter = (group: string, holder: string) => {
    count += 1;
    const name = `${group}/${holder} ${count}`;
    return room.enter(group, holder, () => gone.push(name));
  };
  return { room, gone, enter };
}

describe("shared room", () => {
  it("has room until it is full; then the one who has most gives what has been idle longest", () => {
    const { room, gone, enter } = roomOf(6, 4);
    const first = enter("a", "x");
    for (const [group, holder] of [["a", "x"], ["a", "x"], ["a", "y"], ["b", "z"], ["b", "z"]] as const) enter(group, holder);
    expect([gone, room.size]).toEqual([[], 6]);
    first.touch();
    enter("c", "new");
    expect([gone, room.size]).toEqual([["a/x 2"], 6]);
  });

  it("a group of many holders is one of those that have much: whoever has a whole /48 has no more than who has one address", () => {
    const { gone, enter } = roomOf(100, 4);
    enter("honest", "1");
    for (let i = 0; i < 1_000; i += 1) enter("flood", `source ${i}`);
    expect([gone.length, gone.every((name) => name.startsWith("flood/"))]).toEqual([901, true]);
    for (let i = 0; i < 50; i += 1) enter("other", `${i}`);
    expect(gone.every((name) => name.startsWith("flood/"))).toBe(true);
  });

  it("one holder has its part and no more; of as many the one that comes gives", () => {
    const { gone, enter } = roomOf(4, 2);
    for (let i = 0; i < 3; i += 1) enter("a", "x");
    expect(gone).toEqual(["a/x 1"]);
    for (let i = 0; i < 2; i += 1) enter("b", "x");
    enter("a", "y");
    expect(gone).toEqual(["a/x 1", "a/x 2"]);
    enter("b", "y");
    expect(gone.at(-1)).toBe("b/x 4");
  });

  it("of ones that have as many the one that has been idle longest gives; what has left is nobody's", () => {
    const { room, gone, enter } = roomOf(3, 1);
    const places = ["a", "b", "c"].map((group) => enter(group, "x"));
    places[0]?.touch();
    enter("d", "x");
    expect(gone).toEqual(["b/x 2"]);
    for (const place of places) place.leave();
    for (const place of places) place.touch();
    expect(room.size).toBe(1);
    enter("e", "x");
    enter("f", "x");
    expect([gone, room.size]).toEqual([["b/x 2"], 3]);
  });
});
