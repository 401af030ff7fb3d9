/** That nothing is longer than {@link largestInner} and {@link mostOuter} say: held against the packet engine that seals. */
import { makeLocator } from "@i3/common";
import { makeDatagramBatch, makePacketBatch, ReferenceEngine, type EspTransform } from "@i3/datapath";
import { ESP_SUITE, type EspSuite } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { largestInner, mostOuter } from "../src/setup/esp-room.js";

const SUITES: readonly (readonly [EspSuite, EspTransform])[] = [
  [ESP_SUITE.nullSha256, { kind: "null-hmac-sha-256", integrityKey: new Uint8Array(32) }],
  [ESP_SUITE.aesGcm16, { kind: "aes-gcm-16", key: new Uint8Array(16), salt: new Uint8Array(4) }],
  [ESP_SUITE.aes128CbcSha256, { kind: "aes-cbc-hmac-sha-256", key: new Uint8Array(16), integrityKey: new Uint8Array(32) }],
  [ESP_SUITE.aes256CbcSha256, { kind: "aes-cbc-hmac-sha-256", key: new Uint8Array(32), integrityKey: new Uint8Array(32) }],
];
const [OWN, PEER] = [Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2)];

/** An IPv4 packet of so many bytes, UDP without a checksum of its own yet. */
function packetOf(length: number): Uint8Array {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt16BE(0x4500, 0);
  bytes.writeUInt16BE(length, 2);
  bytes.set([64, 17], 8);
  bytes.set([...OWN, ...PEER], 12);
  bytes.writeUInt16BE(length - 20, 24);
  return bytes;
}

/** Of the datagram that an inner packet of so many bytes becomes, with the state of a checksum that is not computed. */
function sealedBytes(transform: EspTransform, innerBytes: number, checksum: number): number {
  const engine = new ReferenceEngine();
  engine.setOutboundAssociation(1, { spi: 0x2000_0000, transform, beet: null, checksumState: true });
  engine.setFlow(PEER, { action: "esp", association: 1, header: null, locator: makeLocator(Uint8Array.of(192, 0, 2, 1), 1), source: OWN });
  const [tun, tunOut, udpOut] = [makePacketBatch(1, 2_048), makePacketBatch(1, 2_048), makeDatagramBatch(1, 2_048)];
  tun.arena.set(packetOf(innerBytes));
  tun.lengths[0] = innerBytes;
  tun.checksums[0] = checksum;
  tun.count = 1;
  engine.step(0, { tun, udp: null }, tunOut, udpOut);
  expect(udpOut.count).toBe(1);
  return udpOut.lengths[0] ?? NaN;
}

describe.each(SUITES)("suite %i", (suite, transform) => {
  it.each([[4, 28], [6, 48]] as const)("over IPv%i all that fits stays in the path, and nothing much longer would", (family, headerBytes) => {
    for (let outerBytes = 1_280; outerBytes < 1_320; outerBytes++) {
      const inner = largestInner(outerBytes, family, suite);
      const most = Math.max(...[0, 1, 2].map((checksum) => sealedBytes(transform, inner, checksum))) + headerBytes;
      expect(most).toBeLessThanOrEqual(outerBytes);
      expect(sealedBytes(transform, inner + 1, 2) + headerBytes).toBeGreaterThan(outerBytes);
    }
  });

  it("none is longer than the most", () => {
    for (let inner = 1_350; inner < 1_370; inner++) expect(sealedBytes(transform, inner, 2) + 28).toBeLessThanOrEqual(mostOuter(inner, 4));
  });
});

it("the most is what the widest suite needs", () => {
  expect([mostOuter(1_360, 4), mostOuter(1_360, 6)]).toEqual([1_476, 1_496]);
  expect(sealedBytes(SUITES[3]![1], 1_360, 2) + 28).toBe(1_476);
});
