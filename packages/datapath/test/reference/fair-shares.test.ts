/** Who gets how much of an engine for which more comes than it can do, in virtual time: a queue before it that is bounded as the kernel's are, and peers that send at steady rates. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairShares, HOLD_MS, MAX_HOLD_MS, PACKET_COST, WINDOW_MS, type QueueState } from "../../src/reference/fair-shares.js";

/** Of a packet, bytes and all. */
const COST = 1_000 + PACKET_COST;
/** Packets that the engine works on in a millisecond; it drops eight times as many. */
const CAPACITY = 40;
const QUEUE = 4_000;

interface Outcome {
  /** Packets a millisecond of each peer, in the second half of the time. */
  readonly served: readonly number[];
  /** In the whole time: by the shares, and by the kernel in the second half. */
  readonly dropped: number;
  readonly lost: readonly number[];
}

/** @param rates packets a millisecond of each peer */
function run(rates: readonly number[], ms: number): Outcome {
  const shares = new FairShares<number>();
  let queue: number[] = [];
  const sent = rates.map(() => 0);
  const served = rates.map(() => 0);
  const lost = rates.map(() => 0);
  let dropped = 0;
  for (let nowMs = 1; nowMs <= ms; nowMs += 1) {
    const arriving = rates.flatMap((rate, peer) => {
      sent[peer] = (sent[peer] ?? 0) + rate;
      const whole = Math.floor(sent[peer] ?? 0);
      sent[peer] = (sent[peer] ?? 0) - whole;
      return new Array<number>(whole).fill(peer);
    });
    // Mixed, as they come.
    let hasLost = false;
    arriving.forEach((_, i) => {
      const peer = arriving[(i * 7_919) % arriving.length] ?? 0;
      if (queue.length < QUEUE) return void queue.push(peer);
      hasLost = true;
      if (nowMs > ms / 2) lost[peer] = (lost[peer] ?? 0) + 1;
    });
    shares.begin(nowMs);
    let left = CAPACITY;
    let taken = 0;
    while (left > 0 && taken < queue.length) {
      const peer = queue[taken] ?? 0;
      taken += 1;
      if (!shares.may(peer)) {
        dropped += 1;
        left -= 1 / 8;
        continue;
      }
      shares.charge(peer, COST - PACKET_COST);
      if (nowMs > ms / 2) served[peer] = (served[peer] ?? 0) + 1;
      left -= 1;
    }
    queue = queue.slice(taken);
    shares.saw("udp", hasLost ? "lost" : queue.length > 0 ? "waiting" : "empty");
    shares.saw("tun", "empty");
  }
  return { served: served.map((packets) => packets / (ms / 2)), dropped, lost };
}

/** Max-min: what each would have of what all are served. */
function fairOf(rates: readonly number[], capacity: number): readonly number[] {
  const sorted = [...rates].sort((a, b) => a - b);
  let left = capacity;
  let level = Infinity;
  for (const [i, rate] of sorted.entries()) {
    level = left / (sorted.length - i);
    if (rate > level) break;
    left -= rate;
  }
  return rates.map((rate) => Math.min(rate, level));
}

describe("shares", () => {
  it("drop nothing of one who is alone, however much it sends", () => {
    expect(run([400], 3_000).dropped).toBe(0);
  });

  it("drop nothing while there is time for all", () => {
    expect(run([20, 5, 5, 5], 3_000).dropped).toBe(0);
  });

  it("are nobody's while nothing is lost, however long there is more to read", () => {
    const shares = new FairShares<number>();
    for (let nowMs = 1; nowMs < 5_000; nowMs += 1) {
      shares.begin(nowMs);
      for (const peer of [1, 2]) {
        expect(shares.may(peer)).toBe(true);
        shares.charge(peer, 1_000_000);
      }
      shares.saw("udp", "waiting");
    }
    expect(shares.level).toBe(Infinity);
  });

  it("last a moment after one loss, and longer and longer when the next comes soon", () => {
    const shares = new FairShares<number>();
    let nowMs = 0;
    /** Loses something, and yields how long there are shares then. */
    const lose = (): number => {
      let sharedMs = 0;
      for (let i = 0; i < 30_000; i += 1) {
        nowMs += 1;
        shares.begin(nowMs);
        if (shares.level !== Infinity) sharedMs += 1;
        else if (i > 2 * WINDOW_MS) return sharedMs;
        for (const peer of [1, 2]) shares.charge(peer, 50_000);
        shares.saw("tun", i === 0 ? "lost" : "waiting");
      }
      return sharedMs;
    };
    const held = [lose(), lose(), lose()];
    for (const [i, one] of held.entries()) expect(Math.abs(one - HOLD_MS * 2 ** i)).toBeLessThanOrEqual(WINDOW_MS);
    for (let i = 0; i < 8; i += 1) lose();
    expect(Math.abs(lose() - MAX_HOLD_MS)).toBeLessThanOrEqual(WINDOW_MS);
    nowMs += 2_000;
    expect(Math.abs(lose() - HOLD_MS)).toBeLessThanOrEqual(WINDOW_MS);
  });

  it("give 499 what they had, beside one at six times what there is time for", () => {
    const rates = [240, ...new Array<number>(499).fill(0.03)];
    const { served, lost } = run(rates, 8_000);
    expect(lost.slice(1).reduce((sum, one) => sum + one, 0), "in the queue, of 60,000").toBeLessThan(600);
    for (const one of served.slice(1)) expect(one).toBeGreaterThan(0.9 * 0.03);
  });

  it("leave peers a part of what they had when it is nobody's packets that are too many", () => {
    const shares = new FairShares<number>();
    for (let nowMs = 1; nowMs <= 5_000; nowMs += 1) {
      shares.begin(nowMs);
      for (const peer of [1, 2]) if (shares.may(peer)) shares.charge(peer, 50_000);
      shares.saw("udp", "lost");
    }
    const had = (10 * 2 * (50_000 + PACKET_COST)) / 2;
    expect(shares.level).toBeGreaterThan(had / 24);
    expect(shares.level).toBeLessThan(had / 16);
  });

  it("are whole again soon when the others have gone", () => {
    const shares = new FairShares<number>();
    let nowMs = 0;
    const pass = (ms: number, queue: QueueState, peers: readonly number[]): void => {
      for (const end = nowMs + ms; nowMs < end; ) {
        nowMs += 1;
        shares.begin(nowMs);
        for (const peer of peers) shares.charge(peer, 10_000);
        shares.saw("udp", queue);
      }
    };
    pass(300, "lost", [1, 2]);
    expect(shares.level).toBeLessThan(200_000);
    pass(1_100, "lost", [1]);
    expect(shares.level).toBe(Infinity);
    pass(300, "lost", [1, 2]);
    expect(shares.level).toBeLessThan(200_000);
    // Or when nothing waits any more.
    pass(10_000, "empty", [1, 2]);
    expect(shares.level).toBe(Infinity);
  });

  it("know so many peers, and leave the others alone", () => {
    const shares = new FairShares<number>();
    for (let nowMs = 1; nowMs <= 6 * WINDOW_MS - 1; nowMs += 1) {
      shares.begin(nowMs);
      for (let peer = 0; peer < 5_000; peer += 1) shares.charge(peer, 50_000);
      shares.saw("udp", "lost");
    }
    expect([shares.may(0), shares.may(4_095), shares.may(4_096)]).toEqual([false, false, true]);
  });

  it("are those of max-min, within a factor, whatever each sends", () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.double({ min: 0.2, max: 4, noNaN: true }), fc.double({ min: 4, max: 120, noNaN: true })), { minLength: 2, maxLength: 12 }), (rates) => {
      const total = rates.reduce((sum, one) => sum + one, 0);
      fc.pre(total < 6 * CAPACITY);
      const { served, dropped } = run(rates, 2_000);
      if (total < CAPACITY * 0.95) expect(dropped).toBe(0);
      // Of what dropping leaves: what is served, and an eighth of what is not, take all the time.
      const fair = fairOf(rates, Math.min(total, (CAPACITY - total / 8) / (7 / 8)));
      for (const [i, one] of served.entries()) expect(one, `${i} of ${rates.join(" ")}: ${served.join(" ")}`).toBeGreaterThan(0.6 * (fair[i] ?? 0));
      expect(served.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(CAPACITY + 1);
    }), { numRuns: 30, seed: 7, endOnFailure: true });
  });
});
