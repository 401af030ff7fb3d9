/**
 * Links of small MTU between two real proxies, where ICMP tells of them and where it does not: programs hear "message too long" with the length that fits, and transfers work,
 * past i3 and over it.
 */
import { afterEach, describe, expect, it } from "vitest";

import { eventually, type PairBed } from "./pair-bed.js";
import { randomFile, sha256OfFile } from "./programs-bed.js";
import { lengthOf, openShort, RECEIVE, RELAYED, STRAIGHT } from "./short-link.js";

let bed: PairBed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});
const open = async (mtu: number, icmp: boolean, rules: string): Promise<PairBed> => (bed = await openShort(mtu, icmp, rules));

/** For AES-GCM over IPv4 (docs/wire.md §9.7): 42 bytes of IP, UDP and ESP at least, and what a checksum's state may need. */
const INNER = { 1_400: 1_330, 1_280: 1_210 } as const;

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
const SEND = `
import socket, sys
s = socket.socket(socket.AF_INET if sys.argv[2] == "4" else socket.AF_INET6); s.settimeout(15); s.connect(("home.i3", 8000))
with open(sys.argv[1], "rb") as f: s.sendfile(f)
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
