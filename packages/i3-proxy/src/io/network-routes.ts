/**
 * Routes of networks behind gateways, in a table of our own behind that of virtual addresses (virtual-routes.ts). What the machine's own table has with a prefix as long, or longer, goes before: the
 * local network stays, and the longest prefix decides between the two. For each length L that rules have, the longest first:
 *
 *     rule P(L)     lookup main suppress_prefixlength L-1           0 for L = 0: the machine's default route never goes before ours
 *     rule P(L)+1   not fwmark MARK lookup T suppress_prefixlength L-1
 *     rule P(0)-1   to 224.0.0.0/4 … lookup main                    with L = 0: what is said to the link stays there
 *
 *     T:  PREFIX dev TUN src OWN metric 10
 *         unreachable PREFIX metric 1000                            stays when the TUN vanishes, unless the rule goes direct then
 */
import { prefixText, type Network } from "@i3/common";
import { type NativeIo, ROUTE_PROTOCOL, type RouteOptions, type RuleOptions } from "@i3/datapath/native-io";

import type { NetworkWay } from "../gateways/gateway-networks.js";

export interface NetworkRoutesOptions {
  readonly io: Pick<NativeIo, "setRoute" | "removeRoute" | "setRule" | "removeRule" | "listRoutes">;
  /** Index of the TUN, which must be up. */
  readonly tunIndex: number;
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
  /** SO_MARK of what goes past the TUN. */
  readonly mark: number;
  /** Told before there are rules for lengths of prefixes, `4 24`, and when there are no more: those that a crash would leave behind. */
  readonly keepLengths: (lengths: readonly string[]) => void;
}

const TABLE = 1_315;
const MAIN_TABLE = 254;
const FIRST_PRIORITY = 1_315;
const TUN_METRIC = 10;
const UNREACHABLE_METRIC = 1_000;
const MAX_BITS = 128;
const FAMILIES = [4, 6] as const;

/** RFC 5771, 919, 3927; 4291. */
const OF_THE_LINK = {
  4: [[Uint8Array.of(224, 0, 0, 0), 4], [Uint8Array.of(255, 255, 255, 255), 32], [Uint8Array.of(169, 254, 0, 0), 16]],
  6: [[Uint8Array.of(0xff, ...Array<number>(15).fill(0)), 8], [Uint8Array.of(0xfe, 0x80, ...Array<number>(14).fill(0)), 10]],
} as const;

/** One number for each length, so that what another run has left behind is found. */
const priorityOf = (bits: number): number => FIRST_PRIORITY + 2 * (MAX_BITS - bits) + (bits === 0 ? 1 : 0);

/** @param length `4 24`: family and bits */
function rulesOf(length: string, mark: number): readonly RuleOptions[] {
  const [family, bits] = length.split(" ").map(Number) as [4 | 6, number];
  const base = { family, from: null, to: null };
  const priority = priorityOf(bits);
  const pair: readonly RuleOptions[] = [
    { ...base, priority, table: MAIN_TABLE, suppressPrefixBits: Math.max(0, bits - 1) },
    { ...base, priority: priority + 1, table: TABLE, mark, invert: true, ...(bits === 0 ? {} : { suppressPrefixBits: bits - 1 }) },
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

  /** Removes all that is ours. */
  close(): void {
    this.start([], [...this.#rules.keys()]);
  }

  #removeOthers(): void {
    const { io, mark, keepLengths } = this.#options;
    for (const length of this.#earlier) if (!this.#rules.has(length)) for (const rule of rulesOf(length, mark)) io.removeRule(rule);
    this.#earlier = [];
    keepLengths([...this.#rules.keys()]);
    for (const family of FAMILIES) {
      for (const route of io.listRoutes(family)) {
        if (route.table !== TABLE || route.protocol !== ROUTE_PROTOCOL) continue;
        const type = route.type === "unreachable" ? "unreachable" : "unicast";
        if (!this.#routes.has(keyOf(type, { address: route.destination, bits: route.prefixBits }))) io.removeRoute({ ...route, type, source: null });
      }
    }
  }

  #routesOf({ rule: { prefixes, whenDown }, isDown }: NetworkWay): readonly (readonly [string, RouteOptions])[] {
    if (isDown) return [];
    const { tunIndex, own4, own6 } = this.#options;
    return prefixes.flatMap((prefix) => {
      const to = { destination: prefix.address, prefixBits: prefix.bits, table: TABLE };
      const unicast: RouteOptions = { ...to, type: "unicast", index: tunIndex, metric: TUN_METRIC, source: prefix.address.length === 4 ? own4 : own6 };
      const unreachable: RouteOptions = { ...to, type: "unreachable", index: 0, metric: UNREACHABLE_METRIC, source: null };
      return [[keyOf("unicast", prefix), unicast] as const, ...(whenDown === "refuse" ? [[keyOf("unreachable", prefix), unreachable] as const] : [])];
    });
  }
}

const keyOf = (type: RouteOptions["type"], prefix: Network): string => `${type} ${prefixText(prefix)}`;
