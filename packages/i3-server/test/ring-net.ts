/** Chord nodes in one process and in virtual time: delay, loss, partitions and silence from one seed. */
import { bytesKey, makeLocator, sameLocator, toHex, type Locator, type RingNode } from "@i3/common";

import { Chord, type ChordOutput, type RingMessage } from "../src/chord/chord.js";
import { compareKeys } from "../src/chord/ring-key.js";

/** mulberry32: numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const randomBytesFrom = (random: () => number) => (length: number): Uint8Array =>
  Uint8Array.from({ length }, () => Math.floor(random() * 256));

interface Flight {
  readonly atMs: number;
  readonly order: number;
  readonly from: number;
  readonly to: number;
  readonly toKey: Uint8Array | null;
  readonly nonce: Uint8Array;
  readonly message: RingMessage;
}

export interface Member {
  readonly index: number;
  readonly node: RingNode;
  chord: Chord;
  up: boolean;
  outputs: ChordOutput[];
}

export class RingNet {
  nowMs = 0;
  loss = 0;
  /** Whether a message may pass from one member to another. */
  passes: (from: number, to: number) => boolean = () => true;
  /** One way. */
  delayMs: (from: number, to: number) => number = () => 5 + Math.floor(this.random() * 20);
  /** Called after each message that arrived and each timer that ran. */
  afterStep: () => void = () => undefined;
  readonly members: Member[] = [];
  readonly random: () => number;
  /** Hears of all that is sent. */
  seen: (from: number, message: RingMessage, to: Locator) => void = () => undefined;
  sent = 0;
  #flights: Flight[] = [];
  #order = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  static locatorOf(index: number): Locator {
    return makeLocator(Uint8Array.of(10, 0, index >> 8, index & 0xff), 4_000);
  }

  /** Adds a node and starts it. `knows`: indexes of its configured members. */
  add(knows: readonly number[], index = this.members.length): Member {
    const node = { key: randomBytesFrom(this.random)(16), locator: RingNet.locatorOf(index) };
    const member: Member = { index, node, chord: this.#make(node, knows), up: true, outputs: [] };
    this.members[index] = member;
    member.chord.start(this.nowMs);
    this.#drain(member);
    return member;
  }

  #make(self: RingNode, knows: readonly number[]): Chord {
    return new Chord({ self, members: knows.map((i) => RingNet.locatorOf(i)), random: randomBytesFrom(this.random) });
  }

  crash(index: number): void {
    this.member(index).up = false;
  }

  restart(index: number, knows: readonly number[]): void {
    const member = this.member(index);
    member.chord = this.#make(member.node, knows);
    member.up = true;
    member.chord.start(this.nowMs);
    this.#drain(member);
  }

  leave(index: number): void {
    const member = this.member(index);
    member.chord.leave(this.nowMs);
    this.#drain(member);
  }

  member(index: number): Member {
    const member = this.members[index];
    if (member === undefined) throw new RangeError(`no member ${index}`);
    return member;
  }

  live(): Member[] {
    return this.members.filter(({ up }) => up);
  }

  run(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      const timerMs = Math.min(...this.live().map(({ chord }) => chord.deadlineMs()));
      const flightMs = this.#flights[0]?.atMs ?? Infinity;
      const nextMs = Math.max(this.nowMs, Math.min(timerMs, flightMs));
      if (nextMs > endMs) break;
      this.nowMs = nextMs;
      if (flightMs <= nextMs) this.#land();
      else for (const member of this.live()) this.#fire(member);
      this.afterStep();
    }
    this.nowMs = endMs;
  }

  /** Runs until `holds`, checking every 50 ms; returns how long it took, or Infinity after `limitMs`. */
  runUntil(holds: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs >= limitMs) return Infinity;
      this.run(50);
    }
    return this.nowMs - startMs;
  }

  #fire(member: Member): void {
    if (member.chord.deadlineMs() > this.nowMs) return;
    member.chord.handleTimer(this.nowMs);
    if (member.chord.deadlineMs() <= this.nowMs && member.up) throw new Error("a deadline that is never met");
    this.#drain(member);
  }

  #land(): void {
    const flight = this.#flights.shift() as Flight;
    const target = this.members[flight.to];
    if (target === undefined || !target.up || !this.passes(flight.from, flight.to)) return;
    if (flight.toKey !== null && compareKeys(flight.toKey, target.node.key) !== 0) return;
    target.chord.handleMessage(this.nowMs, flight.nonce, flight.message);
    this.#drain(target);
  }

  #drain(member: Member): void {
    for (let output = member.chord.pollOutput(); output !== undefined; output = member.chord.pollOutput()) {
      if (output.kind === "send") this.#send(member, output);
      else member.outputs.push(output);
      if (output.kind === "left") member.up = false;
    }
  }

  /** What a member says that does not keep to the rules. */
  inject(from: number, to: number, message: RingMessage): void {
    this.#send(this.member(from), { kind: "send", to: this.member(to).node.locator, toKey: this.member(to).node.key, nonce: randomBytesFrom(this.random)(8), message });
  }

  #send(member: Member, output: Extract<ChordOutput, { kind: "send" }>): void {
    this.sent += 1;
    this.seen(member.index, output.message as RingMessage, output.to);
    const to = this.members.findIndex((other) => other !== undefined && sameLocator(other.node.locator, output.to));
    if (to < 0 || this.random() < this.loss) return;
    const atMs = this.nowMs + this.delayMs(member.index, to);
    const { toKey, nonce } = output;
    this.#flights.push({ atMs, order: (this.#order += 1), from: member.index, to, toKey, nonce, message: output.message as RingMessage });
    this.#flights.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
  }

  /** Null when the live nodes form one ordered ring with right predecessors; otherwise what is wrong. */
  fault(among: readonly Member[] = this.live()): string | null {
    const sorted = [...among].sort((a, b) => compareKeys(a.node.key, b.node.key));
    for (const [i, { chord, node }] of sorted.entries()) {
      const after = sorted[(i + 1) % sorted.length] as Member;
      const before = sorted[(i + sorted.length - 1) % sorted.length] as Member;
      if (sorted.length === 1) {
        if (chord.successors.length > 0 || chord.predecessor !== null) return `${name(node)} is not alone`;
      } else {
        const head = chord.successors[0];
        if (head === undefined || compareKeys(head.key, after.node.key) !== 0) return `${name(node)} → ${name(head)} instead of ${name(after.node)}`;
        const predecessor = chord.predecessor;
        if (predecessor === null || compareKeys(predecessor.key, before.node.key) !== 0) return `${name(node)} ← ${name(predecessor)} instead of ${name(before.node)}`;
      }
    }
    return null;
  }

  /** The live node that ought to own a key. */
  ownerOf(key: Uint8Array): Member {
    const sorted = this.live().sort((a, b) => compareKeys(a.node.key, b.node.key));
    return sorted.find(({ node }) => compareKeys(key, node.key) <= 0) ?? (sorted[0] as Member);
  }

  /** Looks up a key from a member and runs until it is answered; null when it is not found. */
  lookup(index: number, key: Uint8Array): RingNode | null {
    const member = this.member(index);
    const id = member.chord.lookup(this.nowMs, key);
    this.#drain(member);
    const answer = () => member.outputs.find((output) => (output.kind === "found" || output.kind === "not-found") && output.id === id);
    this.runUntil(() => answer() !== undefined, 6_000);
    const found = answer();
    return found?.kind === "found" ? found.node : null;
  }

  randomKey(): Uint8Array {
    return randomBytesFrom(this.random)(16);
  }

  /** A digest of all that was decided, for the determinism test. */
  digest(): string {
    return this.members.map(({ chord }) => chord.successors.map(name).join()).join("|") + this.sent;
  }
}

const name = (node: RingNode | null | undefined): string => (node === null || node === undefined ? "none" : toHex(node.key).slice(0, 6));

export const keyOf = (node: RingNode | null): string => (node === null ? "none" : bytesKey(node.key));
