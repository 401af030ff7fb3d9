/** What the proxy leaves behind when it dies or stops, what it refuses, and that a local resolver does not ask itself through us. */
import { afterEach, describe, expect, test } from "vitest";
import { dig, eventually, intercept, INTERCEPTOR, type Machines, nft, office, timed } from "./machine.js";

let open: Machines | undefined;
async function machinesOf(): Promise<Machines> {
  open = await office();
  return open;
}
afterEach(async ({ task }) => {
  if (task.result?.state === "fail") console.log(await open?.topology.diagnose());
  await open?.topology.close();
  open = undefined;
});

describe("killed with SIGKILL", () => {
  test("DNS works within a second, the redirect is gone, the guard stays and routes refuse", async () => {
    const { laptop, core } = await machinesOf();
    const proxy = await intercept(laptop);
    expect(await dig(laptop, "home.i3")).toBe("10.1.2.3");
    await eventually(() => nft(laptop, "list", "table", "inet", "i3_guard_i3test"), (text) => text.includes("10.1.2.3"));
    // If anything leaves in clear, core answers.
    await core.exec("ip", ["address", "add", "10.1.2.3/32", "dev", "lo"]);
    proxy.kill("SIGKILL");
    await proxy.ended;
    const startMs = performance.now();
    expect(await eventually(() => dig(laptop, "+timeout=1", "which.example"), (text) => text === "192.0.2.1", 1_000)).toBe("192.0.2.1");
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(await eventually(() => nft(laptop, "list", "tables"), (text) => !text.includes("i3_dns"), 1_000)).toBe("table inet i3_guard_i3test\n");
    const byRoute = await timed(laptop, "ping", ["-c1", "-W2", "10.1.2.3"]);
    expect(byRoute.stderr + byRoute.stdout).toMatch(/No route to host|Destination Host Unreachable/);
    await laptop.exec("ip", ["rule", "del", "priority", "1313"]);
    const byGuard = await timed(laptop, "curl", ["--silent", "--show-error", "--connect-timeout", "5", "http://10.1.2.3/"]);
    expect(byGuard.status).not.toBe(0);
    expect(byGuard.ms).toBeLessThan(2_000);
    expect(byGuard.stderr).toMatch(/No route to host|Couldn't connect|Failed to connect/);
    // The guard is what refused it: without it core answers.
    await laptop.exec("nft", ["delete", "table", "inet", "i3_guard_i3test"]);
    expect((await laptop.exec("ping", ["-c1", "-W2", "10.1.2.3"])).status).toBe(0);
  });

  test("started again it restores what it is told to, and clears the rest", async () => {
    const { laptop } = await machinesOf();
    const first = await intercept(laptop);
    first.stdin.write("allocate 10.5.5.5\n");
    await dig(laptop, "home.i3");
    await eventually(() => nft(laptop, "list", "table", "inet", "i3_guard_i3test"), (text) => text.includes("10.5.5.5") && text.includes("10.1.2.3"));
    first.kill("SIGKILL");
    await first.ended;
    await intercept(laptop, { restored: ["10.5.5.5"] });
    const guard = await nft(laptop, "list", "table", "inet", "i3_guard_i3test");
    expect(guard).toContain("10.5.5.5");
    expect(guard).not.toContain("10.1.2.3");
    const { stdout } = await laptop.exec("ip", ["route", "show", "table", "1313"]);
    expect(stdout.trim().split("\n").sort()).toEqual([
      expect.stringMatching(/^10\.5\.5\.5 dev i3test proto \S+ scope link src 10\.9\.9\.9 metric 10/), expect.stringMatching(/^unreachable 10\.5\.5\.5 proto \S+ metric 1000/),
    ]);
    expect(await dig(laptop, "home.i3")).toBe("10.1.2.3");
  });
});

describe("stopped", () => {
  test("only the guard of what is still given out is left", async () => {
    const { laptop } = await machinesOf();
    const proxy = await intercept(laptop);
    await dig(laptop, "home.i3");
    proxy.stdin.write("allocate 10.5.5.5\nrelease 10.5.5.5\n");
    await eventually(() => nft(laptop, "list", "ruleset"), (text) => text.includes("10.1.2.3"));
    expect((await proxy.stop()).status).toBe(0);
    expect(await nft(laptop, "list", "tables")).toBe("table inet i3_guard_i3test\n");
    const guard = await nft(laptop, "list", "ruleset");
    expect(guard).toContain("10.1.2.3");
    expect(guard).not.toContain("10.5.5.5");
    const rules = await laptop.exec("ip", ["rule"]);
    expect(rules.stdout).not.toContain("1313");
    expect((await laptop.exec("ip", ["route", "show", "table", "all"])).stdout).not.toMatch(/1313|1314/);
    expect(await dig(laptop, "which.example")).toBe("192.0.2.1");
  });
});

describe("the guard", () => {
  test("a neighbour reaches no virtual address and cannot pass as one", async () => {
    const { laptop, neighbour } = await machinesOf();
    await intercept(laptop);
    await dig(laptop, "home.i3");
    await neighbour.exec("ip", ["route", "add", "10.9.9.9/32", "via", laptop.address4]);
    await neighbour.exec("ip", ["address", "add", "10.1.2.3/32", "dev", "eth0"]);
    await eventually(() => nft(laptop, "list", "ruleset"), (text) => text.includes("10.1.2.3"));
    const reach = (): Promise<number> => neighbour.exec("ping", ["-c1", "-W1", "-I", "192.168.1.11", "10.9.9.9"]).then(({ status }) => status);
    expect(await reach()).not.toBe(0);
    expect(await nft(laptop, "list", "table", "inet", "i3_guard_i3test")).toMatch(/ip daddr @own4 counter packets [1-9]/);
    await neighbour.exec("ping", ["-c1", "-W1", "-I", "10.1.2.3", laptop.address4]);
    expect(await nft(laptop, "list", "table", "inet", "i3_guard_i3test")).toMatch(/ip saddr @allocated4 counter packets [1-9]/);
    // Without the guard the kernel would answer on behalf of the TUN's address.
    await laptop.exec("nft", ["delete", "table", "inet", "i3_guard_i3test"]);
    expect(await reach()).toBe(0);
  });
});

describe("addresses that nobody was given", () => {
  test("are refused at once, while others are not touched", async () => {
    const { laptop, core } = await machinesOf();
    await core.exec("ip", ["address", "add", "10.77.0.1/32", "dev", "lo"]);
    await intercept(laptop);
    for (const url of ["http://10.77.0.1/", "http://[2001:25::77]/"]) {
      const refused = await timed(laptop, "curl", ["--silent", "--show-error", "--connect-timeout", "5", url]);
      expect(refused.status).toBe(7);
      expect(refused.ms).toBeLessThan(700);
    }
    expect((await laptop.exec("ping", ["-c1", "-W2", "10.77.0.1"])).status).not.toBe(0);
    expect((await laptop.exec("ping", ["-c1", "-W2", "203.0.113.6"])).status).toBe(0);
  });

  test("pass when a real route lies in the range, also one that comes later", async () => {
    const { laptop, core } = await machinesOf();
    await core.exec("ip", ["address", "add", "10.77.0.1/32", "dev", "lo"]);
    const proxy = await intercept(laptop);
    await laptop.exec("ip", ["route", "add", "10.77.0.0/16", "via", "192.168.1.1"]);
    const rules = await eventually(() => nft(laptop, "list", "table", "inet", "i3_dns_i3test"), (text) => !text.includes("10.0.0.0/8"));
    expect(rules).not.toContain("10.0.0.0/8");
    expect((await laptop.exec("ping", ["-c1", "-W2", "10.77.0.1"])).status).toBe(0);
    proxy.stdin.write("overlaps\n");
    const [, overlaps = ""] = await proxy.waitForLine(/^overlaps (.*)$/);
    expect(JSON.parse(overlaps)).toEqual(["route 10.77.0.0/16 (table 254 by eth0) lies in the range of virtual addresses"]);
  });

  test("a resolver in the range is found, and never refused", async () => {
    const { laptop, core, r1 } = await machinesOf();
    await core.exec("nft", ["add table ip move; add chain ip move pre { type nat hook prerouting priority -100; }; add rule ip move pre ip daddr 10.0.0.53 dnat to 203.0.113.6"]);
    await laptop.setResolvers(["10.0.0.53"]);
    const proxy = await intercept(laptop, { unallocated: "refuse" });
    expect(await dig(laptop, "which.example")).toBe("192.0.2.1");
    proxy.stdin.write("overlaps\n");
    const [, overlaps = ""] = await proxy.waitForLine(/^overlaps (.*)$/);
    expect(JSON.parse(overlaps)).toEqual(["resolver 10.0.0.53 (resolv.conf) lies in the range of virtual addresses"]);
    expect(r1.children[0]?.running).toBe(true);
  });
});

describe("a resolver on this machine", () => {
  test.each([["as root", "root"], ["as another user", "nobody"]])("on 127.0.0.53 %s does not ask itself through us", async (_, user) => {
    const { laptop, r1 } = await machinesOf();
    // In a namespace of one user all are root. As systemd-resolved does, the stub opens its sockets as the other user.
    const asUser = process.env["I3_NETNS_SANDBOX"] === "root" ? user : "root";
    const drop = asUser === "root" ? [] : ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"];
    const stub = laptop.spawn("setpriv", [
      ...drop, "dnsmasq", "--no-daemon", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", `--server=${r1.address4}`, "--listen-address=127.0.0.53",
      "--bind-interfaces", "--cache-size=0", "--log-queries",
    ]);
    await stub.waitForLine(/started/);
    await laptop.setResolvers(["127.0.0.53"]);
    await intercept(laptop);
    expect(await dig(laptop, "which.example")).toBe("192.0.2.1");
    expect(await dig(laptop, "+tcp", "which.example")).toBe("192.0.2.1");
    expect(await dig(laptop, "home.i3")).toBe("10.1.2.3");
    expect(stub.lines.filter(({ text }) => text.includes("query[A] which.example"))).toHaveLength(2);
    expect(stub.lines.filter(({ text }) => text.includes("home.i3"))).toHaveLength(0);
    // Everything else on port 53 is only taken when the stub can be told from other programs.
    expect(await dig(laptop, "@198.51.100.99", "home.i3")).toBe(asUser === "root" ? ";; communications error to 198.51.100.99#53: timed out\n;; no servers could be reached" : "10.1.2.3");
  });
});

describe("nft", () => {
  test("killed by somebody: the redirect is back within seconds", async () => {
    const { laptop } = await machinesOf();
    const proxy = await intercept(laptop);
    const { stdout } = await laptop.exec("pgrep", ["-f", "^nft -i$"]);
    await laptop.exec("kill", ["-9", ...stdout.trim().split("\n")]);
    await proxy.waitForLine(/nft-ended/);
    expect(await eventually(() => dig(laptop, "home.i3"), (text) => text === "10.1.2.3")).toBe("10.1.2.3");
  });

  test("missing, no permission, table of another instance, port in use: one line with the remedy", async () => {
    const { laptop } = await machinesOf();
    const fail = async (settings: object, ...wrapper: string[]): Promise<string> => {
      const [program = "", ...args] = [...wrapper, process.execPath, INTERCEPTOR, JSON.stringify(settings)];
      const { status, stdout } = await laptop.exec(program, args);
      expect(status).toBe(1);
      return stdout.split("\n").filter((line) => line.startsWith("failed")).join();
    };
    expect(await fail({ nftProgram: "/nonexistent/nft" })).toMatch(/ERR_I3_NO_NFT .* apt-get install nftables/);
    const denied = await laptop.writeFile("nft", "#!/bin/sh\nexec setpriv --bounding-set -net_admin --inh-caps -net_admin nft \"$@\"\n");
    await laptop.exec("chmod", ["+x", denied]);
    expect(await fail({ nftProgram: denied })).toMatch(/ERR_I3_NFT_DENIED .*CAP_NET_ADMIN/);
    await intercept(laptop);
    expect(await fail({ tunName: "i3other" })).toMatch(/ERR_I3_PORT_IN_USE .* configure another DNS port/);
    expect(await dig(laptop, "home.i3")).toBe("10.1.2.3");
  });
});
