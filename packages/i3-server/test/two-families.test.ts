/** Servers with a locator of each family (docs/wire.md §4.2, "Two families"): each client is told the one that it can use, and none that nobody has seen. */
import { decodeControl, encodeControl, makeLocator, recordKey, REFUSAL, sameLocator, TRIGGER_FLAG, type ControlMessage, type Locator } from "@i3/common";
import type { Datagram } from "@i3/datapath";
import { beforeEach, describe, expect, it } from "vitest";

import { inHalfOpen } from "../src/chord/ring-key.js";
import { anyMember, memberWhere, RingPeer } from "./ring-peer.js";
import { CLIENT, idOf, KEY, NONCE, ServerBench } from "./server-bench.js";

const ID = idOf(KEY);
const PREFIX = ID.slice(0, 16);
const ipv6 = (last: number): Locator => makeLocator(Uint8Array.from([0x20, 1, 0xd, 0xb8, ...new Uint8Array(11), last]), 5_610);
const [OWN, PEERS, CLIENT6, ELSEWHERE] = [ipv6(1), ipv6(2), ipv6(3), ipv6(4)];
const PING_BYTES = 96;
const LOCATE = { type: "LOCATE", ringKey: PREFIX } as const;

/** A server in a ring of two, whose other one has, or has not, the key of the tests' id. */
class World {
  readonly bench: ServerBench;
  readonly peer: RingPeer;
  /** What the peer says of itself. */
  other: Locator | null = PEERS;
  /** What comes back from there. */
  pong: (nonce: Uint8Array) => { readonly nonce: Uint8Array; readonly nodeKey: Uint8Array; readonly from: Locator } | null;
  pings: { readonly atMs: number; readonly to: Locator; readonly bytes: number }[] = [];
  #heard: { readonly to: Locator; readonly message: ControlMessage }[] = [];

  constructor(peerHasKey: boolean, own: Locator | null = OWN) {
    const membership = anyMember();
    const self = { key: membership.credential.nodeKey, locator: makeLocator(Uint8Array.of(10, 0, 0, 1), 4_000), ...(own === null ? {} : { other: own }) };
    const place = memberWhere((key) => inHalfOpen(self.key, PREFIX, key) === peerHasKey);
    this.peer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000), place);
    this.pong = (nonce) => ({ nonce, nodeKey: this.peer.node.key, from: PEERS });
    this.bench = new ServerBench({ ring: membership, self, members: [this.peer.node.locator] });
  }

  join(): this {
    this.pump(this.bench.engine.take());
    this.pass(3_000);
    this.say({ type: "NOTIFY", from: this.#sender() });
    this.pass(7_000);
    return this;
  }

  pass(durationMs: number): void {
    for (let left = durationMs; left > 0; left -= 50) {
      this.bench.advance(50);
      this.pump(this.bench.engine.take());
    }
  }

  /** What a client is told; null: nothing. */
  ask(message: ControlMessage, from: Locator): ControlMessage | null {
    this.pump(this.bench.send(message, from));
    return this.toldTo(from);
  }

  toldTo(client: Locator): ControlMessage | null {
    const told = this.#heard.filter(({ to }) => sameLocator(to, client));
    this.#heard = [];
    return told.at(-1)?.message ?? null;
  }

  say(message: ControlMessage, nonce: Uint8Array = NONCE): void {
    this.bench.meet(this.peer);
    this.pump(this.bench.sendBytes(this.peer.seal(this.bench.nowMs, this.bench.self, message, nonce), this.peer.node.locator));
  }

  pump(datagrams: readonly Datagram[]): void {
    for (const { locator, bytes } of datagrams) {
      if (sameLocator(locator, this.peer.node.locator)) this.#hear(bytes);
      else if (decodeControl(bytes).message.type === "PING") this.#answerPing(locator, bytes);
      else this.#heard.push({ to: locator, message: decodeControl(bytes).message });
    }
  }

  #sender() {
    return this.other === null ? this.peer.node : { ...this.peer.node, other: this.other };
  }

  #hear(bytes: Uint8Array): void {
    const { message, nonce, sent } = this.peer.take(this.bench.nowMs, this.bench.self.locator, bytes);
    for (const answer of sent) this.pump(this.bench.sendBytes(answer, this.peer.node.locator));
    const from = this.#sender();
    if (message?.type === "FIND") this.say({ type: "FOUND", from, final: true, node: this.peer.node }, nonce);
    if (message?.type === "ROUTE") this.say({ type: "ROUTED", from, hops: 1, credential: null }, nonce);
    if (message?.type === "STATE") this.say({ type: "STATE_IS", from, pending: false, predecessor: this.bench.self, successors: [this.bench.self] }, nonce);
    if (message?.type === "ALIVE") this.say({ type: "ALIVE_YES", from }, nonce);
  }

  #answerPing(to: Locator, bytes: Uint8Array): void {
    this.pings.push({ atMs: this.bench.nowMs, to, bytes: bytes.length });
    const answer = this.pong(decodeControl(bytes).nonce);
    if (answer !== null) this.pump(this.bench.sendBytes(encodeControl({ type: "PONG", timeMs: 0, observed: OWN, nodeKey: answer.nodeKey }, answer.nonce), answer.from));
  }
}

describe("where the server of a key is", () => {
  let world: World;
  beforeEach(() => (world = new World(true).join()));
  const located = (locator: Locator) => ({ type: "LOCATED", ringKey: PREFIX, node: { key: world.peer.node.key, locator } });

  it("is told in the asker's family", () => {
    expect(world.ask(LOCATE, CLIENT6)).toEqual(located(PEERS));
    expect(world.ask(LOCATE, CLIENT)).toEqual(located(world.peer.node.locator));
    expect(world.pings.every(({ to, bytes }) => sameLocator(to, PEERS) && bytes === PING_BYTES)).toBe(true);
  });

  it("is no stranger to hosts by TCP in either family, unless it says that it is on this machine", () => {
    const isServer = (locator: Locator): boolean => world.bench.core.isServer(world.bench.nowMs, locator);
    expect([world.peer.node.locator, PEERS, ELSEWHERE].map(isServer)).toEqual([true, true, false]);
    for (const other of [makeLocator(new Uint8Array(16).with(15, 1), 5_610), makeLocator(OWN.address, 22)]) {
      world.other = other;
      world.say({ type: "NOTIFY", from: { ...world.peer.node, other } });
      expect(isServer(other)).toBe(false);
    }
  });

  it("is at the last four places alone where it only says that it is, for hosts by TCP", () => {
    const said = Array.from({ length: 6 }, (_, i) => ipv6(0x80 + i));
    for (const other of said) world.say({ type: "NOTIFY", from: { ...world.peer.node, other } });
    expect([world.peer.node.locator, ...said].map((locator) => world.bench.core.isServer(world.bench.nowMs, locator))).toEqual([true, false, false, true, true, true, true]);
  });

  it("is, for hosts by TCP, not wherever its datagrams seem to come from", () => {
    const { bench, peer } = world;
    const sayFrom = (source: Locator): void => void bench.sendBytes(peer.seal(bench.nowMs, bench.self, { type: "NOTIFY", from: peer.node }, NONCE), source);
    const isServer = (locator: Locator): boolean => bench.core.isServer(bench.nowMs, locator);
    const machine = makeLocator(Uint8Array.of(127, 0, 0, 1), 5_610);
    sayFrom(machine);
    expect(isServer(machine)).toBe(false);
    const forged = Array.from({ length: 100 }, (_, i) => makeLocator(Uint8Array.of(198, 51, 100, i), 5_610));
    for (const source of forged) sayFrom(source);
    expect(forged.filter(isServer).length).toBeLessThanOrEqual(4);
    expect(isServer(peer.node.locator)).toBe(true);
  });

  it("is on this machine's address at another port only when it has sent from there", () => {
    const at = makeLocator(world.bench.self.locator.address, 22);
    world.other = at;
    world.say({ type: "NOTIFY", from: { ...world.peer.node, other: at } });
    expect(world.bench.core.isServer(world.bench.nowMs, at)).toBe(false);
    const beside = new RingPeer(at);
    world.bench.ring(beside, { type: "NOTIFY", from: beside.node });
    expect(world.bench.core.isServer(world.bench.nowMs, at)).toBe(true);
    const within = new RingPeer(makeLocator(Uint8Array.of(127, 0, 0, 1), 22));
    world.bench.ring(within, { type: "NOTIFY", from: within.node });
    expect(world.bench.core.isServer(world.bench.nowMs, within.node.locator)).toBe(false);
  });

  it("is told by CACHE as well, and a receiver of the other family by no SHORTCUT", () => {
    const asked = (from: Locator, shortcutOk: boolean): ControlMessage | null => {
      world.pump(world.bench.upcall({ kind: "cache-request", id: ID, from, nonce: NONCE, shortcutOk, requestBytes: 200 }));
      return world.toldTo(from);
    };
    expect(asked(CLIENT6, false)).toMatchObject({ type: "CACHE", node: { locator: PEERS } });
    expect(asked(CLIENT, false)).toMatchObject({ type: "CACHE", node: { locator: world.peer.node.locator } });
    world = new World(false).join();
    const { bench } = world;
    expect(world.ask(bench.trigger({ flags: TRIGGER_FLAG.shortcut, from: CLIENT6 }), CLIENT6)).toMatchObject({ type: "TRIGGER_OK" });
    expect(asked(CLIENT, true)).toMatchObject({ type: "CACHE", node: { locator: bench.self.locator } });
    expect(asked(ipv6(9), true)).toMatchObject({ type: "SHORTCUT", target: CLIENT6 });
  });

  it("is refused, and counted, when it has no address of that family", () => {
    world = new World(true);
    world.other = null;
    world.join();
    expect(world.ask(LOCATE, CLIENT6)).toEqual({ type: "REFUSED", code: REFUSAL.otherFamily, subject: PREFIX });
    expect(world.bench.core.counters.get("other-family")).toBeGreaterThan(0);
    expect(world.ask(LOCATE, CLIENT)).toEqual(located(world.peer.node.locator));
    expect(world.pings).toEqual([]);
    const alone = new World(false, null).join();
    expect(alone.ask(LOCATE, CLIENT6)).toMatchObject({ type: "REFUSED", code: REFUSAL.otherFamily });
  });

  it("changes with what the server says", () => {
    world.ask(LOCATE, CLIENT6);
    world.other = ELSEWHERE;
    world.pong = (nonce) => ({ nonce, nodeKey: world.peer.node.key, from: ELSEWHERE });
    world.pass(1_000);
    expect(world.ask(LOCATE, CLIENT6)).toEqual(located(ELSEWHERE));
  });
});

describe("the server that takes over", () => {
  it("is named in the owner's family: by TRIGGER_OK, by what the engine answers refreshes with, and by RECORD_IS", () => {
    const world = new World(false).join();
    const { bench, peer } = world;
    const first = peer.node.locator;
    expect(bench.engine.answers?.replicas).toEqual([first, PEERS]);
    expect(world.ask(bench.trigger({ from: CLIENT }), CLIENT)).toMatchObject({ type: "TRIGGER_OK", replica: first });
    expect(world.ask(bench.trigger({ from: CLIENT6, counter: 2 }), CLIENT6)).toMatchObject({ type: "TRIGGER_OK", replica: PEERS });
    const ringKey = recordKey({ kind: 1, signer: new Uint8Array(32), label: "" });
    const get = { type: "RECORD_GET", flags: 1, ringKey } as const;
    expect(world.ask(get, CLIENT)).toMatchObject({ successor: first });
    expect(world.ask(get, CLIENT6)).toMatchObject({ successor: PEERS });
  });

  it("is none for owners of a family that it has no address of", () => {
    const world = new World(false);
    world.other = null;
    world.join();
    expect(world.bench.engine.answers?.replicas).toEqual([world.peer.node.locator]);
    expect(world.ask(world.bench.trigger({ from: CLIENT6 }), CLIENT6)).toMatchObject({ type: "TRIGGER_OK", replica: null });
  });
});

describe("a member that claims another's address", () => {
  /** 60 s in which clients of that family ask twice a second. */
  const askOn = (world: World): readonly (ControlMessage | null)[] => Array.from({ length: 120 }, () => {
    world.pass(500);
    return world.ask(LOCATE, CLIENT6);
  });

  it.each<[string, (world: World) => World["pong"]]>([
    ["that is silent", () => () => null],
    ["that answers from somewhere else", ({ peer }) => (nonce) => ({ nonce, nodeKey: peer.node.key, from: ELSEWHERE })],
    ["where another server is", () => (nonce) => ({ nonce, nodeKey: new Uint8Array(16), from: PEERS })],
    ["and guesses what it was asked", ({ peer }) => () => ({ nonce: NONCE, nodeKey: peer.node.key, from: PEERS })],
  ])("%s gets nobody sent there, and a PING now and then", (_where, pongOf) => {
    const world = new World(true);
    world.pong = pongOf(world);
    world.join();
    world.pings = [];
    expect(askOn(world).every((answer) => answer === null)).toBe(true);
    expect(world.bench.core.counters.get("other-unproven")).toBeGreaterThan(0);
    expect(world.pings.length).toBeLessThanOrEqual(8);
    expect(world.pings.every(({ bytes }) => bytes === PING_BYTES)).toBe(true);
  });

  it("and another one each time has no more PINGs sent than two a second", () => {
    const world = new World(true).join();
    world.pings = [];
    for (let i = 0; i < 100; i += 1) {
      world.other = i % 2 === 0 ? ELSEWHERE : PEERS;
      world.say({ type: "NOTIFY", from: { ...world.peer.node, other: world.other } });
      world.ask(LOCATE, CLIENT6);
      world.bench.advance(50);
    }
    expect(world.pings.length).toBeLessThanOrEqual(12);
  });

  it("is believed for a minute at most when it was there", () => {
    const world = new World(true).join();
    expect(world.ask(LOCATE, CLIENT6)).toMatchObject({ type: "LOCATED" });
    world.pong = () => null;
    world.pass(61_000);
    expect(world.ask(LOCATE, CLIENT6)).toBe(null);
    expect(world.bench.engine.answers?.replicas).toEqual([world.peer.node.locator]);
  });
});
