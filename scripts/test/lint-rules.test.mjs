// @ts-check
import { describe, expect, test } from 'vitest';
import { RULES } from '../lint/rules.mjs';
import { changed, check } from './tree-fixture.mjs';

test.each(Object.keys(RULES))('%s accepts a good tree', (rule) => {
  expect(check(rule)).toEqual([]);
});

/** @type {[string, Record<string, unknown>, string][]} file contents and what the only problem must say */
const DIRECTION = [
  ['an import of a higher layer', { 'packages/common/src/io/worker.ts': `import '@i3/hip';` }, 'packages/common/src/io/worker.ts:1 @i3/common must not import @i3/hip'],
  ['a type import of a higher layer', { 'packages/common/src/io/worker.ts': `\ntype H = typeof import('@i3/hip');` }, 'worker.ts:2 @i3/common must not'],
  ['what is not exported', { 'packages/hip/src/main.ts': `import '@i3/common/dist/x.js';` }, "@i3/common does not export './dist/x.js'"],
  ['a path into another package', { 'packages/hip/src/main.ts': `import '../../common/src/index.js';` }, 'leaves the package'],
  ['a test that reaches into another package', { 'packages/hip/test/a.test.ts': `import '../../common/src/index.js';` }, 'inside another package'],
  ['an undeclared dependency', { 'packages/hip/src/main.ts': `import 'free/sub';` }, 'free is not among the dependencies'],
  ['a package without a layer', { 'packages/new/package.json': { name: '@i3/new' } }, 'packages/new/package.json:1 the package has no layer'],
];
test.each(DIRECTION)('import-direction refuses %s', (_name, changes, message) => {
  expect(check('import-direction', changes)).toEqual([expect.stringContaining(message)]);
});

describe('pure-core', () => {
  const IMPURE = [
    [`import 'node:dgram';`, 'import of node:dgram'],
    [`import type { Stats } from 'fs';`, 'import of fs'],
    [`import { setTimeout as sleep } from 'node:timers/promises';`, 'import of node:timers/promises'],
    [`await import('node:net');`, 'import of node:net'],
    [`Date.now();`, 'Date.now'],
    [`new Date();`, 'new Date() without arguments'],
    [`const { now } = Date;`, 'in a core'],
    [`performance.now();`, 'performance.now'],
    [`import { performance as p } from 'node:perf_hooks'; p.now();`, 'performance'],
    [`Math.random();`, 'Math.random'],
    [`const { random } = Math;`, 'Math used as a value'],
    [`setTimeout(() => {}, 1);`, 'setTimeout'],
    [`const later = setImmediate;`, 'setImmediate'],
    [`const timers = { setInterval };`, 'setInterval'],
    [`globalThis.setTimeout(() => {}, 1);`, 'globalThis'],
    [`process.env['HOME'];`, 'process.env'],
    [`import { env } from 'node:process'; env;`, 'env'],
    [`import { randomBytes as r } from 'node:crypto'; r(3);`, 'randomBytes'],
    [`import { generateKeyPairSync } from 'crypto';`, 'generateKeyPairSync'],
    [`import * as nodeCrypto from 'node:crypto'; nodeCrypto.randomUUID();`, 'randomUUID'],
    [`import nodeCrypto from 'node:crypto'; nodeCrypto.generateKeyPair('ed25519');`, 'generateKeyPair'],
    [`crypto.getRandomValues(new Uint8Array(1));`, 'getRandomValues'],
  ];
  test.each(IMPURE)('refuses %s', (code, message) => {
    const problems = check('pure-core', { 'packages/common/src/core/first.ts': `\n${code}\n` });
    expect(problems).toEqual([expect.stringContaining(message)]);
    expect(problems[0]).toMatch(/^packages\/common\/src\/core\/first.ts:2 /);
  });

  test.each(['io/a.ts', 'chord/io/a.ts', 'main.ts', 'native-io.ts', 'native/engine.ts'])('leaves %s alone', (file) => {
    expect(check('pure-core', { [`packages/common/src/${file}`]: 'Date.now();' })).toEqual([]);
  });

  test.each(['index.ts', 'chord/ring.ts', 'audio/a.ts', 'domain.ts'])('looks at %s', (file) => {
    expect(check('pure-core', { [`packages/common/src/${file}`]: 'Date.now();' })).toHaveLength(1);
  });
});

test('log-event refuses events that docs/logs.md does not have, of either level and either name', () => {
  const source = `this.#log('warn', 'is-there', {}); env.log(bad ? 'warn' : 'info', which ? 'first' : 'second'); log(line); Math.log('warn-not', 'x');\nlog('info', 'third');`;
  expect(check('log-event', { 'docs/logs.md': '| `is-there` | `first`, `second` | `third` |', 'packages/common/src/io/worker.ts': source })).toEqual([]);
  expect(check('log-event', { 'docs/logs.md': '| `is-there` | first |', 'packages/common/src/io/worker.ts': source })).toEqual([
    ['first', 1], ['second', 1], ['third', 2],
  ].map(([event, line]) => `packages/common/src/io/worker.ts:${line} the event '${event}' is not in docs/logs.md; say there what it means`));
});

test('file-length refuses line 601', () => {
  expect(check('file-length', { 'packages/common/native/a.cc': 'int a;\n'.repeat(600) })).toEqual([]);
  expect(check('file-length', { 'packages/common/native/a.cc': 'int a;\n'.repeat(601) })).toEqual([
    expect.stringContaining('packages/common/native/a.cc:601 601 lines'),
  ]);
});

const NAMES = [
  ['packages/common/src/hostIdentity.ts', 'not kebab-case'],
  ['packages/common/src/host_identity.cc', 'not kebab-case'],
  ['packages/common/src/Core/a.ts', 'not kebab-case'],
  ['test/sim/utils.ts', "'utils' says nothing"],
  ['packages/common/src/dns-helpers.ts', "'helpers' says nothing"],
  ['bench/src/manager/a.ts', "'manager' says nothing"],
];
test.each(NAMES)('file-name refuses %s', (file, message) => {
  expect(check('file-name', { [file ?? '']: '' })).toEqual([expect.stringContaining(message ?? '')]);
});

/** @type {[string, Record<string, unknown>, string][]} */
const DEAD = [
  ['a source that nothing imports', { 'packages/hip/src/core/a.ts': '' }, 'packages/hip/src/core/a.ts:1 nothing'],
  ['a source that only a test imports', { 'packages/hip/src/a.ts': '', 'packages/hip/test/a.test.ts': `import '../src/a.js';` }, 'packages/hip/src/a.ts:1 nothing'],
  ['an entry that is not there', { 'packages/common/src/index.ts': undefined, 'packages/common/src/main.ts': `import './core/first.js'; import './io/open.js';` }, 'packages/common/src/index.ts:1 package.json names'],
  ['a test with another ending', { 'packages/hip/test/a.spec.ts': '' }, 'packages/hip/test/a.spec.ts:1 no vitest project'],
  ['a test beside the sources of a test package', { 'test/other/a.ts': `import { test } from 'vitest';` }, 'test/other/a.ts:1 no vitest project'],
  ['a fuzz test outside test/fuzz', { 'test/sim/a.fuzz.ts': '' }, 'test/sim/a.fuzz.ts:1 no vitest project'],
];
test.each(DEAD)('dead-file refuses %s', (_name, changes, message) => {
  expect(check('dead-file', changes)).toEqual([expect.stringContaining(message)]);
});

const UNFINISHED = [
  ['packages/hip/src/main.ts', `\nlet a = 1; // TODO later`, 'main.ts:2 TODO without an issue'],
  ['packages/hip/src/main.ts', `/**\n * FIXME\n */\nexport {};`, 'main.ts:2 FIXME without an issue'],
  ['packages/hip/native/a.cc', `int a;\n// TODO: more`, 'a.cc:2 TODO without an issue'],
  ['packages/hip/test/a.test.ts', `\n\ntest.only('a', () => {});`, 'a.test.ts:3 .only without a reason'],
  ['packages/hip/test/a.test.ts', `describe.skip('a', () => {});`, '.skip without a reason'],
  ['packages/hip/test/a.test.ts', `it.concurrent.todo('a');`, '.todo without a reason'],
  ['packages/hip/test/a.test.ts', `test.skipIf(root)('a', () => {});`, '.skipIf without a reason'],
  ['packages/hip/test/a.test.ts', `test('a', (ctx) => ctx.skip());`, '.skip without a reason'],
];
test.each(UNFINISHED)('unfinished refuses, in %s, %j', (file, code, message) => {
  expect(check('unfinished', { [file ?? '']: code })).toEqual([expect.stringContaining(message ?? '')]);
});

/** @type {[string, Record<string, unknown>, string][]} */
const MANIFESTS = [
  ['no exports', { 'packages/hip/package.json': changed('packages/hip/package.json', { exports: undefined }) }, 'no exports map'],
  ['another name', { 'packages/hip/package.json': changed('packages/hip/package.json', { name: 'hip' }) }, "the name is 'hip'"],
  ['another licence', { 'packages/hip/package.json': changed('packages/hip/package.json', { license: 'MIT' }) }, 'license is not'],
  ['CommonJS', { 'packages/hip/package.json': changed('packages/hip/package.json', { type: 'commonjs' }) }, 'type is not "module"'],
  ['no workspace', { 'package.json': { workspaces: ['packages/common'] } }, 'packages/hip is not among the workspaces'],
  ['no reference', { 'tsconfig.json': { references: [{ path: 'packages/common' }] } }, 'packages/hip is not among the references'],
  ['no reference to a dependency', { 'packages/hip/tsconfig.json': {} }, '@i3/common is a dependency but not among'],
  ['no tsconfig', { 'packages/hip/tsconfig.json': undefined }, 'it is not there'],
  ['no path for tests', { 'tsconfig.test.json': { compilerOptions: { paths: { '@i3/common/*': [] } } } }, "paths has no '@i3/hip/*'"],
];
test.each(MANIFESTS)('manifest refuses %s', (_name, changes, message) => {
  expect(check('manifest', changes)).toEqual([expect.stringContaining(message)]);
});

/** @type {[string, Record<string, unknown>, string][]} */
const DEPENDENCIES = [
  ['a licence that is not free enough', { 'node_modules/free': { license: 'GPL-3.0' } }, "package-lock.json:3 the licence 'GPL-3.0'"],
  ['a licence that is free only in part', { 'node_modules/free': { license: 'MIT AND MPL-2.0' } }, 'the licence'],
  ['no licence', { 'node_modules/free': {} }, "the licence 'undefined'"],
  ['an indirect dependency', { 'node_modules/a/node_modules/b': { license: 'MPL-2.0' } }, 'the licence'],
  ['a direct dependency that wants a newer node', { 'node_modules/vitest': { dev: true, engines: { node: '>=22' } } }, "it wants node '>=22'"],
  ['a download address', { 'node_modules/free': { license: 'MIT', resolved: 'https://registry.example/free.tgz' } }, 'a download address'],
];
test.each(DEPENDENCIES)('dependency refuses %s', (_name, packages, message) => {
  expect(check('dependency', { 'package-lock.json': { packages } })).toEqual([expect.stringContaining(message)]);
});
