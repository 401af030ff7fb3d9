/** Which rows of the suite are wanted, and how much of each. */
import { wantedRows } from "../wanted-rows.js";

export const ROWS = ["responder", "first-answer", "flood", "bytes"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly runs: number;
  /** Hosts that call our responder in a round of a run: two rounds, and a quarter of one, must be over within the 10 s that their I2s are good for. */
  readonly initiators: number;
  /** Exchanges in each of five parts of the warm-up of our responder, 30 a second. */
  readonly warmUpCalls: number;
  /** Fresh starts of both laptops. */
  readonly firstAnswers: number;
  readonly floodSeconds: number;
  /** HIP hosts that call during it, one after the other. */
  readonly straightNewcomers: number;
  /** Nothing is concluded from figures. */
  readonly isQuick: boolean;
}

/** The rounds of exchanges at full speed before those that count: of the same hosts, so that all but the first are of known ones. */
export const WARM_ROUNDS = ["warm 1", "warm 2", "warm 3", "warm 4", "warm 5"] as const;

const FULL = { runs: 5, initiators: 600, warmUpCalls: 30, firstAnswers: 7, floodSeconds: 60, straightNewcomers: 9, isQuick: false } as const;
/** Shows that everything works, and little more. */
const QUICK = { runs: 1, initiators: 300, warmUpCalls: 30, firstAnswers: 1, floodSeconds: 6, straightNewcomers: 3, isQuick: true } as const;

/** `only`: names of {@link ROWS} with commas between, or undefined for all. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  return { ...(quick ? QUICK : FULL), rows: wantedRows(ROWS, only) };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`handshake: ${text}\n`);
