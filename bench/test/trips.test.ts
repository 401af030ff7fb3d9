/** Round trips are counted in captures: of packets that waited for one another, and never in a capture that lacks one. */
import { encodeDataHeader, type DataHeader } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { readIp, readPcap, type CapturedPacket } from "../src/handshake/pcap.js";
import { longestChain, timesOf, tripsOf, type EndTrace, type Trip } from "../src/handshake/trips.js";
import { udpPacket } from "./udp-packet.js";

const NEAR = [10, 0, 0, 1];
const FAR = [10, 0, 0, 2];
const ETHERNET = 1;
const RAW_IP = 101;
const HIP = { i1: 1, r1: 2, i2: 3, r2: 4 } as const;

const esp = (sequence: number): readonly number[] => [0x20, 0, 0, 1, 0, 0, 0, sequence, 9, 9, 9, 9];
const hip = (type: keyof typeof HIP): readonly number[] => [59, 4, HIP[type], 0x21, 0, 0, 0, 0];
const straight = (packet: readonly number[]): readonly number[] => [0, 0, 0, 0, ...packet];
const control = [0x19, 1, 0, 0];

/** Behind an i3 header, which servers change on the way. */
function overI3(packet: readonly number[], hopLimit: number): readonly number[] {
  const header: DataHeader = { flags: 0, hopLimit, copyBudget: 64, payloadKind: packet[0] === 59 ? 3 : 4, nonce: new Uint8Array(8), ids: [new Uint8Array(32).fill(hopLimit)] };
  return [...encodeDataHeader(header), ...packet];
}

interface Row {
  readonly leftMs: number;
  readonly cameMs: number;
  readonly from: "near" | "far";
  readonly left: readonly number[];
  readonly came: readonly number[];
}

const ten = (from: Row["from"], leftMs: number, datagram: readonly number[]): Row => ({ from, leftMs, cameMs: leftMs + 10, left: datagram, came: datagram });

function captured(rows: readonly Row[]): Record<"near" | "far", EndTrace> {
  const of = (end: "near" | "far"): readonly CapturedPacket[] =>
    rows
      .map(({ from, leftMs, cameMs, left, came }) => ({
        timeMs: from === end ? leftMs : cameMs, bytes: udpPacket(from === "near" ? NEAR : FAR, from === "near" ? FAR : NEAR, from === end ? left : came),
      }))
      .sort((a, b) => a.timeMs - b.timeMs);
  return { near: { address: "10.0.0.1", packets: of("near") }, far: { address: "10.0.0.2", packets: of("far") } };
}

const EXCHANGE: readonly Row[] = [
  ten("near", 1, straight(hip("i1"))), ten("far", 12, straight(hip("r1"))), ten("near", 25, straight(hip("i2"))), ten("far", 37, straight(hip("r2"))), ten("near", 48, esp(1)), ten("far", 59, esp(2)),
];
const WHOLE = { startMs: 0, endMs: 70 };
const OPTIONS = { untilMs: 70, askingMs: null };
const kinds = (chain: readonly Trip[]): readonly string[] => chain.map(({ kind }) => kind);

describe("trips", () => {
  it("of an exchange are six that waited for one another, with what they took", () => {
    const chain = longestChain(tripsOf(captured(EXCHANGE), OPTIONS), WHOLE);
    expect(kinds(chain)).toEqual(["i1", "r1", "i2", "r2", "esp", "esp"]);
    expect(timesOf(chain, WHOLE)).toEqual({ wholeMs: 70, onTheWayMs: 60, atTheEndsMs: 10 });
  });

  it("are found behind the headers that servers change", () => {
    const rows = [hip("i1"), hip("r1"), esp(1), esp(2)].map((packet, i): Row => ({ ...ten(i % 2 === 0 ? "near" : "far", 1 + 11 * i, []), left: overI3(packet, 16), came: overI3(packet, 15) }));
    expect(kinds(longestChain(tripsOf(captured(rows), OPTIONS), WHOLE))).toEqual(["i1", "r1", "esp", "esp"]);
  });

  it("that were under way together count once", () => {
    const rows = [ten("near", 1, esp(1)), ten("near", 2, esp(3)), ten("far", 12, esp(2)), ten("far", 13, esp(4))];
    expect(longestChain(tripsOf(captured(rows), OPTIONS), WHOLE)).toHaveLength(2);
  });

  it("that crossed did not wait for each other", () => {
    const rows = [ten("near", 1, esp(1)), ten("far", 12, esp(2)), ten("near", 15, esp(3)), ten("far", 26, esp(4))];
    expect(longestChain(tripsOf(captured(rows), OPTIONS), WHOLE)).toHaveLength(2);
  });

  it("outside of the span do not count", () => {
    expect(kinds(longestChain(tripsOf(captured(EXCHANGE), OPTIONS), { startMs: 40, endMs: 70 }))).toEqual(["esp", "esp"]);
  });

  it("of one message more are seen", () => {
    const more = [...EXCHANGE, ten("near", 70, esp(3)), ten("far", 81, esp(4))];
    expect(longestChain(tripsOf(captured(more), { ...OPTIONS, untilMs: 100 }), { startMs: 0, endMs: 100 })).toHaveLength(8);
  });

  it("to a server and back, for whose answer the next one waited, count as one", () => {
    const traces = captured(EXCHANGE.map((row) => ({ ...row, leftMs: row.leftMs + 20, cameMs: row.cameMs + 20 })));
    const asked = { timeMs: 2, bytes: udpPacket(NEAR, [192, 0, 2, 1], control) };
    const answered = { timeMs: 13, bytes: udpPacket([192, 0, 2, 1], NEAR, control) };
    const near = { ...traces.near, packets: [asked, answered, ...traces.near.packets] };
    const span = { startMs: 0, endMs: 90 };
    const options = { untilMs: 90, askingMs: 9.5 };
    expect(kinds(longestChain(tripsOf({ ...traces, near }, options), span))).toEqual(["asking", "i1", "r1", "i2", "r2", "esp", "esp"]);
    expect(longestChain(tripsOf({ ...traces, near }, { ...options, askingMs: 12 }), span)).toHaveLength(6);
  });

  it.each(["near", "far"] as const)("cannot be counted when the capture of the %s end lacks any packet", (end) => {
    const whole = captured(EXCHANGE);
    for (const lacking of whole[end].packets) {
      const traces = { ...whole, [end]: { ...whole[end], packets: whole[end].packets.filter((packet) => packet !== lacking) } };
      expect(() => longestChain(tripsOf(traces, OPTIONS), WHOLE)).toThrow(/left|no capture/);
    }
  });

  it("that are none are no answer", () => {
    expect(() => longestChain(tripsOf(captured([]), OPTIONS), WHOLE)).toThrow(/no packet went/);
    expect(() => longestChain(tripsOf(captured(EXCHANGE), OPTIONS), { startMs: 50, endMs: 70 })).toThrow(/no packet went/);
  });
});

function pcap(linkType: number, frames: readonly Uint8Array[], kept?: number): Uint8Array {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2_c3d4, 0);
  head.writeUInt32LE(linkType, 20);
  const records = frames.flatMap((frame, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(7, 0);
    record.writeUInt32LE(500 * i, 4);
    record.writeUInt32LE(kept ?? frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame.subarray(0, kept ?? frame.length)];
  });
  return new Uint8Array(Buffer.concat([head, ...records]));
}

describe("a capture", () => {
  const packet = udpPacket(NEAR, FAR, esp(1));
  const frame = Uint8Array.from([...new Array<number>(12).fill(0xee), 8, 0, ...packet, 0, 0, 0]);

  it.each([["of Ethernet, padded", ETHERNET, frame], ["of a TUN device", RAW_IP, packet]] as const)("%s, gives its IP packets and their times", (_, linkType, bytes) => {
    const read = readPcap(pcap(linkType, [bytes, bytes]));
    expect(read.map(({ timeMs }) => timeMs)).toEqual([7_000, 7_000.5]);
    expect(readIp(read[1]?.bytes ?? new Uint8Array(0))).toEqual({ source: "10.0.0.1", destination: "10.0.0.2", protocol: 17, totalBytes: 40, payload: packet.subarray(20) });
  });

  it("ends with the last record that is whole", () => {
    const file = pcap(RAW_IP, [packet, packet]);
    for (const cut of [1, 15, 16, 40, 55]) expect(readPcap(file.subarray(0, file.length - cut))).toHaveLength(1);
    expect([0, 10, 24].map((length) => readPcap(file.subarray(0, length)))).toEqual([[], [], []]);
  });

  it.each([
    ["another format", new Uint8Array(24).fill(1), /not a file/],
    ["another link", pcap(113, []), /link type 113/],
    ["half a packet", pcap(RAW_IP, [packet], 20), /20 of a packet's 40 bytes/],
  ] as const)("of %s is refused", (_, file, message) => {
    expect(() => readPcap(file)).toThrow(message);
  });

  it.each([
    ["a fragment", packet.map((byte, i) => (i === 6 ? 0x20 : byte)), /a fragment/],
    ["less than it says", packet.subarray(0, 30), /of which 30/],
    ["nothing", new Uint8Array(0), /of 0 bytes/],
  ] as const)("with a packet that is %s is refused", (_, bytes, message) => {
    expect(() => readIp(bytes)).toThrow(message);
  });
});
