/** Answers of header and question alone, made of a message's own bytes. */
import { HEADER_BYTES, readQuestion, readUint16 } from "./question.js";

// Of RFC 1035, 2535:
const FLAG = { response: 0x8000, truncated: 0x0200, recursionAvailable: 0x0080 } as const;
/** Opcode, RD and CD. */
const KEPT_IN_FAILURE = 0x7910;
const SERVFAIL = 2;

/** Header and question of a query, and an RCODE. */
export function failureOf(query: Uint8Array, questionEnd: number, rcode: number = SERVFAIL): Uint8Array {
  return headOf(query, questionEnd, (readUint16(query, 2) & KEPT_IN_FAILURE) | FLAG.response | FLAG.recursionAvailable | rcode);
}

/** An answer cut to `limit` bytes: header, question and TC, so that the program comes by TCP. */
export function cutTo(answer: Uint8Array, limit: number): Uint8Array {
  return answer.length <= limit ? answer : headOf(answer, readQuestion(answer)?.end ?? HEADER_BYTES, readUint16(answer, 2) | FLAG.truncated);
}

function headOf(message: Uint8Array, questionEnd: number, flags: number): Uint8Array {
  const out = message.slice(0, questionEnd);
  out[2] = flags >> 8;
  out[3] = flags & 0xff;
  out.fill(0, 6, HEADER_BYTES);
  return out;
}
