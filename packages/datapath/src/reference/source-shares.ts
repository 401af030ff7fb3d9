/** What each source holds of a room that all sources share, so that none fills it alone. */
import { PORT_OFFSET } from "./endpoints.js";

/** Whoever has one address of an IPv6 /64 has them all (RFC 4291 §2.5.1, RFC 6177). */
const IPV6_SOURCE_BYTES = 8;
const MAPPED_MARK = 0xffff;

/** Who a datagram is from as far as shares go: its IPv4 address, or the /64 of its IPv6 address; ports are free to choose. */
export function sourceKeyAt(endpoints: Buffer, at: number): string {
  const isMapped = endpoints.readUInt32BE(at) === 0 && endpoints.readUInt32BE(at + 4) === 0 && endpoints.readUInt32BE(at + 8) === MAPPED_MARK;
  return endpoints.toString("latin1", at, at + (isMapped ? PORT_OFFSET : IPV6_SOURCE_BYTES));
}

/** Sources that hold nothing are not remembered, so what is held bounds this too. */
export class SourceShares {
  readonly #limit: number;
  readonly #held = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  hasRoom(source: string, amount: number): boolean {
    return (this.#held.get(source) ?? 0) + amount <= this.#limit;
  }

  /** False, and nothing taken, when the source would hold more than the limit. */
  take(source: string, amount: number): boolean {
    const held = (this.#held.get(source) ?? 0) + amount;
    if (held > this.#limit) return false;
    this.#held.set(source, held);
    return true;
  }

  give(source: string, amount: number): void {
    const held = (this.#held.get(source) ?? 0) - amount;
    if (held > 0) this.#held.set(source, held);
    else this.#held.delete(source);
  }
}
