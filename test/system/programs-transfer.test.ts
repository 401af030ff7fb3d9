/** ping, curl, DNS, iperf3 and names between two machines behind two kinds of NAT. The programs know nothing of the overlay. */
import { rm, stat } from "node:fs/promises";

import type { Host } from "@i3/netns";
import { describe, expect, test } from "vitest";

import { succeed } from "../demo/src/checks.js";
import { dig, NAMES, output, programsBed, randomFile, sha256OfFile, startWebServer } from "./programs-bed.js";

const bedOf = programsBed({ prepare: async ({ home }) => void (await startWebServer(home.host)) });

/** The summary line's loss, and the addresses that answered. */
async function ping(host: Host, ...args: readonly string[]): Promise<{ readonly lossPercent: number; readonly from: readonly string[] }> {
  const { stdout } = await host.exec("ping", ["-n", "-W", "3", "-i", "0.2", ...args]);
  return {
    lossPercent: Number(/([0-9.]+)% packet loss/.exec(stdout)?.[1] ?? "100"),
    from: [...new Set(Array.from(stdout.matchAll(/bytes from ([0-9a-f.:]+?):? icmp_seq/g), ([, address]) => address ?? ""))],
  };
}

describe("ping", () => {
  test.each([["-4", 56], ["-4", 1_200], ["-4", 4_000], ["-6", 56], ["-6", 1_200], ["-6", 4_000]] as const)("%s with %i bytes is answered by the virtual address", async (family, bytes) => {
    const { laptop, home } = bedOf();
    const answer = await ping(laptop.host, "-c", "3", "-s", String(bytes), family, NAMES.home);
    expect(answer).toEqual({ lossPercent: 0, from: [family === "-4" ? home.address4 : home.hit] });
  });

  test("home reaches the laptop as well, by name and by the HIT itself", async () => {
    const { laptop, home } = bedOf();
    expect(await ping(home.host, "-c", "2", "-4", NAMES.laptop)).toEqual({ lossPercent: 0, from: [laptop.address4] });
    expect(await ping(home.host, "-c", "2", laptop.hit)).toEqual({ lossPercent: 0, from: [laptop.hit] });
  });
});

/** Sends datagrams until the kernel reports an error for them; prints its name and the milliseconds it took. */
const UDP_PROBE = `
const [, family, address] = process.argv;
const startedMs = performance.now();
const socket = require("node:dgram").createSocket(family);
const end = (text) => { console.log(text, Math.round(performance.now() - startedMs)); process.exit(); };
socket.on("error", (error) => end(error.code));
socket.connect(9, address, () => socket.send("x", () => {}));
setTimeout(() => end("silence"), 5000);
`;

describe("ICMP errors", () => {
  test.each(["udp4", "udp6"] as const)("%s to a closed port is refused at once", async (family) => {
    const { laptop, home } = bedOf();
    const answer = await output(laptop.host, process.execPath, ["-e", UDP_PROBE, family, family === "udp4" ? home.address4 : home.hit]);
    expect(answer).toMatch(/^ECONNREFUSED \d+$/);
    expect(Number(answer.split(" ")[1])).toBeLessThan(1_000);
  });

  test.each(["-4", "-6"])("curl %s to a closed port is refused", async (family) => {
    const { status, stderr } = await bedOf().laptop.host.exec("curl", ["-sS", family, "-m", "5", `http://${NAMES.home}:81/`]);
    expect({ status, stderr }).toEqual({ status: 7, stderr: expect.stringContaining("Couldn't connect") as string });
  });
});

describe("curl", () => {
  test("-4: the web server sees the laptop's virtual address", async () => {
    const { laptop } = bedOf();
    expect(await output(laptop.host, "curl", ["-sS", "-4", "-m", "10", `http://${NAMES.home}/`])).toBe(laptop.address4);
  });

  test("-6, and with the HIT in place of a name: it sees the laptop's HIT", async () => {
    const { laptop, home } = bedOf();
    expect(await output(laptop.host, "curl", ["-sS", "-6", "-m", "10", `http://${NAMES.home}/`])).toBe(laptop.hit);
    expect(await output(laptop.host, "curl", ["-sS", "-m", "10", `http://[${home.hit}]/`])).toBe(laptop.hit);
  });

  test("100 MB down", async () => {
    const { laptop, home } = bedOf();
    const { path, sha256 } = await randomFile(home.host, "down.bin", 100);
    const copy = `${laptop.host.directory}/down.bin`;
    await succeed(laptop.host, "curl", ["-sS", "-4", "-m", "90", "-o", copy, `http://${NAMES.home}/down.bin`], 100_000);
    expect(await sha256OfFile(copy)).toBe(sha256);
    await Promise.all([rm(path), rm(copy)]);
  });

  test("100 MB up, over IPv6", async () => {
    const { laptop } = bedOf();
    const { path, sha256 } = await randomFile(laptop.host, "up.bin", 100);
    expect((await stat(path)).size).toBe(100_000_000);
    expect(await output(laptop.host, "curl", ["-sS", "-6", "-m", "90", "-T", path, `http://${NAMES.home}/up.bin`], 100_000)).toBe(sha256);
    await rm(path);
  });
});

describe("names", () => {
  test.each(["home.i3", "HOME.I3", "Home.i3", "home.i3.", "HOME.I3."])("%s", async (name) => {
    const { laptop, home } = bedOf();
    expect(await dig(laptop.host, name, "A")).toBe(home.address4);
    expect(await dig(laptop.host, name, "AAAA")).toBe(home.hit);
    expect(await output(laptop.host, "curl", ["-sS", "-4", "-m", "10", `http://${name}/`])).toBe(laptop.address4);
  });

  test("getent hosts and getent ahosts", async () => {
    const { laptop, home } = bedOf();
    expect((await output(laptop.host, "getent", ["hosts", NAMES.home])).split(/\s+/)).toEqual([home.hit, NAMES.home]);
    const all = await output(laptop.host, "getent", ["ahosts", "HOME.I3."]);
    expect(new Set(all.split("\n").map((line) => line.split(/\s+/)[0]))).toEqual(new Set([home.hit, home.address4]));
  });

  test("a virtual address has its name: dig -x and getent", async () => {
    const { laptop, home } = bedOf();
    for (const address of [home.address4, home.hit]) {
      expect(await dig(laptop.host, "-x", address)).toBe(`${NAMES.home}.`);
      expect((await output(laptop.host, "getent", ["hosts", address])).split(/\s+/)).toEqual([address, NAMES.home]);
    }
    for (const address of [laptop.address4, laptop.hit]) expect(await dig(laptop.host, "-x", address)).toBe(`${NAMES.laptop}.`);
  });
});

describe("a DNS server on home", () => {
  test("answers dig by its virtual address, over UDP and TCP, IPv4 and IPv6", async () => {
    const { laptop, home } = bedOf();
    const server = home.host.spawn("/usr/sbin/dnsmasq", [
      "--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts", "--bind-interfaces", "--except-interface=lo", "--address=/printer.lan/192.168.2.77",
      `--listen-address=${home.address4}`, `--listen-address=${home.hit}`,
    ]);
    await server.waitForLine(/started/);
    await dig(laptop.host, NAMES.home); // Now the address means something.
    for (const address of [home.address4, home.hit]) {
      for (const transport of ["+notcp", "+tcp"]) expect(await dig(laptop.host, `@${address}`, transport, "+tries=1", "printer.lan", "A"), `@${address} ${transport}`).toBe("192.168.2.77");
    }
  });
});

interface IperfReport {
  readonly error?: string;
  readonly end: { readonly sum: { readonly bytes: number; readonly lost_percent?: number; readonly packets?: number }; readonly sum_received?: { readonly bytes: number } };
}

describe("iperf3", () => {
  const iperf = async (...args: readonly string[]): Promise<IperfReport["end"]> => {
    const { laptop, home } = bedOf();
    const server = home.host.spawn("iperf3", ["--server", "--one-off", "--forceflush"]);
    await server.waitForLine(/Server listening/);
    const report = JSON.parse(await output(laptop.host, "iperf3", ["--json", "--time", "3", "--client", NAMES.home, ...args])) as IperfReport;
    expect(report.error).toBeUndefined();
    await server.ended;
    return report.end;
  };

  test.each([["up", []], ["down", ["--reverse"]]] as const)("TCP %s", async (_, args) => {
    const { sum_received: received } = await iperf("-4", ...args);
    expect(received?.bytes).toBeGreaterThan(1_000_000);
  });

  test.each([["up", "-4", []], ["down", "-6", ["--reverse"]]] as const)("UDP %s (%s) at 5 Mbit/s arrives", async (_, family, args) => {
    const { sum } = await iperf(family, "--udp", "--bitrate", "5M", "--length", "1200", ...args);
    expect(sum.packets).toBeGreaterThan(1_400);
    expect(sum.lost_percent).toBeLessThan(2);
  });
});
