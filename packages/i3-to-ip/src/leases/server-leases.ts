/**
 * Virtual addresses of real servers, as a gateway's clients see them (docs/adr/0013-gateways.md): by a hash of the gateway's HIT and the server's address, so that those of two gateways differ,
 * and the same server has the same address again, for all clients and after a restart.
 *
 *     IPv4: in the client's virtual range, H24 of H("gateway server", HIT 16, address 4, try 1)
 *     IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway server", HIT 16, address 16, try 1)[8]
 */
import { bytesKey, concatBytes, domainHash, serverPrefix6, virtualAddress, type AddressRange } from "@i3/common";

// Ours:
/** After the last answer in which it was. Longer than any program goes on with what it was once told. */
export const LEASE_MS = 24 * 3_600_000;

export interface ServerLease {
  /** 4 or 16 bytes each, of one family. */
  readonly real: Uint8Array;
  readonly virtual: Uint8Array;
  untilMs: number;
}

export interface ServerLeasesOptions {
  /** The gateway's. */
  readonly hit: Uint8Array;
  readonly most: number;
  /** Of this host, or of a client: no server gets it. */
  readonly isTaken: (virtual: Uint8Array) => boolean;
}

export class ServerLeases {
  readonly #options: ServerLeasesOptions;
  readonly #prefix6: Uint8Array;
  /** Those that end first are first. */
  readonly #byVirtual = new Map<string, ServerLease>();

  constructor(options: ServerLeasesOptions) {
    this.#options = options;
    this.#prefix6 = serverPrefix6(options.hit);
  }

  get size(): number {
    return this.#byVirtual.size;
  }

  /**
   * The virtual address of a server, made or kept for {@link LEASE_MS} more.
   * @param range of an IPv4 server: the client's
   * @param tries 0 to MAX_TRY
   * @returns taken: it is somebody else's, another try may do; full: no more servers
   */
  lease(nowMs: number, real: Uint8Array, range: AddressRange, tries: number): ServerLease | "taken" | "full" {
    const virtual = this.#addressOf(real, range, tries);
    const key = bytesKey(virtual);
    const known = this.#byVirtual.get(key);
    if (known !== undefined && bytesKey(known.real) !== bytesKey(real)) return "taken";
    if (known === undefined && this.#options.isTaken(virtual)) return "taken";
    if (known === undefined && this.#byVirtual.size >= this.#options.most) return "full";
    const lease = known ?? { real: real.slice(), virtual, untilMs: 0 };
    lease.untilMs = nowMs + LEASE_MS;
    this.#byVirtual.delete(key);
    this.#byVirtual.set(key, lease);
    return lease;
  }

  /** Of a virtual address that is leased. */
  realOf(virtual: Uint8Array): Uint8Array | undefined {
    return this.#byVirtual.get(bytesKey(virtual))?.real;
  }

  all(): readonly ServerLease[] {
    return [...this.#byVirtual.values()];
  }

  /** One of an earlier run; those that end first are to come first. */
  restore(lease: ServerLease): void {
    if (this.#byVirtual.size < this.#options.most && !this.#options.isTaken(lease.virtual)) this.#byVirtual.set(bytesKey(lease.virtual), { ...lease });
  }

  /** Those that have ended: they are no servers any more. */
  takeEnded(nowMs: number): readonly ServerLease[] {
    const ended: ServerLease[] = [];
    for (const [key, lease] of this.#byVirtual) {
      if (lease.untilMs > nowMs) break;
      this.#byVirtual.delete(key);
      ended.push(lease);
    }
    return ended;
  }

  #addressOf(real: Uint8Array, range: AddressRange, tries: number): Uint8Array {
    const id = domainHash("gateway server", this.#options.hit, real, Uint8Array.of(tries));
    return real.length === 4 ? virtualAddress(range, id) : concatBytes(this.#prefix6, id.subarray(0, 8));
  }
}
