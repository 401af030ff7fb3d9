/** Prefixes in attributes: networks of servers, of a site. */
import { isPrefix, samePrefix } from "../bytes.js";
import { parseIpText } from "./ip-text.js";
import { Refusal, type ValueType } from "./schema.js";
import { wordsOf } from "./value-types.js";

export const MAX_NETWORKS = 64;

export interface Network {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly bits: number;
}

export const isInNetwork = ({ address, bits }: Network, other: Uint8Array): boolean => address.length === other.length && samePrefix(address, other, bits);

export function networkOf(text: string): Network | Refusal {
  const [address = "", length = "", ...rest] = text.split("/");
  const bytes = parseIpText(address);
  if (bytes === undefined || rest.length > 0 || !/^(?:0|[1-9][0-9]{0,2})$/.test(length)) return new Refusal("has something else than prefixes");
  const bits = Number(length);
  if (bits > bytes.length * 8) return new Refusal(`has ${text}, which is too long a prefix`);
  return isPrefix(bytes, bits) ? Object.freeze({ address: bytes, bits }) : new Refusal(`has ${text}, with bits behind the first ${bits}`);
}

/** With blanks between, at least one. */
export const NETWORKS: ValueType<readonly Network[]> = {
  expected: `prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64" (at most ${MAX_NETWORKS})`,
  parse: (text) => {
    const words = wordsOf(text);
    if (words.length === 0) return new Refusal("is empty");
    if (words.length > MAX_NETWORKS) return new Refusal("has too many parts");
    const networks: Network[] = [];
    for (const one of words) {
      const network = networkOf(one);
      if (network instanceof Refusal) return network;
      networks.push(network);
    }
    return Object.freeze(networks);
  },
};
