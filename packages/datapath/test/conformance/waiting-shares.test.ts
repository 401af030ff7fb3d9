/** What one source may hold of the room for packets that wait for a next server: the same in both engines. */
import { makeLocator } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { MAX_WAITING_BYTES_PER_SOURCE, MAX_WAITING_ROUTES, MAX_WAITING_ROUTES_PER_SOURCE } from "../../src/reference/next-servers.js";
import { dataPacket } from "../reference/harness.js";
import { be16, bytes, concat, ip4 } from "../reference/packets.js";
import { EnginePair } from "./engine-pair.js";
import { LOCATORS } from "./pools.js";

const HEADER_BYTES = 48;
const FLOOD = MAX_WAITING_ROUTES_PER_SOURCE + 100;
const ATTACKER = ip4("192.0.2.66");
const OTHER = ip4("192.0.2.67");
/** `site` is the /64, `host` an address in it. */
const ip6 = (site: number, host: number): Uint8Array => concat(bytes(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, site), new Uint8Array(7), bytes(host));
const ringKey = (n: number): Uint8Array => concat(bytes(0xee), be16(n), new Uint8Array(13));

function datagram(key: number, address: Uint8Array, { port = 4_000, length = HEADER_BYTES } = {}): RawDatagram {
  const id = concat(ringKey(key), new Uint8Array(16));
  return { bytes: dataPacket({ ids: [id] }, new Uint8Array(length - HEADER_BYTES)), segmentBytes: 0, endpoint: encodeEndpoint(makeLocator(address, port)), trafficClass: 0 };
}

describe("packets that wait for a next server", () => {
  let pair: EnginePair;
  beforeEach(() => {
    pair = new EnginePair();
    pair.change("setResponsibility", (engine) => engine.setResponsibility({ kind: "range", from: new Uint8Array(16).fill(1), to: new Uint8Array(16).fill(2) }));
  });
  afterEach(() => pair.close());

  /** How many route-misses and `queue-full` drops the datagrams made, and what left. */
  function send(...datagrams: readonly RawDatagram[]): { readonly asked: number; readonly full: number } {
    const before = pair.counters();
    pair.step(1, [], datagrams, true);
    const after = pair.counters();
    return { asked: after.upcalls - before.upcalls, full: after.drops["queue-full"] - before.drops["queue-full"] };
  }
  const keysFrom = (address: Uint8Array, first: number, count: number): readonly RawDatagram[] => Array.from({ length: count }, (_, i) => datagram(first + i, address));
  it("go back to the server that they came from when a stack leads there, and not otherwise", () => {
    pair.change("setTriggers", (engine) => engine.setTriggers(ringKey(1), [{ id: concat(ringKey(1), new Uint8Array(16)), target: { kind: "stack", ids: [concat(ringKey(2), new Uint8Array(16))] } }]));
    const forwarded = (key: number): RawDatagram => {
      const made = datagram(key, LOCATORS[0]!.address, { port: LOCATORS[0]!.port });
      made.bytes[1] = 4;
      return made;
    };
    pair.step(1, [], [forwarded(1)], true);
    expect(released(2)).toBe(1);
    expect(pair.step(1, [], [forwarded(1)], true).length).toBe(1);
    expect(pair.step(1, [], [forwarded(2)], true).length).toBe(0);
  });

  /** How many of the waiting packets for a key leave when its next server is known. */
  function released(key: number): number {
    pair.change("setNextServer", (engine) => engine.setNextServer(ringKey(key), LOCATORS[0]!));
    return pair.step(1, [], [], true).length;
  }

  it("one source holds an eighth of the keys, and the others have the rest", () => {
    expect(send(...keysFrom(ATTACKER, 0, FLOOD))).toEqual({ asked: MAX_WAITING_ROUTES_PER_SOURCE, full: 100 });
    expect(send(datagram(60_000, ATTACKER, { port: 9 }))).toEqual({ asked: 0, full: 1 });
    for (let i = 1; i < 8; i++) expect(send(...keysFrom(ip4(`192.0.2.${i}`), 1_000 * i, MAX_WAITING_ROUTES_PER_SOURCE))).toEqual({ asked: MAX_WAITING_ROUTES_PER_SOURCE, full: 0 });
    expect(8 * MAX_WAITING_ROUTES_PER_SOURCE).toBe(MAX_WAITING_ROUTES);
    expect(send(datagram(60_000, OTHER))).toEqual({ asked: 0, full: 1 });
  });

  it("an IPv6 source is its /64", () => {
    expect(send(...keysFrom(ip6(1, 1), 0, MAX_WAITING_ROUTES_PER_SOURCE)).asked).toBe(MAX_WAITING_ROUTES_PER_SOURCE);
    expect(send(datagram(60_000, ip6(1, 2)))).toEqual({ asked: 0, full: 1 });
    expect(send(datagram(60_000, ip6(2, 1)))).toEqual({ asked: 1, full: 0 });
    // Not the /64 of zeros in which the mapped IPv4 addresses are.
    expect(send(...keysFrom(ATTACKER, 10_000, MAX_WAITING_ROUTES_PER_SOURCE)).asked).toBe(MAX_WAITING_ROUTES_PER_SOURCE);
    expect(send(datagram(60_001, OTHER))).toEqual({ asked: 1, full: 0 });
  });

  it("one source holds an eighth of the bytes; its keys are asked for all the same, and others may wait for them", () => {
    const length = 32 * 1_024;
    const most = MAX_WAITING_BYTES_PER_SOURCE / length;
    expect(send(...Array.from({ length: most }, () => datagram(1, ATTACKER, { length })))).toEqual({ asked: 1, full: 0 });
    expect(send(datagram(2, ATTACKER))).toEqual({ asked: 1, full: 1 });
    expect(send(datagram(1, OTHER), datagram(2, OTHER))).toEqual({ asked: 0, full: 0 });
    expect([released(1), released(2)]).toEqual([most + 1, 1]);
  });

  it("what no longer waits is given back, once", () => {
    const length = 32 * 1_024;
    const most = MAX_WAITING_BYTES_PER_SOURCE / length;
    for (let round = 0; round < 3; round++) {
      expect(send(...keysFrom(ATTACKER, 0, FLOOD)).asked).toBe(MAX_WAITING_ROUTES_PER_SOURCE);
      for (let key = 0; key < MAX_WAITING_ROUTES_PER_SOURCE; key++) {
        if (key % 2 === 0) pair.change("discardRoute", (engine) => engine.discardRoute(ringKey(key)));
        else pair.change("setNextServer", (engine) => engine.setNextServer(ringKey(key), LOCATORS[0]!));
        pair.change("setNextServer", (engine) => engine.setNextServer(ringKey(key), null));
      }
      expect(send(...Array.from({ length: most + 1 }, () => datagram(1, ATTACKER, { length })))).toEqual({ asked: 1, full: 1 });
      expect(released(1)).toBeGreaterThanOrEqual(most);
      pair.change("setNextServer", (engine) => engine.setNextServer(ringKey(1), null));
    }
  });

  it("a key is of the share of who opened it, whoever else waits for it", () => {
    expect(send(datagram(1, OTHER), datagram(1, ATTACKER))).toEqual({ asked: 1, full: 0 });
    expect(send(...keysFrom(ATTACKER, 1_000, FLOOD)).asked).toBe(MAX_WAITING_ROUTES_PER_SOURCE);
    expect(released(1)).toBe(2);
    expect(send(datagram(60_000, ATTACKER))).toEqual({ asked: 0, full: 1 });
    expect(send(...keysFrom(OTHER, 2_000, FLOOD)).asked).toBe(MAX_WAITING_ROUTES_PER_SOURCE);
  });
});
