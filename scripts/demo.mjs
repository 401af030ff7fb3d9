// @ts-check
// npm run demo [-- ARGS]: makes the machine ready and runs test/demo in a sandbox of network namespaces.
import { prepareOrExit, ROOT } from './prepare.mjs';
import { runThrough } from './processes.mjs';

await prepareOrExit('demo');
const demo = ['test/netns/enter.mjs', '--', process.execPath, 'test/demo/dist/main.js'];
process.exitCode = await runThrough(process.execPath, [...demo, ...process.argv.slice(2)], { cwd: ROOT });
