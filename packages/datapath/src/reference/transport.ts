/** Where a packet's transport header is (RFC 791 §3.1; RFC 8200 §4: hop-by-hop, routing, destination options, fragment). */
import { IPV4, IPV6, PROTOCOL, innerVersion, ipv4HeaderBytes, isLaterFragment4, type InnerPacket } from "./inner-packet.js";
import { u16, u8 } from "./octets.js";

/** Extension headers that are walked; more of them are nothing a program sends, and each costs time. */
export const MAX_EXTENSION_HEADERS = 8;

/** A fragment other than the first: there is no transport header. */
export const LATER_FRAGMENT = -1;
/** An IPv6 header chain that is cut off, too long, or holds a source route that has not ended. */
export const BROKEN_CHAIN = -2;

/**
 * `offset * 256 + protocol` of the transport header (the offset from `at`, perhaps equal to the packet's length when nothing
 * follows), or one of the two negative values. The packet is `bytes[at … at + length]` with its IP header whole.
 */
export function findTransport(bytes: Uint8Array, at: number, length: number): number {
  if (innerVersion(bytes, at) === 6) return walkExtensionHeaders(bytes, at, length);
  if (isLaterFragment4(bytes, at)) return LATER_FRAGMENT;
  return ipv4HeaderBytes(bytes, at) * 256 + u8(bytes, at + IPV4.protocol);
}

export const transportProtocol = (found: number): number => found & 0xff;
export const transportOffset = (found: number): number => found >>> 8;

const ECHO_REQUEST = { v4: 8, v6: 128 } as const;
const TCP_FLAGS = { at: 13, reset: 4, synAck: 0x12 } as const;

/** What a host sends by itself to whoever asks, and no program decides: see `FlowCounters`. */
export function isAnswer({ bytes, at, length }: InnerPacket): boolean {
  const found = findTransport(bytes, at, length);
  if (found < 0) return found === LATER_FRAGMENT;
  const offset = transportOffset(found);
  const octet = (of: number): number | undefined => (of < length ? u8(bytes, at + of) : undefined);
  switch (transportProtocol(found)) {
    case PROTOCOL.icmp: return octet(offset) !== ECHO_REQUEST.v4;
    case PROTOCOL.icmp6: return octet(offset) !== ECHO_REQUEST.v6;
    case PROTOCOL.tcp: {
      const flags = octet(offset + TCP_FLAGS.at) ?? 0;
      return (flags & TCP_FLAGS.reset) !== 0 || (flags & TCP_FLAGS.synAck) === TCP_FLAGS.synAck;
    }
    default: return false;
  }
}

function walkExtensionHeaders(bytes: Uint8Array, at: number, length: number): number {
  let next = u8(bytes, at + IPV6.nextHeader);
  let offset: number = IPV6.headerBytes;
  for (let walked = 0; isExtensionHeader(next); walked++) {
    if (walked === MAX_EXTENSION_HEADERS || offset + 8 > length) return BROKEN_CHAIN;
    const header = at + offset;
    if (next === PROTOCOL.fragment && (u16(bytes, header + 2) & 0xfff8) !== 0) return LATER_FRAGMENT;
    // Segments left: the pseudo-header holds the last of them, not the header's destination, and the packet would travel on.
    if (next === PROTOCOL.routing && u8(bytes, header + 3) !== 0) return BROKEN_CHAIN;
    offset += next === PROTOCOL.fragment ? 8 : (u8(bytes, header + 1) + 1) * 8;
    next = u8(bytes, header);
  }
  return offset <= length ? offset * 256 + next : BROKEN_CHAIN;
}

const isExtensionHeader = (protocol: number): boolean =>
  protocol === PROTOCOL.hopByHop || protocol === PROTOCOL.routing || protocol === PROTOCOL.destinationOptions || protocol === PROTOCOL.fragment;
