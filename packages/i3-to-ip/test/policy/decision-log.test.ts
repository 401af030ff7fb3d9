import { parseIpText } from "@i3/common";
import { expect, it } from "vitest";

import { DecisionLog, type Decision } from "../../src/policy/decision-log.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const SSH: Decision = { admits: true, over: null, client: ip("10.1.2.3"), server: ip("192.168.5.10"), protocol: 6, port: 22 };

function world(): { readonly log: DecisionLog; readonly lines: unknown[] } {
  const lines: unknown[] = [];
  return { log: new DecisionLog({ log: (level, event, fields) => lines.push([level, event, fields]), whoIs: () => ({ name: "ann.i3", hit: ip("2001:22::a") }) }), lines };
}

it("says who was let where, with the identity", () => {
  const { log, lines } = world();
  log.note(0, SSH);
  log.note(0, { ...SSH, admits: false, server: ip("fd00::1"), protocol: 58, port: null });
  expect(lines).toEqual([
    ["info", "flow-allowed", { client: "ann.i3", hit: "2001:22::a", server: "192.168.5.10", protocol: "tcp", port: 22 }], ["info", "flow-refused", { client: "ann.i3", hit: "2001:22::a", server: "fd00::1", protocol: "icmp" }],
  ]);
});

it("says the same again after a minute, with how often it came", () => {
  const { log, lines } = world();
  for (const atMs of [0, 1, 59_999, 60_000, 60_001]) log.note(atMs, SSH);
  expect(lines).toMatchObject([["info", "flow-allowed", {}], ["info", "flow-allowed", { before: 2 }]]);
});

it("does not hide one client behind another's flood", () => {
  const { log, lines } = world();
  for (let port = 1; port <= 1_000; port += 1) log.note(0, { ...SSH, port });
  log.note(0, { ...SSH, client: ip("10.9.9.9") });
  expect(lines).toHaveLength(51);
});

it("counts what is too much for lines", () => {
  const { log, lines } = world();
  for (let port = 1; port <= 10_000; port += 1) log.note(0, { ...SSH, port, admits: port % 2 === 0 });
  expect(lines).toHaveLength(50);
  log.tellMore(5);
  log.tellMore(6);
  expect(lines.slice(50)).toEqual([["warn", "flows-more", { allowed: 4_975, refused: 4_975, remedy: expect.any(String) }]]);
  log.note(9, { ...SSH, port: 20_000 });
  log.tellMore(100);
  expect(lines).toHaveLength(51);
  log.tellMore(10_005);
  expect(lines.at(-1)).toMatchObject(["warn", "flows-more", { allowed: 1, refused: 0 }]);
});

it("says once a minute who has too many flows, whatever they are to, beside what else is said of it", () => {
  const { log, lines } = world();
  for (const port of [1, 2, 3]) log.note(port, { ...SSH, admits: false, over: "too-fast", port });
  log.note(4, { ...SSH, admits: false, over: "too-many", client: ip("2001:22::a") });
  log.note(5, SSH);
  log.note(60_001, { ...SSH, admits: false, over: "too-fast" });
  const over = (why: string): unknown => ["warn", "flows-over", { client: "ann.i3", hit: "2001:22::a", why, remedy: expect.stringContaining("<limits") }];
  expect(lines).toEqual([over("too-fast"), over("too-many"), ["info", "flow-allowed", expect.anything()], over("too-fast")]);
});
