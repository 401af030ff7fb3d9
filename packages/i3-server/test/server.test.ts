import { createHmac } from "node:crypto";

import { describe, expect, it } from "vitest";

import {
  CONTROL_TYPES, decodeControl, encodeControl, isRingMessage, makeLocator, sameBytes, sameLocator, type ControlMessage, type ControlType, type Locator, type RingNode,
} from "@i3/common";
import { DatapathError, type Datagram, type Upcall } from "@i3/datapath";

import { isRingMacRight, sealRingMessage, type ServerCoreInit } from "../src/index.js";
import { minusOne, plusPowerOfTwo } from "../src/chord/ring-key.js";
import { CLIENT, idOf, KEY, NONCE, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const SECRET = new TextEncoder().encode("a ring secret of enough bytes");
const OTHER_SECRET = new TextEncoder().encode("another secret of enough bytes");
const MEMBER = makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000);
const IPV6 = (last: number): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last), 5_000);
const peerOf = (bench: ServerBench, bit = 100, locator = MEMBER): RingNode => ({ key: plusPowerOfTwo(bench.self.key, bit), locator });
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** A server that has one neighbour, which the test plays. */
class PairBench extends ServerBench {
  readonly peer: RingNode;
  isPeerSilent = false;
  /** A second neighbour, between the server and the first, when it is there. */
  newcomer: RingNode | null = null;

  constructor(init: Partial<ServerCoreInit> = {}) {
    super({ ringSecret: SECRET, ...init });
    this.peer = peerOf(this);
    this.ring({ type: "NOTIFY", from: this.peer });
    this.playPeer();
  }

  ring(message: ControlMessage, nonce = NONCE, secret = SECRET, from = MEMBER) {
    return this.sendBytes(sealRingMessage(message, nonce, secret, this.self.key), from);
  }

  /** What the server sends for others than its neighbour, which is played. */
  override upcall(upcall: Upcall): Datagram[] {
    return this.playPeer(super.upcall(upcall));
  }

  /** Answers what the server asks its neighbour until it asks no more; returns what else it sent. */
  playPeer(first: readonly Datagram[] = []): Datagram[] {
    const others: Datagram[] = [];
    for (let sent = [...first, ...this.engine.take()]; sent.length > 0; sent = this.engine.take()) {
      for (const datagram of sent) {
        const { message, nonce } = decodeControl(datagram.bytes);
        const answer = this.isPeerSilent ? null : this.#answer(message, datagram.locator);
        if (answer !== null) this.core.handleUpcalls(this.nowMs, [{ kind: "control", from: MEMBER, bytes: sealRingMessage(answer, nonce, SECRET, this.self.key) }]);
        else if (this.isPeerSilent || !isRingMessage(message.type)) others.push(datagram);
      }
    }
    return others;
  }

  #answer(message: ControlMessage, to: Locator): ControlMessage | null {
    const { newcomer, peer, self } = this;
    const isNewcomer = newcomer !== null && sameLocator(to, newcomer.locator);
    const from = isNewcomer ? newcomer : peer;
    const [predecessor, successors] = isNewcomer ? [self, [peer, self]] : [newcomer ?? self, [self]];
    if (message.type === "STATE") return { type: "STATE_IS", from, pending: false, predecessor, successors };
    if (message.type === "FIND") return { type: "FOUND", from, final: true, node: from };
    return message.type === "ALIVE" ? { type: "ALIVE_YES", from } : null;
  }

  /** An id of the neighbour's. */
  foreignId(suffix = 1): Uint8Array {
    return Uint8Array.from([...this.peer.key, ...new Uint8Array(16).fill(suffix)]);
  }

  /** Runs on with the neighbour alive. */
  live(durationMs: number): void {
    for (let left = durationMs; left > 0; left -= 100) {
      this.advance(100);
      this.playPeer();
    }
  }
}

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
    const [answer] = bench.upcall({ kind: "cache-request", ringKey, from: CLIENT, nonce: NONCE, requestBytes: 1_000 });
    expect(decodeControl(answer?.bytes ?? NONCE)).toMatchObject({ nonce: NONCE, message: { type: "CACHE", ringKey, node: bench.self, lifeMs: 30_000 } });
  });

  it("claims nothing, locates nothing and takes no trigger before its members had their time", () => {
    const bench = new ServerBench({ ringSecret: SECRET, members: [MEMBER] });
    bench.engine.take();
    expect(bench.engine.responsibility).toEqual({ kind: "range", from: minusOne(bench.self.key), to: bench.self.key });
    expect(bench.ask({ type: "LOCATE", ringKey: new Uint8Array(16) })).toBeNull();
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: new Uint8Array(16) })).toMatchObject({ type: "REFUSED", code: 1 });
    bench.advance(2_000);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.logged).toContain("alone");
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
    bench.upcall({ kind: "route-miss", ringKey: bench.peer.key });
    expect(bench.engine.nextServers.get(hex(bench.peer.key))).toEqual(MEMBER);
    expect(bench.engine.discarded).toEqual([]);
  });

  it("a route ends after 30 s, sooner when its server dies, and stays while somebody asks for it", () => {
    const bench = new PairBench();
    const route = () => bench.engine.nextServers.get(hex(bench.peer.key));
    const miss = () => bench.upcall({ kind: "route-miss", ringKey: bench.peer.key });
    miss();
    bench.live(29_900);
    expect(route()).toEqual(MEMBER);
    bench.live(200);
    expect(route()).toBeUndefined();
    miss();
    bench.live(25_000);
    bench.upcall({ kind: "cache-request", ringKey: bench.peer.key, from: CLIENT, nonce: NONCE, requestBytes: 1_000 });
    bench.live(25_000);
    expect(route()).toEqual(MEMBER);
    bench.isPeerSilent = true;
    bench.live(2_500);
    expect(route()).toBeUndefined();
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    expect(bench.core.counters.get("routes-dropped")).toBe(1);
  });

  it("packets for what nobody can find are discarded", () => {
    const bench = new ServerBench({ ringSecret: SECRET, members: [MEMBER] });
    const ringKey = new Uint8Array(16);
    bench.upcall({ kind: "route-miss", ringKey });
    expect(bench.engine.discarded).toEqual([ringKey]);
    expect(bench.core.counters.get("lookups-failed")).toBe(1);
  });

  it("a full engine table discards what waits", () => {
    const bench = new PairBench();
    bench.engine.setNextServer = () => {
      throw new DatapathError("ERR_I3_TABLE_FULL", "full");
    };
    bench.upcall({ kind: "route-miss", ringKey: bench.peer.key });
    expect(bench.engine.discarded).toEqual([bench.peer.key]);
  });

  it("LOCATE names the responsible server, for a client's REFUSED 1 as well", () => {
    const bench = new PairBench();
    expect(bench.ask({ type: "CHALLENGE_REQUEST", ringKey: bench.peer.key })).toMatchObject({ type: "REFUSED", code: 1 });
    expect(bench.ask({ type: "REFRESH", id: bench.foreignId(), index: 1, token: tokenAt(1) })).toMatchObject({ type: "REFUSED", code: 1 });
    expect(bench.ask({ type: "LOCATE", ringKey: bench.peer.key })).toEqual({ type: "LOCATED", ringKey: bench.peer.key, node: bench.peer });
  });

  it("LOCATE names the new server soon after a join, though an older route is still there for packets", () => {
    const bench = new PairBench();
    const ringKey = plusPowerOfTwo(bench.self.key, 90);
    bench.upcall({ kind: "route-miss", ringKey });
    const located = () => bench.answer("LOCATED", { type: "LOCATE", ringKey }).node;
    expect(located()).toEqual(bench.peer);
    bench.newcomer = peerOf(bench, 95, makeLocator(Uint8Array.of(10, 0, 0, 3), 4_000));
    bench.live(1_500);
    expect(located()).toEqual(bench.newcomer);
    expect(bench.engine.nextServers.get(hex(ringKey))).toEqual(bench.newcomer.locator);
  });

  it("a flood of LOCATE starts a bounded number of lookups", () => {
    const bench = new ServerBench({ ringSecret: SECRET });
    const peer = peerOf(bench);
    bench.sendBytes(sealRingMessage({ type: "NOTIFY", from: peer }, NONCE, SECRET, bench.self.key), MEMBER);
    let asked = 0;
    for (let i = 0; i < 2_000; i += 1) {
      const ringKey = plusPowerOfTwo(bench.self.key, 90);
      new DataView(ringKey.buffer).setUint32(12, i);
      asked += bench.send({ type: "LOCATE", ringKey }).length;
    }
    expect(asked).toBeLessThanOrEqual(257);
    expect(bench.core.counters.get("lookups-refused")).toBeGreaterThan(1_700);
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
    bench.upcall({ kind: "cache-request", ringKey: bench.peer.key, from: CLIENT, nonce: NONCE, requestBytes: 200 });
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
});

describe("messages between servers", () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["without MAC", () => encodeControl({ type: "NOTIFY", from: { key: new Uint8Array(16), locator: THIEF } }, NONCE)],
    ["with a changed byte", (bytes) => bytes.map((byte, i) => (i === 20 ? byte ^ 1 : byte))],
    ["with a changed nonce", (bytes) => bytes.map((byte, i) => (i === 8 ? byte ^ 1 : byte))],
    ["with a cut MAC", (bytes) => bytes.subarray(0, -1)],
    ["with the MAC flag taken away", (bytes) => bytes.map((byte, i) => (i === 2 ? 0 : byte))],
  ])("%s change nothing and are counted", (_name, change) => {
    const bench = new ServerBench({ ringSecret: SECRET });
    const good = sealRingMessage({ type: "NOTIFY", from: peerOf(bench) }, NONCE, SECRET, bench.self.key);
    expect(bench.sendBytes(change(good), THIEF)).toEqual([]);
    expect(bench.core.counters.get("mac") + bench.core.counters.get("malformed")).toBe(1);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
    bench.sendBytes(good, MEMBER);
    expect(bench.engine.responsibility).toMatchObject({ kind: "range" });
  });

  it("under another ring's secret, or to another server, or to nobody in particular, are refused", () => {
    const bench = new ServerBench({ ringSecret: SECRET });
    const notify = { type: "NOTIFY", from: peerOf(bench) } as const;
    bench.sendBytes(sealRingMessage(notify, NONCE, OTHER_SECRET, bench.self.key));
    bench.sendBytes(sealRingMessage(notify, NONCE, SECRET, new Uint8Array(16).fill(7)));
    bench.sendBytes(sealRingMessage(notify, NONCE, SECRET, null));
    expect(bench.core.counters.get("mac")).toBe(3);
    expect(bench.engine.responsibility).toEqual({ kind: "all" });
  });

  it("FIND may come from one who does not know the key yet", () => {
    const bench = new ServerBench({ ringSecret: SECRET });
    const peer = peerOf(bench);
    const [answer] = bench.sendBytes(sealRingMessage({ type: "FIND", from: peer, ringKey: peer.key }, NONCE, SECRET, null), MEMBER);
    const decoded = decodeControl(answer?.bytes ?? NONCE);
    expect(decoded.message).toEqual({ type: "FOUND", from: bench.self, final: true, node: bench.self });
    expect(isRingMacRight(decoded, SECRET, peer.key)).toBe(true);
    expect(isRingMacRight(decoded, SECRET, bench.self.key)).toBe(false);
  });

  it("replayed from another address are answered to the member, never to the thief", () => {
    const bench = new ServerBench({ ringSecret: SECRET });
    const captured = sealRingMessage({ type: "STATE", from: peerOf(bench) }, NONCE, SECRET, bench.self.key);
    const answers = bench.sendBytes(captured, THIEF);
    expect(answers).toHaveLength(1);
    expect(answers[0]?.locator).toEqual(MEMBER);
  });

  it("are all refused by a server without a ring", () => {
    const bench = new ServerBench();
    expect(bench.sendBytes(sealRingMessage({ type: "FIND", from: peerOf(bench), ringKey: bench.self.key }, NONCE, new Uint8Array(0), null))).toEqual([]);
    expect(bench.core.counters.get("mac")).toBe(1);
  });

  it("leave: the neighbours are told three times, then it has left and answers the ring no more", () => {
    const bench = new PairBench();
    bench.core.leave(bench.nowMs);
    bench.advance(200);
    const leaving = bench.engine.take().map(({ bytes }) => decodeControl(bytes).message.type);
    expect(leaving).toEqual(["LEAVING", "LEAVING", "LEAVING"]); // the neighbour is both successor and predecessor
    expect(bench.core.hasLeft).toBe(true);
    bench.isPeerSilent = true;
    expect(bench.ring({ type: "STATE", from: bench.peer })).toEqual([]);
  });
});

describe("no reply is larger than its request", () => {
  const from: RingNode = { key: new Uint8Array(16).fill(5), locator: IPV6(2) };
  const id = idOf(KEY);
  const key = id.slice(0, 16);
  const MINIMAL: Readonly<Record<ControlType, (bench: ServerBench) => ControlMessage>> = {
    PING: () => ({ type: "PING" }),
    PONG: () => ({ type: "PONG", timeMs: 0, observed: CLIENT, nodeKey: key }),
    LOCATE: () => ({ type: "LOCATE", ringKey: key }),
    LOCATED: () => ({ type: "LOCATED", ringKey: key, node: from }),
    CHALLENGE_REQUEST: () => ({ type: "CHALLENGE_REQUEST", ringKey: key }),
    CHALLENGE: () => ({ type: "CHALLENGE", ringKey: key, cookie: new Uint8Array(24), observed: CLIENT, timeMs: 0, nodeKey: key }),
    TRIGGER: (bench) => bench.trigger({ from: IPV6(1) }),
    TRIGGER_OK: () => ({ type: "TRIGGER_OK", action: 1, id, lifeMs: 0, replica: null }),
    REFRESH: () => ({ type: "REFRESH", id, index: 1, token: tokenAt(1) }),
    REFUSED: () => ({ type: "REFUSED", code: 1, subject: id }),
    NOT_PRESENT: () => ({ type: "NOT_PRESENT", id }),
    CACHE: () => ({ type: "CACHE", ringKey: key, node: from, lifeMs: 0 }),
    FIND: () => ({ type: "FIND", from, ringKey: key }),
    FOUND: () => ({ type: "FOUND", from, final: true, node: from }),
    STATE: () => ({ type: "STATE", from }),
    STATE_IS: () => ({ type: "STATE_IS", from, pending: false, predecessor: null, successors: [] }),
    NOTIFY: () => ({ type: "NOTIFY", from }),
    ALIVE: () => ({ type: "ALIVE", from }),
    ALIVE_YES: () => ({ type: "ALIVE_YES", from }),
    LEAVING: () => ({ type: "LEAVING", from, predecessor: null, successors: [] }),
    HELLO: () => ({ type: "HELLO", credential: new Uint8Array(153) }),
    HELLO_YES: () => ({ type: "HELLO_YES", credential: new Uint8Array(153) }),
    HELLO_AGAIN: () => ({ type: "HELLO_AGAIN" }),
  };
  const ANSWERED: readonly ControlType[] = ["PING", "LOCATE", "CHALLENGE_REQUEST", "TRIGGER", "REFRESH", "FIND", "STATE", "ALIVE"];

  /** A server over IPv6, whose answers are the longest. */
  const makeBench = (): ServerBench => new ServerBench({ ringSecret: SECRET, self: { key: new Uint8Array(16).fill(0x80), locator: IPV6(1) } });

  it.each(Object.keys(CONTROL_TYPES) as ControlType[])("%s, as short as its encoding allows and cut to its body", (type) => {
    const padded = makeBench();
    const whole = encodeMinimal(padded, type);
    const answers = padded.sendBytes(whole, IPV6(1)).filter(({ bytes }) => sameBytes(decodeControl(bytes).nonce, NONCE));
    for (const { bytes } of answers) expect(bytes.length).toBeLessThanOrEqual(whole.length);
    expect(answers.length, "answered at its usual length").toBe(ANSWERED.includes(type) ? 1 : 0);

    const bare = makeBench();
    const cut = withoutPadding(encodeMinimal(bare, type), bare);
    for (const { bytes } of bare.sendBytes(cut, IPV6(1)).filter(({ bytes: b }) => sameBytes(decodeControl(b).nonce, NONCE))) {
      expect(bytes.length).toBeLessThanOrEqual(cut.length);
    }
  });

  it("holds for STATE in a ring with a full successor list over IPv6", () => {
    const bench = makeBench();
    const successors = Array.from({ length: 8 }, (_, i) => ({ key: plusPowerOfTwo(bench.self.key, 60 + i), locator: IPV6(10 + i) }));
    const head = successors[0] as RingNode;
    const [query] = bench.sendBytes(sealRingMessage({ type: "NOTIFY", from: head }, NONCE, SECRET, bench.self.key)).map(({ bytes }) => decodeControl(bytes));
    bench.sendBytes(sealRingMessage({ type: "STATE_IS", from: head, pending: false, predecessor: null, successors: successors.slice(1) }, query?.nonce ?? NONCE, SECRET, bench.self.key));
    const request = sealRingMessage({ type: "STATE", from: head }, NONCE, SECRET, bench.self.key);
    const [answer] = bench.sendBytes(request);
    expect(decodeControl(answer?.bytes ?? NONCE).message).toMatchObject({ type: "STATE_IS", successors, predecessor: head });
    expect(answer?.bytes.length).toBeLessThanOrEqual(request.length);
  });

  function encodeMinimal(bench: ServerBench, type: ControlType): Uint8Array {
    const message = MINIMAL[type](bench);
    return isRingMessage(type) ? sealRingMessage(message, NONCE, SECRET, bench.self.key) : encodeControl(message, NONCE);
  }

  function withoutPadding(bytes: Uint8Array, bench: ServerBench): Uint8Array {
    const end = 16 + (bytes[4] ?? 0) * 256 + (bytes[5] ?? 0);
    const { message, mac } = decodeControl(bytes);
    if (mac === null) return bytes.subarray(0, end);
    const sealed = sealRingMessage({ type: "NOTIFY", from: { key: from.key, locator: from.locator } }, NONCE, SECRET, bench.self.key);
    return message.type === "NOTIFY" ? sealed : resealed(bytes.subarray(0, end), bench);
  }

  /** The same without padding, under a right MAC: what a careless or captured member could send. */
  function resealed(bytes: Uint8Array, bench: ServerBench): Uint8Array {
    const out = new Uint8Array(bytes.length + 16);
    out.set(bytes);
    out.set(createHmac("sha256", SECRET).update(bytes).update(bench.self.key).digest().subarray(0, 16), bytes.length);
    return out;
  }
});
