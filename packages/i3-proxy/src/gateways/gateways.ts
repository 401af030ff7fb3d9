/**
 * Gateways as their clients see them (docs/gateways.md): where the gateway of a rule is asked, what its answers lead to, and what people hear of it. Without I/O.
 */
import { bytesKey, formatIpText, MAX_TRY, publicId, sameBytes, type AddressRange, type AddressRule, type Log, type VirtualOption } from "@i3/common";
import type { Datapath } from "@i3/datapath";

import type { NameVerdict } from "../dns/dns-core.js";
import type { Mapping } from "../mappings/mapping.js";
import type { MappingTable } from "../mappings/mapping-table.js";
import type { VirtualAddresses } from "../mappings/virtual-addresses.js";
import { FewLines } from "../policy/few-lines.js";
import { GatewayNetworks } from "./gateway-networks.js";
import { ServerAddresses, type ServerAddress } from "./server-addresses.js";
import type { KnownServer } from "./server-text.js";

// Ours:
/** Counters by gateway: a configuration has at most so many rules. */
const MAX_COUNTED = 1_024;
const SWEEP_MS = 10_000;

const NOWHERE_REMEDY = 'Its name in the rule, via="…", must be in the address book, in a zone, or claimed by a host, and not be this one. Its names fail until then.';
const FOREIGN_REMEDY = "A gateway may name addresses of this machine's virtual range that are nobody else's, and those of its own IPv6 prefix. Is it a gateway, and of this version? One that goes on would lead programs elsewhere: take its rule out.";

/** Where a gateway's DNS server is asked. */
export interface GatewayPlace {
  readonly mapping: Mapping;
  /** The gateway's virtual address, and our own one of the same family. */
  readonly address: Uint8Array;
  readonly local: Uint8Array;
}

/**
 * Why a program's question failed: `nowhere` the gateway's name leads to no host, `crowded` too many questions in flight, `unsent` the system could not send it, `unreachable` the engine says so,
 * `silent` no answer, `malformed` or `foreign` answers, `taken` for all tries, `full` of servers.
 */
export type GatewayFailure = "nowhere" | "crowded" | "unsent" | "unreachable" | "silent" | "malformed" | "foreign" | "taken" | "full";

export interface GatewayCounters {
  questions: number;
  answers: number;
  /** Datagrams that answer nothing that was asked. */
  ignored: number;
  readonly failures: Partial<Record<GatewayFailure, number>>;
}

export interface GatewaysEnvironment {
  readonly own4: Uint8Array;
  readonly own6: Uint8Array;
  readonly range: AddressRange;
  readonly addresses: VirtualAddresses;
  readonly mappings: Pick<MappingTable, "byAddress" | "byPeer">;
  readonly datapath: Pick<Datapath, "setBehind" | "lastUse">;
  readonly lifetimeMs: number;
  readonly names: { resolve(name: string): NameVerdict; gatewayOf(name: string): string | null; idOfName(name: string): Uint8Array };
  readonly allocated: (addresses: readonly Uint8Array[]) => void;
  readonly released: (addresses: readonly Uint8Array[]) => void;
  readonly changed: (server: ServerAddress, isThere: boolean) => void;
  readonly addressRules: readonly AddressRule[];
  /** Ways of networks behind gateways are others. */
  readonly networksChanged: () => void;
  /** A packet is to go to a gateway, as a program's would. */
  readonly call: (via: string) => void;
  /** A name is to be asked for again, as by a program. */
  readonly askAgain: (name: string, family: 4 | 16) => void;
  readonly log: Log;
}

export class Gateways {
  readonly servers: ServerAddresses;
  readonly networks: GatewayNetworks;
  readonly #env: GatewaysEnvironment;
  readonly #counters = new Map<string, GatewayCounters>();
  readonly #nowhere = new FewLines();
  readonly #foreign = new FewLines();
  #nextSweepMs = 0;

  constructor(environment: GatewaysEnvironment) {
    this.#env = environment;
    const { range, addresses, datapath, lifetimeMs, allocated, released, changed } = environment;
    this.servers = new ServerAddresses({ range, addresses, datapath, lifetimeMs, allocated, released, changed });
    const { networksChanged, call, log, addressRules } = environment;
    this.networks = new GatewayNetworks({ range, locate: (nowMs, via) => this.locate(nowMs, via), datapath, changed: networksChanged, call, log }, addressRules);
  }

  /** What a question has to be asked with. @param tries 0 to MAX_TRY */
  option(tries: number): VirtualOption {
    return { tries, range: this.#env.range };
  }

  /** Where the gateway is asked that a rule calls `via`; its mapping is made as for any name, and the engine is to hear of it before anything is sent. */
  locate(nowMs: number, via: string): GatewayPlace | "looking" | "nowhere" {
    const { names, mappings, own4, own6 } = this.#env;
    const found = names.resolve(via);
    if (found === "looking") return found;
    const address = typeof found === "string" ? null : (found.v4 ?? found.v6);
    const mapping = address === null ? undefined : mappings.byAddress(address);
    if (address !== null && mapping !== undefined) return { mapping, address, local: address.length === 4 ? own4 : own6 };
    const why = address === null ? "no host is known by this name" : "this name is this host's own";
    if (this.#nowhere.take(nowMs, textKey(via))) this.#env.log("warn", "gateway-nowhere", { via, why, remedy: NOWHERE_REMEDY });
    return "nowhere";
  }

  /**
   * A gateway has answered for a name; to be called before the program hears of it.
   * @param tries the question had; again: it is to be asked with one more
   */
  learn(nowMs: number, via: string, { mapping }: GatewayPlace, name: string, addresses: readonly Uint8Array[], tries: number): "ok" | "again" | GatewayFailure {
    // Its mapping may have ended while it answered.
    if (this.#env.mappings.byAddress(mapping.local4) !== mapping) return "unreachable";
    // And so may its rule.
    if (this.#env.names.gatewayOf(name) !== via) return "nowhere";
    const learned = this.servers.learn(nowMs, mapping, via, name, addresses);
    if (learned === "taken") {
      if (tries < MAX_TRY) return "again";
      this.foreign(nowMs, via, name, addresses);
    } else if (learned === "foreign") this.foreign(nowMs, via, name, addresses);
    return learned;
  }

  /** A gateway has named addresses that are not its to give. */
  foreign(nowMs: number, via: string, name: string, addresses: readonly Uint8Array[]): void {
    if (!this.#foreign.take(nowMs, textKey(via))) return;
    this.#env.log("warn", "gateway-answer", { via, name, addresses: addresses.slice(0, 4).map(formatIpText), why: "it leads to addresses that the gateway has no say in, or that others have here", remedy: FOREIGN_REMEDY });
  }

  /** Servers of an earlier run, whose rules still lead there. */
  restore(nowMs: number, known: readonly KnownServer[]): void {
    const { mappings, names } = this.#env;
    for (const { hit, address, names: all } of known) {
      const mapping = mappings.byPeer(publicId(hit));
      const led = all.filter(([name, via]) => names.gatewayOf(name) === via);
      if (mapping !== undefined && led.length > 0) this.servers.restore(nowMs, mapping, address, led);
    }
  }

  countQuestion(via: string): void {
    this.#of(via).questions += 1;
  }

  countAnswer(via: string): void {
    this.#of(via).answers += 1;
  }

  countIgnored(via: string): void {
    this.#of(via).ignored += 1;
  }

  countFailure(via: string, why: GatewayFailure): void {
    const { failures } = this.#of(via);
    failures[why] = (failures[why] ?? 0) + 1;
  }

  /** Other rules: names that lead elsewhere now lose their servers. */
  rulesChanged(): void {
    const { names } = this.#env;
    this.servers.keepOnly((name, before, { peerId }) => {
      const via = names.gatewayOf(name);
      return via !== null && (via === before || (peerId !== null && sameBytes(names.idOfName(via), peerId)));
    });
  }

  /** The mapping of a gateway is no more. */
  removed(mapping: Mapping): void {
    this.servers.removeGateway(mapping);
    this.networks.forget(mapping);
  }

  handleTimer(nowMs: number): void {
    if (nowMs < this.#nextSweepMs) return;
    this.#nextSweepMs = nowMs + SWEEP_MS;
    for (const { address, names } of this.servers.sweep(nowMs)) {
      const name = [...names.keys()].at(-1);
      if (name !== undefined) this.#env.askAgain(name, address.length === 4 ? 4 : 16);
    }
  }

  /** A server's address is something real's of this machine now. */
  dropTaken(isTaken: (address: Uint8Array) => boolean): void {
    for (const { names } of this.servers.dropTaken(isTaken)) {
      this.#env.log("warn", "mapping-lost", { name: [...names.keys()].at(-1) ?? null, why: "its virtual address is used by something else now", remedy: "Ask for the name again: it gets another address." });
    }
  }

  /** By gateway, for people. */
  report(): readonly Readonly<Record<string, unknown>>[] {
    const servers = new Map<string, Set<string>>();
    for (const { address, names } of this.servers.all()) {
      for (const via of names.values()) (servers.get(via) ?? servers.set(via, new Set()).get(via))?.add(bytesKey(address));
    }
    return [...new Set([...this.#counters.keys(), ...servers.keys()])].map((via) => ({ via, servers: servers.get(via)?.size ?? 0, ...this.#of(via) }));
  }

  #of(via: string): GatewayCounters {
    let counters = this.#counters.get(via);
    if (counters === undefined) {
      if (this.#counters.size >= MAX_COUNTED) this.#counters.delete(this.#counters.keys().next().value as string);
      this.#counters.set(via, (counters = { questions: 0, answers: 0, ignored: 0, failures: {} }));
    }
    return counters;
  }
}

const textKey = (text: string): Uint8Array => new TextEncoder().encode(text);
