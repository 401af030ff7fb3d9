/** What the log says of a packet's service. */
import { describe, expect, it } from "vitest";

import { selectorOfPacket, selectorText } from "../../src/policy/packet-selector.js";

/** IPv4 with `words` of header, or IPv6, in front of two ports. */
function packet(version: 4 | 6, protocol: number, { words = 5, fragment = 0 } = {}): Uint8Array {
  const headerBytes = version === 4 ? words * 4 : 40;
  const bytes = new Uint8Array(headerBytes + 4);
  bytes[0] = version === 4 ? 0x40 | words : 0x60;
  bytes[version === 4 ? 9 : 6] = protocol;
  if (version === 4) bytes.set([fragment >> 8, fragment & 0xff], 6);
  bytes.set([0x04, 0x01, 0x00, 0x16], headerBytes);
  return bytes;
}

describe("the selector of a packet", () => {
  it.each([
    ["TCP", packet(4, 6), { protocol: "tcp", ports: "1025 to 22" }],
    ["UDP behind IP options", packet(4, 17, { words: 7 }), { protocol: "udp", ports: "1025 to 22" }],
    ["TCP in IPv6", packet(6, 6), { protocol: "tcp", ports: "1025 to 22" }],
    ["ICMPv6", packet(6, 58), { protocol: "icmp" }],
    ["a protocol without a name", packet(4, 253), { protocol: "253" }],
    ["a later fragment", packet(4, 6, { fragment: 1 }), { protocol: "tcp" }],
    ["a first fragment", packet(4, 6, { fragment: 0x2000 }), { protocol: "tcp", ports: "1025 to 22" }],
    ["one that was cut behind its header", packet(4, 6).subarray(0, 22), { protocol: "tcp" }],
  ])("of %s", (_, bytes, text) => {
    const selector = selectorOfPacket(bytes);
    expect(selector === null ? null : selectorText(selector)).toEqual(text);
  });

  it.each([["nothing", new Uint8Array()], ["another version", Uint8Array.of(0x50, ...new Uint8Array(40))], ["a short header", packet(4, 6).subarray(0, 19)], ["a header length below 20", packet(4, 6, { words: 4 })], ["a short IPv6 header", packet(6, 6).subarray(0, 39)]])("is none for %s", (_, bytes) => {
    expect(selectorOfPacket(bytes)).toBeNull();
  });
});
