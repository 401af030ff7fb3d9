/** What the proxy daemon is run with. */
import { parseProxyConfig, runKeyCommand } from "@i3/common";

import { runProxyDaemon } from "./run-proxy-daemon.js";
import { SITE_PART } from "./site.js";
import { zoneCommand } from "./zone-command.js";

const HELP = `Usage: i3-proxy --config FILE.xml [--check | --identity | --clean]
       i3-proxy zone make FILE
       i3-proxy zone sign KEY_FILE NAME HIT OUT_FILE [--days N]

  --config FILE   the configuration; deploy/examples/i3-proxy.xml explains every setting
  --check         check the configuration and the files it names, change nothing, and exit
  --identity      make this machine's key if there is none, print its HIT and id, and exit
  --clean         remove the nftables table and the routes that stay when the proxy ends, and exit
  --help          this text
  --version       the version
  zone make       makes the key of a zone of names
  zone sign       signs that NAME, such as "nas", stands in the zone for the host with this HIT (--identity prints it there); for a <record file="…"/>
                  of <zones>. The record ends after N days (1 to 36500; without --days 365); signed again into the same file, it replaces the older

Prints "READY i3-proxy hit=… address=… tun=… port=… engine=…" to stdout when names can be used; logs to stderr.
SIGTERM, SIGINT (Ctrl-C) and SIGHUP tell peers and end it, within two seconds.
A terminal that is closed sends SIGHUP, under nohup too, for Node takes no notice of nohup. What shall stay runs as a service of the system, or so:
  setsid i3-proxy --config FILE </dev/null >>LOG 2>&1 &
SIGUSR1 logs counters, and the
mappings: name, HIT, state, security, virtual address; with an association also
suite, pairs of keys, their age (s), who began (role) and the way ("i3", or the
address that packets go to); where rules have services, the kind of each. No key or id is among them.
gateways: name in the rule, addresses of servers, questions, answers, failures by reason.
Exit status: 0 after such a signal, 1 when the proxy cannot run, 2 for wrong arguments or a bad configuration.
`;

if (process.argv[2] === "zone") runKeyCommand("i3-proxy", HELP, () => zoneCommand(process.argv.slice(3), Date.now()));
else await runProxyDaemon({ name: "i3-proxy", help: HELP, manifest: new URL("../../package.json", import.meta.url), parse: parseProxyConfig, part: SITE_PART });
