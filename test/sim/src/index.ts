/** What tests use of the simulator. */
export { runSeeds } from "./seeds/seeds.js";
export { runSuite } from "./suite/suite.js";
