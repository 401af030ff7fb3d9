/** The reference engine's port: where datagrams come from and go to. It is in `dgram-port.ts`; the native engine has its own. */
import type { SendFailure } from "../datapath.js";
import type { DatagramBatch } from "../reference/step.js";

/** What a port dropped since it was opened. */
export interface PortDrops {
  /** Packets that the system did not take: full buffers (EAGAIN, ENOBUFS), no route. */
  ioError: number;
  /** Datagrams that came in and were longer than a slot. */
  tooBig: number;
}

export interface UdpPort {
  readonly port: number;
  readonly family: 4 | 6;
  readonly drops: PortDrops;
  /** Called when the system refuses a datagram of {@link DatagramBatch.tells}, never from `write`. */
  onSendFailed: ((route: Uint8Array, reason: SendFailure) => void) | undefined;
  /**
   * Fills `batch` from slot 0 and sets its count. True: the port stopped because the batch was full, so there may be more.
   * Throws when the port is broken for good.
   */
  read(batch: DatagramBatch): boolean;
  /** Writes the batch and empties it; what is not taken is counted. Throws when the port is broken for good. */
  write(batch: DatagramBatch): void;
  /** Calls back once per turn of the event loop while there is something to read or the port is broken. */
  watch(callback: () => void): { close(): void };
  close(): void;
}
