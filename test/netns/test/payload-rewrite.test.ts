/** The meddling middlebox: what it replaces, what it leaves alone, and that nobody notices by a checksum. */
import { describe, expect, test } from "vitest";
import { changeImpairment } from "../src/impairment.js";
import { expectChecksums, udpPacket } from "./udp-packet.js";
import { EmulatedPath, NetnsError, PLAIN_WIRE, rewriteAddresses } from "../src/index.js";

const HOW = { from: "192.168.1.1", to: "203.0.113.77" };
const bytes = (...parts: (string | number[])[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...new TextEncoder().encode(part)] : part)));
const payloadOf = (packet: Uint8Array): Uint8Array => packet.slice(28);

describe("rewriteAddresses", () => {
  test.each([
    ["four bytes", bytes([9, 192, 168, 1, 1, 9]), bytes([9, 203, 0, 113, 77, 9])],
    ["text, which grows", bytes("at 192.168.1.1:5000"), bytes("at 203.0.113.77:5000")],
    ["all of them", bytes("192.168.1.1", [192, 168, 1, 1], "192.168.1.1"), bytes("203.0.113.77", [203, 0, 113, 77], "203.0.113.77")],
    ["an odd length", bytes([192, 168, 1, 1, 7]), bytes([203, 0, 113, 77, 7])],
  ])("replaces %s, and lengths and checksums hold", (_, before, after) => {
    const result = rewriteAddresses(udpPacket(before), HOW);
    expect(payloadOf(result)).toEqual(after);
    expectChecksums(result);
  });

  test.each([
    ["a longer number", udpPacket(bytes("192.168.1.10 and 2192.168.1.1"))],
    ["nothing to find", udpPacket(bytes("hello"))],
    ["a part at the end", udpPacket(bytes([192, 168, 1]))],
    ["TCP", udpPacket(bytes([192, 168, 1, 1]), { protocol: 6 })],
    ["a fragment", udpPacket(bytes([192, 168, 1, 1]), { fragment: 0x2000 })],
    ["a stump", udpPacket(bytes([192, 168, 1, 1])).subarray(0, 27)],
    ["a wrong length", udpPacket(bytes([192, 168, 1, 1, 1])).subarray(0, 32)],
    ["nothing", new Uint8Array()],
  ])("leaves %s alone", (_, packet) => {
    expect(rewriteAddresses(packet, HOW)).toBe(packet);
  });

  test("a datagram without a checksum stays without", () => {
    const packet = udpPacket(bytes([192, 168, 1, 1]));
    packet.fill(0, 26, 28);
    expect([...rewriteAddresses(packet, HOW).subarray(26, 28)]).toEqual([0, 0]);
  });
});

test("a path rewrites while it is told to, and counts", () => {
  const path = new EmulatedPath({ rewriteAddresses: HOW }, 1);
  path.input(0, udpPacket(bytes([192, 168, 1, 1])));
  path.set({ rewriteAddresses: null });
  path.input(1, udpPacket(bytes([192, 168, 1, 1])));
  expect(path.poll(1).packets.map((packet) => payloadOf(packet)[0])).toEqual([203, 192]);
  expect(path.stats.rewritten).toBe(1);
});

test.each([{ from: "192.168.1.1", to: "x" }, { from: "::1", to: "192.0.2.1" }, "192.0.2.1", true])("%j is refused", (rewriteAddressesOption) => {
  expect(() => changeImpairment(PLAIN_WIRE, { rewriteAddresses: rewriteAddressesOption as never })).toThrow(NetnsError);
});
