/** Whether this machine's clock can be used: trigger counters come from it, and later certificates too. */

/** Ours. */
const MAX_OFFSET_MS = 300_000;

export const CLOCK_REMEDY = "Set it, for example: timedatectl set-ntp true";

/** What is wrong with it, for people; null: nothing. @param offsetMs what the servers' clocks are ahead of ours; null: not known */
export function clockTrouble(offsetMs: number | null): string | null {
  if (offsetMs === null || Math.abs(offsetMs) <= MAX_OFFSET_MS) return null;
  return `this machine's clock is ${Math.round(Math.abs(offsetMs) / 60_000)} minutes ${offsetMs > 0 ? "behind" : "ahead of"} the servers'`;
}
