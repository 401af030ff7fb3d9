/** What the gateway daemon is run with. */
import { parseGatewayProxyConfig } from "@i3/common";
import { NftSession, removeTable, runProxyDaemon } from "@i3/i3-proxy";

import { gatewayTable } from "../nat/gateway-table.js";
import { Grants } from "../policy/grants.js";
import { leaveRouter, readGatewayState, stateFileOf } from "./gateway-state.js";
import { GATEWAY_PART } from "./gateway.js";

const HELP = `Usage: i3-to-ip --config FILE.xml [--check | --identity | --clean]

A gateway: hosts of the overlay reach servers of this machine's networks through it, by name. It is a whole i3-proxy as well.

  --config FILE   the configuration, with an element gateway; deploy/examples/i3-to-ip.xml explains it, i3-proxy.xml there the rest
  --check         check the configuration and the files it names, change nothing, and exit
  --identity      make this machine's key if there is none, print its HIT and id, and exit
  --clean         remove the nftables tables and the routes that stay when the gateway ends, and exit
  --help          this text
  --version       the version

Prints "READY i3-to-ip hit=… address=… tun=… port=… engine=… gateway=…" to stdout when clients can be served; logs to stderr.
SIGTERM, SIGINT (Ctrl-C) and SIGHUP tell peers and end it, within two seconds. The table of nftables stays, so that connections live
through a restart; while it is not running nothing passes.
SIGUSR1 logs counters.
Who may reach what acts at once when the configuration or the address book is changed.
Exit status: 0 after such a signal, 1 when the gateway cannot run, 2 for wrong arguments or a bad configuration.
`;

await runProxyDaemon({
  name: "i3-to-ip",
  help: HELP,
  manifest: new URL("../../package.json", import.meta.url),
  parse: parseGatewayProxyConfig,
  part: GATEWAY_PART,
  check: ({ state, gateway }, book) => {
    readGatewayState(stateFileOf(state.directory));
    const grants = new Grants(gateway, book);
    return [...grants.oddities(), ...grants.emptyGroups().map((group) => `<gateway> has the group "${group}", and no host of the address book is in it`)];
  },
  clean: async ({ tun, state }) => {
    // Before the table goes, which keeps the system from passing on what others send.
    leaveRouter(state.directory);
    const nft = new NftSession({ log: () => undefined });
    await nft.run(removeTable(gatewayTable(tun.name)));
    await nft.close();
  },
});
