/**
 * npm run sim -- --seed S [--events N]: one run of a ring with faults; --seeds FROM..TO [--jobs J]: many; --suite: the figures of large rings (docs/simulation.md).
 * Exit status 0: no checker fired; 1: one did, with the seed that replays it, or it was stopped; 2: bad arguments.
 */
import { orBadArgument } from "./options.js";
import { runSuite } from "./suite/suite.js";
import { runSeeds } from "./seeds/seeds.js";

const args = process.argv.slice(2);
process.exitCode = await orBadArgument(() => (args.includes("--suite") ? runSuite(args) : runSeeds(args)));
