/** Which rows of the suite are wanted, and how much of each. */
import { wantedRows } from "../wanted-rows.js";

export const ROWS = ["inserts", "refreshes", "fan-out", "memory"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly runs: number;
  /** Of what is measured, in one run. */
  readonly seconds: number;
  /** Before the first run of inserts: V8 compiles what runs often. */
  readonly warmUpSeconds: number;
  /** Triggers of the row about memory. */
  readonly triggers: number;
}

const FULL = { runs: 5, seconds: 4, warmUpSeconds: 5, triggers: 1_000_000 } as const;
/** Shows that everything works, and little more. */
const QUICK = { runs: 1, seconds: 1, warmUpSeconds: 1, triggers: 50_000 } as const;

/** `only`: names of {@link ROWS} with commas between, or undefined for all. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  return { ...(quick ? QUICK : FULL), rows: wantedRows(ROWS, only) };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`server: ${text}\n`);
