/**
 * Many real Chord cores in one process and in virtual time: a network that is only delays, whole ms, and nodes that crash. No codec, no channel: a message is
 * delivered as the object that the core made. Deterministic: one seed, one run.
 */
import { bytesKey, makeLocator, sameBytes, type Locator, type RingNode } from "@i3/common";
import { Chord, type RingMessage } from "@i3/i3-server";

import type { Draw } from "./draw.js";

/** Slots of the timer wheel, 1 ms each; what is later is looked at again when its slot comes. A power of two. */
const WHEEL_MS = 32_768;
const PORT = 5_610;

export interface Member {
  readonly index: number;
  readonly node: RingNode;
  readonly key: string;
  readonly chord: Chord;
  up: boolean;
  joined: boolean;
  /** Its slot in the wheel, ms. */
  timerMs: number;
}

interface Flight {
  readonly to: Member;
  readonly toKey: Uint8Array | null;
  readonly nonce: Uint8Array;
  readonly message: RingMessage;
}

export interface Answer {
  /** Null: not found. */
  readonly node: RingNode | null;
  readonly hops: number;
  /** Since the question, ms. */
  readonly tookMs: number;
}

export class RingWorld {
  nowMs = 0;
  messages = 0;
  readonly members: Member[] = [];
  /** Live members that have joined, in ring order. */
  readonly joined: Member[] = [];
  readonly #draw: Draw;
  readonly #delayMs: (from: Member, to: Member) => number;
  readonly #flights: (Flight[] | null)[] = Array.from({ length: WHEEL_MS }, () => null);
  readonly #timers: (Member[] | null)[] = Array.from({ length: WHEEL_MS }, () => null);
  readonly #asked = new Map<number, Map<number, { readonly askedMs: number; readonly done: (answer: Answer) => void }>>();

  /** `delayMs`: one way, whole ms, at least 1. */
  constructor(draw: Draw, delayMs: (from: Member, to: Member) => number) {
    this.#draw = draw;
    this.#delayMs = delayMs;
  }

  /** Starts a node; `knows`: its configured members, none for the first. */
  add(knows: readonly Member[]): Member {
    const index = this.members.length;
    const node = { key: this.#draw.bytes(16), locator: locatorOf(index) };
    const chord = new Chord({ self: node, members: knows.map((member) => member.node.locator), random: (length) => this.#draw.bytes(length) });
    const member: Member = { index, node, key: bytesKey(node.key), chord, up: true, joined: false, timerMs: Infinity };
    this.members.push(member);
    if (knows.length === 0) this.#markJoined(member);
    chord.start(this.nowMs);
    this.#drain(member);
    return member;
  }

  crash(member: Member): void {
    member.up = false;
    this.#asked.delete(member.index);
    if (member.joined) this.joined.splice(this.#placeOf(member.key), 1);
    member.joined = false;
  }

  /** Of the live nodes that have joined, the one whose key comes at or after `key`. */
  ownerOf(key: Uint8Array): Member {
    return this.joined[this.#placeOf(bytesKey(key))] ?? (this.joined[0] as Member);
  }

  lookUp(from: Member, key: Uint8Array, done: (answer: Answer) => void): void {
    const id = from.chord.lookup(this.nowMs, key);
    if (id === null) return done({ node: null, hops: 0, tookMs: 0 });
    const asked = this.#asked.get(from.index) ?? new Map<number, never>();
    this.#asked.set(from.index, asked);
    asked.set(id, { askedMs: this.nowMs, done });
    this.#drain(from);
  }

  /** How many members have other successors or another predecessor than they ought to. */
  countDisordered(successors: number): number {
    const { joined } = this;
    const at = (i: number): Member | undefined => joined[(i + joined.length) % joined.length];
    const isRight = ({ chord }: Member, i: number): boolean =>
      chord.predecessor !== null && sameBytes(chord.predecessor.key, at(i - 1)?.node.key ?? NO_KEY) &&
      chord.successors.length === Math.min(successors, joined.length - 1) &&
      chord.successors.every((node, s) => sameBytes(node.key, at(i + 1 + s)?.node.key ?? NO_KEY));
    return joined.filter((member, i) => !isRight(member, i)).length;
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs) {
      this.nowMs += 1;
      const slot = this.nowMs & (WHEEL_MS - 1);
      const flights = this.#flights[slot] ?? null;
      this.#flights[slot] = null;
      if (flights !== null) for (const flight of flights) this.#land(flight);
      const timers = this.#timers[slot] ?? null;
      this.#timers[slot] = null;
      if (timers !== null) for (const member of timers) this.#fire(member);
    }
  }

  #land({ to, toKey, nonce, message }: Flight): void {
    if (!to.up || (toKey !== null && !sameBytes(toKey, to.node.key))) return;
    to.chord.handleMessage(this.nowMs, nonce, message);
    this.#drain(to);
  }

  #fire(member: Member): void {
    if (!member.up || member.timerMs !== this.nowMs) return;
    member.timerMs = Infinity;
    if (member.chord.deadlineMs() <= this.nowMs) {
      member.chord.handleTimer(this.nowMs);
      if (member.chord.deadlineMs() <= this.nowMs) throw new Error(`time stands still at ${this.nowMs} ms`);
    }
    this.#drain(member);
  }

  #drain(member: Member): void {
    for (let output = member.chord.pollOutput(); output !== undefined; output = member.chord.pollOutput()) {
      switch (output.kind) {
        case "send": {
          const to = this.members[indexOf(output.to)];
          this.messages += 1;
          if (to?.up !== true) break;
          const slot = (this.nowMs + this.#delayMs(member, to)) & (WHEEL_MS - 1);
          (this.#flights[slot] ??= []).push({ to, toKey: output.toKey, nonce: output.nonce, message: output.message as RingMessage });
          break;
        }
        case "joined": this.#markJoined(member); break;
        case "found": this.#answered(member, output.id, output.node, output.hops); break;
        case "not-found": this.#answered(member, output.id, null, 0); break;
        case "responsibility": case "gone": case "back": case "alone": case "duplicate-key": case "left": break;
      }
    }
    const dueMs = Math.min(Math.max(Math.ceil(member.chord.deadlineMs()), this.nowMs + 1), this.nowMs + WHEEL_MS - 1);
    if (dueMs >= member.timerMs) return;
    member.timerMs = dueMs;
    (this.#timers[dueMs & (WHEEL_MS - 1)] ??= []).push(member);
  }

  #answered(member: Member, id: number, node: RingNode | null, hops: number): void {
    const asked = this.#asked.get(member.index);
    const question = asked?.get(id);
    asked?.delete(id);
    question?.done({ node, hops, tookMs: this.nowMs - question.askedMs });
  }

  #markJoined(member: Member): void {
    if (member.joined) return;
    member.joined = true;
    this.joined.splice(this.#placeOf(member.key), 0, member);
  }

  #placeOf(key: string): number {
    let low = 0;
    let high = this.joined.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.joined[middle] as Member).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const NO_KEY = new Uint8Array(0);

const locatorOf = (index: number): Locator => makeLocator(Uint8Array.of(10, index >> 16, (index >> 8) & 0xff, index & 0xff), PORT);

const indexOf = ({ address }: Locator): number => ((address[1] ?? 0) << 16) | ((address[2] ?? 0) << 8) | (address[3] ?? 0);
