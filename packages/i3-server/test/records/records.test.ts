import { beforeEach, describe, expect, it } from "vitest";

import { concatBytes, decodeControl, encodeControl, encodeServerList, makeLocator, RECORD_KIND, REFUSAL, REFUSED_ENDED, recordKey, type ControlMessage, type Locator, type SignedRecord } from "@i3/common";

import type { CounterName } from "../../src/counters.js";
import { anyMember } from "../ring-peer.js";
import { CLIENT, NONCE, OTHER_KEY, ServerBench, THIEF, WALL_MS } from "../server-bench.js";
import { forged, hitOf, nameRecord } from "./some-records.js";

const KEY_OF_BOX = recordKey(nameRecord());
const HOUR_MS = 3_600_000;

let bench: ServerBench;
beforeEach(() => {
  bench = new ServerBench({ records: { records: 20, perSource: 4 } });
});

const cookieFor = (record: SignedRecord, from: Locator, flags = 0): Uint8Array =>
  bench.answer("CHALLENGE", { type: "RECORD_PUT", flags, cookie: new Uint8Array(24), record: record.bytes }, from).cookie;

function put(record: SignedRecord, change: { readonly from?: Locator; readonly flags?: number; readonly bytes?: Uint8Array; readonly cookie?: Uint8Array } = {}): ControlMessage | null {
  const { from = CLIENT, flags = 0, bytes = record.bytes } = change;
  return bench.ask({ type: "RECORD_PUT", flags, cookie: change.cookie ?? cookieFor(record, from, flags), record: bytes }, from);
}

const get = (key = KEY_OF_BOX): Uint8Array | null => bench.answer("RECORD_IS", { type: "RECORD_GET", flags: 0, ringKey: key }, THIEF).record;
const refused = (code: number, subject = KEY_OF_BOX) => ({ type: "REFUSED", code, subject });
const counted = (name: CounterName): number => bench.core.counters.get(name);
const host = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, n >> 8, n & 0xff), 5610);

describe("a record", () => {
  it("is given to whoever asks, for an hour", () => {
    const record = nameRecord();
    expect(put(record)).toEqual({ type: "RECORD_OK", ringKey: KEY_OF_BOX, sequence: 1, lifeMs: HOUR_MS, successor: null });
    expect(get()).toEqual(record.bytes);
    bench.advance(HOUR_MS - 1);
    expect(get()).toEqual(record.bytes);
    bench.advance(1);
    expect(get()).toBeNull();
    expect(bench.core.inspect().records).toBe(0);
    expect(counted("records-expired")).toBe(1);
  });

  it("lives on when it is put again", () => {
    put(nameRecord());
    bench.advance(HOUR_MS / 2);
    expect(put(nameRecord())).toMatchObject({ type: "RECORD_OK", lifeMs: HOUR_MS });
    bench.advance(HOUR_MS - 1);
    expect(get()).not.toBeNull();
    expect(counted("records-repeated")).toBe(1);
  });

  it("does not outlive its own end", () => {
    expect(put(nameRecord({ notAfterS: WALL_MS / 1_000 + 61 }))).toMatchObject({ type: "RECORD_OK", lifeMs: 60_000 });
    bench.advance(60_000);
    expect(get()).toBeNull();
    expect(put(nameRecord({ notAfterS: WALL_MS / 1_000 + 61 }))).toEqual(refused(REFUSED_ENDED));
    expect(counted("record-ended")).toBe(1);
  });

  it("is replaced by a newer one, never by an older or another of the same number", () => {
    const newer = nameRecord({ sequence: 2, value: hitOf(2) });
    put(nameRecord());
    expect(put(newer)).toMatchObject({ type: "RECORD_OK", sequence: 2 });
    expect(put(nameRecord())).toEqual(refused(REFUSAL.oldCounter));
    expect(put(nameRecord({ sequence: 2, value: hitOf(3) }))).toEqual(refused(REFUSAL.oldCounter));
    expect(get()).toEqual(newer.bytes);
    expect(counted("old-counter")).toBe(2);
  });

  it("can be a list of servers beside a name of the same key", () => {
    const list = nameRecord({ kind: RECORD_KIND.serverList, label: "", value: encodeServerList([bench.self]) });
    put(nameRecord());
    expect(put(list)).toMatchObject({ type: "RECORD_OK" });
    expect(get(recordKey(list))).toEqual(list.bytes);
    expect(get()).toEqual(nameRecord().bytes);
  });

  it("is absent where nobody has put it", () => {
    expect(bench.ask({ type: "RECORD_GET", flags: 0, ringKey: KEY_OF_BOX })).toEqual({ type: "RECORD_IS", ringKey: KEY_OF_BOX, record: null, successor: null });
    expect(counted("records-absent")).toBe(1);
  });
});

describe("an attacker's record", () => {
  it.each<[string, () => ControlMessage | null, number, CounterName]>([
    ["with a forged signature", () => put(nameRecord(), { bytes: forged(nameRecord()) }), REFUSAL.badSignature, "signature"],
    ["with another value under a true signature", () => put(nameRecord(), { bytes: nameRecord().bytes.map((b, i) => (i === 71 ? b ^ 1 : b)) }), REFUSAL.badSignature, "signature"],
    ["with a raised sequence number", () => put(nameRecord(), { bytes: nameRecord().bytes.map((b, i) => (i === 45 ? 9 : b)) }), REFUSAL.badSignature, "signature"],
    ["with unknown flags", () => put(nameRecord(), { flags: 2, cookie: new Uint8Array(24) }), REFUSAL.unsupported, "unsupported"],
  ])("%s is refused and counted", (_what, attack, code, counter) => {
    expect(attack()).toEqual(refused(code));
    expect(get()).toBeNull();
    expect(counted(counter)).toBe(1);
  });

  it("cannot stand where another's does: its place follows from its key", () => {
    put(nameRecord());
    put(nameRecord({ sequence: 99 }, OTHER_KEY), { from: THIEF });
    expect(get()).toEqual(nameRecord().bytes);
    const stolen = concatBytes(nameRecord().bytes.subarray(0, 2), OTHER_KEY.publicKey, nameRecord({ sequence: 100 }).bytes.subarray(34));
    expect(put(nameRecord({}, OTHER_KEY), { from: THIEF, bytes: stolen })).toMatchObject({ type: "REFUSED", code: REFUSAL.badSignature });
  });

  it("is not taken from an address that has not proved itself, and costs no signature", () => {
    const cookie = cookieFor(nameRecord(), CLIENT);
    expect(put(nameRecord(), { from: THIEF, cookie })).toMatchObject({ type: "CHALLENGE", observed: THIEF });
    expect(put(nameRecord(), { from: makeLocator(CLIENT.address, CLIENT.port + 1), cookie })).toMatchObject({ type: "CHALLENGE" });
    expect(put(nameRecord({}, OTHER_KEY), { cookie })).toMatchObject({ type: "CHALLENGE" });
    bench.advance(30_001);
    expect(put(nameRecord(), { cookie })).toMatchObject({ type: "CHALLENGE" });
    expect(bench.core.inspect().records).toBe(0);
    expect(counted("record-challenges")).toBe(5);
  });

  it("that is no record is dropped without an answer", () => {
    const wire = encodeControl({ type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: nameRecord().bytes }, NONCE);
    wire[16 + 1 + 1 + 26 + 2] = 9; // its version
    expect(bench.sendBytes(wire)).toEqual([]);
    expect(bench.ask({ type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: new Uint8Array(1_000) })).toBeNull();
    expect(() => encodeControl({ type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: new Uint8Array(1_200) }, NONCE)).toThrow();
    expect(counted("malformed")).toBe(2);
  });

  it("is no lever: GET without padding gets no record, and every answer to PUT is smaller", () => {
    put(nameRecord());
    const wire = encodeControl({ type: "RECORD_GET", flags: 0, ringKey: KEY_OF_BOX }, NONCE);
    expect(bench.sendBytes(wire.subarray(0, 40), THIEF)).toEqual([]);
    expect(counted("amplification")).toBe(1);
    expect(bench.sendBytes(wire, THIEF)).toHaveLength(1);
  });
});

describe("floods", () => {
  const ofLabel = (n: number): SignedRecord => nameRecord({ label: `n${n}` });

  it("of one source take its own share, and others' records stay", () => {
    put(nameRecord(), { from: host(1) });
    const answers = Array.from({ length: 8 }, (_, n) => put(ofLabel(n), { from: THIEF }));
    expect(answers.filter((answer) => answer?.type === "RECORD_OK")).toHaveLength(4);
    expect(counted("records-full")).toBe(4);
    expect(put(ofLabel(50), { from: host(2) })).toMatchObject({ type: "RECORD_OK" });
    expect(get()).not.toBeNull();
  });

  it("of many sources fill the store and no more; what is there lives on and can be renewed", () => {
    put(nameRecord(), { from: host(1) });
    for (let n = 0; n < 60; n += 1) put(ofLabel(n), { from: host(100 + n) });
    expect(bench.core.inspect().records).toBe(20);
    expect(counted("records-full")).toBe(41);
    bench.advance(HOUR_MS / 2);
    expect(put(nameRecord({ sequence: 2 }), { from: host(1) })).toMatchObject({ type: "RECORD_OK" });
    bench.advance(HOUR_MS / 2);
    expect(put(ofLabel(100), { from: host(200) })).toMatchObject({ type: "RECORD_OK" });
    expect(bench.core.inspect().records).toBe(2);
  });

  it("of forged signatures from one source cost a bounded number of checks a second, and others nothing", () => {
    bench = new ServerBench({ records: { records: 1_000, perSource: 1_000 } });
    const cookie = cookieFor(nameRecord(), THIEF);
    for (let n = 0; n < 150; n += 1) put(nameRecord(), { from: THIEF, cookie, bytes: forged(nameRecord()) });
    expect(counted("signature")).toBe(50); // the other half is for other ports: triggers/shared-address.test.ts
    expect(counted("rate")).toBe(100);
    expect(put(nameRecord())).toMatchObject({ type: "RECORD_OK" });
  });

  it("by putting another's record again do not take it onto another account", () => {
    put(nameRecord(), { from: CLIENT });
    expect(put(nameRecord(), { from: THIEF })).toMatchObject({ type: "RECORD_OK" });
    for (let n = 0; n < 3; n += 1) put(ofLabel(n), { from: CLIENT });
    expect(put(ofLabel(9), { from: CLIENT })).toEqual(refused(REFUSAL.quota, recordKey(ofLabel(9))));
  });
});

describe("copies", () => {
  const foreign = (): ServerBench => {
    const made = new ServerBench({ ring: anyMember(), members: [makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000)], records: { records: 20, perSource: 100 } });
    made.engine.take();
    return made; // owns nothing before its members had their time
  };

  it("are taken for another server's key, and only when they are called so", () => {
    bench = foreign();
    expect(put(nameRecord(), { cookie: new Uint8Array(24) })).toEqual(refused(REFUSAL.notResponsible));
    expect(bench.ask({ type: "RECORD_GET", flags: 0, ringKey: KEY_OF_BOX })).toEqual(refused(REFUSAL.notResponsible));
    expect(bench.ask({ type: "RECORD_GET", flags: 1, ringKey: KEY_OF_BOX })).toMatchObject({ type: "RECORD_IS", record: null });
    expect(bench.ask({ type: "RECORD_GET", flags: 2, ringKey: KEY_OF_BOX })).toEqual(refused(REFUSAL.unsupported));
    expect(put(nameRecord(), { flags: 1 })).toMatchObject({ type: "RECORD_OK" });
    expect(get()).toEqual(nameRecord().bytes);
  });

  it("take half of the store at most, and are a server's own once it is responsible", () => {
    bench = foreign();
    for (let n = 0; n < 12; n += 1) put(nameRecord({ label: `n${n}` }), { flags: 1 });
    expect(bench.core.inspect().records).toBe(10);
    expect(counted("records-full")).toBe(2);
    bench.advance(2_000); // alone: all keys are its own
    bench.engine.take();
    expect(put(nameRecord({ label: "n0" }))).toMatchObject({ type: "RECORD_OK" });
    expect(put(nameRecord({ label: "n10" }))).toMatchObject({ type: "RECORD_OK" });
    expect(bench.core.inspect().records).toBe(11);
  });
});

it("answers carry the nonce of the request", () => {
  const [answer] = bench.send({ type: "RECORD_GET", flags: 0, ringKey: KEY_OF_BOX });
  expect(decodeControl(answer?.bytes ?? NONCE).nonce).toEqual(NONCE);
});
