/**
 * Routes of networks behind gateways, in tables of our own behind that of virtual addresses (virtual-routes.ts). What the machine's own table has with a prefix as long, or longer, goes before: the
 * local network stays, and the longest prefix decides between the two. For each length L that rules have, the longest first:
 *
 *     rule P(L)     lookup main suppress_prefixlength L-1           0 for L = 0: the machine's default route never goes before ours
 *     rule P(L)+1   not fwmark MARK lookup T(L)                     a table each: "unreachable" is never suppressed, and would end the search before main is asked with a shorter one
 *     rule P(0)-1   to 224.0.0.0/4 … lookup main                    with L = 0: what is said to the link stays there
 *
 *     T(L):  PREFIX dev TUN src OWN metric 10
 *            unreachable PREFIX metric 1000                         stays when the TUN vanishes, unless the rule goes direct then
 *            unreachable VIRTUAL metric 5                           a range of virtual addresses in PREFIX: those that nobody has are nobody's behind a gateway either; dev TUN where the rule goes direct
 */
import { type NativeIo, ROUTE_PROTOCOL, type RouteEntry, type RouteOptions, type RuleOptions } from "@i3/datapath/native-io";

import { virtualRangesIn, type NetworkWay } from "../gateways/gateway-networks.js";
import { routeKey } from "./virtual-routes.js";

export interface NetworkRoutesOptions {
  readonly io: Pick<NativeIo, "setRoute" | "removeRoute" | "setRule" | "removeRule" | "listRoutes">;
  /** Index of the TUN, which must be up. */
  readonly tunIndex: number;
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
  /** Of IPv4 virtual addresses. */
  readonly range: { readonly network: Uint8Array; readonly prefixBits: number };
  /** SO_MARK of what goes past the TUN. */
  readonly mark: number;
  /** Told before there are rules for lengths of prefixes, `4 24`, and when there are no more: those that a crash would leave behind. */
  readonly keepLengths: (lengths: readonly string[]) => void;
}

const FIRST_TABLE = 1_315;
export const MAIN_TABLE = 254;
const FIRST_PRIORITY = 1_315;
const VIRTUAL_METRIC = 5;
const TUN_METRIC = 10;
const UNREACHABLE_METRIC = 1_000;
const MAX_BITS = 128;
const FAMILIES = [4, 6] as const;

/** RFC 5771, 919, 3927; 4291. */
const OF_THE_LINK = {
  4: [[Uint8Array.of(224, 0, 0, 0), 4], [Uint8Array.of(255, 255, 255, 255), 32], [Uint8Array.of(169, 254, 0, 0), 16]],
  6: [[Uint8Array.of(0xff, ...Array<number>(15).fill(0)), 8], [Uint8Array.of(0xfe, 0x80, ...Array<number>(14).fill(0)), 10]],
} as const;

const tableOf = (bits: number): number => FIRST_TABLE + bits;
const isOurs = ({ table, protocol }: RouteEntry): boolean => table >= FIRST_TABLE && table <= tableOf(MAX_BITS) && protocol === ROUTE_PROTOCOL;

/** One number for each length, so that what another run has left behind is found. */
const priorityOf = (bits: number): number => FIRST_PRIORITY + 2 * (MAX_BITS - bits) + (bits === 0 ? 1 : 0);

/** @param length `4 24`: family and bits */
function rulesOf(length: string, mark: number): readonly RuleOptions[] {
  const [family, bits] = length.split(" ").map(Number) as [4 | 6, number];
  const base = { family, from: null, to: null };
  const priority = priorityOf(bits);
  const pair: readonly RuleOptions[] = [
    { ...base, priority, table: MAIN_TABLE, suppressPrefixBits: Math.max(0, bits - 1) },
    { ...base, priority: priority + 1, table: tableOf(bits), mark, invert: true },
  ];
  if (bits > 0) return pair;
  return [...OF_THE_LINK[family].map(([address, prefixBits]) => ({ ...base, priority: priority - 1, table: MAIN_TABLE, to: { address, prefixBits } })), ...pair];
}

export class NetworkRoutes {
  readonly #options: NetworkRoutesOptions;
  readonly #routes = new Map<string, RouteOptions>();
  readonly #rules = new Map<string, readonly RuleOptions[]>();
  #earlier: readonly string[] = [];

  /** Sets nothing. */
  constructor(options: NetworkRoutesOptions) {
    this.#options = options;
  }

  /** Removes what an earlier run has left behind and `ways` do not have. Throws what NativeIo throws (EPERM without CAP_NET_ADMIN). @param earlier lengths that it kept */
  start(ways: readonly NetworkWay[], earlier: readonly string[]): void {
    if (ways.length === 0 && earlier.length === 0) return;
    this.#earlier = earlier;
    this.set(ways);
    this.#removeOthers();
  }

  /** What is new is there before what is old goes. */
  set(ways: readonly NetworkWay[]): void {
    const { io, mark } = this.#options;
    const routes = new Map(ways.flatMap((way) => this.#routesOf(way)));
    const lengths = new Set(ways.flatMap(({ rule, isDown }) => (isDown ? [] : rule.prefixes.map(({ address, bits }) => `${address.length === 4 ? 4 : 6} ${bits}`))));
    for (const [key, route] of routes) if (!this.#routes.has(key)) io.setRoute(route);
    const known = [...this.#rules.keys()];
    if ([...lengths].some((length) => !this.#rules.has(length))) this.#options.keepLengths([...new Set([...this.#earlier, ...known, ...lengths])]);
    for (const length of lengths) {
      if (this.#rules.has(length)) continue;
      const rules = rulesOf(length, mark);
      for (const rule of rules) io.setRule(rule);
      this.#rules.set(length, rules);
    }
    for (const [length, rules] of this.#rules) {
      if (lengths.has(length)) continue;
      for (const rule of rules) io.removeRule(rule);
      this.#rules.delete(length);
    }
    if (this.#earlier.length === 0 && known.some((length) => !lengths.has(length))) this.#options.keepLengths([...lengths]);
    for (const [key, route] of this.#routes) if (!routes.has(key)) io.removeRoute(route);
    this.#routes.clear();
    for (const [key, route] of routes) this.#routes.set(key, route);
  }

  /**
   * Sets what somebody has removed. Throws what NativeIo throws.
   * @param entries all routes of the machine
   * @returns how many rules and routes were missing
   */
  keep(entries: readonly RouteEntry[]): number {
    const { io } = this.#options;
    const there = new Set(entries.filter(isOurs).map(routeKey));
    const missing = [...this.#routes].filter(([key]) => !there.has(key));
    for (const [, route] of missing) io.setRoute(route);
    return missing.length + [...this.#rules.values()].flat().reduce((sum, rule) => sum + Number(io.setRule(rule)), 0);
  }

  /** Removes all that is ours. */
  close(): void {
    this.start([], [...this.#rules.keys()]);
  }

  #removeOthers(): void {
    const { io, mark, keepLengths } = this.#options;
    for (const length of this.#earlier) if (!this.#rules.has(length)) for (const rule of rulesOf(length, mark)) io.removeRule(rule);
    this.#earlier = [];
    keepLengths([...this.#rules.keys()]);
    for (const route of FAMILIES.flatMap((family) => io.listRoutes(family)).filter(isOurs)) {
      if (!this.#routes.has(routeKey(route))) io.removeRoute({ ...route, type: route.type === "unreachable" ? "unreachable" : "unicast", source: null });
    }
  }

  #routesOf({ rule: { prefixes, whenDown }, isDown }: NetworkWay): readonly (readonly [string, RouteOptions])[] {
    if (isDown) return [];
    const isRefused = whenDown === "refuse";
    const { tunIndex, own4, own6, range } = this.#options;
    return prefixes.flatMap((prefix) => {
      const to = { destination: prefix.address, prefixBits: prefix.bits, table: tableOf(prefix.bits) };
      const unicast: RouteOptions = { ...to, type: "unicast", index: tunIndex, metric: TUN_METRIC, source: prefix.address.length === 4 ? own4 : own6 };
      const unreachable: RouteOptions = { ...to, type: "unreachable", index: 0, metric: UNREACHABLE_METRIC, source: null };
      const virtual = virtualRangesIn(prefix, range).map(({ address, bits }): RouteOptions => {
        const inside = { destination: address, prefixBits: bits };
        return isRefused ? { ...unreachable, ...inside, metric: VIRTUAL_METRIC } : { ...unicast, ...inside };
      });
      return [unicast, ...(isRefused ? [unreachable] : []), ...virtual].map((route) => [routeKey(route), route] as const);
    });
  }
}
