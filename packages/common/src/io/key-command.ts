/** Commands of the daemons that make keys and sign with them: `i3-server ring …`, `i3-proxy zone …`. */
import { parseArgs } from "node:util";

import { errorLine, I3Error } from "../errors.js";
import { argumentProblem, joinNegativeValues } from "./argument-problem.js";

const MAX_DAYS = 36_500;

export interface KeyCommandLine {
  readonly positionals: readonly string[];
  /** Of `--days`, 1 to 36,500. */
  readonly days: number | undefined;
}

/** For what such a command does not understand. */
export const commandUsage = (daemon: string, message: string): I3Error => new I3Error("ERR_I3_USAGE", message, { remedy: `See: ${daemon} --help` });

/** Throws I3Error ERR_I3_USAGE. */
export function readKeyCommand(daemon: string, args: readonly string[]): KeyCommandLine {
  let found: { readonly values: { readonly days?: string | undefined }; readonly positionals: readonly string[] };
  try {
    found = parseArgs({ args: joinNegativeValues(args), options: { days: { type: "string" } }, allowPositionals: true, strict: true });
  } catch (error) {
    throw commandUsage(daemon, argumentProblem(error));
  }
  const { values: { days: text }, positionals } = found;
  if (text === undefined) return { positionals, days: undefined };
  const days = Number(text);
  if (!/^[0-9]+$/.test(text) || days < 1 || days > MAX_DAYS) throw commandUsage(daemon, `--days ${text} is no number from 1 to ${MAX_DAYS}`);
  return { positionals, days };
}

/** Prints what `run` returns; ends the process when it fails. */
export function runKeyCommand(daemon: string, help: string, run: () => string): void {
  try {
    process.stdout.write(process.argv.includes("--help") ? help : run());
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
    process.stderr.write(`${daemon}: ${errorLine(error)}\n`);
    process.exit(error.code === "ERR_I3_USAGE" ? 2 : 1);
  }
}
