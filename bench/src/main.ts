/** npm run bench -- SUITE --json FILE: measures one suite and prints its table. */
import { parseArgs } from "node:util";

import { gateway } from "./gateway/suite.js";
import { handover } from "./handover/suite.js";
import { handshake } from "./handshake/suite.js";
import { micro } from "./micro.js";
import { nat } from "./nat/suite.js";
import { brokenConditions, missedRows, printTable, writeJson, type Row } from "./report.js";
import { server } from "./server/suite.js";
import { tunnel } from "./tunnel/suite.js";

interface Options {
  /** Short runs that show whether everything works. */
  readonly quick: boolean;
  /** Names of rows with commas between; undefined: all. */
  readonly only: string | undefined;
}

const SUITES: Readonly<Record<string, (options: Options) => Promise<readonly Row[]>>> = { gateway, handover, handshake, micro, nat, server, tunnel };

const refuse = (message: string): never => {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
};

/** scripts/bench.mjs has looked at them before. */
function readArguments() {
  try {
    return parseArgs({ options: { json: { type: "string" }, quick: { type: "boolean" }, only: { type: "string" } }, allowPositionals: true });
  } catch (error) {
    return refuse((error as Error).message);
  }
}

const { values, positionals } = readArguments();
const suite = positionals[0] ?? "";
const measure = SUITES[suite] ?? refuse(`no suite "${suite}"; there are: ${Object.keys(SUITES).join(", ")}`);
const startMs = performance.now();
// A name that is not there; everything else deserves its stack.
const rows = await measure({ quick: values.quick ?? false, only: values.only }).catch((error: unknown) => {
  if (!(error instanceof RangeError)) throw error;
  return refuse(error.message);
});
process.stderr.write(`bench: ${suite} took ${((performance.now() - startMs) / 60_000).toFixed(1)} minutes\n`);
printTable(rows);
const broken = brokenConditions(rows);
if (broken.length > 0) {
  process.stderr.write(`bench: this is no result, for it was not measured under the conditions that it is about: ${broken.join("; ")}\n`);
  process.exitCode = 1;
}
const missed = missedRows(rows);
if (missed.length > 0) {
  process.stderr.write(`bench: limits missed: ${missed.join("; ")}\n`);
  process.exitCode = 1;
}
if (values.json !== undefined) writeJson(values.json, suite, rows);
