/** Whether this machine's clock can be used: trigger counters come from it, and later certificates too. The servers' clocks tell, by majority. */
import { locatorText } from "@i3/common";
import type { ServerClock } from "@i3/i3-client";

/** Ours. */
const MAX_OFFSET_MS = 300_000;
/** Servers that a message names. */
const MAX_NAMED = 4;

const SET = "for example: timedatectl set-ntp true";

export interface ClockTrouble {
  /** Most servers that have answered are as much ahead of this machine's clock, or behind: it is wrong. Otherwise some server's is. */
  readonly isOwn: boolean;
  /** For people. */
  readonly why: string;
  readonly remedy: string;
  /** Whose clocks differ. */
  readonly servers: readonly string[];
}

interface Wrong {
  readonly server: string;
  readonly aheadMs: number;
}

/** Whether servers have still to answer: with them the majority may be another. */
export const isUndecided = (clocks: readonly ServerClock[]): boolean => clocks.some(({ aheadMs }) => aheadMs === null);

/** What is wrong with clocks; null: nothing. */
export function clockTrouble(clocks: readonly ServerClock[]): ClockTrouble | null {
  const known = clocks.flatMap(({ server, aheadMs }) => (aheadMs === null ? [] : [{ server: locatorText(server), aheadMs }]));
  const wrong = known.filter(({ aheadMs }) => Math.abs(aheadMs) > MAX_OFFSET_MS);
  if (wrong.length === 0) return null;
  for (const isAhead of [true, false]) {
    const agreed = wrong.filter(({ aheadMs }) => aheadMs > 0 === isAhead);
    if (agreed.length * 2 <= known.length) continue;
    const servers = agreed.map(({ server }) => server);
    const among = known.length === 1 ? "the only server that has answered" : `${agreed.length} of ${known.length} servers`;
    const remedy = known.length === 1 ? `Set it, ${SET}. If it is right, that server's clock is to be set.` : `Set it, ${SET}`;
    return { isOwn: true, why: `this machine's clock is ${minutes(nearest(agreed))} ${isAhead ? "behind" : "ahead of"} the servers' (${among}: ${named(servers)})`, remedy, servers };
  }
  const why = `servers' clocks differ from this machine's: ${named(wrong.map(({ server, aheadMs }) => `${server} is ${minutes(aheadMs)} ${aheadMs > 0 ? "ahead" : "behind"}`))}`;
  return { isOwn: false, why, remedy: `They are not most of the ${known.length} that have answered, so nothing is to be done here. Whoever runs them sets their clocks, ${SET}`, servers: wrong.map(({ server }) => server) };
}

const minutes = (offsetMs: number): string => `${Math.round(Math.abs(offsetMs) / 60_000)} minutes`;

/** At least so much it is off. */
const nearest = (wrong: readonly Wrong[]): number => Math.min(...wrong.map(({ aheadMs }) => Math.abs(aheadMs)));

const named = (texts: readonly string[]): string => `${texts.slice(0, MAX_NAMED).join(", ")}${texts.length > MAX_NAMED ? ` and ${texts.length - MAX_NAMED} more` : ""}`;
