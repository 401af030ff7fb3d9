/** Which clients have been led to which servers, and by which names: what a gateway's packet filter is made of. Without I/O. */
import { bytesKey } from "@i3/common";

// Ours:
/** Of one client; those of the least lately asked one make room. */
export const MOST_PER_CLIENT = 4_096;
/** Of one server that a client knows by several names. */
const MOST_NAMES = 8;
/** After the last answer, as long as the server's lease. */
export const LED_MS = 24 * 3_600_000;
/** What was asked for so lately is not given up for another one. */
const FRESH_MS = 120_000;

export interface Led {
  /** Of the client, 16 bytes. */
  readonly hit: Uint8Array;
  /** Of the server, 4 or 16 bytes. */
  readonly real: Uint8Array;
  /** Asked for last is last. */
  names: readonly string[];
  askedMs: number;
}

export class LedClients {
  readonly #most: number;
  /** By HIT, then by the server's address; asked for last is last. */
  readonly #byClient = new Map<string, Map<string, Led>>();
  #size = 0;

  /** @param most of all clients */
  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  *all(): Generator<Led> {
    for (const servers of this.#byClient.values()) yield* servers.values();
  }

  /** Of one client. */
  of(hit: Uint8Array): readonly Led[] {
    return [...(this.#byClient.get(bytesKey(hit))?.values() ?? [])];
  }

  /** A client is told of a server. `gone` is what had to make room for it; null: there is no room. */
  lead(nowMs: number, hit: Uint8Array, real: Uint8Array, name: string): { readonly led: Led; readonly gone: Led | null } | null {
    const clientKey = bytesKey(hit);
    const servers = this.#byClient.get(clientKey) ?? new Map<string, Led>();
    const key = bytesKey(real);
    const known = servers.get(key);
    let gone: Led | null = null;
    if (known === undefined && (servers.size >= MOST_PER_CLIENT || this.#size >= this.#most)) {
      const [oldest] = servers.values();
      if (oldest === undefined || nowMs - oldest.askedMs < FRESH_MS) return null;
      gone = oldest;
      this.remove(oldest);
    }
    const led = known ?? { hit: hit.slice(), real: real.slice(), names: [], askedMs: nowMs };
    led.askedMs = nowMs;
    led.names = [...led.names.filter((other) => other !== name), name].slice(-MOST_NAMES);
    if (known === undefined) this.#size += 1;
    servers.delete(key);
    servers.set(key, led);
    this.#byClient.set(clientKey, servers);
    return { led, gone };
  }

  /** One of an earlier run; those asked for first are to come first. */
  restore(led: Led): void {
    if (this.#size >= this.#most) return;
    const servers = this.#byClient.get(bytesKey(led.hit)) ?? new Map<string, Led>();
    if (servers.size >= MOST_PER_CLIENT || servers.has(bytesKey(led.real))) return;
    this.#byClient.set(bytesKey(led.hit), servers.set(bytesKey(led.real), { ...led }));
    this.#size += 1;
  }

  remove({ hit, real }: Led): void {
    const servers = this.#byClient.get(bytesKey(hit));
    if (servers?.delete(bytesKey(real)) !== true) return;
    this.#size -= 1;
    if (servers.size === 0) this.#byClient.delete(bytesKey(hit));
  }

  /** Those that have not been asked for in {@link LED_MS}, taken out. */
  takeEnded(nowMs: number): readonly Led[] {
    const ended: Led[] = [];
    for (const servers of this.#byClient.values()) {
      for (const led of servers.values()) {
        if (nowMs - led.askedMs < LED_MS) break;
        ended.push(led);
      }
    }
    for (const led of ended) this.remove(led);
    return ended;
  }
}
