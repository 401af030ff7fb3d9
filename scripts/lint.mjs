// @ts-check
// npm run lint: eslint, the types of the tests, and the rules of this repository (scripts/lint/). Each is one check.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runKept } from './processes.mjs';

/** @typedef {import('./lint/tree.mjs').Problem} Problem */

/** @returns {Promise<{ passed: number, failed: string[] }>} the number of checks that held, and the names of those that did not */
export async function lint() {
  const failed = [];
  let passed = 0;
  for (const [name, check] of Object.entries(await checks())) {
    let problems;
    try {
      problems = await check();
    } catch (error) {
      const message = `the check crashed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
      problems = [{ file: '.', line: 1, rule: name, message }];
    }
    for (const { file, line, rule, message } of problems) console.log(`${file}:${line} ${rule}: ${message}`);
    if (problems.length === 0) passed += 1;
    else failed.push(`lint ${name}: ${problems.length} problems`);
  }
  return { passed, failed };
}

/** Loaded late: they need typescript and eslint, which `npm ci` brings. @returns {Promise<Record<string, () => Problem[] | Promise<Problem[]>>>} */
async function checks() {
  const { RULES } = await import('./lint/rules.mjs');
  const { Tree } = await import('./lint/tree.mjs');
  const tree = new Tree(ROOT);
  const rules = Object.entries(RULES).map(([name, rule]) => [name, () => rule(tree)]);
  return { ...Object.fromEntries(rules), types, eslint };
}

/** @returns {Promise<Problem[]>} */
async function types() {
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json', '--pretty', 'false'];
  const { status, output } = await runKept(process.execPath, tsc, { cwd: ROOT });
  const problems = output.split('\n').flatMap((text) => {
    const found = /^(.+?)\((\d+),\d+\): error (TS\d+): (.*)$/.exec(text);
    if (found !== null) {
      const [, file = '', line = '1', rule = '', message = ''] = found;
      return [{ file, line: Number(line), rule, message }];
    }
    return text.startsWith('error ') ? [{ file: 'tsconfig.test.json', line: 1, rule: 'types', message: text }] : [];
  });
  if (status !== 0 && problems.length === 0) throw new Error(`tsc ended with status ${status}: ${output}`);
  return problems;
}

/** @returns {Promise<Problem[]>} */
async function eslint() {
  const { ESLint } = await import('eslint');
  const results = await new ESLint({ cwd: ROOT }).lintFiles(['.']);
  return results.flatMap(({ filePath, messages }) =>
    messages.map(({ line, ruleId, message }) => ({
      file: path.relative(ROOT, filePath),
      line: line ?? 1,
      rule: ruleId ?? 'eslint',
      message,
    })),
  );
}

async function main() {
  await prepareOrExit('lint');
  const { passed, failed } = await lint();
  for (const name of failed) console.log(`failed: ${name}`);
  console.log(`${passed} checks passed, ${failed.length} failed`);
  return failed.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
