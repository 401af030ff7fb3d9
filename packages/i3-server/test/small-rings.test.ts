/**
 * Rings of one to eight, below the base of Zave's proof (docs/adr/0009), looked at at every step of joins, leaves and crashes in random order. Her invariant is judged by the
 * checkers of `npm run sim`; what can hold only some time after a change has a limit here, which says why.
 */
import { describe, expect, it } from "vitest";

import { bytesKey } from "@i3/common";

import { endpointOfLocator } from "../../../test/sim/src/seeds/endpoints.js";
import { checkIdeal, checkInvariant, isBetween } from "../../../test/sim/src/seeds/ring-checks.js";
import type { ServerMachine } from "../../../test/sim/src/seeds/server-machine.js";
import { RingNet, seeded, type Member } from "./ring-net.js";

const LONGEST_WAY_MS = 90;
/**
 * Until a list without anybody who lives is noticed: its head was asked 0.5 s ago at most, is silent for 0.8 s, and what it said last came a way later. Who comes behind a
 * dead one is asked then, so two more that are dead, which is the most that these seeds have, take 0.8 s each.
 */
const DETECTED_MS = 500 + 3 * 800 + 2 * LONGEST_WAY_MS;
/** In another's list or notified, and its own not there yet: it asks whoever notified it, again after 0.5 s at most when that one awaits an answer itself; and if that one dies, DETECTED_MS. */
const LISTED_MS = 500 + DETECTED_MS;
/** Alone, though others run: it looks for them every 0.5 s. Of two that ask each other at once both say that they await an answer, several times in a row. */
const FOUND_MS = 6_000;
/** Who starts is a ring of one. Two that start within this may meet before they meet the others, and be a ring beside theirs until one of them has looked for itself in the other, which each does every 2 s. */
const STARTING_MS = 6_000;
const MERGED_MS = 4_000;
/** In so long a pause all becomes as it should be: whoever looks for itself has asked all eight addresses by turns. */
const PAUSE_MS = 20_000;
const SEEDS = 8;
const EVENTS = 40;
/** Real time, on a busy machine. */
const TEST_MS = 90_000;

type Excuse = "no live successor" | "no list" | "alone beside others" | "not one ring";
const LIMITS_MS: Readonly<Record<Excuse, number>> = { "no live successor": DETECTED_MS, "no list": LISTED_MS, "alone beside others": FOUND_MS, "not one ring": MERGED_MS };

/** What the simulator's checkers look at. */
type View = { -readonly [K in "number" | "name" | "key" | "endpoint" | "isUp" | "isLeaving" | "memberSinceMs" | "predecessor"]: ServerMachine[K] } & { list: View[] };
const machines = (views: Iterable<View>): ServerMachine[] => [...views] as unknown as ServerMachine[];

class SmallRing {
  readonly net: RingNet;
  readonly done = { joins: 0, leaves: 0, crashes: 0 };
  invariants = 0;
  readonly #size: number;
  readonly #seed: number;
  readonly #random: () => number;
  readonly #views = new Map<Member, View>();
  readonly #sinceMs = new Map<string, number>();
  readonly #story: string[] = [];
  #startsMs: number[] = [];
  #seen: readonly unknown[] = [];
  #lookedMs = 0;

  constructor(size: number, seed: number) {
    this.net = new RingNet(seed * 100 + size);
    this.#size = size;
    this.#seed = seed;
    this.#random = seeded(seed * 7_919 + size);
    const waysMs = Array.from({ length: size * size }, () => 1 + this.#below(LONGEST_WAY_MS - 5));
    this.net.delayMs = (from, to) => (waysMs[from * size + to] as number) + Math.floor(this.net.random() * 5);
    this.net.afterStep = () => this.#lookAtChange();
  }

  go(events: number): void {
    for (let i = 0; i < events; i += 1) {
      this.#event();
      this.#look();
      const draw = this.#random();
      this.net.run(draw < 0.4 ? this.#below(400) : draw < 0.85 ? this.#below(4_000) : PAUSE_MS);
      if (draw >= 0.85) this.#expectIdeal();
    }
    this.net.run(PAUSE_MS);
    this.#expectIdeal();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** All are told of all addresses. A server that comes again has its key and nothing else. */
  #event(): void {
    const { net } = this;
    const running = net.live().filter((member) => this.#views.get(member)?.isLeaving !== true);
    const stopped = net.members.filter(({ up }) => !up);
    const knows = Array.from({ length: this.#size }, (_, i) => i);
    const canStart = net.members.length < this.#size || stopped.length > 0;
    const draw = this.#random();
    if (canStart && (running.length === 0 || draw < 0.5)) {
      const again = net.members.length < this.#size ? null : (stopped[this.#below(stopped.length)] as Member);
      if (again !== null) net.restart(again.index, knows);
      const { index } = again ?? net.add(knows);
      this.done.joins += 1;
      this.#startsMs = [...this.#startsMs.slice(-1), net.nowMs];
      return this.#note(`+${index}`);
    }
    const member = running[this.#below(running.length)];
    if (member === undefined) return;
    const isLeaving = draw < 0.75;
    this.#note(`${isLeaving ? "-" : "†"}${member.index}`);
    if (!isLeaving) {
      this.done.crashes += 1;
      return net.crash(member.index);
    }
    this.done.leaves += 1;
    this.#viewOf(member).isLeaving = true;
    net.leave(member.index);
  }

  #note(what: string): void {
    this.#story.push(`${what}@${Math.round(this.net.nowMs)}`);
  }

  #viewOf(member: Member): View {
    const { index: number, node: { key, locator } } = member;
    let view = this.#views.get(member);
    if (view === undefined) this.#views.set(member, (view = { number, name: `${number}`, key: bytesKey(key), endpoint: endpointOfLocator(locator), isUp: false, isLeaving: false, memberSinceMs: null, predecessor: null, list: [] }));
    return view;
  }

  /** Between changes nothing but ages can become wrong. */
  #lookAtChange(): void {
    const seen = this.net.members.flatMap(({ up, chord }) => [up, chord.successors, chord.predecessor]);
    const isSame = seen.length === this.#seen.length && seen.every((part, i) => part === this.#seen[i]);
    if (isSame && this.net.nowMs - this.#lookedMs < 250) return;
    this.#seen = seen;
    this.#look();
  }

  #look(): void {
    const { nowMs, members } = this.net;
    this.#lookedMs = nowMs;
    const byKey = new Map(members.map((member) => [bytesKey(member.node.key), this.#viewOf(member)]));
    for (const [{ up, chord }, view] of this.#views) {
      view.isUp = up;
      view.isLeaving &&= up;
      view.predecessor = chord.predecessor;
      view.list = up ? chord.successors.map(({ key }) => byKey.get(bytesKey(key)) ?? this.#fail("a successor is no server")) : [];
      if (view.list.length === 0) view.memberSinceMs = null;
      else view.memberSinceMs ??= nowMs;
    }
    const excuses = new Set<string>();
    for (const [member, view] of this.#views) if (view.isUp && !view.isLeaving) this.#lookAtOne(member, view, excuses);
    if (![...excuses].some((excuse) => excuse.startsWith("no l"))) this.#lookAtAll(excuses);
    for (const excuse of this.#sinceMs.keys()) if (!excuses.has(excuse)) this.#sinceMs.delete(excuse);
    for (const excuse of excuses) this.#excuse(excuse);
  }

  /** Its list is in the order of the ring and ends where that comes back to it; somebody in it lives, or it is alone and answers for all keys, or for none before it has looked for others. */
  #lookAtOne({ chord, node }: Member, { key: self, name, list, predecessor }: View, excuses: Set<string>): void {
    let last = self;
    for (const { key } of list) {
      if (key === self || !isBetween(last, key, self)) this.#fail(`the list of ${name} is out of order: ${list.map((other) => other.name).join(" ")}`);
      last = key;
    }
    const others = [...this.#views.values()].filter((other) => other.key !== self && other.isUp && !other.isLeaving);
    if (list.length > 0) {
      if (!list.some((other) => others.includes(other))) excuses.add(`no live successor|${name}`);
    } else if (predecessor !== null || others.some((other) => other.list.some(({ key }) => key === self))) excuses.add(`no list|${name}`);
    else {
      if (chord.owns(node.key) !== chord.isSettled) this.#fail(`${name} is alone and does not know it`);
      if (others.length > 0) excuses.add(`alone beside others|${name}`);
    }
  }

  #lookAtAll(excuses: Set<string>): void {
    try {
      checkInvariant(this.net.nowMs, machines(this.#views.values()));
      this.invariants += 1;
    } catch (error) {
      // Of those that start one by one each comes into the ring that there is: then Zave's invariant holds at every step.
      const [before = -Infinity] = this.#startsMs.length < 2 ? [] : this.#startsMs;
      if (this.net.nowMs - before > STARTING_MS) this.#fail(String(error));
      excuses.add("not one ring|all");
    }
  }

  #excuse(excuse: string): void {
    const { nowMs } = this.net;
    const kind = excuse.split("|")[0] as Excuse;
    const sinceMs = this.#sinceMs.get(excuse) ?? nowMs;
    this.#sinceMs.set(excuse, sinceMs);
    if (nowMs - sinceMs > LIMITS_MS[kind]) this.#fail(`${excuse} for ${Math.round(nowMs - sinceMs)} ms`);
  }

  #expectIdeal(): void {
    const running = [...this.#views.values()].filter(({ isUp }) => isUp);
    try {
      checkIdeal(machines(running));
    } catch (error) {
      this.#fail(String(error));
    }
    for (const { chord, node } of this.net.live()) if (!chord.owns(node.key)) this.#fail("a key is nobody's");
  }

  #fail(what: string): never {
    const lists = [...this.#views.values()].filter(({ isUp }) => isUp).map(({ name, list }) => `${name}: ${list.map((other) => other.name).join(" ")}`);
    throw new Error(`seed ${this.#seed}: ${what} at ${Math.round(this.net.nowMs)} ms; lists ${lists.join(", ")}; ${this.#story.slice(-8).join(" ")}`);
  }
}

describe("at every step of joins, leaves and crashes", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("a ring of up to %i servers is one and in order, but for the time in which its members see what happened", (size) => {
    const done = { joins: 0, leaves: 0, crashes: 0, invariants: 0 };
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const ring = new SmallRing(size, seed);
      ring.go(EVENTS);
      done.invariants += ring.invariants;
      for (const what of ["joins", "leaves", "crashes"] as const) done[what] += ring.done[what];
    }
    expect(Math.min(...Object.values(done))).toBeGreaterThan(20);
    expect(done.invariants).toBeGreaterThan(2_000);
  }, TEST_MS);
});
