import { describe, expect, it } from "vitest";

import { EMPTY_ADDRESS_BOOK, formatIpText } from "@i3/common";

import { makeMapping, type Mapping } from "../../src/mappings/mapping.js";
import { AccessList } from "../../src/policy/access-list.js";
import { PLAIN_POLICY } from "../../src/policy/policy.js";
import { MappingLog } from "../../src/setup/mapping-log.js";

const hitOf = (n: number): Uint8Array => Uint8Array.of(0x20, 0x01, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n >> 8, n & 0xff);
const mapping = (n: number | null, name: string | null): Mapping =>
  makeMapping({ key: "p", peerId: null, peerHit: n === null ? null : hitOf(n), name, local4: Uint8Array.of(10, 0, 0, 1), local6: null, ownPrivateId: new Uint8Array(32), ownKey: null, policy: PLAIN_POLICY, isStranger: name === null, isNameOnly: false, lastUseMs: 0 });

function bed() {
  const lines: (readonly [string, string, unknown])[] = [];
  const clock = { nowMs: 0 };
  const access = new AccessList({ default: "refuse", entries: [{ admits: false, line: 4, hit: hitOf(1) }] }, EMPTY_ADDRESS_BOOK);
  const log = new MappingLog((level, event, fields) => lines.push([level, event, fields]), () => clock.nowMs, () => access);
  return { lines, clock, log, levels: (): readonly string[] => lines.splice(0).map(([level]) => level) };
}

describe("the log of mappings", () => {
  it("names the HIT of a host with a name, each time, and of one that proves nothing none", () => {
    const { log, lines } = bed();
    for (let n = 0; n < 20; n += 1) log.opened(mapping(1, "home.i3"), { security: "esp" });
    expect(lines).toEqual(Array.from({ length: 20 }, () => ["info", "mapping-open", { peer: "home.i3", hit: formatIpText(hitOf(1)), security: "esp" }]));
    log.ended(mapping(1, "home.i3"));
    log.ended(mapping(2, "nas.i3"));
    log.opened(mapping(null, null), { proved: false });
    expect(lines.slice(20)).toEqual([
      ["warn", "access-ended", { peer: "home.i3", hit: formatIpText(hitOf(1)), why: "line 4 of the configuration", remedy: expect.stringContaining("take that entry away") as unknown }],
      ["warn", "access-ended", { peer: "nas.i3", hit: formatIpText(hitOf(2)), why: "no entry of <access> lets it in", remedy: expect.stringContaining("<allow hit=") as unknown }],
      ["info", "mapping-open", { peer: "0000000000000000", proved: false }],
    ]);
  });

  it("tells of a stranger once a minute, of many ten at once and then one a second; the others are for who looks closer", () => {
    const { log, clock, levels } = bed();
    for (let n = 0; n < 3; n += 1) log.opened(mapping(1, null), {});
    expect(levels()).toEqual(["info", "debug", "debug"]);
    for (let n = 2; n < 30; n += 1) log.opened(mapping(n, null), {});
    expect(levels().filter((level) => level === "info")).toHaveLength(9);
    clock.nowMs = 60_000;
    log.opened(mapping(1, null), {});
    expect(levels()).toEqual(["info"]);
  });
});
