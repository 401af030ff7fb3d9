/** A server whose engine answers refreshes and requests for a challenge beside one whose JavaScript answers all: the same requests have the same answers, byte by byte, and are counted alike. */
import { CONTROL_TYPES, encodeControl, groupId, makeLocator, TRIGGER_ACTION, TRIGGER_FLAG, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";
import { LIMITS, makeDatagramBatch, makePacketBatch, ReferenceEngine } from "@i3/datapath";
import { certifyMember, generateTriggerKey, REFRESH_MAX_SKIP, type TriggerSigner } from "@i3/hip";
import { expect, it } from "vitest";

import { inHalfOpen } from "../src/chord/ring-key.js";
import { anyMember, memberWhere, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, KEY, NONCE, NotingEngine, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const STEPS = 250;
const RING = anyMember();
const PREFIX = idOf(KEY).slice(0, 16);
const IPV6 = makeLocator(new Uint8Array(16).fill(0x20), 5_000);
const SOURCES = [CLIENT, THIEF, IPV6] as const;
const MEMBER = generateTriggerKey();
const GROUP = generateTriggerKey();
const SIGNERS: readonly (readonly [id: Uint8Array, signer: TriggerSigner, member: Uint8Array | null])[] = [
  ...[1, 2, 3].map((suffix) => [idOf(KEY, suffix), { kind: "private", key: KEY }, null] as const),
  [groupId(GROUP.publicKey, new Uint8Array(16)), { kind: "member", certificate: certifyMember(GROUP, MEMBER.publicKey, WALL_MS / 1_000 + 40), key: MEMBER }, MEMBER.publicKey],
];

const endpointOf = ({ address, port }: Locator): Uint8Array =>
  Uint8Array.from([...(address.length === 4 ? [...new Uint8Array(10), 0xff, 0xff] : []), ...address, port >> 8, port & 0xff]);

/** The core on an engine; `isLeased` false: the engine is told of no lease and no secret, and so hands up all. */
class Server {
  readonly #engine = new ReferenceEngine();
  readonly #noted = new NotingEngine();
  readonly bench: ServerBench;
  /** Answered by the engine. */
  get answered(): { readonly refreshed: number; readonly challenged: number } {
    const { refreshed, challenged } = this.#engine.counters();
    return { refreshed, challenged };
  }

  constructor(isLeased: boolean, isInRing: boolean) {
    const [engine, noted] = [this.#engine, this.#noted];
    this.bench = new ServerBench({
      ...(isInRing ? { ring: RING } : {}), limits: { triggers: 1_000, perSource: 100 },
      datapath: {
        setTriggers: (key, triggers) => noted.setTriggers(key, triggers), setResponsibility: (range) => noted.setResponsibility(range), setNextServer: (key, locator) => noted.setNextServer(key, locator),
        discardRoute: (key) => noted.discardRoute(key), send: (datagrams) => noted.send(datagrams),
        setLease: (id, lease) => void (isLeased && engine.setLease(id, lease)), setRefreshAnswers: (answers) => engine.setRefreshAnswers(answers),
        setChallengeAnswers: (answers) => void (isLeased && engine.setChallengeAnswers(answers)), takeRefreshed: () => engine.takeRefreshed(), setPassOn: (passOn) => engine.setPassOn(passOn), setNeighbours: (locators) => engine.setNeighbours(locators),
      },
    });
  }

  ask(bytes: Uint8Array, from: Locator): readonly Uint8Array[] {
    const [udp, out] = [makeDatagramBatch(1, 1_232), makeDatagramBatch(4, 1_232)];
    udp.arena.set(bytes);
    udp.lengths[0] = bytes.length;
    udp.addresses.set(endpointOf(from));
    udp.count = 1;
    const upcalls = this.#engine.step(this.bench.nowMs, { tun: null, udp }, makePacketBatch(1, 100), out);
    this.#noted.take();
    this.bench.core.handleUpcalls(this.bench.nowMs, upcalls);
    return [...Array.from({ length: out.count }, (_, i) => out.arena.slice(i * out.slotBytes, i * out.slotBytes + (out.lengths[i] ?? 0))), ...this.#noted.take().map((datagram) => datagram.bytes)];
  }

  /** Meets a server that comes before it, whose the tests' id is. */
  meet(peer: RingPeer): void {
    peer.meet(this.bench.nowMs, this.bench.self, (bytes) => this.ask(bytes, peer.node.locator));
    this.say(peer, { type: "NOTIFY", from: peer.node });
  }

  say(peer: RingPeer, message: Parameters<RingPeer["seal"]>[2]): void {
    this.ask(peer.seal(this.bench.nowMs, this.bench.self, message, NONCE), peer.node.locator);
  }
}


it.each([1, 2, 3, 4, 5, 6].flatMap((seed) => [[seed, "alone"], [seed, "in a ring"]] as const))("seed %i, %s", (seed, where) => {
  const random = new Random(seed);
  const isInRing = where === "in a ring";
  const servers = [new Server(true, isInRing), new Server(false, isInRing)] as const;
  const member = memberWhere((key) => !inHalfOpen(key, PREFIX, servers[0].bench.self.key));
  const peers = servers.map(() => new RingPeer(makeLocator(new Uint8Array(16).fill(0x30), 4_000), member));
  if (isInRing) servers.forEach((server, i) => server.meet(peers[i] as RingPeer));
  const same = (bytes: Uint8Array, from: Locator): readonly Uint8Array[] => {
    const [leased, other] = servers.map((server) => server.ask(bytes, from));
    expect(leased).toEqual(other);
    return leased ?? [];
  };
  const shown = new Map<Uint8Array, { index: number; from: Locator }>();
  let refreshes = 0;
  for (let step = 0; step < STEPS; step += 1) {
    const passedMs = random.below(20) === 0 ? random.pick([14_000, 28_900, 29_500, 31_000]) : random.pick([0, 0, 1, 50, 900, 3_000]);
    for (const { bench } of servers) bench.advance(passedMs);
    const [id, signer, memberKey] = random.pick(SIGNERS);
    const at = shown.get(id) ?? { index: 0, from: CLIENT };
    const from = random.below(8) === 0 ? random.pick(SOURCES) : at.from;
    const what = random.below(10);
    if (what < 2) {
      const moved = random.pick(SOURCES);
      const flags = isInRing && random.below(2) > 0 ? TRIGGER_FLAG.replica : 0;
      const challenge = same(encodeControl({ type: "CHALLENGE_REQUEST", ringKey: id.slice(0, 16), flags }, NONCE), moved);
      expect(challenge).toHaveLength(1);
      const cookie = challenge[0]?.slice(16 + 1 + 18 + 2, 16 + 1 + 18 + 2 + 24) ?? new Uint8Array(24);
      const action = random.below(5) === 0 ? TRIGGER_ACTION.remove : TRIGGER_ACTION.insert;
      const message = servers[1].bench.trigger({ id, signer, from: moved, flags, action, cookie, counter: step - random.below(2) });
      const [answer] = same(encodeControl(message, NONCE), moved);
      if (answer?.[1] === CONTROL_TYPES.TRIGGER_OK && action === TRIGGER_ACTION.insert) shown.set(id, { index: 0, from: moved });
    } else {
      const index = Math.max(0, at.index + random.pick([1, 1, 1, 1, 2, 64, 65, 0, -1]));
      const whole = encodeControl({ type: "REFRESH", id, index, token: tokenAt(random.below(10) === 0 ? index + 1 : index), member: random.below(12) === 0 ? null : memberKey }, NONCE);
      const [answer] = same(random.below(6) === 0 ? whole.subarray(0, 16 + (whole[5] ?? 0)) : whole, from);
      refreshes += answer?.[1] === CONTROL_TYPES.TRIGGER_OK ? 1 : 0;
      if (answer?.[1] === CONTROL_TYPES.TRIGGER_OK || random.below(9) === 0) shown.set(id, { index: Math.max(at.index, index), from: at.from });
    }
    if (isInRing && step === STEPS - 60) servers.forEach((server, i) => server.say(peers[i] as RingPeer, { type: "LEAVING", from: (peers[i] as RingPeer).node, predecessor: null, successors: [server.bench.self] }));
    if (step === STEPS - 10) for (const { bench } of servers) bench.core.leave(bench.nowMs);
    const [leased, other] = servers.map(({ bench, answered }) => {
      bench.core.handleTimer(bench.nowMs);
      const { triggers, replicas } = bench.core.inspect();
      const { challenges = 0, ...counters } = bench.core.counters.snapshot();
      return { triggers, replicas, counters, challenges: challenges + answered.challenged };
    });
    expect(leased).toEqual(other);
  }
  // It was about something. The first refresh of each is the core's, and in the ring triggers come and go with the other server.
  expect(refreshes).toBeGreaterThan(STEPS / 25);
  expect([servers[0].answered.refreshed > (isInRing ? 0 : refreshes / 3), servers[0].answered.challenged > STEPS / 20, servers[1].answered]).toEqual([true, true, { refreshed: 0, challenged: 0 }]);
});

it("as many refreshes may be lost in the engine as in the core", () => expect(LIMITS.refreshSkip).toBe(REFRESH_MAX_SKIP));
