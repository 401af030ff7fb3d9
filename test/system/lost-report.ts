/** What is said of datagrams that were lost, short enough to be read at the end of a long log: when, on which way, and what the daemons did then. */
import type { Host } from "@i3/netns";

/** What the probe streams.mjs says of a datagram that was not answered: its number, and when it was sent, ms since 1970. */
export type Lost = readonly [number: number, sentMs: number];

export interface Gap {
  readonly way: "there" | "back";
  readonly count: number;
  /** When the first and the last of them were sent, ms since 1970. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** Fewer that came in between do not end a gap. */
const NEAR_NUMBERS = 10;
const BEFORE_MS = 6_000;
const BEHIND_MS = 2_000;
const COLUMNS = 150;
const LINES = 200;
/** Said at `debug` too. */
const ALWAYS: ReadonlySet<unknown> = new Set(["trigger-live", "trigger-lost"]);

/** `lost`: by number. `missing`: those that did not even arrive there. */
export function gapsOf(lost: readonly Lost[], missing: ReadonlySet<number>): readonly Gap[] {
  return (["there", "back"] as const).flatMap((way) => {
    const gaps: (Gap & { readonly last: number })[] = [];
    for (const [number, ms] of lost.filter(([of]) => missing.has(of) === (way === "there"))) {
      const before = gaps.at(-1);
      if (before !== undefined && number - before.last <= NEAR_NUMBERS) gaps[gaps.length - 1] = { ...before, count: before.count + 1, lastMs: ms, last: number };
      else gaps.push({ way, count: 1, firstMs: ms, lastMs: ms, last: number });
    }
    return gaps.map(({ last: _, ...gap }) => gap);
  }).sort((a, b) => a.firstMs - b.firstMs);
}

interface Said {
  readonly ms: number;
  readonly text: string;
}

/** Undefined: not for people. `line`: of a daemon, in JSON. */
function saidIn(host: string, line: string): Said | undefined {
  if (!line.startsWith('{"time"')) return undefined;
  const { time, level, event, remedy: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
  if (level === "debug" && !ALWAYS.has(event)) return undefined;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return { ms: Date.parse(String(time)), text: `${host} ${level === "info" || level === "debug" ? "" : `${String(level)} `}${String(event)}${pairs.join("")}` };
}

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 23);

/** The gaps, and, in order of time, what the daemons of these hosts said from 6 s before until 2 s behind each. */
export function lostReport(gaps: readonly Gap[], hosts: readonly Pick<Host, "name" | "children">[]): string {
  const isNear = ({ ms }: Said): boolean => gaps.some(({ firstMs, lastMs }) => ms >= firstMs - BEFORE_MS && ms <= lastMs + BEHIND_MS);
  const said = hosts.flatMap(({ name, children }) => children.flatMap(({ lines }) => lines.flatMap(({ text }) => saidIn(name, text) ?? []))).filter(isNear);
  const marks = gaps.flatMap(({ way, count, firstMs, lastMs }) => [
    { ms: firstMs, text: `--- the first of ${count} lost on the way ${way}` },
    { ms: lastMs, text: `--- the last of ${count} lost on the way ${way}, ${lastMs - firstMs} ms after the first` },
  ]);
  const all = [...said, ...marks].sort((a, b) => a.ms - b.ms).map(({ ms, text }) => `${clock(ms)} ${text}`.slice(0, COLUMNS));
  const [shown, left] = [all.slice(0, LINES), all.length - LINES];
  const head = gaps.map(({ way, count, firstMs, lastMs }) => `lost on the way ${way}: ${count}, from ${clock(firstMs)} to ${clock(lastMs)} (${lastMs - firstMs} ms)`);
  return [...head, ...shown, ...(left > 0 ? [`and ${left} lines more`] : [])].map((line) => `      ${line}\n`).join("");
}
