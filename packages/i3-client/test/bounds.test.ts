/** What a client keeps is bounded; who asks for more hears so. */
import { encodeControl, makeLocator, RECORD_KIND, recordKey } from "@i3/common";
import { signRecord, triggerKeyFromSeed, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { FakeRing, filled, WALL_START_MS } from "./fake-ring.js";

const KEY = triggerKeyFromSeed(filled(32, 7));
const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, ...filled(12, 1)]);
const NOT_AFTER_S = WALL_START_MS / 1_000 + 86_400;
const recordOf = (i: number, sequence = 1) => signRecord(KEY, { kind: RECORD_KIND.name, label: `box${i}`, sequence, notAfterS: NOT_AFTER_S, value: HIT });

describe("a client", () => {
  it("keeps 64 records in the ring: one more is refused, a newer one of them is not, and one fits when one is dropped", () => {
    const { client } = new FakeRing(1);
    for (let i = 0; i < 64; i += 1) client.keepRecord(0, recordOf(i).bytes);
    expect(() => client.keepRecord(0, recordOf(64).bytes)).toThrow(RangeError);
    expect(() => client.keepRecord(0, recordOf(3, 2).bytes)).not.toThrow();
    client.dropRecord(recordKey(recordOf(0)));
    expect(() => client.keepRecord(0, recordOf(64).bytes)).not.toThrow();
    expect(() => client.keepRecord(0, recordOf(65).bytes)).toThrow(RangeError);
  });

  it("looks for 64 records at a time, and for more when those are found or not", () => {
    const ring = new FakeRing(1);
    for (let i = 0; i < 64; i += 1) ring.client.findRecord(0, filled(16, i));
    expect(() => ring.client.findRecord(0, filled(16, 64))).toThrow(RangeError);
    expect(() => ring.client.findRecord(0, filled(16, 3))).not.toThrow(); // runs already
    ring.server(1).down = true;
    ring.run(60_000);
    expect(ring.kinds().filter((kind) => kind === "record")).toHaveLength(64);
    expect(() => ring.client.findRecord(ring.nowMs, filled(16, 64))).not.toThrow();
  });

  it("looks at no trigger when it is asked to prove what it has not, nor for its next deadline", () => {
    const ring = new FakeRing(1);
    let looks = 0;
    const signer: TriggerSigner = { get kind() { looks += 1; return "private" as const; }, key: KEY };
    const values = Map.prototype.values;
    const walked: number[] = [];
    for (let i = 0; i < 1_000; i += 1) ring.client.insertTrigger(0, Uint8Array.from([...filled(14, 1), i >> 8, i, ...filled(16, 1)]), signer);
    looks = 0;
    Map.prototype.values = function (this: Map<unknown, unknown>) {
      walked.push(this.size);
      return values.call(this) as MapIterator<unknown>;
    };
    try {
      ring.client.handleControl(0, ring.server(1).locator, encodeControl({ type: "PROVE", id: filled(32, 9) }, filled(8, 1)));
      ring.client.nextDeadlineMs();
    } finally {
      Map.prototype.values = values;
    }
    expect([looks, Math.max(...walked)]).toEqual([0, 1]);
  });

  it("takes 64 places of a list: 32 servers with one of each family", () => {
    const { client } = new FakeRing(1);
    client.setListedServers(0, Array.from({ length: 72 }, (_, i) => makeLocator(Uint8Array.of(203, 0, 113, i + 1), 5610)));
    expect(client.servers().map(({ locator }) => locator.address[3])).toEqual([1, ...Array.from({ length: 64 }, (_, i) => i + 1)]);
  });
});
