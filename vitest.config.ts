// Three projects: unit (parallel), system (daemons in network namespaces, one file after the other; npm test runs two at once of those that judge no times: scripts/test-projects.mjs), fuzz (bounded time).
// Tests import the TypeScript sources: each `exports` entry of packages/* is an alias for the source it is built from.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { listPackages, sourceExports, TEST_PROJECTS } from './scripts/test-projects.mjs';

const root = import.meta.dirname;
const fuzzSecondsPerFile = Number(process.env['I3_FUZZ_SECONDS'] ?? '5');

const alias = [...listPackages(root), ...listPackages(root, 'test')]
  .flatMap(sourceExports)
  .map(([specifier, source]) => ({
    find: new RegExp(`^${specifier.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}$`),
    replacement: `${root}/${source}`,
  }));

export default defineConfig({
  root,
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          include: TEST_PROJECTS.unit,
          exclude: ['**/node_modules/**', ...TEST_PROJECTS.system],
          // Of two processors vitest would leave one idle.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          testTimeout: 20_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'system',
          include: TEST_PROJECTS.system,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'fuzz',
          include: TEST_PROJECTS.fuzz,
          fileParallelism: false,
          testTimeout: (fuzzSecondsPerFile + 60) * 1000,
        },
      },
    ],
  },
});
