/**
 * Making ESP packets (docs/wire.md §7, "Padding", "BEET", "Tunnel mode").
 *
 *     | SPI 4 | sequence number 4 | IV | payload | padding 1 2 3 … | pad length 1 | next header 1 | ICV 16 |
 */
import type { OutboundEntry } from "./association-table.js";
import { canLeaveHeaderOut, headerBytesOf, protocolOf } from "./beet.js";
import { completed } from "./checksum-state.js";
import { leastPadding } from "./esp-padding.js";
import { ESP_HEADER_BYTES, ICV_BYTES } from "./esp-transforms.js";
import { PROTOCOL, innerVersion, type InnerPacket } from "./inner-packet.js";
import { put16, put32 } from "./octets.js";

/** One packet ready to be sealed. */
export interface SealPlan {
  readonly association: OutboundEntry;
  readonly packet: InnerPacket;
  /** What of the packet is left out in front. */
  readonly skippedBytes: number;
  readonly nextHeader: number;
  readonly paddingBytes: number;
  /** Of the ESP packet. */
  readonly totalBytes: number;
}

/** `isBare`: its addresses are the association's. */
export function planSeal(association: OutboundEntry, inner: InnerPacket, isBare: boolean): SealPlan {
  const { cipher, beet, checksumState } = association;
  const packet = checksumState ? inner : completed(inner);
  const version = innerVersion(packet.bytes, packet.at);
  const isBeet = isBare && canLeaveHeaderOut(packet, beet);
  const skippedBytes = isBeet ? headerBytesOf(version) : 0;
  const payloadBytes = packet.length - skippedBytes;
  const paddingBytes = leastPadding(payloadBytes, cipher.blockBytes) + (checksumState ? packet.state * cipher.blockBytes : 0);
  return {
    association,
    packet,
    skippedBytes,
    nextHeader: isBeet ? protocolOf(packet.bytes, packet.at) : version === 4 ? PROTOCOL.ipv4 : PROTOCOL.ipv6,
    paddingBytes,
    totalBytes: ESP_HEADER_BYTES + cipher.ivBytes + payloadBytes + paddingBytes + 2 + ICV_BYTES,
  };
}

/** Takes the next sequence number, of which there must be one, and writes the ESP packet at `at`. */
export function seal({ association, packet, skippedBytes, nextHeader, paddingBytes, totalBytes }: SealPlan, into: Buffer, at: number): void {
  const { cipher, spi } = association;
  const sequence = association.nextSequence++;
  const out = into.subarray(at, at + totalBytes);
  put32(out, 0, spi);
  put32(out, 4, Number(sequence & 0xffff_ffffn));
  const payloadAt = ESP_HEADER_BYTES + cipher.ivBytes;
  packet.bytes.copy(out, payloadAt, packet.at + skippedBytes, packet.at + packet.length);
  const paddingAt = payloadAt + packet.length - skippedBytes;
  for (let i = 0; i < paddingBytes; i++) out[paddingAt + i] = i + 1;
  put16(out, paddingAt + paddingBytes, (paddingBytes << 8) | nextHeader);
  cipher.seal(out, sequence);
}
