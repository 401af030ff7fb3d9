/**
 * What the machine already uses of the virtual range (overlap with a real route is found at start, reported, and
 * avoided): addresses of interfaces, routes of all tables, resolvers. A resolver may lie behind the default route, so looking at
 * routes is not enough.
 */
import { formatIpText, samePrefix } from "@i3/common";
import { type NativeIo, ROUTE_PROTOCOL } from "@i3/datapath/native-io";

export interface Prefix {
  readonly network: Uint8Array;
  readonly prefixBits: number;
}

export const rangeText = ({ network, prefixBits }: Prefix): string => `${formatIpText(network)}/${prefixBits}`;

/** Host identity tags, 2001:20::/28 (RFC 7343). */
export const HIT_RANGE: Prefix = { network: Uint8Array.of(0x20, 0x01, 0x00, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), prefixBits: 28 };

/** Of virtual IPv6 addresses that are no HITs, servers behind gateways: unique local ones (RFC 4193). */
export const SERVER_RANGE: Prefix = { network: Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0xfd : 0)), prefixBits: 8 };

export interface Overlap {
  readonly kind: "address" | "route" | "resolver";
  /** Network in bytes and length: what of the address space it takes. */
  readonly prefix: Prefix;
  /** "10.1.0.0/16". */
  readonly what: string;
  /** "interface eth0", "table 254 by eth0", "resolv.conf". */
  readonly where: string;
  /** It takes the whole range: no free address is left. */
  readonly coversRange: boolean;
}

export interface SystemViewOptions {
  readonly io: Pick<NativeIo, "listRoutes" | "listAddresses" | "watchNetlink">;
  /** The TUN's index, whose addresses and routes are ours; 0 before there is one. */
  readonly tunIndex: () => number;
  /** Other interfaces that are ours too. @default none */
  readonly isOurs?: (index: number) => boolean;
  readonly resolvers: () => readonly Uint8Array[];
}

/** As wide as the halves that VPNs use in place of a default route (0.0.0.0/1; ::/1, 2000::/3): no statement about the range. */
const WIDE_BITS = { 4: 1, 6: 3 } as const;
const FAMILIES = [4, 6] as const;
/** After a change the view is taken anew this late, and no sooner than this many times as long as it took. */
const SETTLE_MS = 300;
const REST_FACTOR = 50;

export class SystemView {
  readonly #options: SystemViewOptions;
  readonly #listeners = new Set<() => void>();
  #used: readonly Omit<Overlap, "coversRange">[] = [];
  #watch: { close(): void } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #restMs = 0;

  constructor(options: SystemViewOptions) {
    this.#options = options;
    this.refresh();
  }

  /** Looks again. */
  refresh(): void {
    this.#used = [...this.#addresses(), ...this.#routes(), ...this.#resolvers()];
  }

  /** What lies in a range or covers it, addresses first. */
  findOverlaps(range: Prefix): readonly Overlap[] {
    return this.#used
      .filter(({ prefix }) => intersects(prefix, range))
      .map((used) => ({ ...used, coversRange: used.prefix.prefixBits <= range.prefixBits }));
  }

  /** Whether something real has this address (4 or 16 bytes). */
  isTaken(address: Uint8Array): boolean {
    const single = { network: address, prefixBits: address.length * 8 };
    return this.#used.some(({ prefix }) => intersects(prefix, single));
  }

  /** Calls back when the view has changed, until closed. */
  watch(onChange: () => void): { close(): void } {
    this.#listeners.add(onChange);
    this.#watch ??= this.#options.io.watchNetlink(() => {
      this.#timer ??= setTimeout(() => this.#look(), Math.max(SETTLE_MS, this.#restMs));
    });
    return { close: () => this.#unwatch(onChange) };
  }

  #unwatch(listener: () => void): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#watch?.close();
    this.#watch = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #look(): void {
    this.#timer = null;
    const startMs = performance.now();
    const before = this.describe();
    this.refresh();
    this.#restMs = (performance.now() - startMs) * REST_FACTOR;
    if (this.describe() === before) return;
    for (const listener of [...this.#listeners]) listener();
  }

  describe(): string {
    return this.#used.map(({ kind, what, where }) => `${kind} ${what} (${where})`).join("\n");
  }

  #addresses(): Omit<Overlap, "coversRange">[] {
    return FAMILIES.flatMap((family) => this.#options.io.listAddresses(family))
      .filter(({ index }) => index !== this.#options.tunIndex() && this.#options.isOurs?.(index) !== true)
      .map(({ address, name }) => ({ kind: "address", prefix: single(address), what: formatIpText(address), where: `interface ${name}` }));
  }

  #routes(): Omit<Overlap, "coversRange">[] {
    const names = this.#interfaceNames();
    return FAMILIES.flatMap((family) => this.#options.io.listRoutes(family).filter(({ prefixBits }) => prefixBits > WIDE_BITS[family]))
      .filter(({ type, index, protocol }) => type !== "multicast" && protocol !== ROUTE_PROTOCOL && (index === 0 || (index !== this.#options.tunIndex() && this.#options.isOurs?.(index) !== true)))
      .map(({ destination, prefixBits, table, index, type }) => ({
        kind: "route",
        prefix: { network: destination, prefixBits },
        what: rangeText({ network: destination, prefixBits }),
        where: `table ${table}${index === 0 ? `, ${type}` : ` by ${names.get(index) ?? `interface ${index}`}`}`,
      }));
  }

  #interfaceNames(): Map<number, string> {
    return new Map(FAMILIES.flatMap((family) => this.#options.io.listAddresses(family)).map(({ index, name }) => [index, name]));
  }

  #resolvers(): Omit<Overlap, "coversRange">[] {
    return this.#options.resolvers().map((address) => ({ kind: "resolver", prefix: single(address), what: formatIpText(address), where: "resolv.conf" }));
  }
}

/** One line a thing, for the log. */
export const overlapText = ({ kind, what, where, coversRange }: Overlap): string =>
  `${kind} ${what} (${where})${coversRange ? " takes the whole range of virtual addresses" : " lies in the range of virtual addresses"}`;

const single = (address: Uint8Array): Prefix => ({ network: address, prefixBits: address.length * 8 });

/** Whether one of two prefixes contains the other. */
export const intersects = (a: Prefix, b: Prefix): boolean => a.network.length === b.network.length && samePrefix(a.network, b.network, Math.min(a.prefixBits, b.prefixBits));
