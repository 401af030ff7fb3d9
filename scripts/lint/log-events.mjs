// @ts-check
// Rule: docs/logs.md says of every event that the sources log what it means.
import ts from 'typescript';
import { lineOf, walk } from './tree.mjs';

const rule = 'log-event';
const DOCUMENT = 'docs/logs.md';
const LEVELS = new Set(['debug', 'info', 'warn', 'error']);

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Problem[]} */
export function logEvents(tree) {
  const known = new Set(tree.exists(DOCUMENT) ? [...tree.read(DOCUMENT).matchAll(/`([a-z0-9-]+)`/g)].map(([, event]) => event) : []);
  return tree.sources().flatMap((file) => {
    const source = tree.parse(file);
    /** @type {import('./tree.mjs').Problem[]} */
    const problems = [];
    walk(source, (node) => {
      if (!ts.isCallExpression(node) || nameOf(node.expression) !== 'log') return;
      const [level, event] = node.arguments;
      if (!textsOf(level).some((text) => LEVELS.has(text))) return;
      for (const text of textsOf(event)) {
        if (!known.has(text)) problems.push({ file, line: lineOf(source, node), rule, message: `the event '${text}' is not in ${DOCUMENT}; say there what it means` });
      }
    });
    return problems;
  });
}

/** @param {ts.Expression} called */
function nameOf(called) {
  if (ts.isIdentifier(called)) return called.text;
  return ts.isPropertyAccessExpression(called) ? called.name.text.replace('#', '') : '';
}

/** What an argument may be, where that can be seen. @param {ts.Expression | undefined} node @returns {string[]} */
function textsOf(node) {
  if (node === undefined) return [];
  if (ts.isStringLiteralLike(node)) return [node.text];
  return ts.isConditionalExpression(node) ? [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)] : [];
}
