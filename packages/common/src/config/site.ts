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

/** Only of one interface, which programs would have to name too. */
const isLinkLocal = ([first = 0, second = 0]: Uint8Array, bytes: number): boolean => (bytes === 16 ? first === 0xfe && (second & 0xc0) === 0x80 : first === 169 && second === 254);

export const SITE = element({ interface: required(INTERFACE_NAME), listen: required(ADDRESSES), networks: required(NETWORKS) }, {}, (config, site): SiteConfig => {
  if (config.listen.some((address) => isLinkLocal(address, address.length))) {
    site.fail("listen", "an address that is of the link alone", "addresses of this machine in the site's networks, such as fd00:1::1", "A router that tells its link-local address as resolver (RFC 8106, RDNSS) has to tell another one.");
  }
  if (config.listen.some((address) => !config.networks.some((network) => isInNetwork(network, address)))) {
    site.fail("listen", "it is in none of the networks", "addresses of this machine in the site's networks");
  }
  return Object.freeze(config);
});
