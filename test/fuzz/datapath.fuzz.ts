/**
 * Random and mutated packets from both sides into engines with random tables: nothing throws, every packet has exactly one end
 * (more only when several triggers match), what leaves is well-formed. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";
import { expect, it } from "vitest";
import { RandomWorld } from "../../packages/datapath/test/reference/random-world.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32));
const TURNS_PER_WORLD = 300;

it(`datapath, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`datapath fuzz: I3_FUZZ_SEED=${SEED}`);
  const end = performance.now() + SECONDS * 1000;
  let worlds = 0;
  while (performance.now() < end || worlds === 0) {
    playWorld((SEED + worlds) >>> 0, worlds % 2 === 1);
    worlds++;
  }
  console.log(`datapath fuzz: ${worlds * TURNS_PER_WORLD} turns`);
  expect(worlds).toBeGreaterThan(0);
});

function playWorld(seed: number, multicast: boolean): void {
  const world = new RandomWorld(seed, multicast);
  for (let turn = 0; turn < TURNS_PER_WORLD; turn++) {
    try {
      world.turn();
    } catch (error) {
      throw new Error(`world seed ${seed}, multicast ${multicast}, turn ${turn}`, { cause: error });
    }
  }
}
