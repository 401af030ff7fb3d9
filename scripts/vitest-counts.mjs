// @ts-check
// A vitest reporter that writes what scripts/test.mjs needs to I3_COUNTS_FILE: how many tests passed and failed, and each
// skipped test with its reason: the note of `ctx.skip(note)`, or the comment at the test that lint demands. To I3_PROGRESS_FILE it writes what runs now.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @typedef {{ name: string, reason: string }} Skipped */
/** @typedef {{ passed: number, failed: string[], skipped: Skipped[] }} Counts */

export default class CountsReporter {
  /** Tests that have begun and not ended; when there is none, the one that ended last. @type {Map<string, string>} */
  #running = new Map();
  #ended = 0;

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseReady(test) {
    this.#running.set(test.id, nameOf(test));
    this.#writeProgress('');
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    this.#running.delete(test.id);
    this.#ended += 1;
    this.#writeProgress(`behind ${nameOf(test)}`);
  }

  /** @param {string} last */
  #writeProgress(last) {
    const target = process.env['I3_PROGRESS_FILE'];
    if (target === undefined) return;
    const now = this.#running.size === 0 ? last : [...this.#running.values()].join('\n');
    writeFileSync(target, `${now}\n(${this.#ended} tests had ended)\n`);
  }

  /**
   * @param {ReadonlyArray<import('vitest/node').TestModule>} modules
   * @param {ReadonlyArray<{ message?: string }>} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    /** @type {Counts} */
    const counts = { passed: 0, failed: [], skipped: [] };
    for (const module of modules) {
      const file = path.relative(process.cwd(), module.moduleId);
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
    for (const error of unhandledErrors) counts.failed.push(`unhandled error: ${error.message ?? 'unknown'}`);
    const target = process.env['I3_COUNTS_FILE'];
    if (target !== undefined) writeFileSync(target, JSON.stringify(counts));
  }
}

/** @param {import('vitest/node').TestCase} test */
const nameOf = (test) => `${path.relative(process.cwd(), test.module.moduleId)} > ${test.fullName}`;

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
