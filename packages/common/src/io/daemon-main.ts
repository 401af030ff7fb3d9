/**
 * What the main.ts of every daemon does alike: --config, --check, --help, --version, one line for every
 * error that a person must mend, signals, exit statuses.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { MAX_CONFIG_BYTES } from "../config/common-elements.js";
import { errorLine, I3Error } from "../errors.js";
import { argumentProblem, joinNegativeValues } from "./argument-problem.js";
import { readBoundedFile } from "./bounded-file.js";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** A daemon that runs. */
export interface RunningDaemon {
  /** For the READY line: `key=value …`. */
  readonly ready: string;
  /** Resolves when it has ended after {@link stop}. */
  readonly ended: Promise<void>;
  stop(): void;
  logCounters(): void;
}

export interface DaemonDescription<Config> {
  /** `i3-server`. */
  readonly name: string;
  readonly help: string;
  /** URL of the package's package.json. */
  readonly manifest: URL;
  readonly parse: (bytes: Uint8Array, file: string) => Config;
  /** Checks what the configuration names and changes nothing. What may be a mistake is returned, a line each. Throws I3Error. */
  readonly check: (config: Config) => readonly string[] | Promise<readonly string[]>;
  /** What the first start will do, for who checks: a line each. @default nothing */
  readonly notes?: (config: Config) => readonly string[];
  /** `file`: where the configuration came from. `signal`: it shall end, so the start waits for nobody any more; it resolves or rejects soon. */
  readonly start: (config: Config, onFailure: (error: I3Error) => void, file: string, signal: AbortSignal) => Promise<RunningDaemon>;
  /** Other things to do with a configuration, by option name; the result is printed. */
  readonly actions?: Readonly<Record<string, (config: Config) => string | Promise<string>>>;
  /** Options with a value that change the configuration. Throws I3Error. */
  readonly overrides?: Readonly<Record<string, (config: Config, value: string) => Config>>;
}

/** Runs a daemon; ends the process. */
export async function runDaemon<Config>(daemon: DaemonDescription<Config>): Promise<void> {
  try {
    await run(daemon);
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
    fail(daemon.name, error, error.code === "ERR_I3_CONFIG" || error.code === "ERR_I3_USAGE" ? EXIT_USAGE : EXIT_FAILED);
  }
}

function fail(name: string, error: unknown, status: number): never {
  process.stderr.write(`${name}: ${errorLine(error)}\n`);
  process.exit(status);
}

async function run<Config>(daemon: DaemonDescription<Config>): Promise<void> {
  const values = readArguments(daemon);
  if (values["help"] === true) return print(daemon.help);
  if (values["version"] === true) return print(`${daemon.name} ${versionOf(daemon.manifest)}\n`);
  const file = values["config"];
  if (typeof file !== "string") throw usageError(daemon.name, "no --config FILE");
  const { bytes } = await readBoundedFile(file, MAX_CONFIG_BYTES, `Write it after deploy/examples/${daemon.name}.xml, which explains every setting.`);
  const config = override(daemon, daemon.parse(bytes, file), values);
  if (values["check"] === true) {
    for (const warning of await daemon.check(config)) process.stderr.write(`${daemon.name}: warning: ${warning}\n`);
    for (const note of daemon.notes?.(config) ?? []) process.stderr.write(`${daemon.name}: note: ${note}\n`);
    return print(`${file}: ok\n`);
  }
  for (const [option, action] of Object.entries(daemon.actions ?? {})) if (values[option] === true) return print(await action(config));
  const state: { running: RunningDaemon | null } = { running: null };
  const ending = new AbortController();
  // A signal during the start ends it in order, as soon as it is through: what was set up is undone.
  const end = (): void => {
    ending.abort();
    state.running?.stop();
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  // The terminal is closed.
  process.on("SIGHUP", end);
  process.on("SIGUSR1", () => state.running?.logCounters());
  const running = await daemon.start(config, (error) => fail(daemon.name, error, EXIT_FAILED), file, ending.signal);
  state.running = running;
  if (ending.signal.aborted) running.stop();
  else print(`READY ${daemon.name} ${running.ready}\n`);
  await running.ended;
  process.exit(0);
}

const print = (text: string): void => void process.stdout.write(text);

const usageError = (name: string, message: string): I3Error => new I3Error("ERR_I3_USAGE", message, { remedy: `See: ${name} --help` });

function readArguments<Config>(daemon: DaemonDescription<Config>): Readonly<Record<string, string | boolean | undefined>> {
  const flags = ["check", "help", "version", ...Object.keys(daemon.actions ?? {})].map((flag) => [flag, { type: "boolean" as const }]);
  const settings = ["config", ...Object.keys(daemon.overrides ?? {})].map((setting) => [setting, { type: "string" as const }]);
  try {
    const options = Object.fromEntries([...flags, ...settings]) as Record<string, { type: "boolean" | "string" }>;
    return parseArgs({ args: joinNegativeValues(process.argv.slice(2)), options, strict: true }).values;
  } catch (error) {
    throw usageError(daemon.name, argumentProblem(error));
  }
}

function override<Config>(daemon: DaemonDescription<Config>, config: Config, values: Readonly<Record<string, unknown>>): Config {
  let result = config;
  for (const [option, change] of Object.entries(daemon.overrides ?? {})) {
    const value = values[option];
    if (typeof value === "string") result = change(result, value);
  }
  return result;
}

/** What package.json says. @param manifest its URL */
export const versionOf = (manifest: URL): string => (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
