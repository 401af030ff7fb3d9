/**
 * The state of a packet's TCP or UDP checksum (docs/datapath.md, "Checksum states"): what counts as partial, and completing it.
 *
 *     | IP header | TCP or UDP header: checksum = sum of the pseudo-header, not inverted | payload |
 */
import { sumWords } from "./checksum.js";
import { PROTOCOL, type InnerPacket } from "./inner-packet.js";
import { copyBytes, asBuffer, put16 } from "./octets.js";
import { CHECKSUM } from "./step.js";
import { findTransport, transportOffset, transportProtocol } from "./transport.js";

/** Offset of the checksum in the header of a protocol whose checksum has a state; undefined for all others. */
const checksumField = (protocol: number): number | undefined => (protocol === PROTOCOL.tcp ? 16 : protocol === PROTOCOL.udp ? 6 : undefined);

/**
 * The state that counts when `claimed` came with the packet `bytes[at … at + length]`: `partial` only when there is a whole
 * checksum field of TCP or UDP; what is not known is `complete`.
 */
export function effectiveState(bytes: Uint8Array, at: number, length: number, claimed: number): number {
  if (claimed === CHECKSUM.verified) return claimed;
  return claimed === CHECKSUM.partial && findField(bytes, at, length) !== undefined ? claimed : CHECKSUM.complete;
}

/** Completes the checksum of a packet whose state is `partial` in place; nothing happens when {@link effectiveState} is another. */
export function completeChecksum(bytes: Uint8Array, at: number, length: number): void {
  const found = findField(bytes, at, length);
  if (found === undefined) return;
  // The field holds the pseudo-header's part of the sum.
  const checksum = ~sumWords(bytes, found.header, at + length) & 0xffff;
  put16(bytes, found.field, checksum === 0 && found.protocol === PROTOCOL.udp ? 0xffff : checksum);
}

/** The packet itself, or when its checksum is partial a completed copy. */
export function completed(packet: InnerPacket): InnerPacket {
  if (packet.state !== CHECKSUM.partial) return packet;
  const copy = ownPacket(packet);
  completeChecksum(copy.bytes, 0, copy.length);
  return { ...copy, state: CHECKSUM.complete };
}

/** A copy that may be changed. */
export const ownPacket = ({ bytes, at, length, state }: InnerPacket): InnerPacket => ({ bytes: asBuffer(copyBytes(bytes, at, at + length)), at: 0, length, state });

function findField(bytes: Uint8Array, at: number, length: number): { readonly header: number; readonly field: number; readonly protocol: number } | undefined {
  const found = findTransport(bytes, at, length);
  if (found < 0) return undefined;
  const protocol = transportProtocol(found);
  const offset = checksumField(protocol);
  const header = at + transportOffset(found);
  return offset === undefined || header + offset + 2 > at + length ? undefined : { header, field: header + offset, protocol };
}
