// @ts-check
// npm run sim [-- ARGS]: makes the machine ready and runs test/sim, rings of real cores in virtual time.
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runThrough } from './processes.mjs';

await prepareOrExit('sim');
process.exitCode = await runThrough(process.execPath, ['test/sim/dist/main.js', ...process.argv.slice(2)], { cwd: ROOT });
