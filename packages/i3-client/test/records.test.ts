import { beforeAll, describe, expect, it } from "vitest";

import { decodeRecord, locatorText, RECORD_KIND, recordKey, sameLocator, type Locator, type SignedRecord } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";

import { BareClient } from "../../../test/sim/bare-client.js";
import { World, type Node } from "../../../test/sim/world.js";
import { FakeRing, WALL_START_MS } from "./fake-ring.js";

const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(3));
const OTHER = triggerKeyFromSeed(new Uint8Array(32).fill(4));
const DAY_S = 86_400;
/** Its number on the wire. */
const GET = 61;

class Bed {
  readonly world = new World({ seed: "records" });
  readonly servers: Node[] = this.world.ring(4);
  readonly owner: BareClient;
  readonly reader: BareClient;

  constructor() {
    this.world.run(8_000);
    this.owner = new BareClient(this.world, "198.51.100.1", this.servers.slice(0, 2));
    this.reader = new BareClient(this.world, "198.51.100.2", this.servers);
    this.world.run(1_000);
  }

  record(fields: { readonly sequence?: number; readonly label?: string } = {}): SignedRecord {
    const { sequence = 1, label = "box" } = fields;
    return signRecord(KEY, { kind: RECORD_KIND.name, label, sequence, notAfterS: Math.floor(this.world.wallMs() / 1_000) + DAY_S, value: HIT });
  }

  /** Kept; the servers that have it. */
  keep(record: SignedRecord): readonly Locator[] {
    this.owner.events.length = 0;
    this.owner.client.keepRecord(this.world.nowMs, record.bytes);
    this.world.run(3_000, () => this.owner.last("record-kept") !== undefined);
    return this.owner.last("record-kept")?.servers ?? [];
  }

  find(key = recordKey(this.record()), leastSequence = 0, limitMs = 15_000): { readonly record: SignedRecord | null; readonly why: string } | undefined {
    this.reader.events.length = 0;
    this.reader.client.findRecord(this.world.nowMs, key, leastSequence);
    this.world.run(limitMs, () => this.reader.last("record") !== undefined);
    return this.reader.last("record");
  }

  at(locator: Locator | undefined): Node {
    const node = this.servers.find((server) => locator !== undefined && sameLocator(server.locator, locator));
    if (node === undefined) throw new Error("no such server");
    return node;
  }
}

describe("records of the ring", () => {
  let bed: Bed;
  beforeAll(() => {
    bed = new Bed();
  });

  it("are kept by three servers and found by others", () => {
    const record = bed.record();
    expect(new Set(bed.keep(record).map(locatorText)).size).toBe(3);
    expect(bed.find()).toMatchObject({ why: "found", record: { bytes: record.bytes } });
  });

  it("give way to newer ones; who signs an older one again hears so", () => {
    const newer = bed.record({ sequence: 7 });
    bed.keep(newer);
    bed.owner.client.dropRecord(recordKey(newer));
    expect(bed.keep(bed.record({ sequence: 6 }))).toEqual([]);
    expect(bed.owner.last("record-refused")).toMatchObject({ code: 4 });
    expect(bed.find()?.record?.bytes).toEqual(newer.bytes);
  });

  it("that are older than what is known are no answer", () => {
    bed.keep(bed.record({ sequence: 20 }));
    expect(bed.find(undefined, 20)).toMatchObject({ why: "found" });
    expect(bed.find(undefined, 21)).toMatchObject({ why: "absent", record: null });
  });

  it("of nobody are absent, after one question to each of the ring's four servers", () => {
    bed.world.wire.length = 0;
    expect(bed.find(new Uint8Array(16).fill(9))).toMatchObject({ why: "absent" });
    expect(bed.world.wire.filter(({ bytes }) => bytes[1] === GET)).toHaveLength(4);
  });
});

describe("a death", () => {
  it.each<[string, number]>([["of the responsible server", 0], ["of its successor", 1]])("%s loses no record", (_what, place) => {
    const bed = new Bed();
    const record = bed.record();
    bed.at(bed.keep(record)[place]).down = true;
    expect(bed.find()).toMatchObject({ why: "found", record: { bytes: record.bytes } });
    expect(bed.find()).toMatchObject({ why: "found" });
  });

  it("of all servers ends a search", () => {
    const bed = new Bed();
    for (const server of bed.servers) server.down = true;
    expect(bed.find(undefined, 0, 60_000)).toMatchObject({ why: "no-answer", record: null });
  });
});

describe("with the years", () => {
  /** One server that takes everything and remembers when. */
  function takingRing(): { readonly ring: FakeRing; readonly putsMs: number[] } {
    const ring = new FakeRing(1);
    const putsMs: number[] = [];
    ring.server(1).script = (message) => {
      if (message.type !== "RECORD_PUT") return undefined;
      putsMs.push(ring.nowMs);
      const { sequence, ...fields } = decodeRecord(message.record);
      return { type: "RECORD_OK", ringKey: recordKey(fields), sequence, lifeMs: 3_600_000, successor: null };
    };
    ring.run(1_000);
    return { ring, putsMs };
  }

  const endingIn = (lifeS: number): SignedRecord => signRecord(KEY, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_START_MS / 1_000 + lifeS, value: HIT });

  it("a record is put again every ten minutes, until it is dropped", () => {
    const { ring, putsMs } = takingRing();
    const { signer } = ring.client.keepRecord(ring.nowMs, endingIn(DAY_S).bytes);
    ring.run(1_900_000);
    expect(putsMs.map((ms) => Math.round(ms / 60_000))).toEqual([0, 10, 20, 30]);
    ring.client.dropRecord(recordKey({ kind: RECORD_KIND.name, signer, label: "box" }));
    ring.run(1_300_000);
    expect(putsMs).toHaveLength(4);
  });

  it("a record is put no more after its end, and the owner hears so", () => {
    const { ring, putsMs } = takingRing();
    ring.client.keepRecord(ring.nowMs, endingIn(900).bytes);
    ring.run(3_000_000);
    expect(putsMs).toHaveLength(2);
    expect(ring.events.at(-1)).toMatchObject({ kind: "record-refused", code: 20 });
  });
});

describe("a server that refuses a record", () => {
  /** Which of the servers that take it answer otherwise, minutes from the start. */
  function refusingRing(refuses: (n: number) => number | null): { readonly ring: FakeRing; readonly putsMin: number[] } {
    const ring = new FakeRing(1);
    const putsMin: number[] = [];
    ring.server(1).script = (message) => {
      if (message.type !== "RECORD_PUT") return undefined;
      const code = refuses(putsMin.push(Math.round(ring.nowMs / 60_000)));
      const { sequence, ...fields } = decodeRecord(message.record);
      if (code !== null) return { type: "REFUSED", code, subject: recordKey(fields) };
      return { type: "RECORD_OK", ringKey: recordKey(fields), sequence, lifeMs: 3_600_000, successor: null };
    };
    ring.client.keepRecord(0, signRecord(KEY, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_START_MS / 1_000 + 3_000, value: HIT }).bytes);
    return { ring, putsMin };
  }

  it.each([2, 3, 4, 5, 7, 8, 9, 10, 11, 20, 255])("once, with code %i, is told, and has it a minute later", (code) => {
    const { ring, putsMin } = refusingRing((n) => (n === 1 ? code : null));
    ring.run(700_000);
    expect(ring.events.filter(({ kind }) => kind.startsWith("record"))).toMatchObject([{ kind: "record-refused", code }, { kind: "record-kept" }, { kind: "record-kept" }]);
    expect(putsMin).toEqual([0, 1, 11]);
  });

  it("always is asked ever more seldom, until the record ends", () => {
    const { ring, putsMin } = refusingRing(() => 4);
    ring.run(3_600_000);
    expect(putsMin).toEqual([0, 1, 3, 7, 15, 25, 35, 45]);
    expect(ring.events.at(-1)).toMatchObject({ kind: "record-refused", code: 20 });
  });

  it("for a while, and takes it then, is as good as before", () => {
    const { ring, putsMin } = refusingRing((n) => (n <= 4 || n === 6 ? 3 : null));
    ring.run(1_800_000);
    expect(putsMin).toEqual([0, 1, 3, 7, 15, 25, 26]);
  });
});

it.each<[string, (record: SignedRecord) => Uint8Array | null]>([
  ["nothing", () => null], ["one with a forged signature", ({ bytes }) => bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))],
  ["another's", ({ bytes }) => signRecord(OTHER, { ...decodeRecord(bytes) }).bytes], ["one that has ended", ({ bytes }) => signRecord(KEY, { ...decodeRecord(bytes), notAfterS: WALL_START_MS / 1_000 }).bytes],
  ["no record", ({ bytes }) => bytes.map((byte, i) => (i === 0 ? 2 : byte))],
])("a server that answers with %s has none", (_what, forge) => {
  const ring = new FakeRing(1);
  const record = signRecord(KEY, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: WALL_START_MS / 1_000 + DAY_S, value: HIT });
  let answer = forge(record);
  ring.server(1).script = (message) => (message.type === "RECORD_GET" ? { type: "RECORD_IS", ringKey: message.ringKey, record: answer, successor: null } : undefined);
  ring.run(1_000);
  ring.client.findRecord(ring.nowMs, recordKey(record));
  ring.run(1_000);
  expect(ring.events.at(-1)).toMatchObject({ kind: "record", record: null, why: "absent" });
  answer = record.bytes;
  ring.client.findRecord(ring.nowMs, recordKey(record));
  ring.run(1_000);
  expect(ring.events.at(-1)).toMatchObject({ kind: "record", why: "found" });
});

it("a server that has just joined and is responsible leads to those that have the record", () => {
  const bed = new Bed();
  const records = [..."abcdefgh"].map((label) => bed.record({ label }));
  for (const record of records) {
    expect(bed.keep(record)).toHaveLength(3);
    bed.owner.client.dropRecord(recordKey(record));
  }
  const joined = Array.from({ length: 4 }, (_, i) => bed.world.server(100 + i, [bed.servers[0] as Node]));
  bed.world.run(20_000);
  let led = 0;
  for (const record of records) {
    bed.world.wire.length = 0;
    expect(bed.find(recordKey(record))).toMatchObject({ why: "found" });
    const [first] = bed.world.wire.filter(({ bytes }) => bytes[1] === GET);
    if (joined.some(({ locator }) => first !== undefined && sameLocator(locator, first.to))) led += 1;
  }
  expect(led).toBeGreaterThan(0);
});
