/**
 * What a name means on this machine (paper §3.1, §3.2): rules first, then the address book, then its zone. Asking for a
 * host's name makes its mapping, so that an address is only ever given out together with its way.
 */
import { bytesKey, findRule, formatIpText, nameId, normalName, publicId, sameBytes, virtualAddress, type AddressBook, type AddressRange, type BookEntry, type HipAddress, type Log, type ProxyRule } from "@i3/common";

import { asksForAnonymity } from "./anonymous/anonymous-names.js";
import type { NameAddresses, NameSource, NameVerdict } from "./dns/dns-core.js";
import type { Mapping } from "./mappings/mapping.js";
import type { MappingTable } from "./mappings/mapping-table.js";
import type { NameTrust } from "./policy/name-trust.js";
import { isSamePolicy, PLAIN_POLICY, policyFor, strongerPolicy, strongestOf, UNNAMED_POLICY, withoutCleartext, type PeerPolicy } from "./policy/policy.js";
import type { ZoneEntry, ZoneNames } from "./zones/zone-names.js";

export interface NamesEnvironment {
  readonly suffix: string;
  readonly rules: readonly ProxyRule[];
  /** Of hosts that no rule names. */
  readonly unnamed: PeerPolicy;
  readonly own: { readonly id: Uint8Array; readonly v4: Uint8Array; readonly v6: Uint8Array };
  readonly mappings: MappingTable;
  readonly trust: NameTrust;
  readonly zones: ZoneNames;
  /** Names that this host claims, lower case. */
  readonly published: readonly string[];
  readonly wallMs: () => number;
  /** An id that is likely to be asked for. */
  readonly prepare: (id: Uint8Array) => void;
  readonly onCreated: (mapping: Mapping) => void;
  /** Of the virtual address of a server behind a gateway. */
  readonly serverName: (address: Uint8Array) => string | null;
  /** The gateway that is asked for names which no rule sends elsewhere; null: the system's resolvers are. */
  readonly exit: () => string | null;
  readonly log: Log;
}

const MAX_PREPARED = 4_096;

export class Names implements NameSource {
  readonly #env: NamesEnvironment;
  /** Ids of entries that were asked for: a hash costs as much as the rest of an answer. */
  readonly #ids = new WeakMap<BookEntry | ZoneEntry, Uint8Array>();
  /** Names whose rules found no room, and the log has said so. */
  readonly #cutOff = new Set<string>();
  /** Of zones, that contradict pins, and the log has said so. */
  readonly #conflicts = new WeakSet<ZoneEntry>();
  /** By id: names of hosts that have several in the book. */
  #shared: ReadonlyMap<string, readonly string[]> = new Map();
  #book: AddressBook;
  #rules: readonly ProxyRule[];
  #hasGateways: boolean;

  constructor(environment: NamesEnvironment, book: AddressBook) {
    this.#env = environment;
    this.#book = book;
    this.#rules = environment.rules;
    this.#hasGateways = hasGateways(environment.rules);
    this.#readBook();
  }

  /** Other rules for names from now on; mappings stay. */
  setRules(rules: readonly ProxyRule[]): void {
    this.#rules = rules;
    this.#hasGateways = hasGateways(rules);
    this.#cutOff.clear();
    this.#warnOfDifferences([...this.#shared.values()]);
  }

  /** Virtual addresses that the book's hosts, and those of zones and pinned names, have when nothing collides: of the usual number of entries. */
  bookAddresses(range: AddressRange): readonly Uint8Array[] {
    const own = this.#env.own;
    const others = [...this.#env.trust.hits()].filter((hit) => !sameBytes(hit, own.v6)).flatMap((hit) => [virtualAddress(range, publicId(hit)), hit]);
    return [...others, ...this.#book.entries.slice(0, MAX_PREPARED).flatMap((entry) => {
      const id = this.#idOf(entry);
      if (sameBytes(id, own.id)) return [];
      return [virtualAddress(range, id), ...(entry.hit === undefined ? [] : [entry.hit])];
    })];
  }

  /** A new address book: mappings stay, their names follow it. */
  setBook(book: AddressBook): void {
    this.#book = book;
    this.#readBook();
    for (const mapping of this.#env.mappings.all()) this.rename(mapping);
  }

  /** A zone's name stands for another host now. */
  zoneChanged(name: string): void {
    const others = this.#otherNames(name);
    if (others.length > 0) this.#warnOfDifferences([[name, ...others]]);
  }

  /** A mapping's name as the book has it now; one that is a name alone keeps it. */
  rename(mapping: Mapping): void {
    if (!mapping.isNameOnly) mapping.name = mapping.peerId === null ? null : this.#nameOf(mapping.peerId, mapping.peerHit);
  }

  gatewayOf(name: string): string | null {
    const exit = this.#env.exit();
    if ((!this.#hasGateways && exit === null) || name === this.#env.suffix || asksForAnonymity(name, this.#env.suffix)) return null;
    const rule = findRule(this.#rules, name);
    if (rule?.go === "gateway") return rule.via;
    if (rule?.go === "anonymous") return null;
    return exit !== null && rule?.go !== "direct" && this.#isElsewhere(name, rule !== undefined) ? exit : null;
  }

  isKept(name: string): boolean {
    return this.keeps(name, name) !== null;
  }

  /** As SearchNames asks for. */
  keeps(name: string, beside: string): "named" | "swept" | null {
    const { suffix, exit } = this.#env;
    if (name === suffix || name.endsWith(`.${suffix}`)) return "named";
    const rule = findRule(this.#rules, name);
    if (rule === undefined) return exit() === null ? null : "swept";
    if (rule.go === "direct") return null;
    return name !== beside && findRule([rule], beside) === undefined ? "named" : "swept";
  }

  /** Whether a name can be no host's of the overlay, and is none of our suffix. @param isRuled a rule with go="i3" is for it */
  #isElsewhere(name: string, isRuled: boolean): boolean {
    const { suffix, zones, trust } = this.#env;
    if (name.endsWith(`.${suffix}`)) return false;
    if (!isRuled) return true;
    if (this.#book.lookup(name) !== undefined || trust.isFirstUse(name)) return false;
    const zoned = zones.resolve(name);
    return zoned !== "looking" && zoned !== "unavailable" && typeof zoned === "string";
  }

  /** The id of the host that a name over i3 stands for, as far as is known without asking. */
  idOfName(name: string): Uint8Array {
    const entry = this.#book.lookup(name);
    if (entry !== undefined) return this.#idOf(entry);
    const hit = this.#hitOf(name);
    return hit === undefined ? nameId(name) : publicId(hit);
  }

  resolve(name: string): NameVerdict {
    const { suffix } = this.#env;
    if (name === suffix) return { v4: null, v6: null };
    const isOurs = name.endsWith(`.${suffix}`);
    const rule = findRule(this.#rules, name);
    // Others answer for these, and what asks for anonymity has no other way.
    if (rule?.go === "anonymous") return "unavailable";
    if (asksForAnonymity(name, suffix)) return "unknown";
    if (rule?.go === "direct") return "elsewhere";
    // Only a gateway is looked up so, and none is behind another one.
    if (rule?.go === "gateway") return "unavailable";
    // A name of our suffix that no rule admits never leaves this machine.
    if (rule === undefined) return isOurs ? "unknown" : "elsewhere";
    const entry = this.#book.lookup(name);
    if (entry !== undefined) return this.#addressesOf(name, this.#idOf(entry), entry.hit ?? null, false);
    const zoned = this.#env.zones.resolve(name);
    if (typeof zoned !== "string") return this.#zoneName(zoned);
    // While nobody answers, a key that was proven before is not less its own.
    const isPending = zoned === "unavailable" || zoned === "looking";
    if (isPending && !(this.#env.trust.pinOf(name) !== undefined && this.#env.zones.isUnanswered(name))) return zoned;
    if (!this.#env.trust.isFirstUse(name)) return isOurs ? "unknown" : "elsewhere";
    return this.#firstUse(name);
  }

  whenKnown(name: string, done: () => void): () => void {
    return this.#env.zones.whenKnown(name, done);
  }

  #zoneName(entry: ZoneEntry): NameAddresses | "unavailable" {
    const { name, hit, suffix } = entry;
    const pin = this.#env.trust.conflictOf(entry);
    if (pin === undefined) return this.#addressesOf(name, this.#idOf(entry), hit, false);
    if (!this.#conflicts.has(entry)) {
      this.#conflicts.add(entry);
      this.#env.log("warn", "zone-conflict", {
        name, pinned: formatIpText(pin.hit), zone: formatIpText(hit),
        remedy: `The zone ${suffix} says that this name is another host than the one that it has been here. Neither is called. Ask its owner; then delete the line of the name in the file pins of the state directory while i3-proxy is stopped, or write the right host into the address book.`,
      });
    }
    return "unavailable";
  }

  /** A name that the book does not have: its host is the one it was first, or whoever claims it. */
  #firstUse(name: string): NameAddresses | "unavailable" {
    const { own, published, trust } = this.#env;
    if (published.includes(normalName(name) ?? "")) return { v4: own.v4, v6: own.v6 };
    const pin = trust.pinOf(name);
    return pin === undefined ? this.#addressesOf(name, nameId(name), null, true) : this.#addressesOf(name, publicId(pin.hit), pin.hit, false);
  }

  reverse(address: Uint8Array): string | null {
    const { own, mappings } = this.#env;
    if (sameBytes(address, own.v4) || sameBytes(address, own.v6)) return this.#nameOf(own.id, own.v6);
    const mapping = mappings.byAddress(address);
    return mapping === undefined ? this.#env.serverName(address) : mapping.name;
  }

  /** Name of a host in the address book, else in a zone or a pinned one, by its HIT. */
  nameOfHit(hit: Uint8Array): string | null {
    return this.#nameOf(publicId(hit), hit);
  }

  /** Where a host of the address book is that is not reached over i3. */
  directOf(hit: Uint8Array): HipAddress | null {
    return this.#book.addressOf(hit) ?? null;
  }

  /** Whether the rules want a trigger of its own for a peer (null: a stranger). */
  wantsOwnTrigger(name: string | null): boolean {
    if (name === null) return false;
    const rule = findRule(this.#rules, name);
    return rule?.go === "i3" && rule.privateId === "own";
  }

  /** How the packets of a peer (null: a stranger) are protected. A host that has several names has one address: what any of them asks for holds for all. */
  policyOf(name: string | null): PeerPolicy {
    if (name === null) return this.#env.unnamed;
    const policies = [name, ...this.#otherNames(name)].map((each) => this.#policyOfName(each)).filter((policy) => policy !== null);
    return policies.length === 0 ? this.#env.unnamed : policies.reduce(strongerPolicy);
  }

  #otherNames(name: string): readonly string[] {
    const entry = this.#book.lookup(name);
    const hit = entry === undefined ? this.#hitOf(name) : entry.hit;
    const id = this.idOfName(name);
    const one = entry === undefined && hit !== undefined ? this.#bookNameOf(id, hit) : null;
    const inBook = this.#shared.get(bytesKey(id)) ?? (one === null ? [] : [one]);
    return [...inBook, ...(hit === undefined ? [] : this.#env.trust.namesOf(hit))].filter((other) => other !== name);
  }

  /** Of a name that the book does not have. */
  #hitOf(name: string): Uint8Array | undefined {
    return (this.#env.trust.zoneEntryOf(name) ?? this.#env.trust.pinOf(name))?.hit;
  }

  #policyOfName(name: string): PeerPolicy | null {
    const policy = policyFor(name, this.#rules);
    if (policy === null) return null;
    if (policy.cutOffAt !== null && !this.#cutOff.has(name)) {
      if (this.#cutOff.size < MAX_PREPARED) this.#cutOff.add(name);
      this.#env.log("warn", "services-cut-off", { name, line: policy.cutOffAt, remedy: "More rules match this name than there is room for: what the rule on this line and later ones are for is refused. Put fewer services into one name's rules." });
    }
    const entry = this.#book.lookup(name);
    const hit = entry === undefined ? this.#hitOf(name) : entry.hit;
    return hit === undefined || this.directOf(hit) === null ? policy : withoutCleartext(policy);
  }

  /** That of a caller in cleartext, or null when it may not come so: the rules have cleartext alone for its name, for a stranger for all names. */
  plainPolicyOf(name: string | null): PeerPolicy | null {
    if (name === null) return this.#isAllPlain() ? PLAIN_POLICY : null;
    const policy = this.policyOf(name);
    return strongestOf(policy) === "none" ? policy : null;
  }

  #isAllPlain(): boolean {
    const rules = this.#rules.flatMap((rule) => (rule.go === "i3" ? [rule] : []));
    return rules.some(({ service }) => service === undefined) && rules.every(({ security }) => security === "none");
  }

  #addressesOf(name: string, id: Uint8Array, hit: Uint8Array | null, isNameOnly: boolean): NameAddresses | "unavailable" {
    const { own, mappings, wallMs, onCreated, log } = this.#env;
    if (sameBytes(id, own.id)) return { v4: own.v4, v6: own.v6 };
    const isDirect = hit !== null && this.directOf(hit) !== null;
    let mapping = mappings.byPeer(id);
    if (mapping === undefined) {
      const created = mappings.create(wallMs(), {
        peerId: id, peerHit: hit, privateId: null, name, isNameOnly, ownTrigger: !isDirect && this.wantsOwnTrigger(name), wanted: true, policy: this.policyOf(name),
      });
      if (created === null) {
        log("warn", "mappings-full", { name, mappings: mappings.size, remedy: isNameOnly ? "Too many names of which none has answered yet; raise <mappings max-unproven>." : "Raise <mappings max> or widen <virtual-addresses range>." });
        return "unavailable";
      }
      onCreated(created);
      mapping = created;
    }
    mappings.want(mapping);
    if (!mapping.mayCall) {
      mapping.mayCall = true;
      mappings.changed(mapping);
    }
    mapping.lastUseMs = wallMs();
    mapping.name ??= name;
    mapping.askedName = name;
    return { v4: isDirect && !mapping.knowsIpv4 ? null : mapping.local4, v6: mapping.local6 };
  }

  /** Two hashes are half of what the first answer for a name costs: those of a book of usual size are made when it is read. */
  #readBook(): void {
    for (const entry of this.#book.entries.slice(0, MAX_PREPARED)) this.#env.prepare(this.#idOf(entry));
    const names = new Map<string, string[]>();
    // A host may stand there by its HIT and by its id.
    const hasIds = this.#book.entries.some(({ id }) => id !== undefined);
    for (const entry of this.#book.entries) {
      const key = bytesKey(hasIds || entry.hit === undefined ? this.#idOf(entry) : entry.hit);
      const found = names.get(key);
      if (found === undefined) names.set(key, [entry.name]);
      else found.push(entry.name);
    }
    const shared = [...names.values()].filter((found) => found.length > 1);
    this.#shared = new Map(shared.map((found) => [bytesKey(this.#idOf(this.#book.lookup(found[0] ?? "") as BookEntry)), found]));
    this.#warnOfDifferences(shared);
  }

  #warnOfDifferences(shared: readonly (readonly string[])[]): void {
    const differing = shared.filter(([first = "", ...others]) => others.some((other) => !isSamePolicy(policyFor(first, this.#rules) ?? UNNAMED_POLICY, policyFor(other, this.#rules) ?? UNNAMED_POLICY)));
    if (differing.length === 0) return;
    this.#env.log("warn", "names-differ", {
      names: differing[0]?.slice(0, 8), hosts: differing.length, remedy: "These names are one host, and rules protect them differently: it gets the strongest protection of them for all of its packets. Give them the same rules, or the host one name.",
    });
  }

  #idOf(entry: BookEntry | ZoneEntry): Uint8Array {
    let id = this.#ids.get(entry);
    if (id === undefined) this.#ids.set(entry, (id = ("id" in entry ? entry.id : undefined) ?? publicId(entry.hit as Uint8Array)));
    return id;
  }

  #nameOf(id: Uint8Array, hit: Uint8Array | null): string | null {
    return this.#bookNameOf(id, hit) ?? (hit === null ? null : this.#env.trust.nameOf(hit));
  }

  #bookNameOf(id: Uint8Array, hit: Uint8Array | null): string | null {
    return ((hit === null ? undefined : this.#book.reverse(hit)) ?? this.#book.reverse(id))?.name ?? null;
  }
}

const hasGateways = (rules: readonly ProxyRule[]): boolean => rules.some(({ go }) => go === "gateway");
