// @ts-check
// npm run bench -- SUITE [--json FILE] [ARGS]: side-by-side measurements in a sandbox of network namespaces.
// bench/suites.json lists the suites: { "SUITE": { "about": "…", "options": ["--quick"], "tools": { "PROGRAM": "DEBIAN PACKAGE" } } }.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BadOption, readBenchOptions } from './bench-options.mjs';
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runThrough } from './processes.mjs';

/** @typedef {{ about: string, options: string[], tools?: Record<string, string> }} Suite */

/** @returns {Record<string, Suite>} */
function readSuites() {
  try {
    return JSON.parse(readFileSync(path.join(ROOT, 'bench/suites.json'), 'utf8'));
  } catch (error) {
    console.error(`bench/suites.json cannot be read: ${/** @type {Error} */ (error).message}`);
    return {};
  }
}

/** @param {Record<string, Suite>} suites */
function helpText(suites) {
  const rows = Object.entries(suites).map(([name, { about, options }]) => `  ${name.padEnd(10)} ${about}${options.map((option) => ` [${option}]`).join('')}\n`);
  return `Usage: npm run bench -- SUITE [--json FILE] [--quick] [--only ROW,ROW]

Measures beside others' programs, in a sandbox of network namespaces. What the suites measure, their rows and how long they take: bench/README.md.
The first run installs and builds what is missing.

Suites, and what each takes beside --json:
${rows.join('')}
  --json FILE     writes all figures to FILE too, which may be relative
  --quick         short runs that show whether everything works; their figures mean nothing
  --only ROW,ROW  some rows alone

A value may follow after a blank or "="; no option may be there twice.
Exit status: 0 everything was measured, and the limits that are required are met; 1 otherwise; 2 for bad arguments.
`;
}

/** @param {string} suite @param {Suite} chosen @param {string[]} args */
function optionsOf(suite, { options }, args) {
  try {
    return readBenchOptions(suite, options, args, process.env['INIT_CWD'] ?? '.');
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    console.error(`bench: ${error.message}. See: npm run bench -- --help`);
    return undefined;
  }
}

const [suite = '', ...args] = process.argv.slice(2);
const suites = readSuites();
const chosen = Object.hasOwn(suites, suite) ? suites[suite] : undefined;
if ([suite, ...args].some((arg) => arg === '--help' || arg === '-h')) process.stdout.write(helpText(suites));
else if (chosen === undefined) {
  console.error(suite === '' ? helpText(suites) : `bench: there is no suite "${suite}", but ${Object.keys(suites).join(', ')}. See: npm run bench -- --help`);
  process.exitCode = 2;
} else {
  const options = optionsOf(suite, chosen, args);
  if (options === undefined) process.exitCode = 2;
  else {
    await prepareOrExit('bench', chosen.tools);
    const bench = ['test/netns/enter.mjs', '--', process.execPath, 'bench/dist/main.js', suite, ...options];
    process.exitCode = await runThrough(process.execPath, bench, { cwd: ROOT });
  }
}
