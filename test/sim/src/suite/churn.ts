/** Lookups while nodes crash and others join. */
import { Draw } from "./draw.js";
import { grow } from "./grow.js";
import { RingWorld, type Answer, type Member } from "./ring-world.js";

const FINGERS_MS = 15_000;
/** A lookup that went wrong is made again by the same node after this, so often. */
const RETRY_MS = 2_000;
const RETRIES = 3;
const PROGRESS_MS = 300_000;

export interface ChurnFigures {
  readonly size: number;
  /** Virtual time under churn, ms. */
  readonly ranMs: number;
  readonly crashed: number;
  readonly joined: number;
  readonly lookups: number;
  readonly wrong: number;
  readonly notFound: number;
  readonly wrongAfterRetry: number;
  readonly meanHops: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly messagesPerNodeSecond: number;
}

export interface ChurnOptions {
  readonly size: number;
  readonly meanLifetimeMs: number;
  readonly forMs: number;
  readonly lookupsPerSecond: number;
  /** Told every {@link PROGRESS_MS} of virtual time under churn. @default nobody */
  readonly onProgress?: (done: Pick<ChurnFigures, "ranMs" | "crashed" | "lookups">) => void;
}

/**
 * Every node lives as long as an exponential distribution says, then crashes without a word; another joins at that moment. An answer is right when it names
 * the live node that is responsible at the moment when it comes. Askers that crash do not count.
 */
export function measureChurn(seed: number, { size, meanLifetimeMs, forMs, lookupsPerSecond, onProgress }: ChurnOptions): ChurnFigures {
  const draw = new Draw(seed);
  const world = new RingWorld(draw, () => draw.between(10, 50));
  grow(world, draw, size);
  world.run(FINGERS_MS);
  const startMs = world.nowMs;
  const startMessages = world.messages;
  const deaths = new Map<number, Member[]>();
  const live = (member: Member): void => {
    const atMs = world.nowMs + Math.max(1, Math.round(draw.exponential(meanLifetimeMs)));
    if (atMs > startMs + forMs) return;
    deaths.set(atMs, [...(deaths.get(atMs) ?? []), member]);
  };
  for (const member of world.joined) live(member);
  const counts = { crashed: 0, joined: 0, lookups: 0, wrong: 0, notFound: 0, wrongAfterRetry: 0, hops: 0 };
  const tookMs: number[] = [];
  const again: { readonly atMs: number; readonly from: Member; readonly key: Uint8Array; readonly left: number }[] = [];

  const ask = (from: Member, key: Uint8Array, left: number): void => {
    world.lookUp(from, key, (answer) => judge(answer, from, key, left));
  };
  const judge = ({ node, hops, tookMs: took }: Answer, from: Member, key: Uint8Array, left: number): void => {
    const isRight = node === world.ownerOf(key).node;
    if (left === RETRIES) {
      counts.lookups += 1;
      counts.hops += hops;
      tookMs.push(took);
      if (node === null) counts.notFound += 1;
      else if (!isRight) counts.wrong += 1;
    }
    if (isRight) return;
    if (left === 0) counts.wrongAfterRetry += 1;
    else again.push({ atMs: world.nowMs + RETRY_MS, from, key, left: left - 1 });
  };

  const pauseMs = 1_000 / lookupsPerSecond;
  let nextMs = startMs;
  while (world.nowMs < startMs + forMs) {
    world.run(1);
    for (const member of deaths.get(world.nowMs) ?? []) {
      world.crash(member);
      counts.crashed += 1;
      live(world.add([draw.pick(world.joined), draw.pick(world.joined)]));
      counts.joined += 1;
    }
    deaths.delete(world.nowMs);
    for (let next = again[0]; next !== undefined && next.atMs <= world.nowMs; next = again[0]) {
      again.shift();
      if (next.from.up) ask(next.from, next.key, next.left);
    }
    if ((world.nowMs - startMs) % PROGRESS_MS === 0) onProgress?.({ ranMs: world.nowMs - startMs, crashed: counts.crashed, lookups: counts.lookups });
    for (; nextMs <= world.nowMs; nextMs += pauseMs) ask(draw.pick(world.joined), draw.bytes(16), RETRIES);
  }
  world.run(RETRIES * (RETRY_MS + 6_000));
  tookMs.sort((a, b) => a - b);
  return {
    size, ranMs: forMs, ...counts, meanHops: counts.hops / counts.lookups, medianMs: tookMs[tookMs.length >> 1] ?? NaN, p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? NaN,
    messagesPerNodeSecond: ((world.messages - startMessages) / size / (world.nowMs - startMs)) * 1_000,
  };
}
