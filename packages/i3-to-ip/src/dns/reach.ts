/**
 * Where an address of a resolver's answer lies (docs/gateways.md, A1). Names are anybody's: one that leads to an address of the gateway itself, of its link, or to what another address
 * is embedded in, would lead a client, or a browser with somebody's page (DNS rebinding), where nobody meant it to go. Of IANA's registries of special addresses; those for documents and
 * benchmarks count as what they are used as.
 */
import { isInNetwork, parseIpText, type Network } from "@i3/common";

/** private: of somebody's own network, which the gateway's configuration has to name. */
export type Reach = "internet" | "private" | "nowhere";

const prefix = (text: string): Network => {
  const [address = "", bits = ""] = text.split("/");
  return { address: parseIpText(address) as Uint8Array, bits: Number(bits) };
};

/** As text. */
export const SPECIAL_PREFIXES = {
  /** RFC 1918, 6598, 2544; 4193, and site-local of before. */
  private: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7", "fec0::/10"],
  /** RFC 6890, 7526 (relays of 6to4), 4291 (mapped, compatible), 2765 (translated), 6052 and 8215 (NAT64), 6666, 4380 (Teredo), 3056 (6to4), and HITs of either version, which only the overlay knows. */
  nowhere: [
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3",
    "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:10::/28", "2001:20::/28", "2002::/16", "fe80::/10", "ff00::/8",
  ],
} as const;
const [PRIVATE, NOWHERE] = [SPECIAL_PREFIXES.private.map(prefix), SPECIAL_PREFIXES.nowhere.map(prefix)];

/** @param address 4 or 16 bytes */
export function reachOf(address: Uint8Array): Reach {
  if (NOWHERE.some((one) => isInNetwork(one, address))) return "nowhere";
  return PRIVATE.some((one) => isInNetwork(one, address)) ? "private" : "internet";
}
