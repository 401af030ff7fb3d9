import { parseIpText } from "@i3/common";
import { describe, expect, it } from "vitest";

import type { NameVerdict } from "../../src/dns/dns-core.js";
import { SiteNames } from "../../src/io/site-names.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const HOME = { v4: ip("10.1.1.1"), v6: ip("2001:22::1") };

interface World {
  readonly names: SiteNames;
  readonly asked: (readonly Uint8Array[])[];
  readonly told: Uint8Array[];
  /** Ends the oldest wait. */
  settle(isGood?: boolean): Promise<void>;
}

function world({ hasIpv6 = true, verdict = HOME }: { hasIpv6?: boolean; verdict?: NameVerdict } = {}): World {
  const [asked, told, waits] = [[] as (readonly Uint8Array[])[], [] as Uint8Array[], [] as ((isGood: boolean) => void)[]];
  const names = new SiteNames({
    hasIpv6, isOwn: (address) => address[3] === 99, names: { resolve: () => verdict, reverse: () => "home.i3", told: (address) => void told.push(address) },
    pass: (addresses) => {
      asked.push(addresses);
      return new Promise((resolve, reject) => waits.push((isGood) => (isGood ? resolve() : reject(new Error("nft")))));
    },
  });
  return {
    names, asked, told,
    settle: async (isGood = true) => {
      waits.shift()?.(isGood);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe("a name that a site's host asks for", () => {
  it("is answered when packets to its addresses pass, and at once from then on", async () => {
    const { names, asked, told, settle } = world();
    let known = 0;
    expect(names.resolve("home.i3")).toBe("looking");
    names.whenKnown("home.i3", () => (known += 1));
    const takeBack = names.whenKnown("home.i3", () => expect.unreachable());
    takeBack();
    expect([asked, told, known]).toEqual([[[HOME.v4, HOME.v6]], [HOME.v4, HOME.v6], 0]);
    await settle();
    expect([known, names.resolve("home.i3"), asked.length]).toEqual([1, HOME, 1]);
    names.released(HOME.v4);
    expect(names.resolve("home.i3")).toBe("looking");
  });

  it("has no address that is the router's own", () => {
    const { names, asked } = world({ verdict: { v4: ip("10.9.9.99"), v6: null } });
    expect([names.resolve("router.i3"), asked]).toEqual([{ v4: null, v6: null }, []]);
  });

  it("has no IPv6 address for a site without", async () => {
    const { names, asked, settle } = world({ hasIpv6: false });
    names.resolve("home.i3");
    await settle();
    expect([names.resolve("home.i3"), asked]).toEqual([{ v4: HOME.v4, v6: null }, [[HOME.v4]]]);
  });

  it("is asked for again when nft refused", async () => {
    const { names, asked, settle } = world();
    names.resolve("home.i3");
    let known = 0;
    names.whenKnown("home.i3", () => (known += 1));
    await settle(false);
    expect([known, names.resolve("home.i3"), asked.length]).toEqual([1, "looking", 2]);
  });

  it.each(["unknown", "elsewhere", "unavailable", "looking"] as const)("is %s as for a program here", (verdict) => {
    const { names, asked } = world({ verdict });
    let known = 0;
    expect(names.resolve("x.i3")).toBe(verdict);
    names.whenKnown("x.i3", () => (known += 1));
    expect([asked, known, names.gatewayOf("x.i3"), names.reverse(HOME.v4)]).toEqual([[], 0, null, "home.i3"]);
  });

  it("waits with so many others at most", async () => {
    const { names, settle } = world();
    for (let i = 0; i < 256; i += 1) expect(names.resolve(`n${i}.i3`)).toBe("looking");
    expect(names.resolve("more.i3")).toBe("unavailable");
    await settle();
    expect(names.resolve("more.i3")).toEqual(HOME);
  });
});
