/** A flow costs the control plane one upcall when it begins, and none from then on: whatever passes in either direction. */
import { describe, expect, it } from "vitest";
import { NativeEngine } from "../../src/native-engine.js";
import { encodeDataHeader } from "../../src/wire/data-header.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { locator } from "../reference/harness.js";
import { concat, ip4, makeId, packet, udp } from "../reference/packets.js";

const OWN = ip4("10.0.0.1");
const PEER = ip4("10.0.0.2");
const VNET_NONE = new Uint8Array(10);
const SERVER = encodeEndpoint(locator("192.0.2.1"));
const header = (id: Uint8Array): Uint8Array => encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: 1, nonce: new Uint8Array(8), ids: [id] });

describe("the native engine", () => {
  it("makes one upcall for a flow that is set up, keeps its packets in order, and makes none afterwards", () => {
    const engine = NativeEngine.stepped();
    try {
      const out = (i: number): Uint8Array => concat(VNET_NONE, packet(OWN, PEER, 17, udp(Uint8Array.of(i))));
      const back = concat(header(makeId(1)), packet(PEER, OWN, 17, udp(Uint8Array.of(1))));
      engine.setFlow(PEER, { action: "setup" });
      const first = engine.step(1_000, { tun: Array.from({ length: 100 }, (_, i) => out(i)) });
      expect(first.upcalls.map(({ kind }) => kind)).toEqual(["flow-setup"]);

      engine.setDefaultServer(locator("192.0.2.1"));
      engine.setFlow(PEER, { action: "tunnel", header: header(makeId(2)), source: OWN });
      engine.setInbound(makeId(1), {
        action: "tun", flow: PEER, source4: { from: PEER, to: PEER }, destination4: { from: OWN, to: OWN }, source6: null, destination6: null,
      });
      engine.release(PEER);
      const released = engine.step(1_001, {});
      const sent = released.udp.flatMap(({ bytes, segmentBytes }) => {
        const step = segmentBytes === 0 ? bytes.length : segmentBytes;
        return Array.from({ length: Math.ceil(bytes.length / step) }, (_, i) => bytes.subarray(i * step, (i + 1) * step));
      });
      expect(sent.map((datagram) => datagram.at(-1))).toEqual(Array.from({ length: 16 }, (_, i) => i));
      expect(engine.counters().drops["queue-full"]).toBe(84);

      for (let i = 0; i < 100; i++) {
        const tun = Array.from({ length: 50 }, (_, j) => out(j));
        const arrived = Array.from({ length: 50 }, () => ({ bytes: back, segmentBytes: 0, endpoint: SERVER, trafficClass: 0 }));
        expect(engine.step(1_002 + i, { tun, udp: arrived }).upcalls).toEqual([]);
      }
      const { upcalls, udpOut, tunOut } = engine.counters();
      expect({ upcalls, udpOut, tunOut }).toEqual({ upcalls: 1, udpOut: 16 + 5_000, tunOut: 5_000 });
    } finally {
      engine.close();
    }
  });
});
