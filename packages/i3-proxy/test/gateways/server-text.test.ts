import { parseIpText } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import type { ServerAddress } from "../../src/gateways/server-addresses.js";
import { serversFromText, serversToText } from "../../src/gateways/server-text.js";
import type { Mapping } from "../../src/mappings/mapping.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const HIT = ip("2001:22::a");
const server = (address: string, askedMs: number, names: readonly (readonly [string, string])[], peerHit: Uint8Array | null = HIT): ServerAddress =>
  ({ address: ip(address), gateway: { peerHit } as Mapping, names: new Map(names), askedMs, usedMs: 0, answeredMs: 0, renewedMs: 0 });

const DAMAGED: readonly (readonly [what: string, text: string, line: number])[] = [
  ["nothing", "", 1], ["another file", "i3 pins 1\n", 1], ["a cut line", 'i3 gateway servers 1\n["2001:22::a","10.1.2.3","a","b"', 2], ["no line end", "i3 gateway servers 1", 2],
  ...[
    "x", "{}", "[]", "[1,2,3,4]", '["2001:22::a","10.1.2.3"]', '["2001:22::a","10.1.2.3","a"]', '["2001:db8::1","10.1.2.3","a","b"]', '["10.1.2.3","10.1.2.3","a","b"]', '["2001:22::a","10.1.2.256","a","b"]', `["2001:22::a","10.1.2.3","${"a".repeat(9_000)}","b"]`,
  ].map((line) => [line.slice(0, 40), `i3 gateway servers 1\n${line}\n`, 2] as const),
];

describe("servers behind gateways as text", () => {
  it("come back, those asked for longest ago first, names in their order", () => {
    const text = serversToText([server("10.1.2.3", 5, [["b.corp", "two.i3"], ["a.corp", "one.i3"]]), server("fd12::1", 3, [["c.corp", "one.i3"]]), server("10.9.9.9", 4, [["x", "y.i3"]], null)]);
    expect(text).toBe('i3 gateway servers 1\n["2001:22::a","fd12::1","c.corp","one.i3"]\n["2001:22::a","10.1.2.3","b.corp","two.i3","a.corp","one.i3"]\n');
    expect(serversFromText(text, "f")).toEqual([
      { hit: HIT, address: ip("fd12::1"), names: [["c.corp", "one.i3"]] }, { hit: HIT, address: ip("10.1.2.3"), names: [["b.corp", "two.i3"], ["a.corp", "one.i3"]] },
    ]);
    expect(serversFromText(serversToText([]), "f")).toEqual([]);
  });

  it("are as many as are read again", () => {
    const names = Array.from({ length: 8 }, (_, i) => [`${i}${"x".repeat(250)}`, "g.i3"] as const);
    const text = serversToText(Array.from({ length: 16_384 }, (_, i) => server(`10.1.${i >> 8}.${i & 0xff}`, i, names)));
    expect(text.length).toBeLessThan(4_000_100);
    const back = serversFromText(text, "f");
    expect(back.length).toBeGreaterThan(1_000);
    expect(back.at(-1)?.address).toEqual(ip("10.1.63.255"));
  });

  it.each(DAMAGED)("are refused when they are damaged: %s", (_, text, line) => {
    expect(() => serversFromText(text, "/var/x")).toThrow(expect.objectContaining({ code: "ERR_I3_STATE", message: expect.stringContaining(`/var/x:${line}: `) as string }));
  });

  it("never throw anything else", () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (noise) => {
      try {
        serversFromText(`i3 gateway servers 1\n${noise}\n`, "f");
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_I3_STATE" });
      }
    }));
  });
});
