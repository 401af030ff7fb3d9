// @ts-check
// A project of two files in a folder of its own, of which one stands still.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ROOT } from '../prepare.mjs';
import { runProject } from '../vitest-stage.mjs';

const STAND_STILL = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);';

/** @param {string} second the text of the second file */
async function run(second) {
  const root = mkdtempSync(path.join(tmpdir(), 'i3-stage-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(path.join(root, 'tests'));
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(root, 'node_modules'));
  writeFileSync(path.join(root, 'vitest.config.mjs'), `export default { test: { projects: [{ test: { name: 'unit', include: ['tests/*.mjs'], fileParallelism: false } }] } };`);
  // vitest begins with the longer one.
  writeFileSync(path.join(root, 'tests/a.mjs'), `import { test } from 'vitest'; test('passes', () => {}); // ${'long '.repeat(1000)}`);
  writeFileSync(path.join(root, 'tests/b.mjs'), second);
  return runProject('unit', { cwd: root, isPiped: true, limitMs: 50_000, everyMs: 100, quietMs: 4_000 });
}

/** Only the first time. */
const once = `import { existsSync, writeFileSync } from 'node:fs'; if (!existsSync('been')) { writeFileSync('been', ''); ${STAND_STILL} }`;

test('when it stands still between tests, the files that are left run once more', async () => {
  expect(await run(`import { test } from 'vitest'; ${once} test('passes too', () => {}); test('skips', (at) => at.skip('why'));`)).toEqual({
    passed: 2,
    failed: [],
    skipped: [{ name: 'tests/b.mjs > skips', reason: 'why' }],
    interrupted: false,
  });
}, 60_000);

test.each([
  ['between tests, twice', STAND_STILL, 1, /^unit: stuck for .*: between tests; in tests\/b\.mjs; /],
  ['in a test', `import { test } from 'vitest'; test('stands still', () => new Promise(() => {}));`, 1, /^unit: stuck for .*tests\/b\.mjs > stands still; /],
])('when it stands still %s, that is a failure', async (_, second, passed, said) => {
  expect(await run(second)).toMatchObject({ passed, failed: [expect.stringMatching(said)] });
}, 60_000);
