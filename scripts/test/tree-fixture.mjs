// @ts-check
// A small repository in a temporary directory that every rule accepts; a test breaks one thing in it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RULES } from '../lint/rules.mjs';
import { Tree } from '../lint/tree.mjs';

/** @param {string} name @param {string[]} dependencies */
function manifest(name, dependencies) {
  return {
    name: `@i3/${name}`,
    license: 'Apache-2.0',
    type: 'module',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
    dependencies: Object.fromEntries(dependencies.map((dependency) => [dependency, '*'])),
  };
}

/** @type {Record<string, unknown>} */
const GOOD = {
  'package.json': { workspaces: ['packages/common', 'packages/hip'], devDependencies: { vitest: '*' } },
  'package-lock.json': {
    packages: {
      '': {},
      'node_modules/free': { license: '(MPL-2.0 OR MIT)', engines: { node: '^18.0.0 || >=20.9' } },
      'node_modules/vitest': { license: 'MPL-2.0', dev: true, engines: { node: '>=20' } },
    },
  },
  'tsconfig.json': { references: [{ path: 'packages/common' }, { path: './packages/hip' }] },
  'tsconfig.test.json': { compilerOptions: { paths: { '@i3/common/*': [], '@i3/hip/*': [] } } },
  'packages/common/package.json': manifest('common', ['free']),
  'packages/common/tsconfig.json': { references: [] },
  'packages/common/src/index.ts': `export { first } from './core/first.js';\nexport { open } from './io/open.js';\n`,
  'packages/common/src/core/first.ts': [
    `import { createHash } from 'node:crypto';`,
    `import type { Free } from 'free';`,
    `// TODO(#12): a limit`,
    `export function first(rng: { randomBytes(n: number): Free }, clock: { setTimeout(): void }): unknown {`,
    `  clock.setTimeout();`,
    `  return [rng.randomBytes(3), new Date(12), Date.UTC(2000), Math.max(1, 2), createHash('sha256')];`,
    `}`,
    ``,
  ].join('\n'),
  'packages/common/src/io/open.ts': `import fs from 'node:fs';\nexport const open = () => [fs, Date.now(), new Worker(new URL('./worker.js', import.meta.url))];\n`,
  'packages/common/src/io/worker.ts': `export {};\n`,
  'packages/common/test/first.test.ts': [
    `import { first } from '../src/core/first.js';`,
    `import { rows } from './rows.js';`,
    `// needs a kernel with SCTP`,
    `test.skip('first', () => first(rows));`,
    `test('second', (ctx) => ctx.skip('no SCTP'));`,
    ``,
  ].join('\n'),
  'packages/common/test/rows.ts': `export const rows = [];\n`,
  'packages/hip/package.json': manifest('hip', ['@i3/common']),
  'packages/hip/tsconfig.json': { references: [{ path: '../common' }] },
  'packages/hip/src/index.ts': `import { first } from '@i3/common';\nexport const hip = first;\n`,
  'packages/hip/src/main.ts': `console.log(process.env, './index.js');\n`,
};

/**
 * The problems that one rule finds in the good repository with these files put over it (an undefined one is left out).
 * @param {string} rule @param {Record<string, unknown>} [changes]
 * @returns {string[]} `file:line message`
 */
export function check(rule, changes = {}) {
  const root = mkdtempSync(path.join(tmpdir(), 'i3-lint-'));
  try {
    for (const [file, content] of Object.entries({ ...GOOD, ...changes })) {
      if (content === undefined) continue;
      mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      writeFileSync(path.join(root, file), typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
    }
    const run = RULES[rule];
    if (run === undefined) throw new Error(`no rule is called ${rule}`);
    return run(new Tree(root)).map(({ file, line, message }) => `${file}:${line} ${message}`);
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** A changed copy of a JSON file of the good repository. @param {string} file @param {Record<string, unknown>} change */
export function changed(file, change) {
  return { .../** @type {object} */ (GOOD[file]), ...change };
}
