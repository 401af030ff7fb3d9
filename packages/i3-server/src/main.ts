#!/usr/bin/env node
/** The server daemon: reads the configuration, starts the server, handles signals. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { errorLine, I3Error, MAX_CONFIG_BYTES, parseServerConfig, readBoundedFile, type ServerConfig } from "@i3/common";

import { checkFiles, startServer } from "./io/daemon.js";

const HELP = `Usage: i3-server --config FILE.xml [--port N] [--check]

  --config FILE   the configuration; deploy/examples/i3-server.xml explains every setting
  --port N        listen on this UDP port instead of the configured one; 0 takes any free one
  --check         check the configuration and the files it names, change nothing, and exit
  --help          this text
  --version       the version

Prints "READY i3-server port=… locator=… node=… io=…" to stdout when it serves; logs to stderr.
SIGTERM leaves the ring and ends; SIGUSR1 logs the counters.
Exit status: 0 after SIGTERM, 1 when the server cannot run, 2 for wrong arguments or a bad configuration.
`;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function fail(error: unknown, status: number): never {
  process.stderr.write(`i3-server: ${errorLine(error)}\n`);
  process.exit(status);
}

const usageError = (message: string): I3Error => new I3Error("ERR_I3_USAGE", message, { remedy: "See: i3-server --help" });

function readArguments(): { readonly config: string | undefined; readonly port: number | undefined; readonly check: boolean; readonly help: boolean; readonly version: boolean } {
  const options = { config: { type: "string" }, port: { type: "string" }, check: { type: "boolean" }, help: { type: "boolean" }, version: { type: "boolean" } } as const;
  try {
    const { values } = parseArgs({ options, strict: true });
    const port = values.port === undefined ? undefined : Number(values.port);
    if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) throw new Error(`--port ${values.port} is no port`);
    return { config: values.config, port, check: values.check === true, help: values.help === true, version: values.version === true };
  } catch (error) {
    return fail(usageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)), EXIT_USAGE);
  }
}

async function readConfig(file: string | undefined, port: number | undefined): Promise<ServerConfig> {
  if (file === undefined) return fail(usageError("no --config FILE"), EXIT_USAGE);
  try {
    const config = parseServerConfig((await readBoundedFile(file, MAX_CONFIG_BYTES)).bytes, file);
    return port === undefined ? config : { ...config, listen: { ...config.listen, port } };
  } catch (error) {
    return fail(error, EXIT_USAGE);
  }
}

async function main(): Promise<void> {
  const { config: file, port, check, help, version } = readArguments();
  if (help) {
    process.stdout.write(HELP);
    return;
  }
  if (version) {
    const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { readonly version: string };
    process.stdout.write(`i3-server ${manifest.version}\n`);
    return;
  }
  const config = await readConfig(file, port);
  if (check) {
    checkFiles(config);
    process.stdout.write(`${file}: ok\n`);
    return;
  }
  const server = await startServer(config, (error) => fail(error, EXIT_FAILED));
  process.on("SIGTERM", () => server.stop());
  process.on("SIGINT", () => server.stop());
  process.on("SIGUSR1", () => server.logCounters());
  process.stdout.write(`READY i3-server ${server.ready}\n`);
  await server.ended;
  process.exit(0);
}

main().catch((error: unknown) => {
  if (error instanceof I3Error) fail(error, EXIT_FAILED);
  throw error;
});
