/**
 * The kernel as judge of packets between IPv4 and IPv6 (docs/datapath.md, "Translation"): programs that speak one family reach a server that has only the other.
 *
 *     this process ── i3pa (TUN) ── engine ── UDP over loopback ── engine ── i3pb (TUN) ── gateway: a router ── veth, MTU 1,300 ── server: TCP and UDP echo
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { OFFLOAD_NAMES } from "@i3/common";
import type { RunningNativeEngine } from "@i3/datapath";
import { loadNativeIo } from "@i3/datapath/native-io";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ip, requireOwnNamespace } from "../io/namespace.js";
import { bytes, data, ip4 } from "../reference/packets.js";
import { loopback, openPort, type EndOptions } from "./joined-engines.js";

const io = loadNativeIo();
const [GATEWAY, SERVER] = ["i3gw", "i3srv"];
const PORT = 7_000;
const MTU = 1_360;
/** Of the link to the server: less than what the client may send, so that the gateway's system has to say so. */
const LINK_MTU = 1_300;
const SPI = { toGateway: 0x3000_0001, toClient: 0x3000_0002 } as const;
const PREFIX = { 4: 24, 6: 64 } as const;
const WHOLE = { 4: 32, 6: 128 } as const;
const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
const otherOf = (family: Family): Family => (family === 4 ? 6 : 4);
const ip6Of = (net: number, last: number): Uint8Array => bytes(0xfd, net, ...new Uint8Array(13), last);

/** As they are written, and their bytes. `named`: what the client sends to; `server`: what that is, of the other family. */
const CLIENT = { 4: ["10.98.0.1", ip4("10.98.0.1")], 6: ["fd98::1", ip6Of(0x98, 1)] } as const;
const ROUTER = { 4: ["10.98.0.2", ip4("10.98.0.2")], 6: ["fd98::2", ip6Of(0x98, 2)] } as const;
const NAMED = { 4: ["10.98.0.77", ip4("10.98.0.77")], 6: ["fd98::4d", ip6Of(0x98, 0x4d)] } as const;
const LINK = { 4: ["10.77.0.1", "10.77.0.7", ip4("10.77.0.7")], 6: ["fd77::1", "fd77::7", ip6Of(0x77, 7)] } as const;

const inside = (namespace: string, ...args: readonly string[]): void => void ip("-n", namespace, ...args);
const set = (namespace: string, key: string, value: string): void => void execFileSync("ip", ["netns", "exec", namespace, "sh", "-c", 'echo "$1" > "/proc/sys/$2"', "sh", value, key]);

const ECHO = `
const [address, family] = process.argv.slice(1);
const udp = require("node:dgram").createSocket("udp" + family);
udp.on("message", (message, { port, address: to }) => udp.send(message, port, to));
udp.bind(${PORT}, address, () => require("node:net").createServer({ allowHalfOpen: true }, (socket) => socket.on("error", () => undefined).pipe(socket)).listen(${PORT}, address, () => console.log("ready")));
`;

interface Bed {
  readonly near: RunningNativeEngine;
  readonly far: RunningNativeEngine;
  close(): void;
}

async function openBed(family: Family, options: EndOptions): Promise<Bed> {
  const served = otherOf(family);
  const [near, far] = [openPort("i3pa", options), openPort("i3pb", options)];
  for (const namespace of [GATEWAY, SERVER]) {
    ip("netns", "add", namespace);
    inside(namespace, "link", "set", "lo", "up");
  }
  ip("link", "set", "i3pb", "netns", GATEWAY);
  inside(GATEWAY, "link", "add", "i3link", "mtu", `${LINK_MTU}`, "type", "veth", "peer", "name", "i3end", "mtu", `${LINK_MTU}`, "netns", SERVER);
  for (const which of FAMILIES) {
    const nodad = which === 6 ? ["nodad"] : [];
    io.addAddress({ index: near.tun?.index ?? 0, address: CLIENT[which][1], prefixBits: PREFIX[which] });
    inside(GATEWAY, "address", "add", `${ROUTER[which][0]}/${PREFIX[which]}`, "dev", "i3pb", ...nodad);
  }
  const nodad = served === 6 ? ["nodad"] : [];
  // The server has one family, as the link to it.
  if (served === 4) set(SERVER, "net/ipv6/conf/all/disable_ipv6", "1");
  inside(GATEWAY, "address", "add", `${LINK[served][0]}/${PREFIX[served]}`, "dev", "i3link", ...nodad);
  inside(SERVER, "address", "add", `${LINK[served][1]}/${PREFIX[served]}`, "dev", "i3end", ...nodad);
  for (const [namespace, device] of [[GATEWAY, "i3pb"], [GATEWAY, "i3link"], [SERVER, "i3end"]] as const) inside(namespace, "link", "set", device, "up");
  inside(SERVER, `-${served}`, "route", "add", "default", "via", LINK[served][0]);
  set(GATEWAY, "net/ipv4/ip_forward", "1");
  set(GATEWAY, "net/ipv6/conf/all/forwarding", "1");
  direct(near, far, family);
  const server: ChildProcess = spawn("ip", ["netns", "exec", SERVER, process.execPath, "-e", ECHO, LINK[served][1], `${served}`], { stdio: ["ignore", "pipe", "inherit"] });
  if (server.stdout !== null) await once(server.stdout, "data");
  const close = (): void => {
    server.kill();
    near.close();
    far.close();
    for (const namespace of [GATEWAY, SERVER]) ip("netns", "delete", namespace);
  };
  return { near, far, close };
}

/** ESP straight between the two; behind the gateway is what the client calls the server. */
function direct(near: RunningNativeEngine, far: RunningNativeEngine, family: Family): void {
  const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });
  const protection = { transform: { kind: "aes-gcm-16", key: new Uint8Array(16).fill(7), salt: Uint8Array.of(1, 2, 3, 4) }, beet: null, checksumState: true } as const;
  for (const [engine, peer, own, other, out, inbound] of [[near, far, CLIENT, ROUTER, SPI.toGateway, SPI.toClient], [far, near, ROUTER, CLIENT, SPI.toClient, SPI.toGateway]] as const) {
    engine.setOutboundAssociation(1, { ...protection, spi: out });
    engine.setInboundAssociation(inbound, { ...protection, flow: other[4][1], source4: same(other[4][1]), destination4: same(own[4][1]), source6: same(other[6][1]), destination6: same(own[6][1]) });
    for (const which of FAMILIES) engine.setFlow(other[which][1], { action: "esp", association: 1, header: null, locator: loopback(peer.udp.port), source: own[which][1], mtu: MTU });
  }
  near.setBehind(NAMED[family][1], WHOLE[family], ROUTER[family][1]);
  for (const which of FAMILIES) far.setForwarding(CLIENT[which][1], true, CLIENT[otherOf(which)][1]);
  far.setTranslation(CLIENT[family][1], NAMED[family][1], LINK[otherOf(family)][2]);
}

const hashOf = (parts: readonly Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
const ping = (address: string, ...more: readonly string[]): { readonly status: number | null; readonly text: string } => {
  const { status, stdout } = spawnSync("ping", ["-n", "-c", "2", "-i", "0.2", "-W", "5", ...more, address], { encoding: "utf8" });
  return { status, text: stdout };
};

beforeAll(() => requireOwnNamespace(io));

describe.each(FAMILIES)("programs of IPv%i", (family) => {
  describe.each<readonly [string, EndOptions]>([["all offloads", {}], ["no offloads", { without: OFFLOAD_NAMES }]])("with %s", (_, options) => {
    const address = NAMED[family][0];
    let bed: Bed;
    beforeAll(async () => {
      bed = await openBed(family, options);
    }, 60_000);
    afterAll(() => bed.close());

    it("ping the server, and hear of the last hop", () => {
      expect(ping(address)).toMatchObject({ status: 0 });
      expect(ping(address, "-s", "1000")).toMatchObject({ status: 0 });
      // Of the engine, and of the gateway's system, which has no address of that family for it.
      const exceeded = expect.stringMatching(new RegExp(`From ${address.replaceAll(".", "\\.")}.*(Time to live exceeded|Hop limit)`)) as string;
      for (const hops of ["1", "2"]) expect(ping(address, "-t", hops), `${hops} hops`).toMatchObject({ status: 1, text: exceeded });
      expect(ping(address, "-t", "3")).toMatchObject({ status: 0 });
    }, 60_000);

    it("send and receive four megabytes by TCP, whole", async () => {
      const sent = Array.from({ length: 64 }, (_each, i) => data(65_536, i));
      const received: Buffer[] = [];
      const socket = connect({ host: address, port: PORT });
      socket.on("data", (chunk: Buffer) => received.push(chunk));
      await once(socket, "connect");
      for (const part of sent) socket.write(part);
      socket.end();
      await once(socket, "close");
      expect(Buffer.concat(received)).toHaveLength(4 * 1024 * 1024);
      expect(hashOf(received)).toBe(hashOf(sent));
      const { tunOut, drops } = bed.far.counters();
      expect(drops).toMatchObject({ translation: 0, "inner-address": 0, "inner-malformed": 0, integrity: 0 });
      const { tunWrites } = bed.far.systemCalls();
      if (options.without === undefined) expect(tunWrites).toBeLessThan(tunOut);
      else expect(tunWrites).toBe(tunOut);
    }, 120_000);

    it("exchange datagrams, also those of which only pieces pass, and learn how much does", async () => {
      const socket = createSocket(`udp${family}`);
      const received: Buffer[] = [];
      socket.on("message", (message) => received.push(message));
      for (const length of [0, 1, 1_000, 1_300, 2_000, 5_000]) {
        const sent = data(length, length);
        // The first ones may be what the gateway's system refuses.
        const isBack = async (): Promise<boolean> => {
          socket.send(sent, PORT, address);
          await expect.poll(() => received.some((message) => message.equals(sent)), { timeout: 500 }).toBe(true).catch(() => undefined);
          return received.some((message) => message.equals(sent));
        };
        await expect.poll(isBack, { timeout: 20_000 }).toBe(true);
      }
      socket.close();
      const route = ip(`-${family}`, "route", "get", address);
      expect(route).toContain(`mtu ${family === 4 ? LINK_MTU - 20 : LINK_MTU + 20}`);
    }, 120_000);
  });
});
