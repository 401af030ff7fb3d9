/** What tests use of the simulator. */
export { runSeed, type Outcome } from "./seeds/run-seed.js";
export { failureText, readArguments, runSeeds } from "./seeds/seeds.js";
export { runSuite } from "./suite/suite.js";
