// @ts-check
/** The command line of an example: --help says how it is used, and what it does not know it names in one line. */
import { basename } from "node:path";
import { parseArgs } from "node:util";

const example = basename(process.argv[1] ?? "");

/**
 * The options that were given, each with a text behind it. With --help it prints them and ends the process; with anything else that is not named here, with status 2.
 *
 * @template {string} Name
 * @param {string} does what the example shows, in one line
 * @param {Record<Name, string>} options what each of them is
 * @returns {Partial<Record<Name, string>>}
 */
export function readArguments(does, options) {
  const names = /** @type {Name[]} */ (Object.keys(options));
  try {
    const texts = Object.fromEntries(names.map((name) => [name, /** @type {const} */ ({ type: "string" })]));
    const { help, ...values } = parseArgs({ options: { ...texts, help: { type: "boolean" } } }).values;
    if (help !== true) return /** @type {Partial<Record<Name, string>>} */ (values);
  } catch (error) {
    console.error(`${example}: ${error instanceof Error ? error.message : error}; --help says more`);
    process.exit(2);
  }
  console.log(`Usage: node ${example}${names.map((name) => ` [--${name} TEXT]`).join("")}\n\n${does}\n`);
  for (const name of names) console.log(`  --${name.padEnd(10)}${options[name]}`);
  process.exit(0);
}

export const SERVERS_OPTION = "servers of a ring, with commas between, as 127.0.0.1:40001,127.0.0.1:40002; without it three are started on this machine";
