// @ts-check
// Builds the native engine of packages/datapath; without dependencies but node-gyp, which npm has brought before.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrepareError } from './prepare-error.mjs';
import { runKept } from './processes.mjs';
import { listFiles } from './test-projects.mjs';

const ROOT = path.resolve(fileURLToPath(new URL('..', import.meta.url)));
const NATIVE = path.join(ROOT, 'packages/datapath');
const NATIVE_SOURCE = /^(binding\.gyp|src\/.*\.(cc|h))$/;

/**
 * Builds the addon with node-gyp unless it is there and newer than its sources. Throws PrepareError.
 * @param {(text: string) => void} say
 */
export async function buildNative(say) {
  if (!existsSync(path.join(NATIVE, 'binding.gyp'))) return;
  const nodedir = path.dirname(path.dirname(process.execPath));
  // Changing node or the place of the checkout also makes what was built stale.
  const stamp = `${process.version} ${process.arch} ${nodedir}\n`;
  const stampFile = path.join(NATIVE, 'build/.built-by');
  const sources = listFiles(NATIVE).filter((file) => NATIVE_SOURCE.test(file));
  const newest = Math.max(...sources.map((file) => statSync(path.join(NATIVE, file)).mtimeMs));
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp && statSync(stampFile).mtimeMs > newest) return;
  if (!existsSync(path.join(nodedir, 'include/node/node_api.h'))) {
    const remedy = 'install node from nodejs.org or NodeSource, whose packages hold them';
    throw new PrepareError(`node's headers are missing: no ${nodedir}/include/node/node_api.h; ${remedy}`, 'build');
  }
  say('building the native engine (node-gyp)');
  // node-gyp lets npm_config_* override its arguments; those may come from a user's npm settings.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(config|package)_/i.test(name)));
  const startedMs = Date.now();
  const gyp = path.join(ROOT, 'node_modules/node-gyp/bin/node-gyp.js');
  const args = [gyp, 'rebuild', '--release', '--directory', NATIVE, '--nodedir', nodedir, '--jobs', 'max'];
  const { status, output } = await runKept(process.execPath, args, { cwd: NATIVE, env });
  if (status !== 0) {
    console.log(output);
    throw new PrepareError('the native engine does not build: see the messages of node-gyp above', 'build');
  }
  writeFileSync(stampFile, stamp);
  say(`built the native engine in ${Math.round((Date.now() - startedMs) / 1000)} s`);
}
