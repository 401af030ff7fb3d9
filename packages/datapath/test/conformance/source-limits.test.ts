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

describe("route-miss", () => {
  const key = (n: number): Uint8Array => concat(bytes(0xee), be16(n), new Uint8Array(13));
  const missing = (n: number, address = ATTACKER): RawDatagram => from(address, dataPacket({ ids: [concat(key(n), new Uint8Array(16))] }));
  /** So that the shares of keys and bytes are free again. */
  const discard = (first: number, count: number): void => {
    for (let n = first; n < first + count; n++) pair.change("discardRoute", (engine) => engine.discardRoute(key(n)));
  };

  it("a source opens no more keys a second than it may make upcalls, however fast they are answered", () => {
    for (let n = 0; n < PER_SECOND; n += 500) {
      expect(send(many(500, (i) => missing(n + i)))).toEqual({ out: 0, upcalls: 500, drops: {} });
      discard(n, 500);
    }
    expect(send([missing(60_000), missing(60_000, OTHER), missing(60_000)])).toEqual({ out: 0, upcalls: 1, drops: { rate: 1 } });
    expect(send(many(3, (i) => missing(50_000 + i)), 1)).toEqual({ out: 0, upcalls: 2, drops: { rate: 1 } });
  });

  it("a key that waits costs nothing more, and one that finds no room nothing", () => {
    expect(send(many(512, (i) => missing(i)))).toMatchObject({ upcalls: 512, drops: {} });
    expect(send(many(3_000, (i) => missing(1_000 + i)))).toMatchObject({ upcalls: 0, drops: { "queue-full": 3_000 } });
    expect(send(many(3_000, () => missing(1)))).toMatchObject({ upcalls: 0, drops: { "queue-full": 3_000 - 31 } });
    discard(0, 512);
    expect(send([missing(9_000)])).toMatchObject({ upcalls: 1, drops: {} });
  });

  it("it is the budget of payloads, not that of control", () => {
    for (let n = 0; n < PER_SECOND; n += 500) {
      send(many(500, (i) => missing(n + i)));
      discard(n, 500);
    }
    expect(send([from(ATTACKER, bytes(0x19, 1))])).toMatchObject({ upcalls: 1, drops: {} });
  });
});
