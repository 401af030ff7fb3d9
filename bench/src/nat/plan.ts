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

/** `quick`: kinds that show most, where `only` names none. `only`: names of {@link ROWS} and {@link KINDS} with commas between; undefined, or none of either: all of them. Throws RangeError for another name. */
export function makePlan({ quick, only }: { readonly quick: boolean; readonly only: string | undefined }): Plan {
  const quickNames = QUICK.map((pair) => kindName(pair === null ? null : { mapping: pair[0], filtering: pair[1] }));
  const wanted = wantedRows<string>([...ROWS, ...KINDS.map(kindName)], only);
  const rows = ROWS.filter((row) => wanted.has(row));
  const named = only === undefined ? [] : KINDS.filter((kind) => wanted.has(kindName(kind)));
  const kinds = named.length > 0 ? named : KINDS.filter((kind) => !quick || quickNames.includes(kindName(kind)));
  return { rows: new Set(rows.length > 0 ? rows : ROWS), kinds };
}

/** What is going on, for people who wait. */
export const say = (text: string): void => void process.stderr.write(`nat: ${text}\n`);
