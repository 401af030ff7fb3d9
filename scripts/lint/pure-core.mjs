// @ts-check
// Rule: outside io/, main.ts and native*, a package does no I/O, reads no clock and draws no random numbers.
import path from 'node:path';
import ts from 'typescript';
import { lineOf, walk } from './tree.mjs';

const rule = 'pure-core';

const MODULES = new Set(['dgram', 'net', 'fs', 'child_process', 'http', 'https', 'http2', 'tls', 'dns', 'os', 'timers']);

/** Global functions that wait or are random. */
const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate']);

/** What may not be read of a global object. Reading the object in another way could hide these, so that is refused too. */
const MEMBERS = new Map([
  ['Date', /^now$/],
  ['Math', /^random$/],
  ['performance', /^(now|timeOrigin)$/],
  ['process', /^(env|hrtime|uptime)$/],
  ['crypto', /^(randomBytes|randomUUID|randomInt|randomFill|randomFillSync|generateKey\w*|getRandomValues)$/],
]);

const REMEDY = {
  io: 'move it to io/ and pass in what it yields',
  time: 'take nowMs as an argument and yield the next deadline',
  random: 'take a random source as an argument',
  env: 'take the configuration as an argument',
};

/** Whether a source file of a package is held to be pure. @param {string} file */
export function isPure(file) {
  const parts = file.split('/').slice(3);
  return !parts.includes('io') && path.basename(file) !== 'main.ts' && !parts.some((part) => part.startsWith('native'));
}

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Problem[]} */
export function pureCore(tree) {
  return tree.sources().filter(isPure).flatMap((file) => {
    const source = tree.parse(file);
    const { declared, aliases } = names(source);
    /** @type {import('./tree.mjs').Problem[]} */
    const problems = [];
    /** @param {ts.Node} node @param {string} what @param {string} remedy */
    const report = (node, what, remedy) =>
      problems.push({ file, line: lineOf(source, node), rule, message: `${what} in a core; ${remedy}` });

    for (const { specifier, line } of tree.imports(file)) {
      const [name = ''] = specifier.replace(/^node:/, '').split('/');
      if (MODULES.has(name)) problems.push({ file, line, rule, message: `import of ${specifier} in a core; ${REMEDY.io}` });
    }
    walk(source, (node) => {
      if (ts.isImportSpecifier(node)) checkNamedImport(node, report);
      if (!ts.isIdentifier(node) || !isValueReference(node)) return;
      const text = aliases.get(node.text) ?? node.text;
      if (declared.has(node.text)) return;
      if (TIMERS.has(text)) report(node, text, REMEDY.time);
      else if (text === 'globalThis') report(node, text, 'name what is used, so that it can be checked');
      else if (text === 'Date') checkDate(node, report);
      else checkMember(node, text, report);
    });
    return problems;
  });
}

/** @typedef {(node: ts.Node, what: string, remedy: string) => void} Report */

/** The members of node:crypto and node:process by their names. @param {ts.ImportSpecifier} node @param {Report} report */
function checkNamedImport(node, report) {
  const from = node.parent.parent.parent.moduleSpecifier;
  const name = (node.propertyName ?? node.name).text;
  const module = ts.isStringLiteral(from) ? from.text.replace(/^node:/, '') : '';
  if (MEMBERS.get(module)?.test(name)) report(node, `${name} of ${module}`, remedyFor(module));
}

/** @param {string} object */
function remedyFor(object) {
  return object === 'process' ? REMEDY.env : object === 'performance' ? REMEDY.time : REMEDY.random;
}

/** `new Date(ms)`, `Date.UTC`, `Date.parse` and `instanceof Date` read no clock. @param {ts.Identifier} node @param {Report} report */
function checkDate(node, report) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.expression === node && /^(UTC|parse)$/.test(parent.name.text)) return;
  if (ts.isNewExpression(parent) && parent.expression === node && (parent.arguments?.length ?? 0) > 0) return;
  if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.InstanceOfKeyword) return;
  report(node, ts.isNewExpression(parent) ? 'new Date() without arguments' : parent.getText().slice(0, 40), REMEDY.time);
}

/** @param {ts.Identifier} node @param {string} object which global it means @param {Report} report */
function checkMember(node, object, report) {
  const banned = MEMBERS.get(object);
  if (banned === undefined) return;
  const { parent } = node;
  const remedy = remedyFor(object);
  if (!ts.isPropertyAccessExpression(parent) || parent.expression !== node) {
    report(node, `${node.text} used as a value`, `name the member that is used; ${remedy}`);
  } else if (banned.test(parent.name.text)) {
    report(node, `${object}.${parent.name.text}`, remedy);
  }
}

/** Whether an identifier reads a variable: no declaration, type, property name or import. @param {ts.Identifier} node */
function isValueReference(node) {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isQualifiedName(parent) || ts.isTypeNode(parent) || ts.isTypeQueryNode(parent)) return ts.isExpressionWithTypeArguments(parent);
  if (ts.isImportSpecifier(parent) || ts.isImportClause(parent) || ts.isNamespaceImport(parent) || ts.isExportSpecifier(parent)) return false;
  if (ts.isShorthandPropertyAssignment(parent)) return true;
  return !('name' in parent && parent.name === node) && !('propertyName' in parent && parent.propertyName === node);
}

/**
 * The names that a file declares anywhere (coarse, but a core has no need to shadow a global), and apart from them the
 * names under which it imports an object that node also has as a global.
 * @param {ts.SourceFile} source
 */
function names(source) {
  /** @type {Set<string>} */
  const declared = new Set();
  /** @type {Map<string, string>} */
  const aliases = new Map();
  walk(source, (node) => {
    if (ts.isImportDeclaration(node)) return addImports(node, declared, aliases);
    const declares =
      ts.isVariableDeclaration(node) ||
      ts.isParameter(node) ||
      ts.isBindingElement(node) ||
      ts.isFunctionDeclaration(node) ||
      ts.isClassDeclaration(node);
    if (declares && node.name !== undefined && ts.isIdentifier(node.name)) declared.add(node.name.text);
  });
  return { declared, aliases };
}

/** @param {ts.ImportDeclaration} node @param {Set<string>} declared @param {Map<string, string>} aliases */
function addImports(node, declared, aliases) {
  const clause = node.importClause;
  const specifier = ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text.replace(/^node:/, '') : '';
  const bindings = clause?.namedBindings;
  const whole = [clause?.name, bindings !== undefined && ts.isNamespaceImport(bindings) ? bindings.name : undefined];
  for (const name of whole) {
    if (name === undefined) continue;
    if (specifier === 'crypto' || specifier === 'process') aliases.set(name.text, specifier);
    else declared.add(name.text);
  }
  if (bindings === undefined || !ts.isNamedImports(bindings)) return;
  for (const element of bindings.elements) {
    const imported = (element.propertyName ?? element.name).text;
    if (specifier === 'perf_hooks' && imported === 'performance') aliases.set(element.name.text, 'performance');
    else if (specifier === 'crypto' && imported === 'webcrypto') aliases.set(element.name.text, 'crypto');
    else declared.add(element.name.text);
  }
}
