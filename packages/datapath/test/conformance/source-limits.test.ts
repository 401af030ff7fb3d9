/** How much work one source may make, the same in both engines. */
import { makeLocator } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS, type Counters, type DropReason } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { dataPacket, risen } from "../reference/harness.js";
import { be16, bytes, concat, ip4 } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";

const ATTACKER = ip4("192.0.2.66");
const OTHER = ip4("192.0.2.67");
/** `site` is the /64, `host` an address in it. */
const ip6 = (site: number, host: number): Uint8Array => concat(bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, site), new Uint8Array(7), bytes(host));
const from = (address: Uint8Array, datagram: Uint8Array): RawDatagram => ({ bytes: datagram, segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(address, 4_000)), trafficClass: 0 });
const many = <T>(count: number, make: (i: number) => T): readonly T[] => Array.from({ length: count }, (_, i) => make(i));

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "range", from: new Uint8Array(16).fill(1), to: new Uint8Array(16).fill(2) }));
});
afterEach(() => pair.close());

interface Seen {
  readonly out: number;
  readonly upcalls: number;
  readonly drops: Partial<Record<DropReason, number>>;
}
function send(datagrams: readonly RawDatagram[], passedMs = 0): Seen {
  const before: Counters = pair.counters();
  pair.step(passedMs, [], datagrams, true);
  const after = pair.counters();
  return { out: after.udpOut - before.udpOut, upcalls: after.upcalls - before.upcalls, drops: risen(before.drops, after.drops) };
}

const PER_SECOND = LIMITS.upcallsPerSourcePerSecond;

describe("upcalls", () => {
  const control = (address: Uint8Array): RawDatagram => from(address, bytes(0x19, 1));

  it("the addresses of an IPv6 /64 are one source", () => {
    expect(send(many(PER_SECOND, (i) => control(ip6(1, i % 200))))).toMatchObject({ upcalls: PER_SECOND, drops: {} });
    expect(send([control(ip6(1, 250))])).toMatchObject({ upcalls: 0, drops: { rate: 1 } });
    expect(send([control(ip6(2, 1)), control(ATTACKER)])).toMatchObject({ upcalls: 2, drops: {} });
  });

  it("IPv4 addresses are sources of their own", () => {
    expect(send(many(PER_SECOND, () => control(ATTACKER)))).toMatchObject({ drops: {} });
    expect(send([control(ATTACKER), control(OTHER)])).toMatchObject({ upcalls: 1, drops: { rate: 1 } });
  });

  it("and what they pay for notices of missing triggers, too", () => {
    // Within (0x0101…, 0x0202…].
    const inRange = many(PER_SECOND + 100, (i) => from(ip6(1, i % 200), dataPacket({ ids: [concat(bytes(1, 0xff), be16(i), new Uint8Array(28))] })));
    expect(send(inRange)).toMatchObject({ upcalls: PER_SECOND, drops: { "no-trigger": PER_SECOND + 100 } });
  });
});
