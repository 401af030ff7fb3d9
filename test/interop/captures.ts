/**
 * Packets as a capture shows them: the IP and UDP headers that the engine leaves to the kernel, and the file of libpcap
 * (link type RAW: each record is one IP packet).
 *
 *     0  magic 4 | version 2, 4 (2 each) | 0 (8) | longest record 4 | link type 4        then for each packet:
 *     0  seconds 4 | microseconds 4 | length in the file 4 | length on the wire 4 | packet
 */
import { be16, be32, concat, ip4Packet, ip6Packet, sealTransport } from "../../packages/datapath/test/reference/packets.js";

const MAGIC = 0xa1b2_c3d4;
const LINK_TYPE_RAW = 101;

export function pcapOf(packets: readonly Uint8Array[]): Uint8Array {
  const header = concat(be32(MAGIC), be16(2), be16(4), be32(0), be32(0), be32(65_535), be32(LINK_TYPE_RAW));
  return concat(header, ...packets.map((packet, i) => concat(be32(1_000_000_000 + i), be32(0), be32(packet.length), be32(packet.length), packet)));
}

export interface Outer {
  /** Both 4 or both 16 bytes. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

const DF = 0x4000;

/** `payload` directly in IP. */
export const inIp = ({ source, destination }: Outer, protocol: number, payload: Uint8Array): Uint8Array =>
  source.length === 4
    ? ip4Packet({ source, destination, protocol, fragment: DF, identification: 0 }, payload)
    : ip6Packet({ source, destination, nextHeader: protocol }, payload);

/** `payload` in UDP, from and to `port`. */
export const inUdp = (outer: Outer, port: number, payload: Uint8Array): Uint8Array =>
  inIp(outer, 17, sealTransport(outer.source, outer.destination, 17, concat(be16(port), be16(port), be16(8 + payload.length), be16(0), payload)));
