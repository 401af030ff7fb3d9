/**
 * Rules by address (docs/gateways.md): networks, or everything, that a gateway leads to under their own addresses. The longest prefix decides, so that their order says nothing; what is in two
 * places cannot be both here, and is refused.
 */
import { formatIpText, parseIpText } from "./ip-text.js";
import { isInNetwork, MAX_NETWORKS, NETWORKS, type Network } from "./networks.js";
import { Refusal, type Site, type ValueType } from "./schema.js";

/** Of all rules: the packet engine has room for these, and for the ranges of virtual addresses. */
const MAX_ALL_PREFIXES = 250;

export interface AddressRule {
  /** At least one. */
  readonly prefixes: readonly Network[];
  /** The gateway's own name: lower case. */
  readonly via: string;
  /** What becomes of packets while the gateway cannot be reached: programs are told so, or they take the ordinary way, in plain. */
  readonly whenDown: "refuse" | "direct";
  /** In the configuration file. */
  readonly line: number;
}

/** Where no server can be: "this network", loopback, link-local, multicast and what is reserved, and HITs, which are hosts of the overlay. */
const NOWHERE: readonly Network[] = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/96", "2001:20::/28", "fe80::/10", "ff00::/8"].map((text) => {
  const [address = "", bits = ""] = text.split("/");
  return Object.freeze({ address: parseIpText(address) as Uint8Array, bits: Number(bits) });
});

export const PREFIXES: ValueType<readonly Network[]> = {
  expected: `prefixes with blanks between, such as "192.168.5.0/24 fd00:5::/64", or "0.0.0.0/0 ::/0" for everything (at most ${MAX_NETWORKS})`,
  parse: (text, file) => {
    const prefixes = NETWORKS.parse(text, file);
    if (prefixes instanceof Refusal) return prefixes;
    const wrong = prefixes.find(({ address, bits }) => bits > 0 && NOWHERE.some((special) => special.bits <= bits && isInNetwork(special, address)));
    return wrong === undefined ? prefixes : new Refusal(`has ${prefixText(wrong)}, where no server can be`);
  },
};

export const prefixText = ({ address, bits }: Network): string => `${formatIpText(address)}/${bits}`;

/** Refuses prefixes that are given twice, and more than there is room for. @param place of a rule among all rules of the file, from 1 */
export function checkAddressRules(rules: readonly { readonly rule: AddressRule; readonly place: number }[], site: Site): void {
  const earlier = new Map<string, AddressRule>();
  let count = 0;
  for (const { rule, place } of rules) {
    for (const prefix of rule.prefixes) {
      const text = prefixText(prefix);
      const first = earlier.get(text);
      if (first !== undefined) {
        const remedy = first.via === rule.via ? undefined : 'Two networks with the same addresses are told apart by names: <rule name="…" go="gateway" via="…"/> for each, whose servers get addresses that differ.';
        site.failInside(`rule[${place}]/@address`, rule.line, `${text} is of ${first.via} on line ${first.line} already`, "every prefix once", remedy);
      }
      earlier.set(text, rule);
    }
    count += rule.prefixes.length;
    if (count > MAX_ALL_PREFIXES) site.failInside(`rule[${place}]/@address`, rule.line, `${count} prefixes with those of the rules before`, `at most ${MAX_ALL_PREFIXES} prefixes in all rules`);
  }
}

/** The gateway that everything else goes to, and that is asked for names which no rule sends elsewhere; undefined: there is none. Of two, for each family one, that of IPv4. */
export function exitOf(rules: readonly AddressRule[]): AddressRule | undefined {
  const all = rules.filter(({ prefixes }) => prefixes.some(({ bits }) => bits === 0));
  return all.find(({ prefixes }) => prefixes.some(({ address, bits }) => bits === 0 && address.length === 4)) ?? all[0];
}
