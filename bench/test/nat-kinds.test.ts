/** Which pairs of NATs have to let two hosts speak straight, and what counts as tried where they do not. */
import { describe, expect, it } from "vitest";

import { behindCarrier, KINDS, kindName, mustBeDirect, type Kind } from "../src/nat/kinds.js";
import { makePlan } from "../src/nat/plan.js";
import { placesIn, triedOf } from "../src/nat/tried.js";

const dueWith = (kind: Kind, seen: (kind: Kind) => Kind): readonly string[] => KINDS.filter((other) => mustBeDirect(seen(kind), seen(other))).map(kindName);
const asIs = (kind: Kind): Kind => kind;
const STABLE = ["none", "ei/ei", "ei/ad", "ei/apd"];

describe("a straight way is due", () => {
  it.each(KINDS.map((kind) => ({ kind, name: kindName(kind) })))("at one level to $name: by the mappings, or the filtering of one", ({ kind, name }) => {
    const expected = ["none", "ei/ei", "ei/ad"].includes(name) ? KINDS.map(kindName) : name === "ei/apd" ? STABLE : ["none", "ei/ei", "ei/ad"];
    expect(dueWith(kind, asIs)).toEqual(expected);
  });

  it.each(KINDS.map((kind) => ({ kind, name: kindName(kind) })))("behind carriers, which filter by port, to $name: by the mappings alone", ({ kind, name }) => {
    expect(dueWith(kind, behindCarrier)).toEqual(STABLE.includes(name) ? STABLE : []);
  });
});

describe("what was tried", () => {
  it("is read as nft writes it", () => {
    const set = (elem: unknown): string => JSON.stringify({ nftables: [{ metainfo: {} }, { set: { name: "checks", ...(elem === null ? {} : { elem }) } }] });
    expect(placesIn(set([{ elem: { val: { concat: ["192.168.1.2", 5610] }, counter: { packets: 6, bytes: 744 } } }]))).toEqual([{ address: "192.168.1.2", port: 5610, checks: 6 }]);
    expect(placesIn(set(null))).toEqual([]);
  });

  it("is told apart by where the peer may be", () => {
    const places = [["192.168.1.2", 5610, 6], ["198.51.100.6", 5610, 5], ["198.51.100.6", 40_000, 4]].map(([address, port, checks]) => ({ address: String(address), port: Number(port), checks: Number(checks) }));
    expect(triedOf(places, { own: "192.168.1.2", outside: "198.51.100.6" })).toEqual({ "own address": { places: 1, checks: 6 }, "as seen from outside": { places: 2, checks: 9 } });
    expect(triedOf([], { own: "198.51.100.6", outside: "198.51.100.6" })).toEqual({ "own address": { places: 0, checks: 0 } });
    expect(triedOf(places, { own: "192.168.1.2", outside: "192.0.2.1" })).toMatchObject({ elsewhere: { places: 2, checks: 9 } });
  });
});

describe("the plan of the suite", () => {
  it("takes kinds by their names, and all of what is not named", () => {
    expect(makePlan({ quick: false, only: "two-levels,ei/apd,apd/apd" })).toMatchObject({ rows: new Set(["two-levels"]), kinds: [{ mapping: "ei", filtering: "apd" }, { mapping: "apd", filtering: "apd" }] });
    expect([...makePlan({ quick: true, only: "none" }).rows]).toEqual(["one-level", "two-levels", "two-families"]);
    expect(makePlan({ quick: true, only: "ad/ad" }).kinds).toEqual([{ mapping: "ad", filtering: "ad" }]);
    expect(makePlan({ quick: true, only: undefined }).kinds).toHaveLength(5);
    expect(makePlan({ quick: false, only: undefined }).kinds).toHaveLength(KINDS.length);
    expect(() => makePlan({ quick: false, only: "ei" })).toThrow(RangeError);
  });
});
