import { bytesKey, concatBytes, formatIpText, parseIpText, serverPrefix6, type AddressRange } from "@i3/common";
import { ReferenceEngine } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { ServerAddresses, type ServerAddress } from "../../src/gateways/server-addresses.js";
import { makeMapping, type Mapping } from "../../src/mappings/mapping.js";
import { VirtualAddresses } from "../../src/mappings/virtual-addresses.js";
import { PLAIN_POLICY } from "../../src/policy/policy.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

function gateway(n: number): Mapping {
  const peerHit = ip(`2001:22::${n}`);
  return makeMapping({ key: `p${n}`, peerId: new Uint8Array(32).fill(n), peerHit, name: `office-${n}.i3`, local4: ip(`10.9.0.${n}`), local6: peerHit, ownPrivateId: new Uint8Array(32), ownKey: null, policy: PLAIN_POLICY, isStranger: false, isNameOnly: false, lastUseMs: 0 });
}
const OFFICE = gateway(1);
const OTHER = gateway(2);
const six = (of: Mapping, end: number): Uint8Array => concatBytes(serverPrefix6(of.peerHit as Uint8Array), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, end));

/** With the reference engine; what programs use is set by hand. */
function bed({ isTaken = () => false, range = RANGE }: { isTaken?: (address: Uint8Array) => boolean; range?: AddressRange } = {}) {
  const engine = new ReferenceEngine();
  const uses = new Map<string, number>();
  const seen: string[] = [];
  const behind: string[] = [];
  const addresses = new VirtualAddresses({ range, isTaken, randomBytes: (length) => new Uint8Array(length) });
  const servers = new ServerAddresses({
    range, addresses, lifetimeMs: 2 * HOUR_MS,
    datapath: {
      setBehind: (address, bits, flow) => {
        engine.setBehind(address, bits, flow);
        behind.push(`${formatIpText(address)}/${bits} ${flow === null ? "none" : formatIpText(flow)}`);
      },
      lastUse: (address) => uses.get(bytesKey(address)),
    },
    allocated: (given) => seen.push(...given.map((address) => `+${formatIpText(address)}`)), released: (given) => seen.push(...given.map((address) => `-${formatIpText(address)}`)), changed: () => undefined,
  });
  const learn = (nowMs: number, of: Mapping, name: string, ...texts: readonly string[]): string => servers.learn(nowMs, of, of.name ?? "", name, texts.map(ip));
  return { servers, addresses, uses, seen, behind, learn };
}
const shown = (servers: readonly ServerAddress[]): string[] => servers.map(({ address }) => formatIpText(address));

describe("what a gateway answers", () => {
  it("leads to it, in either family, with route and guard, and is learned once", () => {
    const { servers, behind, seen, learn } = bed();
    const address6 = formatIpText(six(OFFICE, 9));
    expect(learn(0, OFFICE, "www.corp", "10.1.2.3", address6)).toBe("ok");
    expect(learn(1, OFFICE, "www.corp", "10.1.2.3", "10.1.2.3")).toBe("ok");
    expect(behind).toEqual(["10.1.2.3/32 10.9.0.1", `${address6}/128 2001:22::1`]);
    expect(seen).toEqual(["+10.1.2.3", `+${address6}`]);
    expect([servers.size, servers.countOf(OFFICE), servers.countOf(OTHER)]).toEqual([2, 2, 0]);
  });

  it.each(["127.0.0.1", "0.0.0.0", "192.168.1.1", "11.0.0.1", "10.0.0.0", "10.255.255.255", "169.254.169.254", "::1", "2001:22::1", "2001:22::7", "fe80::1", "2001:db8::1", "::ffff:10.1.2.3", "fd69:3300::1", formatIpText(six(OTHER, 1))])(
    "is refused whole when one of its addresses is not the gateway's to give: %s", (foreign) => {
      const { servers, behind, seen, learn } = bed();
      expect(learn(0, OFFICE, "evil.corp", "10.1.2.3", foreign)).toBe("foreign");
      expect([servers.size, behind.length, seen.length]).toEqual([0, 0, 0]);
    },
  );

  it("of more addresses than any answer has is refused", () => {
    const { learn } = bed();
    expect(learn(0, OFFICE, "many.corp", ...Array.from({ length: 17 }, (_, i) => `10.1.2.${i}`))).toBe("foreign");
  });

  it("from a gateway whose HIT is not known has no IPv6", () => {
    const { servers } = bed();
    expect(servers.learn(0, { ...OFFICE, peerHit: null }, "office-1.i3", "www.corp", [six(OFFICE, 9)])).toBe("foreign");
  });

  it("is taken when somebody else here has one of its addresses, and nothing of it stays", () => {
    const { servers, addresses, behind, learn } = bed({ isTaken: (address) => formatIpText(address) === "10.1.2.6" });
    addresses.take(ip("10.1.2.5"));
    expect(learn(0, OTHER, "www.other", "10.1.2.4")).toBe("ok");
    for (const taken of ["10.1.2.4", "10.1.2.5", "10.1.2.6"]) expect(learn(0, OFFICE, "www.corp", "10.1.2.3", taken)).toBe("taken");
    expect([servers.has(ip("10.1.2.3")), servers.countOf(OFFICE)]).toEqual([false, 0]);
    expect(behind.at(-1)).toBe("10.1.2.3/32 none");
    expect(addresses.take(ip("10.1.2.3"))).toBe(true);
  });
});

describe("names of servers", () => {
  it("the reverse of an address is the name that was asked last; eight are kept", () => {
    const { servers, learn } = bed();
    const name = (): string | null => servers.nameOf(ip("10.1.2.3"));
    expect(name()).toBe(null);
    for (const one of ["a.corp", "b.corp", "a.corp"]) learn(0, OFFICE, one, "10.1.2.3");
    expect(name()).toBe("a.corp");
    for (let i = 0; i < 20; i += 1) learn(0, OFFICE, `n${i}.corp`, "10.1.2.3");
    expect([name(), [...servers.all()][0]?.names.size]).toEqual(["n19.corp", 8]);
  });

  it("a server goes with its last name that the rules lead to its gateway", () => {
    const { servers, seen, learn } = bed();
    learn(0, OFFICE, "a.corp", "10.1.2.3");
    learn(0, OFFICE, "b.corp", "10.1.2.3", "10.1.2.4");
    servers.keepOnly((name, via, of) => name !== "b.corp" && via === "office-1.i3" && of === OFFICE);
    expect([servers.nameOf(ip("10.1.2.3")), seen.at(-1), servers.size]).toEqual(["a.corp", "-10.1.2.4", 1]);
    servers.keepOnly(() => false);
    expect([servers.size, seen.at(-1)]).toEqual([0, "-10.1.2.3"]);
  });
});

describe("in time", () => {
  it("ends two hours after it was asked or used last, and its address is free again", () => {
    const { servers, uses, addresses, behind, learn } = bed();
    learn(0, OFFICE, "www.corp", "10.1.2.3");
    servers.sweep(2 * HOUR_MS);
    expect(servers.size).toBe(1);
    uses.set(bytesKey(ip("10.1.2.3")), HOUR_MS);
    servers.sweep(3 * HOUR_MS);
    expect(servers.size).toBe(1);
    servers.sweep(3 * HOUR_MS + 1);
    expect([servers.size, behind.at(-1), addresses.take(ip("10.1.2.3"))]).toEqual([0, "10.1.2.3/32 none", true]);
  });

  it("is asked for again an hour after its answer while it is in use, every five minutes until there is one", () => {
    const { servers, uses, learn } = bed();
    const use = (address: string, nowMs: number): void => void uses.set(bytesKey(ip(address)), nowMs);
    learn(0, OFFICE, "www.corp", "10.1.2.3");
    learn(0, OFFICE, "idle.corp", "10.1.2.4");
    use("10.1.2.3", HOUR_MS);
    expect(shown(servers.sweep(HOUR_MS))).toEqual([]);
    expect(shown(servers.sweep(HOUR_MS + 1))).toEqual(["10.1.2.3"]);
    use("10.1.2.3", HOUR_MS + 5 * MINUTE_MS);
    expect(shown(servers.sweep(HOUR_MS + 5 * MINUTE_MS))).toEqual([]);
    expect(shown(servers.sweep(HOUR_MS + 5 * MINUTE_MS + 2))).toEqual(["10.1.2.3"]);
    learn(HOUR_MS + 6 * MINUTE_MS, OFFICE, "www.corp", "10.1.2.3");
    use("10.1.2.3", HOUR_MS + 30 * MINUTE_MS);
    expect(shown(servers.sweep(HOUR_MS + 30 * MINUTE_MS))).toEqual([]);
  });

  it("goes with its gateway's mapping, and when something real has its address", () => {
    const { servers, seen, learn } = bed();
    learn(0, OFFICE, "www.corp", "10.1.2.3", "10.1.2.4");
    learn(0, OTHER, "www.other", "10.1.2.5", "10.1.2.6");
    servers.removeGateway(OFFICE);
    expect([servers.size, servers.countOf(OFFICE)]).toEqual([2, 0]);
    expect(shown(servers.dropTaken((address) => formatIpText(address) === "10.1.2.5"))).toEqual(["10.1.2.5"]);
    expect(seen.filter((line) => line.startsWith("-"))).toEqual(["-10.1.2.3", "-10.1.2.4", "-10.1.2.5"]);
  });
});

describe("when it is full", () => {
  const nth = (i: number): string => `10.1.${i >> 8}.${i & 0xff}`;
  const fill = ({ learn }: ReturnType<typeof bed>, of: Mapping, from: number, count: number, nowMs: (i: number) => number): void => {
    for (let i = 0; i < count; i += 1) expect(learn(nowMs(i), of, `n${i}.corp`, nth(from + i))).toBe("ok");
  };

  it("of one gateway, its own that was unused longest goes, as the engine sees it, and never what was in use within two minutes", () => {
    const at = bed();
    const { servers, uses, learn } = at;
    learn(0, OTHER, "www.other", "10.2.0.1");
    fill(at, OFFICE, 1, 4_096, (i) => i);
    expect(learn(MINUTE_MS, OFFICE, "more.corp", "10.3.0.1")).toBe("full");
    uses.set(bytesKey(ip(nth(1))), 3 * MINUTE_MS);
    expect(learn(3 * MINUTE_MS, OFFICE, "more.corp", "10.3.0.1")).toBe("ok");
    expect([servers.has(ip(nth(1))), servers.has(ip(nth(2))), servers.has(ip("10.2.0.1")), servers.countOf(OFFICE)]).toEqual([true, false, true, 4_096]);
  });

  it("a quarter of a small range is all that there is for servers: the rest is for hosts", () => {
    const at = bed({ range: { network: ip("10.1.0.0"), prefixBits: 24 } });
    for (let i = 1; i <= 64; i += 1) expect(at.learn(0, OFFICE, `n${i}.corp`, nth(i))).toBe("ok");
    expect([at.learn(MINUTE_MS, OTHER, "more.corp", nth(65)), at.servers.size]).toEqual(["full", 64]);
  });

  it("of all, whoever's was unused longest goes; those of the answer itself stay", () => {
    const at = bed();
    const { servers, learn } = at;
    const gateways = Array.from({ length: 4 }, (_, i) => gateway(i + 1));
    gateways.forEach((of, g) => fill(at, of, g * 4_096, 4_096 - (g === 0 ? 1 : 0), () => 0));
    expect([servers.size, learn(0, gateway(9), "last.corp", "10.3.0.1")]).toEqual([16_383, "ok"]);
    expect(learn(MINUTE_MS, gateway(10), "more.corp", "10.3.0.2")).toBe("full");
    expect(learn(3 * MINUTE_MS, gateways[0] as Mapping, "more.corp", nth(1), "10.3.0.2")).toBe("ok");
    expect([servers.size, servers.has(ip(nth(0))), servers.has(ip(nth(1))), servers.has(ip("10.3.0.2"))]).toEqual([16_384, false, true, true]);
  });
});

it("what the journal has is there again, and is asked for again when it is used", () => {
  const { servers, uses, learn } = bed();
  expect(servers.restore(0, OFFICE, ip("10.1.2.3"), [["www.corp", "office-1.i3"]])).toBe(true);
  expect([servers.restore(0, OTHER, ip("10.1.2.3"), []), servers.restore(0, OFFICE, ip("127.0.0.1"), [])]).toEqual([false, false]);
  expect([servers.nameOf(ip("10.1.2.3")), learn(0, OTHER, "www.other", "10.1.2.3")]).toEqual(["www.corp", "taken"]);
  uses.set(bytesKey(ip("10.1.2.3")), 1);
  expect(shown(servers.sweep(2))).toEqual(["10.1.2.3"]);
});
