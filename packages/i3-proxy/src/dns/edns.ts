/**
 * The OPT record of a query (RFC 6891 §6.1.2). Nearly every query has none or just that one record after the question, which is read
 * here; everything else is left to dns-packet.
 *
 *     | 0 | type 41 2 | UDP size 2 | extended rcode 1 | version 1 | flags 2 | length 2 | options … |
 */
import { decode as decodePacket, type DecodedPacket } from "dns-packet";
import { Buffer } from "node:buffer";
import { readUint16 } from "./question.js";
import { hasRoom } from "./whole-messages.js";

export interface Opt {
  readonly udpBytes: number;
  readonly version: number;
  readonly flags: number;
}

export const FLAG_DNSSEC_OK = 0x8000;
const TYPE_OPT = 41;
const OPT_BYTES = 11;

// Ours:
/** Longest query about a name of ours that is read; a real one has at most a question, an OPT and a signature. */
const MAX_QUERY_BYTES = 4_096;

/** Null when there is none; "malformed" when anything after the question, which ends at `offset`, is. */
export function readOpt(query: Uint8Array, offset: number): Opt | null | "malformed" {
  if (query.length > MAX_QUERY_BYTES) return "malformed";
  const answersAndAuthorities = readUint16(query, 6) | readUint16(query, 8);
  const additionals = readUint16(query, 10);
  if (answersAndAuthorities === 0 && additionals === 0) return null;
  const isPlain =
    answersAndAuthorities === 0 && additionals === 1 && query[offset] === 0 && readUint16(query, offset + 1) === TYPE_OPT &&
    areOptions(query, offset + OPT_BYTES, readUint16(query, offset + 9));
  if (!isPlain) return decodedOpt(query);
  return { udpBytes: readUint16(query, offset + 3), version: query[offset + 6] ?? 0, flags: readUint16(query, offset + 7) };
}

/** Whether `length` bytes from `offset` to the query's end are options: code 2, length 2, data. */
function areOptions(query: Uint8Array, offset: number, length: number): boolean {
  const end = offset + length;
  if (end !== query.length) return false;
  let at = offset;
  while (at + 4 <= end) at += 4 + readUint16(query, at + 2);
  return at === end;
}

function decodedOpt(query: Uint8Array): Opt | null | "malformed" {
  const opts = (decode(query)?.additionals ?? [undefined]).filter((record) => record === undefined || record.type === "OPT");
  const [opt] = opts;
  if (opts.length === 0) return null;
  if (opts.length > 1 || opt === undefined || opt.name !== ".") return "malformed";
  return { udpBytes: opt.udpPayloadSize, version: opt.ednsVersion, flags: opt.flags };
}

function decode(query: Uint8Array): DecodedPacket | null {
  if (!hasRoom(query)) return null;
  try {
    return decodePacket(Buffer.from(query.buffer, query.byteOffset, query.length));
  } catch {
    return null;
  }
}
