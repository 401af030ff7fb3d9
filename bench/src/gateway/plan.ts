/** Which rows of the suite are wanted, and how much of each. */
import { wantedRows } from "../wanted-rows.js";

export const ROWS = ["throughput", "round-trip", "connections", "sni", "crowd"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly runs: number;
  readonly tcpSeconds: number;
  /** Of a run of requests, and of what goes before the first, so that V8 has compiled what it will. */
  readonly loadSeconds: number;
  readonly warmUpSeconds: number;
  readonly pings: number;
}

const FULL = { runs: 5, tcpSeconds: 5, loadSeconds: 6, warmUpSeconds: 10, pings: 500 } as const;
/** Shows that everything works, and little more. */
const QUICK = { runs: 1, tcpSeconds: 2, loadSeconds: 3, warmUpSeconds: 3, pings: 100 } as const;

/** `only`: names of {@link ROWS} with commas between, or undefined for all. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  return { ...(quick ? QUICK : FULL), rows: wantedRows(ROWS, only) };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`gateway: ${text}\n`);
