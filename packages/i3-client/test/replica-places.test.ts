/** Where the replicas of triggers go (docs/wire.md §4.1, 10), and what somebody gets whom a server names for them. */
import { decodeControl, locatorKey, makeLocator, parseIpText, privateId, sourceKey, type Locator } from "@i3/common";
import { generateTriggerKey, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { ReplicaPlaces } from "../src/replica-places.js";
import { countingBytes, FakeRing, filled, WALL_START_MS, type FakeServer } from "./fake-ring.js";

const PING_BYTES = 96;
const PING_TRIES = 3;
/** 0, 6.5, 18 and 39.5 s after the first; then one each 31.5 s. */
const ROUNDS_OF_FIRST_MINUTE = 4;
const MINUTE_MS = 60_000;
const TRIGGERS = 20;

const key = generateTriggerKey();
const SIGNER: TriggerSigner = { kind: "private", key };
const IDS = Array.from({ length: TRIGGERS }, (_, n) => privateId(key.prefix, filled(16, n)));

/** All triggers are live at the last of two servers, which says three times in 2 s where replicas go, of each. */
function liars(names: (n: number) => Locator) {
  const ring = new FakeRing(2);
  for (const id of IDS) ring.client.insertTrigger(0, id, SIGNER);
  ring.until(() => IDS.every((id) => ring.live(id)), 1_000);
  let named = 0;
  ring.server(2).script = (message) => (message.type === "REFRESH" || message.type === "TRIGGER" ? { type: "TRIGGER_OK", action: 1, id: message.id, lifeMs: 2_000, replica: names((named += 1)) } : undefined);
  /** To others than the servers, by machine. */
  const got = new Map<string, { readonly atMs: number; readonly type: string; readonly bytes: number }[]>();
  ring.leaves = (to, bytes) => {
    if (ring.servers.some(({ locator }) => locatorKey(locator) === locatorKey(to))) return;
    const machine = sourceKey(to.address);
    got.set(machine, [...(got.get(machine) ?? []), { atMs: ring.nowMs, type: decodeControl(bytes).message.type, bytes: bytes.length }]);
  };
  return { ring, got, named: () => named };
}

describe("a victim that a server names for the replicas of 20 triggers", () => {
  const victim = Uint8Array.of(203, 0, 113, 77);
  /** The most bytes within a minute. */
  const mostBytes = (got: readonly { readonly atMs: number; readonly bytes: number }[]): number =>
    Math.max(...got.map(({ atMs }) => got.filter((other) => other.atMs >= atMs && other.atMs < atMs + MINUTE_MS).reduce((sum, { bytes }) => sum + bytes, 0)));

  it.each<[string, (n: number) => Locator]>([
    ["at one port", () => makeLocator(victim, 53)],
    ["at another port each time", (n) => makeLocator(victim, 1 + (n % 65_535))],
    ["at another address of its /64 each time", (n) => makeLocator(Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, n >> 8, n), 53)],
  ])("%s gets twelve PINGs in the first minute, and then one each ten seconds", (_how, names) => {
    const { ring, got, named } = liars(names);
    ring.run(150_000);
    const [[, all] = []] = got;
    process.stdout.write(`    named ${named()} times in 150 s: ${all?.length} datagrams, at most ${mostBytes(all ?? [])} bytes in a minute\n`);
    expect(named()).toBeGreaterThan(3_000);
    expect(got.size).toBe(1);
    expect(all?.every(({ type }) => type === "PING")).toBe(true);
    expect(all?.length).toBe((ROUNDS_OF_FIRST_MINUTE + 3) * PING_TRIES);
    expect(mostBytes(all ?? [])).toBe(ROUNDS_OF_FIRST_MINUTE * PING_TRIES * PING_BYTES);
    expect(IDS.every((id) => ring.live(id))).toBe(true);
  });

  it("among 399 others gets no more, and all together 16 PINGs a second", () => {
    const { ring, got } = liars((n) => makeLocator(Uint8Array.of(203, 0, 114 + ((n % 400) >> 8), (n % 400) & 255), 53));
    ring.run(150_000);
    expect(got.size).toBeGreaterThan(150);
    expect(Math.max(...[...got.values()].map(mostBytes))).toBeLessThanOrEqual(ROUNDS_OF_FIRST_MINUTE * PING_TRIES * PING_BYTES);
    expect([...got.values()].flat().length).toBeLessThanOrEqual(16 * 150 + 8);
  });
});

describe("replicas", () => {
  /** Whose servers name a third one, which the client has not heard of. */
  function replicated(): { readonly ring: FakeRing; readonly third: FakeServer; readonly have: () => number } {
    const ring = new FakeRing(2);
    const third = ring.addStranger();
    ring.owner = ring.server(2);
    for (const server of ring.servers) server.replicaAt = third.locator;
    for (const id of IDS) ring.client.insertTrigger(0, id, SIGNER);
    return { ring, third, have: () => IDS.filter((id) => third.has(id)).length };
  }

  it("of all triggers are where somebody has answered one PING", () => {
    const { ring, third, have } = replicated();
    ring.until(() => have() === TRIGGERS, 1_000);
    expect([third.count("PING"), third.count("TRIGGER")]).toEqual([1, TRIGGERS]);
    ring.run(120_000);
    expect([third.count("PING"), have()]).toEqual([1, TRIGGERS]);
  });

  it("are there 0.5 s later when the first PING is lost", () => {
    const { ring, third, have } = replicated();
    third.script = (message) => (message.type === "PING" && third.count("PING") === 1 ? null : undefined);
    expect(ring.until(() => have() === TRIGGERS, 2_000)).toBeLessThanOrEqual(700);
  });

  it("leave a server that has died alone, and are back within 35 s when it is", () => {
    const { ring, third, have } = replicated();
    ring.until(() => have() === TRIGGERS, 1_000);
    third.down = true;
    ring.run(20_000);
    let sent = 0;
    ring.leaves = (to) => void (sent += locatorKey(to) === locatorKey(third.locator) ? 1 : 0);
    ring.run(MINUTE_MS);
    expect(sent).toBeLessThanOrEqual(2 * PING_TRIES);
    expect(have()).toBe(0);
    third.down = false;
    expect(ring.until(() => have() === TRIGGERS, 35_000)).toBeGreaterThan(0);
  });

  it("are back within 10 s after a server was cut off for 2 s", () => {
    const { ring, third, have } = replicated();
    third.down = true;
    ring.run(2_000);
    third.down = false;
    expect(ring.until(() => have() === TRIGGERS, 10_000)).toBeGreaterThan(0);
  });

  it("of a trigger that was removed meanwhile go nowhere", () => {
    const { ring, third } = replicated();
    ring.until(() => third.count("PING") > 0, 1_000);
    for (const id of IDS) ring.client.removeTrigger(ring.nowMs, id);
    ring.run(10_000);
    expect(third.heard.map(({ message }) => message.type)).toEqual(["PING"]);
  });
});

it.each<[string, boolean, readonly [string, number], readonly [string, number], boolean]>([
  ["another port of a silent machine", false, ["192.0.2.9", 1], ["192.0.2.9", 2], false],
  ["another machine", false, ["192.0.2.9", 1], ["192.0.2.8", 1], true],
  ["another address of its /64", false, ["2001:db8::9", 1], ["2001:db8::8", 1], false],
  ["another port of a machine where a server has answered", true, ["192.0.2.9", 1], ["192.0.2.9", 2], true],
  ["the same port of such a one", true, ["192.0.2.9", 1], ["192.0.2.9", 1], false],
  ["another port of this machine", false, ["127.0.0.1", 1], ["127.0.0.1", 2], true],
])("whether %s is asked (known: %s)", (_what, isKnown, [first, port], [second, other], isAsked) => {
  const asked: Locator[] = [];
  const datapath = { send: (datagrams: readonly { readonly locator: Locator }[]) => void asked.push(...datagrams.map(({ locator }) => locator)), setKnownSource: () => undefined, setNextServer: () => undefined, setDefaultServer: () => undefined, setUplink: () => undefined };
  const places = new ReplicaPlaces<object>({ randomBytes: countingBytes(), wallMs: () => WALL_START_MS, datapath });
  const at = (text: string, n: number): Locator => makeLocator(parseIpText(text) ?? new Uint8Array(), n);
  if (isKnown) places.heard(0, at(first, 5_610));
  expect(places.reach(0, {}, at(first, port))).toBe(false);
  for (let nowMs = 0; nowMs <= 1_500; nowMs += 500) places.handleTimer(nowMs);
  expect([asked.length, places.nextDeadlineMs()]).toEqual([PING_TRIES, Infinity]);
  expect(places.reach(1_600, {}, at(second, other))).toBe(false);
  expect(asked.length > PING_TRIES).toBe(isAsked);
  places.handleTimer(30_000);
  for (const nowMs of [30_500, 31_000, 31_500, 32_000]) places.handleTimer(nowMs);
  // Neither for ever.
  places.reach(100_000, {}, at(first, port));
  expect(asked.slice(-1)).toEqual([at(first, port)]);
});
