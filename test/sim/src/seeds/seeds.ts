/** Rings with faults, one run a seed (docs/simulation.md). */
export function runSeeds(args: readonly string[]): number {
  console.log("sim", ...args);
  return 2;
}
