/**
 * Networks that rules by address lead to through gateways (docs/gateways.md): each prefix is behind the mapping of its rule's gateway as long as the rule is, whoever the gateway's name stands for.
 * Without I/O: routes are the owner's, who is told when they change.
 */
import { bytesKey, exitOf, isInNetwork, parseIpText, prefixText, type AddressRange, type AddressRule, type Log, type Network } from "@i3/common";
import type { Datapath } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";
import type { GatewayPlace } from "./gateways.js";

// Ours:
/** The way back from "direct": the gateway is called again so often. */
const CALL_AGAIN_MS = 5_000;
const REFRESH_MS = 2_000;
/** Shorter prefixes of IPv6 have room for virtual addresses: theirs go before, as in the virtual range of IPv4. */
const SERVERS6_BITS = 32;

/** HITs (RFC 7343), and where gateways' IPv6 servers are (RFC 4193). */
const VIRTUAL6: readonly Network[] = [["2001:20::", 28], ["fd00::", 8]].map(([text, bits]) => ({ address: parseIpText(text as string) as Uint8Array, bits: bits as number }));

/** Ranges of virtual addresses that a shorter prefix contains. @param range of IPv4 */
export const virtualRangesIn = (prefix: Network, { network, prefixBits }: AddressRange): readonly Network[] =>
  [{ address: network, bits: prefixBits }, ...VIRTUAL6].filter(({ address, bits }) => bits > prefix.bits && isInNetwork(prefix, address));

export interface GatewayNetworksEnvironment {
  /** Of IPv4 virtual addresses. */
  readonly range: AddressRange;
  /** As for a program's question: the mapping is there afterwards, and may call. */
  readonly locate: (nowMs: number, via: string) => GatewayPlace | "looking" | "nowhere";
  readonly datapath: Pick<Datapath, "setBehind">;
  /** {@link GatewayNetworks.ways} are others. */
  readonly changed: () => void;
  /** A packet is to go to the gateway, as a program's would. */
  readonly call: (via: string) => void;
  readonly log: Log;
}

/** A rule's packets go to its gateway; null: the ordinary way, for that one is down. */
export interface NetworkWay {
  readonly rule: AddressRule;
  readonly isDown: boolean;
}

export class GatewayNetworks {
  readonly #env: GatewayNetworksEnvironment;
  #rules: readonly AddressRule[];
  /** Prefixes as the engine has them; of those with null everything is refused. */
  readonly #behind = new Map<string, { readonly prefix: Network; readonly flow: Uint8Array; readonly mapping: Mapping | null }>();
  /** By the gateway's name in the rules. */
  readonly #mappings = new Map<string, Mapping>();
  /** Names in the rules that lead to no host. */
  readonly #nowhere = new Set<string>();
  /** Gateways that could not be reached, of rules that go direct then: when each is called again. */
  readonly #down = new Map<string, number>();
  /** Not before the mappings of an earlier run are there. */
  #nextRefreshMs = Infinity;

  constructor(environment: GatewayNetworksEnvironment, rules: readonly AddressRule[]) {
    this.#env = environment;
    this.#rules = rules;
  }

  /** Who is asked for names that no rule sends elsewhere; null: the system's resolvers. */
  get exit(): string | null {
    const rule = exitOf(this.#rules);
    return rule === undefined || this.#isDown(rule) ? null : rule.via;
  }

  get ways(): readonly NetworkWay[] {
    return this.#rules.map((rule) => ({ rule, isDown: this.#isDown(rule) }));
  }

  /** Whether a network has the address that is not to be given to anybody. Beyond the size of the virtual range it is the other way round. */
  takes(address: Uint8Array): boolean {
    return takenBy(this.#rules, this.#env.range.prefixBits, address);
  }

  setRules(nowMs: number, rules: readonly AddressRule[]): void {
    if (JSON.stringify(rules) === JSON.stringify(this.#rules)) return;
    this.#rules = rules;
    const vias = new Set(rules.filter(({ whenDown }) => whenDown === "direct").map(({ via }) => via));
    for (const via of this.#down.keys()) if (!vias.has(via)) this.#down.delete(via);
    this.refresh(nowMs);
    this.#env.changed();
  }

  /** Names may stand for other hosts now, or hosts have other addresses: to be called when the book, the rules or zones have changed, and now and then. */
  refresh(nowMs: number): void {
    this.#nextRefreshMs = nowMs + REFRESH_MS;
    this.#mappings.clear();
    this.#nowhere.clear();
    for (const via of new Set(this.#rules.map((rule) => rule.via))) {
      const place = this.#env.locate(nowMs, via);
      if (typeof place !== "string") this.#mappings.set(via, place.mapping);
      else if (place === "nowhere") this.#nowhere.add(via);
    }
    const wanted = new Map<string, { readonly prefix: Network; readonly mapping: Mapping | undefined }>();
    for (const { prefixes, via } of this.#rules) for (const prefix of prefixes) wanted.set(prefixText(prefix), { prefix, mapping: this.#mappings.get(via) });
    for (const range of this.#rules.flatMap(({ prefixes }) => prefixes.flatMap((prefix) => virtualRangesIn(prefix, this.#env.range)))) {
      const text = prefixText(range);
      if (!wanted.has(text)) wanted.set(text, { prefix: range, mapping: undefined });
    }
    for (const [text, { prefix }] of this.#behind) if (!wanted.has(text)) this.#remove(text, prefix);
    for (const [text, { prefix, mapping }] of wanted) this.#put(text, prefix, mapping ?? null);
  }

  /** The mapping is no more. What still comes for its prefixes is refused. */
  forget(mapping: Mapping): void {
    for (const [text, { prefix, mapping: of }] of this.#behind) if (of === mapping) this.#put(text, prefix, null);
    for (const [via, of] of this.#mappings) if (of === mapping) this.#mappings.delete(via);
    this.#nextRefreshMs = 0;
  }

  handleTimer(nowMs: number): void {
    if (this.#rules.length === 0) return;
    if (nowMs >= this.#nextRefreshMs) this.refresh(nowMs);
    for (const via of new Set(this.#rules.filter(({ whenDown }) => whenDown === "direct").map((rule) => rule.via))) this.#look(nowMs, via);
  }

  #look(nowMs: number, via: string): void {
    const state = this.#nowhere.has(via) ? "refused" : this.#mappings.get(via)?.state;
    const againMs = this.#down.get(via);
    if (againMs === undefined && state === "refused") {
      this.#down.set(via, nowMs + CALL_AGAIN_MS);
      this.#env.log("warn", "gateway-down", { via, remedy: 'Its networks are reached the ordinary way, in plain, until it answers: their rule says when-down="direct".' });
      this.#env.changed();
    } else if (againMs !== undefined && state === "open") {
      this.#down.delete(via);
      this.#env.log("info", "gateway-up", { via });
      this.#env.changed();
    } else if (againMs !== undefined && nowMs >= againMs) {
      this.#down.set(via, nowMs + CALL_AGAIN_MS);
      this.#env.call(via);
    }
  }

  #isDown({ via, whenDown }: AddressRule): boolean {
    return whenDown === "direct" && this.#down.has(via);
  }

  /** Behind nobody, or by a mapping without an address of the family: behind a flow that is none. Left out, it would be behind the next shorter prefix's gateway. */
  #put(text: string, prefix: Network, mapping: Mapping | null): void {
    const size = prefix.address.length;
    const flow = (size === 4 ? mapping?.local4 : mapping?.local6) ?? new Uint8Array(size);
    const before = this.#behind.get(text);
    if (before?.mapping === mapping && bytesKey(before.flow) === bytesKey(flow)) return;
    this.#env.datapath.setBehind(prefix.address, prefix.bits, flow);
    this.#behind.set(text, { prefix, flow: flow.slice(), mapping });
  }

  #remove(text: string, { address, bits }: Network): void {
    this.#behind.delete(text);
    this.#env.datapath.setBehind(address, bits, null);
  }
}

/** As {@link GatewayNetworks.takes}, of rules. */
export const takenBy = (rules: readonly AddressRule[], rangeBits: number, address: Uint8Array): boolean =>
  rules.some(({ prefixes }) => prefixes.some((prefix) => prefix.bits > (address.length === 4 ? rangeBits : SERVERS6_BITS) && isInNetwork(prefix, address)));
