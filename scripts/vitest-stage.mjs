// @ts-check
// Runs one vitest project in a process of its own and reads what it counted.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from './prepare.mjs';
import { runStage } from './processes.mjs';

const SANDBOX = 'test/netns/enter.mjs';

/** @typedef {import('./vitest-counts.mjs').Counts} Counts */

/**
 * Runs a vitest project; what goes wrong outside a test (a crash, no test at all, the time limit) becomes a failed entry.
 * @param {'unit' | 'system' | 'fuzz'} project
 * @param {{ args?: string[], env?: NodeJS.ProcessEnv, limitMs: number, emptyIsFine?: boolean }} options
 * @returns {Promise<Counts & { interrupted: boolean }>}
 */
export async function runProject(project, { args = [], env = process.env, limitMs, emptyIsFine = false }) {
  const sandbox = project === 'system' ? [SANDBOX, '--', process.execPath] : [];
  if (sandbox.length > 0 && !existsSync(path.join(ROOT, SANDBOX))) {
    return { passed: 0, failed: [`${project}: ${SANDBOX} is not there`], skipped: [], interrupted: false };
  }
  const directory = mkdtempSync(path.join(tmpdir(), 'i3-test-'));
  const countsFile = path.join(directory, 'counts.json');
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--project', project, '--passWithNoTests', '--includeTaskLocation'];
  const reporters = ['--reporter=default', '--reporter=./scripts/vitest-counts.mjs'];
  try {
    const { status, timedOut, interrupted } = await runStage(process.execPath, [...sandbox, ...vitest, ...reporters, ...args], {
      cwd: ROOT,
      env: { ...env, I3_COUNTS_FILE: countsFile },
      limitMs,
    });
    /** @type {Counts} */
    const counts = existsSync(countsFile)
      ? JSON.parse(readFileSync(countsFile, 'utf8'))
      : { passed: 0, failed: [], skipped: [] };
    if (timedOut) counts.failed.push(`${project}: stopped at the limit of ${Math.round(limitMs / 1000)} s`);
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
