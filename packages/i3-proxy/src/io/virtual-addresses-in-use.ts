/**
 * Routes and guard of virtual addresses: of those that programs were given, and, before any was, of those that hosts of the address book have or would get,
 * so that nobody on the LAN passes as one of them.
 */
import { bytesKey } from "@i3/common";

import type { Proxy } from "../proxy.js";
import type { Interception } from "./interception.js";
import type { VirtualRoutes } from "./virtual-routes.js";

export interface VirtualAddressesInUseEnvironment {
  /** Each undefined while it is not there. */
  readonly proxy: () => Pick<Proxy, "installFresh" | "bookAddresses" | "isGiven"> | undefined;
  readonly routes: () => VirtualRoutes | undefined;
  readonly interception: () => Interception | undefined;
  /** The engine is to be programmed for them in a later turn of the event loop. */
  readonly onGiven: () => void;
}

export class VirtualAddressesInUse {
  readonly #env: VirtualAddressesInUseEnvironment;
  /** That were given out in this turn of the event loop. */
  readonly #given = new Map<string, Uint8Array>();
  /** Guarded because of the address book. */
  #ofBook: ReadonlyMap<string, Uint8Array> = new Map();
  #guardSoon: NodeJS.Immediate | undefined;

  constructor(environment: VirtualAddressesInUseEnvironment) {
    this.#env = environment;
  }

  /** What has time until the first packet comes waits until the DNS answer has gone: {@link settle}. */
  allocated(addresses: readonly Uint8Array[]): void {
    if (this.#given.size === 0) this.#env.onGiven();
    for (const address of addresses) this.#given.set(bytesKey(address), address);
  }

  /** The flow and the route exist before the DNS answer goes out: the engine's threads take the program's first packet at once. */
  told(address: Uint8Array): void {
    if (!this.#given.has(bytesKey(address))) return;
    this.#env.proxy()?.installFresh();
    this.#env.routes()?.add(address);
  }

  settle(): void {
    for (const address of this.#given.values()) {
      this.#env.routes()?.add(address);
      this.#env.interception()?.allocated(address);
    }
    this.#given.clear();
  }

  released(addresses: readonly Uint8Array[]): void {
    this.settle();
    for (const address of addresses) {
      this.#env.routes()?.remove(address);
      if (!this.#ofBook.has(bytesKey(address))) this.#env.interception()?.released(address);
    }
  }

  /** The address book, or what else names hosts, has changed. */
  guardBook(): void {
    const [proxy, interception] = [this.#env.proxy(), this.#env.interception()];
    if (proxy === undefined || interception === undefined) return;
    const wanted = new Map(proxy.bookAddresses().map((address) => [bytesKey(address), address]));
    for (const [key, address] of this.#ofBook) {
      if (!wanted.has(key) && !proxy.isGiven(address)) interception.released(address);
    }
    for (const [key, address] of wanted) if (!this.#ofBook.has(key)) interception.allocated(address);
    this.#ofBook = wanted;
  }

  /** The same, once for the many changes of this turn of the event loop. */
  guardBookSoon(): void {
    this.#guardSoon ??= setImmediate(() => {
      this.#guardSoon = undefined;
      this.guardBook();
    });
  }

  /** At a stop the guard forgets those that no program was given. */
  unguardBook(): void {
    for (const address of this.#ofBook.values()) {
      if (this.#env.proxy()?.isGiven(address) !== true) this.#env.interception()?.released(address);
    }
    this.#ofBook = new Map();
  }
}
