// @ts-check
// Rules about files as such: how long they are, how they are called, whether anything uses them, and unfinished business in them.
import path from 'node:path';
import ts from 'typescript';
import { projectOf, sourceExports } from '../test-projects.mjs';
import { SCRIPT_EXTENSION, walk } from './tree.mjs';

/** @typedef {import('./tree.mjs').Problem} Problem */
/** @typedef {import('./tree.mjs').Tree} Tree */

const CODE = /\.(ts|mts|mjs|js|cc|cpp|hpp|h)$/;

const MAX_LINES = 600;

/** @param {Tree} tree @returns {Problem[]} */
export function fileLength(tree) {
  return tree.files.filter((file) => CODE.test(file)).flatMap((file) => {
    const lines = tree.read(file).replace(/\n$/, '').split('\n').length;
    if (lines <= MAX_LINES) return [];
    const message = `${lines} lines, ${MAX_LINES} are allowed; split it by concern`;
    return [{ file, line: MAX_LINES + 1, rule: 'file-length', message }];
  });
}

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/;
const VAGUE = /(^|[-.])(utils?|helpers?|managers?)([-.]|$)/;

/** @param {Tree} tree @returns {Problem[]} */
export function fileNames(tree) {
  return tree.files.filter((file) => CODE.test(file)).flatMap((file) => {
    /** @type {Problem[]} */
    const problems = [];
    for (const part of file.split('/')) {
      if (!KEBAB.test(part)) problems.push({ file, line: 1, rule: 'file-name', message: `'${part}' is not kebab-case; rename it` });
      const vague = VAGUE.exec(part)?.[2];
      if (vague !== undefined) {
        const message = `'${vague}' says nothing about what is in it; name it after its concern`;
        problems.push({ file, line: 1, rule: 'file-name', message });
      }
    }
    return problems;
  });
}

/** @param {Tree} tree @returns {Problem[]} */
export function deadFiles(tree) {
  const sources = tree.sources();
  const entries = tree.packages.flatMap((pkg) => [
    ...sourceExports(pkg).map(([, file]) => file),
    ...binaries(pkg),
  ]);
  const live = tree.reachable([...entries, ...sources.filter((file) => path.basename(file) === 'main.ts')]);
  const dead = sources.filter((file) => !live.has(file)).map((file) => {
    const message = 'nothing that the package exports or runs imports this file; use it, export it or delete it';
    return { file, line: 1, rule: 'dead-file', message };
  });

  const missing = entries.filter((file) => !tree.exists(file)).map((file) => {
    const message = `package.json names this file as an entry, but it is not there`;
    return { file, line: 1, rule: 'dead-file', message };
  });

  const tests = tree.files.filter((file) => SCRIPT_EXTENSION.test(file) && /^(packages|bench|test|scripts)\//.test(file));
  const run = tests.filter((file) => projectOf(file) !== undefined);
  const used = tree.reachable(run);
  const lost = tests.filter((file) => isTest(tree, file) && !used.has(file)).map((file) => {
    const message = 'no vitest project runs this test; rename or move it to match one in scripts/test-projects.mjs';
    return { file, line: 1, rule: 'dead-file', message };
  });
  return [...dead, ...missing, ...lost];
}

/** @param {import('./tree.mjs').Package} pkg */
function binaries({ directory, manifest }) {
  const bin = typeof manifest.bin === 'string' ? [manifest.bin] : Object.values(manifest.bin ?? {});
  return bin
    .map((target) => /^(?:\.\/)?dist\/(.+)\.js$/.exec(target)?.[1])
    .filter((name) => name !== undefined)
    .map((name) => `${directory}/src/${name}.ts`);
}

/** Named as a test, or TypeScript in a package's test/ directory, or using vitest. @param {Tree} tree @param {string} file */
function isTest(tree, file) {
  if (/\.(test|spec|fuzz)\.[a-z]+$/.test(file) || /^packages\/[^/]+\/test\/.*\.ts$/.test(file)) return true;
  return /^(test|scripts|packages\/[^/]+\/test)\//.test(file) && tree.imports(file).some(({ specifier }) => specifier === 'vitest');
}

const UNFINISHED = /\b(TODO|FIXME|XXX)\b(?!\s*\(?#\d+)/;

/** @param {Tree} tree @returns {Problem[]} */
export function unfinished(tree) {
  return tree.files.filter((file) => CODE.test(file)).flatMap((file) => {
    const problems = comments(tree, file).flatMap(({ line, text }) => {
      const word = UNFINISHED.exec(text)?.[1];
      if (word === undefined) return [];
      return [{ file, line, rule: 'unfinished', message: `${word} without an issue; write ${word}(#123), or do it` }];
    });
    return SCRIPT_EXTENSION.test(file) ? [...problems, ...skippedTests(tree, file)] : problems;
  });
}

/** @param {Tree} tree @param {string} file @returns {{ line: number, text: string }[]} one entry for each line of a comment */
function comments(tree, file) {
  if (!SCRIPT_EXTENSION.test(file)) {
    return tree.read(file).split('\n').flatMap((text, index) => (/\/\/|\/\*|^\s*\*/.test(text) ? [{ line: index + 1, text }] : []));
  }
  const source = tree.parse(file);
  /** @type {Map<number, string>} */
  const found = new Map();
  // Comments belong to no node of the syntax tree: they stand before the first and after the last token of one.
  walk(source, (node) => {
    const before = ts.getLeadingCommentRanges(source.text, node.getFullStart()) ?? [];
    const after = ts.getTrailingCommentRanges(source.text, node.getEnd()) ?? [];
    for (const { pos, end } of [...before, ...after]) found.set(pos, source.text.slice(pos, end));
  });
  const end = source.endOfFileToken;
  for (const range of ts.getLeadingCommentRanges(source.text, end.getFullStart()) ?? []) {
    found.set(range.pos, source.text.slice(range.pos, range.end));
  }
  return [...found].flatMap(([pos, text]) => {
    const first = source.getLineAndCharacterOfPosition(pos).line + 1;
    return text.split('\n').map((part, index) => ({ line: first + index, text: part }));
  });
}

const TEST_FUNCTIONS = new Set(['test', 'it', 'describe', 'suite']);
const SKIPPING = new Set(['only', 'skip', 'todo', 'skipIf', 'runIf']);

/** @param {Tree} tree @param {string} file @returns {Problem[]} */
function skippedTests(tree, file) {
  const source = tree.parse(file);
  const lines = source.text.split('\n');
  /** @type {Problem[]} */
  const problems = [];
  walk(source, (node) => {
    if (!ts.isPropertyAccessExpression(node) || !SKIPPING.has(node.name.text)) return;
    const call = ts.isCallExpression(node.parent) && node.parent.expression === node ? node.parent : undefined;
    const onTest = TEST_FUNCTIONS.has(rootName(node));
    // `ctx.skip(reason)` in a running test says its reason itself.
    const bareSkip = call !== undefined && node.name.text === 'skip' && call.arguments.length === 0;
    if (!onTest && !bareSkip) return;
    const line = source.getLineAndCharacterOfPosition(node.name.getStart(source)).line + 1;
    const hasReason = [lines[line - 1], lines[line - 2]].some((text) => /(^|\s)\/\/\s*\S/.test(text ?? ''));
    if (hasReason) return;
    const message = `.${node.name.text} without a reason; say it in a // comment on this line or the one before`;
    problems.push({ file, line, rule: 'unfinished', message });
  });
  return problems;
}

/** `test` of `test.concurrent.skip`. @param {ts.Expression} node @returns {string} */
function rootName(node) {
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node)) return rootName(node.expression);
  return ts.isIdentifier(node) ? node.text : '';
}
