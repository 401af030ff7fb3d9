/** How hard the puzzle is, by load and by room for strangers (RFC 7401 §4.1.2, §7: 0 unless under high load). */

/** What a host answers without noticing. */
const CALM_I1_PER_SECOND = 1_000;
const CALM_I2_PER_SECOND = 50;
/** About 1,000 hashes: what an I2 costs the responder, so that both pay alike. */
const FIRST_DIFFICULTY = 10;
/** A million hashes: a second of an honest initiator. */
const MAX_DIFFICULTY = 20;

/** Few I2s a second fill a table in time, if nothing but patience is asked for. */
const BY_FULLNESS: readonly (readonly [fullness: number, difficulty: number])[] = [[0.9, MAX_DIFFICULTY], [0.75, 18], [0.5, 16]];

/**
 * K: 0 while calm, then 10, and one more each time that the load doubles, up to 20. The worse of the two rates counts; from half of the places for strangers on they count too.
 * @param fullness 0 to 1
 */
export function difficultyFor(i1PerSecond: number, i2PerSecond: number, fullness = 0): number {
  const least = BY_FULLNESS.find(([from]) => fullness >= from)?.[1] ?? 0;
  return Math.max(least, byRate(i1PerSecond, i2PerSecond));
}

function byRate(i1PerSecond: number, i2PerSecond: number): number {
  const load = Math.max(i1PerSecond / CALM_I1_PER_SECOND, i2PerSecond / CALM_I2_PER_SECOND);
  if (!(load > 1)) return 0;
  return Math.min(MAX_DIFFICULTY, FIRST_DIFFICULTY + Math.floor(Math.log2(load)));
}
