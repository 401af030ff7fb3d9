// @ts-check
// The rules of this repository, by name.
import { deadFiles, fileLength, fileNames, unfinished } from './files.mjs';
import { importDirection } from './import-direction.mjs';
import { logEvents } from './log-events.mjs';
import { dependencies, manifests } from './manifests.mjs';
import { pureCore } from './pure-core.mjs';

/** @type {Record<string, (tree: import('./tree.mjs').Tree) => import('./tree.mjs').Problem[]>} */
export const RULES = {
  'import-direction': importDirection,
  'pure-core': pureCore,
  'file-length': fileLength,
  'file-name': fileNames,
  'dead-file': deadFiles,
  unfinished,
  manifest: manifests,
  dependency: dependencies,
  'log-event': logEvents,
};
