/** What tests use of the simulator. */
export { runSeed, type Outcome } from "./seeds/run-seed.js";
export { readArguments, runSeeds } from "./seeds/seeds.js";
export { failureText, Totals } from "./seeds/totals.js";
export { runSuite } from "./suite/suite.js";
