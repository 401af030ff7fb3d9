/**
 * Two HIP hosts that get any bytes, changed packets and old packets between the right ones, while they call, rekey, add pairs, close and restart: neither throws, and when
 * the noise ends they find to each other. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { makeLocator, publicId } from "@i3/common";
import { expect, it } from "vitest";

import { mutated, Random } from "@i3/common/testing";
import { identity, Network, pairMatches, suites, type Node } from "../../packages/hip/test/exchange/bed.js";
import { ESP_SUITE } from "../../packages/hip/src/crypto/esp-suites.js";
import { mutatedParameter } from "../../packages/hip/test/exchange/forger.js";
import type { PeerLocator } from "../../packages/hip/src/exchange/candidates.js";
import type { HipPath } from "../../packages/hip/src/exchange/paths.js";
import { decodeHipPacket } from "../../packages/hip/src/wire/packet.js";
import { I3_PREFERENCE_FLAG } from "../../packages/hip/src/wire/parameters/i3.js";
import { MAX_LOCATORS } from "../../packages/hip/src/wire/parameters/locator-set.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const LIKELY = [0, 1, 2, 3, 4, 7, 8, 13, 16, 18, 19, 32, 0x20, 0x21, 0x3b, 0x80, 0xff];
const SHORTCUTS = { flags: I3_PREFERENCE_FLAG.shortcuts, own4: new Uint8Array(4), own6: new Uint8Array(16), peer4: new Uint8Array(4), peer6: new Uint8Array(16) };
const HOWS = ["truncated", "oversized", "repeated", "misordered", "dropped", "emptied"] as const;

/** An old packet, changed more often than not; seldom mere noise. */
function bytesFor(random: Random, network: Network): Uint8Array {
  if (network.wire.length === 0 || random.below(20) === 0) return random.bytes(random.below(200));
  const { bytes } = random.pick(network.wire.slice(-30));
  const kind = random.below(4);
  if (kind === 0) return bytes.slice();
  if (kind === 1) return mutatedParameter(bytes, random.below(decodeHipPacket(bytes).parameters.length), random.pick(HOWS)) ?? bytes.slice();
  const out = mutated(random, bytes, LIKELY);
  if (random.below(4) === 0 || out.length < 2) return out;
  const whole = Uint8Array.from([...out, ...new Uint8Array(-out.length & 7)]);
  whole[1] = whole.length / 8 - 1;
  return whole;
}

const someLocators = (random: Random): PeerLocator[] => Array.from({ length: random.below(MAX_LOCATORS + 1) }, () => ({
  kind: random.pick(["host", "server", "peer"] as const), priority: random.below(2 ** 32), locator: makeLocator(random.bytes(random.pick([4, 16])), 1 + random.below(65_535)),
}));

function step(random: Random, network: Network, nodes: readonly [Node, Node]): void {
  const [from, to] = random.below(2) === 0 ? nodes : [nodes[1], nodes[0]];
  const association = from.events.findLast((event) => event.kind === "established")?.association ?? 1;
  switch (random.below(20)) {
    case 0: network.connect(from, to); return;
    case 1: network.connectI3(from, to); return;
    case 2: from.host.rekey(network.nowMs, association); return;
    case 3: if (random.below(4) === 0) from.host.close(network.nowMs, association); return;
    case 4: if (random.below(8) === 0) network.restart(from); return;
    case 5: network.run(random.below(random.below(8) === 0 ? 70_000 : 1_000)); return;
    case 6: from.host.load(network.nowMs, random.below(2_000), random.below(100)); return;
    case 7: from.host.addPair(network.nowMs, association, ESP_SUITE.nullSha256); return;
    case 17: from.host.setLocators(network.nowMs, association, someLocators(random)); return;
    case 18:
      if (random.below(2) === 0) Object.assign(from, { locator: makeLocator(Uint8Array.of(192, 0, 2, (from === nodes[0] ? 3 : 130) + random.below(100)), 10_500) });
      from.host.readdress(network.nowMs, association, random.pick([undefined, random.bytes(4), from.locator.address]));
      return;
    case 8: case 9: network.run(random.below(30)); return;
    default: {
      const path: HipPath = random.below(8) === 0 ? { kind: "i3", id: random.pick(to.ids) } : { kind: "udp", locator: from.locator };
      to.host.handle(network.nowMs, bytesFor(random, network), path);
    }
  }
}

function runCase(random: Random, sums: { received: number; established: number; rekeyed: number; paired: number; locatorSets: number; moving: number; drops: number }): void {
  const network = new Network({ seed: random.below(2 ** 31), loss: random.below(3) === 0 ? 0.2 : 0, duplicates: 0.1, jitterMs: random.below(100) });
  const [a, b] = [0, 1].map((n) => network.add(`${n}`, identity("ecdsa-p256", n), { ownPublicId: publicId(identity("ecdsa-p256", n).hit), isOpen: () => n === 0 })) as [Node, Node];
  for (const node of [a, b]) {
    node.sas.take = () => undefined; // a restart forgets them
    if (random.below(4) > 0) node.offer = suites(ESP_SUITE.aesGcm16, ESP_SUITE.nullSha256);
    if (random.below(4) > 0) node.offer = { ...node.offer, preferences: SHORTCUTS };
  }
  for (let steps = 60; steps > 0; steps--) step(random, network, [a, b]);
  for (const { host, events } of [a, b]) {
    sums.moving += events.filter(({ kind }) => kind === "moving").length;
    expect(host.sizes.associations).toBeLessThanOrEqual(1);
    expect(host.sizes.attempts).toBeLessThanOrEqual(1);
    for (const [name, count] of [...Object.entries(host.counters.drops), ...Object.entries(host.counters)]) if (typeof count === "number") expect(count, name).toBeGreaterThanOrEqual(0);
    sums.received += host.counters.received;
    sums.established += host.counters.established;
    sums.rekeyed += host.counters.rekeyed;
    sums.paired += host.counters.paired;
    sums.locatorSets += host.counters.locatorSets;
    sums.drops += Object.values<number>({ ...host.counters.drops }).reduce((sum, count) => sum + count, 0);
  }
  network.loss = 0;
  network.run(200_000);
  network.connect(a, b);
  network.run(40_000);
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
}

it(`HIP exchanges, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`hip-exchange fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const end = performance.now() + SECONDS * 1000;
  const sums = { received: 0, established: 0, rekeyed: 0, paired: 0, locatorSets: 0, moving: 0, drops: 0 };
  let cases = 0;
  for (; performance.now() < end || cases < 20; cases++) {
    try {
      runCase(random, sums);
    } catch (error) {
      throw new Error(`case ${cases} of seed ${SEED}`, { cause: error });
    }
  }
  console.log(`hip-exchange fuzz: ${cases} cases, ${JSON.stringify(sums)}`);
  for (const sum of Object.values(sums)) expect(sum).toBeGreaterThan(0);
});
