/** From which interfaces this machine can send, and by which addresses (netlink): told at once when it changes, as programs wait for it. */
import { sameBytes } from "@i3/common";
import type { NativeIo, RouteEntry } from "@i3/datapath/native-io";

import type { MachinePlace } from "../paths/own-locators.js";

const FAMILIES = [4, 6] as const;
const MAIN_TABLE = 254;
/** A machine with a full routing table must not be busy with it: it is looked at no sooner than so many times as long as that took, and this. */
const REST_FACTOR = 20;
const REST_MS = 10;

export interface MachinePlacesOptions {
  readonly io: Pick<NativeIo, "listRoutes" | "listAddresses" | "watchNetlink">;
  /** The TUN's index: what is there is ours. */
  readonly tunIndex: number;
  /** The main port's address; unspecified: all. */
  readonly listen: Uint8Array;
  readonly onChange: (places: readonly MachinePlace[]) => void;
}

export class MachinePlaces {
  readonly #options: MachinePlacesOptions;
  readonly #watch: { close(): void };
  #timer: NodeJS.Timeout | null = null;
  #restUntilMs = 0;
  #last = "";

  constructor(options: MachinePlacesOptions) {
    this.#options = options;
    this.#watch = options.io.watchNetlink(() => this.#lookSoon());
    this.#look();
  }

  close(): void {
    this.#watch.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #lookSoon(): void {
    const waitMs = this.#restUntilMs - performance.now();
    if (waitMs <= 0 && this.#timer === null) this.#look();
    else this.#timer ??= setTimeout(() => this.#look(), Math.max(0, waitMs));
  }

  #look(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const startMs = performance.now();
    const places = machinePlaces(this.#options);
    const nowMs = performance.now();
    this.#restUntilMs = nowMs + Math.max(REST_MS, (nowMs - startMs) * REST_FACTOR);
    const text = JSON.stringify(places);
    if (text === this.#last) return;
    this.#last = text;
    this.#options.onChange(places);
  }
}

/** Interfaces with a default route first, those of the least metric before others; then those that lead to their own networks only. */
export function machinePlaces({ io, tunIndex, listen }: Pick<MachinePlacesOptions, "io" | "tunIndex" | "listen">): readonly MachinePlace[] {
  const found: { readonly place: MachinePlace; readonly metric: number }[] = [];
  for (const family of FAMILIES) {
    const routes = mainRoutes(io, family);
    const usable = io.listAddresses(family).filter(({ index, address }) => index !== tunIndex && isOutside(address) && isListened(listen, address));
    for (const interfaceIndex of new Set(usable.map(({ index }) => index))) {
      const own = routes.filter(({ index }) => index === interfaceIndex);
      if (own.length === 0) continue;
      const defaults = own.filter(({ prefixBits }) => prefixBits === 0).sort((a, b) => a.metric - b.metric);
      const metric = defaults[0]?.metric ?? Infinity;
      const prefixes = defaults.length > 0 ? null : own.map(({ destination, prefixBits }) => ({ network: destination, prefixBits }));
      found.push({ place: { interfaceIndex, family, addresses: usable.filter(({ index }) => index === interfaceIndex).map(({ address }) => address), gateway: defaults[0]?.gateway ?? null, prefixes }, metric });
    }
  }
  return found.sort((a, b) => a.metric - b.metric || a.place.interfaceIndex - b.place.interfaceIndex || a.place.family - b.place.family).map(({ place }) => place);
}

function mainRoutes(io: Pick<NativeIo, "listRoutes">, family: 4 | 6): readonly RouteEntry[] {
  return io.listRoutes(family).filter(({ type, table, index }) => type === "unicast" && table === MAIN_TABLE && index !== 0);
}

/** Not loopback, nor link-local: those mean nothing to others. */
function isOutside(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] !== 127 && !(address[0] === 169 && address[1] === 254);
  return !(address[0] === 0xfe && ((address[1] as number) & 0xc0) === 0x80) && address.slice(0, 15).some((byte) => byte !== 0);
}

const isListened = (listen: Uint8Array, address: Uint8Array): boolean => listen.every((byte) => byte === 0) ? listen.length === 16 || address.length === 4 : sameBytes(listen, address);
