/** The HIP base exchange and associations, without I/O. */
export * from "./paths.js";
export { canBeOneHosts } from "./one-host.js";
export * from "./events.js";
export * from "./counters.js";
export * from "./difficulty.js";
export { answerI1, puzzleRandom, R1Pool, DEFAULT_DH_GROUPS, DEFAULT_ESP_SUITES, type PuzzleSecret, type R1Template } from "./r1-pool.js";
export { CROSSED_I2_MS, EPOCH_MS, I3_I1_BYTES, MAX_ASSOCIATIONS, MAX_ATTEMPTS, MAX_ENGINE_R1_BYTES, REKEY_AFTER_MS, RETIRE_MS } from "./limits.js";
export type { PeerLocator, PeerLocatorKind } from "./candidates.js";
export type { Call } from "./attempt.js";
export * from "./hip-host.js";
export { rehearsal, type RehearsalEnvironment } from "./rehearsal.js";
