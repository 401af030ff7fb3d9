/** What of a whole IP packet the rules look at. Without I/O. */
import { hasPorts, protocolName } from "@i3/common";

import type { PacketSelector } from "./policy.js";

const IPV6_HEADER_BYTES = 40;
const FRAGMENT_OFFSET_MASK = 0x1fff;

/**
 * The protocol that the IP header names, and the ports behind it.
 * @param packet IPv4 or IPv6; null for what is neither. Ports are null where there are none to be seen: later fragments, extension headers of IPv6
 */
export function selectorOfPacket(packet: Uint8Array): PacketSelector | null {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const version = (packet[0] ?? 0) >> 4;
  const headerBytes = version === 4 ? ((packet[0] ?? 0) & 15) * 4 : IPV6_HEADER_BYTES;
  if ((version !== 4 && version !== 6) || headerBytes < 20 || packet.length < headerBytes) return null;
  const protocol = packet[version === 4 ? 9 : 6] ?? 0;
  const isLater = version === 4 && (view.getUint16(6) & FRAGMENT_OFFSET_MASK) !== 0;
  if (isLater || !hasPorts(protocol) || packet.length < headerBytes + 4) return { protocol, ports: null };
  return { protocol, ports: { source: view.getUint16(headerBytes), destination: view.getUint16(headerBytes + 2) } };
}

/** As a rule would name it, for the log: `tcp`, and the ports `from → to`. */
export const selectorText = ({ protocol, ports }: PacketSelector): { readonly protocol: string; readonly ports?: string } => ({
  protocol: protocolName(protocol), ...(ports === null ? {} : { ports: `${ports.source} to ${ports.destination}` }),
});
