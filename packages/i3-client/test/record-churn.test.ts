/** A record that its owner has put once, and keeps, while the servers that have it go (docs/wire.md §4.3, 4): rings of five in virtual time. */
import { describe, expect, it } from "vitest";

import { locatorText, RECORD_KIND, recordKey, sameLocator, type SignedRecord } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";
import { ServerCore } from "@i3/i3-server";

import { BareClient } from "../../../test/sim/bare-client.js";
import { World, type Node } from "../../../test/sim/world.js";

const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(3));
const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
/** The owner puts again so long after it has put. */
const AGAIN_MS = 600_000;
/** A ring closes over three that died next to each other: 0.5 s, and 0.8 s for each. Then the owner's server is another, and so is the responsible one. */
const HEALED_MS = 8_000;
/** A look-up that asks dead servers first, three times each. */
const FIND_MS = 15_000;
const LIFE_S = 86_400;
const SEEDS = [1, 2, 3];
/** Real time of a test that lives through ten minutes, on a busy machine. */
const LONG_TEST_MS = 90_000;

type Going = "crash" | "leave";

class Bed {
  readonly world: World;
  readonly servers: Node[];
  readonly owner: BareClient;
  readonly reader: BareClient;
  readonly record: SignedRecord;
  readonly holders: readonly Node[];

  constructor(seed: number) {
    this.world = new World({ seed: `records over churn ${seed}` });
    this.servers = this.world.ring(5);
    this.world.run(20_000);
    [this.owner, this.reader] = ["198.51.100.1", "198.51.100.2"].map((address) => new BareClient(this.world, address, this.servers)) as [BareClient, BareClient];
    this.world.run(3_000);
    this.record = signRecord(KEY, { kind: RECORD_KIND.name, label: `box-${seed}`, sequence: 1, notAfterS: Math.floor(this.world.wallMs() / 1_000) + LIFE_S, value: HIT });
    this.owner.client.keepRecord(this.world.nowMs, this.record.bytes);
    this.world.run(5_000, () => this.owner.last("record-kept") !== undefined);
    const places = this.owner.last("record-kept")?.servers ?? [];
    this.holders = places.map((place) => this.servers.find(({ locator }) => sameLocator(locator, place)) as Node);
    expect(new Set(places.map(locatorText)).size).toBe(3);
  }

  goes(server: Node | undefined, how: Going): void {
    if (!(server?.core instanceof ServerCore)) throw new Error("no server");
    if (how === "crash") server.down = true;
    else server.core.leave(this.world.nowMs);
  }

  /** What a look-up gives that begins now. */
  finds(): boolean {
    this.reader.events.length = 0;
    this.reader.client.findRecord(this.world.nowMs, recordKey(this.record));
    this.world.run(60_000, () => this.reader.last("record") !== undefined);
    return this.reader.last("record")?.record !== null;
  }

  /** How long from now until a look-up finds it that begins 1 s after the one before, ms. */
  untilFoundMs(limitMs: number): number {
    const startMs = this.world.nowMs;
    while (!this.finds()) {
      this.world.wire.length = 0;
      if (this.world.nowMs - startMs > limitMs) return Infinity;
      this.world.run(1_000);
    }
    return this.world.nowMs - startMs;
  }

  /** The servers that have it, each `apartMs` after the one before; what a look-up gives after each. */
  goOneByOne(goings: readonly Going[], apartMs = 30_000): boolean[] {
    return goings.map((how, i) => {
      this.goes(this.holders[i], how);
      this.world.run(apartMs);
      this.sweep();
      return apartMs > 0 && this.finds();
    });
  }

  /** Of those that go, whoever has left is gone. */
  sweep(): void {
    for (const server of this.holders) if (server.core instanceof ServerCore && server.core.hasLeft) server.down = true;
  }
}

describe.each(SEEDS)("a record that was put once, in ring %i,", (seed) => {
  it.each<Going>(["crash", "leave"])("is found at once, and ever after, when its responsible server goes by a %s", (how) => {
    const bed = new Bed(seed);
    bed.goes(bed.holders[0], how);
    expect(bed.untilFoundMs(0)).toBeLessThan(FIND_MS);
    for (let i = 0; i < 3; i += 1) {
      bed.world.run(10_000);
      bed.sweep();
      expect(bed.finds(), `look-up ${i}`).toBe(true);
    }
  });

  it.each<[Going, Going]>([["crash", "crash"], ["leave", "leave"], ["leave", "crash"]])("is found when two of its three servers go 30 s after each other, by a %s and a %s", (...goings) => {
    const bed = new Bed(seed);
    expect(bed.goOneByOne(goings)).toEqual([true, true]);
  });

  it("is found when two of its three servers crash at one moment, as soon as the ring has closed", () => {
    const bed = new Bed(seed);
    bed.goOneByOne(["crash", "crash"], 0);
    expect(bed.untilFoundMs(60_000)).toBeLessThan(HEALED_MS + FIND_MS);
  });
});

/** Known limit: servers hand no records over to those that come into the places of the three. */
describe("a record whose three servers are all gone before its owner puts it again", () => {
  it.each<[Going, Going, Going]>([["crash", "crash", "crash"], ["leave", "leave", "leave"]])("is lost with the third that goes, though each went 30 s after the one before (%s, %s, %s)", (...goings) => {
    expect(new Bed(1).goOneByOne(goings)).toEqual([true, true, false]);
  });

  it.each<[string, number]>([["at one moment, just after it was put", 0], ["30 s after each other", 30_000]])(
    "%s: is found again ten minutes after it was put",
    (_what, apartMs) => {
      const bed = new Bed(2);
      const putMs = bed.world.nowMs;
      bed.goOneByOne(["crash", "crash", "crash"], apartMs);
      expect(bed.finds()).toBe(false);
      expect(bed.untilFoundMs(AGAIN_MS + FIND_MS)).toBeLessThan(Infinity);
      expect(bed.world.nowMs - putMs).toBeGreaterThan(AGAIN_MS - 1_000);
      expect(bed.world.nowMs - putMs).toBeLessThan(AGAIN_MS + HEALED_MS + FIND_MS);
    },
    LONG_TEST_MS,
  );

  it("ten seconds before its owner puts it again, at one moment: is found again when the ring has closed", () => {
    const bed = new Bed(3);
    bed.world.run(AGAIN_MS - 10_000);
    bed.goOneByOne(["crash", "crash", "crash"], 0);
    expect(bed.untilFoundMs(60_000)).toBeLessThan(10_000 + HEALED_MS + FIND_MS);
  }, LONG_TEST_MS);
});
