/**
 * Rewriting the addresses of a packet in place, with every checksum that covers them (docs/datapath.md, "To the TUN").
 *
 *     | IP header: source, destination, checksum (IPv4) | TCP, UDP, ICMPv6: checksum over the pseudo-header |
 *     | ICMP error: checksum | unused 4 | quoted IP header | quoted transport, perhaps cut off |
 */
import type { AddressRewrite } from "../datapath.js";
import { adjustChecksum, adjustPartial, adjustUdpChecksum, fieldDelta, fold } from "./checksum.js";
import { IPV4, IPV6, PROTOCOL, innerVersion, ipv4HeaderBytes } from "./inner-packet.js";
import { equalAt, ownBuffer, putBytes, requireLength, u8 } from "./octets.js";
import { CHECKSUM } from "./step.js";
import { findTransport, transportOffset, transportProtocol } from "./transport.js";

/** The two rewrites of one family, ready for packets. */
export interface RewritePlan {
  readonly source: AddressRewrite;
  readonly destination: AddressRewrite;
  /** An address differs: false when headers are preserved. */
  readonly changes: boolean;
  /** Of both addresses together; the other way round (quoted packets) it is the same. */
  readonly delta: number;
}

const TCP = { checksum: 16 } as const;
const UDP = { checksum: 6 } as const;
const ICMP = { type: 0, checksum: 2, quote: 8 } as const;
/** Where in an ICMP error the packet begins that it quotes. */
export const ICMP_QUOTE = ICMP.quote;

/** RFC 792, RFC 1122 §3.2.2: the types that quote a packet. */
export const isIcmpError4 = (type: number): boolean => type === 3 || type === 4 || type === 5 || type === 11 || type === 12;
/** RFC 4443 §2.1: the high bit says "not an error"; redirects (RFC 4861 §4.5) count as errors in its §2.4 e.2. */
export const isIcmpError6 = (type: number): boolean => type < 128 || type === 137;
/** RFC 4443 §2.1, §2.4 c: every error quotes a packet, at the same place in all types that there are; receivers look there in others too. */
const quotesPacket6 = (type: number): boolean => type < 128;

/** Copies both rewrites; null unless both are there. Throws RangeError when an address has not `addressBytes` bytes. */
export function makeRewritePlan(source: AddressRewrite | null, destination: AddressRewrite | null, addressBytes: number): RewritePlan | null {
  if (source === null || destination === null) return null;
  const own = [copyRewrite(source, addressBytes), copyRewrite(destination, addressBytes)] as const;
  const changes = own.some(({ from, to }) => !equalAt(from, 0, to));
  const delta = fold(fieldDelta(own[0].from, own[0].to) + fieldDelta(own[1].from, own[1].to));
  return { source: own[0], destination: own[1], changes, delta };
}

function copyRewrite({ from, to }: AddressRewrite, addressBytes: number): AddressRewrite {
  requireLength("rewrite address", from, addressBytes);
  requireLength("rewrite address", to, addressBytes);
  return { from: ownBuffer(from), to: ownBuffer(to) };
}

const sourceOffset = (version: number): number => (version === 4 ? IPV4.source : IPV6.source);
const destinationOffset = (version: number): number => (version === 4 ? IPV4.destination : IPV6.destination);

/** The packet carries the two `from` addresses. */
export function matchesPlan(bytes: Uint8Array, at: number, version: number, plan: RewritePlan): boolean {
  return equalAt(bytes, at + sourceOffset(version), plan.source.from) && equalAt(bytes, at + destinationOffset(version), plan.destination.from);
}

/**
 * An ICMP error, of a packet between the two, about anything else than a packet from the destination to the source, or about too little
 * of one to say: a peer has nothing to tell about the way to others. Of fragments the first decides, without which there is no packet.
 */
export function isErrorAboutOthers(bytes: Uint8Array, at: number, length: number, found: number, plan: RewritePlan): boolean {
  const quoted = quotedDestination(bytes, at, length, found, plan);
  return quoted === NOBODY || (quoted >= 0 && !equalAt(bytes, quoted, plan.source.from));
}

/** There is no error; or one about what did not come from here, or about too little to say. */
export const [NO_ERROR, NOBODY] = [-1, -2];

/** Where in an ICMP error the destination stands of the packet from `plan.destination` that it quotes; or {@link NO_ERROR}, {@link NOBODY}. */
export function quotedDestination(bytes: Uint8Array, start: number, length: number, found: number, plan: RewritePlan): number {
  if (found < 0) return NO_ERROR;
  const version = innerVersion(bytes, start);
  const icmp = start + transportOffset(found);
  const [at, end] = [icmp + ICMP.quote, start + length];
  if (!isQuotingError(bytes, icmp, end, version, transportProtocol(found))) return NO_ERROR;
  const headerBytes = version === 4 ? IPV4.minBytes : IPV6.headerBytes;
  if (at + headerBytes > end || innerVersion(bytes, at) !== version) return NOBODY;
  if (version === 4 && ipv4HeaderBytes(bytes, at) < headerBytes) return NOBODY;
  return equalAt(bytes, at + sourceOffset(version), plan.destination.from) ? at + destinationOffset(version) : NOBODY;
}

/** As `plan`, for what another host than its source has sent, or another than its destination is to get: that address stays. */
export function planKeeping(plan: RewritePlan, which: "source" | "destination", address: Uint8Array): RewritePlan {
  const kept = { from: address, to: address };
  return makeRewritePlan(which === "source" ? kept : plan.source, which === "source" ? plan.destination : kept, address.length) as RewritePlan;
}

export const sourceAt = (bytes: Buffer, at: number, version: number): Buffer => bytes.subarray(at + sourceOffset(version), at + destinationOffset(version));
export const destinationAt = (bytes: Buffer, at: number, version: number): Buffer => bytes.subarray(at + destinationOffset(version), at + destinationOffset(version) + (version === 4 ? 4 : 16));

/** What is done with a packet, and, the other way round, with what it quotes. */
export interface RewritePlans {
  readonly plan: RewritePlan;
  readonly quoted: RewritePlan;
}

/** Rewrites a packet that {@link matchesPlan} and is no error about others; `found` is its {@link findTransport}, `length` its own, `state` its checksum's. */
export function rewriteAddresses(bytes: Uint8Array, at: number, length: number, found: number, { plan, quoted }: RewritePlans, state: number): void {
  if (!plan.changes) return;
  const version = innerVersion(bytes, at);
  putBytes(bytes, at + sourceOffset(version), plan.source.to);
  putBytes(bytes, at + destinationOffset(version), plan.destination.to);
  if (version === 4) adjustChecksum(bytes, at + IPV4.checksum, plan.delta);
  if (found < 0) return;
  const header = at + transportOffset(found);
  const protocol = transportProtocol(found);
  if (state === CHECKSUM.partial) return adjustPartial(bytes, header + (protocol === PROTOCOL.tcp ? TCP.checksum : UDP.checksum), plan.delta);
  const quoteDelta = rewriteQuote(bytes, header, at + length, version, protocol, quoted);
  adjustTransport(bytes, header, at + length, version, protocol, plan.delta, quoteDelta);
}

/**
 * Updates the transport checksum at `header` when both its bytes lie before `end`. `delta` is of the pseudo-header,
 * `quoteDelta` of what the header carries. Returns the delta of the checksum itself.
 */
function adjustTransport(bytes: Uint8Array, header: number, end: number, version: number, protocol: number, delta: number, quoteDelta: number): number {
  if (protocol === PROTOCOL.tcp && header + TCP.checksum + 2 <= end) return adjustChecksum(bytes, header + TCP.checksum, delta);
  if (protocol === PROTOCOL.udp && header + UDP.checksum + 2 <= end) return adjustUdpChecksum(bytes, header + UDP.checksum, delta);
  if (header + ICMP.checksum + 2 > end) return 0;
  if (version === 6 && protocol === PROTOCOL.icmp6) return adjustChecksum(bytes, header + ICMP.checksum, fold(delta + quoteDelta));
  // ICMP over IPv4 has no pseudo-header; without a change inside there is nothing to update.
  if (version === 4 && protocol === PROTOCOL.icmp && quoteDelta !== 0) return adjustChecksum(bytes, header + ICMP.checksum, quoteDelta);
  return 0;
}

/** Rewrites the packet that an ICMP error quotes, which came from the destination. Returns the delta of all it changed, 0 for nothing. */
function rewriteQuote(bytes: Uint8Array, icmp: number, end: number, version: number, protocol: number, plan: RewritePlan): number {
  if (!isQuotingError(bytes, icmp, end, version, protocol)) return 0;
  const at = icmp + ICMP.quote;
  putBytes(bytes, at + sourceOffset(version), plan.destination.to);
  // A source that stays may be another than the one the error is about (docs/datapath.md, "Behind a peer").
  if (!equalAt(plan.source.from, 0, plan.source.to)) putBytes(bytes, at + destinationOffset(version), plan.source.to);
  const headerDelta = version === 4 ? adjustChecksum(bytes, at + IPV4.checksum, plan.delta) : 0;
  return fold(plan.delta + headerDelta + adjustQuotedTransport(bytes, at, end, version, plan.delta));
}

/** A message at `icmp` that quotes a packet. */
export function isQuotingError(bytes: Uint8Array, icmp: number, end: number, version: number, protocol: number): boolean {
  if (icmp + ICMP.type >= end) return false;
  const type = u8(bytes, icmp + ICMP.type);
  return version === 4 ? protocol === PROTOCOL.icmp && isIcmpError4(type) : protocol === PROTOCOL.icmp6 && quotesPacket6(type);
}

function adjustQuotedTransport(bytes: Uint8Array, at: number, end: number, version: number, delta: number): number {
  const found = findTransport(bytes, at, end - at);
  if (found < 0) return 0;
  return adjustTransport(bytes, at + transportOffset(found), end, version, transportProtocol(found), delta, 0);
}
