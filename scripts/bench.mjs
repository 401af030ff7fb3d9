// @ts-check
// npm run bench -- SUITE [--json FILE] [ARGS]: side-by-side measurements in a sandbox of network namespaces.
// bench/suites.json lists the suites: { "SUITE": { "about": "…", "tools": { "PROGRAM": "DEBIAN PACKAGE" } } }.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runThrough } from './processes.mjs';

/** @returns {Record<string, { about: string, tools?: Record<string, string> }>} */
function readSuites() {
  try {
    return JSON.parse(readFileSync(path.join(ROOT, 'bench/suites.json'), 'utf8'));
  } catch (error) {
    console.error(`bench/suites.json cannot be read: ${/** @type {Error} */ (error).message}`);
    return {};
  }
}

const [suite = '', ...args] = process.argv.slice(2);
const suites = readSuites();
const chosen = Object.hasOwn(suites, suite) ? suites[suite] : undefined;
if (chosen === undefined) {
  if (suite !== '') console.error(`unknown suite: ${suite}`);
  console.error('usage: npm run bench -- SUITE [--json FILE]\nsuites:');
  for (const [name, { about }] of Object.entries(suites)) console.error(`  ${name.padEnd(16)} ${about}`);
  process.exitCode = 2;
} else {
  await prepareOrExit('bench', chosen.tools);
  // The sandbox may start elsewhere than where FILE is relative to.
  const json = args.indexOf('--json') + 1;
  if (json > 0 && args[json] !== undefined) args[json] = path.resolve(process.env['INIT_CWD'] ?? '.', args[json]);
  const bench = ['test/netns/enter.mjs', '--', process.execPath, 'bench/dist/main.js', suite, ...args];
  process.exitCode = await runThrough(process.execPath, bench, { cwd: ROOT });
}
