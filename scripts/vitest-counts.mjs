// @ts-check
// A vitest reporter that writes what scripts/test.mjs needs to I3_COUNTS_FILE: how many tests passed and failed, and each
// skipped test with its reason: the note of `ctx.skip(note)`, or the comment at the test that lint demands. Of files that have ended, after each, too.
// To I3_PROGRESS_FILE it writes what runs now.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @typedef {{ name: string, reason: string }} Skipped */
/** @typedef {{ passed: number, failed: string[], skipped: Skipped[] }} Counts */
/** @typedef {Counts & { files: string[], isWhole: boolean }} WrittenCounts of the files that have ended */

/** How the progress begins while no test is known to run: files are loaded or put away, or the report of one that has just begun is not there yet. */
export const BETWEEN_TESTS = 'between tests';

export default class CountsReporter {
  /** Tests that have begun and not ended, files likewise. @type {Map<string, string>} */
  #running = new Map();
  /** @type {Set<string>} */
  #open = new Set();
  #last = 'nothing';
  #ended = 0;
  #counts = noCounts();

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleQueued(module) {
    this.#open.add(fileOf(module));
    this.#writeProgress();
  }

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleEnd(module) {
    this.#open.delete(fileOf(module));
    count(this.#counts, module);
    writeCounts(this.#counts);
    this.#writeProgress();
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseReady(test) {
    this.#running.set(test.id, nameOf(test));
    this.#writeProgress();
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    this.#running.delete(test.id);
    this.#ended += 1;
    this.#last = nameOf(test);
    this.#writeProgress();
  }

  #writeProgress() {
    const target = process.env['I3_PROGRESS_FILE'];
    if (target === undefined) return;
    const now = this.#running.size === 0 ? [BETWEEN_TESTS, ...[...this.#open].map((file) => `in ${file}`), `behind ${this.#last}`].join('\n') : [...this.#running.values()].join('\n');
    writeFileSync(target, `${now}\n(${this.#ended} tests had ended)\n`);
  }

  /**
   * @param {ReadonlyArray<import('vitest/node').TestModule>} modules
   * @param {ReadonlyArray<{ message?: string }>} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const counts = noCounts();
    for (const module of modules) count(counts, module);
    for (const error of unhandledErrors) counts.failed.push(`unhandled error: ${error.message ?? 'unknown'}`);
    writeCounts({ ...counts, isWhole: true });
  }
}

/** @returns {WrittenCounts} */
export const noCounts = () => ({ passed: 0, failed: [], skipped: [], files: [], isWhole: false });

/** @param {WrittenCounts} counts */
function writeCounts(counts) {
  const target = process.env['I3_COUNTS_FILE'];
  if (target !== undefined) writeFileSync(target, JSON.stringify(counts));
}

/** @param {WrittenCounts} counts changed @param {import('vitest/node').TestModule} module */
function count(counts, module) {
  const file = fileOf(module);
  counts.files.push(file);
  // A file that cannot be loaded, or whose beforeAll throws, fails beside its tests.
  if (module.errors().length > 0) counts.failed.push(file);
  for (const suite of module.children.allSuites()) {
    if (suite.errors().length > 0) counts.failed.push(`${file} > ${suite.fullName}`);
  }
  for (const test of module.children.allTests()) {
    const result = test.result();
    const name = nameOf(test);
    if (result.state === 'passed') counts.passed += 1;
    else if (result.state === 'skipped') counts.skipped.push({ name, reason: result.note ?? commentAt(module.moduleId, test) });
    else counts.failed.push(result.state === 'pending' ? `${name} (did not finish)` : name);
  }
}

/** @param {import('vitest/node').TestModule} module */
const fileOf = (module) => path.relative(process.cwd(), module.moduleId);

/** @param {import('vitest/node').TestCase} test */
const nameOf = (test) => `${fileOf(test.module)} > ${test.fullName}`;

/**
 * The comment on the line of a skipped test or on the line before; of its suites if it has none itself.
 * @param {string} file @param {import('vitest/node').TestCase | import('vitest/node').TestSuite} task
 * @returns {string}
 */
function commentAt(file, task) {
  if (task.type === 'suite' && task.errors().length > 0) return 'its suite failed before it';
  const lines = readFileSync(file, 'utf8').split('\n');
  const line = task.location?.line;
  if (line !== undefined) {
    for (const text of [lines[line - 1], lines[line - 2]]) {
      const comment = /(?:^|\s)\/\/\s*(.+)$/.exec(text ?? '')?.[1];
      if (comment !== undefined) return comment;
    }
  }
  if (task.parent.type === 'suite') return commentAt(file, task.parent);
  return task.parent.errors().length > 0 ? 'its file failed before it' : 'no reason given';
}
