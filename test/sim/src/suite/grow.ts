/** Rings that grow as real ones do: by joins, through a member that is there. */
import type { Draw } from "./draw.js";
import type { Member, RingWorld } from "./ring-world.js";

/** Length of a successor list. */
export const SUCCESSORS = 8;
/** Nodes that start one by one. */
const FIRST = 16;
const WAVE_MS = 3_000;
const BETWEEN_WAVES_MS = 1_500;
const SETTLE_LIMIT_MS = 60_000;

/** Up to `size` nodes: sixteen one by one, then in waves, in each as many as there are. Throws when the ring is not ordered a minute later. */
export function grow(world: RingWorld, draw: Draw, size: number): void {
  const wave = (count: number, overMs: number): void => {
    const there: readonly Member[] = [...world.joined];
    for (let i = 0, elapsedMs = 0; i < count; i += 1) {
      const dueMs = Math.floor((i * overMs) / count);
      if (dueMs > elapsedMs) world.run(dueMs - elapsedMs);
      elapsedMs = dueMs;
      world.add(there.length === 0 ? world.members.slice(0, 1) : [draw.pick(there)]);
    }
    world.run(BETWEEN_WAVES_MS);
  };
  world.add([]);
  wave(Math.min(size, FIRST) - 1, FIRST * 100);
  while (world.members.length < size) wave(Math.min(world.members.length, size - world.members.length), WAVE_MS);
  settle(world, size);
}

function settle(world: RingWorld, size: number): void {
  const startMs = world.nowMs;
  const isOrdered = (): boolean => world.joined.length === size && world.countDisordered(SUCCESSORS) === 0;
  while (!isOrdered()) {
    if (world.nowMs - startMs >= SETTLE_LIMIT_MS) throw new Error(`${size - world.joined.length} of ${size} nodes have not joined, ${world.countDisordered(SUCCESSORS)} have wrong neighbours`);
    world.run(1_000);
  }
}
