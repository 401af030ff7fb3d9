// @ts-check
// node run.mjs SOURCES.json EVENTS CHECKER SEED…: runs the seeds with the modules in the file, { "/end/of/url.js": "source" }, until this checker fires;
// prints [{ seed, checker, message }] of all that fired.
import { readFileSync } from 'node:fs';
import { register } from 'node:module';

const [file = '', events = '', checker = '', ...seeds] = process.argv.slice(2);
register('./hooks.mjs', import.meta.url, { data: JSON.parse(readFileSync(file, 'utf8')) });
// Only now, so that the hooks see its modules.
const { runSeed } = await import('../../dist/index.js');
const fired = [];
for (const seed of seeds) {
  const { failure } = runSeed(seed, Number(events));
  if (failure === null) continue;
  fired.push({ seed, checker: failure.checker, message: failure.message });
  if (failure.checker === checker) break;
}
console.log(JSON.stringify(fired));
