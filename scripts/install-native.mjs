// @ts-check
// What npm runs after it has installed the packages of this checkout: builds the native engine for this node and machine.
import { buildNative } from './native.mjs';
import { BUILD, missingPackages, nodeProblem } from './needs.mjs';
import { PrepareError } from './prepare-error.mjs';

const WITHOUT = 'A server also runs without it, on the reference engine: npm ci --ignore-scripts';

const tooOld = nodeProblem();
try {
  if (tooOld !== undefined) throw new PrepareError(tooOld, 'machine');
  const missing = missingPackages(BUILD);
  if (missing.length > 0) {
    throw new PrepareError(`missing Debian packages: ${missing.join(' ')} (as root: apt-get install ${missing.join(' ')})`, 'machine');
  }
  await buildNative((text) => console.log(`npm: ${text}`));
} catch (error) {
  if (!(error instanceof PrepareError)) throw error;
  console.error(`the native engine was not built: ${error.message}${tooOld === undefined ? `\n${WITHOUT}` : ''}`);
  process.exitCode = 1;
}
