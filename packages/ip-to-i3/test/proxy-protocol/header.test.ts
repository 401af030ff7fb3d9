import { describe, expect, it } from "vitest";

import { fromHex, parseIpText, toHex } from "@i3/common";

import { localHeader, proxyHeader } from "../../src/proxy-protocol/header.js";

const ip = (text: string): Uint8Array => parseIpText(text) ?? new Uint8Array();
/** haproxy's doc/proxy-protocol.txt §2.2. */
const SIGNATURE = "0d0a0d0a000d0a515549540a";

describe("a header of version 2", () => {
  // The byte values of §2.2: \x21 PROXY, \x20 LOCAL; \x11 TCP over IPv4, 12 bytes; \x21 TCP over IPv6, 36 bytes; \x00 UNSPEC.
  it.each([
    ["TCP over IPv4", "192.168.0.1", 56_324, "192.168.0.11", 443, "2111000cc0a80001c0a8000bdc0401bb"],
    ["all bits", "255.255.255.255", 65_535, "255.255.255.255", 65_535, "2111000cffffffffffffffffffffffff"],
    ["TCP over IPv6", "2001:db8::1", 1, "2001:db8::ff:2", 8080, "2121002420010db800000000000000000000000120010db8000000000000000000ff000200011f90"],
    ["ends of two families", "192.0.2.1", 1, "2001:db8::2", 2, "21000000"],
  ])("of %s", (_, from, fromPort, to, toPort, expected) => {
    expect(toHex(proxyHeader({ address: ip(from), port: fromPort }, { address: ip(to), port: toPort }))).toBe(SIGNATURE + expected);
  });

  it("of nobody else's connection", () => {
    expect(localHeader()).toEqual(fromHex(`${SIGNATURE}20000000`));
  });

  it("of addresses that are none", () => {
    const odd = { address: new Uint8Array(3), port: 1 };
    expect(toHex(proxyHeader(odd, odd))).toBe(`${SIGNATURE}21000000`);
  });
});
