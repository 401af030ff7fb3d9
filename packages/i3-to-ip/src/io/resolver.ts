/** Asks the resolvers of the gateway's system, past its own redirect of DNS: one after the other, over UDP, and over TCP what is too long. */
import { randomBytes } from "node:crypto";

import type { NativeIo } from "@i3/datapath/native-io";
import { askByTcp, decodedMessage, UdpUpstream, type Resolver } from "@i3/i3-proxy";
import { encode } from "dns-packet";

import type { ResolverAnswer } from "../dns/gateway-dns.js";

// Ours:
/** The next resolver is asked after this. Clients ask again after some 1 to 5 s. */
const NEXT_MS = 1_500;
const MOST_RESOLVERS = 3;
const TCP_MS = 4_000;
const MAX_TCP = 64;
/** Longer ones, of thousands of addresses, would keep this thread busy for a client. */
const MAX_ANSWER_BYTES = 16_384;
const UDP_BYTES = 1_232;
const HEADER_BYTES = 12;
const RECURSION_DESIRED = 0x0100;
const TRUNCATED = 0x0200;
const SERVFAIL = 2;

export interface AskingOptions {
  readonly io: NativeIo;
  /** SO_MARK, which the redirect spares. */
  readonly mark: number;
  readonly resolvers: () => readonly Resolver[];
}

export class AskedResolvers {
  readonly counters = { questions: 0, byTcp: 0, unanswered: 0, busy: 0 };
  readonly #options: AskingOptions;
  readonly #udp: UdpUpstream;
  readonly #timers = new Set<NodeJS.Timeout>();
  #tcp = 0;

  constructor(options: AskingOptions) {
    this.#options = options;
    this.#udp = new UdpUpstream({ io: options.io, mark: options.mark });
  }

  /** The answer to one question; null: nobody gave one. @param type as dns-packet writes it: "AAAA", "UNKNOWN_65" */
  async ask(name: string, type: string): Promise<ResolverAnswer> {
    this.counters.questions += 1;
    let last: ResolverAnswer = null;
    for (const resolver of this.#options.resolvers().slice(0, MOST_RESOLVERS)) {
      const found = await this.#askOne(resolver, name, type);
      if (found !== null && ((found.flags ?? 0) & 0xf) !== SERVFAIL) return found;
      last = found ?? last;
    }
    if (last === null) this.counters.unanswered += 1;
    return last;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#udp.close();
  }

  async #askOne(resolver: Resolver, name: string, type: string): Promise<ResolverAnswer> {
    const { query, questionEnd } = queryFor(name, type);
    const bytes = await this.#byUdp(resolver, query, questionEnd);
    const found = bytes === null ? null : decodedMessage(bytes);
    if (found === null || ((found.flags ?? 0) & TRUNCATED) === 0) return found;
    const whole = await this.#byTcp(resolver, query, questionEnd);
    return whole === null || whole.length > MAX_ANSWER_BYTES ? null : decodedMessage(whole);
  }

  #byUdp(resolver: Resolver, query: Uint8Array, questionEnd: number): Promise<Uint8Array | null> {
    return new Promise((resolve) => {
      const timer = this.#after(NEXT_MS, () => resolve(null));
      const isSent = this.#udp.forward(query, questionEnd, resolver, (answer) => {
        this.#forget(timer);
        resolve(answer.slice());
      });
      if (isSent) return;
      this.#forget(timer);
      resolve(null);
    });
  }

  #byTcp(resolver: Resolver, query: Uint8Array, questionEnd: number): Promise<Uint8Array | null> {
    if (this.#tcp >= MAX_TCP) {
      this.counters.busy += 1;
      return Promise.resolve(null);
    }
    const { io, mark } = this.#options;
    this.#tcp += 1;
    this.counters.byTcp += 1;
    return new Promise<Uint8Array | null>((resolve) => {
      try {
        askByTcp({ io, mark, resolver, query, questionEnd, timeoutMs: TCP_MS }, resolve);
      } catch {
        resolve(null);
      }
    }).finally(() => {
      this.#tcp -= 1;
    });
  }

  #after(ms: number, then: () => void): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #forget(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    this.#timers.delete(timer);
  }
}

function queryFor(name: string, type: string): { readonly query: Uint8Array; readonly questionEnd: number } {
  const id = randomBytes(2).readUInt16BE();
  const questions = [{ name, type: type as "A", class: "IN" as const }];
  const opt = { type: "OPT", name: ".", udpPayloadSize: UDP_BYTES, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [] } as unknown as never;
  const query = encode({ type: "query", id, flags: RECURSION_DESIRED, questions, additionals: [opt] });
  const questionEnd = encode({ type: "query", id, questions }).length;
  return { query, questionEnd: Math.max(HEADER_BYTES, questionEnd) };
}
