/**
 * Virtual addresses of servers behind gateways (docs/wire.md §11): which are behind whose mapping, and until when. A gateway says what they are, so nothing of it is believed: it has a say in
 * addresses of our virtual range that nobody else here has, and in those of its own IPv6 prefix. Without I/O.
 */
import { bytesKey, inRange, samePrefix, SERVER_PREFIX6_BITS, serverPrefix6, type AddressRange } from "@i3/common";
import type { Datapath } from "@i3/datapath";

import type { Mapping } from "../mappings/mapping.js";
import type { VirtualAddresses } from "../mappings/virtual-addresses.js";

// Ours:
const MAX_SERVERS = 16_384;
const MAX_OF_GATEWAY = 4_096;
/** Of the virtual range: the rest is for hosts. */
const RANGE_PART = 4;
/** Of one answer: a gateway names eight of each family. */
const MAX_OF_ANSWER = 16;
/** Names that one server is remembered by. */
const MAX_NAMES = 8;
/** What was asked for or used so lately is not given up for another one. */
const KEPT_MS = 120_000;
/** So many rounds look for one that nobody has used since it was last looked at. */
const MAX_LOOKS = 64;
/** A gateway forgets a server a day after its last answer: one that is in use is asked for again, this often. */
const RENEW_AFTER_MS = 3_600_000;
const RENEW_AGAIN_MS = 300_000;
const IN_USE_MS = 600_000;
/** Questions of our own in one sweep. */
const MAX_RENEWALS = 32;

export interface ServerAddress {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly gateway: Mapping;
  /** Names that it was answered for → the gateway's name in their rule; the one asked last is last. */
  readonly names: Map<string, string>;
  askedMs: number;
  /** By programs, as far as it is known. */
  usedMs: number;
  answeredMs: number;
  /** We have asked for it ourselves. */
  renewedMs: number;
}

/** taken: somebody else here has one, another try may do; foreign: the gateway has no say in one of them; full: there is no room for more. */
export type Learned = "ok" | "taken" | "foreign" | "full";

export interface ServerAddressesInit {
  readonly range: AddressRange;
  readonly addresses: Pick<VirtualAddresses, "take" | "give">;
  readonly datapath: Pick<Datapath, "setBehind" | "lastUse">;
  /** Unused for so long, an address is given back, ms. */
  readonly lifetimeMs: number;
  readonly allocated: (addresses: readonly Uint8Array[]) => void;
  readonly released: (addresses: readonly Uint8Array[]) => void;
  /** The same server stays where it is, after a restart too. */
  readonly changed: (server: ServerAddress, isThere: boolean) => void;
}

export class ServerAddresses {
  readonly #init: ServerAddressesInit;
  readonly #servers = new Map<string, ServerAddress>();
  readonly #counts = new Map<Mapping, number>();

  constructor(init: ServerAddressesInit) {
    this.#init = init;
  }

  get size(): number {
    return this.#servers.size;
  }

  /** Servers behind a gateway. */
  countOf(gateway: Mapping): number {
    return this.#counts.get(gateway) ?? 0;
  }

  has(address: Uint8Array): boolean {
    return this.#servers.has(bytesKey(address));
  }

  all(): Iterable<ServerAddress> {
    return this.#servers.values();
  }

  /** The name asked last of those that have the address; null: it is no server's. */
  nameOf(address: Uint8Array): string | null {
    return [...(this.#servers.get(bytesKey(address))?.names.keys() ?? [])].at(-1) ?? null;
  }

  /**
   * A gateway has answered that a name has these addresses, of 4 or 16 bytes: all of them lead to it from now on, or nothing changes.
   * @param via the gateway's name in the rule of the name
   */
  learn(nowMs: number, gateway: Mapping, via: string, name: string, addresses: readonly Uint8Array[]): Learned {
    if (addresses.length > MAX_OF_ANSWER || !addresses.every((address) => this.#isOf(gateway, address))) return "foreign";
    const known = addresses.flatMap((address) => this.#servers.get(bytesKey(address)) ?? []);
    if (known.some((server) => server.gateway !== gateway)) return "taken";
    // None of them makes room for the others.
    for (const server of known) server.askedMs = nowMs;
    const added: ServerAddress[] = [];
    for (const address of addresses) {
      if (this.#servers.has(bytesKey(address))) continue;
      const server = this.#add(nowMs, gateway, address);
      if (typeof server === "string") {
        for (const one of added) this.#remove(one);
        return server;
      }
      added.push(server);
    }
    for (const server of [...known, ...added]) {
      this.#touch(nowMs, server, via, name);
      this.#init.changed(server, true);
    }
    return "ok";
  }

  /** Of the journal: taken over without asking the gateway again. False: its address is somebody else's now. */
  restore(nowMs: number, gateway: Mapping, address: Uint8Array, names: readonly (readonly [string, string])[]): boolean {
    if (!this.#isOf(gateway, address) || this.#servers.has(bytesKey(address))) return false;
    const server = this.#add(nowMs, gateway, address);
    if (typeof server === "string") return false;
    for (const [name, via] of names) this.#touch(nowMs, server, via, name);
    // Whether the gateway still has it is to be asked soon.
    server.answeredMs = -Infinity;
    this.#init.changed(server, true);
    return true;
  }

  /** All servers behind a gateway go. */
  removeGateway(gateway: Mapping): void {
    if (this.countOf(gateway) === 0) return;
    for (const server of [...this.#servers.values()]) if (server.gateway === gateway) this.#remove(server);
  }

  /** Names that the rules lead elsewhere now are forgotten, and servers without any go. @param isLed whether a name still leads to the gateway, which its rule called `via` before */
  keepOnly(isLed: (name: string, via: string, gateway: Mapping) => boolean): void {
    for (const server of [...this.#servers.values()]) {
      const before = server.names.size;
      for (const [name, via] of server.names) if (!isLed(name, via, server.gateway)) server.names.delete(name);
      if (server.names.size === 0) this.#remove(server);
      else if (server.names.size < before) this.#init.changed(server, true);
    }
  }

  /** Something real of this machine has some of the addresses now. @returns those servers, which are gone */
  dropTaken(isTaken: (address: Uint8Array) => boolean): readonly ServerAddress[] {
    const gone = [...this.#servers.values()].filter(({ address }) => isTaken(address));
    for (const server of gone) this.#remove(server);
    return gone;
  }

  /** Ends what is unused. @returns servers in use whose gateway is to be asked for them again */
  sweep(nowMs: number): readonly ServerAddress[] {
    const renewals: ServerAddress[] = [];
    for (const server of [...this.#servers.values()]) {
      this.#look(server);
      if (nowMs - lastOf(server) > this.#init.lifetimeMs) this.#remove(server);
      else if (renewals.length < MAX_RENEWALS && isToRenew(nowMs, server)) {
        server.renewedMs = nowMs;
        renewals.push(server);
      }
    }
    return renewals;
  }

  /** Whether it is an address that the gateway may name: not the first or last of the range, which are no host's. */
  #isOf(gateway: Mapping, address: Uint8Array): boolean {
    if (address.length === 16) return gateway.peerHit !== null && gateway.local6 !== null && samePrefix(address, serverPrefix6(gateway.peerHit), SERVER_PREFIX6_BITS);
    const { range } = this.#init;
    if (!inRange(range, address)) return false;
    const host = new DataView(Uint8Array.from(address).buffer).getUint32(0) % 2 ** (32 - range.prefixBits);
    return host !== 0 && host !== 2 ** (32 - range.prefixBits) - 1;
  }

  #add(nowMs: number, gateway: Mapping, address: Uint8Array): ServerAddress | "taken" | "full" {
    const { addresses, datapath, allocated } = this.#init;
    const flow = address.length === 4 ? gateway.local4 : gateway.local6;
    if (!this.#makeRoom(nowMs, gateway) || flow === null) return "full";
    if (!addresses.take(address)) return "taken";
    try {
      datapath.setBehind(address, address.length * 8, flow);
    } catch {
      // The engine's table is shared with others.
      addresses.give(address);
      return "full";
    }
    const server: ServerAddress = { address: address.slice(), gateway, names: new Map(), askedMs: nowMs, usedMs: -Infinity, answeredMs: nowMs, renewedMs: -Infinity };
    this.#servers.set(bytesKey(address), server);
    this.#counts.set(gateway, this.countOf(gateway) + 1);
    allocated([server.address]);
    return server;
  }

  #touch(nowMs: number, server: ServerAddress, via: string, name: string): void {
    const { names } = server;
    names.delete(name);
    if (names.size >= MAX_NAMES) names.delete(names.keys().next().value as string);
    names.set(name, via);
    server.askedMs = nowMs;
    server.answeredMs = nowMs;
  }

  /** False: all that there is no room beside are in use. */
  #makeRoom(nowMs: number, gateway: Mapping): boolean {
    const most = Math.min(MAX_SERVERS, 2 ** (32 - this.#init.range.prefixBits) / RANGE_PART);
    const isFull = this.countOf(gateway) >= MAX_OF_GATEWAY;
    if (!isFull && this.#servers.size < most) return true;
    for (let i = 0; i < MAX_LOOKS; i += 1) {
      let unused: ServerAddress | undefined;
      for (const server of this.#servers.values()) {
        if ((!isFull || server.gateway === gateway) && (unused === undefined || lastOf(server) < lastOf(unused))) unused = server;
      }
      if (unused === undefined || nowMs - lastOf(unused) <= KEPT_MS) return false;
      const before = lastOf(unused);
      this.#look(unused);
      if (lastOf(unused) > before) continue;
      this.#remove(unused);
      return true;
    }
    return false;
  }

  #look(server: ServerAddress): void {
    server.usedMs = Math.max(server.usedMs, this.#init.datapath.lastUse(server.address) ?? -Infinity);
  }

  #remove(server: ServerAddress): void {
    const { addresses, datapath, released, changed } = this.#init;
    const { address, gateway } = server;
    if (!this.#servers.delete(bytesKey(address))) return;
    const left = this.countOf(gateway) - 1;
    if (left > 0) this.#counts.set(gateway, left);
    else this.#counts.delete(gateway);
    datapath.setBehind(address, address.length * 8, null);
    addresses.give(address);
    released([address]);
    changed(server, false);
  }
}

const lastOf = ({ askedMs, usedMs }: ServerAddress): number => Math.max(askedMs, usedMs);

const isToRenew = (nowMs: number, { usedMs, answeredMs, renewedMs }: ServerAddress): boolean =>
  nowMs - usedMs < IN_USE_MS && nowMs - answeredMs > RENEW_AFTER_MS && nowMs - renewedMs > RENEW_AGAIN_MS;
