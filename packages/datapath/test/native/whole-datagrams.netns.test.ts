/**
 * Which datagrams IP may cut (docs/datapath.md, "Ways"), on a link of 1,400 bytes:
 *
 *     engine ── UDP ──► i3a (TUN, mtu 1400) 10.99.1.1, fd99:1::1
 */
import { makeLocator } from "@i3/common";
import { loadNativeIo } from "@i3/datapath/native-io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Datagram, Upcall } from "../../src/datapath.js";
import { NativeEngine, type RunningNativeEngine } from "../../src/native-engine.js";
import { makePacketBatch } from "../../src/reference/step.js";
import { until } from "../io/batches.js";
import { ip, requireOwnNamespace } from "../io/namespace.js";
import { espFlow, outbound } from "../reference/associations.js";
import { bytes, concat, data, ip4, packet, udp } from "../reference/packets.js";

const io = loadNativeIo();
const MTU = 1_400;
const SLOT_BYTES = 2_048;
const TO = { 4: makeLocator(ip4("203.0.113.7"), 4_000), 6: makeLocator(concat(bytes(0x20, 0x01, 0x0d, 0xb8), new Uint8Array(11), bytes(7)), 4_000) } as const;
const HEADERS = { 4: 28, 6: 48 } as const;

let fd: number | undefined;
let engine: RunningNativeEngine | undefined;
let upcalls: Upcall[] = [];

beforeEach(() => {
  requireOwnNamespace(io);
  upcalls = [];
  ({ fd } = io.openTun({ name: "i3a", kind: "tun" }));
  io.setLink({ index: io.interfaceIndex("i3a"), up: true, mtu: MTU });
  ip("address", "add", "10.99.1.1/24", "dev", "i3a");
  ip("address", "add", "fd99:1::1/64", "dev", "i3a", "nodad");
  ip("route", "add", "default", "dev", "i3a");
  ip("-6", "route", "add", "default", "dev", "i3a");
});
afterEach(() => {
  engine?.close();
  if (fd !== undefined) io.closeFd(fd);
  engine = fd = undefined;
});

/** Length, and whether it may be cut on the way (IPv6: never) or is a piece. */
type Packet = readonly [bytes: number, what: "whole" | "open" | "piece"];

function* left(): Generator<Packet> {
  const batch = makePacketBatch(64, SLOT_BYTES);
  while ((batch.count = io.readBatch(fd!, batch.arena, SLOT_BYTES, batch.lengths)) > 0) {
    for (let i = 0; i < batch.count; i++) {
      const sent = Buffer.from(batch.arena.subarray(i * SLOT_BYTES, i * SLOT_BYTES + (batch.lengths[i] ?? 0)));
      if ((sent[0] ?? 0) >> 4 === 4) {
        const field = sent.readUInt16BE(6);
        if (sent[9] === 17) yield [sent.length, (field & 0x3fff) !== 0 ? "piece" : (field & 0x4000) === 0 ? "open" : "whole"];
      } else if (sent[6] === 17 || sent[6] === 44) yield [sent.length, sent[6] === 44 ? "piece" : "whole"];
    }
  }
}

async function leaving(count: number): Promise<readonly Packet[]> {
  const seen: Packet[] = [];
  await until(() => {
    seen.push(...left());
    return seen.length >= count;
  }, `${count} packets`);
  return seen;
}

function open(): RunningNativeEngine {
  engine = NativeEngine.open({
    udp: { address: "::", port: 0, mark: 0 }, clock: { nowMs: () => performance.now() }, onUpcalls: (batch) => void upcalls.push(...batch), onFailure: (error) => expect.unreachable(error.message),
  });
  return engine;
}

describe.each([4, 6] as const)("over IPv%i", (family) => {
  // Routers may cut what has no DF; of IPv6 they never do.
  const OPEN = family === 4 ? "open" : "whole";
  const to = (outerBytes: number, isWhole: boolean): Datagram => ({ locator: { ...TO[family], ...(isWhole && { isWhole }) }, bytes: concat(bytes(0x19, 18), data(outerBytes - HEADERS[family] - 2)) });

  it.each<readonly [boolean, Packet]>([[false, [MTU, OPEN]], [true, [MTU, "whole"]]])("what fits, whole %s", async (isWhole, expected) => {
    open().send([to(MTU, isWhole)]);
    expect(await leaving(1)).toEqual([expected]);
  });

  it("what does not fit is cut", async () => {
    open().send([to(MTU + 1, false)]);
    expect((await leaving(2)).map(([, what]) => what)).toEqual(["piece", "piece"]);
  });

  it("refuses to cut what is to stay whole, and tells of it when it was a flow's", async () => {
    const running = open();
    running.send([to(MTU + 1, true)]);
    await until(() => running.counters().drops["io-error"] === 1, "it is counted");
    expect(upcalls).toEqual([]);
    const locator = { ...TO[family], isWhole: true };
    const [inside, peer] = [ip4("10.0.0.1"), ip4("10.0.0.2")];
    running.setOutboundAssociation(1, outbound());
    running.setFlow(peer, espFlow({ locator, source: inside }));
    running.submit([packet(inside, peer, 17, udp(data(MTU)))]);
    await until(() => upcalls.length > 0, "it is told");
    expect(upcalls).toEqual([{ kind: "send-failed", locator, reason: "too-big" }]);
    expect([...left()]).toEqual([]);
  });

  it("does not heed what ICMP says of the path of whole ones", async () => {
    const running = open();
    ip(...(family === 6 ? ["-6"] : []), "route", "replace", "default", "dev", "i3a", "mtu", "1300");
    running.send([to(MTU, true), to(1_301, false)]);
    expect((await leaving(3)).map(([, what]) => what)).toEqual(["whole", "piece", "piece"]);
  });

  it("each as it wants, in one batch and in order; short ones as it comes", async () => {
    open().send([to(MTU, true), to(200, false), to(MTU, true), to(MTU, false), to(200, true), to(MTU, true)]);
    expect(await leaving(6)).toEqual([[MTU, "whole"], [200, "whole"], [MTU, "whole"], [MTU, OPEN], [200, OPEN], [MTU, "whole"]]);
  });
});
