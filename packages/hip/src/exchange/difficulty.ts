/** How hard the puzzle is, by load (RFC 7401 §4.1.2, §7: 0 unless under high load). */

/** What a host answers without noticing. */
const CALM_I1_PER_SECOND = 1_000;
const CALM_I2_PER_SECOND = 50;
/** About 1,000 hashes: what an I2 costs the responder, so that both pay alike. */
const FIRST_DIFFICULTY = 10;
/** A million hashes: a second of an honest initiator. */
const MAX_DIFFICULTY = 20;

/** K: 0 while calm, then 10, and one more each time that the load doubles, up to 20. The worse of the two rates counts. */
export function difficultyFor(i1PerSecond: number, i2PerSecond: number): number {
  const load = Math.max(i1PerSecond / CALM_I1_PER_SECOND, i2PerSecond / CALM_I2_PER_SECOND);
  if (!(load > 1)) return 0;
  return Math.min(MAX_DIFFICULTY, FIRST_DIFFICULTY + Math.floor(Math.log2(load)));
}
