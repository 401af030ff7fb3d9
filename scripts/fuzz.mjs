// @ts-check
// npm run fuzz -- --seconds N [--seed S]: runs test/fuzz/**/*.fuzz.ts for N seconds in total.
// Each file gets I3_FUZZ_SECONDS (its share) and I3_FUZZ_SEED (an unsigned 32-bit number); a failure is replayed with its seed.
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareOrExit, ROOT } from './prepare.mjs';
import { listFiles, projectOf } from './test-projects.mjs';
import { runProject } from './vitest-stage.mjs';

const USAGE = 'usage: npm run fuzz -- --seconds N [--seed S] [FILE...]';

/** What the files may take beside their share: loading, and the last case that began in time. */
const OVERHEAD_MS = 120_000;

/**
 * @param {{ seconds: number, seed?: number | undefined, files?: string[], limitMs?: number }} options
 */
export async function fuzz({ seconds, seed = randomInt(2 ** 32), files = [], limitMs = seconds * 1000 + OVERHEAD_MS }) {
  const all = listFiles(ROOT, 'test').filter((file) => projectOf(file) === 'fuzz');
  const chosen = files.length === 0 ? all : all.filter((file) => files.some((wanted) => file.includes(wanted)));
  const share = seconds / Math.max(1, chosen.length);
  console.log(`fuzz: seed ${seed}, ${seconds} s over ${chosen.length} files; again: npm run fuzz -- --seconds ${seconds} --seed ${seed}`);
  const env = { ...process.env, I3_FUZZ_SEED: String(seed), I3_FUZZ_SECONDS: String(share) };
  return runProject('fuzz', { args: files, env, limitMs });
}

async function main() {
  let values, positionals;
  try {
    const options = /** @type {const} */ ({ seconds: { type: 'string', default: '60' }, seed: { type: 'string' } });
    ({ values, positionals } = parseArgs({ options, allowPositionals: true }));
  } catch (error) {
    return usage(/** @type {Error} */ (error).message);
  }
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) return usage(`--seconds ${values.seconds} is not a positive number`);
  const seed = values.seed === undefined ? undefined : Number(values.seed);
  if (seed !== undefined && (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)) {
    return usage(`--seed ${values.seed} is not an unsigned 32-bit number`);
  }
  await prepareOrExit('fuzz');
  const { passed, failed } = await fuzz({ seconds, seed, files: positionals });
  for (const name of failed) console.log(`failed: ${name}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

/** @param {string} problem */
function usage(problem) {
  console.error(`${problem}\n${USAGE}`);
  return 2;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
