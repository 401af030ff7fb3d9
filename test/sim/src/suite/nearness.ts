/** What a lookup costs in time, with fingers that are near and with those that came first. */
import { Draw } from "./draw.js";
import { grow } from "./grow.js";
import { RingWorld } from "./ring-world.js";
import { TOPOLOGY_NODES, transitStub } from "./topology.js";

const LOOKUPS_MS = 20_000;

export interface NearnessFigures {
  readonly lookups: number;
  readonly right: number;
  readonly meanHops: number;
  /** Mean latency of a lookup, from the question to the direct answer of the responsible server, and of the round trips to those servers, ms. */
  readonly lookupMs: number;
  readonly roundTripMs: number;
  /** Of the ratios of single lookups. */
  readonly medianRatio: number;
  readonly meanRatio: number;
}

/** `searchMs`: how long nearer fingers are looked for; `near` false: every round trip seems to be the same, so that none is preferred. */
export function measureNearness(seed: number, options: { readonly near: boolean; readonly searchMs: number; readonly lookups: number; readonly size?: number }): NearnessFigures {
  const { near, searchMs, lookups, size = TOPOLOGY_NODES } = options;
  const draw = new Draw(seed);
  const delay = transitStub(draw);
  let real = near;
  const world = new RingWorld(draw, (from, to) => (real ? delay(from.index, to.index) : 50));
  grow(world, draw, size);
  world.run(searchMs);
  real = true;
  const took: { readonly lookupMs: number; readonly roundTripMs: number }[] = [];
  let [right, hops] = [0, 0];
  for (let i = 0; i < lookups; i += 1) {
    const key = draw.bytes(16);
    const from = draw.pick(world.joined);
    const owner = world.ownerOf(key);
    if (owner === from) continue;
    world.lookUp(from, key, ({ node, hops: h, tookMs }) => {
      if (node === owner.node) right += 1;
      hops += h;
      took.push({ lookupMs: tookMs, roundTripMs: delay(from.index, owner.index) + delay(owner.index, from.index) });
    });
    if (i % Math.ceil(lookups / LOOKUPS_MS) === 0) world.run(1);
  }
  world.run(6_000);
  const ratios = took.map(({ lookupMs, roundTripMs }) => lookupMs / roundTripMs).sort((a, b) => a - b);
  return {
    lookups: took.length, right, meanHops: hops / took.length, lookupMs: meanOf(took.map(({ lookupMs }) => lookupMs)), roundTripMs: meanOf(took.map(({ roundTripMs }) => roundTripMs)),
    medianRatio: ratios[ratios.length >> 1] ?? NaN, meanRatio: meanOf(ratios),
  };
}

const meanOf = (numbers: readonly number[]): number => numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
