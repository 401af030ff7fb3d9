/** What the server daemon is run with. */
import { I3Error, parseServerConfig, runDaemon, runKeyCommand, type ServerConfig } from "@i3/common";

import { checkFiles, firstStartNotes, startServer } from "./daemon.js";
import { ringCommand } from "./ring-command.js";

const HELP = `Usage: i3-server --config FILE.xml [--port N] [--check]
       i3-server ring make FILE
       i3-server ring admit AUTHORITY_FILE OUT_FILE [--days N]
       i3-server ring list AUTHORITY_FILE SERVERS_FILE OUT_FILE [--days N]

  --config FILE   the configuration; deploy/examples/i3-server.xml explains every setting
  --port N        listen on this UDP port instead of the configured one; 0 takes any free one
  --check         check the configuration and the files it names, change nothing, and exit
  --help          this text
  --version       the version
  ring make       makes the authority of a new ring, which admits servers to it
  ring admit      makes a credential, with which one server is in the ring; it ends after N days (1 to 36500; without --days never)
  ring list       signs a list of servers for clients (<server-list>); SERVERS_FILE has a line "ADDRESS:PORT NODE" for each, as its READY line
                  says locator and node; the list ends after N days (without --days 90)

Prints "READY i3-server port=… locator=… [other=…] node=… engine=… io=…" to stdout when it serves; logs to stderr.
SIGTERM, SIGINT (Ctrl-C) and SIGHUP leave the ring and end; SIGUSR1 logs the counters.
A terminal that is closed sends SIGHUP, under nohup too, for Node takes no notice of nohup. What shall stay runs as a service of the system, or so:
  setsid i3-server --config FILE </dev/null >>LOG 2>&1 &
Exit status: 0 after such a signal, 1 when the server cannot run, 2 for wrong arguments or a bad configuration.
`;

function withPort(config: ServerConfig, value: string): ServerConfig {
  const port = Number(value);
  if (!/^[0-9]+$/.test(value) || port > 65_535) {
    throw new I3Error("ERR_I3_USAGE", `--port ${value} is no port`, { remedy: "See: i3-server --help" });
  }
  return { ...config, listen: { ...config.listen, port } };
}

if (process.argv[2] === "ring") runKeyCommand("i3-server", HELP, () => ringCommand(process.argv.slice(3), Date.now()));
else await runDaemon<ServerConfig>({
  name: "i3-server",
  help: HELP,
  manifest: new URL("../../package.json", import.meta.url),
  parse: parseServerConfig,
  check: checkFiles,
  notes: firstStartNotes,
  start: startServer,
  overrides: { port: withPort },
});
