/** Text for terminals. */

/** What would move a cursor is shown, not done: names come from files and from others. */
const shown = (cell: string): string => cell.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "?");

/** Columns with two blanks between; those that are empty in all rows are left out. */
export function tableText(rows: readonly (readonly string[])[]): readonly string[] {
  const cells = rows.map((row) => row.map(shown));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells.map((row) => row.flatMap((cell, column) => (widths[column] === 0 ? [] : [cell.padEnd(widths[column] ?? 0)])).join("  ").trimEnd());
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Decimal units: 999 B, 1.2 kB, 33 MB. */
export function sizeText(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1_000 ** unit;
  return `${unit === 0 || value >= 10 ? Math.floor(value) : Math.floor(value * 10) / 10} ${UNITS[unit] ?? ""}`;
}

/** 5 s, 3 min, 2 h, 4 d. */
export function durationText(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}
