import { WireError } from "@i3/common";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeDataHeader, encodeDataHeader, encodeDataHeaderInto, parseDataHeader, type DataHeader } from "../../src/wire/data-header.js";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/[\s|]/g, ""), "hex"));
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

const ROWS: readonly { readonly name: string; readonly hex: string; readonly value: DataHeader }[] = [
  {
    name: "one id, as a sender makes it",
    hex: `11 01 10 40 | 01 01 0000 | 0102030405060708 | ${"aa".repeat(32)}`,
    value: { flags: 0x01, hopLimit: 16, copyBudget: 64, payloadKind: 1, nonce: hex("0102030405060708"), ids: [filled(32, 0xaa)] },
  },
  {
    name: "two ids in order, forwarded",
    hex: `11 05 0f 03 | 02 02 0000 | ffffffffffffffff | ${"01".repeat(32)} | ${"02".repeat(32)}`,
    value: { flags: 0x05, hopLimit: 15, copyBudget: 3, payloadKind: 2, nonce: filled(8, 0xff), ids: [filled(32, 1), filled(32, 2)] },
  },
  {
    name: "fifteen ids, unknown flags and kind, zero limits",
    hex: `11 f8 00 00 | 0f c8 0000 | 0000000000000000 | ${Array.from({ length: 15 }, (_, i) => (i + 1).toString(16).padStart(2, "0").repeat(32)).join("")}`,
    value: { flags: 0xf8, hopLimit: 0, copyBudget: 0, payloadKind: 200, nonce: filled(8, 0), ids: Array.from({ length: 15 }, (_, i) => filled(32, i + 1)) },
  },
];

describe("data header", () => {
  describe.each(ROWS)("$name", ({ hex: text, value }) => {
    const wire = hex(text);

    it("is written at an offset", () => {
      const into = filled(wire.length + 10, 0xee);
      expect(encodeDataHeaderInto(value, into, 7)).toBe(wire.length);
      expect(into).toEqual(Uint8Array.from([...filled(7, 0xee), ...wire, ...filled(3, 0xee)]));
      expect(encodeDataHeader(value)).toEqual(wire);
    });

    it("is read at an offset, and what follows is payload", () => {
      const around = Uint8Array.from([...filled(5, 0xee), ...wire, 1, 2, 3, 0xee]);
      expect(decodeDataHeader(around, 5, around.length - 1)).toEqual({ header: value, payloadOffset: 5 + wire.length });
      expect(parseDataHeader(around, 5, wire.length + 3)).toBe(wire.length);
    });

    it("is rejected at every truncation", () => {
      for (let length = 0; length < wire.length; length++) {
        expect(() => decodeDataHeader(wire.subarray(0, length))).toThrow(WireError);
        expect(() => decodeDataHeader(wire, 0, length)).toThrow(WireError);
        expect(parseDataHeader(wire, 0, length)).toBe(-1);
      }
    });
  });

  it("ignores the reserved bytes and copies what it returns", () => {
    const wire = hex(ROWS[0]?.hex ?? "");
    wire[6] = 9;
    const { header } = decodeDataHeader(wire);
    wire.fill(0);
    expect(header).toEqual(ROWS[0]?.value);
  });

  it.each([0, 16, 255])("rejects a stack of %i", (stack) => {
    const wire = filled(16 + 32 * 255, 0x11);
    wire[4] = stack;
    expect(() => decodeDataHeader(wire)).toThrow(WireError);
    expect(parseDataHeader(wire, 0, wire.length)).toBe(-1);
  });

  it.each([0x10, 0x12, 0x19])("rejects the first byte %i", (first) => {
    const wire = hex(ROWS[0]?.hex ?? "");
    wire[0] = first;
    expect(() => decodeDataHeader(wire)).toThrow(WireError);
  });

  it.each<readonly [string, Partial<DataHeader>]>([
    ["flags", { flags: 256 }],
    ["hop limit", { hopLimit: -1 }],
    ["copy budget", { copyBudget: 1.5 }],
    ["payload kind", { payloadKind: 999 }],
    ["nonce", { nonce: filled(7, 0) }],
    ["no ids", { ids: [] }],
    ["too many ids", { ids: Array.from({ length: 16 }, () => filled(32, 0)) }],
    ["short id", { ids: [filled(31, 0)] }],
  ])("does not encode a bad %s", (_, wrong) => {
    const base = ROWS[0]?.value as DataHeader;
    expect(() => encodeDataHeaderInto({ ...base, ...wrong }, filled(1000, 0), 0)).toThrow(RangeError);
  });

  it("does not write past the end of the buffer", () => {
    const base = ROWS[0]?.value as DataHeader;
    expect(() => encodeDataHeaderInto(base, filled(50, 0), 3)).toThrow(RangeError);
    expect(() => encodeDataHeaderInto(base, filled(50, 0), -1)).toThrow(RangeError);
  });

  it("gives a value or a WireError for any bytes, and the parser agrees", () => {
    const nearly = fc.tuple(fc.constantFrom(0x11, 0x12), fc.uint8Array({ minLength: 0, maxLength: 600 })).map(([first, rest]) => Uint8Array.from([first, ...rest]));
    fc.assert(
      fc.property(fc.oneof(nearly, fc.uint8Array({ maxLength: 64 })), (wire) => {
        const parsed = parseDataHeader(wire, 0, wire.length);
        try {
          const { header, payloadOffset } = decodeDataHeader(wire);
          expect(payloadOffset).toBe(parsed);
          expect(wire.subarray(8, payloadOffset)).toEqual(encodeDataHeader(header).subarray(8));
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          expect(parsed === -1 || wire[0] !== 0x11).toBe(true);
        }
      }),
    );
  });
});
