/** Who gets how much of an engine for which more comes than it can do, in virtual time: a queue before it that is bounded as the kernel's are, and peers that send at steady rates. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairShares, PACKET_COST, STANDING_MS, WINDOW_MS } from "../../src/reference/fair-shares.js";

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
    arriving.forEach((_, i) => {
      const peer = arriving[(i * 7_919) % arriving.length] ?? 0;
      if (queue.length < QUEUE) queue.push(peer);
      else if (nowMs > ms / 2) lost[peer] = (lost[peer] ?? 0) + 1;
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
    shares.saw("udp", queue.length > 0);
    shares.saw("tun", false);
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

  it("let a burst be", () => {
    const shares = new FairShares<number>();
    for (let nowMs = 1; nowMs < STANDING_MS; nowMs += 1) {
      shares.begin(nowMs);
      for (const peer of [1, 2]) {
        expect(shares.may(peer)).toBe(true);
        shares.charge(peer, 1_000_000);
      }
      shares.saw("udp", true);
    }
    expect(shares.level).toBe(Infinity);
  });

  it("give 499 what they had, beside one at six times what there is time for", () => {
    const rates = [240, ...new Array<number>(499).fill(0.03)];
    const { served, lost } = run(rates, 4_000);
    expect(lost.slice(1).reduce((sum, one) => sum + one, 0), "in the queue").toBe(0);
    for (const one of served.slice(1)) expect(one).toBeGreaterThan(0.9 * 0.03);
  });

  it("are whole again soon when the others have gone", () => {
    const shares = new FairShares<number>();
    let nowMs = 0;
    const pass = (ms: number, more: boolean, peers: readonly number[]): void => {
      for (const end = nowMs + ms; nowMs < end; ) {
        nowMs += 1;
        shares.begin(nowMs);
        for (const peer of peers) shares.charge(peer, 10_000);
        shares.saw("udp", more);
      }
    };
    pass(300, true, [1, 2]);
    expect(shares.level).toBeLessThan(200_000);
    pass(1_100, true, [1]);
    expect(shares.level).toBe(Infinity);
    pass(300, true, [1, 2]);
    expect(shares.level).toBeLessThan(200_000);
    // Or when nothing waits any more.
    pass(10_000, false, [1, 2]);
    expect(shares.level).toBe(Infinity);
  });

  it("know so many peers, and leave the others alone", () => {
    const shares = new FairShares<number>();
    for (let nowMs = 1; nowMs <= STANDING_MS + 4 * WINDOW_MS - 1; nowMs += 1) {
      shares.begin(nowMs);
      for (let peer = 0; peer < 5_000; peer += 1) shares.charge(peer, 50_000);
      shares.saw("udp", true);
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
