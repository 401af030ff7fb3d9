// @ts-check
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runWatched } from '../vitest-stage.mjs';
import { describeProcesses, processTicks, Watchdog } from '../watchdog.mjs';

const directory = mkdtempSync(path.join(tmpdir(), 'i3-watchdog-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const EVERY_MS = 50;

/** @param {string} script @param {number} [quietMs] */
async function watched(script, quietMs = 1000) {
  const progressFile = path.join(directory, 'progress');
  writeFileSync(progressFile, 'a.test.ts > hangs\n');
  const options = { env: { ...process.env, PROGRESS: progressFile }, limitMs: 20_000, progressFile, everyMs: EVERY_MS, quietMs };
  return runWatched(process.execPath, ['-e', script], options);
}

test('a child on a futex that prints nothing is ended, and its last test named', async () => {
  // As in node's deadlock, its thread waits for ever; the stage's own limit is far away.
  const result = await watched('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)');
  expect(result).toMatchObject({ stuck: true, timedOut: false, interrupted: false, lastTest: 'a.test.ts > hangs' });
  expect(result.status).toBeGreaterThan(128);
}, 30_000);

test('a child whose own children work is left alone', async () => {
  const busy = 'const end = Date.now() + 2500; while (Date.now() < end);';
  const script = `require('node:child_process').spawn(process.execPath, ['-e', '${busy}'], { stdio: 'ignore' })`;
  expect(await watched(script)).toMatchObject({ stuck: false, status: 0 });
}, 30_000);

test('a child that makes progress without using the processor is left alone', async () => {
  const script = `
    const { writeFileSync } = require('node:fs');
    let n = 0;
    const timer = setInterval(() => { writeFileSync(process.env.PROGRESS, 'test ' + n++); if (n === 12) clearInterval(timer); }, 250);
  `;
  expect(await watched(script)).toMatchObject({ stuck: false, status: 0 });
}, 30_000);

test('timers alone are no movement, work in any process is', () => {
  const dog = new Watchdog({ limit: 2, everyMs: 10_000 });
  // 1 % of 10 s are 10 ticks.
  expect([[7, 0], [7, 10], [7, 20]].map(([pid = 0, ticks = 0]) => dog.look('same', new Map([[pid, ticks]])))).toEqual([false, false, true]);
  expect([dog.look('same', new Map([[7, 31]])), dog.look('same', new Map([[7, 31]])), dog.look('other', new Map([[7, 31]]))]).toEqual([false, false, false]);
  // A process that was not there before counts with all that it used.
  expect([dog.look('other', new Map()), dog.look('other', new Map([[8, 11]])), dog.look('other', new Map([[8, 11]]))]).toEqual([false, false, false]);
  expect(dog.look('other', new Map([[8, 11]]))).toBe(true);
});

test('processor time is that of a process and all below it', () => {
  const own = processTicks(process.pid);
  expect(own.get(process.pid)).toBeGreaterThan(0);
  expect(processTicks(process.ppid).get(process.pid)).toBeGreaterThanOrEqual(own.get(process.pid) ?? 0);
  expect([...processTicks(2 ** 30).keys()]).toEqual([]);
});

test('processes are described by what their threads wait for', () => {
  const [own = ''] = describeProcesses(process.pid).split('\n');
  expect(own).toMatch(new RegExp(`^  ${process.pid} \\S.*: .*\\S \\S`));
  expect(describeProcesses(2 ** 30)).toBe('');
});
