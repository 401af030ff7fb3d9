// @ts-check
import path from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, projectOf, sourceExports, systemLanes } from '../test-projects.mjs';

test.each([
  ['packages/hip/test/r1.test.ts', 'unit'],
  ['packages/hip/test/wire/deep/r1.test.ts', 'unit'],
  ['packages/datapath/test/io/tun.netns.test.ts', 'system'],
  ['test/sim/ring.test.ts', 'unit'],
  ['test/system/proxy.test.ts', 'system'],
  ['test/netns/test/nat.test.ts', 'system'],
  ['test/fuzz/wire.fuzz.ts', 'fuzz'],
  ['test/fuzz/wire.test.ts', undefined],
  ['packages/hip/src/r1.test.ts', undefined],
  ['packages/hip/test/r1xtest.ts', undefined],
  ['other/packages/hip/test/r1.test.ts', undefined],
])('%s belongs to %s', (file, project) => {
  expect(projectOf(file)).toBe(project);
});

test('every system file runs once: two lists at once for those that judge no times, and then the others', () => {
  const files = listFiles(path.join(import.meta.dirname, '../..')).filter((file) => projectOf(file) === 'system');
  const { lanes, alone } = systemLanes(files);
  expect([...lanes.flat(), ...alone].sort()).toEqual(files);
  for (const lane of lanes) expect(lane.length).toBeGreaterThan(10);
  expect(alone).toContain('test/system/failure-servers.test.ts');
  expect(lanes.flat()).toContain('test/system/programs-ftp.test.ts');
  expect(lanes.flat()).toContain('test/netns/test/nat-kinds.test.ts');
});

test('an exports map gives the sources that tests import', () => {
  const manifest = {
    name: '@i3/x',
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './testing': './dist/testing/index.js',
      './native-io': { import: './dist/native-io.js' },
      './package.json': './package.json',
    },
  };
  expect(sourceExports({ directory: 'packages/x', manifest })).toEqual([
    ['@i3/x', 'packages/x/src/index.ts'],
    ['@i3/x/testing', 'packages/x/src/testing/index.ts'],
    ['@i3/x/native-io', 'packages/x/src/native-io.ts'],
  ]);
  expect(sourceExports({ directory: 'packages/x', manifest: { name: '@i3/x' } })).toEqual([]);
});
