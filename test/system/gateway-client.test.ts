/** Names behind a gateway, real daemons: a laptop's programs ask, the question goes inside the association to the gateway's virtual address, and its answer comes back (docs/gateways.md, S1; the gateway's half of it is a probe). */
import type { Child } from "@i3/netns";
import { afterAll, beforeAll, expect, it } from "vitest";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const RULES = '<rules><rule name=".*\\.corp\\.example" go="gateway" via="home.i3"/><rule name=".*\\.lab" go="gateway" via="nobody.i3"/><rule name=".*\\.i3" go="i3"/></rules>';

let bed: PairBed;
let probe: Child;
beforeAll(async () => {
  bed = await pairBed({ laptopOptions: { rules: RULES }, homeOptions: { rules: '<rules><rule name=".*\\.i3" go="i3"/></rules>' } });
  probe = bed.home.spawn(process.execPath, [`${import.meta.dirname}/probes/gateway-dns.mjs`, bed.homeProxy.address4, bed.homeProxy.hit]);
  await probe.waitForLine(/^listening$/, 20_000);
  // Its first question makes the keys.
  await eventually("the gateway answers", 30_000, async () => ((await dig("+short", "+time=6", "www.corp.example")) === "" ? undefined : true));
}, 120_000);
afterAll(async () => await bed.close());

const dig = async (...args: readonly string[]): Promise<string> => (await bed.laptop.exec("dig", ["+tries=1", "+time=8", ...args])).stdout.trim();
const status = async (...args: readonly string[]): Promise<string> => /status: (\w+)/.exec(await dig(...args))?.[1] ?? "none";

it("a name has virtual addresses in both families, which lead to the TUN, guarded; its questions come from the laptop's own virtual address", async () => {
  const v4 = await dig("+short", "www.corp.example");
  const v6 = await dig("+short", "www.corp.example", "AAAA");
  expect(v4).toMatch(/^10\.\d+\.\d+\.\d+$/);
  expect(v6).toMatch(/^fd[0-9a-f]{2}:/);
  for (const address of [v4, v6]) expect((await bed.laptop.exec("ip", ["route", "get", address])).stdout).toContain("dev i3");
  // Of those that nobody was given: nothing of the laptop's virtual address leaves by another interface.
  expect((await bed.laptop.exec("ip", ["route", "get", "fd99::1", "from", bed.laptopProxy.hit])).stdout).toContain("dev i3");
  const table = await eventually("the guard has both", 5_000, async () => {
    const { stdout } = await bed.laptop.exec("nft", ["list", "ruleset"]);
    return stdout.includes(v4) && stdout.includes(v6) ? stdout : undefined;
  });
  expect(table).toContain("i3_guard");
  await probe.waitForLine(new RegExp(`^udp ${bed.laptopProxy.address4.replaceAll(".", "\\.")}$`));
  expect(await dig("+short", "-x", v4)).toBe("www.corp.example.");
  expect((await bed.laptop.exec("getent", ["ahosts", "WWW.corp.example"])).stdout).toContain(v4);
});

it("RCODE, SOA, other types, EDNS and long answers by TCP are the gateway's", async () => {
  expect(await dig("nobody.corp.example")).toMatch(/status: NXDOMAIN[\s\S]*corp\.example\.\s+60\s+IN\s+SOA/);
  expect(await dig("+short", "www.corp.example", "MX")).toBe("5 mail.corp.example.");
  const long = await dig("www.corp.example", "TXT");
  expect(long).toContain("retrying in TCP mode");
  expect(long).toContain(`"${"x".repeat(250)}"`);
  await probe.waitForLine(/^tcp /);
  expect(await dig("+tcp", "+short", "www.corp.example")).toMatch(/^10\./);
  expect(await dig("+noedns", "www.corp.example")).not.toContain("OPT PSEUDOSECTION");
  expect(await dig("+ednsopt=65001:01000a0a000000", "www.corp.example")).toContain("status: FORMERR");
});

it("a gateway that leads to the client itself, or that is nobody, fails, and the log says why", async () => {
  expect(await status("evil.corp.example")).toBe("SERVFAIL");
  await bed.laptopProxy.child?.waitForLine(/"event":"gateway-answer".*evil\.corp\.example/);
  expect(await status("a.lab")).toBe("SERVFAIL");
  await bed.laptopProxy.child?.waitForLine(/"event":"gateway-nowhere".*nobody\.i3/);
  bed.laptopProxy.child?.kill("SIGUSR1");
  await bed.laptopProxy.child?.waitForLine(/"gateways":\[\{"via":"home\.i3","servers":2,.*"failures":\{"foreign":1\}/);
});

it("a gateway that is gone is heard of at once: the engine's host unreachable is SERVFAIL", async () => {
  await bed.homeProxy.stop();
  let isSeen = false;
  const seen = bed.laptopProxy.child?.waitForLine(/"via":"home\.i3".*?"failures":\{[^}]*"unreachable":[1-9]/, 40_000).then(() => (isSeen = true));
  // The first question calls the gateway, and may be given up before the engine is told to refuse; those while it refuses do not wait for six seconds.
  await eventually("a question is refused", 40_000, async () => {
    expect(await status("silent.corp.example")).toBe("SERVFAIL");
    bed.laptopProxy.child?.kill("SIGUSR1");
    return isSeen ? true : undefined;
  });
  await seen;
}, 60_000);
