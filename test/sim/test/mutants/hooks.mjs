// @ts-check
// Module hooks: some modules are taken from other sources than their files.

/** By the end of their URL. @type {Record<string, string>} */
let sources = {};

/** @param {Record<string, string>} data */
export function initialize(data) {
  sources = data;
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  const end = Object.keys(sources).find((path) => url.endsWith(path));
  return end === undefined ? nextLoad(url, context) : { format: 'module', shortCircuit: true, source: sources[end] ?? '' };
}
