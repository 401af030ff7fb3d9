/** RFC 6040 §4.2, figure 4, and the traffic class on its way through hosts and servers. */
import { describe, expect, it } from "vitest";
import { CBC, OWN, OWN6, PEER, PEER6, REMOTE, makeReceiver, makeSender } from "./associations.js";
import { Harness, dataPacket, locator } from "./harness.js";
import { data, fullChecksum, ip4Packet, ip6Packet, makeId, sealTransport, udp } from "./packets.js";

const ID = makeId(5, 1);
const DSCP = 0xb8;
const make4 = (trafficClass: number): Uint8Array => ip4Packet({ source: OWN, destination: PEER, protocol: 17, trafficClass }, sealTransport(OWN, PEER, 17, udp(data(5))));
const make6 = (trafficClass: number): Uint8Array => ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 17, trafficClass }, sealTransport(OWN6, PEER6, 17, udp(data(5))));

/** Inner, outer, result; null is dropped. 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE. */
const ROWS: readonly (readonly [number, number, number | null])[] = [
  [0, 0, 0], [0, 1, 0], [0, 2, 0], [0, 3, null],
  [1, 0, 1], [1, 1, 1], [1, 2, 1], [1, 3, 3],
  [2, 0, 2], [2, 1, 1], [2, 2, 2], [2, 3, 3],
  [3, 0, 3], [3, 1, 3], [3, 2, 3], [3, 3, 3],
];

describe.each([["IPv4", make4], ["IPv6", make6]] as const)("%s", (_, make) => {
  const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });

  it.each(ROWS)("inner %i, outer %i: %s, plain and in tunnel mode", (inner, outer, result) => {
    const plain = new Harness();
    plain.engine.setInbound(ID, { action: "tun", flow: PEER, source4: same(OWN), destination4: same(PEER), source6: same(OWN6), destination6: same(PEER6) });
    const sealed = makeSender({ beet: null, transform: CBC }).fromTun(make(DSCP | inner)).udp[0]?.bytes ?? data(0);
    for (const [harness, bytes] of [[plain, dataPacket({ ids: [ID] }, make(DSCP | inner))], [makeReceiver({ transform: CBC }), sealed]] as const) {
      const { tun, drops } = harness.step([], [{ from: REMOTE, bytes, trafficClass: 0x44 | outer }]);
      expect(tun).toEqual(result === null ? [] : [make(DSCP | result)]);
      expect(drops).toEqual(result === null ? { ecn: 1 } : {});
      for (const arrived of tun) if ((arrived[0] ?? 0) >> 4 === 4) expect(fullChecksum(arrived.subarray(0, 20))).toBe(0);
    }
  });

  it("the outer class of what is sent is the inner one, of a tunnel too", () => {
    const sender = makeSender();
    sender.engine.setDefaultServer(REMOTE);
    for (const [address, source] of [[PEER, OWN], [PEER6, OWN6]] as const) sender.engine.setFlow(address, { action: "tunnel", header: dataPacket({}), source });
    for (const trafficClass of [0, 1, 0x2e, 0xff]) {
      sender.fromTun(make(trafficClass));
      expect(sender.udpClasses).toEqual([trafficClass]);
    }
  });

  it("a drop for ECN does not mark the flow; deliver has outer class 0", () => {
    const receiver = makeReceiver();
    receiver.engine.setInbound(ID, { action: "tun", flow: OWN, source4: same(OWN), destination4: same(PEER), source6: same(OWN6), destination6: same(PEER6) });
    receiver.step([], [{ from: REMOTE, bytes: dataPacket({ ids: [ID] }, make(0)), trafficClass: 3 }]);
    expect(receiver.engine.lastUse(OWN)).toBeUndefined();
    receiver.engine.deliver(ID, [make(0), make(2)]);
    expect(receiver.step().tun).toEqual([make(0), make(2)]);
  });
});

describe("servers", () => {
  const packet = dataPacket({ ids: [ID] }, data(9));
  const server = (): Harness => {
    const harness = new Harness();
    harness.engine.setResponsibility({ kind: "all" });
    return harness;
  };

  it("send every copy on with the class that came", () => {
    const harness = server();
    harness.engine.setTriggers(ID.subarray(0, 16), ["192.0.2.1", "192.0.2.2"].map((text) => ({ id: ID, target: { kind: "locator", locator: locator(text) } })));
    expect(harness.step([], [{ from: REMOTE, bytes: packet, trafficClass: 0x2f }, { from: REMOTE, bytes: packet }]).udp).toHaveLength(4);
    expect(harness.udpClasses).toEqual([0x2f, 0x2f, 0, 0]);
  });

  it("also what waited for a route; what the control plane sends has 0", () => {
    const harness = server();
    harness.engine.setResponsibility({ kind: "range", from: new Uint8Array(16), to: new Uint8Array(16).fill(1) });
    harness.step([], [{ from: REMOTE, bytes: packet, trafficClass: 0x2f }, { from: REMOTE, bytes: packet, trafficClass: 0x01 }]);
    harness.engine.setNextServer(ID.subarray(0, 16), locator("192.0.2.3"));
    harness.engine.send([{ locator: REMOTE, bytes: data(4) }]);
    harness.step();
    expect(harness.udpClasses).toEqual([0x2f, 0x01, 0]);
  });
});
