import { errorLine, I3Error, publicId, toHex } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { MAX_PINS, Pins, pinsFromText, pinsToText } from "../../src/policy/pins.js";
import { judgeKey } from "../../src/policy/trust.js";
import { bookOf, hitOf } from "./files.js";

const [A, B] = ["2001:22::a", "2001:21::b"].map(hitOf) as [Uint8Array, Uint8Array];
const SINCE = Date.UTC(2026, 0, 31, 12);
const BOOK = bookOf('name="home.i3" hit="2001:22::a"', `name="id.i3" id="${toHex(publicId(A))}"`);

function pinned(limit = MAX_PINS): Pins {
  const pins = new Pins(limit);
  pins.add("box.try.i3", A, SINCE);
  return pins;
}

const judge = (name: string, trust: "book" | "first-use", hit: Uint8Array, pins = pinned()): string => {
  const verdict = judgeKey({ book: BOOK, pins, pinFile: "/s/pins" }, name, trust, hit);
  return verdict.kind === "refused" ? `${verdict.error.code} ${errorLine(verdict.error)}` : verdict.kind;
};

describe("the key of a name", () => {
  const CHANGED = "If its owner says that the key is new, ";
  const ELSE = "; otherwise somebody else answers in its place.";

  it.each([
    ["is that of the book", "home.i3", "book", A, "trusted"],
    ["is that of the book, in other letters", "HOME.I3.", "book", A, "trusted"],
    ["is not that of the book", "home.i3", "book", B, `ERR_I3_PEER_KEY home.i3 answered with the key of 2001:21::b, but is 2001:22::a in the address book (line 2). ${CHANGED}change that line${ELSE}`],
    ["is not that of the book, whatever policy says", "home.i3", "first-use", B, `ERR_I3_PEER_KEY home.i3 answered with the key of 2001:21::b, but is 2001:22::a in the address book (line 2). ${CHANGED}change that line${ELSE}`],
    ["hashes to the id of the book", "id.i3", "book", A, "trusted"],
    ["does not hash to the id of the book", "id.i3", "first-use", B, `ERR_I3_PEER_KEY id.i3 answered with the key of 2001:21::b, but is the id ${toHex(publicId(A))} in the address book (line 3). ${CHANGED}change that line${ELSE}`],
    ["is not in the book", "new.i3", "book", A, 'ERR_I3_UNKNOWN_HOST new.i3 answered with the key of 2001:22::a, and is not in the address book. Put it there if that is its key, or write trust="first-use" in the rule for its name.'],
    ["was pinned, but policy has changed", "box.try.i3", "book", A, 'ERR_I3_UNKNOWN_HOST box.try.i3 answered with the key of 2001:22::a, and is not in the address book. Put it there if that is its key, or write trust="first-use" in the rule for its name.'],
    ["is new", "new.try.i3", "first-use", B, "first-use"],
    ["is that of its pin", "Box.try.i3", "first-use", A, "trusted"],
    ["is not that of its pin", "box.try.i3", "first-use", B, `ERR_I3_PEER_KEY box.try.i3 answered with the key of 2001:21::b, but has had that of 2001:22::a since 2026-01-31. ${CHANGED}stop i3-proxy, delete the line of box.try.i3 in /s/pins and start it again${ELSE}`],
  ] as const)("%s", (_, name, trust, hit, expected) => {
    expect(judge(name, trust, hit)).toBe(expected);
  });

  it.each([
    ["is that of its zone", "nas.corp.i3", "book", A, "trusted"],
    ["is that of its zone, which is asked before first use", "nas.corp.i3", "first-use", A, "trusted"],
    ["is not that of its zone", "nas.corp.i3", "first-use", B, `ERR_I3_PEER_KEY nas.corp.i3 answered with the key of 2001:21::b, but the zone corp.i3 says that it is 2001:22::a. ${CHANGED}whoever has the zone's key must sign the name again${ELSE}`],
    ["is that of the book, whatever the zone says", "home.i3", "book", A, "trusted"],
  ] as const)("%s", (_, name, trust, hit, expected) => {
    const zoneEntry = (asked: string) => (asked === "nas.corp.i3" ? { hit: A, suffix: "corp.i3" } : asked === "home.i3" ? { hit: B, suffix: "i3" } : undefined);
    const verdict = judgeKey({ book: BOOK, zoneEntry, pins: pinned(), pinFile: "/s/pins" }, name, trust, hit);
    expect(verdict.kind === "refused" ? `${verdict.error.code} ${errorLine(verdict.error)}` : verdict.kind).toBe(expected);
  });

  it("is refused when there is no room to remember it, and known ones go on", () => {
    expect(judge("new.try.i3", "first-use", B, pinned(1))).toBe(
      "ERR_I3_TABLE_FULL new.try.i3 answered with the key of 2001:21::b, and 1 keys are remembered already, which are all there may be. Delete lines of /s/pins that are not needed, or put the host into the address book.",
    );
    expect(judge("box.try.i3", "first-use", A, pinned(1))).toBe("trusted");
  });
});

describe("pins", () => {
  it("stay as they were first made", () => {
    const pins = pinned();
    expect(pins.add("BOX.try.i3.", B, SINCE + 1)).toBe(false);
    expect(pins.get("box.try.i3")).toEqual({ name: "box.try.i3", hit: A, sinceMs: SINCE });
    pins.add("also.try.i3", A, SINCE);
    expect([pins.namesOf(A), pins.namesOf(B)]).toEqual([["box.try.i3", "also.try.i3"], []]);
  });

  it("keep a copy", () => {
    const hit = A.slice();
    const pins = new Pins();
    pins.add("a.i3", hit, SINCE);
    hit.fill(0);
    expect(pins.get("a.i3")?.hit).toEqual(A);
  });

  it("are bounded, and none makes room for another", () => {
    const pins = new Pins(2);
    expect([pins.add("a.i3", A, 0), pins.add("b.i3", A, 0), pins.add("c.i3", A, 0), pins.size, pins.isFull]).toEqual([true, true, false, 2, true]);
    expect(Array.from(pins.all(), ({ name }) => name)).toEqual(["a.i3", "b.i3"]);
  });

  it.each([["", A], ["a b", A], ["a.i3", new Uint8Array(15)]])("are of names and HITs: %j", (name, hit) => {
    expect(() => new Pins().add(name, hit, 0)).toThrow(RangeError);
  });

  it("are written as lines that people can read", () => {
    expect(pinsToText(pinned())).toBe('{"pins":1}\n{"name":"box.try.i3","hit":"2001:22::a","since":"2026-01-31T12:00:00.000Z"}\n');
  });

  it("are read back", () => {
    const pin = fc.tuple(fc.stringMatching(/^[a-z0-9]{1,10}\.i3$/), fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.double({ min: -1e20, max: 1e20, noNaN: true }));
    fc.assert(fc.property(fc.array(pin, { maxLength: 20 }), (list) => {
      const pins = new Pins();
      for (const [name, hit, wallMs] of list) pins.add(name, hit, wallMs);
      expect([...pinsFromText(pinsToText(pins), "f").all()]).toEqual([...pins.all()]);
    }));
  });

  const HEAD = '{"pins":1}\n';
  const line = (name: string, hit = "2001:22::a", since = "2026-01-31"): string => `{"name":"${name}","hit":"${hit}","since":"${since}"}\n`;

  it("may have blank lines, of people", () => {
    expect([...pinsFromText(`${HEAD}\n${line("a.i3")}  \n`, "f").all()]).toEqual([{ name: "a.i3", hit: A, sinceMs: Date.UTC(2026, 0, 31) }]);
  });

  it.each([
    ["nothing", "", "f:1: not a list of pinned host keys"],
    ["another file", "{}\n", "f:1: not a list of pinned host keys"],
    ["another version", '{"pins":2}\n', "f:1: pinned host keys of another version"],
    ["no line end", '{"pins":1}', "f:2: the last line is cut off"],
    ["half a line", HEAD + line("a.i3") + line("b.i3").slice(0, 20), "f:3: the last line is cut off"],
    ["a line without its end", HEAD + line("a.i3").trim(), "f:2: the last line is cut off"],
    ["no JSON", `${HEAD}x\n`, "f:2: not a pinned host key"],
    ["null", `${HEAD}null\n`, "f:2: not a pinned host key"],
    ["no name", HEAD + line("a b"), "f:2: not a pinned host key"],
    ["no address", HEAD + line("a.i3", "2001"), "f:2: not a pinned host key"],
    ["an IPv4 address", HEAD + line("a.i3", "192.0.2.1"), "f:2: not a pinned host key"],
    ["no time", HEAD + line("a.i3", "2001:22::a", "yesterday"), "f:2: not a pinned host key"],
    ["a name twice", HEAD + line("a.i3") + line("A.i3"), "f:3: a.i3 is pinned twice"],
    ["too many", HEAD + line("a.i3") + line("b.i3") + line("c.i3"), "f:4: more than 2 pinned host keys"],
  ])("are not read from a file with %s", (_, text, message) => {
    const read = (): Pins => pinsFromText(text, "f", 2);
    expect(read).toThrow(I3Error);
    expect(read).toThrow(expect.objectContaining({ code: "ERR_I3_STATE", message }) as Error);
  });
});
