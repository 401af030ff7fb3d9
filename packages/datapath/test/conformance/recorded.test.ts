/** Recorded packets have the same outcome in both engines: from the TUN, back from where they went, from elsewhere, damaged. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RawDatagram } from "../../src/native-addon.js";
import { encodeEndpoint } from "../../src/reference/endpoints.js";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket } from "../reference/harness.js";
import { checksumPlace, withPartialChecksum } from "./cut.js";
import { EnginePair, type TunArrival } from "./engine-pair.js";
import { plainArrival } from "./arrival-recipes.js";
import { BEGINNINGS, type Operation } from "./operations.js";
import { addressOf, idOf, LOCATORS, NAMES, SPIS, TRANSFORMS } from "./pools.js";
import { RECORDED } from "./recorded.js";
import { Runner } from "./runner.js";

const FROM = encodeEndpoint(LOCATORS[0]!);
const arrived = (bytes: Uint8Array, trafficClass = 0): RawDatagram => ({ bytes, segmentBytes: 0, endpoint: FROM, trafficClass });
const states = (bytes: Uint8Array): readonly TunArrival[] => [
  plainArrival(bytes, CHECKSUM.complete),
  plainArrival(bytes, CHECKSUM.verified),
  ...(checksumPlace(bytes) === undefined ? [] : [plainArrival(withPartialChecksum(bytes), CHECKSUM.partial)]),
];

/** Either end's packets go out by ESP and come back in, with the transform of that number, whatever the direction. */
function mirror(transform: number, beet: 4 | 6 | null, checksumState: boolean, mtu: number): readonly Operation[] {
  const keys = TRANSFORMS[transform] ?? TRANSFORMS[0]!;
  return [0, 1].flatMap((own): Operation[] => {
    const same = (family: 4 | 6, index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(family, index), to: addressOf(family, index) });
    const changed = (family: 4 | 6, index: number): { from: Uint8Array; to: Uint8Array } => ({ from: addressOf(family, index), to: addressOf(family, index + 2) });
    const peer = 1 - own;
    const [spi, name] = [SPIS[own] ?? SPIS[0], NAMES[own] ?? NAMES[0]];
    return [
      { kind: "setOutboundAssociation", name, association: { spi, transform: keys, beet, checksumState } },
      ...([4, 6] as const).map((family): Operation => ({ kind: "setFlow", address: addressOf(family, peer), flow: { action: "esp", association: name, header: null, locator: LOCATORS[0]!, source: addressOf(family, own), mtu } })),
      { kind: "setInboundAssociation", spi, association: { transform: keys, beet, checksumState, flow: addressOf(4, peer), source4: same(4, own), destination4: changed(4, peer), source6: changed(6, own), destination6: same(6, peer) } },
    ];
  });
}

const SET_UPS: readonly (readonly [name: string, operations: readonly Operation[]])[] = [
  ["host", BEGINNINGS.host],
  ["host and server", BEGINNINGS.both],
  ["AES-GCM in BEET for IPv4, with checksum states", mirror(0, 4, true, 1_400)],
  ["NULL in BEET for IPv6", mirror(1, 6, false, 1_280)],
  ["AES-CBC in tunnel mode, with checksum states", mirror(2, null, true, 9_000)],
];

describe.each(SET_UPS)("recorded packets with tables of: %s", (_, operations) => {
  let pair: EnginePair;
  let runner: Runner;
  beforeEach(() => {
    pair = new EnginePair();
    runner = new Runner(pair);
    for (const operation of operations) runner.apply(operation);
  });
  afterEach(() => pair.close());

  it.each([true, false])("from the TUN, and what left comes in again; offloads: %s", (offloads) => {
    for (const { bytes } of RECORDED) {
      for (const arrival of states(bytes)) {
        const left = pair.step(1, [arrival], [], offloads);
        pair.step(1, [], left.map((datagram) => arrived(datagram, bytes[1])), offloads);
      }
    }
    pair.change("release", (engine) => engine.release(addressOf(4, 0)));
    const all = pair.step(1, RECORDED.flatMap(({ bytes }) => states(bytes)), [], offloads);
    pair.step(1, [], all.map((datagram) => arrived(datagram)), offloads);
    expect(pair.counters().tunOut + pair.counters().upcalls).toBeGreaterThan(RECORDED.length);
  });

  it.each([1, 5, 9, 0])("behind a data header for id %s", (id) => {
    for (const { bytes } of RECORDED) {
      for (const trafficClass of [0, 1, 2, 3]) pair.step(1, [], [arrived(dataPacket({ ids: [idOf(id)] }, bytes), trafficClass)], true);
      pair.change("deliver", (engine) => engine.deliver(idOf(id), [bytes]));
    }
    pair.step(1, [], RECORDED.map(({ bytes }) => arrived(dataPacket({ ids: [idOf(id)] }, bytes))), true);
  });

  it("cut off at every byte of their headers", () => {
    for (const { bytes } of RECORDED) {
      const cuts = Array.from({ length: Math.min(bytes.length, 130) }, (__, length) => bytes.subarray(0, length));
      pair.step(1, cuts.map((cut) => plainArrival(cut, CHECKSUM.complete)), cuts.map((cut) => arrived(dataPacket({ ids: [idOf(1)] }, cut))), true);
      // The length says so as well: what is inside is cut off.
      const honest = cuts.filter(({ length }) => length > 40).map((cut) => {
        const out = Uint8Array.from(cut);
        if ((out[0] ?? 0) >> 4 === 4) out.set([0, out.length], 2);
        else out.set([0, out.length - 40], 4);
        return out;
      });
      pair.step(1, honest.map((cut) => plainArrival(cut, CHECKSUM.complete)), honest.map((cut) => arrived(dataPacket({ ids: [idOf(1)] }, cut))), true);
    }
  });
});
