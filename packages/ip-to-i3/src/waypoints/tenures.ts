/**
 * Which waypoint stands for which host (docs/gateways.md, "Waypoints"). A waypoint is one host's at a time, whatever names and clients ask for it: while there are as many waypoints as hosts each keeps its
 * own, and nobody has to guess. Otherwise one that nobody has asked for or used for the time of rest may become another host's. Of one family. Without I/O.
 */
import { bytesKey } from "@i3/common";

export interface Tenure {
  readonly waypoint: Uint8Array;
  /** Name of the host in the overlay. */
  readonly host: string;
  /** Where the host is; null: it is published no more, or its address was given back. */
  virtual: Uint8Array | null;
  lastMs: number;
}

export interface TenuresOptions {
  readonly waypoints: readonly Uint8Array[];
  readonly restMs: number;
  /** When packets were last sent to a virtual address or came from there; undefined: never. */
  readonly lastUse: (virtual: Uint8Array) => number | undefined;
  /** A waypoint leads there no more. */
  readonly vacated: (virtual: Uint8Array) => void;
}

export class Tenures {
  readonly counters = { given: 0, full: 0 };
  readonly #options: TenuresOptions;
  readonly #byWaypoint = new Map<string, Tenure>();
  readonly #byHost = new Map<string, Tenure>();
  #hosts: ReadonlySet<string> = new Set();

  constructor(options: TenuresOptions) {
    this.#options = options;
  }

  /** Whether each host can have its own, so that whoever connects is led to the only host that the waypoint has had since it rested. */
  isEnough(nowMs: number): boolean {
    const isRested = (tenure: Tenure): boolean => nowMs - this.#lastOf(tenure) >= this.#options.restMs;
    return [...this.#byWaypoint.values()].every((tenure) => this.#hosts.has(tenure.host) || isRested(tenure)) && this.#hosts.size <= this.#options.waypoints.length;
  }

  all(): Iterable<Tenure> {
    return this.#byWaypoint.values();
  }

  /** Hosts that have a waypoint when they are asked for, from now on. */
  setHosts(nowMs: number, hosts: ReadonlySet<string>): void {
    this.#hosts = hosts;
    for (const tenure of this.#byWaypoint.values()) if (!hosts.has(tenure.host)) this.#vacate(nowMs, tenure);
  }

  /** Of an earlier run: it may be in use still. */
  restore(nowMs: number, waypoint: Uint8Array, host: string): void {
    const isOurs = this.#options.waypoints.some((one) => bytesKey(one) === bytesKey(waypoint));
    if (isOurs && !this.#byHost.has(host) && !this.#byWaypoint.has(bytesKey(waypoint))) this.#put({ waypoint, host, virtual: null, lastMs: nowMs });
  }

  /** A host is asked for. Null: it has no waypoint, and none is free now. @param virtual where the host is now */
  give(nowMs: number, host: string, virtual: Uint8Array): Tenure | null {
    const tenure = this.#byHost.get(host) ?? this.#begin(nowMs, host);
    if (tenure === null) {
      this.counters.full += 1;
      return null;
    }
    tenure.virtual = virtual;
    tenure.lastMs = nowMs;
    return tenure;
  }

  /** A virtual address may be somebody else's from now on. */
  release(nowMs: number, virtual: Uint8Array): void {
    for (const tenure of this.#byWaypoint.values()) if (tenure.virtual !== null && bytesKey(tenure.virtual) === bytesKey(virtual)) this.#vacate(nowMs, tenure);
  }

  #vacate(nowMs: number, tenure: Tenure): void {
    tenure.lastMs = Math.max(tenure.lastMs, this.#lastOf(tenure), tenure.virtual === null ? -Infinity : nowMs);
    if (tenure.virtual !== null) this.#options.vacated(tenure.virtual);
    tenure.virtual = null;
  }

  #begin(nowMs: number, host: string): Tenure | null {
    const { waypoints, restMs } = this.#options;
    const unused = waypoints.find((one) => !this.#byWaypoint.has(bytesKey(one)));
    if (unused !== undefined) return this.#put({ waypoint: unused, host, virtual: null, lastMs: nowMs });
    const rested = [...this.#byWaypoint.values()].filter((tenure) => nowMs - this.#lastOf(tenure) >= restMs).sort((one, other) => this.#lastOf(one) - this.#lastOf(other));
    // A host that is published still loses its own only where there are too few.
    const longest = rested.find((tenure) => !this.#hosts.has(tenure.host)) ?? (this.#hosts.size > waypoints.length ? rested[0] : undefined);
    if (longest === undefined) return null;
    if (longest.virtual !== null) this.#options.vacated(longest.virtual);
    this.#byHost.delete(longest.host);
    return this.#put({ waypoint: longest.waypoint, host, virtual: null, lastMs: nowMs });
  }

  #put(tenure: Tenure): Tenure {
    this.counters.given += 1;
    this.#byWaypoint.set(bytesKey(tenure.waypoint), tenure);
    this.#byHost.set(tenure.host, tenure);
    return tenure;
  }

  #lastOf({ virtual, lastMs }: Tenure): number {
    return Math.max(lastMs, virtual === null ? -Infinity : (this.#options.lastUse(virtual) ?? -Infinity));
  }
}
