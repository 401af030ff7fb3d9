import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatIpText, parseIpText, parseIpv4Text, parseIpv6Text, toHex } from "../../src/index.js";

const ROWS = [
  { text: "192.0.2.1", hex: "c0000201" },
  { text: "0.0.0.0", hex: "00000000" },
  { text: "::", hex: "00000000000000000000000000000000" },
  { text: "::1", hex: "00000000000000000000000000000001" },
  { text: "1::", hex: "00010000000000000000000000000000" },
  { text: "2001:db8::1:0:0:1", hex: "20010db8000000000001000000000001" },
  { text: "2001:db8:0:1:1:1:1:1", hex: "20010db8000000010001000100010001" },
  { text: "1:2:3:4:5:6:7:8", hex: "00010002000300040005000600070008" },
];

/** Good input whose canonical text is another. */
const VARIANTS = [
  ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ["2001:DB8::0001", "2001:db8::1"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"],
] as const;

const BAD = [
  "",
  ":",
  ":::",
  "1",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "1::2::3",
  "1:2:3:4:5:6:7:8::",
  "::1:2:3:4:5:6:7:8",
  "12345::",
  "g::",
  ":1::",
  "::1:",
  "fe80::1%eth0",
  "1.2.3.4::",
  "::1.2.3.4:5",
  "::1.2.3",
  "1.2.3",
  "1.2.3.4.5",
  "256.0.0.1",
  "01.2.3.4",
  "1.2.3.4 ",
  "+1.2.3.4",
  "0x1.2.3.4",
  "1.2.3.",
  `${"0".repeat(100)}::`,
];

describe("IP addresses as text", () => {
  it.each(ROWS)("$text both ways", ({ text, hex }) => {
    expect(toHex(parseIpText(text) ?? new Uint8Array())).toBe(hex);
    expect(formatIpText(Uint8Array.from(Buffer.from(hex, "hex")))).toBe(text);
  });

  it.each(VARIANTS)("%s is %s", (text, canonical) => {
    expect(formatIpText(parseIpText(text) ?? new Uint8Array(4))).toBe(canonical);
  });

  it.each(BAD)("refuses %j", (text) => {
    expect([parseIpv4Text(text), parseIpv6Text(text)]).toEqual([undefined, undefined]);
  });

  it("reads back every address it writes", () => {
    // Zeros are frequent, so that runs of them meet in all ways.
    const byte = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }));
    const address = fc.oneof(
      fc.array(byte, { minLength: 4, maxLength: 4 }),
      fc.array(fc.oneof(fc.constant([0, 0]), fc.tuple(byte, byte)), { minLength: 8, maxLength: 8 }).map((groups) => groups.flat()),
    );
    fc.assert(
      fc.property(address, (bytes) => {
        expect([...(parseIpText(formatIpText(Uint8Array.from(bytes))) ?? [])]).toEqual(bytes);
      }),
    );
  });
});
