/** Places that hosts have together: when there are none left, whoever has most gives up the one that it has used least lately, so that one host cannot take them from the others. Without I/O. */
export class HostShares<T> {
  readonly #byHost = new Map<string, Set<T>>();
  readonly #hosts = new Map<T, string>();

  get size(): number {
    return this.#hosts.size;
  }

  all(): Iterable<T> {
    return this.#hosts.keys();
  }

  /** One that is there already counts as used. */
  add(host: string, item: T): void {
    this.delete(item);
    this.#hosts.set(item, host);
    this.#byHost.set(host, (this.#byHost.get(host) ?? new Set()).add(item));
  }

  use(item: T): void {
    const host = this.#hosts.get(item);
    if (host !== undefined) this.add(host, item);
  }

  delete(item: T): void {
    const host = this.#hosts.get(item);
    const items = host === undefined ? undefined : this.#byHost.get(host);
    if (host === undefined || items === undefined) return;
    this.#hosts.delete(item);
    items.delete(item);
    if (items.size === 0) this.#byHost.delete(host);
  }

  /** What is to make room; undefined: nothing is there. */
  first(): T | undefined {
    let most: ReadonlySet<T> = new Set();
    for (const items of this.#byHost.values()) if (items.size > most.size) most = items;
    const [first] = most;
    return first;
  }
}
