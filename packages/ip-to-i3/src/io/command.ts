/** What the daemon is run with. */
import { parsePublishingProxyConfig, type PublishingProxyConfig } from "@i3/common";
import { NftSession, removeTable, runProxyDaemon } from "@i3/i3-proxy";

import { waypointTable } from "../waypoints/waypoint-table.js";
import { publishPart } from "./publish-part.js";
import { leaveWaypoints, readWaypointState, waypointStateFile } from "./waypoint-state.js";

const HELP = `Usage: ip-to-i3 --config FILE.xml [--check | --identity | --clean]

A proxy (see i3-proxy --help) that also lets hosts without i3 reach hosts of the overlay: TLS by the name that a client asks for (SNI), HTTP by Host, and
fixed ports, and by the names of a domain that this machine answers for (DNS), whose hosts have addresses of their own for a time. What is published stands in <publish> of the configuration; all the rest of it is that of i3-proxy.

  --config FILE   the configuration; deploy/examples/ip-to-i3.xml explains <publish>, deploy/examples/i3-proxy.xml the rest
  --check         check the configuration and the files it names, change nothing, and exit
  --identity      make this machine's key if there is none, print its HIT and id, and exit
  --clean         remove the nftables table and the routes that stay when the proxy ends, and exit
  --help          this text
  --version       the version

Prints "READY ip-to-i3 hit=… address=… tun=… port=… engine=… published=N" to stdout when names can be used and all ports are open; logs to stderr.
Names and their hosts are read again when the file changes; other ports are opened at the next start.
SIGTERM, SIGINT (Ctrl-C) and SIGHUP end it: no more connections are taken, those that are open have ten seconds to end, then peers are told.
SIGUSR1 logs counters, with those of the connections as "publish" (docs/logs.md).
Exit status: 0 after such a signal, 1 when it cannot run, 2 for wrong arguments or a bad configuration.
`;

await runProxyDaemon<PublishingProxyConfig>({
  name: "ip-to-i3", help: HELP, manifest: new URL("../../package.json", import.meta.url), parse: parsePublishingProxyConfig, part: publishPart,
  check: ({ state }) => {
    readWaypointState(waypointStateFile(state.directory));
    return [];
  },
  clean: async ({ tun, state, publish }) => {
    // Before the table goes, which keeps the system from passing on what others send.
    if (publish.waypoints !== undefined) leaveWaypoints(state.directory, publish.waypoints);
    const nft = new NftSession({ log: () => undefined });
    await nft.run(removeTable(waypointTable(tun.name)));
    await nft.close();
  },
});
