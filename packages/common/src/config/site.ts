/** `<site>`: a network of hosts that run nothing, which reach the overlay by this machine, their router and resolver (paper §4.4; docs/gateways.md, "A site"). */
import { bytesKey } from "../bytes.js";
import { isInNetwork, NETWORKS, type Network } from "./networks.js";
import { parseIpText } from "./ip-text.js";
import { element, Refusal, required, type ValueType } from "./schema.js";
import { INTERFACE_NAME, wordsOf } from "./value-types.js";

const MAX_ADDRESSES = 4;

export interface SiteConfig {
  /** By which its hosts reach this machine. */
  readonly interface: string;
  /** Of this machine, in these networks: where its hosts ask for names. 4 or 16 bytes. */
  readonly listen: readonly Uint8Array[];
  /** Whose hosts may. */
  readonly networks: readonly Network[];
}

const ADDRESSES: ValueType<readonly Uint8Array[]> = {
  expected: `addresses with blanks between (at most ${MAX_ADDRESSES})`,
  parse: (text) => {
    const found = wordsOf(text).map((one) => parseIpText(one));
    if (found.length === 0) return new Refusal("is empty");
    if (found.length > MAX_ADDRESSES) return new Refusal("has too many parts");
    const addresses = found.filter((one) => one !== undefined);
    if (addresses.length < found.length) return new Refusal("has something else than addresses");
    return new Set(addresses.map(bytesKey)).size < found.length ? new Refusal("names one twice") : Object.freeze(addresses);
  },
};

export const SITE = element({ interface: required(INTERFACE_NAME), listen: required(ADDRESSES), networks: required(NETWORKS) }, {}, (config, site): SiteConfig => {
  if (config.listen.some((address) => !config.networks.some((network) => isInNetwork(network, address)))) {
    site.fail("listen", "it is in none of the networks", "addresses of this machine in the site's networks");
  }
  return Object.freeze(config);
});
