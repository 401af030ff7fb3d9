/**
 * Routes of virtual addresses, each /32 or /128, in a table of our own (never one for the range, which would take the office's):
 *
 *     rule P      lookup T                      T:    ADDRESS dev TUN src OWN metric 10
 *                                                     unreachable ADDRESS metric 1000     stays when the TUN vanishes
 *     rule P+1    from OWN to RANGE lookup T+1  T+1:  RANGE dev TUN metric 10             so that the engine refuses what nobody was given
 *
 * For IPv6 the ranges are that of HITs and fd00::/8, where servers behind gateways are: what a program still sends to one that is gone does not leave in clear.
 */
import { bytesKey } from "@i3/common";
import { type NativeIo, ROUTE_PROTOCOL, type RouteEntry, type RouteOptions, type RuleOptions } from "@i3/datapath/native-io";
import { HIT_RANGE, SERVER_RANGE } from "./system-view.js";

export interface VirtualRoutesOptions {
  readonly io: Pick<NativeIo, "setRoute" | "removeRoute" | "setRule" | "removeRule" | "listRoutes">;
  /** Index of the TUN, which must be up. */
  readonly tunIndex: number;
  readonly own: readonly Uint8Array[];
  /** The IPv4 range. */
  readonly range: { readonly network: Uint8Array; readonly prefixBits: number };
  /** This and the next number are ours. @default 1313 */
  readonly table?: number;
  /** This and the next number are ours. @default 1313 */
  readonly priority?: number;
}

const DEFAULT_TABLE = 1_313;
const DEFAULT_PRIORITY = 1_313;
const TUN_METRIC = 10;
const UNREACHABLE_METRIC = 1_000;

const FAMILIES = [4, 6] as const;

export class VirtualRoutes {
  readonly #options: VirtualRoutesOptions;
  readonly #table: number;
  readonly #priority: number;
  readonly #unicasts: Readonly<Record<4 | 6, Template>>;
  readonly #unreachables: Readonly<Record<4 | 6, Template>>;
  /** Those that have routes. */
  readonly #given = new Map<string, Uint8Array>();
  /** Addresses whose unreachable route is still to be set. */
  readonly #later: Uint8Array[] = [];
  #timer: NodeJS.Immediate | null = null;

  /** Sets nothing. */
  constructor(options: VirtualRoutesOptions) {
    this.#options = options;
    this.#table = options.table ?? DEFAULT_TABLE;
    this.#priority = options.priority ?? DEFAULT_PRIORITY;
    this.#unicasts = templates({ type: "unicast", index: options.tunIndex, table: this.#table, metric: TUN_METRIC }, options.own);
    this.#unreachables = templates({ type: "unreachable", index: 0, table: this.#table, metric: UNREACHABLE_METRIC }, null);
  }

  /**
   * Sets the rules, the routes of `restored` addresses, and removes what an earlier run left behind and nobody needs any more.
   * Throws what NativeIo throws (EPERM without CAP_NET_ADMIN).
   */
  start(restored: readonly Uint8Array[]): void {
    for (const address of restored) this.add(address);
    const kept = new Set(restored.map(bytesKey));
    this.#removeRoutes((destination) => !kept.has(bytesKey(destination)));
    this.#setLater();
    for (const own of this.#options.own) for (const range of this.#rangesOf(own)) this.#options.io.setRoute(this.#rangeRoute(own, range));
    for (const rule of this.#rules()) this.#options.io.setRule(rule);
  }

  /**
   * Synchronous: when a program is told the address, the way to it exists. What only matters when the TUN has vanished is set after
   * the answer is out. Setting it again is not an error.
   */
  add(address: Uint8Array): void {
    this.#options.io.setRoute(this.#unicast(address));
    const kept = address.slice();
    this.#given.set(bytesKey(kept), kept);
    this.#later.push(kept);
    this.#timer ??= setImmediate(() => this.#setLater());
  }

  remove(address: Uint8Array): void {
    this.#setLater();
    this.#given.delete(bytesKey(address));
    this.#options.io.removeRoute(this.#unicast(address));
    this.#options.io.removeRoute(this.#unreachable(address));
  }

  /**
   * Sets what somebody has removed. Throws what NativeIo throws.
   * @param entries all routes of the machine
   * @returns how many rules and routes were missing
   */
  keep(entries: readonly RouteEntry[]): number {
    const { io, own } = this.#options;
    this.#setLater();
    const there = new Set(entries.filter(({ protocol }) => protocol === ROUTE_PROTOCOL).map(routeKey));
    let missing = 0;
    const put = (route: RouteOptions): void => {
      if (there.has(routeKey(route))) return;
      missing += 1;
      io.setRoute(route);
    };
    for (const address of this.#given.values()) {
      put(this.#unicast(address));
      put(this.#unreachable(address));
    }
    for (const one of own) for (const range of this.#rangesOf(one)) put(this.#rangeRoute(one, range));
    return missing + this.#rules().reduce((sum, rule) => sum + Number(io.setRule(rule)), 0);
  }

  /** Removes all that is ours; the guard goes on refusing what is still allocated. */
  close(): void {
    this.#setLater();
    for (const rule of this.#rules()) this.#options.io.removeRule(rule);
    // Whatever address the rules of an earlier run name, one for each range: priority and table tell that they are ours.
    for (const own of [new Uint8Array(4), new Uint8Array(16)]) {
      for (let i = 0; i < this.#rangesOf(own).length; i += 1) this.#options.io.removeRule({ family: familyOf(own), priority: this.#priority + 1, table: this.#table + 1, from: null, to: null });
    }
    this.#removeRoutes(() => true);
  }

  #setLater(): void {
    if (this.#timer !== null) clearImmediate(this.#timer);
    this.#timer = null;
    for (const address of this.#later.splice(0)) this.#options.io.setRoute(this.#unreachable(address));
  }

  #removeRoutes(which: (destination: Uint8Array) => boolean): void {
    for (const family of FAMILIES) {
      for (const route of this.#options.io.listRoutes(family)) {
        const isOurs = route.table === this.#table || route.table === this.#table + 1;
        if (!isOurs || route.protocol !== ROUTE_PROTOCOL || !which(route.destination)) continue;
        const type = route.type === "unreachable" ? "unreachable" : "unicast";
        this.#options.io.removeRoute({ ...route, type, source: null });
      }
    }
  }

  #rules(): RuleOptions[] {
    const everything = FAMILIES.map((family) => ({ family, priority: this.#priority, table: this.#table, from: null, to: null }));
    const fromOwn = this.#options.own.flatMap((address) => this.#rangesOf(address).map(({ network, prefixBits }) => {
      const from = { address, prefixBits: address.length * 8 };
      return { family: familyOf(address), priority: this.#priority + 1, table: this.#table + 1, from, to: { address: network, prefixBits } };
    }));
    return [...everything, ...fromOwn];
  }

  #rangesOf = (address: Uint8Array): readonly VirtualRoutesOptions["range"][] => (address.length === 4 ? [this.#options.range] : [HIT_RANGE, SERVER_RANGE]);

  #rangeRoute(own: Uint8Array, { network, prefixBits }: VirtualRoutesOptions["range"]): RouteOptions {
    return { ...this.#unicast(network), prefixBits, table: this.#table + 1, source: preferredSource([own], own.length) };
  }

  #unicast(address: Uint8Array): RouteOptions {
    return filled(this.#unicasts[familyOf(address)], address);
  }

  #unreachable(address: Uint8Array): RouteOptions {
    return filled(this.#unreachables[familyOf(address)], address);
  }
}

/** Routes are set while a program waits for a DNS answer: one object for each kind is filled again and again. */
type Template = Omit<RouteOptions, "destination"> & { destination: Uint8Array };

function filled(template: Template, destination: Uint8Array): RouteOptions {
  template.destination = destination;
  return template;
}

function templates(base: Omit<RouteOptions, "destination" | "prefixBits" | "source">, own: readonly Uint8Array[] | null): Readonly<Record<4 | 6, Template>> {
  const template = (bytes: 4 | 16): Template => ({
    type: base.type, destination: new Uint8Array(bytes), prefixBits: bytes * 8, index: base.index, table: base.table, metric: base.metric,
    source: own === null ? null : preferredSource(own, bytes),
  });
  return { 4: template(4), 6: template(16) };
}

const familyOf = (address: Uint8Array): 4 | 6 => (address.length === 4 ? 4 : 6);

/**
 * IPv6 needs none: the only address of the outgoing interface is preferred anyway (RFC 6724 §5, rule 5), and the kernel refuses a
 * source that is not yet out of duplicate address detection.
 */
const preferredSource = (own: readonly Uint8Array[], bytes: number): Uint8Array | null =>
  bytes === 4 ? (own.find((address) => address.length === bytes) ?? null) : null;

/** Of a route, whoever lists or sets it. */
export const routeKey = ({ type, table, metric, destination, prefixBits }: Pick<RouteEntry, "type" | "table" | "metric" | "destination" | "prefixBits">): string => `${type} ${table} ${metric} ${prefixBits} ${bytesKey(destination)}`;
