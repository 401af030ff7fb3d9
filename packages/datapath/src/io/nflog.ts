/** What nftables rules log to a group of NFLOG (`log prefix "…" group N`), read as it comes. */
import type { NativeIo, NflogBatch, NflogEntry, NflogOptions } from "../native-io.js";
import { nflogError } from "./port-errors.js";

/** Datagrams of one turn of the event loop; more wait for the next. */
const DATAGRAMS_PER_TURN = 16;
const SEQUENCES = 2 ** 32;

export interface NflogCounters {
  readonly entries: number;
  /** Packets that were logged and never came, by the gaps of the kernel's numbers: those behind the last entry are not among them yet. */
  readonly lost: number;
  /** Datagrams, each of up to `queueThreshold` packets, that found no room in the buffer (ENOBUFS). */
  readonly drops: number;
  readonly malformed: number;
}

export interface Nflog {
  counters(): NflogCounters;
  /** Frees the group. Twice is no error. */
  close(): void;
}

/**
 * Calls `onEntries` with what was logged, at most {@link DATAGRAMS_PER_TURN} times a turn. When reading fails for good it is called no more, and
 * `onFailure` once. Throws I3Error ERR_I3_NO_NETFILTER (no CAP_NET_ADMIN, or not in this kernel) or ERR_I3_NFLOG_BUSY.
 */
export function openNflog(
  io: NativeIo,
  options: NflogOptions & { readonly onEntries: (entries: readonly NflogEntry[]) => void; readonly onFailure: (error: Error) => void },
): Nflog {
  const { onEntries, onFailure, ...bound } = options;
  const fd = bind(io, bound);
  const counters = { entries: 0, lost: 0, drops: 0, malformed: 0 };
  let next = 0;
  let isOpen = true;
  const close = (): void => {
    if (isOpen) io.closeFd(fd);
    isOpen = false;
  };
  const countLost = ({ sequence }: NflogEntry): void => {
    counters.lost += (sequence - next + SEQUENCES) % SEQUENCES;
    next = (sequence + 1) % SEQUENCES;
  };
  const read = (): NflogBatch | null => {
    try {
      return io.readNflog(fd);
    } catch (error) {
      close();
      onFailure(error as Error);
      return null;
    }
  };
  /** Whether there may be more. */
  const takeOne = (): boolean => {
    const batch = read();
    if (batch === null) return false;
    batch.entries.forEach(countLost);
    counters.entries += batch.entries.length;
    counters.malformed += batch.malformed;
    counters.drops = batch.drops;
    if (batch.entries.length > 0) onEntries(batch.entries);
    return batch.more;
  };
  io.watchReadable(fd, () => {
    for (let i = 0; i < DATAGRAMS_PER_TURN && isOpen && takeOne(); i++);
  });
  return { counters: () => ({ ...counters }), close };
}

function bind(io: NativeIo, options: NflogOptions): number {
  try {
    return io.openNflog(options).fd;
  } catch (cause) {
    throw cause instanceof TypeError ? cause : nflogError(options.group, cause);
  }
}
