/** DNS messages that are read and written whole, by dns-packet, by what answers others' questions itself: a gateway, the server of a domain. */
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { Buffer } from "node:buffer";

// Of RFC 1035:
const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x8000;
/** Opcode, RD and CD. */
const KEPT_FLAGS = 0x7910;

export type OptRecord = Extract<NonNullable<Packet["additionals"]>[number], { type: "OPT" }>;

/** Null: it is none. */
export function decodedMessage(message: Uint8Array): DecodedPacket | null {
  try {
    return decode(Buffer.from(message.buffer, message.byteOffset, message.length));
  } catch {
    return null;
  }
}

/** Whether a message asks something: neither too short nor an answer. */
export const isQuery = (message: Uint8Array): boolean => message.length >= HEADER_BYTES && ((message[2] ?? 0) & (FLAG_RESPONSE >> 8)) === 0;

/** Names whose bytes are no text would come back changed. */
export function isAsItCame(message: Uint8Array, { questions = [] }: DecodedPacket): boolean {
  const again = encode({ type: "query", questions });
  return Buffer.compare(again.subarray(HEADER_BYTES), message.subarray(HEADER_BYTES, again.length)) === 0;
}

export const optRecordsOf = ({ additionals = [] }: DecodedPacket): readonly OptRecord[] => additionals.filter((record): record is OptRecord => record.type === "OPT");

/** An OPT record of version 0. @param options code and data */
export const optRecord = (udpBytes: number, rcode: number, options: readonly { readonly code: number; readonly data: Buffer }[]): OptRecord =>
  ({ type: "OPT", name: ".", udpPayloadSize: udpBytes, extendedRcode: rcode >> 4, ednsVersion: 0, flags: 0, options }) as unknown as OptRecord;

/** To what cannot be read: its header alone (RFC 1035 §4.1.1). @param flags beside those of the query that stay */
export function headerAnswer(message: Uint8Array, flags: number, rcode: number): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES);
  out.set(message.subarray(0, 4));
  const all = (((out[2] ?? 0) << 8) | (out[3] ?? 0)) & KEPT_FLAGS;
  new DataView(out.buffer).setUint16(2, all | FLAG_RESPONSE | flags | rcode);
  return out;
}
