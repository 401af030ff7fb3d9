import { describe, expect, it } from "vitest";
import { editDistance, nearestName } from "../../src/config/nearest-name.js";

describe("nearest name", () => {
  it.each([
    ["", "", 0],
    ["port", "port", 0],
    ["prot", "port", 1],
    ["por", "port", 1],
    ["porrt", "port", 1],
    ["poet", "port", 1],
    ["kitten", "sitting", 3],
    ["", "port", 4],
  ])("%s and %s are %i apart", (a, b, distance) => {
    expect([editDistance(a, b), editDistance(b, a)]).toEqual([distance, distance]);
  });

  it.each([
    ["sever", ["servers", "server"], "server"],
    ["Server", ["listen", "server"], "server"],
    ["keyfile", ["key-file"], "key-file"],
    ["mut", ["name", "mtu"], "mtu"],
    ["x", ["y", "z"], undefined],
    ["colour", ["server", "listen"], undefined],
    ["", ["a"], undefined],
    ["s".repeat(5000), ["s".repeat(5000)], undefined],
  ])("%s among %j is %s", (name, candidates, nearest) => {
    expect(nearestName(name, candidates)).toBe(nearest);
  });
});
