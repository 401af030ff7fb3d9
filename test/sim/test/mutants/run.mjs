// @ts-check
// node run.mjs SOURCES.json EVENTS SEED…: runs the seeds with the modules in the file, { "/end/of/url.js": "source" }, until a checker fires;
// prints { seed, checker, message } or null.
import { readFileSync } from 'node:fs';
import { register } from 'node:module';

const [file = '', events = '', ...seeds] = process.argv.slice(2);
register('./hooks.mjs', import.meta.url, { data: JSON.parse(readFileSync(file, 'utf8')) });
// Only now, so that the hooks see its modules.
const { runSeed } = await import('../../dist/index.js');
let caught = null;
for (const seed of seeds) {
  const { failure } = runSeed(seed, Number(events));
  if (failure === null) continue;
  caught = { seed, checker: failure.checker, message: failure.message };
  break;
}
console.log(JSON.stringify(caught));
