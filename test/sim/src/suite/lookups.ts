/** How many servers a lookup needs in rings of different size. */
import { Draw } from "./draw.js";
import { grow } from "./grow.js";
import { RingWorld } from "./ring-world.js";

/** Until all fingers have been looked for. */
const FINGERS_MS = 8_000;
const LOOKUPS_MS = 2_000;

export interface LookupFigures {
  readonly size: number;
  readonly lookups: number;
  readonly right: number;
  readonly meanHops: number;
  readonly mostHops: number;
}

/** Servers that were asked, the responsible one among them, the asker not; 0 when it knows the answer itself. */
export function measureLookups(seed: number, size: number, lookups: number): LookupFigures {
  const draw = new Draw(seed);
  const world = new RingWorld(draw, () => draw.between(10, 30));
  grow(world, draw, size);
  world.run(FINGERS_MS);
  const hops: number[] = [];
  let right = 0;
  for (let i = 0; i < lookups; i += 1) {
    const key = draw.bytes(16);
    world.lookUp(draw.pick(world.joined), key, (answer) => {
      hops.push(answer.hops);
      if (answer.node === world.ownerOf(key).node) right += 1;
    });
    if (i % Math.ceil(lookups / LOOKUPS_MS) === 0) world.run(1);
  }
  world.run(LOOKUPS_MS + 2_000);
  return { size, lookups, right, meanHops: hops.reduce((sum, h) => sum + h, 0) / hops.length, mostHops: Math.max(...hops) };
}
