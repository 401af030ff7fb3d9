/**
 * The port-mapping service of a home router: miniupnpd, which speaks UPnP-IGD, NAT-PMP (RFC 6886) and PCP (RFC 6887).
 *
 * It refuses to map ports at a reserved or private address, those for documentation included, so the outside of its NAT needs one
 * that looks public. Its rules stand in a table of their own; `rules.ts` lets through what they translate.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Child } from "../child.js";
import { NetnsError } from "../errors.js";
import type { NetNode } from "../node.js";
import type { NatSides } from "../plan.js";

const PROGRAM = "miniupnpd";
const PACKAGE = "miniupnpd-nftables";
const HTTP_PORT = 5000;

/** What stops `portMapping` on this machine, with the remedy, or undefined. */
export function missingPortMapping(): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin"];
  if (directories.some((directory) => existsSync(join(directory, PROGRAM)))) return undefined;
  return `${PROGRAM} not found. Install with: apt-get install ${PACKAGE}`;
}

const TABLE = `add table inet miniupnpd
delete table inet miniupnpd
table inet miniupnpd {
  chain mapped_in {
  }
  chain mapped_out {
  }
  chain allowed {
  }
  chain prerouting {
    type nat hook prerouting priority dstnat - 1
    jump mapped_in
  }
  chain postrouting {
    type nat hook postrouting priority srcnat - 1
    jump mapped_out
  }
}
`;

/** Starts it, without a memory of earlier mappings. Resolves when it listens. @param isUpnpOnly neither NAT-PMP nor PCP */
export async function startPortMapping(node: NetNode, { inside, outside }: NatSides, isUpnpOnly: boolean): Promise<Child> {
  const missing = missingPortMapping();
  if (missing !== undefined) throw new NetnsError("ERR_I3_NETNS_COMMAND", missing);
  await node.namespace.nft(TABLE);
  const config = await node.writeFile("miniupnpd.conf", configText(inside, outside, isUpnpOnly));
  const child = node.spawn(PROGRAM, ["-d", "-f", config, "-P", join(node.directory, "miniupnpd.pid")]);
  const line = await child.waitForLine(isUpnpOnly ? /Port forwarding is impossible|HTTP listening on port/ : /Port forwarding is impossible|Listening for NAT-PMP\/PCP traffic/);
  if (!line[0].startsWith("Port")) return child;
  await child.stop();
  throw new NetnsError("ERR_I3_NETNS_PLAN", `${node.name}: ${PROGRAM} maps no ports at a reserved address. Give the link outside a subnet such as 11.0.0.0/24`);
}

function configText(inside: readonly string[], outside: string, isUpnpOnly: boolean): string {
  return [
    `ext_ifname=${outside}`,
    ...inside.map((name) => `listening_ip=${name}`),
    `http_port=${HTTP_PORT}`,
    `enable_natpmp=${isUpnpOnly ? "no" : "yes"}`,
    "enable_upnp=yes",
    "secure_mode=no",
    "upnp_table_name=miniupnpd",
    "upnp_nat_table_name=miniupnpd",
    "upnp_forward_chain=allowed",
    "upnp_nat_chain=mapped_in",
    "upnp_nat_postrouting_chain=mapped_out",
    "uuid=00000000-0000-4000-8000-000000000001",
    "allow 1024-65535 0.0.0.0/0 1024-65535",
    "",
  ].join("\n");
}
