/** Whole HIP packets as they stand on the wire, written by hand from RFC 7401 §5.1 and §5.2.1. */
import type { HipHeader, ParameterContents } from "../../src/index.js";

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/[\s|]/g, ""), "hex"));
export const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

const HIT_A = "2001002a 000102030405060708090a0b";
const HIT_B = "2001002b 101112131415161718191a1b";
const senderHit = hex(HIT_A);
const receiverHit = hex(HIT_B);

export interface PacketRow {
  readonly name: string;
  readonly header: HipHeader;
  readonly parameters: readonly ParameterContents[];
  readonly hex: string;
}

export const PACKET_ROWS: readonly PacketRow[] = [
  {
    name: "nothing but a header",
    header: { type: 19, version: 2, controls: 0, senderHit, receiverHit },
    parameters: [],
    hex: `3b 04 13 21 0000 0000 | ${HIT_A} | ${HIT_B}`,
  },
  {
    name: "I1 of an anonymous host to any host, padding of one byte",
    header: { type: 1, version: 2, controls: 1, senderHit, receiverHit: new Uint8Array(16) },
    parameters: [{ type: 511, contents: hex("080703") }],
    hex: `3b 05 01 21 0000 0001 | ${HIT_A} | ${"00".repeat(16)} | 01ff 0003 080703 00`,
  },
  {
    name: "R1 in part: no padding, repeated and unknown parameters",
    header: { type: 2, version: 2, controls: 0, senderHit, receiverHit },
    parameters: [
      { type: 257, contents: hex(`0a 25 beef ${"11".repeat(32)}`) },
      { type: 832, contents: hex("0000 0007") },
      { type: 832, contents: hex("0000 0011 ff") },
      { type: 1_000, contents: new Uint8Array(0) },
      { type: 61_633, contents: hex("0007 99") },
    ],
    hex: `3b 0e 02 21 0000 0000 | ${HIT_A} | ${HIT_B}
      | 0101 0024 0a 25 beef ${"11".repeat(32)} | 0340 0004 00000007 | 0340 0005 00000011 ff 00000000000000 | 03e8 0000 00000000
      | f0c1 0003 000799 00`,
  },
  {
    name: "seven bytes of padding",
    header: { type: 127, version: 2, controls: 0xffff, senderHit, receiverHit },
    parameters: [{ type: 65_534, contents: hex("0102030405") }],
    hex: `3b 06 7f 21 0000 ffff | ${HIT_A} | ${HIT_B} | fffe 0005 0102030405 00000000000000`,
  },
];
