import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  concatBytes, decodeRecord, decodeServerList, encodeRecordFields, encodeServerList, makeLocator, MAX_RECORD_BYTES, MIN_RECORD_BYTES, RECORD_KIND, recordKey, toHex, WireError, type RecordFields, type RingNode,
} from "../../src/index.js";
import { filled, hex } from "./control-rows.js";

const HIT = hex("2001 0020 1111 2222 3333 4444 5555 6666");
const SIGNER = filled(32, 0x5a);
const NAME: RecordFields = { kind: RECORD_KIND.name, signer: SIGNER, label: "box", sequence: 7, notAfterS: 1_900_000_000, value: HIT };
const record = (fields: Partial<RecordFields> = {}): Uint8Array => concatBytes(encodeRecordFields({ ...NAME, ...fields }), filled(64, 0xee));
const node = (n: number): RingNode => ({ key: filled(16, n), locator: makeLocator(Uint8Array.of(192, 0, 2, n), 5610) });
const nodes = (count: number): RingNode[] => Array.from({ length: count }, (_, i) => node(i + 1));

describe("records", () => {
  it("is on the wire as docs/wire.md §4.3 draws it", () => {
    expect(toHex(record())).toBe(toHex(hex(`01 02 ${"5a".repeat(32)} 03 626f78 0000000000000007 00000000713fb300 0010 20010020111122223333444455556666 ${"ee".repeat(64)}`)));
    expect(decodeRecord(record())).toEqual({ ...NAME, bytes: record(), signature: filled(64, 0xee) });
  });

  it("has its place from kind, signer and label, and from nothing else", () => {
    // H("record", 02, 32 times 5a, "box"), by Python's hashlib.
    expect(toHex(recordKey(NAME))).toBe("9d0b9984203fc8a601402c9b9e121894");
    const places = [NAME, { ...NAME, kind: RECORD_KIND.serverList }, { ...NAME, signer: filled(32, 0x5b) }, { ...NAME, label: "bo" }].map((fields) => toHex(recordKey(fields)));
    expect(new Set(places).size).toBe(4);
    expect(recordKey({ ...NAME, sequence: 8, value: filled(16, 0) } as RecordFields)).toEqual(recordKey(NAME));
  });

  it("is refused at every truncation and with anything behind it", () => {
    const bytes = record();
    for (let length = 0; length < bytes.length; length += 1) expect(() => decodeRecord(bytes.subarray(0, length)), `${length}`).toThrow(WireError);
    expect(() => decodeRecord(concatBytes(bytes, Uint8Array.of(0)))).toThrow(WireError);
  });

  it("is read at an offset, and nothing of the datagram is kept", () => {
    const datagram = concatBytes(filled(3, 0xee), record(), filled(1, 0xee));
    const decoded = decodeRecord(datagram.subarray(3, datagram.length - 1));
    datagram.fill(0);
    expect(decoded).toEqual(decodeRecord(record()));
  });

  it.each<[string, number, number]>([["version 2", 0, 2], ["kind 0", 1, 0], ["kind 3", 1, 3], ["no HIT", 56, 0], ["a label in capitals", 35, 0x42], ["a sequence beyond 2^53", 38, 1], ["an end beyond all clocks", 46, 1]])("refuses %s", (_what, at, value) => {
    const bytes = record();
    bytes[at] = value;
    expect(() => decodeRecord(bytes)).toThrow(WireError);
  });

  it.each<[string, Partial<RecordFields>]>([
    ["a name without a label", { label: "" }], ["a label of 64", { label: "a".repeat(64) }], ["a label with a space", { label: "a b" }], ["an end at 0", { notAfterS: 0 }],
    ["a HIT that is none", { value: filled(16, 1) }], ["a short HIT", { value: HIT.subarray(1) }], ["a short signer", { signer: filled(31, 1) }],
    ["a list that is none", { kind: RECORD_KIND.serverList, value: HIT }],
  ])("is not made of %s", (_what, fields) => {
    expect(() => record(fields)).toThrow(WireError);
  });

  it("keeps its bounds", () => {
    const list = record({ kind: RECORD_KIND.serverList, label: "a".repeat(63), value: encodeServerList(nodes(32)) });
    expect(list.length).toBeLessThanOrEqual(MAX_RECORD_BYTES);
    expect(record({ label: "a" }).length).toBe(MIN_RECORD_BYTES + 1);
    const six = (n: number): RingNode => ({ key: filled(16, n), locator: makeLocator(filled(16, n), 5610) });
    const value = encodeServerList(Array.from({ length: 32 }, (_, i) => six(i + 1)));
    expect(() => record({ kind: RECORD_KIND.serverList, label: "", value })).toThrow(/bytes/);
  });
});

describe("server lists", () => {
  it("come back as they went", () => {
    const mixed = [...nodes(3), { key: filled(16, 9), locator: makeLocator(hex("20010db8000000000000000000000001"), 4000) }];
    expect(decodeServerList(encodeServerList(mixed))).toEqual(mixed);
  });

  it.each<[string, readonly RingNode[]]>([["nobody", []], ["33 servers", nodes(33)], ["one twice", [node(1), { ...node(1), key: filled(16, 2) }]]])("refuse %s", (_what, list) => {
    expect(() => encodeServerList(list)).toThrow(WireError);
  });

  it("throw nothing but WireError at any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (value) => {
      try {
        expect(encodeServerList(decodeServerList(value))).toEqual(value);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }));
  });
});
