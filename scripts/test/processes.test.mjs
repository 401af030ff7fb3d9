// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runKept, runStage } from '../processes.mjs';

const MODULE = path.resolve(import.meta.dirname, '../processes.mjs');

/** A node that first starts a grandchild, says its process id, and then waits; ends by itself after a while in any case. */
const FAMILY = `
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { stdio: 'ignore' });
  console.log(child.pid);
  setTimeout(() => {}, 60000);
`;

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a kept run yields both outputs and the exit status', async () => {
  const script = `console.log('out'); console.error('err'); process.exitCode = 7;`;
  const { status, output } = await runKept(process.execPath, ['-e', script]);
  expect(status).toBe(7);
  expect(output.split('\n').sort()).toEqual(['', 'err', 'out']);
});

test('a program killed by a signal has the status that a shell reports', async () => {
  expect((await runKept(process.execPath, ['-e', `process.kill(process.pid, 'SIGKILL')`])).status).toBe(137);
});

test('a program that is not there rejects', async () => {
  await expect(runKept('/nonexistent/program', [])).rejects.toThrow('ENOENT');
});

test('a stage over its limit is ended', async () => {
  const result = await runStage(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { limitMs: 200 });
  expect(result).toEqual({ status: 143, timedOut: true, interrupted: false, stuck: false });
});

test('a signal ends a stage with everything it started', async () => {
  const script = `
    const { runStage } = await import(process.argv[1]);
    const result = await runStage(process.execPath, ['-e', process.argv[2]], { limitMs: 60000 });
    console.log(JSON.stringify(result));
  `;
  const runner = spawn(process.execPath, ['--input-type=module', '-e', script, MODULE, FAMILY], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  runner.stdout.on('data', (chunk) => (output += String(chunk)));
  await once(runner.stdout, 'data');
  const grandchild = Number(output);
  expect(isAlive(grandchild)).toBe(true);
  runner.kill('SIGTERM');
  await once(runner, 'close');
  expect(output).toContain('"interrupted":true');
  await expect.poll(() => isAlive(grandchild), { timeout: 5000 }).toBe(false);
});
