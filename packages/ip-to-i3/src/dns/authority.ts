/**
 * What this machine answers for its domain, to everybody's resolvers (RFC 1034 §4.3.2): names that need no guess have its own addresses, names with a waypoint the address that is theirs for now, with TTL 0.
 * The zone is not signed. Without I/O.
 */
import { formatIpText, type IpHost, type Network, type PublishedDomain, type PublishedName } from "@i3/common";
import { decodedMessage, headerAnswer, isAsItCame, isOneQuestion, isQuery, optRecord, optRecordsOf } from "@i3/i3-proxy";
import { encode, type Answer, type DecodedPacket } from "dns-packet";
import { Buffer } from "node:buffer";

import { answeredSubnet, readClientSubnet, siteOf, SUBNET_OPTION, type ClientSubnet } from "./client-subnet.js";
import type { PublishedZone, ZoneEntry } from "./published-zone.js";

// Of RFC 1035, 6891, 8482:
const FLAGS = { authoritative: 0x0400, truncated: 0x0200, recursionDesired: 0x0100 } as const;
const RCODE = { noError: 0, formatError: 1, serverFailure: 2, nxDomain: 3, notImplemented: 4, refused: 5, badVersion: 16 } as const;
const MIN_UDP_BYTES = 512;
const TRANSFERS: ReadonlySet<string> = new Set(["AXFR", "IXFR", "MAILA", "MAILB"]);

// Ours:
/** Longest datagram that goes whole (DNS flag day 2020). */
const OUR_UDP_BYTES = 1_232;
/** A question has a name, an OPT, and perhaps a signature. */
const MAX_QUERY_BYTES = 4_096;
const TTL_S = 300;
/** Of what is not there: a name that is published is found so soon. */
const NEGATIVE_S = 60;
const [REFRESH_S, RETRY_S, EXPIRE_S] = [3_600, 900, 604_800] as const;

/** A question for the address of a waypoint. */
export interface WaypointQuestion {
  readonly query: DecodedPacket;
  readonly published: PublishedName;
  readonly family: 4 | 16;
  /** Who will connect, as the resolver says; null: it may be anybody. */
  readonly site: Network | null;
  readonly subnet: ClientSubnet | null;
  readonly limit: number;
}

export type AuthorityVerdict = { readonly kind: "answer"; readonly bytes: Uint8Array } | { readonly kind: "waypoint"; readonly question: WaypointQuestion } | { readonly kind: "drop" };

export interface AuthorityOptions {
  readonly zone: PublishedZone;
  /** Families that there are waypoints of. */
  readonly families: readonly (4 | 16)[];
  /** Of the SOA: greater at every start. */
  readonly serial: number;
}

interface Parts {
  readonly rcode: number;
  readonly answers?: readonly Answer[];
  readonly additionals?: readonly Answer[];
  /** Nothing is found, and the SOA says for how long. */
  readonly isNegative?: boolean;
  readonly isOurs?: boolean;
  readonly scope?: number;
}

export class Authority {
  readonly #options: AuthorityOptions;

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Decides about one message. Never throws, whatever the bytes are. @param isCut too many are answered: the asker is to come by TCP */
  read(message: Uint8Array, transport: "udp" | "tcp", isCut = false): AuthorityVerdict {
    if (!isQuery(message)) return { kind: "drop" };
    if ((((message[2] ?? 0) >> 3) & 0xf) !== 0) return { kind: "answer", bytes: headerAnswer(message, 0, RCODE.notImplemented) };
    const query = message.length > MAX_QUERY_BYTES || !isOneQuestion(message) ? null : decodedMessage(message);
    const [question] = query?.questions ?? [];
    const opts = query === null ? [] : optRecordsOf(query);
    if (query === null || question === undefined || query.questions?.length !== 1 || opts.length > 1 || !isAsItCame(message, query)) return { kind: "answer", bytes: headerAnswer(message, 0, RCODE.formatError) };
    const [opt] = opts;
    if (isCut) return { kind: "answer", bytes: this.#encode(query, { rcode: RCODE.noError, isOurs: true }, null, FLAGS.truncated) };
    const limit = transport === "tcp" ? 65_535 : Math.min(OUR_UDP_BYTES, Math.max(MIN_UDP_BYTES, opt?.udpPayloadSize ?? MIN_UDP_BYTES));
    const said = opt?.options.find(({ code }) => (code as number) === SUBNET_OPTION)?.data;
    const subnet = said === undefined ? null : readClientSubnet(said);
    const answer = (parts: Parts): AuthorityVerdict => ({ kind: "answer", bytes: this.#answer(query, parts, subnet, limit) });
    if (opt !== undefined && opt.ednsVersion > 0) return answer({ rcode: RCODE.badVersion });
    if (said !== undefined && subnet === null) return answer({ rcode: RCODE.formatError });
    const type: string = question.type;
    if (question.class !== "IN" || TRANSFERS.has(type)) return answer({ rcode: RCODE.refused });
    const entry = this.#options.zone.find(question.name.toLowerCase().replace(/\.$/, ""));
    if (entry === "outside") return answer({ rcode: RCODE.refused });
    if (entry === "absent") return answer({ rcode: RCODE.nxDomain, isNegative: true });
    const family = type === "A" ? 4 : type === "AAAA" ? 16 : null;
    if (typeof entry === "string" || family === null || !this.#options.families.includes(family)) return answer(this.#found(question.name, type, entry));
    return { kind: "waypoint", question: { query, published: entry, family, site: subnet === null ? null : siteOf(subnet), subnet, limit } };
  }

  /** @param waypoint none: the host has no address of that family; null: there is none now (SERVFAIL) */
  answerWaypoint({ query, site, subnet, limit }: WaypointQuestion, waypoint: Uint8Array | "none" | null): Uint8Array {
    if (waypoint === "none") return this.#answer(query, { rcode: RCODE.noError, isNegative: true }, subnet, limit);
    if (waypoint === null) return this.#answer(query, { rcode: RCODE.serverFailure }, subnet, limit);
    const name = query.questions?.[0]?.name ?? "";
    return this.#answer(query, { rcode: RCODE.noError, answers: [address(name, waypoint, 0)], isOurs: true, scope: site?.bits ?? 0 }, subnet, limit);
  }

  #found(name: string, type: string, entry: ZoneEntry): Parts {
    const { domain } = this.#options.zone;
    const answers = answersFor(name, type, this.#addressesOf(entry));
    if (type === "ANY") answers.splice(0, answers.length, { type: "HINFO", name, class: "IN", ttl: TTL_S, data: { cpu: "RFC8482", os: "" } });
    if (entry === "apex" && type === "SOA") answers.push(soa(domain, this.#options.serial));
    if (entry === "apex" && type === "NS") answers.push({ type: "NS", name, class: "IN", ttl: TTL_S, data: domain.ns });
    const isDelegation = type === "NS" && answers.length > 0 && this.#options.zone.find(domain.ns) !== "outside";
    const additionals = isDelegation ? domain.nsAddresses.map(({ bytes }) => address(domain.ns, bytes, TTL_S)) : [];
    return { rcode: RCODE.noError, answers, additionals, isNegative: answers.length === 0, isOurs: true };
  }

  #addressesOf(entry: ZoneEntry): readonly IpHost[] {
    const { domain } = this.#options.zone;
    if (entry === "ns") return domain.nsAddresses;
    return entry === "own" || entry === "apex" ? domain.addresses : [];
  }

  /** What is longer than `limit` loses its records and says so, so that the asker comes by TCP. */
  #answer(query: DecodedPacket, parts: Parts, subnet: ClientSubnet | null, limit: number): Uint8Array {
    const whole = this.#encode(query, parts, subnet, 0);
    return whole.length <= limit ? whole : this.#encode(query, { rcode: parts.rcode, isOurs: true }, subnet, FLAGS.truncated);
  }

  #encode(query: DecodedPacket, { rcode, answers = [], additionals = [], isNegative = false, isOurs = isNegative, scope = 0 }: Parts, subnet: ClientSubnet | null, more: number): Uint8Array {
    const { zone, serial } = this.#options;
    const options = subnet === null ? [] : [{ code: SUBNET_OPTION, data: Buffer.from(answeredSubnet(subnet, scope)) }];
    const opt = optRecordsOf(query).length === 0 ? [] : [optRecord(OUR_UDP_BYTES, rcode, options)];
    return Uint8Array.from(encode({
      type: "response", id: query.id ?? 0, flags: ((query.flags ?? 0) & FLAGS.recursionDesired) | (isOurs ? FLAGS.authoritative : 0) | more | (rcode & 0xf),
      questions: query.questions ?? [], answers: [...answers], authorities: isNegative ? [soa(zone.domain, serial)] : [], additionals: [...additionals, ...opt],
    }));
  }
}

function answersFor(name: string, type: string, hosts: readonly IpHost[]): Answer[] {
  const length = type === "A" ? 4 : type === "AAAA" ? 16 : 0;
  return hosts.filter(({ bytes }) => bytes.length === length).map(({ bytes }) => address(name, bytes, TTL_S));
}

const address = (name: string, bytes: Uint8Array, ttl: number): Answer => ({ type: bytes.length === 4 ? "A" : "AAAA", name, class: "IN", ttl, data: formatIpText(bytes) });

const soa = ({ name, ns }: PublishedDomain, serial: number): Answer => ({
  type: "SOA", name, class: "IN", ttl: NEGATIVE_S, data: { mname: ns, rname: `hostmaster.${name}`, serial, refresh: REFRESH_S, retry: RETRY_S, expire: EXPIRE_S, minimum: NEGATIVE_S },
});
