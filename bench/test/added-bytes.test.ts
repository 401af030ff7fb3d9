/** What a packet grew by is told of packets that were seen to go in and to come out, and of no others. */
import { describe, expect, it } from "vitest";

import { addedBytesOf, isOurData, isWireguardData, type Crossing } from "../src/handshake/added-bytes.js";
import type { CapturedPacket } from "../src/handshake/pcap.js";
import { udpPacket } from "./udp-packet.js";

const [OVERLAY, PEER, OWN, OTHER] = [[10, 66, 0, 1], [10, 66, 0, 2], [192, 0, 2, 1], [192, 0, 2, 2]] as const;
const SPI = [0x20, 0, 0, 1];

const inner = (timeMs: number, bytes: number): CapturedPacket => ({ timeMs, bytes: udpPacket(OVERLAY, PEER, new Array<number>(bytes - 28).fill(7)) });
const answer = (timeMs: number): CapturedPacket => ({ timeMs, bytes: udpPacket(PEER, OVERLAY, [7]) });
const outer = (timeMs: number, bytes: number, from: readonly number[] = OWN): CapturedPacket => ({ timeMs, bytes: udpPacket(from, from === OWN ? OTHER : OWN, [...SPI, ...new Array<number>(bytes - 32).fill(1)]) });
/** Two packets, of 40 and 41 bytes, each with its answer; then what the capture is ended with. */
const INSIDE = [inner(1, 40), answer(3), inner(4, 41), answer(6), inner(20, 29)];
const OUTSIDE = [outer(2, 88), outer(2.5, 70, OTHER), outer(5, 90), outer(5.5, 70, OTHER), outer(21, 77)];
const WHOLE: Crossing = { inside: INSIDE, outside: OUTSIDE, to: Uint8Array.from(PEER), from: Uint8Array.from(OWN), port: 10_500, isData: isOurData, count: 2 };

describe("bytes added", () => {
  it("are the outer packet's less the inner packet's, of those that were asked for", () => {
    expect(addedBytesOf(WHOLE)).toEqual([{ innerBytes: 40, added: 48 }, { innerBytes: 41, added: 49 }]);
  });

  it("are not counted of what is no data, and not of what came before", () => {
    const control = { timeMs: 4.5, bytes: udpPacket(OWN, OTHER, [0x19, 1, 0, 0]) };
    expect(addedBytesOf({ ...WHOLE, outside: [outer(0, 99), OUTSIDE[0] as CapturedPacket, control, ...OUTSIDE.slice(1)] })).toHaveLength(2);
  });

  it.each([
    ["inside", INSIDE.filter((_, i) => i !== 2), OUTSIDE, /number 3 is out of turn/],
    ["outside", INSIDE, OUTSIDE.slice(1), /number 2 is out of turn/],
    ["at the end", INSIDE.slice(0, 4), OUTSIDE.slice(0, 2), /3 sights/],
    ["at all", [], OUTSIDE, /number 1 is out of turn/],
    ["everywhere", [], [], /0 sights/],
  ] as const)("cannot be told when a packet is missing %s", (_, inside, outside, message) => {
    expect(() => addedBytesOf({ ...WHOLE, inside, outside })).toThrow(message);
  });

  it("cannot be told when one packet comes out as two", () => {
    expect(() => addedBytesOf({ ...WHOLE, outside: [outer(2, 88), outer(2.2, 60), ...OUTSIDE.slice(1)] })).toThrow(/number 3 is out of turn/);
    expect(() => addedBytesOf({ ...WHOLE, outside: [...OUTSIDE.slice(0, 4), outer(7, 60), ...OUTSIDE.slice(4)] })).toThrow(/number 5 is out of turn/);
  });
});

it("what carries packets is told by its first byte, and for WireGuard by its length too", () => {
  const ours = [[0x11, 0], [0x20, 0, 0, 1], [0xfe, 1, 1, 1], [0x19, 0], [0, 0, 0, 0], [0xff], []];
  expect(ours.map((bytes) => isOurData(Uint8Array.from(bytes)))).toEqual([true, true, true, false, false, false, false]);
  const theirs = [[4, 48], [4, 32], [1, 148], [2, 92]].map(([type = 0, length = 0]) => Uint8Array.from({ length }, (_, i) => (i === 0 ? type : 0)));
  expect(theirs.map(isWireguardData)).toEqual([true, false, false, false]);
});
