/** Arbitrary control messages for property tests. */
import fc from "fast-check";

import { makeLocator, REFUSAL, type ControlMessage, type RingNode, type RingSender } from "../../src/index.js";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const bytesWithin = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength, maxLength });
const uint = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 127, 128, 255, 256, 65_535, 65_536, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER));
const id = bytes(32);
const key = bytes(16);
const locator = fc.tuple(fc.oneof(bytes(4), bytes(16)), fc.integer({ min: 1, max: 65_535 })).map(([address, port]) => makeLocator(address, port));
const node: fc.Arbitrary<RingNode> = fc.record({ key, locator });
/** Of a server with a locator of one family, or of each. */
const from: fc.Arbitrary<RingSender> = fc.oneof(node, fc.tuple(key, bytes(4), bytes(16), fc.boolean()).map(([own, ipv4, ipv6, isIpv4First]) => {
  const both = [makeLocator(ipv4, 5_610), makeLocator(Uint8Array.from([0x20, ...ipv6.subarray(1)]), 5_610)] as const;
  return { key: own, locator: both[isIpv4First ? 0 : 1], other: both[isIpv4First ? 1 : 0] };
}));
const spi = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff));
const action = fc.constantFrom(1 as const, 2 as const);
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name);
const successors = fc.array(node, { maxLength: 16 });
const stepKey = fc.oneof(
  fc.record({ keyKind: fc.constantFrom(2 as const, 7 as const), publicKey: bytes(32), signature: bytes(64) }),
  fc.record({ keyKind: fc.constant(1 as const), publicKey: bytes(64), signature: bytes(64) }),
  fc.record({ keyKind: fc.constant(3 as const), publicKey: bytes(96), signature: bytes(96) }),
);
const step = fc.tuple(id, fc.maxSafeNat(), stepKey).map(([target, end, key]) => ({ id: target, notAfterS: Math.floor(end / 1_000), ...key }));
const target = fc.oneof(locator, fc.record({ steps: fc.array(step, { minLength: 1, maxLength: 4 }) }));
const unsigned = { type: type("TRIGGER"), action, id, target: locator, flags: fc.nat(65_535), counter: uint, commitment: key, cookie: bytes(24), signature: bytes(64) };

export const anyControlMessage: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ type: type("PING") }),
  fc.record({ type: type("PONG"), timeMs: uint, observed: locator, nodeKey: key }),
  fc.record({ type: type("LOCATE"), ringKey: key }),
  fc.record({ type: type("CHALLENGE_REQUEST"), ringKey: key, flags: fc.nat(65_535) }),
  fc.record({ type: type("LOCATED"), ringKey: key, node }),
  fc.record({ type: type("CHALLENGE"), ringKey: key, cookie: bytes(24), observed: locator, timeMs: uint, nodeKey: key }),
  fc.record({ ...unsigned, target, keyKind: fc.constant(1 as const), publicKey: bytes(64) }),
  fc.record({ ...unsigned, target, keyKind: fc.constant(2 as const), publicKey: bytes(32) }),
  fc.record({ ...unsigned, keyKind: fc.constant(3 as const), publicKey: bytes(96), signature: bytes(96) }),
  fc.record({ ...unsigned, keyKind: fc.constant(4 as const), publicKey: bytesWithin(258, 517), signature: bytesWithin(256, 512) }),
  fc.record({ ...unsigned, keyKind: fc.constant(6 as const), publicKey: bytes(136) }),
  fc.record({ type: type("TRIGGER_OK"), action, id, lifeMs: uint, replica: fc.option(locator) }),
  fc.record({ type: type("REFRESH"), id, index: fc.nat(65_535), token: key, member: fc.option(id) }),
  fc.record({ type: type("REFUSED"), code: fc.oneof(fc.constantFrom(...Object.values(REFUSAL)), fc.nat(255)), subject: fc.oneof(id, key) }),
  fc.record({ type: type("NOT_PRESENT"), id }),
  fc.record({ type: type("CACHE"), ringKey: key, node, lifeMs: fc.nat(3_600_000) }),
  fc.record({ type: type("SHORTCUT"), id, target: locator }),
  fc.record({ type: fc.constantFrom("PROVE" as const, "PROBE" as const), id }),
  fc.record({ type: type("PROOF"), id, token: key, keyKind: fc.constant(1 as const), publicKey: bytes(64), signature: bytes(64) }),
  fc.record({ type: type("PROOF"), id, token: key, keyKind: fc.constant(2 as const), publicKey: bytes(32), signature: bytes(64) }),
  fc.record({ type: type("PROOF"), id, token: key, keyKind: fc.constant(3 as const), publicKey: bytes(96), signature: bytes(96) }),
  fc.record({ type: type("PROOF"), id, token: key, keyKind: fc.constant(6 as const), publicKey: bytes(136), signature: bytes(64) }),
  fc.record({ type: type("PROBED"), id, token: key }),
  fc.record({ type: type("CHECK"), spi, flags: fc.nat(65_535)}),
  fc.record({ type: type("CHECKED"), spi, observed: locator }),
  fc.record({ type: type("FIND"), from, ringKey: key }),
  fc.record({ type: type("FOUND"), from, final: fc.boolean(), node }),
  fc.record({ type: fc.constantFrom("STATE" as const, "NOTIFY" as const), from }),
  fc.record({ type: fc.constantFrom("ALIVE" as const, "ALIVE_YES" as const), from: node }),
  fc.record({ type: type("STATE_IS"), from, pending: fc.boolean(), predecessor: fc.option(node), successors }),
  fc.record({ type: type("LEAVING"), from, predecessor: fc.option(node), successors }),
  fc.record({ type: type("ROUTE"), from, ringKey: key, asker: node, last: fc.boolean(), hops: fc.nat(255), credential: fc.option(bytes(153)) }),
  fc.record({ type: type("ROUTED"), from, hops: fc.nat(255), credential: fc.option(bytes(153)) }),
  fc.record({ type: fc.constantFrom("HELLO" as const, "HELLO_YES" as const), credential: bytes(153) }),
  fc.record({ type: type("HELLO_AGAIN"), counter: uint }),
  fc.record({ type: type("RECORD_PUT"), flags: fc.nat(65_535), cookie: bytes(24), record: bytesWithin(133, 1_000) }),
  fc.record({ type: type("RECORD_GET"), flags: fc.nat(65_535), ringKey: key }),
  fc.record({ type: type("RECORD_OK"), ringKey: key, sequence: uint, lifeMs: uint, successor: fc.option(locator) }),
  fc.record({ type: type("RECORD_IS"), ringKey: key, record: fc.option(bytesWithin(133, 1_000)), successor: fc.option(locator) }),
);
