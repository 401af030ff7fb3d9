// @ts-check
// Options of `npm run bench`, read before anything is installed, built or measured.
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

/** For people: what is wrong with which option. */
export class BadOption extends Error {}

const VALUES = ['--json', '--only'];
/** Of all suites. */
const ALWAYS = ['--json'];

/**
 * Options of one suite: `--name value` or `--name=value`, each once. Throws BadOption. Returns them for bench/dist/main.js, with an absolute FILE that can be written.
 * @param {string} suite @param {readonly string[]} own options that it has beside --json @param {readonly string[]} args
 * @param {string} from folder to which FILE is relative
 * @returns {string[]}
 */
export function readBenchOptions(suite, own, args, from) {
  /** @type {Map<string, string>} */
  const options = new Map();
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, name = arg, given] = /^(--[^=]+)=(.*)$/s.exec(arg) ?? [];
    if (![...ALWAYS, ...own].includes(name)) throw new BadOption(`${name} is no option of ${suite}`);
    if (options.has(name)) throw new BadOption(`${name} is there twice`);
    const hasValue = VALUES.includes(name);
    if (!hasValue && given !== undefined) throw new BadOption(`${name} takes no value`);
    const value = hasValue ? (given ?? rest.shift() ?? '') : '';
    if (hasValue && (value === '' || value.startsWith('--'))) throw new BadOption(`${name} needs a value`);
    options.set(name, name === '--json' ? writable(path.resolve(from, value)) : value);
  }
  return [...options].map(([name, value]) => (value === '' ? name : `${name}=${value}`));
}

/** @param {string} file */
function writable(file) {
  try {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isDirectory() === true) throw new BadOption(`--json ${file} is a folder`);
    // With "/", so that it has to be a folder.
    accessSync(found === undefined ? `${path.dirname(file)}/` : file, constants.W_OK);
  } catch (error) {
    if (error instanceof BadOption) throw error;
    throw new BadOption(`--json ${file} cannot be written (${/** @type {NodeJS.ErrnoException} */ (error).code})`);
  }
  return file;
}
