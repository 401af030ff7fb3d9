/** Sources that are expected to send: each has its own place for upcalls, which no flood from others takes. */
import type { Locator } from "@i3/common";
import { LIMITS } from "../datapath.js";
import { tableFull } from "../errors.js";
import { encodeAddress, encodeEndpoint, PORT_OFFSET } from "./endpoints.js";
import { asBuffer } from "./octets.js";
import { TokenBucket } from "./rate-limits.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";

interface KnownSource {
  /** How often it was made known. */
  uses: number;
  readonly control: TokenBucket;
  readonly data: TokenBucket;
}

const keyAt = (bytes: Uint8Array, at: number): string => asBuffer(bytes).toString("latin1", at, at + PORT_OFFSET);
const endpointKeyAt = (bytes: Uint8Array, at: number): string => asBuffer(bytes).toString("latin1", at, at + ADDRESS_SLOT_BYTES);
const newBucket = (): TokenBucket => new TokenBucket(LIMITS.upcallsPerSourcePerSecond, LIMITS.upcallsPerSourcePerSecond);

export class KnownSources {
  readonly #sources = new Map<string, KnownSource>();
  /** By whole endpoint. */
  #neighbours: ReadonlyMap<string, TokenBucket> = new Map();

  /** Throws RangeError and ERR_I3_TABLE_FULL. Forgetting what is not known changes nothing. */
  set(address: Uint8Array, isKnown: boolean): void {
    const key = keyAt(encodeAddress(address), 0);
    const known = this.#sources.get(key);
    if (!isKnown) {
      if (known !== undefined && --known.uses === 0) this.#sources.delete(key);
    } else if (known !== undefined) known.uses++;
    else if (this.#sources.size >= LIMITS.knownSources) throw tableFull("known source", LIMITS.knownSources);
    else this.#sources.set(key, { uses: 1, control: newBucket(), data: newBucket() });
  }

  /** In place of those before; who stays keeps what it has left. Throws RangeError and ERR_I3_TABLE_FULL. */
  setNeighbours(locators: readonly Locator[]): void {
    const keys = locators.map((locator) => endpointKeyAt(encodeEndpoint(locator), 0));
    if (keys.length > LIMITS.neighbours) throw tableFull("neighbour", LIMITS.neighbours);
    this.#neighbours = new Map(keys.map((key) => [key, this.#neighbours.get(key) ?? new TokenBucket(LIMITS.upcallsPerNeighbourPerSecond, LIMITS.upcallsPerNeighbourPerSecond)]));
  }

  /** Whether a neighbour may send one more message up; null: it is none. */
  allowNeighbour(nowMs: number, endpoints: Buffer, at: number): boolean | null {
    const bucket = this.#neighbours.size === 0 ? undefined : this.#neighbours.get(endpointKeyAt(endpoints, at));
    return bucket === undefined ? null : bucket.take(nowMs, 1) === 1;
  }

  /** Whether the endpoint at `endpoints[at …]` is of a known address. */
  has(endpoints: Buffer, at: number): boolean {
    return this.#sources.has(keyAt(endpoints, at));
  }

  /** Whether it may make one more upcall; null: it is not known. */
  allow(what: "control" | "data", nowMs: number, endpoints: Buffer, at: number): boolean | null {
    // Of servers no source is known, and each of their datagrams asks.
    const known = this.#sources.size === 0 ? undefined : this.#sources.get(keyAt(endpoints, at));
    return known === undefined ? null : known[what].take(nowMs, 1) === 1;
  }
}
