/**
 * What the proxy answers to DNS questions of local programs (paper §3.1, §3.2): A and AAAA of overlay names with
 * TTL 0, names of virtual addresses, and for everything else "forward": the system's resolvers get the bytes as they came.
 *
 * DEVIATION: class ANY is treated as not ours, as is every class but IN: forwarded, or refused for names that a rule or the suffix keeps here.
 */
import { type AnswerParts, RCODE, encodeAnswer } from "./dns-answer.js";
import { takesOption } from "../gateways/gateway-messages.js";
import { FLAG_DNSSEC_OK, readOpt, type Opt } from "./edns.js";
import { HEADER_BYTES, type Question, readQuestion, readUint16 } from "./question.js";
import { addressOfReverseName, inHitTree } from "./reverse-name.js";

export interface NameSource {
  /**
   * Overlay name (lower case, no trailing dot) → addresses, `null` for a family without one (both null: the name exists, as `i3` itself
   * does). A call counts as use, which keeps the mapping alive.
   */
  resolve(name: string): NameVerdict;
  /** The name of the gateway that is asked for a name; null: none is, and {@link resolve} knows more. @default none ever is */
  gatewayOf?(name: string): string | null;
  /** Whether a rule, or the suffix, keeps a name from the system's resolvers. @default none is, but by a gateway */
  isKept?(name: string): boolean;
  /** Whether a resolver library has made the name of a kept one and a search domain: it does not exist then, unless it is answered here. To be asked once for each question. @default none is */
  isSearched?(name: string): boolean;
  /** Whether the name is reached anonymously, and so answered elsewhere. @default none is */
  isAnonymous?(name: string): boolean;
  /** Whether an address (4 or 16 bytes) is one of which nobody may learn more: it has no name, and no resolver is asked. @default none is */
  hides?(address: Uint8Array): boolean;
  /** Calls once when what is "looking" now may be known, at once if it is none. Returns what takes the wish back. Required of sources that say "looking". */
  whenKnown?(name: string, done: () => void): () => void;
  /** A virtual address (4 or 16 bytes) → name, or null when not ours. */
  reverse(address: Uint8Array): string | null;
  /** The next answer tells a program this address: when this returns, the way to it exists. */
  told?(address: Uint8Array): void;
}

/** looking: it is asked for somewhere; unavailable: that cannot be done now. */
export type NameVerdict = NameAddresses | "unknown" | "elsewhere" | "unavailable" | "looking";

export interface NameAddresses {
  readonly v4: Uint8Array | null;
  readonly v6: Uint8Array | null;
}

export type DropReason = "short" | "response";

export type DnsVerdict =
  | { readonly kind: "answer"; readonly bytes: Uint8Array }
  | { readonly kind: "forward" }
  /** To be asked again when this name {@link NameSource.whenKnown is known}. */
  | { readonly kind: "wait"; readonly name: string }
  | GatewayQuestion
  | { readonly kind: "drop"; readonly reason: DropReason };

/** Somebody else answers, inside the association with the gateway of that name, or for names that are reached anonymously. The query has one question and can be read to its end. */
export interface GatewayQuestion {
  readonly kind: "gateway";
  /** Null: an anonymous name. */
  readonly via: string | null;
  readonly question: Question;
  /** Bytes that the program takes. */
  readonly limit: number;
}

// Of RFC 1035, 3596, 6891, 8482:
const TYPE = { A: 1, PTR: 12, AAAA: 28, ANY: 255 } as const;
const CLASS_IN = 1;
const OPCODE_QUERY = 0;
const FLAG_RESPONSE = 0x8000;
const MIN_UDP_BYTES = 512;

const FORWARD: DnsVerdict = { kind: "forward" };
const SHORT: DnsVerdict = { kind: "drop", reason: "short" };
const RESPONSE: DnsVerdict = { kind: "drop", reason: "response" };

/** What is known about a name of ours. */
type Known = { readonly rcode: number; readonly addresses: NameAddresses | null; readonly pointer: string | null };

const NO_SUCH_NAME: Known = { rcode: RCODE.nxDomain, addresses: null, pointer: null };
const NO_DATA: Known = { rcode: RCODE.noError, addresses: null, pointer: null };
const FAILURE: Known = { rcode: RCODE.serverFailure, addresses: null, pointer: null };

/** Decides about one DNS message from a local program. Never throws, whatever the bytes are. */
export function answerQuery(query: Uint8Array, names: NameSource, transport: "udp" | "tcp" = "udp"): DnsVerdict {
  if (query.length < HEADER_BYTES) return SHORT;
  const flags = readUint16(query, 2);
  if ((flags & FLAG_RESPONSE) !== 0) return RESPONSE;
  const opcode = (flags >> 11) & 0xf;
  const questions = readUint16(query, 4);
  // RFC 9619: one question, or it is malformed. Other operations may have none (RFC 8490), which nobody could forward.
  if (questions !== 1) return failure(query, null, questions === 0 && opcode !== OPCODE_QUERY ? RCODE.notImplemented : RCODE.formatError);
  const question = readQuestion(query);
  if (question === null) return failure(query, null, RCODE.formatError);
  // A gateway has no other classes (docs/wire.md §11), nor have hosts of the overlay, and their names are nobody else's to hear, nor are anonymous ones.
  if (question.dnsClass !== CLASS_IN) return (names.gatewayOf?.(question.name) ?? null) === null && names.isKept?.(question.name) !== true && !isHidden(question.name, names) ? FORWARD : failure(query, question, RCODE.refused);
  const known = look(question.name, names);
  if (known === null) return FORWARD;
  if (known === "looking") return { kind: "wait", name: question.name };
  if (opcode !== OPCODE_QUERY) return failure(query, question, RCODE.notImplemented);
  if ("via" in known) return toGateway(query, question, known.via, transport);
  return answerOwn(query, question, known, transport, names);
}

/** Null: not ours. */
function look(name: string, names: NameSource): Known | { readonly via: string | null } | "looking" | null {
  const address = addressOfReverseName(name);
  if (address !== null) {
    const pointer = names.reverse(address);
    if (pointer !== null) return { rcode: RCODE.noError, addresses: null, pointer };
    if (inHitTree(name) || names.hides?.(address) === true) return NO_SUCH_NAME;
    const via = names.gatewayOf?.(name) ?? null;
    return via === null ? null : { via };
  }
  if (inHitTree(name)) return NO_DATA;
  const isSearched = names.isSearched?.(name) === true;
  if (names.isAnonymous?.(name) === true) return { via: null };
  const via = names.gatewayOf?.(name) ?? null;
  if (via !== null) return { via };
  const found = names.resolve(name);
  if (found === "elsewhere") return isSearched ? NO_SUCH_NAME : null;
  if (found === "looking") return found;
  if (found === "unknown") return NO_SUCH_NAME;
  if (found === "unavailable") return FAILURE;
  return { rcode: RCODE.noError, addresses: found, pointer: null };
}

function isHidden(name: string, names: NameSource): boolean {
  const address = addressOfReverseName(name);
  return address === null ? names.isAnonymous?.(name) === true : names.hides?.(address) === true;
}

/** What its gateway could not answer is answered here. */
function toGateway(query: Uint8Array, question: Question, via: string | null, transport: "udp" | "tcp"): DnsVerdict {
  const opt = readOpt(query, question.end);
  if (opt === "malformed" || !takesOption(query, question.end)) return failure(query, question, RCODE.formatError);
  const limit = limitOf(opt, transport);
  if (opt !== null && opt.version > 0) return answer(query, question, { rcode: RCODE.badVersion, records: [], negative: false, edns: { dnssecOk: (opt.flags & FLAG_DNSSEC_OK) !== 0 } }, limit);
  return { kind: "gateway", via, question, limit };
}

const limitOf = (opt: Opt | null, transport: "udp" | "tcp"): number => (transport === "tcp" ? 65_535 : Math.max(MIN_UDP_BYTES, opt?.udpBytes ?? MIN_UDP_BYTES));

function answerOwn(query: Uint8Array, question: Question, known: Known, transport: "udp" | "tcp", names: NameSource): DnsVerdict {
  const opt = readOpt(query, question.end);
  if (opt === "malformed") return failure(query, question, RCODE.formatError);
  const limit = limitOf(opt, transport);
  const edns = opt === null ? null : { dnssecOk: (opt.flags & FLAG_DNSSEC_OK) !== 0 };
  // RFC 6891 §6.1.3: nothing but the version is answered to a version that is not known.
  if (opt !== null && opt.version > 0) return answer(query, question, { rcode: RCODE.badVersion, records: [], negative: false, edns }, limit);
  const records = recordsFor(question.type, known);
  if (known.addresses !== null) for (const record of records) if ("data" in record) names.told?.(record.data);
  const negative = records.length === 0 && known.rcode !== RCODE.serverFailure;
  return answer(query, question, { rcode: known.rcode, records, negative, edns }, limit);
}

function recordsFor(type: number, known: Known): AnswerParts["records"] {
  const any = type === TYPE.ANY;
  if (known.pointer !== null) return any || type === TYPE.PTR ? [{ type: TYPE.PTR, name: known.pointer }] : [];
  const v4 = known.addresses?.v4 ?? null;
  const v6 = known.addresses?.v6 ?? null;
  const records: { type: number; data: Uint8Array }[] = [];
  if (v4 !== null && (any || type === TYPE.A)) records.push({ type: TYPE.A, data: v4 });
  if (v6 !== null && (any || type === TYPE.AAAA)) records.push({ type: TYPE.AAAA, data: v6 });
  return records;
}

const failure = (query: Uint8Array, question: Question | null, rcode: number): DnsVerdict =>
  answer(query, question, { rcode, records: [], negative: false, edns: null }, MIN_UDP_BYTES);

const answer = (query: Uint8Array, question: Question | null, parts: AnswerParts, limit: number): DnsVerdict => ({
  kind: "answer",
  bytes: encodeAnswer(query, question, parts, limit),
});
