/**
 * Cutting trains, and completing partial checksums, as the kernel does it (virtio 1.2 §5.1.6, net/ipv4/tcp_offload.c,
 * udp_offload.c), with nothing in common with either engine.
 *
 *     | virtio_net_hdr 10, little-endian | IP header | TCP or UDP header | payload: pieces of gso_size, the last may be shorter |
 */
import { be16, concat, fullChecksum } from "../reference/packets.js";

export const NEEDS_CHECKSUM = 1;
export const DATA_VALID = 2;
export const GSO = { none: 0, tcp4: 1, tcp6: 4, udp: 5, ecn: 0x80 } as const;
export const VNET_BYTES = 10;

export interface Vnet {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerBytes: number;
  readonly gsoBytes: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export const NO_VNET: Vnet = { flags: 0, gsoType: GSO.none, headerBytes: 0, gsoBytes: 0, checksumStart: 0, checksumOffset: 0 };

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function withVnet(vnet: Vnet, packet: Uint8Array): Uint8Array {
  const header = new Uint8Array(VNET_BYTES);
  header[0] = vnet.flags;
  header[1] = vnet.gsoType;
  [vnet.headerBytes, vnet.gsoBytes, vnet.checksumStart, vnet.checksumOffset].forEach((field, i) => view(header).setUint16(2 + 2 * i, field, true));
  return concat(header, packet);
}

export function takeVnet(bytes: Uint8Array): { readonly vnet: Vnet; readonly packet: Uint8Array } {
  const field = (at: number): number => view(bytes).getUint16(at, true);
  const vnet = { flags: bytes[0] ?? 0, gsoType: bytes[1] ?? 0, headerBytes: field(2), gsoBytes: field(4), checksumStart: field(6), checksumOffset: field(8) };
  return { vnet, packet: bytes.slice(VNET_BYTES) };
}

export interface Place {
  readonly protocol: number;
  /** Of the transport header. */
  readonly at: number;
}

export const versionOf = (packet: Uint8Array): number => (packet[0] ?? 0) >> 4;

/** Bytes of the IP packet at the beginning, as its header says; undefined when there is no whole packet. */
export function lengthOf(packet: Uint8Array): number | undefined {
  if (packet.length < 20) return undefined;
  if (versionOf(packet) === 4) {
    const [header, total] = [((packet[0] ?? 0) & 15) * 4, view(packet).getUint16(2)];
    return header >= 20 && total >= header && total <= packet.length ? total : undefined;
  }
  if (versionOf(packet) !== 6 || packet.length < 40 || (view(packet).getUint16(4) === 0 && packet[6] === 0)) return undefined;
  const total = 40 + view(packet).getUint16(4);
  return total <= packet.length ? total : undefined;
}

/** The transport header of a whole packet; undefined in later fragments and behind headers that cannot be walked. */
export function placeOf(packet: Uint8Array): Place | undefined {
  if (lengthOf(packet) !== packet.length) return undefined;
  if (versionOf(packet) === 4) {
    return (view(packet).getUint16(6) & 0x1fff) === 0 ? { protocol: packet[9] ?? 0, at: ((packet[0] ?? 0) & 15) * 4 } : undefined;
  }
  let [protocol, at] = [packet[6] ?? 0, 40];
  for (let walked = 0; [0, 43, 44, 60].includes(protocol); walked++) {
    if (walked === 8 || at + 8 > packet.length) return undefined;
    if (protocol === 44 && view(packet).getUint16(at + 2) >> 3 !== 0) return undefined;
    if (protocol === 43 && packet[at + 3] !== 0) return undefined;
    const bytes = protocol === 44 ? 8 : 8 * ((packet[at + 1] ?? 0) + 1);
    protocol = packet[at] ?? 0;
    at += bytes;
  }
  return at <= packet.length ? { protocol, at } : undefined;
}

export const TCP = 6;
export const UDP = 17;
const FIELD: Readonly<Record<number, number>> = { [TCP]: 16, [UDP]: 6 };

/** Where the TCP or UDP checksum of a whole packet is. */
export function checksumPlace(packet: Uint8Array): { readonly start: number; readonly field: number; readonly protocol: number } | undefined {
  const place = placeOf(packet);
  const offset = FIELD[place?.protocol ?? -1];
  if (place === undefined || offset === undefined || place.at + offset + 2 > packet.length) return undefined;
  return { start: place.at, field: place.at + offset, protocol: place.protocol };
}

/** The packet with the sum from `start` on in the field. */
export function summed(packet: Uint8Array, start: number, field: number, isUdp: boolean): Uint8Array {
  const out = Uint8Array.from(packet);
  const sum = fullChecksum(packet.subarray(start));
  out.set(be16(sum === 0 && isUdp ? 0xffff : sum), field);
  return out;
}

/** A packet whose checksum field holds the sum of the pseudo-header. */
export function completedPacket(packet: Uint8Array): Uint8Array {
  const place = checksumPlace(packet);
  if (place === undefined) throw new Error(`no checksum to complete in ${Buffer.from(packet).toString("hex")}`);
  return summed(packet, place.start, place.field, place.protocol === UDP);
}

/** The sum of the pseudo-header with this length, not inverted. */
function pseudoSum(packet: Uint8Array, protocol: number, length: number): number {
  const addresses = versionOf(packet) === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return 0xffff - fullChecksum(addresses, be16(protocol), be16(length));
}

/** The packet as one whose checksum is left to others. */
export function withPartialChecksum(packet: Uint8Array): Uint8Array {
  const place = checksumPlace(packet);
  if (place === undefined) return packet;
  const out = Uint8Array.from(packet);
  out.set(be16(pseudoSum(packet, place.protocol, packet.length - place.start)), place.field);
  return out;
}

/** IPv4 header with a new checksum. */
export function withHeaderChecksum(packet: Uint8Array): Uint8Array {
  if (versionOf(packet) !== 4) return packet;
  const out = Uint8Array.from(packet);
  out.set([0, 0], 10);
  out.set(be16(fullChecksum(out.subarray(0, ((out[0] ?? 0) & 15) * 4))), 10);
  return out;
}

const MAX_HEADER_BYTES = 120;

/** What the packet is cut at; undefined: the vnet header and the packet contradict each other. */
function headerOf({ gsoType, gsoBytes }: Vnet, packet: Uint8Array): { readonly ipBytes: number; readonly bytes: number; readonly protocol: number } | undefined {
  const type = gsoType & ~GSO.ecn;
  const place = placeOf(packet);
  const protocol = type === GSO.udp ? UDP : TCP;
  const fits = type === GSO.udp || type === (versionOf(packet) === 4 ? GSO.tcp4 : GSO.tcp6);
  if (!fits || gsoBytes === 0 || place?.protocol !== protocol) return undefined;
  if (versionOf(packet) === 4 && (view(packet).getUint16(6) & 0x2000) !== 0) return undefined;
  if (place.at + (protocol === TCP ? 20 : 8) > packet.length) return undefined;
  const transport = protocol === TCP ? ((packet[place.at + 12] ?? 0) >> 4) * 4 : 8;
  if (transport < (protocol === TCP ? 20 : 8) || place.at + transport >= packet.length) return undefined;
  // No kernel makes longer ones.
  if (place.at + transport > MAX_HEADER_BYTES) return undefined;
  return { ipBytes: place.at, bytes: place.at + transport, protocol };
}

/** The packets that a train from the TUN stands for, with partial checksums. undefined: its vnet header says what cannot be. */
export function packetsOfTrain(vnet: Vnet, bytes: Uint8Array): readonly Uint8Array[] | undefined {
  const length = lengthOf(bytes);
  const packet = bytes.subarray(0, length ?? 0);
  const header = length === undefined ? undefined : headerOf(vnet, packet);
  if (header === undefined) return undefined;
  const out: Uint8Array[] = [];
  for (let at = header.bytes; at < packet.length; at += vnet.gsoBytes) {
    const isLast = at + vnet.gsoBytes >= packet.length;
    const piece = concat(packet.subarray(0, header.bytes), packet.subarray(at, Math.min(at + vnet.gsoBytes, packet.length)));
    const fields = view(piece);
    if (versionOf(piece) === 4) {
      fields.setUint16(2, piece.length);
      fields.setUint16(4, (fields.getUint16(4) + out.length) & 0xffff);
    } else {
      fields.setUint16(4, piece.length - 40);
    }
    if (header.protocol === TCP) {
      fields.setUint32(header.ipBytes + 4, (fields.getUint32(header.ipBytes + 4) + at - header.bytes) >>> 0);
      let flags = piece[header.ipBytes + 13] ?? 0;
      if (!isLast) flags &= ~0x09;
      if (out.length > 0) flags &= ~0x80;
      piece[header.ipBytes + 13] = flags;
    } else {
      fields.setUint16(header.ipBytes + 4, piece.length - header.ipBytes);
    }
    out.push(withPartialChecksum(withHeaderChecksum(piece)));
  }
  return out;
}

/** The datagrams of a train. */
export function cutTrain(bytes: Uint8Array, segmentBytes: number): readonly Uint8Array[] {
  if (segmentBytes === 0 || segmentBytes >= bytes.length) return [bytes];
  return Array.from({ length: Math.ceil(bytes.length / segmentBytes) }, (_, i) => bytes.slice(i * segmentBytes, (i + 1) * segmentBytes));
}
