/** What each peer may take while more comes than the engine can do (docs/datapath.md, "Shares"): the same in both engines. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MIN_SPI } from "../../src/datapath.js";
import type { RawDatagram } from "../../src/native-addon.js";
import type { QueueState } from "../../src/reference/fair-shares.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { makeCipher } from "../../src/reference/esp-transforms.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { NULL, OWN, REMOTE } from "../reference/associations.js";
import { be32, bytes, concat, data, ip4, packet, sealTransport, udp } from "../reference/packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair, type TunArrival } from "./engine-pair.js";

const PEERS = [ip4("10.0.0.2"), ip4("10.0.0.3"), ip4("10.0.0.4")] as const;
const [GREEDY, MODEST, IDLE] = [0, 1, 2] as const;
type Peer = typeof GREEDY | typeof MODEST | typeof IDLE;

let pair: EnginePair;
let sequence = 0;
beforeEach(() => {
  pair = new EnginePair();
  PEERS.forEach((peer, i) => {
    pair.change("out", (engine) => engine.setOutboundAssociation(1 + i, { spi: MIN_SPI + i, transform: NULL, beet: null, checksumState: false }));
    pair.change("flow", (engine) => engine.setFlow(peer, { action: "esp", association: 1 + i, header: null, locator: REMOTE, source: OWN }));
    pair.change("in", (engine) => engine.setInboundAssociation(MIN_SPI + i, { transform: NULL, beet: null, checksumState: false, flow: peer, source4: { from: peer, to: peer }, destination4: { from: OWN, to: OWN }, source6: null, destination6: null }));
  });
});
afterEach(() => pair.close());

const message = (from: Uint8Array, to: Uint8Array): Uint8Array => packet(from, to, 17, sealTransport(from, to, 17, udp(data(900))));
function arrival(from: Peer, isGenuine = true): RawDatagram {
  const text = concat(message(PEERS[from], OWN), bytes(0, 4));
  sequence += 1;
  const out = Buffer.concat([be32(MIN_SPI + from), be32(sequence), text, new Uint8Array(16)]);
  makeCipher(NULL).seal(out, BigInt(sequence));
  if (!isGenuine) out[30] = (out[30] ?? 0) ^ 1;
  return { bytes: out, segmentBytes: 0, endpoint: encodeEndpoint(REMOTE), trafficClass: 0 };
}
const question = (to: Peer): TunArrival => plainArrival(message(OWN, PEERS[to]), CHECKSUM.complete);
const times = <T>(count: number, make: () => T): readonly T[] => Array.from({ length: count }, make);

/** So many milliseconds of the greedy one's and a packet of the modest one's; what each was given, and what was dropped. */
function pass(ms: number, queue: QueueState, side: "udp" | "tun", greedy = 20): { readonly given: readonly number[]; readonly dropped: number } {
  const reason = side === "udp" ? "unfair-in" : "unfair-out";
  const count = (peer: Uint8Array): number => {
    const { packetsIn = 0, packetsOut = 0 } = pair.flowCounters(peer) ?? {};
    return packetsIn + packetsOut;
  };
  const before = [PEERS.map(count), pair.counters().drops[reason]] as const;
  for (let i = 0; i < ms; i += 1) {
    if (side === "udp") pair.step(1, [], [...times(greedy, () => arrival(GREEDY)), arrival(MODEST)], false, queue);
    else pair.step(1, [...times(greedy, () => question(GREEDY)), question(MODEST)], [], false, queue);
  }
  return { given: PEERS.map((peer, i) => count(peer) - (before[0][i] ?? 0)), dropped: pair.counters().drops[reason] - before[1] };
}

describe.each(["udp", "tun"] as const)("what comes from the %s", (side) => {
  it("is not dropped while nothing is lost", () => {
    expect(pass(300, "empty", side)).toEqual({ given: [6_000, 300, 0], dropped: 0 });
    expect(pass(90, "waiting", side)).toEqual({ given: [1_800, 90, 0], dropped: 0 });
  });

  it("is less and less of whoever takes most, when the kernel loses some, and all of the others'", () => {
    pass(100, "lost", side);
    const { given, dropped } = pass(60, "lost", side);
    expect(given[MODEST]).toBe(60);
    expect(given[GREEDY]).toBeLessThan(600);
    expect((given[GREEDY] ?? 0) + dropped).toBe(1_200);
    expect(pass(300, "empty", side).given[MODEST]).toBe(300);
    expect(pass(100, "empty", side).dropped, "it rises while nothing waits").toBe(0);
  });

  it("is all of one who is alone", () => {
    for (let i = 0; i < 300; i += 1) {
      if (side === "udp") pair.step(1, [], times(20, () => arrival(GREEDY)), false, "lost");
      else pair.step(1, times(20, () => question(GREEDY)), [], false, "lost");
    }
    expect(pair.counters().drops).toMatchObject({ "unfair-in": 0, "unfair-out": 0 });
  });
});

describe("what is charged to a peer", () => {
  it("is not what others forge in its name", () => {
    pass(50, "lost", "udp");
    // A copier of the modest one's packets, who changes them.
    for (let i = 0; i < 100; i += 1) pair.step(1, [], [...times(20, () => arrival(GREEDY)), ...times(30, () => arrival(MODEST, false)), arrival(MODEST)], false, "lost");
    expect(pair.flowCounters(PEERS[MODEST])?.packetsIn).toBe(150);
    expect(pair.counters().drops.integrity).toBe(3_000);
    expect(pair.counters().drops["unfair-in"]).toBeGreaterThan(0);
  });

  it("is both ways of a peer together", () => {
    pass(100, "lost", "udp");
    const { given, dropped } = pass(60, "lost", "tun");
    expect([given[MODEST], dropped > 300]).toEqual([60, true]);
  });
});
