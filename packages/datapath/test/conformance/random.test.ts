/**
 * Both packet engines do the same (docs/datapath.md): random programs of changes, calls and packets, compared after each operation.
 *
 * The seed is printed. I3_CONFORMANCE_RUNS: how many programs of each kind (default 350). A difference is shrunk, and found again with the
 * seed and the path that the report names: I3_CONFORMANCE_SEED=… I3_CONFORMANCE_PATH=… npx vitest run --project unit packages/datapath/test/conformance -t "<name>"
 * I3_CONFORMANCE_ADDON: the path of another build of the addon, say one with a fault.
 */
import { randomInt } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { DROP_REASONS } from "../../src/native-engine.js";
import { EnginePair } from "./engine-pair.js";
import { packetPrograms, programs, type Program } from "./operations.js";
import { Runner } from "./runner.js";

const RUNS = Number(process.env["I3_CONFORMANCE_RUNS"] ?? "350");
const SEED = Number(process.env["I3_CONFORMANCE_SEED"] ?? randomInt(2 ** 31));
const PATH = process.env["I3_CONFORMANCE_PATH"];
/** When shrinking ends as well. */
const LIMIT_MS = 60_000 + 100 * RUNS;
/** Programs after which nearly every reason of a drop has been met, whatever the seed. */
const RUNS_THAT_MEET_MOST = 300;

/** No program gets there: I2s are made right or with a puzzle of nobody's, ports are not open, and upcalls do not fill up. Tests of their own have these. */
const OTHERS_TESTS: ReadonlySet<string> = new Set(["puzzle", "detour", "io-error"]);

const KINDS: readonly (readonly [name: string, arbitrary: fc.Arbitrary<Program>, meetsMost: boolean])[] = [
  ["changes, calls and packets", programs, true],
  ["packets for a host", packetPrograms, false],
];

it.each(KINDS)("random programs have the same outcome in both engines: %s", { timeout: 2 * LIMIT_MS }, (name, arbitrary, meetsMost) => {
  process.stdout.write(`conformance: I3_CONFORMANCE_SEED=${SEED} (${name})\n`);
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(arbitrary, (program) => {
      const pair = new EnginePair();
      try {
        new Runner(pair).run(program);
      } finally {
        pair.close();
        const { drops, ...counts } = pair.counters();
        for (const [what, count] of Object.entries({ ...drops, ...counts, joined: pair.joinedPackets })) seen.set(what, (seen.get(what) ?? 0) + count);
      }
    }),
    { numRuns: RUNS, seed: SEED, ...(PATH === undefined ? {} : { path: PATH }), interruptAfterTimeLimit: LIMIT_MS },
  );
  process.stdout.write(`conformance: ${JSON.stringify(Object.fromEntries(seen))}\n`);
  // Rare ones may be missing; many missing would mean that the programs do nothing.
  const missing = [...DROP_REASONS, "joined"].filter((what) => !OTHERS_TESTS.has(what) && (seen.get(what) ?? 0) === 0);
  if (meetsMost && RUNS >= RUNS_THAT_MEET_MOST && PATH === undefined) expect(missing.length, missing.join()).toBeLessThan(5);
});
