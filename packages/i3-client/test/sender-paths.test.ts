import { bytesKey, decodeControl, encodeControl, makeLocator, type ControlMessage, type Locator } from "@i3/common";
import { decodeDataHeader } from "@i3/datapath";
import { describe, expect, it } from "vitest";

import { CLIENT, FakeRing, filled } from "./fake-ring.js";

const ID = Uint8Array.from([...filled(16, 0xaa), ...filled(16, 1)]);
const SIBLING = Uint8Array.from([...filled(16, 0xaa), ...filled(16, 2)]);
const KEY = ID.slice(0, 16);

const nonceOf = (ring: FakeRing, id = ID): Uint8Array => decodeDataHeader(ring.client.pathHeader(id, 1)).header.nonce;
const cacheFor = (locator: Locator, ringKey: Uint8Array = KEY): ControlMessage => ({ type: "CACHE", ringKey, node: { key: filled(16, 9), locator }, lifeMs: 30_000 });
const installed = (ring: FakeRing): Locator | null => ring.nextServers.get(bytesKey(KEY)) ?? null;
const ROUND_TRIP_MS = 20;
const changes = (ring: FakeRing): number => ring.kinds().filter((kind) => kind === "path-changed").length;

/** Three servers; the third is responsible and not configured at the client. */
function opened(): FakeRing {
  const ring = new FakeRing(2);
  ring.run(1_000);
  ring.client.openPath(ID);
  return ring;
}

/** Told by a CACHE: the second server is responsible. */
function shortcut(): FakeRing {
  const ring = opened();
  ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring));
  return ring;
}

describe("a path", () => {
  it("begins at the first hop, asking for a CACHE", () => {
    const ring = opened();
    const { header } = decodeDataHeader(ring.client.pathHeader(ID, 1));
    expect(header).toEqual({ flags: 1, hopLimit: 16, copyBudget: 255, payloadKind: 1, nonce: header.nonce, ids: [ID] });
    expect(ring.client.serverOfPath(ID)).toEqual(ring.server(1).locator);
    expect(installed(ring)).toBe(null);
  });

  it("goes straight to a living server that a CACHE names, with a new nonce and without the flag", () => {
    const ring = opened();
    const nonce = nonceOf(ring);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonce);
    expect(installed(ring)).toEqual(ring.server(2).locator);
    expect(ring.client.serverOfPath(ID)).toEqual(ring.server(2).locator);
    expect(ring.events.at(-1)).toMatchObject({ kind: "path-changed", id: ID });
    expect(decodeDataHeader(ring.client.pathHeader(ID, 1)).header.flags).toBe(0);
    expect(nonceOf(ring)).not.toEqual(nonce);
  });

  it("goes to a server that is not configured only when a LOCATED of another names it too", () => {
    const ring = opened();
    const stranger = ring.addStranger();
    const hint = (): void => ring.inject(ring.server(1).locator, cacheFor(stranger.locator), nonceOf(ring));
    ring.owner = ring.server(2);
    hint();
    ring.run(1_000);
    expect([installed(ring), ring.server(2).count("LOCATE")]).toEqual([ring.server(2).locator, 1]);
    ring.inject(ring.server(2).locator, { type: "NOT_PRESENT", id: ID }, nonceOf(ring));
    ring.owner = stranger;
    hint();
    expect(installed(ring), "though it lives").toBe(null);
    ring.run(ROUND_TRIP_MS);
    expect(installed(ring)).toEqual(stranger.locator);
    const nearer = ring.addStranger();
    nearer.delayMs = 1;
    ring.run(1_000);
    ring.inject(stranger.locator, cacheFor(nearer.locator), nonceOf(ring));
    ring.run(60_000);
    expect([installed(ring), nearer.count("PING") > 0, nearer.count("LOCATE")], "only configured servers are asked").toEqual([stranger.locator, true, 0]);
  });

  it("uses a server that has not answered lately only after its PONG, though it was alive when it was asked last", () => {
    const ring = opened();
    ring.run(10_000);
    ring.server(2).down = true;
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring));
    expect(ring.client.servers().find(({ locator }) => locator === ring.server(2).locator)?.liveness).toBe("alive");
    ring.run(1_000);
    expect(installed(ring)).toBe(null);
    ring.server(2).down = false;
    ring.run(1_000);
    expect(installed(ring)).toEqual(ring.server(2).locator);
  });

  it("uses a server that a CACHE names only after its PONG", () => {
    const ring = opened();
    ring.server(2).down = true;
    ring.run(60_000);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring));
    ring.run(4_000);
    expect([installed(ring), changes(ring)]).toEqual([null, 0]);
    ring.server(2).down = false;
    ring.until(() => installed(ring) !== null, 6_000);
    expect(installed(ring)).toEqual(ring.server(2).locator);
  });

  it("asks an unknown server at once", () => {
    const ring = opened();
    const sent = ring.sent;
    ring.inject(ring.server(1).locator, cacheFor(makeLocator(filled(4, 77), 7)), nonceOf(ring));
    ring.run(0);
    expect(ring.sent, "a PING to it, and a LOCATE to another").toBe(sent + 2);
    ring.run(60_000);
    expect(installed(ring), "the one that LOCATED names").toEqual(ring.server(2).locator);
  });

  it("does not use a server that answers long after it was named", () => {
    const ring = opened();
    ring.server(2).down = true;
    ring.run(60_000);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring));
    ring.run(31_000);
    ring.server(2).down = false;
    ring.run(20_000);
    expect(installed(ring)).toBe(null);
  });

  it.each<readonly [string, (ring: FakeRing) => readonly [ControlMessage, Uint8Array]]>([
    ["a CACHE with a wrong nonce", (ring) => [cacheFor(ring.server(2).locator), filled(8, 0)]],
    ["a CACHE for a ring key that we do not send to", (ring) => [cacheFor(ring.server(2).locator, filled(16, 0)), nonceOf(ring)]],
    ["a NOT_PRESENT with a wrong nonce", () => [{ type: "NOT_PRESENT", id: ID }, filled(8, 0)]],
    ["a NOT_PRESENT for another id", (ring) => [{ type: "NOT_PRESENT", id: SIBLING }, nonceOf(ring)]],
    ["a LOCATED that nobody asked for", (ring) => [{ type: "LOCATED", ringKey: KEY, node: { key: filled(16, 9), locator: ring.server(2).locator } }, nonceOf(ring)]],
    ["a message between servers", (ring) => [{ type: "STATE", from: { key: filled(16, 9), locator: ring.server(2).locator } }, nonceOf(ring)]],
  ])("ignores %s, and counts it", (_, make) => {
    const ring = opened();
    const before = ring.events.length;
    const [message, nonce] = make(ring);
    ring.inject(ring.server(2).locator, message, nonce);
    expect(ring.client.counters.unexpected).toBe(1);
    expect([installed(ring), ring.events.length]).toEqual([null, before]);
    ring.run(1_000);
    expect(installed(ring)).toBe(null);
  });

  it.each<[string, (ring: FakeRing) => FakeRing]>([["while it asks", (ring) => ring], ["on its way to a server", (ring) => (ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring)), ring)]])("takes the right nonce from nobody but the servers that it sends to, %s: peers have seen it too", (_, prepare) => {
    const ring = prepare(opened());
    const [before, events, nonce] = [installed(ring), ring.events.length, nonceOf(ring)];
    const { address, port } = ring.server(1).locator;
    const strangers = [makeLocator(filled(4, 66), 5610), makeLocator(address, port + 1), CLIENT];
    for (const from of strangers) {
      ring.inject(from, cacheFor(ring.server(1).locator), nonce);
      ring.inject(from, cacheFor(from), nonce);
      ring.inject(from, { type: "NOT_PRESENT", id: ID }, nonce);
    }
    ring.run(1_000);
    expect([installed(ring), ring.events.length, nonceOf(ring)]).toEqual([before, events, nonce]);
    expect(ring.client.counters.unexpected).toBe(9);
  });

  it("ignores the nonce it had before", () => {
    const ring = opened();
    const nonce = nonceOf(ring);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonce);
    ring.run(ROUND_TRIP_MS);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(1).locator), nonce);
    ring.inject(ring.server(1).locator, { type: "NOT_PRESENT", id: ID }, nonce);
    expect(ring.client.counters.unexpected).toBe(2);
    expect(installed(ring)).toEqual(ring.server(2).locator);
  });

  it("goes back to the first hop on NOT_PRESENT, and tells", () => {
    const ring = shortcut();
    ring.inject(ring.server(2).locator, { type: "NOT_PRESENT", id: ID }, nonceOf(ring));
    expect(installed(ring)).toBe(null);
    expect(ring.kinds().slice(-2)).toEqual(["path-changed", "not-present"]);
    expect(decodeDataHeader(ring.client.pathHeader(ID, 1)).header.flags).toBe(1);
  });

  it("goes back to the first hop at most 2.8 s after its server has died", () => {
    const ring = shortcut();
    ring.run(5_000);
    ring.server(2).down = true;
    ring.until(() => installed(ring) === null, 2_820);
    expect(ring.client.serverOfPath(ID)).toEqual(ring.server(1).locator);
    expect(changes(ring)).toBe(2);
  });

  it("stays while another server confirms it, asked 20 s after the last time", () => {
    const ring = shortcut();
    ring.run(120_000);
    expect(installed(ring)).toEqual(ring.server(2).locator);
    expect(changes(ring)).toBe(1);
    expect([ring.server(1).count("LOCATE"), ring.server(2).count("LOCATE")]).toEqual([5, 0]);
  });

  it("is confirmed by its own server where no other is known", () => {
    const ring = new FakeRing(1);
    ring.run(1_000);
    ring.client.openPath(ID);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(1).locator), nonceOf(ring));
    expect(installed(ring), "packets go there anyway").toEqual(ring.server(1).locator);
    ring.run(60_000);
    expect([changes(ring), ring.server(1).count("LOCATE")]).toEqual([1, 2]);
  });

  it("has another server asked when one is silent", () => {
    const ring = new FakeRing(3);
    ring.server(3).delayMs = 30;
    ring.run(1_000);
    ring.client.openPath(ID);
    ring.owner = ring.addStranger();
    ring.inject(ring.server(1).locator, cacheFor(ring.owner.locator), nonceOf(ring));
    ring.run(80);
    expect(installed(ring)).toEqual(ring.owner.locator);
    expect([ring.server(1), ring.server(2), ring.server(3)].map((server) => server.count("LOCATE")), "the CACHE was the first server's").toEqual([0, 1, 0]);
    ring.server(1).script = (message) => (message.type === "LOCATE" ? null : undefined);
    ring.run(60_000);
    expect(changes(ring)).toBe(1);
    expect([ring.server(1).count("LOCATE"), ring.server(2).count("LOCATE")], "a minute long only that one").toEqual([1, 3]);
  });

  it("moves when the other server names another", () => {
    const ring = shortcut();
    ring.owner = ring.server(1);
    ring.run(20_100);
    expect(installed(ring)).toEqual(ring.server(1).locator);
    expect(changes(ring)).toBe(2);
  });

  it("is dropped after 30 s without a confirmation, within which it asks ten times", () => {
    const ring = shortcut();
    ring.server(1).script = (message) => (message.type === "LOCATE" ? null : undefined);
    ring.run(29_900);
    expect(installed(ring)).not.toBe(null);
    ring.run(1_100);
    expect(installed(ring)).toBe(null);
    expect(ring.server(1).count("LOCATE")).toBe(10);
  });

  it("takes a confirmation only from the server that was asked", () => {
    const ring = shortcut();
    const original = ring.client.handleControl.bind(ring.client);
    let forged = 0;
    ring.client.handleControl = (nowMs, from, bytes) => {
      if (bytes[1] !== 4) return original(nowMs, from, bytes);
      forged += 1;
      original(nowMs, ring.server(2).locator, bytes);
    };
    ring.run(31_000);
    expect(ring.client.counters.unexpected).toBe(forged);
    expect(installed(ring)).toBe(null);
  });

  it("goes by the first hop for 30 s when a second answer contradicts the first: one of them was forged", () => {
    const ring = opened();
    const thief = ring.addStranger();
    ring.owner = ring.server(2);
    const original = ring.client.handleControl.bind(ring.client);
    let answers = 0;
    // Who reads the question answers before the server does, in its name.
    ring.client.handleControl = (nowMs, from, bytes) => {
      const { message, nonce } = decodeControl(bytes);
      if (message.type === "LOCATED" && (answers += 1) === 1) original(nowMs, from, encodeControl({ ...message, node: { key: filled(16, 9), locator: thief.locator } }, nonce));
      original(nowMs, from, bytes);
    };
    const hint = (): void => ring.inject(ring.server(1).locator, cacheFor(thief.locator), nonceOf(ring));
    hint();
    ring.run(29_000);
    hint();
    ring.run(1_000);
    expect([answers, installed(ring), changes(ring), ring.client.counters.unexpected]).toEqual([1, null, 0, 1]);
    ring.run(100);
    hint();
    ring.run(ROUND_TRIP_MS);
    expect([answers, installed(ring)]).toEqual([2, ring.server(2).locator]);
  });

  it("takes no answer that comes after more than 5 s, and each once", () => {
    const ring = opened();
    const original = ring.client.handleControl.bind(ring.client);
    let held: readonly [Locator, Uint8Array] | undefined;
    ring.client.handleControl = (nowMs, from, bytes) => {
      if (decodeControl(bytes).message.type === "LOCATED") held = [from, bytes];
      else original(nowMs, from, bytes);
    };
    const answerAfter = (ms: number): void => {
      ring.inject(ring.server(1).locator, cacheFor(makeLocator(filled(4, 77), 7)), nonceOf(ring));
      ring.run(ms);
      original(ring.nowMs, ...(held as readonly [Locator, Uint8Array]));
    };
    answerAfter(5_100);
    expect([installed(ring), ring.client.counters.unexpected]).toEqual([null, 1]);
    answerAfter(4_900);
    original(ring.nowMs, ...(held as readonly [Locator, Uint8Array]));
    ring.run(ROUND_TRIP_MS);
    expect([installed(ring), ring.client.counters.unexpected]).toEqual([ring.server(2).locator, 2]);
  });

  it("has its server watched only while it is active, and is dropped when it is not", () => {
    const ring = shortcut();
    ring.run(2_000);
    const pings = (): number => {
      const before = ring.server(2).count("PING");
      ring.run(10_000);
      return ring.server(2).count("PING") - before;
    };
    expect(pings()).toBeGreaterThanOrEqual(9);
    ring.client.setPathActive(ID, false);
    ring.client.setPathActive(ID, false);
    expect(pings()).toBeLessThanOrEqual(1);
    expect(installed(ring)).toBe(null);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring));
    ring.client.setPathActive(ID, true);
    expect(pings()).toBeGreaterThanOrEqual(8);
  });

  it("shares its way with other ids of the ring key, until the last is closed", () => {
    const ring = opened();
    ring.client.openPath(SIBLING);
    ring.inject(ring.server(1).locator, cacheFor(ring.server(2).locator), nonceOf(ring, SIBLING));
    ring.run(ROUND_TRIP_MS);
    expect(changes(ring)).toBe(2);
    expect(nonceOf(ring)).not.toEqual(nonceOf(ring, SIBLING));
    ring.client.closePath(ID);
    expect(installed(ring)).not.toBe(null);
    expect(ring.client.serverOfPath(SIBLING)).toEqual(ring.server(2).locator);
    ring.client.closePath(SIBLING);
    expect(installed(ring)).toBe(null);
    expect(() => ring.client.pathHeader(ID, 1)).toThrow(RangeError);
    ring.run(5_000);
    const before = ring.server(2).count("PING");
    ring.run(20_000);
    expect(ring.server(2).count("PING") - before).toBeLessThanOrEqual(1);
    ring.client.closePath(ID);
  });
});

describe("the table of paths", () => {
  it("is bounded, and one more fits when one is closed", () => {
    const { client } = new FakeRing(1);
    const id = (n: number): Uint8Array => {
      const out = new Uint8Array(32);
      new DataView(out.buffer).setUint32(28, n);
      return out;
    };
    for (let n = 0; n < 65_536; n++) expect(client.openPath(id(n))).toBe(true);
    expect(client.openPath(id(65_536))).toBe(false);
    expect(client.openPath(id(5))).toBe(true);
    client.closePath(id(5));
    expect(client.openPath(id(65_536)), "opened twice, closed once").toBe(false);
    client.closePath(id(5));
    expect(client.openPath(id(65_536))).toBe(true);
  });

  it("does not make the next deadline slow", () => {
    const ring = new FakeRing(2);
    ring.run(1_000);
    for (let n = 0; n < 20_000; n++) {
      const id = new Uint8Array(32);
      new DataView(id.buffer).setUint32(0, n);
      ring.client.openPath(id);
      ring.inject(ring.server(1).locator, cacheFor(ring.server(1).locator, id.slice(0, 16)), nonceOf(ring, id));
    }
    const start = performance.now();
    for (let i = 0; i < 10_000; i++) ring.client.nextDeadlineMs();
    // Walking through 20,000 ways each time took more than 10 s here.
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});
