import { parseIpText } from "@i3/common";
import { describe, expect, it } from "vitest";

import { PacketFilter } from "../../src/nat/packet-filter.js";
import type { Verdict } from "../../src/policy/grants.js";
import type { Led } from "../../src/policy/led-clients.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const [CLIENT, OTHER] = [ip("10.7.7.7"), ip("10.8.8.8")];
const led = (real: string, virtual: string): Led => ({ hit: ip("2001:22::a"), real: ip(real), called: [{ virtual: ip(virtual), inside: ip(virtual) }], names: ["n"], askedMs: 0 });
const WIKI = led("192.168.5.1", "10.1.1.1");
const all: readonly Verdict[] = [{ admits: true, service: undefined }];
const ssh: readonly Verdict[] = [{ admits: true, service: { protocols: [6], ports: [{ first: 22, last: 22 }] } }];

function world(): { readonly filter: PacketFilter; readonly table: Map<string, string>; readonly sets: number[] } {
  const [table, sets] = [new Map<string, string>(), [] as number[]];
  const filter = new PacketFilter({
    addSet: ({ number }) => void sets.push(number),
    add: ({ set, key, value }) => {
      const [, number] = /^goto set_(\d+)$/.exec(value) ?? [];
      if (number !== undefined) expect(sets, "a chain before what names it").toContain(Number(number));
      table.set(`${set} ${key}`, value);
    },
    remove: ({ set, key }) => expect(table.delete(`${set} ${key}`), "only what is there is removed").toBe(true),
  });
  return { filter, table, sets };
}

describe("the packet filter", () => {
  it("has for a client that was led where its server is, and what it may send there", () => {
    const { filter, table, sets } = world();
    expect(filter.judge(CLIENT, WIKI, all)).toBe(true);
    expect([...table]).toEqual([["servers4 10.7.7.7 . 10.1.1.1", "192.168.5.1"], ["granted4 10.7.7.7 . 192.168.5.1", `goto set_${sets[0]}`]]);
    expect([...filter.elements()].map(({ set, key, value }) => [`${set} ${key}`, value])).toEqual([...table]);
    filter.judge(CLIENT, WIKI, ssh);
    expect(table.get("granted4 10.7.7.7 . 192.168.5.1")).toBe(`goto set_${sets[1]}`);
    expect(filter.takeUnused().map(({ number }) => number)).toEqual([sets[0]]);
    filter.judge(OTHER, WIKI, all);
    expect(sets, "the chain is made anew").toEqual([sets[0], sets[1], sets[0]]);
  });

  it("has nothing of a client that may do nothing, or is gone", () => {
    const { filter, table } = world();
    filter.judge(CLIENT, WIKI, all);
    filter.judge(CLIENT, led("fd00::1", "fd12::1"), all);
    filter.judgePlaces(CLIENT, all);
    filter.judge(OTHER, WIKI, all);
    expect(filter.judge(CLIENT, WIKI, [])).toBe(false);
    expect([table.size, filter.has(CLIENT)]).toEqual([5, true]);
    filter.release(CLIENT);
    expect([...table.keys()]).toEqual(["servers4 10.8.8.8 . 10.1.1.1", "granted4 10.8.8.8 . 192.168.5.1"]);
    expect([filter.has(CLIENT), filter.has(OTHER)]).toEqual([false, true]);
    filter.forget(CLIENT, WIKI);
    filter.release(CLIENT);
    expect(table.size).toBe(2);
  });

  it("judges packets to real addresses by client", () => {
    const { filter, table, sets } = world();
    expect([filter.judgePlaces(CLIENT, ssh), filter.judgePlaces(OTHER, [])]).toEqual([true, false]);
    expect([...table]).toEqual([["places4 10.7.7.7", `goto set_${sets[0]}`]]);
    expect([filter.judgePlaces(CLIENT, []), table.size]).toEqual([false, 0]);
  });
});
