/**
 * Both packet engines do the same (docs/datapath.md): random programs of changes, calls and packets, compared after each operation.
 *
 * The seed is printed. I3_CONFORMANCE_RUNS: how many programs (default 500). A difference is shrunk, and found again with the
 * seed and the path that the report names: I3_CONFORMANCE_SEED=… I3_CONFORMANCE_PATH=… npx vitest run --project unit packages/datapath/test/conformance
 * I3_CONFORMANCE_ADDON: the path of another build of the addon, say one with a fault.
 */
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { it } from "vitest";
import { EnginePair } from "./engine-pair.js";
import { programs } from "./operations.js";
import { Runner } from "./runner.js";

const RUNS = Number(process.env["I3_CONFORMANCE_RUNS"] ?? "500");
const SEED = Number(process.env["I3_CONFORMANCE_SEED"] ?? randomInt(2 ** 31));
const PATH = process.env["I3_CONFORMANCE_PATH"];

/** When shrinking ends as well. */
const LIMIT_MS = 60_000 + 100 * RUNS;

it("random programs have the same outcome in both engines", { timeout: 2 * LIMIT_MS }, () => {
  process.stdout.write(`conformance: I3_CONFORMANCE_SEED=${SEED}\n`);
  const seen = { joined: 0, tun: 0, udp: 0, upcalls: 0 };
  fc.assert(
    fc.property(programs, (program) => {
      const pair = new EnginePair();
      try {
        new Runner(pair).run(program);
      } finally {
        pair.close();
        for (const what of ["joined", "tun", "udp", "upcalls"] as const) seen[what] += pair.seen[what];
      }
    }),
    { numRuns: RUNS, seed: SEED, ...(PATH === undefined ? {} : { path: PATH }), interruptAfterTimeLimit: LIMIT_MS },
  );
  process.stdout.write(`conformance: ${JSON.stringify(seen)}\n`);
});
