/**
 * Lines about who was let to which server, or refused: one for each new flow, the same again within a minute counted, and so many a second of one client; what is more than that is told as a number, so that a
 * client that opens 100,000 flows fills no disk. Without I/O.
 */
import { bytesKey, formatIpText, KeyedBuckets, protocolName, remember, type Log } from "@i3/common";

// Ours:
const AGAIN_MS = 60_000;
/** Of one client, so that one does not hide in its own flood what others do. */
const [PER_SECOND, BURST] = [2, 50] as const;
const MOST_CLIENTS = 1_024;
const MOST_REMEMBERED = 4_096;
const MORE_MS = 10_000;

const OVER_REMEDY = {
  "too-fast": "Its new flows are refused while there are more than <gateway><limits new-per-second> lets it have. If it needs them, raise that.",
  "too-many": "It has as many flows as <gateway><limits connections-per-client> lets it have, and gets no more until some have ended. If it needs them, raise that.",
} as const;

export interface Decision {
  readonly admits: boolean;
  /** It has more flows than a client may, or begins them faster; null: the list has decided. */
  readonly over: "too-fast" | "too-many" | null;
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
  /** Whose lines a client's are counted among. @default its own */
  readonly shareOf?: (client: Uint8Array) => Uint8Array;
  /** Who has an address now. */
  readonly whoIs: (client: Uint8Array) => { readonly name: string | null; readonly hit: Uint8Array | null };
}

export class DecisionLog {
  readonly #options: DecisionLogOptions;
  /** By client. */
  readonly #lines = new KeyedBuckets({ perSecond: PER_SECOND, burst: BURST, maxKeys: MOST_CLIENTS });
  /** When it was told last, and how often it has come since; told last is last. */
  readonly #told = new Map<string, { atMs: number; since: number }>();
  /** By client: when it was told last that it is over a limit. */
  readonly #toldOver = new Map<string, number>();
  #more = { allowed: 0, refused: 0 };
  #nextMoreMs = 0;

  constructor(options: DecisionLogOptions) {
    this.#options = options;
  }

  note(nowMs: number, decision: Decision): void {
    const { admits, over, client, server, protocol, port } = decision;
    if (over !== null) {
      this.#noteOver(nowMs, client, over);
      return;
    }
    const key = `${admits} ${bytesKey(client)} ${bytesKey(server)} ${protocol} ${port}`;
    const told = this.#told.get(key);
    if (told !== undefined && nowMs - told.atMs < AGAIN_MS) {
      told.since += 1;
      return;
    }
    if (!this.#lines.take(nowMs, bytesKey(this.#options.shareOf?.(client) ?? client))) {
      this.#more[admits ? "allowed" : "refused"] += 1;
      return;
    }
    remember(this.#told, key, { atMs: nowMs, since: 0 }, MOST_REMEMBERED);
    const { name, hit } = this.#options.whoIs(client);
    this.#options.log("info", admits ? "flow-allowed" : "flow-refused", {
      client: name, hit: hit === null ? null : formatIpText(hit), server: formatIpText(server), protocol: protocolName(protocol), ...(port === null ? {} : { port }), ...(told === undefined || told.since === 0 ? {} : { before: told.since }),
    });
  }

  /** The server says nothing: another one would have been refused as well. */
  #noteOver(nowMs: number, client: Uint8Array, why: "too-fast" | "too-many"): void {
    const { name, hit } = this.#options.whoIs(client);
    const key = `${why} ${bytesKey(hit ?? client)}`;
    if (nowMs - (this.#toldOver.get(key) ?? -Infinity) < AGAIN_MS) return;
    remember(this.#toldOver, key, nowMs, MOST_CLIENTS);
    this.#options.log("warn", "flows-over", { client: name, hit: hit === null ? null : formatIpText(hit), why, remedy: OVER_REMEDY[why] });
  }

  /** To be called every few seconds: what had no line of its own. */
  tellMore(nowMs: number): void {
    if (nowMs < this.#nextMoreMs || this.#more.allowed + this.#more.refused === 0) return;
    this.#nextMoreMs = nowMs + MORE_MS;
    this.#options.log("warn", "flows-more", { ...this.#more, remedy: "More new flows than lines: who makes so many is among those that have a line." });
    this.#more = { allowed: 0, refused: 0 };
  }
}
