/** What is kept of others' doing is bounded: each bound, and what happens when it is reached. */
import { describe, expect, it } from "vitest";

import { decodeControl, encodeControl, makeLocator, type Locator, type RingNode } from "@i3/common";

import { Chord } from "../src/chord/chord.js";
import { MAX_LOOKUPS, MAX_PROBES, MAX_REMEMBERED, MAX_TOMBSTONES, MAX_WATCHED } from "../src/chord/constants.js";
import { FingerSearch } from "../src/chord/finger-search.js";
import { Liveness } from "../src/chord/liveness.js";
import { Lookups } from "../src/chord/lookups.js";
import { RingState } from "../src/chord/ring-state.js";
import { MAX_LOCATORS, MAX_SENT } from "../src/ring/constants.js";
import { trailerOf } from "../src/ring/ring-message.js";
import { MAX_CREDIT_BYTES, MAX_ROUTES, MAX_SENDERS } from "../src/server/constants.js";
import { RecentSenders } from "../src/server/recent-senders.js";
import { Routes } from "../src/server/routes.js";
import { MAX_RATED_SOURCES } from "../src/triggers/constants.js";
import { SourceRate } from "../src/triggers/source-rate.js";
import { ChannelNet, type Datagram, typeOf } from "./ring/channel-net.js";
import { randomBytesFrom, seeded } from "./ring-net.js";

const NOBODY = new Uint8Array(8);
/** `length` bytes that end with a number. */
function numbered(i: number, length = 16): Uint8Array {
  const out = new Uint8Array(length);
  new DataView(out.buffer).setUint32(length - 4, i);
  return out;
}
const locatorOf = (i: number): Locator => makeLocator(numbered(0x0a00_0000 + i, 4), 4_000);
const node = (i: number): RingNode => ({ key: numbered(i), locator: locatorOf(i) });
const repeat = (times: number, work: (i: number) => void): void => {
  for (let i = 0; i < times; i += 1) work(i);
};

/** Fills a memory to its bound and puts in one more; says whether the first, the second and the last are still there. */
const MEMORIES: readonly [string, () => readonly [boolean, boolean, boolean]][] = [
  ["senders of recent packets", () => {
    const senders = new RecentSenders();
    repeat(MAX_SENDERS + 1, (i) => senders.remember(0, numbered(i, 8), { from: locatorOf(1), ringKey: NOBODY, requestBytes: 100 }));
    const has = (i: number): boolean => senders.take(0, numbered(i, 8), NOBODY) !== undefined;
    return [has(0), has(1), has(MAX_SENDERS)];
  }],
  ["sources with a rate", () => {
    const rate = new SourceRate(1);
    repeat(MAX_RATED_SOURCES + 1, (i) => rate.allow(0, `${i}`));
    const has = (i: number): boolean => !rate.allow(0, `${i}`); // Who is known has spent what it had.
    return [!has(MAX_RATED_SOURCES) || has(0), has(2), has(MAX_RATED_SOURCES)]; // has(0) remembers it, in the place of 1
  }],
  ["routes", () => {
    const routes = new Routes({ setNextServer: () => undefined }, { watch: () => undefined, unwatch: () => undefined });
    repeat(MAX_ROUTES + 1, (i) => routes.set(0, numbered(i), node(1), true));
    expect(routes.size).toBe(MAX_ROUTES);
    const has = (i: number): boolean => routes.get(0, numbered(i)) !== undefined;
    return [has(0), has(1), has(MAX_ROUTES)];
  }],
  ["dead nodes", () => {
    const liveness = new Liveness();
    repeat(MAX_TOMBSTONES + 1, (i) => liveness.bury(0, node(i)));
    const has = (i: number): boolean => liveness.isDead(0, node(i));
    return [has(0), has(1), has(MAX_TOMBSTONES)];
  }],
];

describe("the oldest makes room among", () => {
  it.each(MEMORIES)("%s", (_name, fill) => {
    expect(fill()).toEqual([false, true, true]);
  });

  it("routes in the engine too", () => {
    const inEngine = new Set<string>();
    const routes = new Routes({ setNextServer: (key, locator) => void (locator === null ? inEngine.delete(String(key)) : inEngine.add(String(key))) }, { watch: () => undefined, unwatch: () => undefined });
    repeat(MAX_ROUTES + 100, (i) => routes.set(0, numbered(i), node(1), true));
    expect(inEngine.size).toBe(MAX_ROUTES);
  });

  it("messages that a HELLO_AGAIN may answer", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const since = net.wire.length;
    repeat(MAX_SENT + 1, () => a.notify(b));
    const again = (i: number): void => {
      const decoded = decodeControl((net.wire[since + i] as Datagram).bytes);
      a.take({ from: b.locator, bytes: encodeControl({ type: "HELLO_AGAIN", counter: trailerOf(decoded)?.counter ?? 0 }, decoded.nonce) });
    };
    again(0);
    expect([net.sent("HELLO", since).length, a.counters.get("hello-unasked")]).toEqual([0, 1]);
    again(1);
    expect([net.sent("HELLO", since).length, a.counters.get("hello-unasked")]).toEqual([1, 1]);
  });

  it("locators whose server is known", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    net.passes = () => false;
    /** The message that goes out, once whoever is there has said HELLO_YES. */
    const firstTo = (i: number): string => {
      const since = net.wire.length;
      a.sendAt(locatorOf(i), { type: "NOTIFY", from: a.node });
      const sent = net.wire[since] as Datagram;
      if (typeOf(sent) !== "HELLO") return typeOf(sent);
      b.take({ from: a.locator, bytes: sent.bytes });
      a.take({ from: locatorOf(i), bytes: (net.wire.at(-1) as Datagram).bytes });
      return "HELLO";
    };
    repeat(MAX_LOCATORS + 1, (i) => expect(firstTo(i)).toBe("HELLO"));
    expect([firstTo(1), firstTo(MAX_LOCATORS), firstTo(0)]).toEqual(["NOTIFY", "NOTIFY", "HELLO"]);
  });

  it("addresses of lost nodes, which are tried again", () => {
    const chord = new Chord({ self: node(1_000_000), members: [], random: randomBytesFrom(seeded(5)) });
    let nowMs = 0;
    const asked: string[] = [];
    const run = (forMs: number): void => {
      for (const endMs = nowMs + forMs; chord.deadlineMs() <= endMs; ) {
        nowMs = Math.max(nowMs, chord.deadlineMs());
        chord.handleTimer(nowMs);
        for (let output = chord.pollOutput(); output !== undefined; output = chord.pollOutput()) if (output.kind === "send") asked.push(String(output.to.address));
      }
      nowMs += forMs;
    };
    chord.start(0);
    repeat(MAX_REMEMBERED + 4, (i) => {
      chord.handleMessage(nowMs, NOBODY, { type: "NOTIFY", from: node(i) });
      run(4_000); // It says nothing more.
    });
    expect([chord.predecessor, chord.successors]).toEqual([null, []]);
    run(10_000);
    asked.length = 0;
    run(60_000);
    expect(new Set(asked)).toEqual(new Set(Array.from({ length: MAX_REMEMBERED }, (_, i) => String(locatorOf(i + 4).address))));
  });
});

describe("there is no more than", () => {
  it("so much credit for answers to the packets of one nonce", () => {
    const senders = new RecentSenders();
    repeat(10, () => senders.remember(0, NOBODY, { from: locatorOf(1), ringKey: NOBODY, requestBytes: 1_000 }));
    expect(senders.take(0, NOBODY, NOBODY)?.creditBytes).toBe(MAX_CREDIT_BYTES);
  });

  it("so many nodes watched, until one is watched no more", () => {
    const liveness = new Liveness();
    repeat(MAX_WATCHED, (i) => expect(liveness.watch(node(i))).toBe(true));
    expect([liveness.watch(node(MAX_WATCHED)), liveness.watch(node(0)), liveness.watched().length]).toEqual([false, true, MAX_WATCHED]);
    liveness.unwatch(node(0));
    expect(liveness.watch(node(MAX_WATCHED))).toBe(true);
  });

  it("so many nodes timed at once, until one has answered", () => {
    const ring = new RingState(node(0));
    const asked: RingNode[] = [];
    const search = new FingerSearch({ ring, random: randomBytesFrom(seeded(1)), lookUp: () => undefined, ask: (_nowMs, to) => void asked.push(to) });
    repeat(100, (i) => search.sampleAt(0, node(i + 1)));
    expect(asked).toHaveLength(MAX_PROBES);
    search.answered(0, []);
    repeat(100, (i) => search.sampleAt(0, node(i + 1)));
    expect(asked).toHaveLength(MAX_PROBES + 1);
  });

  it("so many lookups at once, until one has ended", () => {
    const running: Parameters<ConstructorParameters<typeof Lookups>[0]["ask"]>[1][] = [];
    const lookups = new Lookups({
      self: node(0), answer: () => ({ final: false, node: node(1) }), nonce: () => NOBODY, nearest: () => node(1), isDead: () => false, route: () => false,
      ask: (_nowMs, lookup) => void running.push(lookup), found: () => undefined, notFound: () => undefined,
    });
    const start = (): boolean => lookups.start(0, numbered(9), { kind: "caller", id: 1 });
    repeat(MAX_LOOKUPS, () => expect(start()).toBe(true));
    expect([start(), lookups.size]).toEqual([false, MAX_LOOKUPS]);
    lookups.answered(0, running[0] as (typeof running)[0], node(9), { final: true, node: node(9) });
    expect([start(), start()]).toEqual([true, false]);
  });
});
