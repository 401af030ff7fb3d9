// @ts-check
// Rules about package.json and the lock file: packages are wired up everywhere, dependencies have free licences and run on our node.
import path from 'node:path';
import semver from 'semver';

/** @typedef {import('./tree.mjs').Problem} Problem */
/** @typedef {import('./tree.mjs').Tree} Tree */

/** @param {Tree} tree @returns {Problem[]} */
export function manifests(tree) {
  /** @type {string[]} */
  const workspaces = tree.readJson('package.json').workspaces ?? [];
  const references = referencesOf(tree, 'tsconfig.json', '.');
  /** @type {string[]} */
  const testPaths = Object.keys(tree.readJson('tsconfig.test.json').compilerOptions?.paths ?? {});
  return tree.packages.flatMap(({ directory, manifest }) => {
    /** @type {Problem[]} */
    const problems = [];
    /** @param {string} file @param {string} message */
    const report = (file, message) => problems.push({ file, line: 1, rule: 'manifest', message });
    const own = `${directory}/package.json`;
    const name = `@i3/${path.basename(directory)}`;
    if (manifest.name !== name) report(own, `the name is '${manifest.name}'; call it ${name}, as its directory`);
    if (manifest.exports === undefined) report(own, 'there is no exports map; add one');
    if (manifest.type !== 'module') report(own, 'type is not "module"; set it');
    if (manifest.license !== 'Apache-2.0') report(own, 'license is not "Apache-2.0"; set it');
    if (!workspaces.includes(directory)) report('package.json', `${directory} is not among the workspaces; add it`);
    if (!references.has(directory)) report('tsconfig.json', `${directory} is not among the references; add it`);
    if (!testPaths.includes(`${name}/*`)) report('tsconfig.test.json', `paths has no '${name}/*'; add it`);
    if (!tree.exists(`${directory}/tsconfig.json`)) {
      report(`${directory}/tsconfig.json`, 'it is not there; copy that of another package');
      return problems;
    }
    const declared = referencesOf(tree, `${directory}/tsconfig.json`, directory);
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      const target = tree.packages.find((pkg) => pkg.manifest.name === dependency)?.directory;
      if (target === undefined || declared.has(target)) continue;
      report(`${directory}/tsconfig.json`, `${dependency} is a dependency but not among the references; add it`);
    }
    return problems;
  });
}

/** @param {Tree} tree @param {string} file @param {string} directory */
function referencesOf(tree, file, directory) {
  /** @type {{ path: string }[]} */
  const references = tree.readJson(file).references ?? [];
  return new Set(references.map((reference) => path.posix.join(directory, reference.path)));
}

const LICENCES = new Set([
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  '0BSD',
  'BlueOak-1.0.0',
  'Python-2.0',
  'CC0-1.0',
]);

const NODE_MINIMUM = '20.19.0';

/** @typedef {{ license?: string, dev?: boolean, devOptional?: boolean, link?: boolean, engines?: { node?: string } }} Locked */

/** @param {Tree} tree @returns {Problem[]} */
export function dependencies(tree) {
  const file = 'package-lock.json';
  /** @type {Record<string, Locked>} */
  const locked = tree.readJson(file).packages;
  const lines = tree.read(file).split('\n');
  /** @param {string} key @param {string} message @returns {Problem} */
  const problem = (key, message) => {
    const line = lines.findIndex((text) => text.includes(`"${key}": {`)) + 1;
    return { file, line, rule: 'dependency', message };
  };

  const licences = Object.entries(locked).flatMap(([key, { license, dev, link }]) => {
    if (!key.includes('node_modules/') || dev === true || link === true || isFree(license)) return [];
    return [problem(key, `the licence '${license}' is not in the allow list; use another package`)];
  });

  const direct = ['package.json', ...tree.packages.map(({ directory }) => `${directory}/package.json`)].flatMap((name) => {
    const manifest = tree.readJson(name);
    return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
  });
  const engines = [...new Set(direct)].flatMap((name) => {
    const key = `node_modules/${name}`;
    const range = locked[key]?.engines?.node;
    if (range === undefined || semver.satisfies(NODE_MINIMUM, range)) return [];
    return [problem(key, `it wants node '${range}', we support ${NODE_MINIMUM}; pin an older version`)];
  });
  return [...licences, ...engines, ...addresses(lines)];
}

/** Download addresses would tie the lock file to one registry. @param {string[]} lines @returns {Problem[]} */
function addresses(lines) {
  return lines.flatMap((text, index) => {
    if (!/"resolved": "https?:/.test(text)) return [];
    const message = 'a download address; npm install with omit-lockfile-registry-resolved=true leaves it out';
    return [{ file: 'package-lock.json', line: index + 1, rule: 'dependency', message }];
  });
}

/** @param {string | undefined} expression an SPDX expression without nesting @returns {boolean} */
function isFree(expression) {
  const plain = (expression ?? '').replace(/^\((.*)\)$/, '$1');
  if (plain.includes(' OR ')) return plain.split(' OR ').some(isFree);
  return plain.split(' AND ').every((licence) => LICENCES.has(licence));
}
