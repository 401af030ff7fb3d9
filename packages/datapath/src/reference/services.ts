/**
 * What packets of one virtual address need (docs/datapath.md, "Services"; docs/policy.md, "Rules"): the strength of the way that they take out,
 * and the least of the way that they come in by.
 */
import { LIMITS, type Services, type Strength } from "../datapath.js";
import { isQuotingError, ICMP_QUOTE } from "./address-rewrite.js";
import { IPV4, IPV6, innerVersion, ipv4HeaderBytes } from "./inner-packet.js";
import { u16, u8 } from "./octets.js";
import { LATER_FRAGMENT, findTransport, transportOffset, transportProtocol } from "./transport.js";

/** Of which a packet takes way 2. */
export const STRONGEST: Strength = 2;
/** Beginning with the strongest: the order of whatever is done with all ways. */
export const STRENGTHS: readonly Strength[] = [2, 1, 0];
/** TCP, UDP, DCCP, SCTP, UDP-Lite: source and destination port are the first four bytes. */
const WITH_PORTS: readonly number[] = [6, 17, 33, 132, 136];
const PORTS_BYTES = 4;
const MAX_PORT = 0xffff;
const MAX_PROTOCOL = 255;

/** What of a packet services look at; null where it does not show. */
interface Selector {
  readonly protocol: number | null;
  readonly ports: readonly [source: number, destination: number] | null;
}
const UNKNOWN: Selector = { protocol: null, ports: null };

/** Throws RangeError. */
export function requireStrength(strength: number): void {
  if (strength !== 0 && strength !== 1 && strength !== 2) throw new RangeError(`strength ${strength}, expected 0, 1 or 2`);
}

/** A copy. Throws RangeError. */
export function prepareServices({ services, rest }: Services): Services {
  if (services.length > LIMITS.servicesPerFlow) throw new RangeError(`${services.length} services, expected at most ${LIMITS.servicesPerFlow}`);
  if (rest !== null) requireStrength(rest);
  return { services: services.map(prepareService), rest };
}

function prepareService({ protocol, ports, strength }: Services["services"][number]): Services["services"][number] {
  if (!Number.isInteger(protocol) || protocol < 0 || protocol > MAX_PROTOCOL) throw new RangeError(`protocol ${protocol} of a service`);
  requireStrength(strength);
  if (ports.length > LIMITS.portRangesPerService) throw new RangeError(`${ports.length} port ranges of a service, expected at most ${LIMITS.portRangesPerService}`);
  if (ports.length > 0 && !WITH_PORTS.includes(protocol)) throw new RangeError(`ports of a service of protocol ${protocol}, which has none`);
  let before = -1;
  for (const { first, last } of ports) {
    const fits = Number.isInteger(first) && Number.isInteger(last) && before < first && first <= last && last <= MAX_PORT;
    if (!fits) throw new RangeError(`ports ${first} to ${last} of a service, expected ascending ranges from 0 to ${MAX_PORT}`);
    before = last;
  }
  return { protocol, ports: ports.map(({ first, last }) => ({ first, last })), strength };
}

/** What the packet `bytes[at … at + length]`, which `innerLength` accepted, needs; null: it is refused. */
export const strengthFor = (services: Services, bytes: Uint8Array, at: number, length: number): Strength | null => strengthOf(services, selectorOf(bytes, at, length, false));

function strengthOf({ services, rest }: Services, { protocol, ports }: Selector): Strength | null {
  let strongest: Strength | null = null;
  for (const service of services) {
    if (protocol !== null && service.protocol !== protocol) continue;
    if (ports === null) strongest = stronger(strongest, service.strength);
    else if (hasPort(service, ports)) return service.strength;
    // It takes every packet that has come so far.
    if (protocol !== null && service.ports.length === 0) return stronger(strongest, service.strength);
  }
  return stronger(strongest, rest);
}

const hasPort = ({ ports }: Services["services"][number], pair: readonly number[]): boolean => ports.some(({ first, last }) => pair.some((port) => first <= port && port <= last));

const stronger = (a: Strength | null, b: Strength | null): Strength | null => (a === null || b === null ? (a ?? b) : a >= b ? a : b);

/** `quoted`: what is seen of a packet that an ICMP error quotes, with its IP header whole. */
function selectorOf(bytes: Uint8Array, at: number, length: number, quoted: boolean): Selector {
  const version = innerVersion(bytes, at);
  const found = findTransport(bytes, at, length);
  if (found < 0) {
    // Fragments of IPv6 are put together whatever their headers say of the protocol (RFC 8200 §4.5), those of IPv4 by it (RFC 791 §3.2).
    return found === LATER_FRAGMENT && version === 4 ? { protocol: u8(bytes, at + IPV4.protocol), ports: null } : UNKNOWN;
  }
  const protocol = transportProtocol(found);
  const header = at + transportOffset(found);
  const end = at + length;
  if (isQuotingError(bytes, header, end, version, protocol)) return quoted ? UNKNOWN : quotedSelector(bytes, header + ICMP_QUOTE, end, version);
  const hasPorts = WITH_PORTS.includes(protocol) && header + PORTS_BYTES <= end;
  return { protocol, ports: hasPorts ? [u16(bytes, header), u16(bytes, header + 2)] : null };
}

/** Of the packet that is quoted at `at`: another family, or less than its header, says nothing. */
function quotedSelector(bytes: Uint8Array, at: number, end: number, version: number): Selector {
  const headerBytes = version === 4 ? IPV4.minBytes : IPV6.headerBytes;
  if (at + headerBytes > end || innerVersion(bytes, at) !== version) return UNKNOWN;
  if (version === 4 && ipv4HeaderBytes(bytes, at) < headerBytes) return UNKNOWN;
  return selectorOf(bytes, at, end - at, true);
}
