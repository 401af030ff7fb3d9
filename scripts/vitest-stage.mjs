// @ts-check
// Runs one vitest project in a process of its own and reads what it counted.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from './prepare.mjs';
import { runStage } from './processes.mjs';
import { listFiles, systemLanes } from './test-projects.mjs';
import { processTicks, Watchdog } from './watchdog.mjs';

const SANDBOX = 'test/netns/enter.mjs';

/** @typedef {import('./vitest-counts.mjs').Counts} Counts */

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
  const isStuck = (/** @type {number} */ pid) => watchdog.look(readProgress(progressFile), processTicks(pid));
  const outcome = await runStage(command, args, { ...options, watch: { everyMs, isStuck } });
  return { ...outcome, lastTest: readProgress(progressFile).trim().split('\n').join('; ') || 'before the first test' };
}

/**
 * Runs a vitest project; what goes wrong outside a test (a crash, no test at all, the time limit) becomes a failed entry.
 * @param {'unit' | 'system' | 'fuzz'} project
 * @param {{ args?: string[], env?: NodeJS.ProcessEnv, isPiped?: boolean, limitMs: number, emptyIsFine?: boolean }} options
 * @returns {Promise<Counts & { interrupted: boolean }>}
 */
export async function runProject(project, { args = [], env = process.env, isPiped = false, limitMs, emptyIsFine = false }) {
  const sandbox = project === 'system' ? [SANDBOX, '--', process.execPath] : [];
  if (sandbox.length > 0 && !existsSync(path.join(ROOT, SANDBOX))) {
    return { passed: 0, failed: [`${project}: ${SANDBOX} is not there`], skipped: [], interrupted: false };
  }
  const directory = mkdtempSync(path.join(tmpdir(), 'i3-test-'));
  const countsFile = path.join(directory, 'counts.json');
  const progressFile = path.join(directory, 'progress');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, '--passWithNoTests', '--includeTaskLocation'];
  const reporters = ['--reporter=default', '--reporter=./scripts/vitest-counts.mjs'];
  try {
    const { status, timedOut, interrupted, stuck, lastTest } = await runWatched(process.execPath, [...sandbox, ...vitest, ...reporters, ...args], {
      cwd: ROOT,
      env: { ...env, I3_COUNTS_FILE: countsFile, I3_PROGRESS_FILE: progressFile },
      isPiped,
      limitMs,
      progressFile,
    });
    /** @type {Counts} */
    const counts = existsSync(countsFile)
      ? JSON.parse(readFileSync(countsFile, 'utf8'))
      : { passed: 0, failed: [], skipped: [] };
    if (stuck) counts.failed.push(`${project}: stuck for ${MAX_QUIET_MS / 1000} s, at: ${lastTest}`);
    else if (timedOut) counts.failed.push(`${project}: stopped at the limit of ${Math.round(limitMs / 1000)} s, at: ${lastTest}`);
    else if (interrupted) counts.failed.push(`${project}: interrupted`);
    else if ((status !== 0 || !existsSync(countsFile)) && counts.failed.length === 0) {
      counts.failed.push(`${project}: vitest ended with status ${status}`);
    }
    if (!emptyIsFine && counts.passed === 0 && counts.failed.length === 0) counts.failed.push(`${project}: no test ran`);
    return { ...counts, interrupted };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
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
