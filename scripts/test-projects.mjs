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

/** Files of `system` that judge no times, so that two of them may run at once. What is not here has the machine to itself. */
const BESIDE = [
  'packages/i3-proxy/test/io/*.netns.test.ts',
  'test/interop/*.test.ts',
  'test/netns/test/{emulator-core,enter,firewall,nat,nat-kinds,nat-paths,plan,recipes,topology}.test.ts',
  'test/system/{access,examples,first-use,hip-direct,own-key,path-mtu,port-mapping,rekeying,server-list,services,two-families,wrong-keys,zones}.test.ts',
  'test/system/{guard,programs,start}-*.test.ts',
];

/** Directories whose files no rule and no stage looks at. */
export const IGNORED_DIRECTORIES = new Set(['node_modules', 'dist', 'build', '.git', 'results', 'coverage']);

/**
 * A regular expression for a glob of stars, literal text, and words with commas in braces, which is all the tables here use.
 * @param {string} glob
 */
export function globToRegExp(glob) {
  const source = glob
    .replace(/[.+^$()|[\]\\]/g, '\\$&')
    .replace(/\{([^}]*)\}/g, (_, words) => `(?:${words.replaceAll(',', '|')})`)
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
 * The files of `system` in the order in which they run: two lists at once, and then one that has the machine to itself.
 * @param {readonly string[]} files all files below the root
 * @returns {{ lanes: [string[], string[]], alone: string[] }}
 */
export function systemLanes(files) {
  const system = files.filter((file) => projectOf(file) === 'system');
  const beside = system.filter((file) => BESIDE.some((glob) => globToRegExp(glob).test(file)));
  // Dealt out as A B B A: long files have long ones beside them in the alphabet.
  const isFirst = (/** @type {number} */ index) => index % 4 === 0 || index % 4 === 3;
  return {
    lanes: [beside.filter((_, index) => isFirst(index)), beside.filter((_, index) => !isFirst(index))],
    alone: system.filter((file) => !beside.includes(file)),
  };
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
