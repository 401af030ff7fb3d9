/** Errors of the packet engine. */
import { I3Error, type I3ErrorOptions } from "@i3/common";

/** Stable codes: `ERR_I3_TABLE_FULL`: the table keeps what it has, the new entry is not in it. */
export type DatapathErrorCode = "ERR_I3_TABLE_FULL";

/** What the control plane asked for and the engine could not do. Arguments of a wrong shape are RangeErrors instead. */
export class DatapathError extends I3Error {
  override readonly name = "DatapathError";

  constructor(code: DatapathErrorCode, message: string, options: I3ErrorOptions = {}) {
    super(code, message, options);
  }
}

/** The error of every full table. */
export const tableFull = (table: string, limit: number): DatapathError =>
  new DatapathError("ERR_I3_TABLE_FULL", `the ${table} table is full (${limit} entries)`, {
    remedy: "Remove entries that are no longer used, or spread the load over more nodes.",
  });
