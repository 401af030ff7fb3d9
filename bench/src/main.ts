/** npm run bench -- SUITE --json FILE: measures one suite and prints its table. */
import { parseArgs } from "node:util";

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

const SUITES: Readonly<Record<string, (options: Options) => Promise<readonly Row[]>>> = { handover, handshake, micro, nat, server, tunnel };

const { values, positionals } = parseArgs({ options: { json: { type: "string" }, quick: { type: "boolean" }, only: { type: "string" } }, allowPositionals: true });
const suite = positionals[0] ?? "";
const measure = SUITES[suite];
if (measure === undefined) {
  process.stderr.write(`bench: no suite "${suite}"; there are: ${Object.keys(SUITES).join(", ")}\n`);
  process.exit(2);
}
const rows = await measure({ quick: values.quick ?? false, only: values.only }).catch((error: unknown) => {
  // A name that is not there; everything else deserves its stack.
  if (!(error instanceof RangeError)) throw error;
  process.stderr.write(`bench: ${error.message}\n`);
  process.exit(2);
});
printTable(rows);
if (values.json !== undefined) writeJson(values.json, suite, rows);
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
