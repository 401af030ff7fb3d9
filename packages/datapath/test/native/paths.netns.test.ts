/**
 * Datagrams leave by the address and the interface that they name:
 *
 *                    ┌─► i3a (TUN) 10.99.1.1, fd99:1::1   default route, metric 10
 *     engine ── UDP ─┤
 *                    └─► i3b (TUN) 10.99.2.1, fd99:2::1   default route, metric 100; for IPv6 a rule, too
 *
 * For IPv6 Linux takes an interface as binding only when no address comes with it (ip6_route_output_flags), so the rule says it again.
 */
import { makeLocator, type ViaLocator } from "@i3/common";
import { loadNativeIo } from "@i3/datapath/native-io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Upcall } from "../../src/datapath.js";
import { NativeEngine, type RunningNativeEngine } from "../../src/native-engine.js";
import { makePacketBatch } from "../../src/reference/step.js";
import { until } from "../io/batches.js";
import { ip, requireOwnNamespace } from "../io/namespace.js";
import { espFlow, outbound } from "../reference/associations.js";
import { bytes, concat, data, ip4, packet, udp } from "../reference/packets.js";

const io = loadNativeIo();
const PORT = 4_000;
const SLOT_BYTES = 2_048;
const DESTINATION = { 4: ip4("203.0.113.7"), 6: concat(bytes(0x20, 0x01, 0x0d, 0xb8), new Uint8Array(11), bytes(7)) } as const;
const own6 = (net: number): Uint8Array => concat(bytes(0xfd, 0x99, 0, net), new Uint8Array(11), bytes(1));
const own = (family: 4 | 6, net: number): Uint8Array => (family === 4 ? bytes(10, 99, net, 1) : own6(net));

interface Link {
  readonly fd: number;
  readonly index: number;
}
let first: Link | undefined;
let second: Link | undefined;
let engine: RunningNativeEngine | undefined;
let upcalls: Upcall[] = [];

function makeLink(name: string, net: number, metric: number): Link {
  const { fd } = io.openTun({ name, kind: "tun" });
  const index = io.interfaceIndex(name);
  io.setLink({ index, up: true, mtu: 1_360 });
  ip("address", "add", `10.99.${net}.1/24`, "dev", name);
  ip("address", "add", `fd99:${net}::1/64`, "dev", name, "nodad");
  ip("route", "add", "default", "dev", name, "metric", `${metric}`);
  ip("-6", "route", "add", "default", "dev", name, "metric", `${metric}`);
  ip("-6", "route", "add", "default", "dev", name, "table", `${net}`);
  ip("-6", "rule", "add", "oif", name, "lookup", `${net}`);
  return { fd, index };
}

/** For a message that can be read. */
const textOf = (source: Uint8Array, payload: Uint8Array): string => `${Buffer.from(source).toString("hex")}: ${payload.length} bytes, ${Buffer.from(payload.subarray(0, 4)).toString("hex")}`;

/** The engine's datagrams that left by it. */
function left({ fd }: Link): readonly string[] {
  const batch = makePacketBatch(64, SLOT_BYTES);
  const seen: string[] = [];
  while ((batch.count = io.readBatch(fd, batch.arena, SLOT_BYTES, batch.lengths)) > 0) {
    for (let i = 0; i < batch.count; i++) {
      const packet = Buffer.from(batch.arena.subarray(i * SLOT_BYTES, i * SLOT_BYTES + (batch.lengths[i] ?? 0)));
      const is4 = (packet[0] ?? 0) >> 4 === 4;
      const [sourceAt, udpAt] = is4 ? [12, 20] : [8, 40];
      // What the kernel says by itself has other ports and protocols.
      if (packet[is4 ? 9 : 6] !== 17 || packet.readUInt16BE(udpAt + 2) !== PORT) continue;
      seen.push(textOf(packet.subarray(sourceAt, sourceAt + (is4 ? 4 : 16)), packet.subarray(udpAt + 8)));
    }
  }
  return seen;
}

function open(address: string): RunningNativeEngine {
  engine = NativeEngine.open({
    udp: { address, port: 0, mark: 0 }, clock: { nowMs: () => performance.now() }, onUpcalls: (batch) => void upcalls.push(...batch), onFailure: (error) => expect.unreachable(error.message),
  });
  return engine;
}

/** What leaves by the first and by the second, when so many are there. */
async function leaving(count: number): Promise<readonly [readonly string[], readonly string[]]> {
  const seen: [string[], string[]] = [[], []];
  await until(() => {
    seen[0].push(...left(first!));
    seen[1].push(...left(second!));
    return seen[0].length + seen[1].length >= count;
  }, `${count} datagrams`);
  return seen;
}

beforeEach(() => {
  requireOwnNamespace(io);
  upcalls = [];
  first = makeLink("i3a", 1, 10);
  second = makeLink("i3b", 2, 100);
});
afterEach(() => {
  engine?.close();
  engine = undefined;
  for (const name of ["i3a", "i3b"]) ip("-6", "rule", "delete", "oif", name);
  for (const link of [first, second]) if (link !== undefined) io.closeFd(link.fd);
  first = second = undefined;
});

/** Equal in length, so that they leave as one train. */
const train = Array.from({ length: 10 }, (_, i) => concat(bytes(0x19, i), data(1_000)));

describe.each([["::", 4], ["::", 6], ["0.0.0.0", 4]] as const)("a socket at %s, to IPv%i", (address, family) => {
  const to = makeLocator(DESTINATION[family], PORT);
  const sendTo = async (locator: ViaLocator, datagrams = train): Promise<readonly [readonly string[], readonly string[]]> => {
    open(address).send(datagrams.map((datagram) => ({ locator, bytes: datagram })));
    return leaving(datagrams.length);
  };
  const from = (net: number, datagrams = train): readonly string[] => datagrams.map((datagram) => textOf(own(family, net), datagram));

  it("goes by the routes when nothing is said", async () => {
    expect(await sendTo(to)).toEqual([from(1), []]);
  });

  it("goes by the second, with its address, as a train and alone", async () => {
    const place = { local: own(family, 2), interfaceIndex: second!.index };
    expect(await sendTo({ ...to, ...place })).toEqual([[], from(2)]);
    expect(engine?.systemCalls().udpSends).toBe(1);
    engine?.send([{ locator: { ...to, ...place }, bytes: bytes(0x19, 99) }]);
    expect(await leaving(1)).toEqual([[], from(2, [bytes(0x19, 99)])]);
  });

  it("goes by the second with the address that the system chooses for it", async () => {
    expect(await sendTo({ ...to, interfaceIndex: second!.index })).toEqual([[], from(2)]);
  });

  it("goes by the uplink when nothing is said, as a train and alone, and by the routes again", async () => {
    const running = open(address);
    running.setUplink(second!.index);
    const send = (datagrams: readonly Uint8Array[]): void => running.send(datagrams.map((datagram) => ({ locator: to, bytes: datagram })));
    send(train);
    expect(await leaving(train.length)).toEqual([[], from(2)]);
    expect(running.systemCalls().udpSends).toBe(1);
    send([bytes(0x19, 99)]);
    expect(await leaving(1)).toEqual([[], from(2, [bytes(0x19, 99)])]);
    running.setUplink(0);
    send([bytes(0x19, 98)]);
    expect(await leaving(1)).toEqual([from(1, [bytes(0x19, 98)]), []]);
  });

  it("goes with the address of the second, by the routes", async () => {
    expect(await sendTo({ ...to, local: own(family, 2) })).toEqual([from(2), []]);
  });

  it("goes by two places in turn, each train by its own", async () => {
    const place = (net: number, link: Link): ViaLocator => ({ ...to, local: own(family, net), interfaceIndex: link.index });
    open(address).send([...train.map((datagram) => ({ locator: place(2, second!), bytes: datagram })), ...train.map((datagram) => ({ locator: place(1, first!), bytes: datagram }))]);
    expect(await leaving(20)).toEqual([from(1), from(2)]);
  });

  it("tells when the address of a flow's place is gone, once, and what is sent by the other goes on", async () => {
    const running = open(address);
    const [inside, peer] = [ip4("10.0.0.1"), ip4("10.0.0.2")];
    const straight = (net: number, link: Link): ViaLocator => ({ ...to, local: own(family, net), interfaceIndex: link.index });
    const send = (locator: ViaLocator): void => {
      running.setFlow(peer, espFlow({ locator, source: inside }));
      running.submit(Array.from({ length: 5 }, () => packet(inside, peer, 17, udp(data(100)))));
    };
    running.setOutboundAssociation(1, outbound());
    send(straight(2, second!));
    await leaving(5);
    expect(upcalls).toEqual([]);
    ip(...(family === 6 ? ["-6"] : []), "address", "delete", family === 4 ? "10.99.2.1/24" : "fd99:2::1/64", "dev", "i3b");
    send(straight(2, second!));
    await until(() => running.counters().drops["io-error"] === 5, "all five are counted");
    await until(() => upcalls.length > 0, "it is told");
    send(straight(1, first!));
    expect((await leaving(5))[0]).toHaveLength(5);
    expect(upcalls).toEqual([{ kind: "send-failed", locator: straight(2, second!), reason: "unreachable" }]);
  });

  it("is counted when there is no such interface or address", async () => {
    open(address).send([{ locator: { ...to, local: own(family, 2), interfaceIndex: 9_999 }, bytes: bytes(0x19) }, { locator: { ...to, local: own(family, 3) }, bytes: bytes(0x19) }]);
    await until(() => engine?.counters().drops["io-error"] === 2, "both are counted");
    expect([left(first!), left(second!)]).toEqual([[], []]);
  });
});
