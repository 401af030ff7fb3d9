/**
 * Links of small MTU between two real proxies, where ICMP tells of them and where it does not: programs hear "message too long" with the length that fits, and transfers work,
 * past i3 and over it.
 *
 *     laptop ── nat1 ── core ── 1400 or 1280 bytes ── nat2 ── home
 */
import { stat } from "node:fs/promises";

import { afterEach, describe, expect, it } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";
import { randomFile, sha256OfFile } from "./programs-bed.js";

let bed: PairBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

const STRAIGHT = '<rules><rule name=".*\\.i3" go="i3"/></rules>';
const RELAYED = '<rules><rule name=".*\\.i3" go="i3" shortcut="no"/></rules>';
/** For AES-GCM over IPv4 (docs/wire.md §9.7): 42 bytes of IP, UDP and ESP at least, and what a checksum's state may need. */
const INNER = { 1_400: 1_330, 1_280: 1_210 } as const;

async function setLink({ core, nat2 }: PairBed, mtu: number): Promise<void> {
  for (const [node, device] of [[core, "to-nat2"], [nat2, "to-core"]] as const) expect((await node.exec("ip", ["link", "set", "dev", device, "mtu", String(mtu)])).status).toBe(0);
}

async function open(mtu: number, icmp: boolean, rules: string): Promise<PairBed> {
  const opened = (bed = await pairBed({ nat1: "port-restricted", nat2: "port-restricted", laptopOptions: { rules }, homeOptions: { rules } }));
  const { core, nat1, nat2 } = opened;
  await setLink(opened, mtu);
  if (!icmp) for (const node of [core, nat1, nat2]) await node.setIcmpErrors({ dropped: true });
  await eventually("an answer", 10_000, async () => ((await pings(opened.laptop, "home.i3")) ? true : undefined));
  return opened;
}

/** The last length that the proxy says its path takes. */
const lengthOf = ({ child }: PairBed["laptopProxy"]): number | undefined => {
  const line = child?.lines.map(({ text }) => text).filter((text) => text.includes('"event":"path-mtu"')).at(-1);
  return line === undefined ? undefined : (JSON.parse(line) as { bytes: number }).bytes;
};

/** 5 MB by TCP from the laptop to home. */
async function transfers({ laptop, home }: PairBed, family: "4" | "6"): Promise<void> {
  const { path, sha256 } = await randomFile(laptop, "sent", 5);
  const target = `${home.directory}/got`;
  const server = home.spawn("python3", ["-c", RECEIVE, target]);
  await server.waitForLine(/ready/, 5_000);
  const { status, stderr } = await laptop.exec("python3", ["-c", SEND, path, family]);
  expect([status, stderr]).toEqual([0, ""]);
  await server.ended;
  expect(await sha256OfFile(target)).toBe(sha256);
}
const RECEIVE = `
import socket, sys
s = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True); print("ready", flush=True)
c, _ = s.accept(); c.settimeout(15)
with open(sys.argv[1], "wb") as f:
    while (part := c.recv(65536)): f.write(part)
`;
const SEND = `
import socket, sys
s = socket.socket(socket.AF_INET if sys.argv[2] == "4" else socket.AF_INET6); s.settimeout(15); s.connect(("home.i3", 8000))
with open(sys.argv[1], "rb") as f: s.sendfile(f)
s.shutdown(socket.SHUT_WR); assert s.recv(1) == b""
`;

/** 50 kB each tenth of a second for 8 s. */
const STEADY = `
import socket, time
s = socket.socket(socket.AF_INET); s.settimeout(15); s.connect(("home.i3", 8000))
for i in range(80): s.sendall(bytes(50000)); print(i, flush=True); time.sleep(0.1)
s.shutdown(socket.SHUT_WR); assert s.recv(1) == b""
`;

/** Datagrams of 1,350 bytes with DF, as QUIC sends them, until one is answered or refused: its length then, or -1. */
const QUIC = `
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)
s.setsockopt(socket.IPPROTO_IP, 10, 2)
s.connect((socket.gethostbyname("home.i3"), 9000))
for i in range(20):
    try:
        s.send(bytes(int(sys.argv[1]) - 28))
        print(28 + len(s.recv(2000))); break
    except socket.timeout: pass
    except OSError as e:
        assert e.errno == errno.EMSGSIZE, e
        print(-s.getsockopt(socket.IPPROTO_IP, 14)); break
`;
const ECHO = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 9000)); print("ready", flush=True)
while True:
    b, a = s.recvfrom(2000); s.sendto(b, a)
`;

describe.each([1_400, 1_280] as const)("a link of %i bytes", (mtu) => {
  describe.each([true, false])("ICMP %s", (icmp) => {
    it("past i3", async () => {
      const opened = await open(mtu, icmp, STRAIGHT);
      const { laptop, home, laptopProxy, homeProxy } = opened;
      const ping = laptop.spawn("ping", ["-n", "-i", "0.1", "home.i3"]);
      await eventually("both know what the path takes", 10_000, () => Promise.resolve(lengthOf(laptopProxy) === mtu && lengthOf(homeProxy) === mtu ? true : undefined));
      ping.kill("SIGINT");
      // The system has to be told once, by a packet that is too long.
      const long = await laptop.exec("ping", ["-4", "-c", "2", "-W", "1", "-M", "do", "-s", "1320", "home.i3"]);
      expect(`${long.stdout}${long.stderr}`).toMatch(new RegExp(`mtu ?= ?${INNER[mtu]}`));
      expect((await laptop.exec("ping", ["-4", "-c", "2", "-W", "1", "-M", "do", "-s", String(INNER[mtu] - 28), "home.i3"])).stdout).toContain(" 0% packet loss");
      expect((await laptop.exec("ping", ["-4", "-c", "2", "-W", "1", "-s", "4000", "home.i3"])).stdout).toContain(" 0% packet loss");
      expect((await laptop.exec("ping", ["-6", "-c", "2", "-W", "1", "-s", "1232", "home.i3"])).stdout).toContain(" 0% packet loss");
      for (const family of ["4", "6"] as const) await transfers(opened, family);
      const echo = home.spawn("python3", ["-c", ECHO]);
      await echo.waitForLine(/ready/, 5_000);
      expect((await laptop.exec("python3", ["-c", QUIC, "1350"])).stdout.trim()).toBe(String(-INNER[mtu]));
    });

    it("over i3", async () => {
      const opened = await open(mtu, icmp, RELAYED);
      const { laptop, home } = opened;
      expect((await laptop.exec("ping", ["-4", "-c", "2", "-W", "1", "-M", "do", "-s", "1332", "home.i3"])).stdout).toContain(" 0% packet loss");
      expect((await laptop.exec("ping", ["-6", "-c", "2", "-W", "1", "-s", "1312", "home.i3"])).stdout).toContain(" 0% packet loss");
      for (const family of ["4", "6"] as const) await transfers(opened, family);
      const echo = home.spawn("python3", ["-c", ECHO]);
      await echo.waitForLine(/ready/, 5_000);
      expect((await laptop.exec("python3", ["-c", QUIC, "1350"])).stdout.trim()).toBe("1350");
    });
  });
});

it("a link that becomes short under a transfer, without a word: it goes on within 3 s", async () => {
  const opened = await open(1_500, false, STRAIGHT);
  const { laptop, home, laptopProxy } = opened;
  const target = `${home.directory}/got`;
  const server = home.spawn("python3", ["-c", RECEIVE, target]);
  await server.waitForLine(/ready/, 5_000);
  const client = laptop.spawn("python3", ["-c", STEADY]);
  let longestMs = 0;
  let lastMs = performance.now();
  client.on("line", () => {
    longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
  });
  await eventually("the path's length is known", 10_000, () => Promise.resolve(lengthOf(laptopProxy) === 1_476 ? true : undefined));
  await client.waitForLine(/^20$/, 10_000);
  await setLink(opened, 1_400);
  await eventually("the new length is known", 5_000, () => Promise.resolve(lengthOf(laptopProxy) === 1_400 ? true : undefined));
  await client.ended;
  await server.ended;
  expect((await stat(target)).size).toBe(80 * 50_000);
  expect(longestMs).toBeLessThan(3_000);
});
