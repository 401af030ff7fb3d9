/**
 * Signed records, which the ring keeps for those who ask (docs/wire.md §4.3): a few facts, and the Ed25519 key that says them.
 *
 *     0  version 1 | kind 1
 *     2  signer's Ed25519 public key 32
 *    34  label: length 1, ASCII 0–63
 *        sequence 8 | not after 8, s since 1970
 *        value: length 2, bytes
 *        signature 64 over "i3/1 record" 0 and all before it
 *
 * Value of a server list: for each of 1 to 32 servers `node key 16 | length of the locator 1 | locator`. Of a name: its HIT, 16.
 * The codec checks all of this form; the signature is for @i3/hip.
 */
import { bytesKey, concatBytes, u64Bytes } from "../bytes.js";
import { WireError } from "../errors.js";
import { domainHash } from "../hash.js";
import { HIT_BYTES, hitSuite, RING_KEY_BYTES } from "../ids.js";
import { decodeLocator, encodeLocator, locatorKey } from "../locator.js";
import type { RingNode } from "./control.js";

export const RECORD_KIND = { serverList: 1, name: 2 } as const;
export type RecordKind = (typeof RECORD_KIND)[keyof typeof RECORD_KIND];

/** So that RECORD_PUT and RECORD_IS fit into one datagram on every path. */
export const MAX_RECORD_BYTES = 1_000;
export const MAX_LISTED_SERVERS = 32;
export const SIGNER_BYTES = 32;
export const RECORD_SIGNATURE_BYTES = 64;

const VERSION = 1;
const OFFSET_SIGNER = 2;
const OFFSET_LABEL = 34;
const FIXED_BYTES = OFFSET_LABEL + 1 + 8 + 8 + 2 + RECORD_SIGNATURE_BYTES;
/** Of a name without a label, which there is not: nothing that is shorter can be a record. */
export const MIN_RECORD_BYTES = FIXED_BYTES + HIT_BYTES;
const LABEL = /^[a-z0-9_.-]{0,63}$/;
/** So that it is a whole number of milliseconds too. */
const MAX_NOT_AFTER_S = Math.floor(Number.MAX_SAFE_INTEGER / 1_000);

/** What a signer says. */
export interface RecordFields {
  readonly kind: RecordKind;
  /** 32 bytes. */
  readonly signer: Uint8Array;
  /** Tells records of one signer and kind apart: lower-case letters, digits and `_.-`, at most 63; of a name at least 1. */
  readonly label: string;
  /** Newer replaces older. */
  readonly sequence: number;
  /** From then on it is worth nothing, s since 1970, at least 1. */
  readonly notAfterS: number;
  readonly value: Uint8Array;
}

export interface SignedRecord extends RecordFields {
  /** All of it, a copy. */
  readonly bytes: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** Where on the ring a record is: 16 bytes. Follows from who signs it, so nobody can take another's place. */
export function recordKey({ kind, signer, label }: Pick<RecordFields, "kind" | "signer" | "label">): Uint8Array {
  if (signer.length !== SIGNER_BYTES) throw new WireError("record.signer", `${signer.length} bytes`);
  return domainHash("record", Uint8Array.of(kind), signer, new TextEncoder().encode(label)).slice(0, RING_KEY_BYTES);
}

/** What is signed, without the domain: a record but for its signature. Throws WireError when it would be none. */
export function encodeRecordFields(fields: RecordFields): Uint8Array {
  const { kind, signer, label, sequence, notAfterS, value } = fields;
  const text = new TextEncoder().encode(label);
  const bytes = concatBytes(
    Uint8Array.of(VERSION, kind), signer, Uint8Array.of(text.length), text, u64Bytes(sequence), u64Bytes(notAfterS), Uint8Array.of(value.length >> 8, value.length & 0xff), value,
  );
  decodeRecord(concatBytes(bytes, new Uint8Array(RECORD_SIGNATURE_BYTES)));
  return bytes;
}

/** Throws WireError on everything that has not the form of a record of a known kind. */
export function decodeRecord(bytes: Uint8Array): SignedRecord {
  if (bytes.length < FIXED_BYTES || bytes.length > MAX_RECORD_BYTES) throw new WireError("record", `${bytes.length} bytes`);
  if (bytes[0] !== VERSION) throw new WireError("record", `version ${bytes[0]}`);
  const kind = readKind(bytes[1]);
  const labelEnd = OFFSET_LABEL + 1 + (bytes[OFFSET_LABEL] ?? 0);
  const valueStart = labelEnd + 18;
  if (valueStart + RECORD_SIGNATURE_BYTES > bytes.length) throw new WireError("record.label", "longer than the record");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const valueEnd = valueStart + view.getUint16(valueStart - 2);
  if (valueEnd + RECORD_SIGNATURE_BYTES !== bytes.length) throw new WireError("record.value", "not as long as it says");
  const record = {
    kind, signer: bytes.slice(OFFSET_SIGNER, OFFSET_LABEL), label: readLabel(kind, bytes.subarray(OFFSET_LABEL + 1, labelEnd)),
    sequence: readNumber("sequence", view.getBigUint64(labelEnd), Number.MAX_SAFE_INTEGER), notAfterS: readNumber("notAfter", view.getBigUint64(labelEnd + 8), MAX_NOT_AFTER_S),
    value: bytes.slice(valueStart, valueEnd), bytes: new Uint8Array(bytes), signature: bytes.slice(valueEnd),
  };
  if (record.notAfterS === 0) throw new WireError("record.notAfter", "0");
  if (kind === RECORD_KIND.name) checkHit(record.value);
  else decodeServerList(record.value);
  return record;
}

function readKind(kind: number | undefined): RecordKind {
  if (kind !== RECORD_KIND.serverList && kind !== RECORD_KIND.name) throw new WireError("record.kind", `${kind}`);
  return kind;
}

function readLabel(kind: RecordKind, bytes: Uint8Array): string {
  const label = bytesKey(bytes);
  if (!LABEL.test(label)) throw new WireError("record.label", "not up to 63 letters, digits and _.-");
  if (kind === RECORD_KIND.name && label === "") throw new WireError("record.label", "a name without characters");
  return label;
}

function readNumber(field: string, value: bigint, max: number): number {
  if (value > BigInt(max)) throw new WireError(`record.${field}`, "out of range");
  return Number(value);
}

function checkHit(value: Uint8Array): void {
  if (hitSuite(value) === null) throw new WireError("record.value", "no HIT");
}

/** The value of a server list. Throws WireError when there are too few, too many, or one twice. */
export function encodeServerList(servers: readonly RingNode[]): Uint8Array {
  const value = concatBytes(...servers.map(({ key, locator }) => {
    const bytes = encodeLocator(locator);
    return concatBytes(key, Uint8Array.of(bytes.length), bytes);
  }));
  decodeServerList(value);
  return value;
}

/** The inverse of {@link encodeServerList}: 1 to 32 servers, none twice. Throws WireError. */
export function decodeServerList(value: Uint8Array): readonly RingNode[] {
  const servers: RingNode[] = [];
  const seen = new Set<string>();
  for (let at = 0; at < value.length;) {
    const start = at + RING_KEY_BYTES + 1;
    const end = start + (value[start - 1] ?? 0);
    if (end > value.length) throw new WireError("record.value", "a server list that is cut");
    const locator = decodeLocator(value.subarray(start, end));
    if (seen.has(locatorKey(locator))) throw new WireError("record.value", "one server twice");
    seen.add(locatorKey(locator));
    servers.push({ key: value.slice(at, start - 1), locator });
    at = end;
  }
  if (servers.length === 0 || servers.length > MAX_LISTED_SERVERS) throw new WireError("record.value", `a list of ${servers.length} servers`);
  return servers;
}
