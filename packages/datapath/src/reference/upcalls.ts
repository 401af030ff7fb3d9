/** Upcalls until the control plane takes them, and how many of each it gets. */
import { LIMITS, type Upcall } from "../datapath.js";
import { RING_KEY_BYTES } from "../wire/data-header.js";
import type { CounterSet } from "./counters.js";
import type { KnownSources } from "./known-sources.js";
import { NoticeLimit, SourceRates } from "./rate-limits.js";
import { asBuffer } from "./octets.js";
import { decodeEndpoint } from "./endpoints.js";
import { sourceKeyAt } from "./source-shares.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";

/** Upcalls that wait (ours: 16 batches). `flow-setup` and `route-miss` are kept beyond it, for their tables bound them. */
export const MAX_WAITING_UPCALLS = 16 * LIMITS.upcallsPerBatch;

/** Bytes of packets and datagrams in them (ours). */
export const MAX_WAITING_UPCALL_BYTES = 16 * 1024 * 1024;

/** So many more when they are from known sources; and for neighbours as many beyond these. */
export const MORE_KNOWN_UPCALLS = 4 * LIMITS.upcallsPerBatch;
export const MORE_KNOWN_UPCALL_BYTES = 4 * 1024 * 1024;

const bytesOf = (upcall: Upcall): number =>
  upcall.kind === "control" || upcall.kind === "hip" || upcall.kind === "detour" ? upcall.bytes.length : upcall.kind === "flow-setup" ? upcall.packet.length : upcall.kind === "payload" ? upcall.payload.length : 0;

export class Upcalls {
  readonly #counters: CounterSet;
  readonly #known: KnownSources;
  /** Apart: whoever sends data through a host's server must not use up what that server's own answers need. */
  readonly #control = new SourceRates(LIMITS.upcallsPerSourcePerSecond, LIMITS.upcallsPerSourcePerSecond, LIMITS.sharedBuckets);
  readonly #data = new SourceRates(LIMITS.upcallsPerSourcePerSecond);
  /** Of those who have solved a puzzle, so that what made-up sources send does not count against newcomers. */
  readonly #i2s = new SourceRates(LIMITS.hipI2sPerSourcePerSecond, LIMITS.hipI2sPerSourceBurst, LIMITS.sharedBuckets);
  readonly #notices = { "no-trigger": new NoticeLimit(), astray: new NoticeLimit(), "cache-request": new NoticeLimit() };
  readonly #failures = new NoticeLimit();
  #waiting: Upcall[] = [];
  #bytes = 0;

  constructor(counters: CounterSet, known: KnownSources) {
    this.#counters = counters;
    this.#known = known;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** For what must not be lost: one per flow or ring key until the control plane has acted. */
  push(upcall: Upcall): void {
    this.#waiting.push(upcall);
    this.#bytes += bytesOf(upcall);
  }

  get full(): boolean {
    return this.#isFull(0);
  }

  /** For those who are known by their keys: there is room where a flood from others finds none. */
  get hasKnownRoom(): boolean {
    return !this.#isFull(1);
  }

  /** Of the system's refusals one for each route and interval. */
  allowFailure(nowMs: number, route: Uint8Array): boolean {
    return this.#failures.allow(nowMs, asBuffer(route).toString("latin1")) && this.hasKnownRoom;
  }

  /** Room for a datagram that takes the detour, in an upcall that will be taken when the caller has written it; null: there is none. */
  detour(length: number, endpoint: Uint8Array): Buffer | null {
    if (this.full) return null;
    const bytes = new Uint8Array(length);
    this.push({ kind: "detour", locator: decodeEndpoint(endpoint, 0), bytes });
    return asBuffer(bytes);
  }

  /** `shares`: of the room beyond that of all. */
  #isFull(shares: 0 | 1 | 2): boolean {
    return this.#waiting.length >= MAX_WAITING_UPCALLS + shares * MORE_KNOWN_UPCALLS || this.#bytes >= MAX_WAITING_UPCALL_BYTES + shares * MORE_KNOWN_UPCALL_BYTES;
  }

  /**
   * The source at `endpoints[at …]` (a {@link sourceKeyAt}, or a known one) may make one more upcall; counts the drop when not.
   * @param what "ring": control of a type that passes between servers
   * @param answer answers what it asks without an upcall, if it can, for which there need be no room
   */
  allowSource(what: "control" | "ring" | "data" | "i2", nowMs: number, endpoints: Buffer, at: number, answer: () => boolean = () => false): boolean {
    const rates = what === "data" ? this.#data : what === "i2" ? this.#i2s : this.#control;
    const neighbour = what === "ring" ? this.#known.allowNeighbour(nowMs, endpoints, at) : null;
    const known = what === "i2" || neighbour !== null ? null : this.#known.allow(what === "data" ? "data" : "control", nowMs, endpoints, at);
    if (!(neighbour ?? known ?? rates.allow(nowMs, sourceKeyAt(endpoints, at)))) {
      this.#counters.drop("rate");
      return false;
    }
    if (answer()) return false;
    const isFull = this.#isFull(neighbour !== null ? 2 : known !== null ? 1 : 0);
    if (isFull) this.#counters.drop("queue-full");
    return !isFull;
  }

  /** `idBytes[idAt …]` begins with the ring key. Nothing is dropped when the answer is no: the packet's fate is another matter. */
  allowNotice(kind: "no-trigger" | "astray" | "cache-request", nowMs: number, idBytes: Buffer, idAt: number, endpoints: Buffer, at: number): boolean {
    if (this.full) return false;
    const ringKey = idBytes.toString("latin1", idAt, idAt + RING_KEY_BYTES);
    const key = ringKey + endpoints.toString("latin1", at, at + ADDRESS_SLOT_BYTES);
    // The source pays first: otherwise it could fill the memory of notices for all.
    return this.#data.allow(nowMs, sourceKeyAt(endpoints, at)) && this.#notices[kind].allow(nowMs, key);
  }

  /** `source` may have one more ring key asked for; nothing is counted. However many wait: they are bounded where they do. */
  allowRouteMiss(nowMs: number, source: string): boolean {
    return this.#data.allow(nowMs, source);
  }

  /** The next batch. */
  take(): readonly Upcall[] {
    const batch = this.#waiting.slice(0, LIMITS.upcallsPerBatch);
    if (batch.length > 0) this.#waiting = this.#waiting.slice(batch.length);
    for (const upcall of batch) this.#bytes -= bytesOf(upcall);
    this.#counters.upcalls += batch.length;
    return batch;
  }
}
