import { makeLocator } from "@i3/common";
import { RELAY, type PathChoice } from "@i3/hip";
import { expect, it } from "vitest";

import { PathLog } from "../../src/paths/path-log.js";

const PEER = { peer: "desk.i3", hit: "desk", level: "info" } as const;
const OTHER = { peer: "box.i3", hit: "box", level: "debug" } as const;
const LOST = "the way past the servers answers no more";
const PLACE = { key: "a", family: 4, interfaceIndex: 1, rank: 0, prefixes: null } as const;
const straight = (last: number, more: Partial<Extract<PathChoice, { kind: "straight" }>> = {}): PathChoice =>
  ({ kind: "straight", place: PLACE, locator: makeLocator(Uint8Array.of(192, 0, 2, last), 5610), creditBytes: null, mtu: null, ...more });

function make() {
  const lines: string[] = [];
  const log = new PathLog((level, event, fields) => void lines.push([level, event, ...Object.values(fields ?? {})].join(" ")));
  /** Lines since the last time, with the timer run until then. */
  const told = (untilMs: number): readonly string[] => {
    while (log.nextDeadlineMs() <= untilMs) log.handleTimer(log.nextDeadlineMs());
    return lines.splice(0);
  };
  return { log, told };
}

it("a path is told of at once, and its length when it is known or another", () => {
  const { log, told } = make();
  log.changed(0, 1, PEER, straight(1));
  expect(told(0)).toEqual(["info path desk.i3 192.0.2.1:5610"]);
  log.changed(10, 1, PEER, straight(1, { mtu: 1_500 }));
  log.changed(20, 1, PEER, straight(1, { mtu: 1_500 }));
  log.changed(30, 1, PEER, straight(1, { mtu: 1_400 }));
  expect(told(100_000)).toEqual(["info path-mtu desk.i3 192.0.2.1:5610 1500", "info path-mtu desk.i3 192.0.2.1:5610 1400"]);
});

it("i3 is told of when packets have gone over it for three seconds, and then the path again", () => {
  const { log, told } = make();
  log.changed(0, 1, PEER, straight(1, { mtu: 1_500 }));
  told(0);
  log.changed(1_000, 1, PEER, RELAY);
  expect(told(3_999)).toEqual([]);
  expect(told(4_000)).toEqual([`info path desk.i3 i3 ${LOST}`]);
  expect(told(100_000)).toEqual([]);
  log.changed(100_000, 1, PEER, straight(1, { mtu: 1_500 }));
  expect(told(100_000)).toEqual(["info path desk.i3 192.0.2.1:5610", "info path-mtu desk.i3 192.0.2.1:5610 1500"]);
});

it("a host that moves is told of by the path that it finds, not by i3 between the two", () => {
  const { log, told } = make();
  log.changed(0, 1, PEER, straight(1, { mtu: 1_500 }));
  told(0);
  log.changed(1_000, 1, PEER, RELAY);
  log.changed(1_100, 1, PEER, straight(2, { creditBytes: 1_000 }));
  log.changed(1_200, 1, PEER, straight(2));
  expect(told(100_000)).toEqual(["info path desk.i3 192.0.2.2:5610"]);
  // The same one again is no news.
  log.changed(200_000, 1, PEER, RELAY);
  log.changed(201_000, 1, PEER, straight(2));
  expect(told(300_000)).toEqual([]);
});

it("a place on credit that is never proven does not put off the word that packets go over i3", () => {
  const { log, told } = make();
  log.changed(0, 1, PEER, straight(1));
  told(0);
  log.changed(1_000, 1, PEER, RELAY);
  log.changed(2_000, 1, PEER, straight(2, { creditBytes: 1_000 }));
  log.changed(2_500, 1, PEER, RELAY);
  expect(told(4_000)).toEqual([`info path desk.i3 i3 ${LOST}`]);
});

it("i3 is told of when no path is found for three seconds, and not when one is", () => {
  const { log, told } = make();
  log.opened(0, 1, PEER);
  log.opened(0, 2, OTHER);
  log.changed(500, 1, PEER, straight(1, { creditBytes: 1_000 }));
  log.changed(600, 1, PEER, RELAY);
  log.changed(2_000, 2, OTHER, straight(2));
  expect(told(2_999)).toEqual(["debug path box.i3 192.0.2.2:5610"]);
  expect(told(100_000)).toEqual(["info path desk.i3 i3 no way past the servers has answered"]);
  log.opened(200_000, 3, PEER);
  log.forget(3);
  expect(told(300_000)).toEqual([]);
  log.stays(300_000, PEER, "because");
  expect(told(300_000)).toEqual(["info path desk.i3 i3 because"]);
});

it("nothing is told of one that is over, nor of i3 where nothing was looked for", () => {
  const { log, told } = make();
  log.changed(0, 1, PEER, RELAY);
  log.changed(0, 2, { ...PEER, level: "debug" }, straight(1));
  expect(told(10_000)).toEqual(["debug path desk.i3 192.0.2.1:5610"]);
  log.changed(10_000, 2, PEER, RELAY);
  log.forget(2);
  expect(told(100_000)).toEqual([]);
});

it("a peer that goes to and fro fills no log: four lines at once, then one in 10 s, the last way always", () => {
  const { log, told } = make();
  const lines: string[] = [];
  for (let nowMs = 0; nowMs < 60_000; nowMs += 50) {
    log.changed(nowMs, 1, PEER, straight(1 + ((nowMs / 50) % 2), { mtu: 1_500 }));
    lines.push(...told(nowMs).filter((line) => line.startsWith("info path ")));
  }
  expect(lines.slice(0, 4)).toEqual([1, 2, 1, 2].map((last) => `info path desk.i3 192.0.2.${last}:5610`));
  expect(lines).toHaveLength(4 + 5);
  log.changed(60_000, 1, PEER, straight(7));
  log.changed(60_001, 2, OTHER, straight(8));
  expect(told(60_001)).toEqual(["info path desk.i3 192.0.2.7:5610", "debug path box.i3 192.0.2.8:5610"]);
  log.changed(60_002, 1, PEER, straight(9));
  expect(told(69_999)).toEqual([]);
  expect(told(70_000)).toEqual(["info path desk.i3 192.0.2.9:5610"]);
});

it("what is over before its line may be written has none", () => {
  const { log, told } = make();
  for (const last of [1, 2, 3, 4, 5]) log.changed(0, 1, PEER, straight(last));
  expect(told(0)).toHaveLength(4);
  log.changed(1_000, 1, PEER, straight(4));
  expect(told(100_000)).toEqual([]);
});

it("a peer that makes its keys anew each second fills no log either, whatever is to be told of it", () => {
  for (const anew of [
    ({ log }: ReturnType<typeof make>, nowMs: number, association: number): void => {
      log.opened(nowMs, association, PEER);
      log.changed(nowMs, association, PEER, straight(1, { mtu: 1_500 }));
      log.forget(association);
    },
    ({ log }: ReturnType<typeof make>, nowMs: number): void => log.stays(nowMs, PEER, "because"),
  ]) {
    const made = make();
    const lines: string[] = [];
    for (let i = 0; i < 60; i += 1) {
      anew(made, i * 1_000, i);
      lines.push(...made.told(i * 1_000).filter((line) => line.startsWith("info path ")));
    }
    expect(lines).toHaveLength(4 + 5);
    // Others are told of at once.
    made.log.stays(60_000, { ...OTHER, level: "info" }, "because");
    expect(made.told(60_000)).toEqual(["info path box.i3 i3 because"]);
  }
});

it("i3 of several associations of one peer at once is told of in turn", () => {
  const { log, told } = make();
  for (let association = 0; association < 6; association += 1) log.opened(0, association, PEER);
  expect([told(2_999).length, told(3_000).length, told(12_999).length, told(13_000).length, told(22_999).length, told(100_000).length]).toEqual([0, 4, 0, 1, 0, 1]);
});

it("a path whose length goes to and fro fills no log, and the last length is told, and another way meanwhile", () => {
  const { log, told } = make();
  const lines: string[] = [];
  for (let nowMs = 0; nowMs < 60_000; nowMs += 500) {
    log.changed(nowMs, 1, PEER, straight(1, { mtu: nowMs % 1_000 === 0 ? 1_500 : 1_400 }));
    lines.push(...told(nowMs).filter((line) => line.startsWith("info path-mtu ")));
  }
  // The first came with the path.
  expect(lines).toHaveLength(1 + 4 + 5);
  log.changed(60_000, 1, PEER, straight(1, { mtu: 1_452 }));
  expect([told(60_499), told(100_000)]).toEqual([[], ["info path-mtu desk.i3 192.0.2.1:5610 1452"]]);
  log.changed(100_000, 1, PEER, straight(1, { mtu: 1_280 }));
  log.changed(100_000, 1, PEER, straight(2, { mtu: 1_500 }));
  expect(told(100_000)).toContain("info path desk.i3 192.0.2.2:5610");
});
