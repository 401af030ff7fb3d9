/**
 * Opening ESP packets (docs/wire.md §7, "Receiver"; RFC 4303 §3.4): form, sequence number, ICV, and only then the replay window.
 */
import type { DropReason } from "../datapath.js";
import type { InboundAssociationEntry } from "./association-table.js";
import { TRAILER_BYTES, stateOfPadding } from "./esp-padding.js";
import { ESP_HEADER_BYTES, ICV_BYTES, type EspCipher } from "./esp-transforms.js";
import { u32, u8 } from "./octets.js";
import { CHECKSUM } from "./step.js";

export interface Opened {
  readonly payload: Buffer;
  readonly nextHeader: number;
  /** Of the packet inside, as its sender says. */
  readonly checksumState: number;
}

/** What is in the packet (SPI to ICV, at least {@link ESP_HEADER_BYTES}) of an association, or why it is dropped. `onGenuine`: it is, and whether no number was higher so far. */
export function openEsp({ cipher, window, checksumState }: InboundAssociationEntry, packet: Buffer, onGenuine: (isNewest: boolean) => void): Opened | DropReason {
  if (!hasForm(cipher, packet.length)) return "malformed";
  const sequence = window.infer(u32(packet, 4));
  if (sequence === null) return "replay";
  const text = cipher.open(packet, sequence);
  if (text === null) return "integrity";
  onGenuine(window.accept(sequence));
  const paddingBytes = u8(text, text.length - 2);
  const payloadBytes = text.length - TRAILER_BYTES - paddingBytes;
  if (payloadBytes < 0) return "inner-malformed";
  return {
    payload: text.subarray(0, payloadBytes),
    nextHeader: u8(text, text.length - 1),
    checksumState: checksumState ? stateOfPadding(payloadBytes, paddingBytes, cipher.blockBytes) : CHECKSUM.complete,
  };
}

function hasForm({ ivBytes, blockBytes, wholeBlocks }: EspCipher, length: number): boolean {
  const textBytes = length - ESP_HEADER_BYTES - ivBytes - ICV_BYTES;
  return textBytes >= TRAILER_BYTES && (!wholeBlocks || textBytes % blockBytes === 0);
}
