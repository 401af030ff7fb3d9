// @ts-check
// Makes a machine and a checkout ready for a command: node, Debian packages, /dev/net/tun, npm packages, the native engine, tsc.
// Plain JavaScript without dependencies, since it runs before `npm ci`; what it loads runs on an old node as far as the line that says so.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPackages, openTun } from './machine.mjs';
import { buildNative } from './native.mjs';
import { isProgram, missingPackages, NEEDS, NEEDS_TUN, nodeProblem } from './needs.mjs';
import { PrepareError } from './prepare-error.mjs';
import { runKept } from './processes.mjs';

export const ROOT = path.resolve(fileURLToPath(new URL('..', import.meta.url)));

/** @param {string} text */
export function say(text) {
  console.log(`prepare: ${text}`);
}

/**
 * @param {import('./needs.mjs').Purpose} purpose
 * @param {Record<string, string>} [more] further programs and their packages, for example of one bench suite
 */
export async function prepare(purpose, more = {}) {
  const tooOld = nodeProblem();
  if (tooOld !== undefined) throw new PrepareError(tooOld, 'machine');
  // Debian keeps ip, nft and others where an ordinary user's PATH does not look.
  process.env['PATH'] = [process.env['PATH'], '/usr/local/sbin', '/usr/sbin', '/sbin'].join(':');
  await checkPackages({ ...NEEDS[purpose], ...more });
  if (NEEDS_TUN.has(purpose)) {
    const problem = await openTun(say);
    if (problem !== undefined) throw new PrepareError(problem, 'machine');
  }
  await installModules();
  await buildNative(say);
  await buildTypeScript();
}

/** @param {Record<string, string>} needs */
async function checkPackages(needs) {
  const missing = missingPackages(needs);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !isProgram('apt-get')) {
    throw new PrepareError(`missing Debian packages: ${missing.join(' ')} (as root: apt-get install ${missing.join(' ')})`, 'machine');
  }
  say(`installing ${missing.join(' ')} with apt-get`);
  const problem = await installPackages(missing);
  if (problem !== undefined) throw new PrepareError(problem, 'machine');
  const still = missingPackages(needs);
  if (still.length > 0) throw new PrepareError(`apt-get installed ${still.join(' ')}, yet what they should bring is not there`, 'machine');
}

async function installModules() {
  if (modulesMatchLock()) return;
  say('installing npm packages (npm ci)');
  // Install scripts are not run: the native engine is built below and nothing else needs one.
  const { status, output } = await runKept('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: ROOT });
  if (status !== 0) {
    console.log(output);
    throw new PrepareError(`npm ci failed with status ${status}: see its messages above`, 'install');
  }
}

/** Whether node_modules holds every package of the lock file at its version; optional ones are for other platforms. */
function modulesMatchLock() {
  try {
    const installed = readLock(path.join(ROOT, 'node_modules/.package-lock.json'));
    return Object.entries(readLock(path.join(ROOT, 'package-lock.json'))).every(([name, wanted]) => {
      if (!name.startsWith('node_modules/')) return true;
      const present = installed[name];
      return present === undefined ? wanted.optional === true : present.version === wanted.version;
    });
  } catch {
    return false;
  }
}

/** @param {string} file @returns {Record<string, { version?: string, optional?: boolean }>} */
function readLock(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

async function buildTypeScript() {
  const slow = setTimeout(() => say('building TypeScript (tsc --build)'), 1000);
  const { status, output } = await runKept(process.execPath, ['node_modules/typescript/bin/tsc', '--build'], { cwd: ROOT });
  clearTimeout(slow);
  if (status === 0) return;
  console.log(output);
  throw new PrepareError('TypeScript does not build: see the messages of tsc above', 'build');
}

/**
 * Prepares, or says in one line why that is not possible and ends with status 1.
 * @param {import('./needs.mjs').Purpose} purpose @param {Record<string, string>} [more]
 */
export async function prepareOrExit(purpose, more) {
  try {
    await prepare(purpose, more);
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
