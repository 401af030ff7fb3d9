/** What clients of a gateway may send to which servers: `<gateway>` of the configuration with the groups of the address book (docs/gateways.md, A2). Without I/O; another one is made when either changes. */
import { bytesKey, isInNetwork, type AddressBook, type GatewayConfig, type GatewayEntry, type Networks, type ServiceSelector } from "@i3/common";
import { BookGroups } from "@i3/i3-proxy";

import { reachOf } from "../dns/reach.js";

/** What an entry says of a client's packets; undefined: of all that are left. */
export interface Verdict {
  readonly admits: boolean;
  readonly service: ServiceSelector | undefined;
  /** Of packets to addresses that no name has led to: where they go. Otherwise the server is one of those that the entry is for. */
  readonly networks?: Networks;
}

const INTERNET: Networks = Object.freeze({ internet: true, prefixes: Object.freeze([]) });

export class Grants {
  readonly #entries: readonly GatewayEntry[];
  readonly #groups: BookGroups;
  readonly #book: AddressBook;
  readonly #isInside: (address: Uint8Array) => boolean;

  /** @param isInside a network in which the gateway itself is: no part of the internet, whatever its addresses are */
  constructor({ entries }: GatewayConfig, book: AddressBook, isInside: (address: Uint8Array) => boolean = () => false) {
    this.#entries = entries;
    this.#isInside = isInside;
    this.#book = book;
    this.#groups = new BookGroups(entries.flatMap(({ group }) => group ?? []), book);
  }

  /**
   * The verdicts on a client's packets to a server, in the order in which they hold; none: it may send nothing there.
   * @param hit of the client, proven, 16 bytes
   * @param names by which it has asked for the server, lower case, without the last dot
   * @param real address of the server, 4 or 16 bytes
   */
  verdictsOf(hit: Uint8Array, names: readonly string[], real: Uint8Array): readonly Verdict[] {
    const reach = reachOf(real);
    if (reach === "nowhere") return [];
    const isInternet = reach === "internet" && !this.#isInside(real);
    const verdicts: Verdict[] = [];
    for (const entry of this.#entriesOf(hit)) {
      const isNamed = entry.names === undefined || names.some((name) => entry.names?.expression.test(name));
      if (!isNamed || !isWithin(entry, real, isInternet)) continue;
      verdicts.push({ admits: entry.admits, service: entry.service });
      if (entry.service === undefined) break;
    }
    return verdicts.some(({ admits }) => admits) ? verdicts : [];
  }

  /**
   * The verdicts on a client's packets to servers' own addresses, as rules by address and a way out for everything send them; none: it may send nothing there. Entries with names are not for
   * such packets.
   */
  addressVerdictsOf(hit: Uint8Array): readonly Verdict[] {
    const verdicts: Verdict[] = [];
    for (const { admits, names, networks = admits ? INTERNET : undefined, service } of this.#entriesOf(hit)) {
      if (names !== undefined) continue;
      verdicts.push({ admits, service, ...(networks === undefined ? {} : { networks }) });
      if (networks === undefined && service === undefined) break;
    }
    return verdicts.some(({ admits }) => admits) ? verdicts : [];
  }

  /** Whether nothing here names a host: neither the address book nor an entry's HIT. All of them together are one client where clients are bounded, since each key costs nothing. */
  isAnonymous(hit: Uint8Array): boolean {
    const key = bytesKey(hit);
    return this.#book.reverse(hit) === undefined && !this.#entries.some(({ hit: of }) => of !== undefined && bytesKey(of) === key);
  }

  /** Whether the list lets a host reach anything at all. */
  admits(hit: Uint8Array): boolean {
    const first = this.#entriesOf(hit).find((entry) => entry.admits || isForAll(entry));
    return first?.admits === true;
  }

  /** Whether a host may ask what a name stands for: an entry admits it to what may be there. Otherwise the gateway's resolver is not its business. */
  mayAsk(hit: Uint8Array, name: string): boolean {
    return this.#entriesOf(hit).some(({ admits, names }) => admits && (names === undefined || names.expression.test(name)));
  }

  /** What guards less than it seems to: packets have no names. A sentence each. */
  oddities(): readonly string[] {
    const isNarrow = ({ admits, names }: GatewayEntry): boolean => !admits && names !== undefined;
    return this.#entries.flatMap((entry, i) => (isNarrow(entry) && this.#entries.slice(i + 1).some(({ admits, networks }) => admits && networks !== undefined) ? [`the <refuse> on line ${entry.line} of <gateway> goes by names, and a later <allow> by networks: a server that has another name too, or is asked for by its address, is not refused. Write its network into the <refuse>`] : []));
  }

  /** Groups that entries name and no host is in, each once: probably a typing error. */
  emptyGroups(): readonly string[] {
    const inUse = this.#groups.inUse();
    return [...new Set(this.#entries.flatMap(({ group }) => (group === undefined || inUse.has(group) ? [] : group)))];
  }

  #entriesOf(hit: Uint8Array): readonly GatewayEntry[] {
    const [key, isIn] = [bytesKey(hit), this.#groups.of(hit)];
    const isAnonymous = this.isAnonymous(hit);
    return this.#entries.filter(({ hit: of, group, anonymous }) => (of !== undefined ? bytesKey(of) === key : anonymous === true ? isAnonymous : group === undefined || isIn(group)));
  }
}

const isForAll = ({ names, networks, service }: GatewayEntry): boolean => names === undefined && networks === undefined && service === undefined;

function isWithin({ admits, networks }: GatewayEntry, real: Uint8Array, isInternet: boolean): boolean {
  return networks === undefined ? !admits || isInternet : contains(networks, real, isInternet);
}

const contains = ({ internet, prefixes }: Networks, real: Uint8Array, isInternet: boolean): boolean =>
  (internet && isInternet) || prefixes.some((network) => isInNetwork(network, real));
