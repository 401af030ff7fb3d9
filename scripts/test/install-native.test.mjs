// @ts-check
// What `npm ci` says when the native engine cannot be built: the scripts as they are, in a checkout with nothing else, on a machine that lacks something.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BUILD } from '../needs.mjs';

const SCRIPTS = path.resolve(import.meta.dirname, '..');
const ALL = Object.keys(BUILD);
const REFERENCE = 'A server also runs without it, on the reference engine: npm ci --ignore-scripts';
/** npm's own program, whatever PATH its caller will have. */
const NPM = (process.env['PATH'] ?? '')
  .split(':')
  .map((directory) => path.join(directory, 'npm'))
  .find((file) => existsSync(file));

let root = '';
/** The only directory on PATH. */
let bin = '';

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'i3-install-'));
  bin = path.join(root, 'bin');
  mkdirSync(bin);
  cpSync(SCRIPTS, path.join(root, 'scripts'), { recursive: true, filter: (file) => file === SCRIPTS || file.endsWith('.mjs') });
  put('packages/datapath/binding.gyp', '{}');
  mkdirSync(path.join(root, 'packages/datapath/build'));
  put('package.json', JSON.stringify({ name: 'checkout', version: '1.0.0', private: true, scripts: { postinstall: 'node scripts/install-native.mjs' } }));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** @param {string} file @param {string} text */
function put(file, text) {
  const whole = path.join(root, file);
  mkdirSync(path.dirname(whole), { recursive: true });
  writeFileSync(whole, text);
}

/** Programs that do nothing but be there. @param {string[]} names */
function install(names) {
  for (const name of names) {
    put(`bin/${name}`, '#!/bin/sh\nexit 1\n');
    chmodSync(path.join(bin, name), 0o755);
  }
}

/** @param {string} script what stands in for node-gyp */
function putGyp(script) {
  put('node_modules/node-gyp/bin/node-gyp.js', script);
}

/** @param {string[]} args */
function runNode(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, env: { PATH: bin, HOME: root }, encoding: 'utf8' });
  return { status, stdout, stderr };
}
const installNative = () => runNode('scripts/install-native.mjs');
const stamp = () => path.join(root, 'packages/datapath/build/.built-by');

describe('a machine without what the build needs', () => {
  /** @type {[string, string[]][]} */
  const rows = [...ALL.map((name) => /** @type {[string, string[]]} */ ([name, [name]])), ['g++ and make', ['g++', 'make']], ['all of them', ALL]];
  test.each(rows)('says in one line which packages are missing, and ends with 1: %s', (_, absent) => {
    putGyp('throw new Error("node-gyp was run")');
    install(ALL.filter((name) => !absent.includes(name)));
    const packages = absent.map((name) => BUILD[name]).sort().join(' ');
    expect(installNative()).toEqual({
      status: 1,
      stdout: '',
      stderr: `the native engine was not built: missing Debian packages: ${packages} (as root: apt-get install ${packages})\n${REFERENCE}\n`,
    });
  });

  test('a file that cannot be run is no compiler', () => {
    install(ALL);
    chmodSync(path.join(bin, 'g++'), 0o644);
    expect(installNative()).toMatchObject({ status: 1, stderr: expect.stringContaining('missing Debian packages: g++ (') });
  });

  test('npm shows that line and fails', () => {
    install(['make', 'python3']);
    symlinkSync(process.execPath, path.join(bin, 'node'));
    symlinkSync('/bin/sh', path.join(bin, 'sh'));
    const { status, stdout, stderr } = runNode(realpathSync(NPM ?? 'npm'), 'install', '--offline', '--no-audit', '--no-fund', '--no-update-notifier');
    expect(status).toBe(1);
    expect(stdout + stderr).toContain('the native engine was not built: missing Debian packages: g++ (as root: apt-get install g++)');
    expect(stdout + stderr).toContain(REFERENCE);
  });
});

describe('an old node', () => {
  test.each(['18.20.4', '20.18.3', '16.0.0'])('%s: one line says so, whatever else is missing', (version) => {
    put('old.cjs', `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`);
    expect(runNode('--require', './old.cjs', 'scripts/install-native.mjs')).toEqual({
      status: 1,
      stdout: '',
      stderr: `the native engine was not built: node ${version} is too old: install node 20.19 or newer, from nodejs.org or NodeSource (Debian 12's own is 18)\n`,
    });
    const stderr = expect.stringMatching(new RegExp(`^node ${version.replaceAll('.', '\\.')} is too old: install node 20\\.19 or newer.*\n$`));
    for (const command of ['demo', 'lint', 'sim']) expect(runNode('--require', './old.cjs', `scripts/${command}.mjs`, '--seed', '1')).toMatchObject({ status: 1, stderr });
  });

  test('gets as far as that line: import.meta.dirname is of 20.11', () => {
    const files = readdirSync(SCRIPTS).filter((file) => file.endsWith('.mjs'));
    expect(files).toContain('prepare.mjs');
    expect(files.filter((file) => /import\.meta\.(dirname|filename)/.test(readFileSync(path.join(SCRIPTS, file), 'utf8')))).toEqual([]);
  });
});

describe('a machine that has it all', () => {
  beforeEach(() => install(ALL));

  test('a build that fails shows what node-gyp said, and is tried again', () => {
    putGyp('console.error("gyp: the reason"); process.exitCode = 3;');
    for (let i = 0; i < 2; i++) {
      const { status, stdout, stderr } = installNative();
      expect(status).toBe(1);
      expect(stdout).toContain('gyp: the reason');
      expect(stderr).toBe(`the native engine was not built: the native engine does not build: see the messages of node-gyp above\n${REFERENCE}\n`);
      expect(existsSync(stamp())).toBe(false);
    }
  });

  test('a build that works is done once', () => {
    putGyp('require("node:fs").appendFileSync("runs", process.argv.slice(2).join(" ") + "\\n");');
    for (let i = 0; i < 2; i++) expect(installNative()).toMatchObject({ status: 0, stderr: '' });
    const runs = readFileSync(path.join(root, 'packages/datapath/runs'), 'utf8');
    expect(runs).toMatch(/^rebuild --release --directory .*packages\/datapath --nodedir .* --jobs max\n$/);
  });

  test('without sources there is nothing to build', () => {
    rmSync(path.join(root, 'packages/datapath/binding.gyp'));
    expect(installNative()).toEqual({ status: 0, stdout: '', stderr: '' });
  });
});
