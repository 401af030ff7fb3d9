import { describe, expect, it } from "vitest";

import {
  CONTROL_TYPES, decodeControl, encodeControl, isRingMessage, makeLocator, sameBytes, sameLocator, type ControlMessage, type ControlType, type Locator, type RingNode,
} from "@i3/common";
import { DatapathError, type Datagram } from "@i3/datapath";

import { LEAVING_PAUSES_MS } from "../src/chord/constants.js";
import { inOpen, minusOne, plusPowerOfTwo } from "../src/chord/ring-key.js";
import { nameRecord } from "./records/some-records.js";
import { MEMBER, PairBench, RING } from "./pair-bench.js";
import { randomBytesFrom, seeded } from "./ring-net.js";
import { anyMember, memberWhere, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, KEY, NONCE, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const IPV6 = (last: number): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last), 5_000);
/** Some id of a ring key. */
const idAt = (ringKey: Uint8Array): Uint8Array => Uint8Array.from([...ringKey, ...new Uint8Array(16)]);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("a server alone", () => {
  it("owns all and answers PING and LOCATE itself", () => {
    const bench = new ServerBench();
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.ask({ type: "PING" })).toEqual({ type: "PONG", timeMs: WALL_MS + 1_000, observed: CLIENT, nodeKey: bench.self.key });
    const ringKey = new Uint8Array(16).fill(3);
    expect(bench.ask({ type: "LOCATE", ringKey })).toEqual({ type: "LOCATED", ringKey, node: bench.self });
  });

  it("tells CACHE naming itself, with the packet's nonce", () => {
    const bench = new ServerBench();
    const ringKey = new Uint8Array(16).fill(3);
    const [answer] = bench.upcall({ kind: "cache-request", id: idAt(ringKey), from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 1_000 });
    expect(decodeControl(answer?.bytes ?? NONCE)).toMatchObject({ nonce: NONCE, message: { type: "CACHE", ringKey, node: bench.self, lifeMs: 30_000 } });
  });

  it("claims nothing, locates nothing and takes no trigger before its members had their time", () => {
    const bench = new ServerBench({ ring: RING, members: [MEMBER] });
    bench.engine.take();
    expect(bench.engine.responsibility).toEqual({ kind: "range", from: minusOne(bench.self.key), to: bench.self.key });
    expect(bench.ask({ type: "LOCATE", ringKey: new Uint8Array(16) })).toBeNull();
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: new Uint8Array(16), flags: 0 })).toMatchObject({ type: "REFUSED", code: 1 });
    bench.advance(2_000);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.logged).toContain("alone");
  });

  it("whose members' names mean nothing yet waits for them as for silent ones, then serves alone and says so", () => {
    const bench = new ServerBench({ ring: RING, members: [], hasUnknownMembers: true });
    bench.advance(1_999);
    expect(bench.engine.responsibility).toEqual({ kind: "range", from: minusOne(bench.self.key), to: bench.self.key });
    expect(bench.ask({ type: "LOCATE", ringKey: new Uint8Array(16) })).toBeNull();
    expect(bench.logged).not.toContain("claims");
    bench.advance(1);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.logged.filter((event) => event === "alone" || event === "claims")).toEqual(["alone", "claims"]);
  });

  it("whose members' names get a meaning joins them, and gives them the time that they would have had at the start", () => {
    for (const afterMs of [1_900, 20_000]) {
      const bench = new PairBench({ members: [], hasUnknownMembers: true }, true);
      bench.live(afterMs);
      bench.isPeerSilent = true;
      bench.core.setMembers(bench.nowMs, [MEMBER]);
      bench.live(1_500);
      expect(bench.logged.includes("alone"), `${afterMs}`).toBe(afterMs > 2_000);
      bench.isPeerSilent = false;
      bench.live(500);
      expect(bench.logged, `${afterMs}`).toContain("joined");
    }
  });

  it("has no more time because its members are told again", () => {
    const bench = new ServerBench({ ring: RING, members: [MEMBER] });
    for (let i = 0; i < 4; i += 1) {
      bench.advance(500);
      bench.core.setMembers(bench.nowMs, [MEMBER]);
    }
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
  });

  it("that has just joined claims its keys at once when its successor, which still had their triggers, dies", () => {
    for (const dies of [true, false]) {
      const bench = new PairBench({}, true);
      bench.live(1_000);
      expect([bench.logged.includes("joined"), bench.logged.includes("claims")]).toEqual([true, false]);
      expect(bench.engine.responsibility).toEqual({ kind: "range", from: minusOne(bench.self.key), to: bench.self.key });
      bench.isPeerSilent = dies;
      bench.live(3_000);
      expect(bench.logged.includes("claims")).toBe(dies);
      expect(bench.engine.responsibility?.kind).toBe(dies ? "all" : "range");
      bench.live(3_000);
      expect(bench.logged.includes("claims")).toBe(true);
    }
  });

  it("that its ring takes back before it has asked, as after a restart, has joined: it does not claim its keys at once", () => {
    const bench = new PairBench({ members: [MEMBER] });
    bench.live(1_000);
    expect([bench.logged.includes("joined"), bench.logged.includes("claims")]).toEqual([true, false]);
    expect(bench.engine.responsibility).toEqual({ kind: "range", from: minusOne(bench.self.key), to: bench.self.key });
    bench.live(6_000);
    expect(bench.logged.includes("claims")).toBe(true);
    expect(bench.engine.responsibility).toEqual({ kind: "range", from: bench.peer.key, to: bench.self.key });
  });

  it("that was cut off from all, and is taken back before it has asked, has joined: others have had its keys", () => {
    const bench = new PairBench();
    bench.live(1_000);
    expect(bench.logged.filter((event) => event === "claims")).toHaveLength(1);
    bench.isPeerSilent = true;
    bench.live(3_000);
    expect(bench.logged).toContain("alone");
    bench.isPeerSilent = false;
    bench.playPeer(bench.ring(bench.played, { type: "NOTIFY", from: bench.peer }));
    bench.live(1_000);
    expect(bench.logged).toContain("joined");
    expect(bench.logged.filter((event) => event === "claims")).toHaveLength(1);
    bench.live(6_000);
    expect(bench.logged.filter((event) => event === "claims")).toHaveLength(2);
  });

  it("ignores answers and other ways round, and counts them", () => {
    const bench = new ServerBench();
    expect(bench.send({ type: "PONG", timeMs: 1, observed: CLIENT, nodeKey: bench.self.key })).toEqual([]);
    expect(bench.core.counters.get("wrong-direction")).toBe(1);
    expect(bench.sendBytes(Uint8Array.of(0x19, 1, 2))).toEqual([]);
    expect(bench.core.counters.get("malformed")).toBe(1);
  });
});

describe("routes", () => {
  it("a route-miss is looked up and the engine told where to send", () => {
    const bench = new PairBench();
    bench.upcall({ kind: "route-miss", ringKey: bench.peer.key, from: CLIENT });
    expect(bench.engine.nextServers.get(hex(bench.peer.key))).toEqual(MEMBER);
    expect(bench.engine.discarded).toEqual([]);
  });

  it("a route ends after 30 s, sooner when its server dies, and stays while somebody asks for it", () => {
    const bench = new PairBench();
    const route = () => bench.engine.nextServers.get(hex(bench.peer.key));
    const miss = () => bench.upcall({ kind: "route-miss", ringKey: bench.peer.key, from: CLIENT });
    miss();
    bench.live(29_900);
    expect(route()).toEqual(MEMBER);
    bench.live(200);
    expect(route()).toBeUndefined();
    miss();
    bench.live(25_000);
    bench.upcall({ kind: "cache-request", id: idAt(bench.peer.key), from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 1_000 });
    bench.live(25_000);
    expect(route()).toEqual(MEMBER);
    bench.isPeerSilent = true;
    bench.live(2_500);
    expect(route()).toBeUndefined();
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.core.counters.get("routes-dropped")).toBe(1);
  });

  describe.each([
    ["goes astray", (bench: PairBench, id: Uint8Array) => bench.upcall({ kind: "astray", id, from: CLIENT })],
    ["would go back to where it came from", (bench: PairBench, id: Uint8Array) => bench.upcall({ kind: "no-trigger", id, from: MEMBER, nonce: NONCE, forwarded: true, requestBytes: 200 })],
  ])("a route by which a packet %s", (_what, say) => {
    const refreshed = (bench: PairBench): number => bench.core.counters.get("routes-astray");

    it("is looked up again, no more often than once a second, and good until then", () => {
      const bench = new PairBench();
      const route = (): Locator | undefined => bench.engine.nextServers.get(hex(bench.peer.key));
      say(bench, bench.foreignId());
      expect(refreshed(bench)).toBe(0); // there is no route
      bench.upcall({ kind: "route-miss", ringKey: bench.peer.key, from: CLIENT });
      say(bench, bench.foreignId());
      expect(refreshed(bench)).toBe(0);
      bench.live(1_000);
      say(bench, bench.foreignId());
      say(bench, bench.foreignId());
      expect([refreshed(bench), route()]).toEqual([1, MEMBER]);
      bench.live(1_000);
      say(bench, bench.foreignId());
      expect([refreshed(bench), route(), bench.core.counters.get("routes-dropped")]).toEqual([2, MEMBER, 0]);
    });

    it("leads to where it should a moment later, when another has come between", () => {
      const bench = new PairBench();
      const ringKey = plusPowerOfTwo(bench.self.key, 90);
      bench.upcall({ kind: "route-miss", ringKey, from: CLIENT });
      bench.newcomer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000), memberWhere((key) => inOpen(ringKey, key, bench.peer.key)));
      bench.live(1_500);
      const route = (): Locator | undefined => bench.engine.nextServers.get(hex(ringKey));
      expect(route()).toEqual(MEMBER);
      say(bench, idAt(ringKey));
      expect(route()).toEqual(bench.newcomer.node.locator);
    });
  });

  it("a key that was left to the successor, when this server was new, is looked up again once another has come before it, whoever is the successor by then", () => {
    const bench = new PairBench({}, true);
    bench.live(100);
    const third = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 4), 4_000), memberWhere((key) => inOpen(bench.peer.key, key, bench.self.key)));
    const route = () => bench.engine.nextServers.get(hex(third.node.key));
    bench.upcall({ kind: "route-miss", ringKey: third.node.key, from: CLIENT });
    expect(route()).toEqual(MEMBER);
    bench.newcomer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000), memberWhere((key) => inOpen(bench.self.key, key, bench.peer.key)));
    bench.live(1_500);
    expect(bench.core.neighbours.successors[0]).toEqual(bench.newcomer.node);
    expect(route()).toEqual(MEMBER);
    bench.ring(third, { type: "NOTIFY", from: third.node });
    expect(bench.core.neighbours.predecessor).toEqual(third.node);
    expect(route()).toBeUndefined();
  });

  it("a packet that its sender has sent here, and one for an id of ours, say nothing about routes", () => {
    const bench = new PairBench();
    bench.upcall({ kind: "route-miss", ringKey: bench.peer.key, from: CLIENT });
    bench.live(1_000);
    for (const [id, forwarded] of [[bench.foreignId(), false], [idAt(bench.self.key), true]] as const) bench.upcall({ kind: "no-trigger", id, from: MEMBER, nonce: NONCE, forwarded, requestBytes: 200 });
    expect(bench.core.counters.get("routes-astray")).toBe(0);
  });

  it("packets for what nobody can find are discarded", () => {
    const bench = new ServerBench({ ring: RING, members: [MEMBER] });
    const ringKey = new Uint8Array(16);
    bench.upcall({ kind: "route-miss", ringKey, from: CLIENT });
    expect(bench.engine.discarded).toEqual([ringKey]);
    expect(bench.core.counters.get("lookups-failed")).toBe(1);
  });

  it("a full engine table discards what waits", () => {
    const bench = new PairBench();
    bench.engine.setNextServer = () => {
      throw new DatapathError("ERR_I3_TABLE_FULL", "full");
    };
    bench.upcall({ kind: "route-miss", ringKey: bench.peer.key, from: CLIENT });
    expect(bench.engine.discarded).toEqual([bench.peer.key]);
  });

  it("LOCATE names the responsible server, for a client's REFUSED 1 as well", () => {
    const bench = new PairBench();
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: bench.peer.key, flags: 0 })).toMatchObject({ type: "REFUSED", code: 1 });
    expect(bench.ask({ type: "REFRESH", id: bench.foreignId(), index: 1, token: tokenAt(1), member: null })).toMatchObject({ type: "REFUSED", code: 1 });
    expect(bench.ask({ type: "LOCATE", ringKey: bench.peer.key })).toEqual({ type: "LOCATED", ringKey: bench.peer.key, node: bench.peer });
  });

  it("LOCATE names the new server soon after a join, though an older route is still there for packets", () => {
    const bench = new PairBench();
    const ringKey = plusPowerOfTwo(bench.self.key, 90);
    bench.upcall({ kind: "route-miss", ringKey, from: CLIENT });
    const located = () => bench.answer("LOCATED", { type: "LOCATE", ringKey }).node;
    expect(located()).toEqual(bench.peer);
    const newcomer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000), memberWhere((key) => inOpen(ringKey, key, bench.peer.key)));
    bench.newcomer = newcomer;
    bench.live(1_500);
    expect(located()).toEqual(newcomer.node);
    expect(bench.engine.nextServers.get(hex(ringKey))).toEqual(newcomer.node.locator);
  });
});

describe("NOT_PRESENT", () => {
  const noTrigger = (bench: ServerBench, forwarded: boolean, requestBytes = 200) =>
    bench.upcall({ kind: "no-trigger", id: idOf(KEY), from: CLIENT, nonce: NONCE, forwarded, requestBytes });

  it("goes to where the packet came from, echoing its nonce", () => {
    const bench = new ServerBench();
    for (const forwarded of [false, true]) {
      const [answer] = noTrigger(bench, forwarded);
      expect(answer?.locator).toEqual(CLIENT);
      expect(decodeControl(answer?.bytes ?? NONCE)).toMatchObject({ nonce: NONCE, message: { type: "NOT_PRESENT", id: idOf(KEY) } });
    }
    expect(noTrigger(bench, false, 48)).toEqual([]);
    expect(bench.core.counters.get("amplification")).toBe(1);
  });

  it("is passed on to the sender whose nonce and key it echoes, once in 100 ms and for 30 s", () => {
    const bench = new PairBench();
    const id = bench.foreignId();
    const notPresent = (nonce = NONCE, about = id) => bench.sendBytes(encodeControl({ type: "NOT_PRESENT", id: about }, nonce), MEMBER);
    bench.upcall({ kind: "cache-request", id: idAt(bench.peer.key), from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 200 });
    expect(notPresent(Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9))).toEqual([]);
    expect(notPresent(NONCE, idOf(KEY))).toEqual([]);
    const [passed, ...more] = notPresent();
    expect(more).toEqual([]);
    expect(passed?.locator).toEqual(CLIENT);
    expect(decodeControl(passed?.bytes ?? NONCE)).toMatchObject({ nonce: NONCE, message: { type: "NOT_PRESENT", id } });
    expect(notPresent()).toEqual([]);
    bench.live(100);
    expect(notPresent()).toHaveLength(1);
    bench.live(30_000);
    expect(notPresent()).toEqual([]);
    expect(bench.core.counters.get("not-present-passed")).toBe(2);
    expect(bench.core.counters.get("not-present-unknown")).toBe(4);
  });

  it("of whoever knows nonce and key, but is not the server that the packets go on to, is not passed: 0 got through", () => {
    const bench = new PairBench();
    const id = bench.foreignId();
    const newcomer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000));
    bench.ring(newcomer, { type: "ALIVE", from: newcomer.node });
    const { address, port } = MEMBER;
    const forgers = [THIEF, CLIENT, newcomer.node.locator, bench.self.locator, makeLocator(address, port + 1), IPV6(1)];
    const passed = (from: Locator): number => bench.sendBytes(encodeControl({ type: "NOT_PRESENT", id }, NONCE), from).filter(({ bytes }) => decodeControl(bytes).message.type === "NOT_PRESENT").length;
    const forge = (): number => forgers.reduce((sum, from) => sum + passed(from), 0);
    bench.core.handleUpcalls(bench.nowMs, [{ kind: "cache-request", id, from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 200 }]);
    let through = forge(); // while the server of the key is looked for
    bench.playPeer();
    through += forge();
    bench.live(15_000);
    through += forge();
    expect(through).toBe(0);
    expect(bench.core.counters.get("not-present-unknown")).toBe(3 * forgers.length);
    expect(passed(MEMBER)).toBe(1); // and it cost the right one nothing
  });

  it("of whoever sends as the server that the packets go on to, but has not seen their nonce, is not passed: 0 of 1,064 got through", () => {
    const bench = new PairBench();
    const id = bench.foreignId();
    bench.upcall({ kind: "cache-request", id, from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 4_000 });
    const passed = (nonce: Uint8Array): number => bench.sendBytes(encodeControl({ type: "NOT_PRESENT", id }, nonce), MEMBER).length;
    const random = randomBytesFrom(seeded(64));
    const nonces = [...Array.from({ length: 64 }, (_, bit) => NONCE.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))), ...Array.from({ length: 1_000 }, () => random(8))];
    expect(nonces.reduce((sum, nonce) => sum + passed(nonce), 0)).toBe(0);
    expect(bench.core.counters.get("not-present-unknown")).toBe(1_064);
    expect(passed(NONCE)).toBe(1);
  });
});

it("CACHE and NOT_PRESENT together are not larger than the packets that they answer", () => {
  const bench = new PairBench();
  const id = bench.foreignId();
  const ask = (): Datagram[] => bench.upcall({ kind: "cache-request", id: idAt(bench.peer.key), from: CLIENT, nonce: NONCE, shortcutOk: false, requestBytes: 100 });
  const notPresent = (): Datagram[] => bench.sendBytes(encodeControl({ type: "NOT_PRESENT", id }, NONCE), MEMBER);
  const [cache] = ask();
  expect(decodeControl(cache?.bytes ?? NONCE).message.type).toBe("CACHE");
  expect(notPresent()).toEqual([]);
  expect(bench.core.counters.get("amplification")).toBe(1);
  let got = cache?.bytes.length ?? 0;
  for (const { bytes } of ask()) got += bytes.length;
  for (let i = 0; i < 5; i += 1) {
    bench.live(100);
    for (const { bytes } of notPresent()) got += bytes.length;
  }
  expect(got).toBeLessThanOrEqual(200);
});

describe("messages between servers", () => {
  const from = (bench: ServerBench): RingNode => ({ key: plusPowerOfTwo(bench.self.key, 100), locator: THIEF });

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["without MAC", () => encodeControl({ type: "NOTIFY", from: { key: new Uint8Array(16), locator: THIEF } }, NONCE)],
    ["with a changed byte", (bytes) => bytes.map((byte, i) => (i === 41 ? byte ^ 1 : byte))],
    ["with a changed nonce", (bytes) => bytes.map((byte, i) => (i === 8 ? byte ^ 1 : byte))],
    ["with a cut MAC", (bytes) => bytes.subarray(0, -1)],
    ["with the MAC flag taken away", (bytes) => bytes.map((byte, i) => (i === 2 ? 0 : byte))],
  ])("%s change nothing and are counted", (_name, change) => {
    const bench = new ServerBench({ ring: RING });
    const peer = new RingPeer(MEMBER);
    bench.meet(peer);
    const good = peer.seal(bench.nowMs, bench.self, { type: "NOTIFY", from: peer.node }, NONCE);
    expect(bench.sendBytes(change(good), THIEF)).toEqual([]);
    expect(bench.core.counters.get("mac") + bench.core.counters.get("malformed")).toBe(1);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    bench.sendBytes(good, MEMBER);
    expect(bench.engine.responsibility).toMatchObject({ kind: "range" });
  });

  it("of who was not met are answered with HELLO_AGAIN, and the ring knows nothing of them", () => {
    const bench = new ServerBench({ ring: RING });
    const other = new ServerBench({ ring: anyMember() });
    const peer = new RingPeer(MEMBER);
    other.meet(peer);
    const answers = bench.sendBytes(peer.seal(0, other.self, { type: "NOTIFY", from: peer.node }, NONCE), THIEF);
    expect(answers.map(({ locator, bytes }) => [locator, decodeControl(bytes)])).toEqual([[THIEF, { message: { type: "HELLO_AGAIN", counter: 1 }, nonce: NONCE, mac: null }]]);
    expect(bench.core.counters.get("session")).toBe(1);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
  });

  it("recorded and sent again change and tell nothing", () => {
    const bench = new ServerBench({ ring: RING });
    const peer = new RingPeer(MEMBER);
    bench.meet(peer);
    const captured = (["STATE", "NOTIFY"] as const).map((type) => peer.seal(bench.nowMs, bench.self, { type, from: peer.node }, NONCE));
    expect(bench.sendBytes(captured[0] as Uint8Array, THIEF).map(({ locator }) => locator)).toEqual([MEMBER]);
    bench.sendBytes(captured[1] as Uint8Array, THIEF);
    expect(bench.engine.responsibility).toMatchObject({ kind: "range" });
    bench.advance(10_000);
    bench.engine.take();
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    for (const bytes of captured) expect(bench.sendBytes(bytes, THIEF)).toEqual([]);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.core.counters.get("replay")).toBe(2);
  });

  it("are all refused by a server without a ring", () => {
    const bench = new ServerBench();
    for (const message of [{ type: "FIND", from: from(bench), ringKey: bench.self.key }, { type: "HELLO", credential: RING.credential.bytes }] as const) expect(bench.send(message)).toEqual([]);
    expect(bench.core.counters.get("session")).toBe(2);
  });

  it("are of the credential's place: a server cannot take another", () => {
    expect(() => new ServerBench({ ring: RING, self: { key: new Uint8Array(16), locator: MEMBER } })).toThrow(/not the credential's/);
  });

  it("PING is answered once the server has joined, or is settled alone; what comes before is counted", () => {
    const alone = new ServerBench({ ring: RING, members: [MEMBER] });
    alone.advance(1_999);
    alone.engine.take();
    expect(alone.ask({ type: "PING" })).toBeNull();
    expect(alone.core.counters.get("not-settled")).toBe(1);
    alone.advance(1);
    alone.engine.take();
    expect(alone.ask({ type: "PING" })).toMatchObject({ type: "PONG" });
    const joined = new PairBench({}, true);
    joined.live(100);
    expect(joined.ask({ type: "PING" })).toMatchObject({ type: "PONG" });
    expect([alone, joined].map(({ core }) => core.counters.get("not-settled"))).toEqual([1, 0]);
  });

  it("who is responsible, and has the replicas, is what the engine answers refreshes by; once it leaves, it answers none", () => {
    expect(new ServerBench().engine.answers).toEqual({ range: { kind: "all" }, replicas: [], lifeMs: 30_000 });
    const alone = new ServerBench({ ring: RING, members: [MEMBER] });
    expect(alone.engine.answers).toMatchObject({ range: { kind: "none" }, replicas: [] });
    const bench = new PairBench();
    expect(bench.engine.answers).toEqual({ range: { kind: "range", from: bench.peer.key, to: bench.self.key }, replicas: [MEMBER], lifeMs: 30_000 });
    bench.core.leave(bench.nowMs);
    expect(bench.engine.answers).toMatchObject({ range: { kind: "none" } });
  });

  it("leave: the neighbours are told five times, then it has left and answers the ring no more", () => {
    const bench = new PairBench();
    bench.core.leave(bench.nowMs);
    for (const pauseMs of LEAVING_PAUSES_MS) bench.advance(pauseMs);
    const sent = bench.engine.take();
    const leaving = sent.map(({ bytes }) => decodeControl(bytes).message.type);
    expect(leaving).toEqual(Array(5).fill("LEAVING")); // the neighbour is both successor and predecessor
    expect(bench.core.hasLeft).toBe(false); // for clients, until they have seen that it answers no more
    expect(bench.ask({ type: "PING" })).toBeNull();
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: bench.self.key, flags: 0 })).toMatchObject({ type: "REFUSED", code: 1 });
    bench.isPeerSilent = true;
    bench.advance(3_000);
    expect(bench.core.hasLeft).toBe(true);
    bench.engine.take();
    expect(bench.sendBytes(bench.played.seal(bench.nowMs, bench.self, { type: "STATE", from: bench.peer }, NONCE))).toEqual([]);
  });
});

describe("no reply is larger than its request", () => {
  const member = anyMember();
  const from: RingNode = { key: member.credential.nodeKey, locator: IPV6(2) };
  const id = idOf(KEY);
  const key = id.slice(0, 16);
  const MINIMAL: Readonly<Record<ControlType, (bench: ServerBench) => ControlMessage>> = {
    PING: () => ({ type: "PING" }),
    PONG: () => ({ type: "PONG", timeMs: 0, observed: CLIENT, nodeKey: key }),
    LOCATE: () => ({ type: "LOCATE", ringKey: key }),
    LOCATED: () => ({ type: "LOCATED", ringKey: key, node: from }),
    CHALLENGE_REQUEST: () => ({ type: "CHALLENGE_REQUEST", ringKey: key, flags: 0 }),
    CHALLENGE: () => ({ type: "CHALLENGE", ringKey: key, cookie: new Uint8Array(24), observed: CLIENT, timeMs: 0, nodeKey: key }),
    TRIGGER: (bench) => bench.trigger({ from: IPV6(1) }),
    TRIGGER_OK: () => ({ type: "TRIGGER_OK", action: 1, id, lifeMs: 0, replica: null }),
    REFRESH: () => ({ type: "REFRESH", id, index: 1, token: tokenAt(1), member: null }),
    REFUSED: () => ({ type: "REFUSED", code: 1, subject: id }),
    NOT_PRESENT: () => ({ type: "NOT_PRESENT", id }),
    CACHE: () => ({ type: "CACHE", ringKey: key, node: from, lifeMs: 0 }),
    SHORTCUT: () => ({ type: "SHORTCUT", id, target: CLIENT }),
    PROVE: () => ({ type: "PROVE", id }),
    PROOF: () => ({ type: "PROOF", id, token: key, keyKind: 2, publicKey: KEY.publicKey, signature: new Uint8Array(64) }),
    PROBE: () => ({ type: "PROBE", id }),
    PROBED: () => ({ type: "PROBED", id, token: key }),
    CHECK: () => ({ type: "CHECK", spi: 256, flags: 0, mac: key }),
    CHECKED: () => ({ type: "CHECKED", spi: 256, observed: CLIENT, mac: key }),
    FIND: () => ({ type: "FIND", from, ringKey: key }),
    FOUND: () => ({ type: "FOUND", from, final: true, node: from }),
    STATE: () => ({ type: "STATE", from }),
    STATE_IS: () => ({ type: "STATE_IS", from, pending: false, predecessor: null, successors: [] }),
    NOTIFY: () => ({ type: "NOTIFY", from }),
    ALIVE: () => ({ type: "ALIVE", from }),
    ALIVE_YES: () => ({ type: "ALIVE_YES", from }),
    LEAVING: () => ({ type: "LEAVING", from, predecessor: null, successors: [] }),
    ROUTE: () => ({ type: "ROUTE", from, ringKey: key, asker: from, last: false, hops: 1, credential: member.credential.bytes }),
    ROUTED: () => ({ type: "ROUTED", from, hops: 255, credential: null }),
    HELLO: () => ({ type: "HELLO", credential: member.credential.bytes }),
    HELLO_YES: () => ({ type: "HELLO_YES", credential: member.credential.bytes }),
    HELLO_AGAIN: () => ({ type: "HELLO_AGAIN", counter: 1 }),
    RECORD_PUT: () => ({ type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: nameRecord().bytes }),
    RECORD_GET: () => ({ type: "RECORD_GET", flags: 0, ringKey: key }),
    RECORD_OK: () => ({ type: "RECORD_OK", ringKey: key, sequence: 0, lifeMs: 0, successor: null }),
    RECORD_IS: () => ({ type: "RECORD_IS", ringKey: key, record: null, successor: null }),
  };
  const ANSWERED: readonly ControlType[] = ["PING", "LOCATE", "CHALLENGE_REQUEST", "TRIGGER", "REFRESH", "FIND", "ROUTE", "STATE", "ALIVE", "HELLO", "RECORD_PUT", "RECORD_GET"];

  /** A server over IPv6, whose answers are the longest. */
  const makeBench = (): ServerBench => new ServerBench({ ring: RING, self: { key: RING.credential.nodeKey, locator: IPV6(1) } });

  it.each(Object.keys(CONTROL_TYPES) as ControlType[])("%s, as short as its encoding allows and cut to its body", (type) => {
    const padded = makeBench();
    const whole = encodeMinimal(padded, type);
    const answers = padded.sendBytes(whole, IPV6(1)).filter(({ bytes }) => sameBytes(decodeControl(bytes).nonce, NONCE));
    for (const { bytes } of answers) expect(bytes.length).toBeLessThanOrEqual(whole.length);
    expect(answers.length, "answered at its usual length").toBe(ANSWERED.includes(type) ? 1 : 0);

    const bare = makeBench();
    const cut = withoutPadding(encodeMinimal(bare, type));
    for (const { bytes } of bare.sendBytes(cut, IPV6(1)).filter(({ bytes: b }) => sameBytes(decodeControl(b).nonce, NONCE))) {
      expect(bytes.length).toBeLessThanOrEqual(cut.length);
    }
  });

  it("holds for STATE in a ring with a full successor list over IPv6", () => {
    const bench = makeBench();
    const head = memberWhere((key) => !inOpen(bench.self.key, key, plusPowerOfTwo(bench.self.key, 120)));
    const peer = new RingPeer(IPV6(9), head);
    const successors = Array.from({ length: 7 }, (_, i) => ({ key: plusPowerOfTwo(peer.node.key, 60 + i), locator: IPV6(10 + i) }));
    const query = bench.ring(peer, { type: "NOTIFY", from: peer.node }).map(({ bytes }) => decodeControl(bytes)).find(({ message }) => message.type === "STATE");
    bench.ring(peer, { type: "STATE_IS", from: peer.node, pending: false, predecessor: null, successors }, query?.nonce ?? NONCE);
    const request = peer.seal(bench.nowMs, bench.self, { type: "STATE", from: peer.node }, NONCE);
    const answers = bench.sendBytes(request).filter(({ locator }) => sameLocator(locator, IPV6(9)));
    expect(answers).toHaveLength(1);
    const answer = answers[0]?.bytes ?? NONCE;
    expect(decodeControl(answer).message).toMatchObject({ type: "STATE_IS", successors: [peer.node, ...successors], predecessor: peer.node });
    expect(answer.length).toBeLessThanOrEqual(request.length);
  });

  function encodeMinimal(bench: ServerBench, type: ControlType): Uint8Array {
    const message = MINIMAL[type](bench);
    if (!isRingMessage(type) || type.startsWith("HELLO")) return encodeControl(message, NONCE);
    const peer = new RingPeer(from.locator, member);
    bench.meet(peer);
    return peer.seal(bench.nowMs, bench.self, message, NONCE);
  }

  /** What a careless or captured client could send; between servers padding is under the MAC, and a shorter one is worth nothing. */
  function withoutPadding(bytes: Uint8Array): Uint8Array {
    return bytes.subarray(0, 16 + (bytes[4] ?? 0) * 256 + (bytes[5] ?? 0));
  }
});
