/**
 * Lines about who was let to which server, or refused: one for each new flow, the same again within a minute counted, and so many a second of one client; what is more than that is told as a number, so that a
 * client that opens 100,000 flows fills no disk. Without I/O.
 */
import { bytesKey, formatIpText, protocolName, TokenBucket, type Log } from "@i3/common";

// Ours:
const AGAIN_MS = 60_000;
/** Of one client, so that one does not hide in its own flood what others do. */
const [PER_SECOND, BURST] = [2, 50] as const;
const MOST_CLIENTS = 1_024;
const MOST_REMEMBERED = 4_096;
const MORE_MS = 10_000;

export interface Decision {
  readonly admits: boolean;
  /** Virtual address of the client. */
  readonly client: Uint8Array;
  /** Real address of the server. */
  readonly server: Uint8Array;
  /** Above IP. */
  readonly protocol: number;
  /** Of the server; null: the protocol has none. */
  readonly port: number | null;
}

export interface DecisionLogOptions {
  readonly log: Log;
  /** Who has an address now. */
  readonly whoIs: (client: Uint8Array) => { readonly name: string | null; readonly hit: Uint8Array | null };
}

export class DecisionLog {
  readonly #options: DecisionLogOptions;
  /** By client; whose line was last is last. */
  readonly #lines = new Map<string, TokenBucket>();
  /** When it was told last, and how often it has come since; told last is last. */
  readonly #told = new Map<string, { atMs: number; since: number }>();
  #more = { allowed: 0, refused: 0 };
  #nextMoreMs = 0;

  constructor(options: DecisionLogOptions) {
    this.#options = options;
  }

  note(nowMs: number, decision: Decision): void {
    const { admits, client, server, protocol, port } = decision;
    const key = `${admits} ${bytesKey(client)} ${bytesKey(server)} ${protocol} ${port}`;
    const told = this.#told.get(key);
    if (told !== undefined && nowMs - told.atMs < AGAIN_MS) {
      told.since += 1;
      return;
    }
    if (!this.#linesOf(client).take(nowMs)) {
      this.#more[admits ? "allowed" : "refused"] += 1;
      return;
    }
    this.#told.delete(key);
    if (this.#told.size >= MOST_REMEMBERED) this.#told.delete(this.#told.keys().next().value as string);
    this.#told.set(key, { atMs: nowMs, since: 0 });
    const { name, hit } = this.#options.whoIs(client);
    this.#options.log("info", admits ? "flow-allowed" : "flow-refused", {
      client: name, hit: hit === null ? null : formatIpText(hit), server: formatIpText(server), protocol: protocolName(protocol), ...(port === null ? {} : { port }), ...(told === undefined || told.since === 0 ? {} : { before: told.since }),
    });
  }

  #linesOf(client: Uint8Array): TokenBucket {
    const key = bytesKey(client);
    const lines = this.#lines.get(key) ?? new TokenBucket(PER_SECOND, BURST);
    this.#lines.delete(key);
    if (this.#lines.size >= MOST_CLIENTS) this.#lines.delete(this.#lines.keys().next().value as string);
    this.#lines.set(key, lines);
    return lines;
  }

  /** To be called every few seconds: what had no line of its own. */
  tellMore(nowMs: number): void {
    if (nowMs < this.#nextMoreMs || this.#more.allowed + this.#more.refused === 0) return;
    this.#nextMoreMs = nowMs + MORE_MS;
    this.#options.log("warn", "flows-more", { ...this.#more, remedy: "More new flows than lines: who makes so many is among those that have a line." });
    this.#more = { allowed: 0, refused: 0 };
  }
}
