// @ts-check
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readBenchOptions } from '../bench-options.mjs';
import { runKept } from '../processes.mjs';

const BENCH = path.resolve(import.meta.dirname, '../bench.mjs');
const folder = mkdtempSync(path.join(tmpdir(), 'i3-bench-'));
const ALL = ['--quick', '--only'];

beforeAll(() => writeFileSync(path.join(folder, 'there.json'), 'of before'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('options of a bench suite', () => {
  test.each([
    [[], []],
    [['--quick', '--only', 'a,b'], ['--quick', '--only=a,b']],
    [['--json', 'x.json'], [`--json=${folder}/x.json`]],
    [['--json=there.json', '--only=a'], [`--json=${folder}/there.json`, '--only=a']],
  ])('%j', (args, wanted) => {
    expect(readBenchOptions('tunnel', ALL, args, folder)).toEqual(wanted);
    // Nothing is made or changed before there is a result.
    expect(existsSync(path.join(folder, 'x.json'))).toBe(false);
  });

  test.each(/** @type {[string[], string[], RegExp][]} */ ([
    [['--quik'], ALL, /^--quik is no option of tunnel$/],
    [['ping'], ALL, /^ping is no option of tunnel$/],
    [['--only', 'x'], [], /^--only is no option of tunnel$/],
    [['--quick'], [], /^--quick is no option of tunnel$/],
    [['--json'], ALL, /^--json needs a value$/],
    [['--json='], ALL, /^--json needs a value$/],
    [['--only', '--quick'], ALL, /^--only needs a value$/],
    [['--quick=1'], ALL, /^--quick takes no value$/],
    [['--quick', '--quick'], ALL, /^--quick is there twice$/],
    [['--json', 'a', '--json=b'], ALL, /^--json is there twice$/],
    [['--json', '.'], ALL, /^--json .* is a folder$/],
    [['--json', 'nowhere/x.json'], ALL, /^--json .*nowhere.x.json cannot be written \(ENOENT\)$/],
    [['--json', 'there.json/x.json'], ALL, /^--json .* cannot be written \(ENOTDIR\)$/],
  ]))('%j of a suite with %j are refused', (args, own, wrong) => {
    expect(() => readBenchOptions('tunnel', own, args, folder)).toThrow(wrong);
  });
});

describe('npm run bench', () => {
  test('says all there is, and prepares nothing', async () => {
    for (const args of [['--help'], ['tunnel', '--quick', '-h']]) {
      const { status, output } = await runKept(process.execPath, [BENCH, ...args]);
      expect(status).toBe(0);
      expect(output).toMatch(/^Usage: npm run bench [^]*Exit status: 0 /);
      expect(output).not.toContain('prepare:');
      for (const suite of ['micro', 'handover', 'handshake', 'nat', 'server', 'tunnel']) expect(output).toMatch(new RegExp(`^  ${suite} `, 'm'));
    }
  });

  test.each([
    [['tunnel', '--quik'], /^bench: --quik is no option of tunnel\. See: npm run bench -- --help\n$/],
    [['micro', '--quick'], /^bench: --quick is no option of micro\. See/],
    [['handover', '--json', '/nowhere/x.json'], /^bench: --json \/nowhere\/x\.json cannot be written \(ENOENT\)\. See/],
    [['tunel'], /^bench: there is no suite "tunel", but micro, .*\. See: npm run bench -- --help\n$/],
  ])('%j ends with status 2 before anything is prepared', async (args, wrong) => {
    expect(await runKept(process.execPath, [BENCH, ...args])).toEqual({ status: 2, output: expect.stringMatching(wrong) });
  });
});
