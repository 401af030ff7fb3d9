import { parseIpText } from "@i3/common";
import fc from "fast-check";
import { expect, it } from "vitest";

import { decisionOf } from "../../src/io/decisions.js";
import { LOGGED } from "../../src/nat/gateway-table.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const ipv4 = (protocol: number, options: readonly number[], ...rest: readonly number[]): Uint8Array =>
  Uint8Array.of(0x45 + options.length / 4, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, ...ip("10.1.2.3"), ...ip("192.168.5.10"), ...options, ...rest);
const ipv6 = (next: number, ...rest: readonly number[]): Uint8Array => Uint8Array.of(0x60, 0, 0, 0, 0, 20, next, 64, ...ip("2001:22::a"), ...ip("fd00::1"), ...rest);
const TO_22 = [0x12, 0x34, 0, 22] as const;

it.each([
  ["TCP", ipv4(6, [], ...TO_22), "10.1.2.3", 6, 22], ["TCP behind options", ipv4(6, [1, 1, 1, 0], ...TO_22), "10.1.2.3", 6, 22], ["ICMP", ipv4(1, [], 8, 0, 0, 0), "10.1.2.3", 1, null],
  ["TCP over IPv6", ipv6(6, ...TO_22), "2001:22::a", 6, 22], ["UDP behind extension headers", ipv6(0, 60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, ...TO_22), "2001:22::a", 17, 22], ["no ports any more", ipv4(6, [], 0, 1), "10.1.2.3", 6, null],
])("%s", (_, packet, client, protocol, port) => {
  const server = packet[0] === 0x60 ? "fd00::1" : "192.168.5.10";
  expect(decisionOf({ prefix: LOGGED.allowed, packet })).toEqual({ admits: true, over: null, client: ip(client), server: ip(server), protocol, port });
  expect(decisionOf({ prefix: LOGGED.refused, packet })?.admits).toBe(false);
  for (const over of ["too-fast", "too-many"] as const) expect(decisionOf({ prefix: LOGGED[over], packet })).toMatchObject({ admits: false, over });
});

it("knows what is not ours, or too short", () => {
  expect(decisionOf({ prefix: "other", packet: ipv4(6, [], ...TO_22) })).toBeNull();
  for (const packet of [new Uint8Array(0), ipv4(6, []).subarray(0, 19), Uint8Array.of(0x44, ...new Uint8Array(30)), ipv6(6).subarray(0, 39), Uint8Array.of(0x70, ...new Uint8Array(60))]) expect(decisionOf({ prefix: LOGGED.allowed, packet })).toBeNull();
});

it("never throws", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 96 }), fc.constantFrom(0x40, 0x45, 0x4f, 0x60), (bytes, first) => {
    if (bytes.length > 0) bytes[0] = first;
    decisionOf({ prefix: LOGGED.allowed, packet: bytes });
  }), { numRuns: 2_000 });
});
