/** What servers send on to each other: what is passed on past the table, and what goes astray, are the same in both engines. */
import { afterEach, beforeEach, expect, it } from "vitest";

import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { DATA_FLAG } from "../../src/wire/data-header.js";
import { dataPacket } from "../reference/harness.js";
import { makeId } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS } from "./pools.js";

const OTHER = makeId(0x90, 1);
const [BEFORE, BEHIND, NEXT, ELSE] = LOCATORS.slice(0, 4) as [(typeof LOCATORS)[0], (typeof LOCATORS)[0], (typeof LOCATORS)[0], (typeof LOCATORS)[0]];
const HOPS = [0, 1, 2, 15, 16, 255];

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "range", from: new Uint8Array(16).fill(0x40), to: new Uint8Array(16).fill(0x60) }));
  pair.change("setNextServer", (engine) => engine.setNextServer(OTHER.subarray(0, 16), NEXT));
});
afterEach(() => pair.close());

const from = (locator: (typeof LOCATORS)[0], packet: Uint8Array, segments = 1): RawDatagram => ({
  bytes: Uint8Array.from(Array.from({ length: segments }, () => [...packet]).flat()), segmentBytes: segments === 1 ? 0 : packet.length, endpoint: encodeEndpoint(locator), trafficClass: 0,
});
const packets = (flags: number): readonly Uint8Array[] => HOPS.flatMap((hopLimit) => [OTHER, makeId(0x91, 1), makeId(0x50, 1)].map((id) => dataPacket({ ids: [id], flags, hopLimit })));

it("passes on, single packets and trains, whatever the table says, and no longer than it is told to", () => {
  let sent = 0;
  for (const passOn of [{ from: BEFORE, to: BEHIND }, { from: BEFORE, to: BEFORE }, { from: BEFORE, to: NEXT }, null]) {
    pair.change("setPassOn", (engine) => engine.setPassOn(passOn));
    for (const flags of [0, DATA_FLAG.forwarded, DATA_FLAG.forwarded | DATA_FLAG.cacheRequest]) {
      for (const locator of [BEFORE, NEXT, ELSE]) for (const packet of packets(flags)) for (const segments of [1, 5]) sent += pair.step(100, [], [from(locator, packet, segments)], true).length;
    }
  }
  expect(sent).toBeGreaterThan(100);
});

it("sends back to where it passes on to, and to nobody else", () => {
  const back = from(NEXT, dataPacket({ ids: [OTHER], flags: DATA_FLAG.forwarded, hopLimit: 16 }));
  const went = [NEXT, BEHIND, null].map((to) => {
    pair.change("setPassOn", (engine) => engine.setPassOn(to === null ? null : { from: BEFORE, to }));
    return pair.step(0, [], [back], true).length;
  });
  expect(went).toEqual([1, 0, 0]);
});

it("tells of what goes astray, whatever it has told of missing triggers", () => {
  const upcalls = (): number => pair.counters().upcalls;
  const [back, astray] = [16, 1].map((hopLimit) => from(NEXT, dataPacket({ ids: [OTHER], flags: DATA_FLAG.forwarded, hopLimit }))) as [RawDatagram, RawDatagram];
  pair.step(100, [], [back, back], true);
  expect(upcalls()).toBe(1);
  pair.step(0, [], [astray, astray, back], true);
  expect(upcalls()).toBe(2);
});

it("tells of what goes astray once in 100 ms for each key and source", () => {
  for (const passedMs of [0, 1, 50, 100]) {
    for (const locator of [BEFORE, NEXT]) for (const packet of packets(DATA_FLAG.forwarded)) pair.step(passedMs, [], [from(locator, packet), from(locator, packet)], true);
  }
  expect(pair.counters().drops["hop-limit"]).toBeGreaterThan(0);
});
