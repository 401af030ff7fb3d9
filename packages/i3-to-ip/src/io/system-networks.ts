/** What the gateway's system has of its own: addresses that nobody is led to, and whether IPv6 leads anywhere. */
import { bytesKey, isInNetwork, type Network } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";

// Ours:
/** Looked at again after this, at the next question. */
const FRESH_MS = 1_000;
const LINK_LOCAL = [0xfe, 0x80] as const;
const MULTICAST = 0xff;

export interface SystemNetworksOptions {
  readonly io: Pick<NativeIo, "listAddresses" | "listRoutes" | "interfaceIndex">;
  /** Interfaces by which servers are reached. */
  readonly out: readonly string[];
}

export class SystemNetworks {
  readonly #options: SystemNetworksOptions;
  #local: ReadonlySet<string> = new Set();
  #hasIpv6 = false;
  #inside: readonly Network[] = [];
  #lookedMs = -Infinity;

  constructor(options: SystemNetworksOptions) {
    this.#options = options;
  }

  /** An address of an interface of this machine. @param address 4 or 16 bytes */
  isLocal(address: Uint8Array): boolean {
    this.#look();
    return this.#local.has(bytesKey(address));
  }

  /** Whether a route of IPv6, beyond the link, leads by an interface of {@link SystemNetworksOptions.out}. */
  hasIpv6(): boolean {
    this.#look();
    return this.#hasIpv6;
  }

  /** Networks that begin at this machine, without a router between, by an interface of {@link SystemNetworksOptions.out}. */
  inside(): readonly Network[] {
    this.#look();
    return this.#inside;
  }

  isInside(address: Uint8Array): boolean {
    return this.inside().some((network) => isInNetwork(network, address));
  }

  /** Those of the configuration that are not there now. */
  missing(): readonly string[] {
    return this.#options.out.filter((name) => this.#indexOf(name) === 0);
  }

  #look(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < FRESH_MS) return;
    this.#lookedMs = nowMs;
    const { io, out } = this.#options;
    this.#local = new Set(([4, 6] as const).flatMap((family) => io.listAddresses(family)).map(({ address }) => bytesKey(address)));
    const indexes = out.map((name) => this.#indexOf(name)).filter((index) => index > 0);
    const routes = ([4, 6] as const).flatMap((family) => io.listRoutes(family)).filter(({ type, index, destination }) => type === "unicast" && indexes.includes(index) && !isOfLink(destination));
    this.#hasIpv6 = routes.some(({ destination }) => destination.length === 16);
    this.#inside = routes.filter(({ gateway, prefixBits }) => gateway === null && prefixBits > 0).map(({ destination, prefixBits }) => ({ address: destination, bits: prefixBits }));
  }

  #indexOf(name: string): number {
    try {
      return this.#options.io.interfaceIndex(name);
    } catch {
      return 0;
    }
  }
}

const isOfLink = ({ length, 0: first = 0, 1: second = 0 }: Uint8Array): boolean => length === 16 && (first === MULTICAST || (first === LINK_LOCAL[0] && (second & 0xc0) === LINK_LOCAL[1]));
