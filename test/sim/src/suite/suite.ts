/** The figures of large rings: lookups, churn, nearness (docs/simulation.md). */
export function runSuite(args: readonly string[]): number {
  console.log("sim --suite", ...args);
  return 2;
}
