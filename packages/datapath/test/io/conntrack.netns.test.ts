/** Conntrack's entries, as the addon lists and deletes them, beside what conntrack(8) says. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { conntrackUse, endConntrackOf, listConntrack } from "@i3/datapath/io";
import { loadNativeIo, type ConntrackEntry } from "@i3/datapath/native-io";
import { be16, bytes, concat, icmp, packet, tcp } from "../reference/packets.js";
import { requireOwnNamespace } from "./namespace.js";
import { client4, openNetfilterBed, OWN4, own6, PORT, udpFrom, withoutRight, type NetfilterBed } from "./netfilter-bed.js";

const io = loadNativeIo();
const FORWARD = "/proc/sys/net/ipv4/ip_forward";
let bed: NetfilterBed;
beforeAll(() => {
  requireOwnNamespace(io);
  bed = openNetfilterBed(io);
});
afterAll(() => bed.close());
// What nobody listens for is answered by RST, which ends its entry.
const server = createServer();
beforeAll(async () => {
  server.listen(PORT, "10.99.4.1");
  await once(server, "listening");
});
afterAll(() => void server.close());

const conntrack = (...args: readonly string[]): string => execFileSync("conntrack", [...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
beforeEach(() => {
  bed.rules("chain in { type filter hook input priority 0; ct state invalid drop; }");
  conntrack("-F");
});

async function list(family: 4 | 6, address: Uint8Array | null = null): Promise<ConntrackEntry[]> {
  const all: ConntrackEntry[] = [];
  for await (const part of listConntrack(io, family, address)) all.push(...part);
  return all;
}
const ports = (entries: readonly ConntrackEntry[]): number[] => entries.map(({ original }) => original.sourcePort).sort((a, b) => a - b);
const echo = (source: Uint8Array, destination: Uint8Array, id: number): Uint8Array =>
  packet(source, destination, source.length === 4 ? 1 : 58, icmp(source.length === 4 ? 8 : 128, 0, concat(be16(id), be16(1))));
const syn = (source: Uint8Array, destination: Uint8Array): Uint8Array => packet(source, destination, 6, tcp(new Uint8Array(0)).with(13, 2).with(3, PORT & 0xff).with(2, PORT >> 8));
const many = (client: Uint8Array, count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => udpFrom(client, 1_024 + i, OWN4));

describe("listConntrack", () => {
  it.each([
    ["IPv4", 4, client4(2), OWN4],
    ["IPv6", 6, own6(2), own6(1)],
  ] as const)("says what is known of a flow of %s", async (_, family, client, own) => {
    bed.rules("chain in { type filter hook input priority 0; ct mark set 0x12345678; }");
    bed.arrive([udpFrom(client, 1_234, own)]);
    const [entry, ...others] = await list(family);
    expect(others).toEqual([]);
    const none = { icmpType: 0, icmpCode: 0, icmpId: 0 };
    expect(entry).toEqual({
      family, protocol: 17, mark: 0x1234_5678, zone: 0, id: expect.any(Number),
      original: { source: client, destination: own, sourcePort: 1_234, destinationPort: PORT, ...none },
      reply: { source: own, destination: client, sourcePort: PORT, destinationPort: 1_234, ...none },
      status: 8,
    });
    expect(Number(/ id=(\d+)/.exec(conntrack("-L", "-f", `ipv${family}`, "-o", "id"))?.[1])).toBe(entry?.id);
    expect(await list(family === 4 ? 6 : 4)).toEqual([]);
  });

  it("says identifiers of ICMP, and protocols without ports", async () => {
    bed.arrive([echo(client4(2), OWN4, 77), packet(client4(2), OWN4, 253, bytes(1, 2, 3, 4)), echo(own6(2), own6(1), 78)]);
    expect(await list(4)).toEqual(expect.arrayContaining([
      expect.objectContaining({ protocol: 1, original: expect.objectContaining({ icmpType: 8, icmpCode: 0, icmpId: 77, sourcePort: 0 }), reply: expect.objectContaining({ icmpType: 0, icmpId: 77 }) }),
    ]));
    expect(await list(6)).toMatchObject([{ protocol: 58, original: { icmpType: 128, icmpId: 78 }, reply: { icmpType: 129, icmpId: 78 } }]);
  });

  it("ends early without keeping the dump open", async () => {
    bed.arrive(many(client4(2), 1_000));
    const before = readFileSync("/proc/net/netlink", "utf8").split("\n").length;
    for await (const part of listConntrack(io, 4)) {
      expect(part.length).toBeGreaterThan(0);
      break;
    }
    expect(readFileSync("/proc/net/netlink", "utf8").split("\n")).toHaveLength(before);
  });

  it("needs CAP_NET_ADMIN", () => {
    expect(withoutRight("io.readConntrackDump(io.openConntrackDump(4).fd, null)")).toBe("EPERM IPCTNL_MSG_CT_GET");
  });
});

describe("deleteConntrack", () => {
  it.each([
    ["UDP", 4, udpFrom(client4(2), 1_234, OWN4)],
    ["UDP over IPv6", 6, udpFrom(own6(2), 1_234, own6(1))],
    ["TCP", 4, syn(client4(2), OWN4)],
    ["ICMP", 4, echo(client4(2), OWN4, 77)],
    ["ICMPv6", 6, echo(own6(2), own6(1), 77)],
  ] as const)("ends one flow of %s, and no other that has its tuple now", async (_, family, first) => {
    // Another one that must stay.
    bed.arrive([first, udpFrom(client4(3), 999, OWN4), udpFrom(own6(3), 999, own6(1))]);
    const found = (await list(family)).find(({ original }) => original.sourcePort !== 999);
    if (found === undefined) throw new Error("no entry");
    expect(io.deleteConntrack({ ...found, id: (found.id + 1) >>> 0 })).toBe(false);
    expect(await list(family)).toHaveLength(2);
    expect(io.deleteConntrack(found)).toBe(true);
    expect(io.deleteConntrack(found)).toBe(false);
    expect(ports(await list(family))).toEqual([999]);
  });

  it("tells zones apart", async () => {
    bed.rules("chain raw { type filter hook prerouting priority raw; udp sport 7 ct zone set 7; }\nchain in { type filter hook input priority 0; ct state invalid drop; }");
    bed.arrive([udpFrom(client4(2), 7, OWN4)]);
    const [entry] = await list(4);
    if (entry === undefined) throw new Error("no entry");
    expect(entry.zone).toBe(7);
    expect(io.deleteConntrack({ ...entry, zone: 0 })).toBe(false);
    expect(io.deleteConntrack(entry)).toBe(true);
  });

  it("refuses tuples that are none, which would mean everything", async () => {
    bed.arrive([udpFrom(client4(2), 1_234, OWN4)]);
    const [entry] = await list(4);
    if (entry === undefined) throw new Error("no entry");
    expect(() => io.deleteConntrack({ ...entry, original: { ...entry.original, source: own6(1) } })).toThrow(TypeError);
    expect(() => io.deleteConntrack({ ...entry, original: { ...entry.original, source: new Uint8Array(0) } })).toThrow(TypeError);
    expect(await list(4)).toHaveLength(1);
  });

  it("needs CAP_NET_ADMIN", () => {
    const entry = "{ protocol: 17, id: 1, zone: 0, original: { source: new Uint8Array(4), destination: new Uint8Array(4), sourcePort: 1, destinationPort: 1, icmpType: 0, icmpCode: 0, icmpId: 0 } }";
    expect(withoutRight(`io.deleteConntrack(${entry})`)).toBe("EPERM IPCTNL_MSG_CT_DELETE");
  });
});

describe("endConntrackOf", () => {
  it.each([
    ["IPv4", 4, client4(2), client4(3), OWN4],
    ["IPv6", 6, own6(2), own6(3), own6(1)],
  ] as const)("ends the flows of one client, and not another's (%s)", async (_, family, mine, others, own) => {
    bed.arrive([1, 2, 3].map((port) => udpFrom(mine, port, own)));
    bed.arrive([4, 5].map((port) => udpFrom(others, port, own)));
    expect(ports(await list(family, mine))).toEqual([1, 2, 3]);
    expect(await endConntrackOf(io, mine)).toBe(3);
    expect(ports(await list(family))).toEqual([4, 5]);
    expect(await endConntrackOf(io, mine)).toBe(0);
  });

  it("finds who answers a translated flow, and whom it answers", async () => {
    bed.rules(`
      chain pre { type nat hook prerouting priority dstnat; ip daddr 10.5.0.7 dnat ip to 10.99.4.8; }
      chain post { type nat hook postrouting priority srcnat; ip saddr 10.99.4.2 snat ip to 10.99.4.1; }`);
    const was = readFileSync(FORWARD, "utf8");
    writeFileSync(FORWARD, "1");
    try {
      const flow = async (): Promise<readonly ConntrackEntry[]> => {
        bed.arrive([udpFrom(client4(2), 1_234, Uint8Array.of(10, 5, 0, 7))]);
        return list(4);
      };
      expect(await flow()).toMatchObject([{ original: { source: client4(2), destination: Uint8Array.of(10, 5, 0, 7) }, reply: { source: client4(8), destination: OWN4 }, status: expect.any(Number) }]);
      expect(await endConntrackOf(io, Uint8Array.of(10, 5, 0, 7))).toBe(0);
      expect(await endConntrackOf(io, client4(8))).toBe(1);
      expect(await flow()).toHaveLength(1);
      expect(await endConntrackOf(io, OWN4)).toBe(1);
      expect(await flow()).toHaveLength(1);
      expect(await endConntrackOf(io, client4(2))).toBe(1);
    } finally {
      writeFileSync(FORWARD, was);
    }
  });

  it("goes through thousands in parts, with turns of the event loop between", async () => {
    bed.arrive(many(client4(2), 10_000));
    bed.arrive(many(client4(3), 10_000));
    expect(conntrackUse()?.count).toBe(20_000);
    const sizes: number[] = [];
    for await (const part of listConntrack(io, 4)) sizes.push(part.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...sizes)).toBeLessThan(512);
    let turnsTaken = 0;
    let isOver = false;
    const turn = (): void => {
      turnsTaken += 1;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    expect(await endConntrackOf(io, client4(2))).toBe(10_000);
    isOver = true;
    expect(turnsTaken).toBeGreaterThanOrEqual(20_000 / 512);
    expect(await list(4, client4(2))).toEqual([]);
    expect(conntrackUse()?.count).toBe(10_000);
  });
});

describe("conntrackUse", () => {
  it("says what /proc says", () => {
    bed.arrive([udpFrom(client4(2), 1, OWN4)]);
    expect(conntrackUse()).toEqual({ count: 1, max: Number(readFileSync("/proc/sys/net/netfilter/nf_conntrack_max", "utf8")) });
  });
});
