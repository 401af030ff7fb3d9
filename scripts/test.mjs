// @ts-check
// npm test: prepares, lints, runs the vitest projects and a bounded fuzz run; the last line is `N passed, N failed`
// (`, N skipped` when some were, each listed before). Options: --only STAGE[,STAGE]; anything else goes to vitest.
import { fuzz } from './fuzz.mjs';
import { PrepareError } from './prepare-error.mjs';
import { prepare } from './prepare.mjs';
import { runProject, runSystem } from './vitest-stage.mjs';

const HELP = `Usage: npm test -- [--only STAGES] [FILTER]... [VITEST OPTION]...

Installs what is missing, builds, lints, and runs all tests. The last line says "N passed, N failed" (", N skipped" when some
were); each that failed or was skipped is named before it.

  --only STAGES   some of lint,unit,system,fuzz with commas between (without it all four; with a FILTER or an option of vitest unit and system)
  FILTER          only the test files whose path contains it, such as packages/hip or daemon.test
  -t NAME         only the tests whose name matches it, and other options of vitest run

I3_FUZZ_SECONDS  how long the fuzz stage draws, in all files together (30)
Exit status: 0 when nothing failed and some test ran, 1 otherwise, 2 for bad arguments.
All four stages take about 25 minutes on two idle processors, a third more on slow ones, and are ended after 75.
`;

const STAGES = /** @type {const} */ (['lint', 'unit', 'system', 'fuzz']);

/** On two idle processors the tests shall not take more than 25 minutes; a slow machine may finish, and a hang is ended. */
const LIMIT_MS = 75 * 60_000;

const FUZZ_SECONDS = Number(process.env['I3_FUZZ_SECONDS'] ?? '30');

const startedMs = Date.now();
const remainingMs = () => Math.max(1000, startedMs + LIMIT_MS - Date.now());

/** @type {import('./vitest-counts.mjs').Counts} */
const total = { passed: 0, failed: [], skipped: [] };

/** @param {import('./vitest-counts.mjs').Counts} counts */
function add(counts) {
  total.passed += counts.passed;
  total.failed.push(...counts.failed);
  total.skipped.push(...counts.skipped);
}

/** @param {string} stage @param {string[]} args @returns {Promise<import('./vitest-counts.mjs').Counts & { interrupted?: boolean }>} */
async function runOne(stage, args) {
  if (stage === 'lint') {
    const { lint } = await import('./lint.mjs');
    return { ...(await lint()), skipped: [] };
  }
  if (stage === 'fuzz') return fuzz({ seconds: FUZZ_SECONDS, files: args, limitMs: remainingMs() });
  if (stage === 'system' && args.length === 0) return runSystem({ limitMs: remainingMs });
  // With a filter of files or names a project may well be left without tests.
  const options = { args, limitMs: remainingMs(), emptyIsFine: args.length > 0 };
  const counts = await runProject(/** @type {'unit' | 'system'} */ (stage), options);
  // vitest reports the tests that a name filter leaves out as skipped, which they are only in its own words.
  return args.some((arg) => /^(-t|--testNamePattern)\b/.test(arg)) ? { ...counts, skipped: [] } : counts;
}

/** @param {string[]} argv @returns {{ stages: readonly string[], args: string[] } | undefined} */
function parse(argv) {
  const args = [...argv];
  const at = args.findIndex((arg) => arg === '--only' || arg.startsWith('--only='));
  // A filter means certain tests, which are neither lint rules nor fuzz runs.
  if (at < 0) return { stages: args.length === 0 ? STAGES : ['unit', 'system'], args };
  const [option = ''] = args.splice(at, 1);
  const value = option === '--only' ? args.splice(at, 1)[0] : option.slice('--only='.length);
  const stages = (value ?? '').split(',');
  return stages.every((stage) => STAGES.some((known) => known === stage)) ? { stages, args } : undefined;
}

/** @returns {Promise<number>} the exit status */
async function main() {
  const parsed = parse(process.argv.slice(2));
  if (parsed === undefined) {
    console.error(`--only needs some of ${STAGES.join(',')} with commas between. See: npm test -- --help`);
    return 2;
  }
  try {
    await prepare('test');
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error;
    total.failed.push(error.message);
    // What does not build is one failure; the tests that do not need it still tell something.
    if (error.stage !== 'build') {
      console.error(error.message);
      return summary();
    }
  }
  for (const stage of parsed.stages) {
    console.log(`test: ${stage}`);
    try {
      const counts = await runOne(stage, parsed.args);
      add(counts);
      if (counts.interrupted === true) break;
    } catch (error) {
      console.error(error);
      total.failed.push(`${stage}: the stage crashed`);
    }
  }
  for (const { name, reason } of total.skipped) console.log(`skipped: ${name}: ${reason}`);
  for (const name of total.failed) console.log(`failed: ${name}`);
  return summary();
}

function summary() {
  if (total.passed === 0 && total.failed.length === 0) total.failed.push('no test ran');
  const skipped = total.skipped.length === 0 ? '' : `, ${total.skipped.length} skipped`;
  console.log(`${total.passed} passed, ${total.failed.length} failed${skipped}`);
  return total.failed.length === 0 ? 0 : 1;
}

const asksForHelp = process.argv.slice(2).some((arg) => arg === '--help' || arg === '-h');
if (asksForHelp) process.stdout.write(HELP);
else process.exitCode = await main();
