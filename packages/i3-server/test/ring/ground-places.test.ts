/** Who holds one real credential and wants another place on the ring: keys and nonces of his own choice, thousands of them, under that credential. */
import { beforeAll, describe, expect, it } from "vitest";

import { decodeControl, encodeControl, makeLocator, type Locator } from "@i3/common";

import { inOpen } from "../../src/chord/ring-key.js";
import { readCredential, type Credential, type RingMembership } from "../../src/ring/credential.js";
import { privateKeyOf, publicBytesOf } from "../../src/ring/raw-keys.js";
import { pairKeyOf, sealRingMessage } from "../../src/ring/ring-message.js";
import { randomBytesFrom, seeded } from "../ring-net.js";
import { anyMember, RingPeer } from "../ring-peer.js";
import { ServerBench } from "../server-bench.js";
import { ChannelNet } from "./channel-net.js";

const TRIES = 2_000;
const OFFSET_KEY = 33;
const OFFSET_NONCE = 65;
const THIEF = makeLocator(Uint8Array.of(198, 51, 100, 9), 5_000);
const random = randomBytesFrom(seeded(1_234));

/** A credential of his for another place. Who has put in a key of his own can seal with it. */
function grind(real: RingMembership, i: number): RingMembership {
  const bytes = Uint8Array.from(real.credential.bytes);
  let { privateKey } = real;
  if (i % 3 !== 1) {
    privateKey = random(32);
    bytes.set(publicBytesOf("x25519", privateKey), OFFSET_KEY);
  }
  if (i % 3 !== 0) bytes.set(random(16), OFFSET_NONCE);
  return { credential: readCredential(bytes), privateKey };
}

/** What he says at that place: a HELLO, and a message that only who has the key of the place can seal. */
function spoken({ credential, privateKey }: RingMembership, to: Credential, locator: Locator): readonly Uint8Array[] {
  const pairKey = pairKeyOf(privateKeyOf("x25519", privateKey), credential, to) as Uint8Array;
  const direction = { pairKey, sender: credential.nodeKey, receiver: to.nodeKey };
  const sealed = sealRingMessage({ type: "NOTIFY", from: { key: credential.nodeKey, locator } }, random(8), direction, { senderEpoch: 1, receiverEpoch: 0, counter: 1 });
  return [encodeControl({ type: "HELLO", credential: credential.bytes }, random(8)), sealed];
}

const nearestBefore = (key: Uint8Array, places: readonly Uint8Array[]): Uint8Array =>
  places.reduce((best, place) => (inOpen(best, place, key) ? place : best));

describe(`${TRIES} ground places under one real credential`, () => {
  const net = new ChannelNet();
  const [victim, known] = net.pair();
  const attacker = net.add();
  let ground: RingMembership[] = [];

  beforeAll(() => {
    ground = Array.from({ length: TRIES }, (_, i) => grind(attacker.membership, i));
  });

  it("are places of his choice: one of them is nearer before any key than servers are", () => {
    expect(new Set(ground.map(({ credential }) => Buffer.from(credential.nodeKey).toString("hex"))).size).toBe(TRIES);
    const best = nearestBefore(victim.node.key, ground.map(({ credential }) => credential.nodeKey));
    expect(inOpen(known.node.key, best, victim.node.key)).toBe(true);
  });

  it("make no session, leave him his one place, and cost ten signatures a second; an honest newcomer is met in between", () => {
    attacker.notify(victim);
    net.run(100);
    const sessions = victim.channel.sessionCount;
    const heard = victim.heard.length;
    const since = net.wire.length;
    const startMs = net.nowMs;
    let honest = 0;
    for (const [i, membership] of ground.entries()) {
      for (const bytes of spoken(membership, victim.membership.credential, THIEF)) victim.take({ from: THIEF, bytes });
      if (i % 300 !== 150) continue;
      const newcomer = net.add();
      newcomer.notify(victim);
      net.run(50);
      honest += 1;
      expect(victim.heard.at(-1)).toMatchObject({ type: "NOTIFY", from: newcomer.node });
      expect(newcomer.channel.sessionCount).toBe(1);
    }
    expect(honest).toBe(7);
    expect(victim.channel.sessionCount - sessions - honest).toBe(0);
    expect(victim.heard.length - heard - honest).toBe(0);
    const toThief = net.wire.slice(since).filter(({ to }) => to === THIEF).map(({ bytes }) => decodeControl(bytes).message.type);
    expect(new Set(toThief)).toEqual(new Set(["HELLO_AGAIN"])); // says who cannot take a message, and nothing else
    const seconds = (net.nowMs - startMs) / 1_000;
    expect(victim.counters.get("credential")).toBeLessThanOrEqual(10 + 10 * seconds);
    expect(victim.counters.get("credential") + victim.counters.get("hello-rate")).toBe(TRIES);
    expect(victim.counters.get("session")).toBe(TRIES); // each sealed message

    attacker.notify(victim);
    known.notify(victim);
    net.run(50);
    expect(victim.heard.slice(-2)).toMatchObject([{ from: attacker.node }, { from: known.node }]);
  });
});

it(`${TRIES} of them shown to a server change neither its neighbours nor its keys, and its neighbour is answered in between`, () => {
  const own = anyMember();
  const bench = new ServerBench({ ring: own });
  const neighbour = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000));
  bench.ring(neighbour, { type: "NOTIFY", from: neighbour.node });
  const state = () => [bench.core.neighbours, bench.core.inspect(), bench.engine.responsibility];
  const before = state();
  const real = anyMember();
  let answered = 0;
  for (let i = 0; i < TRIES; i += 1) {
    for (const bytes of spoken(grind(real, i), own.credential, THIEF)) bench.core.handleUpcalls(bench.nowMs, [{ kind: "control", from: THIEF, bytes }]);
    if (i % 300 !== 150) continue;
    bench.engine.take();
    const sent = bench.sendBytes(neighbour.seal(bench.nowMs, bench.self, { type: "ALIVE", from: neighbour.node }, random(8)), neighbour.node.locator);
    answered += sent.filter(({ bytes }) => decodeControl(bytes).message.type === "ALIVE_YES").length;
  }
  expect(answered).toBe(7);
  expect(state()).toEqual(before);
  expect(bench.core.counters.get("credential")).toBe(10);
});
