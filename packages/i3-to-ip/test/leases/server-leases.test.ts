import { formatIpText, parseIpText, type AddressRange } from "@i3/common";
import { describe, expect, it } from "vitest";

import { LEASE_MS, MAX_TRY, ServerLeases, type ServerLease } from "../../src/index.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const HITS = [ip("2001:22::1"), ip("2001:22::2")] as const;
const made = (more: Partial<ConstructorParameters<typeof ServerLeases>[0]> = {}): ServerLeases => new ServerLeases({ hit: HITS[0], most: 100, isTaken: () => false, ...more });
const virtualOf = (lease: ServerLease | string): string => (typeof lease === "string" ? lease : formatIpText(lease.virtual));

describe("servers' virtual addresses", () => {
  it("are the same for a server whenever it is asked for, and others for others, gateways and tries", () => {
    const leases = made();
    const first = virtualOf(leases.lease(0, ip("192.168.5.9"), RANGE, 0));
    expect(virtualOf(leases.lease(5, ip("192.168.5.9"), RANGE, 0))).toBe(first);
    expect(virtualOf(made().lease(0, ip("192.168.5.9"), RANGE, 0))).toBe(first);
    const others = [leases.lease(0, ip("192.168.5.10"), RANGE, 0), made({ hit: HITS[1] }).lease(0, ip("192.168.5.9"), RANGE, 0), ...Array.from({ length: MAX_TRY }, (_, i) => leases.lease(0, ip("192.168.5.9"), RANGE, i + 1))].map(virtualOf);
    expect(new Set([first, ...others]).size).toBe(2 + 1 + MAX_TRY);
    expect([first, ...others].every((text) => text.startsWith("10."))).toBe(true);
    expect(leases.size).toBe(2 + MAX_TRY);
  });

  it("are in the client's range, and of IPv6 in the gateway's own", () => {
    const leases = made();
    expect(virtualOf(leases.lease(0, ip("192.168.5.9"), { network: ip("172.20.0.0"), prefixBits: 16 }, 0))).toMatch(/^172\.20\./);
    const [one, two, other] = [leases.lease(0, ip("2001:db8::1"), RANGE, 0), leases.lease(0, ip("2001:db8::2"), RANGE, 0), made({ hit: HITS[1] }).lease(0, ip("2001:db8::1"), RANGE, 0)].map((lease) => (typeof lease === "string" ? new Uint8Array() : lease.virtual));
    const prefix = (address: Uint8Array = new Uint8Array()): readonly number[] => [...address.subarray(0, 8)];
    expect(prefix(one)).toEqual(prefix(two));
    expect(prefix(one)[0]).toBe(0xfd);
    expect(prefix(other).slice(0, 6)).not.toEqual(prefix(one).slice(0, 6));
    expect(one).not.toEqual(two);
  });

  it("are nobody's who has one already", () => {
    const [small, leases] = [{ network: ip("10.9.9.0"), prefixBits: 24 }, made({ most: 300 })];
    // 254 addresses for hosts: some of 200 servers would get the same.
    const given = Array.from({ length: 200 }, (_, i) => leases.lease(0, Uint8Array.of(192, 0, 2, i + 1), small, 0));
    const taken = given.filter((lease) => lease === "taken");
    expect(taken.length).toBeGreaterThan(20);
    expect(leases.size).toBe(200 - taken.length);
    for (const lease of given) if (typeof lease !== "string") expect(leases.realOf(lease.virtual)).toEqual(lease.real);
    const free = virtualOf(made().lease(0, ip("192.0.2.1"), RANGE, 0));
    expect(made({ isTaken: (address) => formatIpText(address) === free }).lease(0, ip("192.0.2.1"), RANGE, 0)).toBe("taken");
    // A lease that lives goes on, whatever came to have its address since.
    let isTaken = false;
    const later = made({ isTaken: () => isTaken });
    expect(virtualOf(later.lease(0, ip("192.0.2.1"), RANGE, 0))).toBe(free);
    isTaken = true;
    expect(virtualOf(later.lease(1, ip("192.0.2.1"), RANGE, 0))).toBe(free);
  });

  it("are bounded, and end a day after they were last asked for", () => {
    const leases = made({ most: 2 });
    const [one, two] = [leases.lease(0, ip("192.0.2.1"), RANGE, 0), leases.lease(10, ip("192.0.2.2"), RANGE, 0)];
    expect(leases.lease(20, ip("192.0.2.3"), RANGE, 0)).toBe("full");
    expect(leases.lease(30, ip("192.0.2.1"), RANGE, 0)).toBe(one);
    expect(leases.takeEnded(LEASE_MS + 9)).toEqual([]);
    expect(leases.takeEnded(LEASE_MS + 10)).toEqual([two]);
    expect(leases.realOf((two as ServerLease).virtual)).toBeUndefined();
    expect(typeof leases.lease(LEASE_MS + 10, ip("192.0.2.3"), RANGE, 0)).toBe("object");
    expect(leases.takeEnded(LEASE_MS + 30)).toEqual([one]);
    expect(leases.size).toBe(1);
  });
});
