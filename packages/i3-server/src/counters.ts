/** Counters by name: each refusal, drop and event of the control plane is one (docs/wire.md §8). */
export type CounterName =
  | "malformed" | "amplification" | "mac" | "cookie" | "signature" | "quota" | "rate" | "wrong-direction"
  | "not-responsible" | "not-your-address" | "wrong-key" | "old-counter" | "unsupported" | "refresh-unknown" | "refresh-token" | "table-full" | "certificate-ended" | "responsible" | "leaving" | "not-settled" | "replicas-inserted" | "replicas-taken-over"
  | "inserted" | "repeated" | "refreshed" | "removed" | "expired"
  | "challenges" | "located" | "lookups" | "lookups-failed" | "lookups-refused" | "routes-dropped" | "routes-astray" | "other-family" | "other-unproven" | "cache-sent" | "shortcut-sent" | "cache-pending-full"
  | "session" | "epoch" | "replay" | "credential" | "foreign-ring" | "credential-ended" | "hello-rate" | "hello-unasked" | "waiting-dropped" | "calls-refused" | "sessions-dropped"
  | "record-challenges" | "records-put" | "records-repeated" | "records-expired" | "records-answered" | "records-absent" | "record-ended" | "records-full"
  | "not-present-sent" | "not-present-passed" | "not-present-unknown";

export class ServerCounters {
  readonly #counts = new Map<CounterName, number>();

  count(name: CounterName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  get(name: CounterName): number {
    return this.#counts.get(name) ?? 0;
  }

  snapshot(): Readonly<Partial<Record<CounterName, number>>> {
    return Object.fromEntries(this.#counts);
  }
}
