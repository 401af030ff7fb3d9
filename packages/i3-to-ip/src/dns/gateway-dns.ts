/**
 * What a gateway answers to DNS questions of its clients (docs/adr/0013-gateways.md): the name is looked up where the gateway is, both families at once, and the servers that it stands for get
 * virtual addresses there. The resolver's errors are passed on as they are. Without I/O.
 *
 * DEVIATION: CNAMEs are left out, the name itself has the addresses; signatures too, which would be about others.
 */
import { bytesKey, formatIpText, parseIpText } from "@i3/common";
import { decodedMessage, headerAnswer, isAsItCame, isOneQuestion, isQuery, optRecord, optRecordsOf } from "@i3/i3-proxy";
import { encode, type DecodedPacket, type Packet } from "dns-packet";
import { Buffer } from "node:buffer";

import { reachOf, type Reach } from "./reach.js";
import { decodeVirtualOption, encodeVirtualOption, VIRTUAL_OPTION, type VirtualOption } from "./virtual-option.js";

// Of RFC 1035, 6891, 8914:
const OPCODE_QUERY = 0;
const FLAGS = { recursionDesired: 0x0100, recursionAvailable: 0x0080, truncated: 0x0200 } as const;
const RCODE = { noError: 0, formatError: 1, serverFailure: 2, noName: 3, notImplemented: 4, refused: 5, badVersion: 16 } as const;
const EDE_OPTION = 15;
const EDE = { blocked: 15, filtered: 17, prohibited: 18 } as const;
const MIN_UDP_BYTES = 512;
const FAMILY: Readonly<Record<string, 4 | 16>> = { A: 4, AAAA: 16 };
const ANY = "ANY";
/** Their hints are real addresses, past the virtual ones (RFC 9460 §7.3). */
const WITHOUT_ANSWER: ReadonlySet<string> = new Set(["HTTPS", "SVCB", "UNKNOWN_64", "UNKNOWN_65"]);

// Ours:
/** Longest datagram that goes whole (DNS flag day 2020). */
const OUR_UDP_BYTES = 1_232;
/** Of one name and family: what programs try. */
const MAX_SERVERS = 8;

/** A question that the gateway's resolver is to answer. */
export interface GatewayQuestion {
  /** As it came. */
  readonly query: DecodedPacket;
  /** Lower case, without the last dot. */
  readonly name: string;
  /** What to ask for: A and AAAA together, or another type alone. */
  readonly types: readonly string[];
  readonly virtual: VirtualOption;
  readonly limit: number;
}

export type GatewayVerdict = { readonly kind: "ask"; readonly question: GatewayQuestion } | { readonly kind: "answer"; readonly bytes: Uint8Array } | { readonly kind: "drop" };

/** What the resolver said to one of {@link GatewayQuestion.types}; null: nothing. */
export type ResolverAnswer = DecodedPacket | null;

export interface GatewayDnsOptions {
  /** Whether the access list lets the client reach a server by that name. */
  readonly mayReach: (client: Uint8Array, name: string, real: Uint8Array, reach: Exclude<Reach, "nowhere">) => boolean;
  /** An address of this host, or one that is reached over the overlay: never a server's. */
  readonly isOwn: (address: Uint8Array) => boolean;
  /** Whether servers with IPv6 addresses can be reached from here. */
  readonly hasIpv6: () => boolean;
  /** Whether a server that has only the other family is given an address of the one that was asked for. */
  readonly translates: () => boolean;
  /** A client is told of a server, which it reaches from then on at the address that is returned, of so many bytes. Null: there is no room for one more, or at this try. */
  readonly lead: (client: Uint8Array, name: string, real: Uint8Array, virtual: VirtualOption, bytes: 4 | 16) => Uint8Array | null;
  /** Addresses that nobody is led to. */
  readonly onRefused: (client: Uint8Array, name: string, addresses: readonly string[], why: RefusalReason) => void;
}

/** own: of the gateway or the overlay, or special; access: by the list; full: too many are led already. */
export type RefusalReason = "own" | "access" | "full";

export class GatewayDns {
  readonly #options: GatewayDnsOptions;

  constructor(options: GatewayDnsOptions) {
    this.#options = options;
  }

  /** Decides about one message of a client. Never throws, whatever the bytes are. */
  read(message: Uint8Array, transport: "udp" | "tcp"): GatewayVerdict {
    if (!isQuery(message)) return { kind: "drop" };
    const query = isOneQuestion(message) ? decodedMessage(message) : null;
    const [question] = query?.questions ?? [];
    if (query === null || question === undefined || query.questions?.length !== 1 || !isAsItCame(message, query)) return { kind: "answer", bytes: headerAnswer(message, FLAGS.recursionAvailable, RCODE.formatError) };
    if ((((query.flags ?? 0) >> 11) & 0xf) !== OPCODE_QUERY) return { kind: "answer", bytes: headerAnswer(message, FLAGS.recursionAvailable, RCODE.notImplemented) };
    const opts = optRecordsOf(query);
    const [opt] = opts;
    if (opts.length > 1) return { kind: "answer", bytes: headerAnswer(message, FLAGS.recursionAvailable, RCODE.formatError) };
    const limit = transport === "tcp" ? 65_535 : Math.min(OUR_UDP_BYTES, Math.max(MIN_UDP_BYTES, opt?.udpPayloadSize ?? MIN_UDP_BYTES));
    if (opt !== undefined && opt.ednsVersion > 0) return answer(query, { rcode: RCODE.badVersion }, limit);
    const option = opt?.options.find(({ code }) => (code as number) === VIRTUAL_OPTION);
    const virtual = option?.data === undefined ? null : decodeVirtualOption(option.data);
    if (option !== undefined && virtual === null) return answer(query, { rcode: RCODE.formatError }, limit);
    // Whoever does not ask for virtual addresses would be told real ones, which lead nowhere from there.
    if (virtual === null || question.class !== "IN") return answer(query, { rcode: RCODE.refused, ede: EDE.prohibited }, limit);
    if (WITHOUT_ANSWER.has(question.type)) return answer(query, { rcode: RCODE.noError, virtual }, limit);
    const type: string = question.type;
    const types = type in FAMILY || type === ANY ? ["A", "AAAA"] : [type];
    return { kind: "ask", question: { query, name: question.name.toLowerCase().replace(/\.$/, ""), types, virtual, limit } };
  }

  /** The answer to a client's question, from those of the resolver, in the order of its types. */
  answer(client: Uint8Array, question: GatewayQuestion, answers: readonly ResolverAnswer[]): Uint8Array {
    const { query, virtual, limit, types } = question;
    const asked: string = query.questions?.[0]?.type ?? "";
    const heard = types.map((type, i): Heard => ({ type, packet: answers[i] ?? null }));
    const wanted = heard.filter(({ type }) => asked === type || asked === ANY || types.length === 1);
    const failed = wanted.find(({ packet }) => packet === null || rcodeOf(packet) !== RCODE.noError);
    const isNoName = failed !== undefined && failed.packet !== null && rcodeOf(failed.packet) === RCODE.noName;
    const other = isNoName || FAMILY[asked] === undefined || !this.#options.translates() ? undefined : heard.find(({ type }) => type !== asked);
    const servers = failed === undefined && types.some((type) => type in FAMILY) ? this.#serversOf(client, question, wanted, asked) : [];
    // As DNS64 does: only where the name has nothing of the family that was asked for; an error but "no such name", and silence, are as nothing (RFC 6147 §5.1.2, §5.1.3, §5.1.6).
    if (other !== undefined && servers.length === 0) servers.push(...this.#serversOf(client, question, [other], asked));
    if (failed !== undefined && servers.length === 0) return answer(query, failed.packet === null ? { rcode: RCODE.serverFailure } : { rcode: rcodeOf(failed.packet), authorities: failed.packet.authorities }, limit).bytes;
    const first = wanted[0]?.packet;
    if (!types.some((type) => type in FAMILY)) return answer(query, { rcode: RCODE.noError, answers: first?.answers, authorities: first?.authorities, virtual }, limit).bytes;
    // "Nothing there" would be kept, and another time there may be something.
    if (servers.length === 0 && other !== undefined && this.#mayHaveMore(other)) return answer(query, { rcode: RCODE.serverFailure }, limit).bytes;
    const refused = servers.filter((one): one is Refused => "why" in one);
    const led = servers.filter((one): one is Led => "virtual" in one);
    for (const why of new Set(refused.map((one) => one.why))) this.#options.onRefused(client, question.name, refused.filter((one) => one.why === why).map(({ real }) => formatIpText(real)), why);
    if (led.length === 0 && refused.length > 0) {
      const isFull = refused.every(({ why }) => why === "full");
      return answer(query, { rcode: isFull ? RCODE.serverFailure : RCODE.refused, ede: refused.some(({ why }) => why === "own") ? EDE.filtered : EDE.blocked }, limit).bytes;
    }
    const name = query.questions?.[0]?.name ?? "";
    const records = led.map(({ virtual: address }) => ({ type: address.length === 4 ? "A" as const : "AAAA" as const, name, class: "IN" as const, ttl: 0, data: formatIpText(address) }));
    return answer(query, { rcode: RCODE.noError, answers: records, authorities: records.length === 0 ? first?.authorities : undefined, virtual }, limit).bytes;
  }

  /** Not answered, or by an error that says nothing of the name; of a family that is reached from here. */
  #mayHaveMore({ type, packet }: Heard): boolean {
    if (FAMILY[type] === 16 && !this.#options.hasIpv6()) return false;
    return packet === null || ![RCODE.noError, RCODE.noName].some((rcode) => rcode === rcodeOf(packet));
  }

  #serversOf(client: Uint8Array, question: GatewayQuestion, heard: readonly Heard[], asked: string): (Led | Refused)[] {
    return heard.flatMap((one) => addressesIn(one)).flatMap((real) => this.#serverOf(client, question, real, FAMILY[asked] ?? (real.length === 4 ? 4 : 16)));
  }

  /** Nothing for a family that cannot be reached from here. */
  #serverOf(client: Uint8Array, { name, virtual }: GatewayQuestion, real: Uint8Array, bytes: 4 | 16): readonly (Led | Refused)[] {
    const { mayReach, isOwn, hasIpv6, lead } = this.#options;
    const reach = reachOf(real);
    if (reach === "nowhere" || isOwn(real)) return [{ real, why: "own" }];
    if (real.length === 16 && !hasIpv6()) return [];
    if (!mayReach(client, name, real, reach)) return [{ real, why: "access" }];
    const address = lead(client, name, real, virtual, bytes);
    return [address === null ? { real, why: "full" } : { real, virtual: address }];
  }
}

/** What the resolver said to a question of a type. */
interface Heard {
  readonly type: string;
  readonly packet: ResolverAnswer;
}
interface Led {
  readonly real: Uint8Array;
  readonly virtual: Uint8Array;
}
interface Refused {
  readonly real: Uint8Array;
  readonly why: RefusalReason;
}

/** To a client that the list lets reach nothing. */
export const refusedAnswer = ({ query, limit }: GatewayQuestion): Uint8Array => answer(query, { rcode: RCODE.refused, ede: EDE.prohibited }, limit).bytes;

/** SERVFAIL. */
export const failedAnswer = ({ query, limit }: GatewayQuestion): Uint8Array => answer(query, { rcode: RCODE.serverFailure }, limit).bytes;

const rcodeOf = (packet: DecodedPacket): number => {
  const [opt] = optRecordsOf(packet);
  return ((opt?.extendedRcode ?? 0) << 4) | ((packet.flags ?? 0) & 0xf);
};

/** Of the type that was asked for, without doubles, and no more than programs try. Of an error none. */
function addressesIn({ type, packet }: Heard): readonly Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  if (packet === null || rcodeOf(packet) !== RCODE.noError) return [];
  for (const record of packet.answers ?? []) {
    if (found.size >= MAX_SERVERS) break;
    if ((record.type !== "A" && record.type !== "AAAA") || record.type !== type) continue;
    const bytes = parseIpText(record.data);
    if (bytes !== undefined && bytes.length === FAMILY[record.type]) found.set(bytesKey(bytes), bytes);
  }
  return [...found.values()];
}

interface Parts {
  readonly rcode: number;
  readonly answers?: Packet["answers"];
  readonly authorities?: Packet["authorities"];
  /** RFC 8914. */
  readonly ede?: number;
  readonly virtual?: VirtualOption;
}

/** What is longer than `limit` loses its records and says so, so that the client asks again over TCP. */
function answer(query: DecodedPacket, parts: Parts, limit: number): { readonly kind: "answer"; readonly bytes: Uint8Array } {
  const whole = encoded(query, parts, 0);
  return { kind: "answer", bytes: whole.length <= limit ? whole : encoded(query, { ...parts, answers: [], authorities: [] }, FLAGS.truncated) };
}

function encoded(query: DecodedPacket, { rcode, answers = [], authorities = [], ede, virtual }: Parts, more: number): Uint8Array {
  const options = [
    ...(virtual === undefined ? [] : [{ code: VIRTUAL_OPTION, data: Buffer.from(encodeVirtualOption(virtual)) }]),
    ...(ede === undefined ? [] : [{ code: EDE_OPTION, data: Buffer.of(0, ede) }]),
  ];
  return Uint8Array.from(encode({
    type: "response", id: query.id ?? 0, flags: ((query.flags ?? 0) & FLAGS.recursionDesired) | FLAGS.recursionAvailable | more | (rcode & 0xf),
    questions: query.questions ?? [], answers, authorities, additionals: optRecordsOf(query).length === 0 ? [] : [optRecord(OUR_UDP_BYTES, rcode, options)],
  }));
}
