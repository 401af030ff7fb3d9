/** Which clients have been led to which servers, by which names, at which virtual addresses: what a gateway's NAT and packet filter are made of. Each client has its own: none can have what is another's. Without I/O. */
import { bytesKey, sameBytes } from "@i3/common";

// Ours:
/** Of one client; that which was asked for least lately makes room, when all have too many that of the client with most. */
export const MOST_PER_CLIENT = 4_096;
/** Of one server that a client knows by several names. */
const MOST_NAMES = 8;
/** After the last answer: longer than any program goes on with what it was once told. */
export const LED_MS = 24 * 3_600_000;
/** What was asked for so lately is not given up for another one. */
const FRESH_MS = 120_000;

/** What a client calls a server. */
export interface Called {
  /** 4 or 16 bytes. */
  readonly virtual: Uint8Array;
  /** What the TUN has in its place, of the server's family: the same, unless the engine translates. */
  readonly inside: Uint8Array;
}

export interface Led {
  /** Of the client, 16 bytes. */
  readonly hit: Uint8Array;
  /** Of the server, 4 or 16 bytes. */
  readonly real: Uint8Array;
  /** At most one of each family, at least one. */
  readonly called: readonly Called[];
  /** Asked for last is last. */
  readonly names: readonly string[];
  readonly askedMs: number;
}

export interface LedResult {
  readonly led: Led;
  /** What is so no more: what had to make room, and the same server at another virtual address. */
  readonly gone: readonly Led[];
}

/** Servers of one client, by real address, and by what the client and the TUN call them; asked for last is last. */
interface Servers {
  readonly hit: Uint8Array;
  isAnonymous: boolean;
  readonly byReal: Map<string, Led>;
  readonly byCalled: Map<string, Led>;
}

export class LedClients {
  readonly #most: number;
  readonly #isAnonymous: (hit: Uint8Array) => boolean;
  readonly #byClient = new Map<string, Servers>();
  #size = 0;
  /** Of it, those of anonymous clients. */
  #anonymousSize = 0;

  /** @param most of all clients @param isAnonymous clients that count as one, all together: {@link regrade} when others are */
  constructor(most: number, isAnonymous: (hit: Uint8Array) => boolean = () => false) {
    this.#most = most;
    this.#isAnonymous = isAnonymous;
  }

  get size(): number {
    return this.#size;
  }

  *all(): Generator<Led> {
    for (const { byReal } of this.#byClient.values()) yield* byReal.values();
  }

  /** Of one client. */
  of(hit: Uint8Array): readonly Led[] {
    return [...(this.#byClient.get(bytesKey(hit))?.byReal.values() ?? [])];
  }

  /** What a client calls a server already; undefined: not by that address. */
  calledBy(hit: Uint8Array, real: Uint8Array, virtual: Uint8Array): Called | undefined {
    return this.#byClient.get(bytesKey(hit))?.byReal.get(bytesKey(real))?.called.find((one) => sameBytes(one.virtual, virtual));
  }

  /** A client is told of a server. taken: another one is at one of these addresses; full: there is no room. */
  lead(nowMs: number, hit: Uint8Array, real: Uint8Array, called: Called, name: string): LedResult | "taken" | "full" {
    const servers = this.#byClient.get(bytesKey(hit));
    const known = servers?.byReal.get(bytesKey(real));
    if (isInTheWay(servers, known, called)) return "taken";
    const gone: Led[] = [];
    const isAnonymous = servers?.isAnonymous ?? this.#isAnonymous(hit);
    const isShareFull = known === undefined && (isAnonymous ? this.#anonymousSize : (servers?.byReal.size ?? 0)) >= MOST_PER_CLIENT;
    if (isShareFull || (known === undefined && this.#size >= this.#most)) {
      // Whoever has most makes room for those who have little.
      const share = !isShareFull ? this.#largestShare() : isAnonymous ? this.#anonymous() : servers === undefined ? [] : [servers];
      const [oldest] = largestOf(share)?.byReal.values() ?? [];
      if (oldest === undefined || nowMs - oldest.askedMs < FRESH_MS) return "full";
      gone.push(oldest);
      this.remove(oldest);
    }
    const [others, before] = [known?.called.filter((one) => !isOneFamily(one, called)) ?? [], known?.called.find((one) => isOneFamily(one, called))];
    if (known !== undefined && before !== undefined && !isSame(before, called)) gone.push({ ...known, called: [before] });
    if (known !== undefined) this.remove(known);
    const led: Led = { hit: hit.slice(), real: real.slice(), called: [...others, called], askedMs: nowMs, names: [...(known?.names ?? []).filter((other) => other !== name), name].slice(-MOST_NAMES) };
    this.#add(led);
    return { led, gone };
  }

  /** One of an earlier run, at those of its virtual addresses where no other one is; those asked for first are to come first. */
  restore(led: Led): void {
    const servers = this.#byClient.get(bytesKey(led.hit));
    if (this.#size >= this.#most || (servers?.byReal.size ?? 0) >= MOST_PER_CLIENT) return;
    const called = led.called.filter((one) => !isInTheWay(servers, undefined, one));
    if (servers?.byReal.has(bytesKey(led.real)) !== true && called.length > 0) this.#add({ ...led, called });
  }

  remove({ hit, real }: Led): void {
    const servers = this.#byClient.get(bytesKey(hit));
    const known = servers?.byReal.get(bytesKey(real));
    if (servers === undefined || known === undefined) return;
    servers.byReal.delete(bytesKey(real));
    for (const key of known.called.flatMap(keysOf)) servers.byCalled.delete(key);
    this.#count(servers, -1);
    if (servers.byReal.size === 0) this.#byClient.delete(bytesKey(hit));
  }

  /** Those that have not been asked for in {@link LED_MS}, taken out. */
  takeEnded(nowMs: number): readonly Led[] {
    const ended: Led[] = [];
    for (const { byReal } of this.#byClient.values()) {
      for (const led of byReal.values()) {
        if (nowMs - led.askedMs < LED_MS) break;
        ended.push(led);
      }
    }
    for (const led of ended) this.remove(led);
    return ended;
  }

  /** Other clients are anonymous now. */
  regrade(): void {
    this.#anonymousSize = 0;
    for (const servers of this.#byClient.values()) {
      servers.isAnonymous = this.#isAnonymous(servers.hit);
      if (servers.isAnonymous) this.#anonymousSize += servers.byReal.size;
    }
  }

  /** Those that are bounded together. */
  #anonymous(): readonly Servers[] {
    return [...this.#byClient.values()].filter(({ isAnonymous }) => isAnonymous);
  }

  #largestShare(): readonly Servers[] {
    const named = largestOf([...this.#byClient.values()].filter(({ isAnonymous }) => !isAnonymous));
    return named !== undefined && named.byReal.size >= this.#anonymousSize ? [named] : this.#anonymous();
  }

  #add(led: Led): void {
    const key = bytesKey(led.hit);
    const servers = this.#byClient.get(key) ?? { hit: led.hit, isAnonymous: this.#isAnonymous(led.hit), byReal: new Map<string, Led>(), byCalled: new Map<string, Led>() };
    servers.byReal.set(bytesKey(led.real), led);
    for (const called of led.called.flatMap(keysOf)) servers.byCalled.set(called, led);
    this.#byClient.set(key, servers);
    this.#count(servers, 1);
  }

  #count({ isAnonymous }: Servers, more: 1 | -1): void {
    this.#size += more;
    if (isAnonymous) this.#anonymousSize += more;
  }
}

const keysOf = ({ virtual, inside }: Called): readonly string[] => [bytesKey(virtual), bytesKey(inside)];
/** Another server of the client is at one of these addresses. */
const isInTheWay = (servers: Servers | undefined, known: Led | undefined, called: Called): boolean => keysOf(called).some((key) => (servers?.byCalled.get(key) ?? known) !== known);
const isSame = (a: Called, b: Called): boolean => sameBytes(a.virtual, b.virtual) && sameBytes(a.inside, b.inside);
const isOneFamily = (a: Called, b: Called): boolean => a.virtual.length === b.virtual.length;
const largestOf = (share: readonly Servers[]): Servers | undefined => share.reduce<Servers | undefined>((most, one) => (most === undefined || one.byReal.size > most.byReal.size ? one : most), undefined);
