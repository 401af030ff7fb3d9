/** The engine's ports: where packets come from and go to. The native ones are in `native-ports.ts`, node's own in `dgram-port.ts`. */
import type { Batch, DatagramBatch, PacketBatch } from "../reference/step.js";

/** What a port dropped since it was opened. */
export interface PortDrops {
  /** Packets that the system did not take: full buffers (EAGAIN, ENOBUFS), no route, device down. */
  ioError: number;
  /** Datagrams that came in and were longer than a slot. */
  tooBig: number;
}

export interface Port<Packets extends Batch> {
  readonly drops: PortDrops;
  /**
   * Fills `batch` from slot 0 and sets its count. True: the port stopped because the batch was full, so there may be more.
   * Throws when the port is broken for good.
   */
  read(batch: Packets): boolean;
  /** Writes the batch and empties it; what is not taken is counted. Throws when the port is broken for good. */
  write(batch: Packets): void;
  /** Calls back once per turn of the event loop while there is something to read or the port is broken. */
  watch(callback: () => void): { close(): void };
  close(): void;
}

export type TunPort = Port<PacketBatch> & { readonly name: string; readonly index: number };
export type UdpPort = Port<DatagramBatch> & { readonly port: number; readonly family: 4 | 6 };

/** Removes the datagrams that were cut (length above the slot), keeping the order. Returns how many there were. */
export function removeCutDatagrams(batch: DatagramBatch): number {
  let kept = 0;
  for (let i = 0; i < batch.count; i++) {
    const length = batch.lengths[i] ?? 0;
    if (length > batch.slotBytes) continue;
    if (kept !== i) moveDatagram(batch, i, kept);
    kept += 1;
  }
  const removed = batch.count - kept;
  batch.count = kept;
  return removed;
}

function moveDatagram(batch: DatagramBatch, from: number, to: number): void {
  const { arena, slotBytes, lengths, addresses, trafficClasses } = batch;
  const length = lengths[from] ?? 0;
  arena.copyWithin(to * slotBytes, from * slotBytes, from * slotBytes + length);
  addresses.copyWithin(to * 18, from * 18, from * 18 + 18);
  lengths[to] = length;
  trafficClasses[to] = trafficClasses[from] ?? 0;
}
