/** Which rows of the suite are wanted, and how much of each. */
import { wantedRows } from "../wanted-rows.js";

export const ROWS = ["make-before-break", "address", "silent", "both", "mapping", "server", "length"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly runs: number;
  /** Of each of the others: most of theirs end with the watch, always. */
  readonly othersRuns: number;
  /** Of the emulated paths, ms. */
  readonly roundTrips: readonly number[];
  readonly subjects: ReadonlySet<SubjectName>;
  readonly pings: number;
  readonly transferSeconds: number;
}

export const SUBJECTS = ["ours", "wireguard-go", "strongSwan"] as const;
export type SubjectName = (typeof SUBJECTS)[number];

const FULL = { runs: 5, othersRuns: 2, roundTrips: [20, 100], pings: 500, transferSeconds: 10 } as const;
/** Shows that everything works, and little more. */
const QUICK = { runs: 1, othersRuns: 1, roundTrips: [20, 100], pings: 100, transferSeconds: 4 } as const;

/** `only`: names of {@link ROWS} and {@link SUBJECTS} with commas between; undefined, or none of either: all of them. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  const wanted = wantedRows([...ROWS, ...SUBJECTS], only);
  const chosen = <Name extends RowName | SubjectName>(names: readonly Name[]): ReadonlySet<Name> => {
    const named = names.filter((name) => wanted.has(name));
    return new Set(named.length > 0 ? named : names);
  };
  return { ...(quick ? QUICK : FULL), rows: chosen(ROWS), subjects: chosen(SUBJECTS) };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`handover: ${text}\n`);
