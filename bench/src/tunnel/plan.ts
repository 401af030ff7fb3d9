/** How often and how long is measured, which rows are wanted, and in what order runs go. */
import { wantedRows } from "../wanted-rows.js";

export const ROWS = ["encrypted-direct", "encrypted-relay", "plain-direct", "auth-direct", "udp", "cpu", "forwarding", "ping", "pauses", "associations", "memory"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly runs: number;
  readonly tcpSeconds: number;
  readonly udpSeconds: number;
  readonly probeSeconds: number;
  readonly forwardingSeconds: number;
  readonly pings: number;
  /** For the 99.9th percentile. */
  readonly manyPings: number;
}

const FULL = { runs: 5, tcpSeconds: 5, udpSeconds: 5, probeSeconds: 2, forwardingSeconds: 3, pings: 500, manyPings: 5_000 } as const;
/** Shows that everything works, and little more. */
const QUICK = { runs: 1, tcpSeconds: 2, udpSeconds: 2, probeSeconds: 1, forwardingSeconds: 1, pings: 100, manyPings: 1_000 } as const;

/** `only`: names of {@link ROWS} with commas between, or undefined for all. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  return { ...(quick ? QUICK : FULL), rows: wantedRows(ROWS, only) };
}

/**
 * Measures all subjects once, then all again, so that what drifts on the machine meets every one of them alike.
 * Yields the runs of each.
 */
export async function inTurns<S, T>(runs: number, subjects: readonly S[], measure: (subject: S, run: number) => Promise<T>): Promise<Map<S, T[]>> {
  const results = new Map<S, T[]>(subjects.map((subject) => [subject, []]));
  for (let run = 0; run < runs; run += 1) for (const subject of subjects) results.get(subject)?.push(await measure(subject, run));
  return results;
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`tunnel: ${text}\n`);
