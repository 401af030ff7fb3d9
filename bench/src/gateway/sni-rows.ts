/** HTTPS by the name in the ClientHello: ip-to-i3 beside haproxy in TCP mode, on the same machine and over the same association. */
import type { Row } from "../report.js";
import type { Watched } from "./load.js";
import type { Plan } from "./plan.js";
import { openPublishBed } from "./publish-bed.js";
import { loadsInTurns, rateRow, warmUp, type Way } from "./rate-rows.js";

const SHARE = 1 / 3;

export async function sniRows({ rows, runs, loadSeconds, warmUpSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("sni")) return [];
  const bed = await openPublishBed();
  try {
    const edgePid = bed.edge.pid ?? 0;
    const common: readonly Watched[] = [
      { name: "engine of the relay's machine", pid: edgePid, part: "engine" }, { name: "host's proxy", pid: bed.home.pid ?? 0 }, { name: "server", pid: bed.nginx.pid ?? 0 },
    ];
    const made: Row[] = [];
    for (const [connections, what] of [["kept", "HTTPS requests, connections kept"], ["new", "HTTPS requests, a connection each"]] as const) {
      const ways: readonly Way[] = [
        { name: "ours", load: { from: bed.client, url: bed.urls.ours, connections }, watched: [{ name: "relay", pid: edgePid, part: "javascript" }, ...common] },
        { name: "haproxy", load: { from: bed.client, url: bed.urls.haproxy, connections }, watched: [{ name: "relay", pid: bed.haproxy.pid ?? 0 }, ...common] },
      ];
      await warmUp(warmUpSeconds, ways);
      made.push(rateRow(`${what}, by SNI through ip-to-i3`, await loadsInTurns(what, runs, loadSeconds, ways), SHARE));
    }
    return made;
  } finally {
    await bed.close();
  }
}
