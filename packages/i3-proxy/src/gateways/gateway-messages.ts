/**
 * Questions to a gateway's DNS server, and its answers (docs/wire.md §11): the program's bytes, with one option more on the way there and one less on the way back. Without I/O.
 *
 * DEVIATION: records of the additional section other than OPT do not come to the program, and AD is never set: nobody has checked signatures over virtual addresses.
 */
import { concatBytes, decodeVirtualOption, encodeVirtualOption, sameBytes, VIRTUAL_OPTION, type VirtualOption } from "@i3/common";

import { HEADER_BYTES, readQuestion, readUint16, type Question } from "../dns/question.js";
import { isOfQuestion, readOptions, readRecords, type RawRecord } from "../dns/records.js";
import { failureOf } from "../dns/short-answers.js";

// Of RFC 1035, 3596, 6891, 9460:
const TYPE = { CNAME: 5, DNAME: 39, A: 1, AAAA: 28, OPT: 41, SVCB: 64, HTTPS: 65, ANY: 255 } as const;
const ADDRESS_QUESTIONS: ReadonlySet<number> = new Set([TYPE.A, TYPE.AAAA, TYPE.ANY]);
const CLASS_IN = 1;
const FLAG = { response: 0x8000, opcode: 0x7800, truncated: 0x0200, authentic: 0x0020, rcode: 0xf } as const;
const OPT_HEAD_BYTES = 11;

// Ours:
/** That a gateway may send without fragments, to a program that has not said what it takes (DNS flag day 2020). */
const OUR_UDP_BYTES = 1_232;

/** What is to be asked of a program's question, or of one of our own. */
export interface GatewayQuery {
  /** As the program sent it: one question, readable, without option 65001. */
  readonly query: Uint8Array;
  readonly question: Question;
}

/** Why a gateway's answer is not given to a program. foreign: addresses that it has no say in; malformed: no DNS. */
export type AnswerFault = "foreign" | "malformed";

export interface GatewayAnswer {
  /** For the program, but for its id, and not cut to what it takes. */
  readonly bytes: Uint8Array;
  /** Virtual addresses of servers, 4 or 16 bytes. */
  readonly addresses: readonly Uint8Array[];
  /** It is to be asked again over TCP. */
  readonly isCut: boolean;
}

/** Whether the option can be added to a query: it can be read to its end, and has it not yet. */
export function takesOption(query: Uint8Array, questionEnd: number): boolean {
  const records = readRecords(query, questionEnd);
  if (records === null || (records.at(-1)?.end ?? questionEnd) !== query.length) return false;
  const opts = records.filter(({ type }) => type === TYPE.OPT);
  return opts.length <= 1 && opts.every((opt) => readOptions(query, opt)?.every(({ code }) => code !== VIRTUAL_OPTION) === true);
}

/** The query with the option and another id. */
export function withOption({ query, question }: GatewayQuery, id: number, option: VirtualOption): Uint8Array {
  const data = encodeVirtualOption(option);
  const ours = concatBytes(Uint8Array.of(VIRTUAL_OPTION >> 8, VIRTUAL_OPTION & 0xff, 0, data.length), data);
  const opt = (readRecords(query, question.end) ?? []).find((record) => record.type === TYPE.OPT);
  let out: Uint8Array;
  if (opt === undefined) {
    const head = Uint8Array.of(0, 0, TYPE.OPT, OUR_UDP_BYTES >> 8, OUR_UDP_BYTES & 0xff, 0, 0, 0, 0, 0, ours.length);
    out = concatBytes(query, head, ours);
    writeUint16(out, 10, readUint16(query, 10) + 1);
  } else {
    out = concatBytes(query.subarray(0, opt.end), ours, query.subarray(opt.end));
    writeUint16(out, opt.dataAt - 2, opt.end - opt.dataAt + ours.length);
  }
  writeUint16(out, 0, id);
  return out;
}

/** Whether a message is an answer to what was sent: its id and its question, in the same letters. Who cannot read a question refuses it without repeating it (RFC 1035 §4.1.1). */
export function isAnswerTo(sent: Uint8Array, questionEnd: number, answer: Uint8Array): boolean {
  if (answer.length < HEADER_BYTES || readUint16(answer, 0) !== readUint16(sent, 0)) return false;
  const flags = readUint16(answer, 2);
  if ((flags & FLAG.response) === 0 || (flags & FLAG.opcode) !== 0) return false;
  if (readUint16(answer, 4) === 0) return answer.length === HEADER_BYTES && (flags & FLAG.rcode) !== 0;
  return readUint16(answer, 4) === 1 && sameBytes(answer.subarray(HEADER_BYTES, questionEnd), sent.subarray(HEADER_BYTES, questionEnd));
}

/**
 * Reads an answer that {@link isAnswerTo} has let through. Addresses are taken as the answer's records A and AAAA only, of the name and the type that were asked for, beside the option that they were
 * asked with; anything else that could lead a program to an address makes the answer foreign.
 */
export function readAnswer({ query, question }: GatewayQuery, answer: Uint8Array, option: VirtualOption): GatewayAnswer | AnswerFault {
  if (readUint16(answer, 4) === 0) return { bytes: failureOf(query, question.end, readUint16(answer, 2) & FLAG.rcode), addresses: [], isCut: false };
  const records = readRecords(answer, question.end);
  if (records === null) return "malformed";
  const opts = records.filter(({ type }) => type === TYPE.OPT);
  const [opt] = opts;
  const options = opt === undefined ? [] : readOptions(answer, opt);
  if (opts.length > 1 || options === null || (opt !== undefined && (opt.section !== "additional" || answer[opt.start] !== 0))) return "malformed";
  const hasOpt = (readRecords(query, question.end) ?? []).some(({ type }) => type === TYPE.OPT);
  // Without OPT the program would take it for another RCODE, or none.
  if (!hasOpt && opt !== undefined && answer[opt.ttlAt] !== 0) return "malformed";
  const addresses = addressesIn(answer, question, records);
  if (addresses === null) return "foreign";
  const ours = options.find(({ code }) => code === VIRTUAL_OPTION);
  if (addresses.length > 0 && (ours === undefined || !isSameOption(answer.subarray(ours.dataAt, ours.end), option))) return "foreign";
  const end = records.findLast(({ section }) => section !== "additional")?.end ?? question.end;
  const kept = options.filter(({ code }) => code !== VIRTUAL_OPTION).map(({ start, end: to }) => answer.subarray(start, to));
  const bytes = concatBytes(answer.subarray(0, end), ...(opt === undefined || !hasOpt ? [] : [answer.subarray(opt.start, opt.start + OPT_HEAD_BYTES), ...kept]));
  if (opt !== undefined && hasOpt) writeUint16(bytes, end + OPT_HEAD_BYTES - 2, kept.reduce((sum, { length }) => sum + length, 0));
  writeUint16(bytes, 10, opt !== undefined && hasOpt ? 1 : 0);
  const flags = readUint16(answer, 2);
  writeUint16(bytes, 2, flags & ~FLAG.authentic);
  for (const { type, ttlAt } of records) if (type === TYPE.A || type === TYPE.AAAA) bytes.fill(0, ttlAt, ttlAt + 4);
  bytes.set(query.subarray(0, 2));
  return { bytes, addresses, isCut: (flags & FLAG.truncated) !== 0 };
}

/** Null: some are where no address may be. */
function addressesIn(answer: Uint8Array, question: Question, records: readonly RawRecord[]): readonly Uint8Array[] | null {
  const addresses: Uint8Array[] = [];
  for (const record of records) {
    const { type, dataAt, end } = record;
    // Their hints are addresses.
    if (type === TYPE.HTTPS || type === TYPE.SVCB) return null;
    // A resolver here that follows them would look for their target where the gateway has no say: localhost, a peer, the router.
    if ((type === TYPE.CNAME || type === TYPE.DNAME) && ADDRESS_QUESTIONS.has(question.type)) return null;
    if (type !== TYPE.A && type !== TYPE.AAAA) continue;
    const isAsked = record.section === "answer" && record.dnsClass === CLASS_IN && (question.type === type || question.type === TYPE.ANY) && isOfQuestion(answer, record);
    if (!isAsked || end - dataAt !== (type === TYPE.A ? 4 : 16)) return null;
    addresses.push(answer.slice(dataAt, end));
  }
  return addresses;
}

function isSameOption(data: Uint8Array, { tries, range }: VirtualOption): boolean {
  const option = decodeVirtualOption(data);
  return option !== null && option.tries === tries && option.range.prefixBits === range.prefixBits && sameBytes(option.range.network, range.network);
}

/** A question of our own for a name that a program has asked for; its id is set when it is sent. Null: no name that can be asked for. */
export function ownQuery(name: string, family: 4 | 16): GatewayQuery | null {
  const labels = name.split(".");
  const body = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  const type = family === 4 ? TYPE.A : TYPE.AAAA;
  const query = Uint8Array.of(0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...body, 0, 0, type, 0, CLASS_IN);
  const question = readQuestion(query);
  return question === null || question.name !== name ? null : { query, question };
}

function writeUint16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}
