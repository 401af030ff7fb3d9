/** The kernel's connections (conntrack) in this network namespace: listed, counted, ended. */
import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { I3Error } from "@i3/common";
import type { ConntrackEntry, NativeIo } from "../native-io.js";
import { netfilterError } from "./port-errors.js";

export interface ConntrackUse {
  readonly count: number;
  /** Of all network namespaces each; only the machine's own can set it. */
  readonly max: number;
}

/**
 * The entries of a family in parts of some 200, with a turn of the event loop before each. With `address` (4 or 16 bytes) those whose original
 * source, reply source or reply destination it is; parts may be empty. What begins or ends meanwhile may be missed, and may come twice.
 * Rejects with I3Error ERR_I3_NO_NETFILTER (no CAP_NET_ADMIN, or not in this kernel), and with ERR_I3_BAD_NETFILTER behind the last part when
 * there were entries that could not be read.
 */
export async function* listConntrack(io: NativeIo, family: 4 | 6, address: Uint8Array | null = null): AsyncGenerator<readonly ConntrackEntry[]> {
  const fd = asked(() => io.openConntrackDump(family).fd);
  let malformed = 0;
  try {
    for (let isDone = false; !isDone; ) {
      await setImmediate();
      const part = asked(() => io.readConntrackDump(fd, address));
      isDone = part.isDone;
      malformed += part.malformed;
      yield part.entries;
    }
    if (malformed > 0) throw new I3Error("ERR_I3_BAD_NETFILTER", `conntrack: ${malformed} entries could not be read`);
  } finally {
    io.closeFd(fd);
  }
}

/**
 * Ends the connections that {@link listConntrack} has for the address, and says how many. Those that begin meanwhile may stay: take away first what
 * lets packets of the address through. Rejects as listConntrack.
 */
export async function endConntrackOf(io: NativeIo, address: Uint8Array): Promise<number> {
  let ended = 0;
  for await (const entries of listConntrack(io, address.length === 4 ? 4 : 6, address)) {
    ended += entries.filter((entry) => asked(() => io.deleteConntrack(entry))).length;
  }
  return ended;
}

/** null: this kernel has no conntrack, or it is not loaded. */
export function conntrackUse(read: (file: string) => string = (file) => readFileSync(file, "utf8")): ConntrackUse | null {
  const value = (name: string): number => Number.parseInt(read(`/proc/sys/net/netfilter/nf_conntrack_${name}`), 10);
  try {
    const use = { count: value("count"), max: value("max") };
    return Number.isInteger(use.count) && Number.isInteger(use.max) ? use : null;
  } catch {
    return null;
  }
}

function asked<T>(ask: () => T): T {
  try {
    return ask();
  } catch (cause) {
    throw cause instanceof TypeError ? cause : netfilterError("conntrack", cause);
  }
}
