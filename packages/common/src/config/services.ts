/** Services of a peer, as rules select them: a protocol above IP, and ports. The granularity of the E2E paper (section III). */
import { nearestName } from "./nearest-name.js";
import { Refusal, type Site, type ValueType } from "./schema.js";

/** Both ends belong to it. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Packets of one of the protocols that have one of the ports. */
export interface ServiceSelector {
  /** IP protocol numbers; icmp is that of IPv4 and that of IPv6. */
  readonly protocols: readonly number[];
  /** Ascending, without overlaps; empty: all, and those of protocols without ports. */
  readonly ports: readonly PortRange[];
}

const PROTOCOLS: ReadonlyMap<string, readonly number[]> = new Map([
  ["tcp", [6]],
  ["udp", [17]],
  ["icmp", [1, 58]],
  ["sctp", [132]],
  ["dccp", [33]],
  ["udplite", [136]],
]);
/** Their header begins with source and destination port. */
const WITH_PORTS: readonly number[] = [6, 17, 33, 132, 136];
/** Extension headers of IPv6 (RFC 8200 §4.1) are no packet's contents. */
const EXTENSION_HEADERS: readonly number[] = [43, 44, 60];
const MAX_PROTOCOL = 254;
const MAX_PORT_RANGES = 16;

/** Names of the protocols that ports can be given for. */
export const PROTOCOLS_WITH_PORTS = "tcp, udp, sctp, dccp or udplite";

export const hasPorts = (protocol: number): boolean => WITH_PORTS.includes(protocol);

/** What rules call a protocol: a name, or the number of one that has none. */
export const protocolName = (protocol: number): string => [...PROTOCOLS].find(([, numbers]) => numbers.includes(protocol))?.[0] ?? String(protocol);

/** A protocol above IP, by name or number. */
export const PROTOCOL: ValueType<readonly number[]> = {
  expected: `${[...PROTOCOLS.keys()].join(", ")} or the number of an IP protocol`,
  parse: (text) => {
    const known = PROTOCOLS.get(text);
    if (known !== undefined) return Object.freeze([...known]);
    if (!/^[1-9][0-9]{0,2}$/.test(text)) return new Refusal("is not known", nearestName(text, PROTOCOLS.keys()));
    const number = Number(text);
    if (EXTENSION_HEADERS.includes(number)) return new Refusal("is an extension header");
    return number <= MAX_PROTOCOL ? Object.freeze([number]) : new Refusal("is out of range");
  },
};

/** Some ports and ranges of ports, such as `22,8000-8080`. */
export const PORTS: ValueType<readonly PortRange[]> = {
  expected: `at most ${MAX_PORT_RANGES} ports or ranges of ports from 1 to 65535, each port once, such as 22,8000-8080`,
  parse: (text) => {
    const parts = text.split(",");
    if (parts.length > MAX_PORT_RANGES) return new Refusal("has too many parts");
    const ranges: PortRange[] = [];
    for (const part of parts) {
      const match = /^([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?$/.exec(part);
      if (match === null) return new Refusal("is not a list of ports");
      const first = Number(match[1]);
      const last = Number(match[2] ?? match[1]);
      if (last > 65_535) return new Refusal("is out of range");
      if (first > last) return new Refusal("has a range that ends before it begins");
      ranges.push(Object.freeze({ first, last }));
    }
    ranges.sort((a, b) => a.first - b.first);
    const overlaps = ranges.some(({ first }, i) => i > 0 && first <= (ranges[i - 1]?.last ?? 0));
    return overlaps ? new Refusal("names a port twice") : Object.freeze(ranges);
  },
};

/** What the attributes protocol and ports of an element select; undefined: every packet. Refuses ports of what has none. */
export function serviceOf(protocols: readonly number[] | undefined, ports: readonly PortRange[] | undefined, site: Site): ServiceSelector | undefined {
  if (ports !== undefined && protocols?.every(hasPorts) !== true) {
    site.fail("ports", protocols === undefined ? "given without protocol" : "given with a protocol that has none", `protocol ${PROTOCOLS_WITH_PORTS} beside ports`);
  }
  return protocols === undefined ? undefined : Object.freeze({ protocols, ports: ports ?? Object.freeze([]) });
}

/** Whether every packet of `part` is one of `whole`; undefined is every packet. */
export function serviceCovers(whole: ServiceSelector | undefined, part: ServiceSelector | undefined): boolean {
  if (whole === undefined) return true;
  if (part === undefined || !part.protocols.every((protocol) => whole.protocols.includes(protocol))) return false;
  if (whole.ports.length === 0) return true;
  const isInside = ({ first, last }: PortRange): boolean => whole.ports.some((range) => range.first <= first && last <= range.last);
  return part.ports.length > 0 && part.ports.every(isInside);
}
