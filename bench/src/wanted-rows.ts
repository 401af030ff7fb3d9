/** Which rows of a suite `--only` names. */

/** `only`: names of `rows` with commas between, or undefined for all. Throws RangeError for another name. */
export function wantedRows<Row extends string>(rows: readonly Row[], only: string | undefined): ReadonlySet<Row> {
  const wanted: readonly string[] = only?.split(",") ?? rows;
  const unknown = wanted.find((name) => !rows.some((row) => row === name));
  if (unknown !== undefined) throw new RangeError(`no row "${unknown}"; there are: ${rows.join(", ")}`);
  return new Set(rows.filter((row) => wanted.includes(row)));
}
