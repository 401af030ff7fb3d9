/** How much of the suite is measured. */
import { wantedRows } from "../wanted-rows.js";
import { KINDS, kindName, type By, type Kind } from "./kinds.js";

export const ROWS = ["one-level", "two-levels", "two-families"] as const;
export type RowName = (typeof ROWS)[number];

export interface Plan {
  readonly rows: ReadonlySet<RowName>;
  readonly kinds: readonly Kind[];
}

/** Those that show most: open, endpoint-independent with each filtering, and symmetric. */
const QUICK: readonly (readonly [By, By] | null)[] = [null, ["ei", "ei"], ["ei", "ad"], ["ei", "apd"], ["apd", "apd"]];

/** `only`: names of {@link ROWS} with commas between, or undefined for all. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  const quickNames = QUICK.map((pair) => kindName(pair === null ? null : { mapping: pair[0], filtering: pair[1] }));
  return { rows: wantedRows(ROWS, only), kinds: quick ? KINDS.filter((kind) => quickNames.includes(kindName(kind))) : KINDS };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`nat: ${text}\n`);
