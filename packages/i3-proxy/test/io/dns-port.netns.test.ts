/** DNS of a machine with the proxy on it, with the programs that people use. */
import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Child } from "@i3/netns";
import { dig, eventually, intercept, type Machines, nft, office } from "./machine.js";

let machines: Machines;
let proxy: Child;
beforeAll(async () => {
  machines = await office();
  proxy = await intercept(machines.laptop);
});
afterAll(async () => {
  await machines.topology.close();
});
afterEach(async (context) => {
  if (context.task.result?.state === "fail") console.log(await machines.topology.diagnose());
});

/** As at the start, when the proxy knows it too: who is not in resolv.conf is stood in for by the first. */
async function restoreResolvers(): Promise<void> {
  const { laptop, r1, r2 } = machines;
  await laptop.setResolvers([r1.address4, r2.address4]);
  expect(await eventually(() => dig(laptop, "@198.51.100.99", "which.example"), (text) => text === "192.0.2.1")).toBe("192.0.2.1");
}

describe("names of ours", () => {
  test.each([
    ["over UDP", ["home.i3"], "10.1.2.3"],
    ["over TCP", ["+tcp", "home.i3"], "10.1.2.3"],
    ["without EDNS", ["+noedns", "home.i3"], "10.1.2.3"],
    ["with a cookie and a client subnet", ["+cookie", "+subnet=0", "home.i3"], "10.1.2.3"],
    ["AAAA", ["home.i3", "AAAA"], "2001:25::3"],
    ["reverse", ["-x", "10.1.2.3"], "home.i3."],
    ["a server that is not in resolv.conf", ["@198.51.100.99", "home.i3"], "10.1.2.3"],
    ["over IPv6", ["@2001:db8:53::2", "home.i3", "AAAA"], "2001:25::3"],
    ["over IPv6 and TCP", ["+tcp", "@2001:db8:53::2", "home.i3", "AAAA"], "2001:25::3"],
  ])("%s", async (_, args, expected) => {
    expect(await dig(machines.laptop, ...args)).toBe(expected);
  });

  test("libc finds both addresses", async () => {
    const { stdout } = await machines.laptop.exec("getent", ["ahosts", "home.i3"]);
    expect(stdout).toContain("10.1.2.3 ");
    expect(stdout).toContain("2001:25::3 ");
  });

  test("a name that does not exist, and one that has nothing of a type", async () => {
    const { stdout } = await machines.laptop.exec("dig", ["nobody.i3"]);
    expect(stdout).toMatch(/status: NXDOMAIN[\s\S]*flags: qr aa rd ra[\s\S]*\ni3\.\t+0\tIN\tSOA/);
    const { stdout: mx } = await machines.laptop.exec("dig", ["home.i3", "MX"]);
    expect(mx).toMatch(/status: NOERROR[\s\S]*ANSWER: 0, AUTHORITY: 1/);
    expect(mx).not.toContain("WARNING");
  });

  test("several questions on one TCP connection, ours and others, in any order", async () => {
    const { stdout } = await machines.laptop.exec("dig", ["+tcp", "+keepopen", "+short", "home.i3", "which.example", "home.i3", "AAAA", "www.example"]);
    expect(stdout.trim().split("\n")).toEqual(["10.1.2.3", "192.0.2.1", "2001:25::3", "192.0.2.80"]);
  });
});

describe("names that are not ours", () => {
  test("the resolver that the program means answers", async () => {
    const { laptop, r1, r2 } = machines;
    expect(await dig(laptop, "which.example")).toBe("192.0.2.1");
    expect(await dig(laptop, `@${r1.address4}`, "which.example")).toBe("192.0.2.1");
    expect(await dig(laptop, `@${r2.address4}`, "which.example")).toBe("192.0.2.2");
    expect(await dig(laptop, `@${r2.address4}`, "+tcp", "which.example")).toBe("192.0.2.2");
  });

  test("one that resolv.conf does not name is stood in for by the first", async () => {
    expect(await dig(machines.laptop, "@198.51.100.99", "which.example")).toBe("192.0.2.1");
  });

  test("an IPv6 resolver, which resolv.conf names", async () => {
    const { laptop, r1, r2 } = machines;
    await laptop.setResolvers([r2.address4, r1.address6]);
    expect(await eventually(() => dig(laptop, `@${r1.address6}`, "which.example"), (text) => text === "192.0.2.1")).toBe("192.0.2.1");
    expect(await dig(laptop, `@${r1.address6}`, "+tcp", "which.example")).toBe("192.0.2.1");
    await restoreResolvers();
  });

  test.each(["r1", "r2"] as const)("large answers of %s: over UDP, cut and over TCP", async (name) => {
    const { laptop } = machines;
    const server = `@${machines[name].address4}`;
    const whole = await laptop.exec("dig", [server, "+bufsize=4096", "+ignore", "big.example", "TXT"]);
    expect(whole.stdout).toContain(`"${"l".repeat(250)}"`);
    expect(whole.stdout).toContain("(UDP)");
    const cut = await laptop.exec("dig", [server, "+noedns", "+ignore", "big.example", "TXT"]);
    expect(cut.stdout).toMatch(/flags:.* tc /);
    const again = await laptop.exec("dig", [server, "+noedns", "big.example", "TXT"]);
    expect(again.stdout).toContain("retrying in TCP mode");
    expect(again.stdout).toContain(`"${"l".repeat(250)}"`);
  });

  test("libc", async () => {
    const { stdout } = await machines.laptop.exec("getent", ["ahostsv4", "www.example"]);
    expect(stdout).toContain("192.0.2.80 ");
  });

  test("a resolver that is dead: libc goes on to the next one", async () => {
    const { laptop, r1 } = machines;
    await laptop.setResolvers(["192.168.1.77", r1.address4]);
    await eventually(() => nft(laptop, "list", "tables"), () => false, 1_500);
    const { stdout } = await laptop.exec("getent", ["ahostsv4", "www.example"], { env: { RES_OPTIONS: "timeout:1 attempts:2" } });
    expect(stdout).toContain("192.0.2.80 ");
    await restoreResolvers();
  });

  test("another resolv.conf is followed, and none is written to", async () => {
    const { laptop, r2 } = machines;
    await laptop.setResolvers([r2.address4]);
    const before = await laptop.exec("cat", ["/etc/resolv.conf"]);
    expect(await eventually(() => dig(laptop, "@198.51.100.99", "which.example"), (text) => text === "192.0.2.2")).toBe("192.0.2.2");
    expect((await laptop.exec("cat", ["/etc/resolv.conf"])).stdout).toBe(before.stdout);
    await restoreResolvers();
  });
});

describe("what is no question", () => {
  test("is counted and changes nothing", async () => {
    const program = 'const s=require("node:dgram").createSocket("udp4");const m=[Buffer.alloc(3),Buffer.from("12348000000000000000000000","hex"),Buffer.alloc(6000,1)];let n=0;for(const b of m)s.send(b,5353,"127.0.0.1",()=>{if(++n===3)s.close()})';
    await machines.laptop.exec(process.execPath, ["-e", program]);
    proxy.stdin.write("counters\n");
    const [, counters = ""] = await proxy.waitForLine(/^counters (.*)$/);
    expect(JSON.parse(counters)).toMatchObject({ drops: { short: 1, response: 1, oversize: 1 } });
    expect(await dig(machines.laptop, "home.i3")).toBe("10.1.2.3");
  });

  test("the tests' own machine keeps its resolv.conf", async () => {
    expect(await readFile("/etc/resolv.conf", "utf8")).not.toContain("203.0.113");
  });
});
