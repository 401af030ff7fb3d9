/** A crowd of clients of one gateway, for tests and benches. */
export { openCrowdBed, type CrowdBed } from "./crowd-bed.js";
export type { LoadOptions, LoadResult } from "./load.js";
