/**
 * Nothing for a virtual address leaves in clear while the proxy is dead: not on the way that routes choose, and not where a program
 * insists on the LAN interface. Counted at the other end of the laptop's wire, where the routes, rules and guards of the laptop end.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseIpText, toHex } from "@i3/common";

import { eventually, pairBed, type PairBed } from "./pair-bed.js";

const AT_ONCE_MS = 500;

let bed: PairBed;
let v4: string;
let v6: string;
beforeAll(async () => {
  bed = await pairBed({ ipv6: true });
  v4 = bed.homeProxy.address4;
  v6 = bed.homeProxy.hit;
  const device = bed.laptop.interfaces[0]?.far.interfaceName ?? "";
  // Packets to home or from a virtual address of the laptop, and questions who has them on the LAN.
  await bed.laptop.interfaces[0]?.far.namespace.nft(`table netdev witness {
    set virtual4 { type ipv4_addr; elements = { ${v4}, ${bed.laptopProxy.address4} } }
    set virtual6 { type ipv6_addr; elements = { ${v6}, ${bed.laptopProxy.hit} } }
    chain from_laptop {
      type filter hook ingress device "${device}" priority 0;
      ip daddr @virtual4 counter
      ip saddr @virtual4 counter
      ip6 daddr @virtual6 counter
      ip6 saddr @virtual6 counter
      arp daddr ip @virtual4 counter
      ${[v6, bed.laptopProxy.hit].map((hit) => `icmpv6 type nd-neighbor-solicit @th,64,128 0x${toHex(parseIpText(hit) as Uint8Array)} counter`).join("; ")}
    }
    chain everything { type filter hook ingress device "${device}" priority 1; counter; }
  }`);
  // Somebody there would gladly answer.
  await bed.nat1.exec("ip", ["address", "add", `${v4}/32`, "dev", "lo"]);
  await bed.nat1.exec("ip", ["address", "add", `${v6}/128`, "dev", "lo", "nodad"]);
  await Promise.all([works("-4"), works("-6")]);
  await eventually("the guard", 2_000, async () => {
    const { stdout } = await bed.laptop.exec("nft", ["list", "table", "inet", "i3_guard_i3"]);
    return (stdout.includes(v4) && stdout.includes(v6)) || undefined;
  });
});
afterAll(() => bed?.close());

const works = async (family: "-4" | "-6"): Promise<void> => {
  await eventually("a ping of home", 5_000, async () => (await bed.laptop.exec("ping", [family, "-c", "1", "-W", "1", "home.i3"])).status === 0 || undefined);
};

/** What the rules of a chain have counted. */
async function packets(chain: "from_laptop" | "everything"): Promise<number> {
  const lan = bed.laptop.interfaces[0]?.far.namespace.name ?? "";
  const { stdout } = await promisify(execFile)("ip", ["netns", "exec", lan, "nft", "list", "chain", "netdev", "witness", chain]);
  return Array.from(stdout.matchAll(/counter packets (\d+)/g), ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0);
}

/** Until the program tells of an error, which it must; ping itself may go on waiting. */
async function errorMs(program: string, args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = bed.laptop.spawn(program, args);
  await child.waitForLine(/Unreachable|No route to host|Operation not permitted|Couldn't connect|Connection refused/i, 9_000);
  const ms = performance.now() - startMs;
  expect((await child.ended).status).not.toBe(0);
  return ms;
}

/** What the system tells programs that send a datagram, a raw packet as ping does, and try a connection: one line each, with its time. */
const SENDER = `
import socket, sys, time
address, source, device = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
kinds = {"datagram": (socket.SOCK_DGRAM, 0), "raw": (socket.SOCK_RAW, 58 if ":" in address else 1), "connection": (socket.SOCK_STREAM, 0)}
for name, (kind, protocol) in kinds.items():
    s = socket.socket(family, kind, protocol)
    s.settimeout(1)
    if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if source: s.bind((source, 0))
    start = time.monotonic()
    try:
        if name == "connection": s.connect((address, 80))
        else: s.sendto(bytes([128 if ":" in address else 8]) + bytes(7), (address, 0 if name == "raw" else 9))
        result = "sent"
    except OSError as error:
        result = type(error).__name__
    print(name, result, "at once" if time.monotonic() - start < ${AT_ONCE_MS / 1_000} else "late")
`;

const WAYS = [["bound to nothing", false, false], ["bound to the LAN address", true, false], ["bound to the LAN interface", false, true]] as const;
const COMMANDS: readonly (readonly [string, (address: string) => readonly string[]])[] = [
  ["ping", (address) => ["-n", "-c", "1", "-W", "5", address]],
  ["curl", (address) => ["-sS", "--connect-timeout", "8", urlOf(address)]],
];

function urlOf(address: string): string {
  return address.includes(":") ? `http://[${address}]/` : `http://${address}/`;
}

describe("after SIGKILL of the proxy", () => {
  beforeAll(() => bed.laptopProxy.kill());

  for (const family of [4, 6] as const) {
    it.each(COMMANDS)(`%s to home over IPv${family} fails at once`, async (program, argsOf) => {
      expect(await errorMs(program, argsOf(family === 4 ? v4 : v6))).toBeLessThan(AT_ONCE_MS);
    });

    it.each(WAYS)(`programs %s get an error at once over IPv${family}, and nothing is seen on the LAN`, async (_, source, device) => {
      const { laptop, neighbour } = bed;
      const args = ["-c", SENDER, family === 4 ? v4 : v6, source ? laptop[`address${family}`] : "", device ? "eth0" : ""];
      const { stdout, stderr } = await laptop.exec("python3", args);
      expect(stderr).toBe("");
      expect(stdout.split("\n")).toEqual([expect.stringMatching(/datagram \w*Error at once/), expect.stringMatching(/raw \w*Error at once/), expect.stringMatching(/connection \w*Error at once/), ""]);
      // What went out before this ping has been counted.
      const all = await packets("everything");
      expect((await laptop.exec("ping", ["-c", "1", "-W", "2", neighbour.address4])).status).toBe(0);
      expect(await packets("everything")).toBeGreaterThan(all);
      expect(await packets("from_laptop")).toBe(0);
    });

    it(`ping and curl that insist on the LAN interface over IPv${family} get no answer, though somebody there would give one`, async () => {
      const address = family === 4 ? v4 : v6;
      expect((await bed.laptop.exec("ping", ["-n", "-c", "1", "-W", "1", "-I", "eth0", address])).status).not.toBe(0);
      expect((await bed.laptop.exec("curl", ["-sS", "--max-time", "1", "--interface", "if!eth0", urlOf(address)])).status).not.toBe(0);
      expect(await packets("from_laptop")).toBe(0);
    });
  }
});

describe("started again", () => {
  it("everything works as before, and still nothing leaves in clear", async () => {
    await bed.laptopProxy.start();
    await Promise.all([works("-4"), works("-6")]);
    // Addresses that programs remember work too.
    expect((await bed.laptop.exec("ping", ["-c", "1", "-W", "2", v4])).status).toBe(0);
    expect((await bed.laptop.exec("ping", ["-c", "1", "-W", "2", v6])).status).toBe(0);
    expect((await bed.laptop.exec("ping", ["-n", "-c", "1", "-W", "1", "-I", "eth0", v4])).status).not.toBe(0);
    expect(await packets("from_laptop")).toBe(0);
  });

  it("after a stop it is the same as after a kill", async () => {
    expect((await bed.laptopProxy.child?.stop())?.status).toBe(0);
    for (const address of [v4, v6]) {
      expect(await errorMs("ping", ["-n", "-c", "1", "-W", "5", address])).toBeLessThan(AT_ONCE_MS);
      expect(await errorMs("curl", ["-sS", "--connect-timeout", "8", urlOf(address)])).toBeLessThan(AT_ONCE_MS);
    }
    expect(await packets("from_laptop")).toBe(0);
  });
});

describe("without what the proxy leaves behind", () => {
  it("packets do leave in clear and are answered (so these tests can see it)", async () => {
    await bed.laptop.exec("nft", ["delete", "table", "inet", "i3_guard_i3"]);
    expect((await bed.laptop.exec("ping", ["-c", "1", "-W", "2", v4])).status).toBe(0);
    expect((await bed.laptop.exec("ping", ["-c", "1", "-W", "2", v6])).status).toBe(0);
    expect(await packets("from_laptop")).toBeGreaterThan(1);
  });
});
