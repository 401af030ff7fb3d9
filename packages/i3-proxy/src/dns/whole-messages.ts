/** DNS messages that are read and written whole, by dns-packet, by what answers others' questions itself: a gateway, the server of a domain. */
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { Buffer } from "node:buffer";

// Of RFC 1035:
const HEADER_BYTES = 12;
const FLAG_RESPONSE = 0x8000;
/** Opcode, RD and CD. */
const KEPT_FLAGS = 0x7910;

export type OptRecord = Extract<NonNullable<Packet["additionals"]>[number], { type: "OPT" }>;

/** Least bytes of a question, and of another record. */
const [QUESTION_BYTES, RECORD_BYTES] = [5, 11] as const;
/** Of a query: OPT, and a signature (RFC 8945). */
const MAX_ADDITIONALS = 2;

/** Records that the header promises: question, answer, authority, additional. */
const countsOf = (message: Uint8Array): readonly number[] => [4, 6, 8, 10].map((at) => ((message[at] ?? 0) << 8) | (message[at + 1] ?? 0));

/** Whether there is room for the records that the header promises; dns-packet makes it before it looks. */
export function hasRoom(message: Uint8Array): boolean {
  const [questions = 0, ...records] = countsOf(message);
  return HEADER_BYTES + questions * QUESTION_BYTES + records.reduce((sum, count) => sum + count, 0) * RECORD_BYTES <= message.length;
}

/** Whether a header is that of a query as programs send them: one question, no answers, and no more beside it than belongs there. */
export function isOneQuestion(message: Uint8Array): boolean {
  const [questions, answers, authorities, additionals = 0] = countsOf(message);
  return questions === 1 && answers === 0 && authorities === 0 && additionals <= MAX_ADDITIONALS;
}

/** Null: it is none. */
export function decodedMessage(message: Uint8Array): DecodedPacket | null {
  if (!hasRoom(message)) return null;
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
