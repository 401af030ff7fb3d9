/** The gateway's table as the kernel's nft takes it: whole, element by element, set by set. What it does with packets: test/system/gateway-servers.test.ts. */
import { execFileSync } from "node:child_process";

import { HELPERS, parseIpText } from "@i3/common";
import { NftElements, NftSession, replaceTable } from "@i3/i3-proxy";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { addSet, gatewayTable, grantElement, insideElement, leaveTable, placeElement, removeSet, seekTable, serverElement, tableBody, type TableSettings } from "../../src/nat/gateway-table.js";
import type { Verdict } from "../../src/policy/grants.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const TABLE = gatewayTable("i3");
const SETTINGS: TableSettings = { tunName: "i3", out: ["eth0", "a-b_c.1"], own4: ip("10.1.1.1"), own6: ip("2001:22::1"), routed: [], helpers: (Object.keys(HELPERS) as (keyof typeof HELPERS)[]).map((protocol) => ({ protocol, ports: [{ first: 21, last: 21 }, { first: 2_000, last: 3_000 }] })), limits: { connectionsPerClient: 1_048_576, newPerSecond: 100_000, anonymousConnections: 1_048_576, anonymousNewPerSecond: 100_000 }, logGroup: 26_007 };
const service = (protocols: readonly number[], ...ports: readonly [number, number][]): Verdict => ({ admits: true, service: { protocols, ports: ports.map(([first, last]) => ({ first, last })) } });
const VERDICTS: readonly Verdict[] = [
  service([6], [22, 22], [8_000, 8_080]), { ...service([17], [53, 53]), admits: false }, service([1, 58]), service([132], [1, 65_535]), service([33], [1, 1]), service([136], [1, 1]), service([47]), service([6]), { admits: true, service: undefined },
];
const PLACES = {
  number: 3,
  verdicts: [
    { admits: false, service: undefined, networks: { internet: false, prefixes: [{ address: ip("10.9.0.0"), bits: 16 }] } }, { ...service([6], [22, 22]), networks: { internet: true, prefixes: [{ address: ip("10.0.0.0"), bits: 8 }, { address: ip("fd00:5::"), bits: 64 }] } },
  ],
};
const SET = { number: 0xfedc, verdicts: VERDICTS };

const listed = (): string => execFileSync("nft", ["list", "table", "inet", TABLE], { encoding: "utf8" });
/** Each that makes a connection is said first, by the same condition. */
const beingTold = (lines: readonly string[]): readonly string[] => lines.flatMap((line) => (line.endsWith("mark accept") ? [line.replace("mark accept", "jump tell_allowed"), line] : [line]));
let nft: NftSession;
let elements: NftElements;
beforeAll(() => {
  nft = new NftSession({ log: () => undefined });
  elements = new NftElements(nft, { table: TABLE, coalesceMs: 0, onError: (error) => { throw error; } });
});
afterAll(async () => {
  await nft.close();
  execFileSync("nft", ["delete", "table", "inet", TABLE]);
});

describe("the gateway's table", () => {
  it("is taken whole, with what was there before, and again", async () => {
    const before = [insideElement({ address: ip("192.0.2.0"), bits: 24 }), insideElement({ address: ip("2001:db8::"), bits: 64 }), serverElement(ip("10.7.7.7"), ip("10.5.5.5"), ip("192.168.5.1")), serverElement(ip("2001:22::7"), ip("fd12::1"), ip("fd00::1")), grantElement(ip("10.7.7.7"), ip("192.168.5.1"), SET), grantElement(ip("2001:22::7"), ip("fd00::1"), SET), placeElement(ip("10.7.7.7"), PLACES), placeElement(ip("2001:22::7"), PLACES)];
    for (const routed of [[4, 6], []] as const) await nft.run(replaceTable(TABLE, tableBody({ ...SETTINGS, routed }, [SET, PLACES], before)));
    const text = listed();
    for (const part of ["10.7.7.7 . 10.5.5.5 : 192.168.5.1", "2001:22::7 . fd12::1 : fd00::1", "192.0.2.0/24", "2001:db8::/64", "10.7.7.7 . 192.168.5.1 : goto set_65244", "2001:22::7 . fd00::1 : goto set_65244", 'oifname { "eth0", "a-b_c.1" }']) expect(text).toContain(part);
    for (const { set, key, value } of before) elements.told(set, key, value);
  });

  it("has each verdict for both ways of a flow, the mark, and refuses the rest", () => {
    const chain = /chain set_65244 \{([^}]*(?:\{[^}]*\}[^}]*)*?)\n\t\}/.exec(listed())?.[1] ?? "";
    expect(chain.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.includes(" log ")).map((line) => line.replace(/ct mark set \S+.* accept/, "mark accept"))).toEqual(beingTold([
      "ct mark 0xfedc0000/16 accept",
      "ct direction original tcp dport { 22, 8000-8080 } mark accept", "ct direction reply tcp sport { 22, 8000-8080 } mark accept",
      "ct direction original udp dport 53 goto refused", "ct direction reply udp sport 53 goto refused",
      "icmp type { echo-reply, echo-request } mark accept", "icmpv6 type { echo-request, echo-reply } mark accept",
      "ct direction original sctp dport 1-65535 mark accept", "ct direction reply sctp sport 1-65535 mark accept",
      "ct direction original dccp dport 1 mark accept", "ct direction reply dccp sport 1 mark accept", "ct direction original udplite dport 1 mark accept", "ct direction reply udplite sport 1 mark accept",
      "meta l4proto gre mark accept", "meta l4proto tcp mark accept", "mark accept", "goto refused",
    ]));
  });

  it("judges packets to real addresses by where they were begun to, special ones aside", () => {
    const chain = /chain set_3 \{\n([^]*?)\n\t\}/.exec(listed())?.[1] ?? "";
    const lines = chain.split("\n").map((line) => line.trim());
    expect(lines.filter((line) => line.includes("10.9.0.0/16"))).toEqual([expect.stringMatching(/^ct original ip daddr != \{ 0\.0\.0\.0\/8, .*\} ct original ip daddr 10\.9\.0\.0\/16 goto refused$/)]);
    for (const [prefix, direction] of [["10.0.0.0/8", "original tcp dport 22"], ["10.0.0.0/8", "reply tcp sport 22"], ["fd00:5::/64", "original tcp dport 22"]]) expect(lines).toContainEqual(expect.stringMatching(new RegExp(`daddr ${prefix} ct direction ${direction} ct mark set .* accept$`)));
    expect(lines.filter((line) => /^ct original ip daddr != @inside4 ct original ip daddr != \{.*10\.0\.0\.0\/8.*\} ct direction .* accept$/.test(line)), "the internet").toHaveLength(2);
    expect(lines.at(-1)).toBe("goto refused");
  });

  it("takes another set, and elements that change to it; the old one goes behind them", async () => {
    const other = { number: 1, verdicts: [{ admits: true, service: undefined }] };
    void nft.run(addSet("i3", other));
    const { set, key, value } = grantElement(ip("10.7.7.7"), ip("192.168.5.1"), other);
    elements.set(set, key, value);
    elements.set("granted6", "2001:22::7 . fd00::1", null);
    await elements.settled();
    await nft.run(removeSet("i3", SET));
    expect(listed()).toContain("10.7.7.7 . 192.168.5.1 : goto set_1");
    expect(listed()).not.toContain("65244");
  });

  it("stays when who made it ends, and lets others' packets alone then", async () => {
    const pass = (): readonly string[] => (/chain pass \{([^]*?)\n\t\}/.exec(listed())?.[1] ?? "").split("\n").map((line) => line.trim().replace(/counter packets \d+ bytes \d+/, "counter")).slice(2);
    const always = [...["iifname", "oifname"].map((name) => `${name} "i3" meta mark set meta mark | 0x20000000`), 'iifname "i3" ct state invalid counter drop', 'iifname "i3" goto from_clients', 'oifname "i3" goto to_clients', "ct mark != 0x00000000/16 counter drop"];
    expect(pass()).toEqual([...always, "meta nfproto ipv4 counter drop", "meta nfproto ipv6 counter drop"]);
    await nft.run(seekTable("i3"));
    await nft.run(leaveTable("i3"));
    expect(pass()).toEqual(always);
    await expect(nft.run(seekTable("gone"))).rejects.toThrow(/No such file/);
    await nft.close();
    expect(listed()).toContain("10.7.7.7 . 10.5.5.5 : 192.168.5.1");
    nft = new NftSession({ log: () => undefined });
  });
});
