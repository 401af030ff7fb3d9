/**
 * All mappings of this host, found by peer, by virtual address and by own private id (paper §4.2, §7.2). Bounded: strangers who
 * call us, and peers who prove nothing, can fill only their own share.
 */
import { bytesKey, privateId, SUFFIX_BYTES } from "@i3/common";
import { LIMITS } from "@i3/datapath";
import { triggerKeyFromSeed, type TriggerKey } from "@i3/hip";

import { hasServices, strongestOf, type PeerPolicy } from "../policy/policy.js";
import { makeMapping, mappingKey, unprovedKey, type Mapping } from "./mapping.js";
import { Strangers } from "./strangers.js";
import type { VirtualAddresses } from "./virtual-addresses.js";

export interface MappingLimits {
  readonly max: number;
  readonly maxUnproven: number;
  readonly lifetimeMs: number;
  readonly unprovenLifetimeMs: number;
}

/** Mappings that peers who are not in the address book may take up: this many, and at most this part of the table. */
const MAX_STRANGERS = 4_096;
const STRANGERS_PART = 4;
/** When half of it is taken, those that carry nothing leave it so much sooner. */
const CROWDED_PART = 0.5;
const CROWDED_HASTE = 4;
/** Each may have two flows, and the engine has room for so many with services. */
const MAX_WITH_SERVICES = LIMITS.flowsWithServices / 2;

export interface MappingHooks {
  /** Addresses were given to programs: routes and guard. */
  allocated(addresses: readonly Uint8Array[]): void;
  released(addresses: readonly Uint8Array[]): void;
  /** To be written to the journal. */
  changed(mapping: Mapping): void;
  removed(mapping: Mapping): void;
}

export interface NewPeer {
  /** Public id; null for one who proves nothing, and then `privateId` is the key. */
  readonly peerId: Uint8Array | null;
  readonly peerHit: Uint8Array | null;
  readonly privateId: Uint8Array | null;
  readonly name: string | null;
  /** A trigger of its own instead of the shared prefix. */
  readonly ownTrigger: boolean;
  /** In the address book, or asked for by a program of ours. */
  readonly wanted: boolean;
  readonly policy: PeerPolicy;
  /** `peerId` is that of a name which is trusted on first use. @default false */
  readonly isNameOnly?: boolean;
}

export class MappingTable {
  readonly #limits: MappingLimits;
  readonly #addresses: VirtualAddresses;
  readonly #hooks: MappingHooks;
  readonly #sharedPrefix: () => Uint8Array;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #nearKey: () => TriggerKey | null;
  readonly #byKey = new Map<string, Mapping>();
  readonly #byAddress = new Map<string, Mapping>();
  readonly #byPrivateId = new Map<string, Mapping>();
  readonly #strangers: Strangers;
  #unproven = 0;
  #withServices = 0;
  /** Programs can ask for any number of names that fit a rule. */
  #nameOnly = 0;

  /** @param init `sharedPrefix`: of the ids of peers without a key of their own; `packetsOut`: how many packets programs have sent to a mapping's peer; `nearKey`: one whose ids live at a near server, if one is ready */
  constructor(init: {
    limits: MappingLimits; addresses: VirtualAddresses; hooks: MappingHooks; sharedPrefix: () => Uint8Array; randomBytes: (length: number) => Uint8Array; packetsOut: (mapping: Mapping) => number; nearKey?: () => TriggerKey | null;
  }) {
    this.#limits = init.limits;
    this.#addresses = init.addresses;
    this.#hooks = init.hooks;
    this.#sharedPrefix = init.sharedPrefix;
    this.#randomBytes = init.randomBytes;
    this.#nearKey = init.nearKey ?? (() => null);
    this.#strangers = new Strangers(init.packetsOut);
  }

  /** How much of the share of strangers is taken, 0 to 1. */
  get strangersPart(): number {
    return this.#strangers.size / this.#maxStrangers;
  }

  get size(): number {
    return this.#byKey.size;
  }

  all(): Iterable<Mapping> {
    return this.#byKey.values();
  }

  /** A peer that has proved its public id, or that we have asked for by it. */
  byPeer(id: Uint8Array): Mapping | undefined {
    return this.#byKey.get(mappingKey(id));
  }

  /** A peer that has proved nothing, by the private id it named. */
  byUnproved(privateId: Uint8Array): Mapping | undefined {
    return this.#byKey.get(unprovedKey(privateId));
  }

  byAddress(address: Uint8Array): Mapping | undefined {
    return this.#byAddress.get(bytesKey(address));
  }

  byPrivateId(id: Uint8Array): Mapping | undefined {
    return this.#byPrivateId.get(bytesKey(id));
  }

  /** A new mapping; null when the table, or the peer's share of it, or the address range is full. */
  create(nowWallMs: number, peer: NewPeer): Mapping | null {
    if (this.#isFull(peer)) return null;
    const local4 = this.#addresses.draw4(peer.peerId);
    if (local4 === null) return null;
    const local6 = peer.peerHit === null && peer.peerId !== null ? null : this.#addresses.draw6(peer.peerHit);
    const ownKey = peer.ownTrigger ? (this.#nearKey() ?? triggerKeyFromSeed(this.#randomBytes(32))) : null;
    const mapping = makeMapping({
      key: peer.peerId === null ? unprovedKey(peer.privateId as Uint8Array) : mappingKey(peer.peerId), peerId: peer.peerId, peerHit: peer.peerHit, name: peer.name, local4, local6,
      ownPrivateId: privateId(ownKey?.prefix ?? this.#sharedPrefix(), this.#randomBytes(SUFFIX_BYTES)), ownKey, policy: peer.policy, isStranger: !peer.wanted, isNameOnly: peer.isNameOnly === true, lastUseMs: nowWallMs,
    });
    this.#index(mapping);
    return mapping;
  }

  /** A mapping of the journal. False when one of its addresses is taken by something else now. */
  restore(mapping: Mapping): boolean {
    const share = { peerId: mapping.peerId, wanted: !mapping.isStranger, policy: mapping.policy, isNameOnly: mapping.isNameOnly };
    if (this.#byKey.has(mapping.key) || this.#isFull(share) || !this.#addresses.take(mapping.local4)) return false;
    if (mapping.local6 !== null && !this.#addresses.take(mapping.local6)) {
      this.#addresses.give(mapping.local4);
      return false;
    }
    this.#index(mapping);
    return true;
  }

  /** The HIT of a peer that was known by id only: it gets an IPv6 address. */
  learnHit(mapping: Mapping, hit: Uint8Array): void {
    if (mapping.peerHit !== null || mapping.local6 !== null) return;
    mapping.peerHit = hit;
    mapping.local6 = this.#addresses.draw6(hit);
    this.#byAddress.set(bytesKey(mapping.local6), mapping);
    this.#hooks.allocated([mapping.local6]);
  }

  /** The key of a name is proven: its mapping, with the addresses that programs have, is from now on that of the host. No other may have its id. */
  bind(mapping: Mapping, peerId: Uint8Array, hit: Uint8Array): void {
    // The journal has it under its old key.
    this.#hooks.removed({ ...mapping });
    this.#byKey.delete(mapping.key);
    if (mapping.isNameOnly) this.#nameOnly -= 1;
    Object.assign(mapping, { key: mappingKey(peerId), peerId, isNameOnly: false });
    this.#byKey.set(mapping.key, mapping);
    this.learnHit(mapping, hit);
    this.changed(mapping);
  }

  /** A program of ours has asked for this peer. */
  want(mapping: Mapping): void {
    if (!mapping.isStranger) return;
    mapping.isStranger = false;
    this.#strangers.remove(mapping);
    this.changed(mapping);
  }

  /** False, and nothing is changed, when there is no room for one more with services. */
  setPolicy(mapping: Mapping, policy: PeerPolicy): boolean {
    const more = Number(hasServices(policy)) - Number(hasServices(mapping.policy));
    if (this.#withServices + more > MAX_WITH_SERVICES) return false;
    this.#withServices += more;
    mapping.policy = policy;
    mapping.security = strongestOf(policy);
    this.changed(mapping);
    return true;
  }

  changed(mapping: Mapping): void {
    this.#hooks.changed(mapping);
  }

  remove(mapping: Mapping): void {
    if (!this.#byKey.delete(mapping.key)) return;
    this.#strangers.remove(mapping);
    if (mapping.peerId === null) this.#unproven -= 1;
    if (hasServices(mapping.policy)) this.#withServices -= 1;
    if (mapping.isNameOnly) this.#nameOnly -= 1;
    this.#byPrivateId.delete(bytesKey(mapping.ownPrivateId));
    const addresses = addressesOf(mapping);
    for (const address of addresses) {
      this.#byAddress.delete(bytesKey(address));
      this.#addresses.give(address);
    }
    this.#hooks.released(addresses);
    this.#hooks.removed(mapping);
  }

  /** Mappings whose time is over. */
  expired(nowWallMs: number): readonly Mapping[] {
    const isCrowded = this.strangersPart >= CROWDED_PART;
    return [...this.#byKey.values()].filter((mapping) => {
      const isShort = mapping.peerId === null || mapping.isStranger || mapping.isNameOnly;
      const haste = isCrowded && mapping.isStranger ? CROWDED_HASTE : 1;
      return nowWallMs - mapping.lastUseMs > (isShort ? this.#limits.unprovenLifetimeMs / haste : this.#limits.lifetimeMs);
    });
  }

  /** Reads which strangers have been answered; to be called every few seconds. */
  lookAtStrangers(nowMs: number): void {
    this.#strangers.look(nowMs);
  }

  /** Whose place a newcomer that there is no room for may have, if it has paid more for it than a packet: the stranger that was answered longest ago. Null: all are in use, or it would not help. */
  strangerInTheWay(nowMs: number, { peerId, policy, isNameOnly }: Pick<NewPeer, "peerId" | "policy" | "isNameOnly">): Mapping | null {
    const hasOwnShare = peerId === null || isNameOnly === true || (hasServices(policy) && this.#withServices >= MAX_WITH_SERVICES);
    return hasOwnShare ? null : this.#strangers.longestUnanswered(nowMs);
  }

  #isFull(peer: Pick<NewPeer, "peerId" | "wanted" | "policy" | "isNameOnly">): boolean {
    if (this.#byKey.size >= this.#limits.max || (hasServices(peer.policy) && this.#withServices >= MAX_WITH_SERVICES)) return true;
    if (peer.peerId === null) return this.#unproven >= this.#limits.maxUnproven;
    if (peer.isNameOnly === true) return this.#nameOnly >= this.#limits.maxUnproven;
    return !peer.wanted && this.#strangers.size >= this.#maxStrangers;
  }

  get #maxStrangers(): number {
    return Math.min(MAX_STRANGERS, this.#limits.max / STRANGERS_PART);
  }

  #index(mapping: Mapping): void {
    this.#byKey.set(mapping.key, mapping);
    if (mapping.isStranger && mapping.peerId !== null) this.#strangers.add(mapping);
    this.#byPrivateId.set(bytesKey(mapping.ownPrivateId), mapping);
    if (mapping.peerId === null) this.#unproven += 1;
    if (hasServices(mapping.policy)) this.#withServices += 1;
    if (mapping.isNameOnly) this.#nameOnly += 1;
    const addresses = addressesOf(mapping);
    for (const address of addresses) this.#byAddress.set(bytesKey(address), mapping);
    this.#hooks.allocated(addresses);
    this.#hooks.changed(mapping);
  }
}

export const addressesOf = (mapping: Mapping): readonly Uint8Array[] =>
  mapping.local6 === null ? [mapping.local4] : [mapping.local4, mapping.local6];
