/** npm run bench -- SUITE --json FILE: measures one suite and prints its table. */
import { parseArgs } from "node:util";

import { micro } from "./micro.js";
import { printTable, writeJson, type Row } from "./report.js";

const SUITES: Readonly<Record<string, () => Promise<readonly Row[]>>> = { micro };

const { values, positionals } = parseArgs({ options: { json: { type: "string" } }, allowPositionals: true });
const suite = positionals[0] ?? "";
const measure = SUITES[suite];
if (measure === undefined) {
  process.stderr.write(`bench: no suite "${suite}"; there are: ${Object.keys(SUITES).join(", ")}\n`);
  process.exit(2);
}
const rows = await measure();
printTable(rows);
if (values.json !== undefined) writeJson(values.json, suite, rows);
