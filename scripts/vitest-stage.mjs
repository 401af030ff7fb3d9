// @ts-check
// Runs one vitest project in a process of its own and reads what it counted.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from './prepare.mjs';
import { runStage } from './processes.mjs';
import { listFiles, systemLanes } from './test-projects.mjs';
import { BETWEEN_TESTS, noCounts } from './vitest-counts.mjs';
import { describeProcesses, processTicks, Watchdog } from './watchdog.mjs';

const SANDBOX = 'test/netns/enter.mjs';

/** @typedef {import('./vitest-counts.mjs').Counts} Counts */
/** @typedef {import('./vitest-counts.mjs').WrittenCounts} WrittenCounts */

/** How often a project is looked at, and for how long it may stand still: longer than any single test may take (vitest.config.ts). */
const LOOK_EVERY_MS = 10_000;
const MAX_QUIET_MS = 300_000;

/** @param {string} file @returns {string} the tests that have begun and not ended, each on a line; empty before the first */
const readProgress = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

/**
 * Runs a program that writes its progress to a file, and ends it when it is stuck.
 * @param {string} command @param {string[]} args
 * @param {{ env: NodeJS.ProcessEnv, cwd?: string, isPiped?: boolean, limitMs: number, progressFile: string, everyMs?: number, quietMs?: number }} options
 */
export async function runWatched(command, args, { progressFile, everyMs = LOOK_EVERY_MS, quietMs = MAX_QUIET_MS, ...options }) {
  const watchdog = new Watchdog({ limit: Math.ceil(quietMs / everyMs), everyMs });
  const isStuck = (/** @type {number} */ pid) => {
    const found = watchdog.look(readProgress(progressFile), processTicks(pid));
    if (found) console.error(`nothing has moved for ${quietMs / 1000} s:\n${describeProcesses(pid)}`);
    return found;
  };
  const outcome = await runStage(command, args, { ...options, watch: { everyMs, isStuck } });
  return { ...outcome, lastTest: readProgress(progressFile).trim().split('\n').join('; ') || 'before the first test' };
}

/**
 * Runs a vitest project; what goes wrong outside a test (a crash, no test at all, the time limit) becomes a failed entry. When it stands still while no
 * test is known to run, the files that are left are run once more: Node can deadlock when a process or a thread of it ends (nodejs/node#54918). Reports lag, so
 * a test that blocks its thread at once looks the same, and so would a rare deadlock of ours: what was printed then is to be read.
 * @param {'unit' | 'system' | 'fuzz'} project
 * @param {{ args?: string[], env?: NodeJS.ProcessEnv, isPiped?: boolean, limitMs: number, emptyIsFine?: boolean, cwd?: string, everyMs?: number, quietMs?: number }} options
 * @returns {Promise<Counts & { interrupted: boolean }>}
 */
export async function runProject(project, { args = [], emptyIsFine = false, limitMs, ...options }) {
  if (project === 'system' && !existsSync(path.join(ROOT, SANDBOX))) {
    return { passed: 0, failed: [`${project}: ${SANDBOX} is not there`], skipped: [], interrupted: false };
  }
  const startedMs = Date.now();
  const first = await runVitest(project, { ...options, args, limitMs });
  if (!first.stuck || !first.lastTest.startsWith(BETWEEN_TESTS)) return problemsOf(project, first, emptyIsFine);
  console.error(`${project}: stood still ${first.lastTest}; once more without the ${first.counts.files.length} files that have ended`);
  const ended = first.counts.files.map((file) => `--exclude=${file}`);
  const rest = await runVitest(project, { ...options, args: [...args, ...ended], limitMs: Math.max(1000, limitMs - (Date.now() - startedMs)) });
  return sum([problemsOf(project, { ...first, stuck: false, status: 0, counts: { ...first.counts, isWhole: true } }, true), problemsOf(project, rest, true)]);
}

/**
 * @param {'unit' | 'system' | 'fuzz'} project
 * @param {{ args: string[], env?: NodeJS.ProcessEnv, limitMs: number, isPiped?: boolean, cwd?: string, everyMs?: number, quietMs?: number }} options
 * @returns {Promise<Awaited<ReturnType<typeof runWatched>> & { counts: WrittenCounts, limitMs: number }>}
 */
async function runVitest(project, { args, env = process.env, ...options }) {
  const sandbox = project === 'system' ? [SANDBOX, '--', process.execPath] : [];
  const directory = mkdtempSync(path.join(tmpdir(), 'i3-test-'));
  const countsFile = path.join(directory, 'counts.json');
  const progressFile = path.join(directory, 'progress');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, '--passWithNoTests', '--includeTaskLocation'];
  const reporters = ['--reporter=default', `--reporter=${path.join(ROOT, 'scripts/vitest-counts.mjs')}`];
  try {
    const outcome = await runWatched(process.execPath, [...sandbox, ...vitest, ...reporters, ...args], {
      cwd: ROOT,
      ...options,
      env: { ...env, I3_COUNTS_FILE: countsFile, I3_PROGRESS_FILE: progressFile },
      progressFile,
    });
    return { ...outcome, limitMs: options.limitMs, counts: existsSync(countsFile) ? JSON.parse(readFileSync(countsFile, 'utf8')) : noCounts() };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * @param {string} project @param {Awaited<ReturnType<typeof runVitest>>} outcome @param {boolean} emptyIsFine
 * @returns {Counts & { interrupted: boolean }}
 */
function problemsOf(project, { status, timedOut, interrupted, stuck, lastTest, counts, limitMs }, emptyIsFine) {
  const failed = [...counts.failed];
  if (stuck) failed.push(`${project}: stuck for ${MAX_QUIET_MS / 1000} s, at: ${lastTest}`);
  else if (timedOut) failed.push(`${project}: stopped at the limit of ${Math.round(limitMs / 1000)} s, at: ${lastTest}`);
  else if (interrupted) failed.push(`${project}: interrupted`);
  else if ((status !== 0 || !counts.isWhole) && failed.length === 0) failed.push(`${project}: vitest ended with status ${status}`);
  if (!emptyIsFine && counts.passed === 0 && failed.length === 0) failed.push(`${project}: no test ran`);
  return { passed: counts.passed, failed, skipped: counts.skipped, interrupted };
}

/**
 * Runs the whole system project: two lists of files at once, each in a sandbox of its own, then those that need the machine for themselves.
 * @param {{ limitMs: () => number }} options
 * @returns {Promise<Counts & { interrupted: boolean }>}
 */
export async function runSystem({ limitMs }) {
  const { lanes, alone } = systemLanes(listFiles(ROOT));
  const beside = await Promise.all(lanes.map((args) => runProject('system', { args, isPiped: true, limitMs: limitMs() })));
  if (beside.some(({ interrupted }) => interrupted)) return sum(beside);
  return sum([...beside, await runProject('system', { args: alone, limitMs: limitMs() })]);
}

/** @param {(Counts & { interrupted: boolean })[]} parts */
const sum = (parts) => ({
  passed: parts.reduce((passed, part) => passed + part.passed, 0),
  failed: parts.flatMap(({ failed }) => failed),
  skipped: parts.flatMap(({ skipped }) => skipped),
  interrupted: parts.some(({ interrupted }) => interrupted),
});
