/**
 * Questions that are not ours go to the resolver that the program meant, byte for byte as they came: the transaction id too, since the
 * program drew it and a signature may cover it. An answer must come from that resolver, to the socket that asked, with the id and
 * the question of a query in flight; everything else is counted and forgotten.
 *
 * The table in flight is bounded: when it is full the oldest question is given up, and all are after 5 s, when programs ask again.
 */
import type { NativeIo } from "@i3/datapath/native-io";
import { HEADER_BYTES, readUint16, sameQuestion } from "../dns/question.js";
import type { Resolver } from "./dns-upstream-resolvers.js";
import { type UpstreamSocket, UpstreamSockets } from "./dns-upstream-sockets.js";

/** Bytes of an address as NativeIo has it: IPv6 or IPv4-mapped 16, port 2. */
export const SOCKET_ADDRESS_BYTES = 18;
const SLOT_BYTES = 65_536;
const SLOTS = 8;
export const UPSTREAM_TIMEOUT_MS = 5_000;
const MAX_IN_FLIGHT = 4_096;

export interface UpstreamCounters {
  forwarded: number;
  answered: number;
  /** Given up: after 5 s; because 4,096 newer ones came; because the same id was in flight on every socket tried. */
  timedOut: number;
  displaced: number;
  collided: number;
  /** The system could not send it (no route …); the program was told SERVFAIL. */
  unsent: number;
  /** Answers from elsewhere, or to nothing that was asked. */
  forged: number;
}

/** A question in flight. */
interface Pending {
  readonly id: number;
  /** Header and question. */
  readonly head: Uint8Array;
  readonly resolver: Uint8Array;
  readonly reply: Reply;
  readonly deadlineMs: number;
  readonly sockets: UpstreamSockets<Pending>;
  readonly socket: UpstreamSocket<Pending>;
}

/** Sends an answer to the program that asked. The bytes are only valid during the call. */
export type Reply = (answer: Uint8Array) => void;

export interface UdpUpstreamOptions {
  readonly io: Pick<NativeIo, "openUdp" | "watchReadable" | "closeFd" | "sendBatch" | "receiveBatch">;
  /** SO_MARK, by which the redirect spares our own questions. */
  readonly mark: number;
}

export class UdpUpstream {
  readonly counters: UpstreamCounters = { forwarded: 0, answered: 0, timedOut: 0, displaced: 0, collided: 0, unsent: 0, forged: 0 };
  readonly #options: UdpUpstreamOptions;
  readonly #sockets: Record<4 | 6, UpstreamSockets<Pending>>;
  /** Oldest first. */
  readonly #inFlight = new Set<Pending>();
  readonly #arena = new Uint8Array(SLOTS * SLOT_BYTES);
  readonly #lengths = new Int32Array(SLOTS);
  readonly #addresses = new Uint8Array(SLOTS * SOCKET_ADDRESS_BYTES);
  readonly #oneLength = new Int32Array(1);
  #timer: NodeJS.Timeout | null = null;

  constructor(options: UdpUpstreamOptions) {
    this.#options = options;
    const open = (family: 4 | 6): UpstreamSockets<Pending> =>
      new UpstreamSockets({ io: options.io, family, mark: options.mark, onReadable: (socket) => this.#onReadable(socket) });
    this.#sockets = { 4: open(4), 6: open(6) };
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Sends a query, whose header and question end at `questionEnd`. False: it could not be sent, and nobody will answer. */
  forward(query: Uint8Array, questionEnd: number, resolver: Resolver, reply: Reply): boolean {
    const nowMs = performance.now();
    if (this.#inFlight.size >= MAX_IN_FLIGHT) this.#giveUpOldest("displaced");
    const sockets = this.#sockets[resolver.address.length === 4 ? 4 : 6];
    const id = readUint16(query, 0);
    const target = socketAddress(resolver);
    try {
      const socket = sockets.take(id, nowMs);
      if (socket === null) {
        this.counters.collided += 1;
        return false;
      }
      this.#oneLength[0] = query.length;
      const sent = this.#options.io.sendBatch(socket.fd, query, query.length, this.#oneLength, target, 1);
      if (sent === 1) {
        this.#remember({ id, head: query.slice(0, questionEnd), resolver: target, reply, deadlineMs: nowMs + UPSTREAM_TIMEOUT_MS, sockets, socket });
        return true;
      }
      sockets.release(socket);
    } catch {
      // EMFILE, ENOBUFS: this question fails, the next may not.
    }
    this.counters.unsent += 1;
    return false;
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#inFlight.clear();
    this.#sockets[4].close();
    this.#sockets[6].close();
  }

  #remember(pending: Pending): void {
    pending.socket.pending.set(pending.id, pending);
    this.#inFlight.add(pending);
    this.counters.forwarded += 1;
    this.#timer ??= setTimeout(() => this.#expire(), UPSTREAM_TIMEOUT_MS);
  }

  #forget(pending: Pending): void {
    this.#inFlight.delete(pending);
    pending.socket.pending.delete(pending.id);
    pending.sockets.release(pending.socket);
  }

  #giveUpOldest(why: "displaced" | "timedOut"): void {
    const [oldest] = this.#inFlight;
    if (oldest === undefined) return;
    this.counters[why] += 1;
    this.#forget(oldest);
  }

  #expire(): void {
    this.#timer = null;
    const nowMs = performance.now();
    for (const pending of this.#inFlight) {
      if (pending.deadlineMs > nowMs) {
        this.#timer = setTimeout(() => this.#expire(), pending.deadlineMs - nowMs + 1);
        return;
      }
      this.#giveUpOldest("timedOut");
    }
  }

  #onReadable(socket: UpstreamSocket<Pending>): void {
    let count = 0;
    try {
      count = this.#options.io.receiveBatch(socket.fd, this.#arena, SLOT_BYTES, this.#lengths, this.#addresses);
    } catch {
      // An ICMP error of an earlier datagram: what it was about is answered by nobody and times out.
      return;
    }
    for (let i = 0; i < count; i += 1) {
      const answer = this.#arena.subarray(i * SLOT_BYTES, i * SLOT_BYTES + Math.min(SLOT_BYTES, this.#lengths[i] ?? 0));
      const from = this.#addresses.subarray(i * SOCKET_ADDRESS_BYTES, (i + 1) * SOCKET_ADDRESS_BYTES);
      const pending = socket.pending.get(readUint16(answer, 0));
      if (pending === undefined || !belongsTo(pending, from, answer)) {
        this.counters.forged += 1;
        continue;
      }
      this.counters.answered += 1;
      this.#forget(pending);
      pending.reply(answer);
      // The last question of a retired socket was answered: it is closed.
      if (socket.retired && socket.pending.size === 0) return;
    }
  }
}

function belongsTo({ head, resolver }: Pending, from: Uint8Array, answer: Uint8Array): boolean {
  if (answer.length < HEADER_BYTES || ((answer[2] ?? 0) & 0x80) === 0) return false;
  for (let i = 0; i < SOCKET_ADDRESS_BYTES; i += 1) if (from[i] !== resolver[i]) return false;
  // A server that cannot read the query refuses it without repeating the question.
  const isRefusal = readUint16(answer, 4) === 0 && ((answer[3] ?? 0) & 0xf) !== 0;
  return isRefusal || sameQuestion(head, head.length, answer);
}

function socketAddress({ address, port }: Resolver): Uint8Array {
  const out = new Uint8Array(SOCKET_ADDRESS_BYTES);
  if (address.length === 4) out.fill(0xff, 10, 12);
  out.set(address, 16 - address.length);
  out[16] = port >> 8;
  out[17] = port & 0xff;
  return out;
}
