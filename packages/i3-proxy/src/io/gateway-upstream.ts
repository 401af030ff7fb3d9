/**
 * Programs' questions to gateways (docs/wire.md §11): inside the association, from our own virtual address to the gateway's, port 53, and not marked, so that they go by the TUN.
 *
 *     program ──► DnsPort ──► UDP, a socket and an id for each question ──► gateway
 *                    └──────► TCP, when the program came by it           ──► gateway
 *
 * What the engine cannot send it refuses (ICMP host unreachable), and the program hears SERVFAIL at once.
 */
import { randomInt } from "node:crypto";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect, type Socket as TcpSocket } from "node:net";
import { formatIpText } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";
import type { NameSource } from "../dns/dns-core.js";
import { cutTo, failureOf } from "../dns/short-answers.js";
import { isAnswerTo, ownQuery, readAnswer, withOption, type GatewayQuery } from "../gateways/gateway-messages.js";
import type { GatewayFailure, GatewayPlace, Gateways } from "../gateways/gateways.js";
import { dnsFrame, DnsFrameReader } from "./dns-port-frames.js";
import { WaitingQuestions } from "./dns-port-waiting.js";

export interface GatewayUpstreamOptions {
  readonly io: Pick<NativeIo, "openReportingUdp">;
  readonly names: Pick<NameSource, "whenKnown" | "told">;
  readonly gateways: Pick<Gateways, "locate" | "learn" | "option" | "foreign" | "countQuestion" | "countAnswer" | "countIgnored" | "countFailure">;
  /** @default 53 */
  readonly port?: number;
}

/** A program's question. */
export interface AskedOfGateway extends GatewayQuery {
  readonly via: string;
  readonly transport: "udp" | "tcp";
  /** Bytes that the program takes. */
  readonly limit: number;
  /** Called once, unless everything is closed before. */
  readonly reply: (answer: Uint8Array) => void;
}

const DNS_PORT = 53;
// Ours:
/** A datagram that is lost comes again so long after the first. */
const AGAIN_MS = [1_000, 3_000] as const;
const GIVE_UP_MS = 6_000;
const MAX_IN_FLIGHT = 256;
const MAX_OF_GATEWAY = 64;
const MAX_CONNECTIONS = 64;
/** Of them, for names of one zone, whose name server may be silent: asked at once, and with those that wait for these. A gateway answers 32 at once of a client. */
const MAX_OF_ZONE = { asked: 8, all: 32 } as const;
/** A zone is what the last labels of a name say, for nobody here knows where one begins. */
const ZONE_LABELS = 2;

export class GatewayUpstream {
  readonly #options: GatewayUpstreamOptions;
  readonly #waiting: WaitingQuestions;
  readonly #inFlight = new Set<Exchange>();
  #connections = 0;

  constructor(options: GatewayUpstreamOptions) {
    this.#options = options;
    this.#waiting = new WaitingQuestions(options.names);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  ask(asked: AskedOfGateway): void {
    const { gateways } = this.#options;
    gateways.countQuestion(asked.via);
    const ofGateway = [...this.#inFlight].filter(({ via }) => via === asked.via);
    const ofZone = ofGateway.filter(({ zone }) => zone === zoneOf(asked.question.name));
    if (this.#inFlight.size >= MAX_IN_FLIGHT || ofGateway.length >= MAX_OF_GATEWAY || ofZone.length >= MAX_OF_ZONE.all || (asked.transport === "tcp" && this.#connections >= MAX_CONNECTIONS)) return this.#refuse(asked, "crowded");
    const exchange = new Exchange(asked, this.#options, (failed, answer) => {
      this.#inFlight.delete(exchange);
      if (asked.transport === "tcp") this.#connections -= 1;
      if (!exchange.isWaiting) this.#beginWaiting(exchange);
      if (failed !== null) return this.#refuse(asked, failed);
      gateways.countAnswer(asked.via);
      asked.reply(asked.transport === "udp" ? cutTo(answer, asked.limit) : answer);
    });
    this.#inFlight.add(exchange);
    if (asked.transport === "tcp") this.#connections += 1;
    if (ofZone.filter(({ isWaiting }) => !isWaiting).length < MAX_OF_ZONE.asked) this.#begin(exchange);
  }

  /** A question of our own, whose answer only has to be learned. */
  askAgain(via: string, name: string, family: 4 | 16): void {
    const own = ownQuery(name, family);
    if (own !== null) this.ask({ ...own, via, transport: "udp", limit: 65_535, reply: () => undefined });
  }

  /** Nobody is answered any more. */
  close(): void {
    this.#waiting.close();
    for (const exchange of this.#inFlight) exchange.close();
    this.#inFlight.clear();
  }

  #begin(exchange: Exchange): void {
    exchange.isWaiting = false;
    this.#locate(exchange);
  }

  /** One question of the zone is over: the next. */
  #beginWaiting({ via, zone }: Exchange): void {
    const next = [...this.#inFlight].find((other) => other.isWaiting && other.via === via && other.zone === zone);
    if (next !== undefined) this.#begin(next);
  }

  #locate(exchange: Exchange, isLast = false): void {
    const place = this.#options.gateways.locate(performance.now(), exchange.via);
    if (place === "nowhere" || (place === "looking" && isLast)) return exchange.fail("nowhere");
    if (place === "looking") return this.#waiting.add(exchange.via, () => this.#locate(exchange, true), () => exchange.fail("nowhere"));
    this.#options.names.told?.(place.address);
    exchange.begin(place);
  }

  #refuse({ via, query, question, reply }: AskedOfGateway, why: GatewayFailure): void {
    this.#options.gateways.countFailure(via, why);
    reply(failureOf(query, question.end));
  }
}

const zoneOf = (name: string): string => name.split(".").slice(-ZONE_LABELS).join(".");

type Done = (failed: GatewayFailure | null, answer: Uint8Array) => void;

const NOTHING: Uint8Array = new Uint8Array();

/** One question, until it is answered or given up. */
class Exchange {
  /** For others of its zone. */
  isWaiting = true;
  readonly zone: string;
  readonly #asked: AskedOfGateway;
  readonly #options: GatewayUpstreamOptions;
  readonly #done: Done;
  #place: GatewayPlace | null = null;
  #tries = 0;
  #sent: Uint8Array = NOTHING;
  #socket: UdpSocket | TcpSocket | null = null;
  #again: NodeJS.Timeout[] = [];
  readonly #giveUp: NodeJS.Timeout;
  #isOver = false;

  constructor(asked: AskedOfGateway, options: GatewayUpstreamOptions, done: Done) {
    this.#asked = asked;
    this.zone = zoneOf(asked.question.name);
    this.#options = options;
    this.#done = done;
    this.#giveUp = setTimeout(() => this.fail("silent"), GIVE_UP_MS).unref();
  }

  get via(): string {
    return this.#asked.via;
  }

  begin(place: GatewayPlace): void {
    if (this.#isOver) return;
    this.#place = place;
    this.#ask();
  }

  fail(why: GatewayFailure): void {
    this.#end(why, NOTHING);
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#giveUp);
    this.#hangUp();
  }

  #end(failed: GatewayFailure | null, answer: Uint8Array): void {
    if (this.#isOver) return;
    this.close();
    this.#done(failed, answer);
  }

  #hangUp(): void {
    for (const timer of this.#again.splice(0)) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    // Errors of what is closed are nobody's.
    socket.removeAllListeners().on("error", () => undefined);
    if ("destroy" in socket) socket.destroy();
    else socket.close();
  }

  #ask(): void {
    const place = this.#place;
    if (place === null) return;
    this.#hangUp();
    this.#sent = withOption(this.#asked, randomInt(0x1_0000), this.#options.gateways.option(this.#tries));
    try {
      if (this.#asked.transport === "udp") this.#askUdp(place);
      else this.#askTcp(place);
    } catch {
      // EMFILE, or our own address is gone.
      this.fail("unsent");
    }
  }

  #askUdp({ address, local }: GatewayPlace): void {
    const family = local.length === 4 ? 4 : 6;
    const { fd } = this.#options.io.openReportingUdp({ family, address: formatIpText(local), port: 0, mark: 0, bufferBytes: 0 });
    const socket = createSocket(`udp${family}`);
    this.#socket = socket;
    socket.on("error", () => this.fail("unreachable"));
    socket.on("message", (answer: Uint8Array) => this.#read(answer));
    const send = (): void => socket.send(this.#sent, (error) => void (error !== null && this.#socket === socket && this.fail("unreachable")));
    socket.bind({ fd });
    // Node tells the callback of an error too: the TUN may be down.
    socket.connect(this.#port, formatIpText(address), ((error?: Error) => {
      if (this.#socket !== socket) return;
      if (error !== undefined && error !== null) return this.fail("unreachable");
      send();
      this.#again = AGAIN_MS.map((ms) => setTimeout(send, ms).unref());
    }) as () => void);
  }

  #askTcp({ address, local }: GatewayPlace): void {
    const socket = connect({ host: formatIpText(address), port: this.#port, localAddress: formatIpText(local), autoSelectFamily: false, noDelay: true });
    this.#socket = socket;
    const reader = new DnsFrameReader();
    socket.on("error", () => this.fail("unreachable"));
    socket.on("close", () => this.fail("unreachable"));
    socket.on("data", (chunk: Buffer) => {
      for (const answer of reader.push(chunk)) if (this.#socket === socket) this.#read(answer);
    });
    socket.write(dnsFrame(this.#sent));
  }

  get #port(): number {
    return this.#options.port ?? DNS_PORT;
  }

  #read(message: Uint8Array): void {
    const { gateways, names } = this.#options;
    const { via, question, transport } = this.#asked;
    if (this.#place === null || !isAnswerTo(this.#sent, question.end, message)) return gateways.countIgnored(via);
    const answer = readAnswer(this.#asked, message, gateways.option(this.#tries));
    if (answer === "foreign") gateways.foreign(performance.now(), via, question.name, []);
    if (typeof answer === "string") return this.fail(answer);
    // The program comes again, by TCP.
    if (answer.isCut) return transport === "udp" ? this.#end(null, cutTo(answer.bytes, 0)) : this.fail("malformed");
    const learned = gateways.learn(performance.now(), via, this.#place, question.name, answer.addresses, this.#tries);
    if (learned === "again") {
      this.#tries += 1;
      return this.#ask();
    }
    if (learned !== "ok") return this.fail(learned);
    for (const address of answer.addresses) names.told?.(address);
    this.#end(null, answer.bytes);
  }
}
