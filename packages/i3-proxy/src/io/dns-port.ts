/**
 * Where local programs' DNS questions arrive: UDP and TCP on 127.0.0.1 and ::1, on one port for each resolver of the system, so that
 * a question that is not ours goes on to the resolver that the program meant.
 *
 *     port     first resolver, and every server that resolv.conf does not name
 *     port+1   second resolver …
 */
import { isIPv6 } from "node:net";
import { formatIpText, I3Error, unmapped } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";
import { answerQuery, type DnsVerdict, type DropReason, type GatewayQuestion, type NameSource } from "../dns/dns-core.js";
import { HEADER_BYTES, readQuestion, type Question } from "../dns/question.js";
import { failureOf } from "../dns/short-answers.js";
import { TcpListener } from "./dns-port-tcp.js";
import { WaitingQuestions, type WaitingCounters } from "./dns-port-waiting.js";
import { SOCKET_ADDRESS_BYTES, UdpUpstream, type UpstreamCounters } from "./dns-upstream.js";
import { MAX_RESOLVERS, type Resolver } from "./dns-upstream-resolvers.js";
import { ScopedUpstream } from "./dns-upstream-scoped.js";
import { GatewayUpstream, type GatewayUpstreamOptions } from "./gateway-upstream.js";

export interface DnsPortOptions {
  readonly io: NativeIo;
  /** First of up to {@link MAX_RESOLVERS} ports in a row. */
  readonly port: number;
  /** SO_MARK of the questions that we pass on. */
  readonly mark: number;
  readonly names: NameSource;
  /** Where it listens, instead of on the loopback interface, at one port: whoever asks there knows one resolver, so that ours take turns. 4 or 16 bytes. */
  readonly at?: readonly Uint8Array[];
  /** Answers with addresses behind gateways wait for it. @default nothing has to come into force */
  readonly inForce?: () => Promise<void>;
  /** Whether one more question may go to a gateway, of whoever asks; what is over is to be told. @default yes */
  readonly shares?: { readonly begin: (client: string) => boolean; readonly end: (client: string) => void };
  /** Whom names are asked that are behind gateways. @default nobody: they fail */
  readonly gateways?: GatewayUpstreamOptions["gateways"] | undefined;
  /** Who answers for names that are reached anonymously. @default nobody: they fail */
  readonly anonymous?: { ask(asked: AskedAnonymously): void } | undefined;
}

/** A program's question for a name that is reached anonymously. */
export interface AskedAnonymously {
  /** Readable to its end; the caller's no more. */
  readonly query: Uint8Array;
  readonly question: Question;
  readonly transport: "udp" | "tcp";
  /** Bytes that the program takes. */
  readonly limit: number;
  /** Called once, unless everything is closed before. */
  readonly reply: (answer: Uint8Array) => void;
}

export interface DnsCounters extends UpstreamCounters {
  /** Questions of ours that were answered. */
  own: number;
  drops: Record<DropReason | "oversize" | "unreadable", number>;
  tcpConnections: number;
  waiting: WaitingCounters;
}

/** Queries longer than this do not come over UDP. */
const SLOT_BYTES = 4_096;
const SLOTS = 32;
const BUFFER_BYTES = 1024 * 1024;
const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;

interface UdpListener {
  readonly fd: number;
  readonly watch: { close(): void };
}

/** The sockets of one port. */
interface PortSockets {
  readonly port: number;
  readonly udp: UdpListener[];
  readonly tcp: TcpListener[];
}

export class DnsPort {
  readonly #options: DnsPortOptions;
  readonly #upstream: UdpUpstream;
  readonly #scoped: ScopedUpstream;
  readonly #ports: PortSockets[] = [];
  readonly #gateways: GatewayUpstream | undefined;
  readonly #waiting: WaitingQuestions;
  readonly #counts = { own: 0, drops: { short: 0, response: 0, oversize: 0, unreadable: 0 } };
  readonly #queries = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly #queryLengths = new Int32Array(SLOTS);
  readonly #clients = new Uint8Array(SLOTS * SOCKET_ADDRESS_BYTES);
  readonly #oneLength = new Int32Array(1);
  #resolvers: readonly Resolver[];
  #ipv6 = true;
  #turn = 0;

  private constructor(options: DnsPortOptions, resolvers: readonly Resolver[]) {
    this.#options = options;
    this.#resolvers = resolvers;
    this.#waiting = new WaitingQuestions(options.names);
    this.#upstream = new UdpUpstream(options);
    this.#scoped = new ScopedUpstream(options.io, options.mark);
    const { io, names, gateways } = options;
    this.#gateways = gateways === undefined ? undefined : new GatewayUpstream({ io, names, gateways });
  }

  /** Throws I3Error ERR_I3_PORT_IN_USE or ERR_I3_DNS_PORT with a remedy. `resolvers` must not be empty. */
  static async open(options: DnsPortOptions, resolvers: readonly Resolver[]): Promise<DnsPort> {
    const dns = new DnsPort(options, resolvers);
    try {
      await dns.#openPorts();
    } catch (error) {
      await dns.close();
      throw error;
    }
    return dns;
  }

  /** Whether ::1 exists, so that IPv6 questions can be answered. */
  get ipv6(): boolean {
    return this.#ipv6;
  }

  /** The local port of each resolver, in their order. */
  get ports(): readonly number[] {
    return this.#resolvers.map((_, i) => this.#ports[i]?.port ?? this.#options.port);
  }

  /** Other resolvers from now on. Rejects, with the old ports open and the new resolvers in use, when a further port cannot be opened. */
  async setResolvers(resolvers: readonly Resolver[]): Promise<void> {
    this.#resolvers = resolvers;
    await this.#openPorts();
  }

  counters(): DnsCounters {
    const tcpConnections = this.#ports.flatMap(({ tcp }) => tcp).reduce((sum, { connections }) => sum + connections, 0);
    return { ...this.#upstream.counters, own: this.#counts.own, drops: { ...this.#counts.drops }, tcpConnections, waiting: { ...this.#waiting.counters } };
  }

  /** Asks a gateway for a name once more, as for a program. */
  askAgain(name: string, family: 4 | 16): void {
    const via = this.#options.names.gatewayOf?.(name) ?? null;
    if (via !== null) this.#gateways?.askAgain(via, name, family);
  }

  /** Sends a gateway a question, so that it is called. */
  callGateway(via: string): void {
    this.#gateways?.askAgain(via, via, 4);
  }

  async close(): Promise<void> {
    this.#waiting.close();
    this.#gateways?.close();
    this.#upstream.close();
    for (const { udp, tcp } of this.#ports.splice(0)) {
      for (const { fd, watch } of udp) {
        watch.close();
        this.#options.io.closeFd(fd);
      }
      await Promise.all(tcp.map((listener) => listener.close()));
    }
  }

  /** Ports stay open when there are fewer resolvers: programs may still be waiting there. */
  async #openPorts(): Promise<void> {
    for (let i = this.#ports.length; i < (this.#options.at === undefined ? Math.min(this.#resolvers.length, MAX_RESOLVERS) : 1); i += 1) {
      const sockets: PortSockets = { port: this.#options.port + i, udp: [], tcp: [] };
      this.#ports.push(sockets);
      try {
        for (const address of this.#options.at?.map(formatIpText) ?? [LOOPBACK[4], ...(this.#ipv6 ? [LOOPBACK[6]] : [])]) await this.#openSockets(sockets, address, i);
      } catch (cause) {
        throw this.#options.at === undefined ? portError(cause, sockets.port) : siteError(cause, this.#options.at);
      }
    }
  }

  async #openSockets(sockets: PortSockets, address: string, index: number): Promise<void> {
    const { io, mark } = this.#options;
    const family = isIPv6(address) ? 6 : 4;
    const resolver = (): Resolver => (this.#options.at === undefined ? this.#resolvers[index] : this.#resolvers[(this.#turn += 1) % this.#resolvers.length]) ?? this.#firstResolver();
    try {
      const { fd } = io.openUdp({ family, address, port: sockets.port, mark: 0, bufferBytes: BUFFER_BYTES });
      sockets.udp.push({ fd, watch: io.watchReadable(fd, () => this.#onReadable(fd, resolver())) });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (address !== LOOPBACK[6] || (code !== "EADDRNOTAVAIL" && code !== "EAFNOSUPPORT")) throw error;
      this.#ipv6 = false;
      return;
    }
    const tcp = new TcpListener({ io, mark, resolver, answer: (query) => this.#answer(query, "tcp"), wait: (query, name, from, settled) => this.#wait(query, name, "tcp", from, settled), toGateway: (query, verdict, from, reply) => this.#toGateway(query, verdict, "tcp", from, reply) });
    await tcp.listen(address, sockets.port);
    sockets.tcp.push(tcp);
  }

  #firstResolver(): Resolver {
    const [first] = this.#resolvers;
    if (first === undefined) throw new RangeError("no resolvers");
    return first;
  }

  #onReadable(fd: number, resolver: Resolver): void {
    let count = 0;
    try {
      count = this.#options.io.receiveBatch(fd, this.#queries, SLOT_BYTES, this.#queryLengths, this.#clients);
    } catch {
      // An ICMP error about an answer of ours: the program is gone.
      return;
    }
    for (let i = 0; i < count; i += 1) {
      const length = this.#queryLengths[i] ?? 0;
      if (length > SLOT_BYTES) {
        this.#counts.drops.oversize += 1;
        continue;
      }
      const query = this.#queries.subarray(i * SLOT_BYTES, i * SLOT_BYTES + length);
      this.#onQuery(fd, query, this.#clients.subarray(i * SOCKET_ADDRESS_BYTES, (i + 1) * SOCKET_ADDRESS_BYTES), resolver);
    }
  }

  #onQuery(fd: number, query: Uint8Array, client: Uint8Array, resolver: Resolver): void {
    this.#follow(this.#answer(query, "udp"), query, fd, client, resolver);
  }

  #follow(verdict: DnsVerdict, query: Uint8Array, fd: number, client: Uint8Array, resolver: Resolver): void {
    if (verdict.kind === "answer") this.#send(fd, verdict.bytes, client);
    else if (verdict.kind === "forward") this.#forward(fd, query, client, resolver);
    else if (verdict.kind === "wait") this.#whenKnown(query.slice(), verdict.name, fd, client.slice(), resolver);
    else if (verdict.kind === "gateway") {
      const to = client.slice();
      this.#toGateway(query, verdict, "udp", textOf(to), (bytes) => this.#send(fd, bytes, to));
    }
  }

  #toGateway(query: Uint8Array, { via, question, limit }: GatewayQuestion, transport: "udp" | "tcp", client: string, reply: (answer: Uint8Array) => void): void {
    if (via === null && this.#options.anonymous !== undefined) return this.#options.anonymous.ask({ query: Uint8Array.from(query), question, limit, transport, reply });
    if (via === null || this.#gateways === undefined) return reply(failureOf(query, question.end));
    const { inForce, shares } = this.#options;
    // Whoever asks so much asks again later.
    if (shares?.begin(client) === false) return;
    // The buffer is another one's by then.
    const kept = Uint8Array.from(query);
    const done = (answer: Uint8Array): void => {
      shares?.end(client);
      if (inForce === undefined) reply(answer);
      else void inForce().then(() => reply(answer), () => reply(failureOf(kept, question.end)));
    };
    this.#gateways.ask({ query: kept, question, via, limit, transport, reply: done });
  }

  #whenKnown(query: Uint8Array, name: string, fd: number, client: Uint8Array, resolver: Resolver): void {
    this.#wait(query, name, "udp", textOf(client), (verdict) => this.#follow(verdict, query, fd, client, resolver));
  }

  /** Gives the verdict once, which is none to wait any more. */
  #wait(query: Uint8Array, name: string, transport: "udp" | "tcp", client: string, settled: (verdict: DnsVerdict) => void): void {
    const fail = (): void => settled({ kind: "answer", bytes: failureOf(query, readQuestion(query)?.end ?? HEADER_BYTES) });
    const know = (): void => {
      const verdict = this.#answer(query, transport);
      if (verdict.kind === "wait") fail();
      else settled(verdict);
    };
    this.#waiting.add(name, know, fail, client);
  }

  #answer(query: Uint8Array, transport: "udp" | "tcp"): DnsVerdict {
    const verdict = answerQuery(query, this.#options.names, transport);
    if (verdict.kind === "answer") this.#counts.own += 1;
    else if (verdict.kind === "drop") this.#counts.drops[verdict.reason] += 1;
    return verdict;
  }

  #forward(fd: number, query: Uint8Array, client: Uint8Array, resolver: Resolver): void {
    const question = readQuestion(query);
    if (question === null) {
      this.#counts.drops.unreadable += 1;
      return;
    }
    const to = client.slice();
    const upstream = resolver.zone === null ? this.#upstream : this.#scoped;
    const reply = (answer: Uint8Array): void => this.#send(fd, answer, to);
    // A resolver that cannot be reached at all: the program learns it at once and asks the next one, as it would without us.
    if (!upstream.forward(query, question.end, resolver, reply)) this.#send(fd, failureOf(query, question.end), to);
  }

  #send(fd: number, bytes: Uint8Array, client: Uint8Array): void {
    this.#oneLength[0] = bytes.length;
    try {
      this.#options.io.sendBatch(fd, bytes, bytes.length, this.#oneLength, client, 1);
    } catch {
      // The port was closed meanwhile.
    }
  }
}

/** Of who asks, an address as NativeIo has it. */
const textOf = (address: Uint8Array): string => formatIpText(unmapped(address.subarray(0, 16)));

function siteError(cause: unknown, at: readonly Uint8Array[]): I3Error {
  const places = at.map(formatIpText).join(", ");
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return new I3Error("ERR_I3_PORT_IN_USE", `<site>: another DNS server answers at ${places}`, { cause, remedy: "Stop it, or let it listen elsewhere (ss -lnptu sport = :53)." });
  if (code === "EADDRNOTAVAIL") return new I3Error("ERR_I3_DNS_PORT", `<site>: this machine does not have all of ${places}`, { cause, remedy: "Is the interface up, and are these its addresses?" });
  return new I3Error("ERR_I3_DNS_PORT", `<site>: port 53 of ${places} cannot be opened`, { cause, remedy: "Run as root or with CAP_NET_BIND_SERVICE." });
}

function portError(cause: unknown, port: number): I3Error {
  if ((cause as NodeJS.ErrnoException).code === "EADDRINUSE") {
    const remedy = `Stop what uses it (ss -lnptu sport = :${port}) or configure another DNS port.`;
    return new I3Error("ERR_I3_PORT_IN_USE", `port ${port} of the loopback interface is in use`, { cause, remedy });
  }
  return new I3Error("ERR_I3_DNS_PORT", `DNS port ${port} cannot be opened`, { cause, remedy: "Run as root or with CAP_NET_ADMIN." });
}
