/** Reads what the gateway's table logs (NFLOG): of each new flow who was let where, or refused. */
import { errorLine, hasPorts, type Log } from "@i3/common";
import { openNflog, type Nflog } from "@i3/datapath/io";
import type { NativeIo, NflogEntry } from "@i3/datapath/native-io";

import { LOGGED } from "../nat/gateway-table.js";
import type { Decision, DecisionLog } from "../policy/decision-log.js";

// Ours:
/** Addresses and ports of IPv4 and IPv6, behind a few extension headers. */
const COPY_BYTES = 96;
const BUFFER_BYTES = 1024 * 1024;
const QUEUE_THRESHOLD = 64;
const FLUSH_MS = 200;
const WHAT: ReadonlyMap<string, keyof typeof LOGGED> = new Map((Object.keys(LOGGED) as (keyof typeof LOGGED)[]).map((what) => [LOGGED[what], what]));
// Of RFC 791, 8200:
const [IPV4_HEADER_BYTES, IPV6_HEADER_BYTES] = [20, 40] as const;
const EXTENSION_HEADERS: readonly number[] = [0, 43, 60];

export interface DecisionsOptions {
  readonly io: NativeIo;
  /** Of NFLOG. */
  readonly group: number;
  readonly decisions: DecisionLog;
  readonly log: Log;
}

/** Throws I3Error. */
export const readDecisions = ({ io, group, decisions, log }: DecisionsOptions): Nflog =>
  openNflog(io, {
    group, copyBytes: COPY_BYTES, bufferBytes: BUFFER_BYTES, queueThreshold: QUEUE_THRESHOLD, flushMs: FLUSH_MS,
    onEntries: (entries) => {
      for (const entry of entries) {
        const decision = decisionOf(entry);
        if (decision !== null) decisions.note(performance.now(), decision);
      }
    },
    onFailure: (error) => log("error", "decisions-unread", { error: errorLine(error), remedy: "Who is let where is decided as before, and no longer logged. Restart the gateway." }),
  });

/** Null: nothing of ours, or too short. Exported for its test. */
export function decisionOf({ prefix, packet }: Pick<NflogEntry, "prefix" | "packet">): Decision | null {
  const what = WHAT.get(prefix);
  if (what === undefined) return null;
  const found = (packet[0] ?? 0) >> 4 === 4 ? readIpv4(packet) : readIpv6(packet);
  if (found === null) return null;
  const { source, destination, protocol, rest } = found;
  const port = hasPorts(protocol) && rest.length >= 4 ? ((rest[2] ?? 0) << 8) | (rest[3] ?? 0) : null;
  return { admits: what === "allowed", over: what === "too-fast" || what === "too-many" ? what : null, client: source, server: destination, protocol, port };
}

interface Headers {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly rest: Uint8Array;
}

function readIpv4(packet: Uint8Array): Headers | null {
  const length = ((packet[0] ?? 0) & 0xf) * 4;
  if (length < IPV4_HEADER_BYTES || packet.length < length) return null;
  return { source: packet.slice(12, 16), destination: packet.slice(16, 20), protocol: packet[9] ?? 0, rest: packet.subarray(length) };
}

function readIpv6(packet: Uint8Array): Headers | null {
  if ((packet[0] ?? 0) >> 4 !== 6 || packet.length < IPV6_HEADER_BYTES) return null;
  let protocol = packet[6] ?? 0;
  let at: number = IPV6_HEADER_BYTES;
  while (EXTENSION_HEADERS.includes(protocol) && at + 2 <= packet.length) [protocol, at] = [packet[at] ?? 0, at + 8 + (packet[at + 1] ?? 0) * 8];
  return { source: packet.slice(8, 24), destination: packet.slice(24, 40), protocol, rest: packet.subarray(at) };
}
