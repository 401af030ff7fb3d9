#!/usr/bin/env node
/** The server daemon. */
import { I3Error, parseServerConfig, runDaemon, type ServerConfig } from "@i3/common";

import { checkFiles, startServer } from "./io/daemon.js";

const HELP = `Usage: i3-server --config FILE.xml [--port N] [--check]

  --config FILE   the configuration; deploy/examples/i3-server.xml explains every setting
  --port N        listen on this UDP port instead of the configured one; 0 takes any free one
  --check         check the configuration and the files it names, change nothing, and exit
  --help          this text
  --version       the version

Prints "READY i3-server port=… locator=… node=… engine=… io=…" to stdout when it serves; logs to stderr.
SIGTERM leaves the ring and ends; SIGUSR1 logs the counters.
Exit status: 0 after SIGTERM, 1 when the server cannot run, 2 for wrong arguments or a bad configuration.
`;

function withPort(config: ServerConfig, value: string): ServerConfig {
  const port = Number(value);
  if (!/^[0-9]+$/.test(value) || port > 65_535) {
    throw new I3Error("ERR_I3_USAGE", `--port ${value} is no port`, { remedy: "See: i3-server --help" });
  }
  return { ...config, listen: { ...config.listen, port } };
}

await runDaemon<ServerConfig>({
  name: "i3-server",
  help: HELP,
  manifest: new URL("../package.json", import.meta.url),
  parse: parseServerConfig,
  check: checkFiles,
  start: startServer,
  overrides: { port: withPort },
});
