// @ts-check
// Rule: imports between packages point one way, name what `exports` offers, and are declared in package.json.
import { isBuiltin } from 'node:module';
import path from 'node:path';

/** Each package may import those of the layers before its own, and none of its own layer. */
export const LAYERS = [
  ['common'],
  ['datapath', 'hip'],
  ['i3-client'],
  ['i3-server', 'i3-proxy'],
  ['i3-to-ip', 'ip-to-i3', 'i3-middlebox'],
  ['i3ctl', 'dashboard'],
];

const rule = 'import-direction';

/** @param {string} name @returns {number} */
function layerOf(name) {
  return LAYERS.findIndex((layer) => layer.includes(name));
}

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Problem[]} */
export function importDirection(tree) {
  /** @type {import('./tree.mjs').Problem[]} */
  const problems = [];
  for (const { directory } of tree.packages) {
    if (layerOf(path.basename(directory)) >= 0) continue;
    const message = 'the package has no layer; add it to LAYERS in scripts/lint/import-direction.mjs';
    problems.push({ file: `${directory}/package.json`, line: 1, rule, message });
  }
  for (const file of tree.files.filter((name) => /^packages\/[^/]+\/(src|test)\/.+\.m?[jt]s$/.test(name))) {
    for (const { specifier, line } of tree.imports(file)) {
      const message = problemOf(tree, file, specifier);
      if (message !== undefined) problems.push({ file, line, rule, message });
    }
  }
  return problems;
}

/** @param {import('./tree.mjs').Tree} tree @param {string} file @param {string} specifier @returns {string | undefined} */
function problemOf(tree, file, specifier) {
  const own = tree.packageOf(file);
  if (own === undefined) return undefined;
  const isSource = file.startsWith(`${own.directory}/src/`);
  if (specifier.startsWith('.')) {
    const target = path.posix.join(path.posix.dirname(file), specifier);
    if (!isSource || target.startsWith(`${own.directory}/`)) return leavesPackages(own.directory, target);
    return `'${specifier}' leaves the package; import it by its name, through its exports`;
  }
  if (isBuiltin(specifier)) return undefined;
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
  const target = tree.packages.find(({ manifest }) => manifest.name === name);
  if (target !== undefined) {
    const key = `.${specifier.slice(name.length)}`;
    if (!Object.hasOwn(target.manifest.exports ?? {}, key)) return `${name} does not export '${key}'; export it or use what is exported`;
    if (isSource && target !== own && layerOf(path.basename(target.directory)) >= layerOf(path.basename(own.directory))) {
      return `${own.manifest.name} must not import ${name}, which is not in a layer below it; pass in what is needed from above`;
    }
  }
  if (isSource && target !== own && !Object.hasOwn(own.manifest.dependencies ?? {}, name)) {
    return `${name} is not among the dependencies in ${own.directory}/package.json; add it there`;
  }
  return undefined;
}

/** Tests may import the sources of their own package and what lies in test/, but not the inside of another package. */
/** @param {string} own @param {string} target @returns {string | undefined} */
function leavesPackages(own, target) {
  if (!target.startsWith('packages/') || target.startsWith(`${own}/`)) return undefined;
  return `'${target}' is inside another package; import that package by its name, through its exports`;
}
