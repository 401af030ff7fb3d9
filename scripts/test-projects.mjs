// @ts-check
// Which file belongs to which vitest project. vitest.config.ts runs by this table and lint checks every test file against it.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** @type {Record<'system' | 'fuzz' | 'unit', string[]>} the first that matches a file runs it */
export const TEST_PROJECTS = {
  system: [
    'packages/*/test/**/*.netns.test.ts',
    'test/netns/test/**/*.test.ts',
    'test/system/**/*.test.ts',
    'test/interop/**/*.test.ts',
  ],
  fuzz: ['test/fuzz/**/*.fuzz.ts'],
  unit: ['packages/*/test/**/*.test.ts', 'bench/test/**/*.test.ts', 'test/sim/**/*.test.ts', 'scripts/test/**/*.test.mjs'],
};

/** Directories whose files no rule and no stage looks at. */
export const IGNORED_DIRECTORIES = new Set(['node_modules', 'dist', 'build', '.git', 'results', 'coverage']);

/**
 * A regular expression for a glob of stars and literal text, which is all the tables here use.
 * @param {string} glob
 */
export function globToRegExp(glob) {
  const source = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*\*\//g, '\u0000')
    .replace(/\*/g, '[^/]*')
    .replace(/\u0000/g, '(?:.*/)?');
  return new RegExp(`^${source}$`);
}

/**
 * The vitest project that runs a file, by its path relative to the repository's root.
 * @param {string} file
 * @returns {string | undefined}
 */
export function projectOf(file) {
  return Object.entries(TEST_PROJECTS).find(([, globs]) => globs.some((glob) => globToRegExp(glob).test(file)))?.[0];
}

/**
 * Every file below a directory, as sorted paths relative to `root`.
 * @param {string} root
 * @param {string} [below]
 * @returns {string[]}
 */
export function listFiles(root, below = '') {
  let entries;
  try {
    entries = readdirSync(path.join(root, below), { withFileTypes: true });
  } catch (error) {
    // Other programs may remove a directory between the listing of its parent and ours.
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return [];
    throw error;
  }
  return entries
    .flatMap((entry) => {
      const file = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) return IGNORED_DIRECTORIES.has(entry.name) ? [] : listFiles(root, file);
      return entry.isFile() ? [file] : [];
    })
    .sort();
}

/**
 * @typedef {{ directory: string, manifest: Record<string, any> }} Package
 * The packages directly under a directory (packages/, or test/ for what tests import), each with its parsed package.json.
 * @param {string} root @param {string} [parent]
 * @returns {Package[]}
 */
export function listPackages(root, parent = 'packages') {
  return listFiles(root, parent)
    .filter((file) => file.endsWith('/package.json') && file.split('/').length === 3)
    .map((file) => ({
      directory: path.posix.dirname(file),
      manifest: JSON.parse(readFileSync(path.join(root, file), 'utf8')),
    }));
}

/**
 * What a package exports, as `[specifier, source file]`: `['@i3/common/testing', 'packages/common/src/testing/index.ts']`.
 * A target dist/X.js stands for src/X.ts; targets outside dist/ (assets) are left out.
 * @param {Package} pkg
 * @returns {[string, string][]}
 */
export function sourceExports({ directory, manifest }) {
  return Object.entries(manifest.exports ?? {}).flatMap(([key, value]) => {
    const target = typeof value === 'string' ? value : (value?.default ?? value?.import);
    const match = /^\.\/dist\/(.+)\.js$/.exec(target ?? '');
    if (match === null) return [];
    return [/** @type {[string, string]} */ ([manifest.name + key.slice(1), `${directory}/src/${match[1]}.ts`])];
  });
}
