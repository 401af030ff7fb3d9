/** Callers that do not have the Diffie-Hellman group of the engine's R1: a proxy answers them with one that they have. */
import { randomBytes } from "node:crypto";

import { concatBytes, makeLocator, publicId, sameBytes } from "@i3/common";
import {
  decodeHipPacket, encodeDhGroupList, encodeHipPacket, generateHostIdentity, HIP_PACKET, HipHost, I3_I1_BYTES, parameter, PARAMETER, systemDhSource, type DhGroup, type HipEvent,
} from "@i3/hip";
import { describe, expect, it } from "vitest";

import { addHost, World } from "../../../test/sim/world.js";

const MARK = new Uint8Array(4);
const HEADER_BYTES = 48;

describe("a HIP host that has only", () => {
  it.each<readonly [readonly DhGroup[]]>([[[8]], [[4]]])("groups %j may call", (dhGroups) => {
    const world = new World();
    const home = addHost(world, "198.51.100.2", { servers: [], security: "esp", hip: { udpPort: 10_500, ipProtocol: true } });
    const locator = makeLocator(Uint8Array.of(203, 0, 113, 9), 10_500);
    const events: HipEvent[] = [];
    const stranger = new HipHost({
      identity: generateHostIdentity(), ownPublicId: null, random: (n) => new Uint8Array(randomBytes(n)), dhSource: systemDhSource, dhGroups, r1Generation: 1n,
      send: (_, packet) => world.inject(home.node, { udp: { from: locator, bytes: concatBytes(MARK, packet) } }), newSpi: () => 0x1900_0000, admits: () => true,
      espSuitesFor: () => [9], offerFor: () => ({ privateId: null, preferences: null }), onEvent: (event) => events.push(event), log: () => undefined,
    }, world.nowMs);
    const path = { kind: "udp", locator: home.node.locator } as const;
    stranger.connect(world.nowMs, { hit: home.identity.hit, path, returnId: null });
    for (let i = 0; i < 2_000 && !events.some(({ kind }) => kind === "established" || kind === "failed"); i++) {
      world.run(10);
      for (const { bytes } of world.wire.splice(0).filter(({ to }) => sameBytes(to.address, locator.address))) stranger.handle(world.nowMs, bytes.subarray(MARK.length), path);
      stranger.tick(world.nowMs);
    }
    expect(events.map((event) => (event.kind === "failed" ? event.reason : event.kind))).toContain("established");
    expect(home.node.engine.counters().hipAnswered).toBe(0);
  });
});

describe("over i3", () => {
  /** Groups of the R1s that a ring carries to the return id of an I1 with these groups. */
  function answers(groups: readonly number[], isToAnybody: boolean): readonly (number | undefined)[] {
    const world = new World();
    const ring = world.ring(1);
    world.run(3_000);
    const home = addHost(world, "198.51.100.2", { servers: ring, security: "esp" });
    world.run(10_000, () => home.proxy.isReady(world.nowMs));
    const returnId = world.random(32);
    const senderHit = concatBytes(Uint8Array.of(0x20, 1, 0, 0x21), world.random(12));
    const before = [{ type: PARAMETER.dhGroupList, contents: encodeDhGroupList(groups) }, { type: PARAMETER.i3ReturnId, contents: returnId }];
    const header = { type: HIP_PACKET.i1, version: 2, controls: 0, senderHit, receiverHit: isToAnybody ? new Uint8Array(16) : home.identity.hit };
    const i1 = encodeHipPacket(header, [...before, { type: PARAMETER.i3Padding, contents: new Uint8Array(I3_I1_BYTES - encodeHipPacket(header, before).length - 4) }]);
    const datagram = concatBytes(Uint8Array.of(0x11, 0, 16, 64, 1, 3, 0, 0), world.random(8), publicId(home.identity.hit), i1);
    world.inject(ring[0]!, { udp: { from: makeLocator(Uint8Array.of(203, 0, 113, 9), 5_610), bytes: datagram } });
    world.run(1_000);
    const back = world.wire.filter(({ bytes, from }) => bytes[0] === 0x11 && bytes[5] === 3 && sameBytes(bytes.subarray(16, HEADER_BYTES), returnId) && sameBytes(from.address, home.node.locator.address));
    return back.map(({ bytes }) => parameter(decodeHipPacket(bytes.slice(HEADER_BYTES)), PARAMETER.diffieHellman)?.contents[0]);
  }

  it.each([[[7, 8], 7], [[8], 8], [[9, 8], 8]] as const)("an I1 with groups %j has an R1 with group %i, whether it names its receiver or not", (groups, expected) => {
    expect([answers(groups, false), answers(groups, true)]).toEqual([[expected], [expected]]);
  });
});
