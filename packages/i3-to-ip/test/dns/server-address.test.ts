import { formatIpText, parseIpText, type AddressRange } from "@i3/common";
import { expect, it } from "vitest";

import { MAX_TRY, serverAddress } from "../../src/index.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const SECRET = new Uint8Array(32).fill(7);
const [HIT, OTHER] = [ip("2001:22::1"), ip("2001:22::2")];
const text = (hit: Uint8Array, real: string, tries = 0, range = RANGE, bytes: 4 | 16 = 4): string => formatIpText(serverAddress({ hit, secret: SECRET }, ip(real), { range, tries }, bytes));

it("is the same for a server whenever it is asked for, and another for others, gateways and tries", () => {
  expect(text(HIT, "192.168.5.9")).toBe(text(HIT, "192.168.5.9"));
  const others = [text(HIT, "192.168.5.10"), text(OTHER, "192.168.5.9"), ...Array.from({ length: MAX_TRY + 1 }, (_, tries) => text(HIT, "192.168.5.9", tries))];
  expect(new Set(others).size).toBe(2 + MAX_TRY + 1);
  expect(others.every((one) => one.startsWith("10."))).toBe(true);
});

it("is nobody's to know who does not have the gateway's secret", () => {
  const of = (secret: Uint8Array, bytes: 4 | 16): string => formatIpText(serverAddress({ hit: HIT, secret }, ip("192.168.5.9"), { range: RANGE, tries: 0 }, bytes));
  for (const bytes of [4, 16] as const) expect(of(new Uint8Array(32).fill(8), bytes)).not.toBe(of(SECRET, bytes));
});

it("is in the client's range, and of IPv6 in the gateway's own", () => {
  expect(text(HIT, "192.168.5.9", 0, { network: ip("172.20.0.0"), prefixBits: 16 })).toMatch(/^172\.20\./);
  const [one, two, other] = [serverAddress({ hit: HIT, secret: SECRET }, ip("2001:db8::1"), { range: RANGE, tries: 0 }, 16), serverAddress({ hit: HIT, secret: SECRET }, ip("2001:db8::2"), { range: RANGE, tries: 0 }, 16), serverAddress({ hit: OTHER, secret: SECRET }, ip("2001:db8::1"), { range: RANGE, tries: 0 }, 16)];
  expect(one.subarray(0, 8)).toEqual(two.subarray(0, 8));
  expect(one[0]).toBe(0xfd);
  expect(other.subarray(1, 6)).not.toEqual(one.subarray(1, 6));
  expect(one).not.toEqual(two);
});

it("is of the family in which the client asks, whatever the server's is", () => {
  expect(text(HIT, "2001:db8::1")).toMatch(/^10\./);
  expect(text(HIT, "192.168.5.9", 0, RANGE, 16)).toMatch(/^fd/);
  expect(text(HIT, "2001:db8::1")).not.toBe(text(HIT, "2001:db8::2"));
});
