/**
 * Asks the router before this host to open our UDP port: by NAT-PMP, then by UPnP-IGD, of the well-kept library. Once for each place, renewed before it ends. What a router says
 * is believed as far as a path check goes (docs/wire.md §9.7): a wrong address only costs checks.
 */
import { pmpNat, upnpNat, type Gateway, type MapPortOptions } from "@achingbrain/nat-port-mapper";
import { formatIpText, locatorText, makeLocator, parseIpText, type Locator, type Log } from "@i3/common";

/** Where a router is to be asked. */
export interface MappedPlace {
  /** Names it, as the one that the answer is for. */
  readonly key: string;
  /** Our IPv4 address there, and its default route's next hop. */
  readonly address: Uint8Array;
  readonly gateway: Uint8Array;
}

export interface PortMappingOptions {
  readonly port: number;
  readonly onMapped: (key: string, locator: Locator | null) => void;
  readonly log: Log;
}

// Ours:
const ASK_MS = 3_000;
const STOP_MS = 500;
/** The library counts NAT-PMP's in seconds and UPnP's in milliseconds. */
const LIFE_S = 7_200;
const RENEW_MS = (LIFE_S * 1_000) / 3;
const RETRY_MS = 600_000;
const DESCRIPTION = "i3-proxy";

interface Asking {
  readonly place: MappedPlace;
  readonly end: AbortController;
  gateway: Gateway | null;
  timer: NodeJS.Timeout | null;
  isMapped: boolean;
}

export class PortMapping {
  readonly #options: PortMappingOptions;
  readonly #askings = new Map<string, Asking>();

  constructor(options: PortMappingOptions) {
    this.#options = options;
  }

  /** These places and no others; none: nobody needs it now. */
  setPlaces(places: readonly MappedPlace[]): void {
    const keys = new Set(places.map(({ key }) => key));
    for (const [key, asking] of this.#askings) if (!keys.has(key)) void this.#drop(asking);
    for (const place of places) {
      if (this.#askings.has(place.key)) continue;
      const asking: Asking = { place, end: new AbortController(), gateway: null, timer: null, isMapped: false };
      this.#askings.set(place.key, asking);
      void this.#ask(asking);
    }
  }

  /** Closes what was opened, as far as the routers answer soon. */
  async close(): Promise<void> {
    await Promise.all([...this.#askings.values()].map((asking) => this.#drop(asking)));
  }

  async #ask(asking: Asking): Promise<void> {
    const { place, end } = asking;
    const mapped = (await this.#byPmp(asking)) ?? (await this.#byUpnp(asking));
    if (end.signal.aborted) return;
    const { onMapped, log } = this.#options;
    if (mapped !== null && !asking.isMapped) log("info", "port-mapped", { gateway: formatIpText(place.gateway), at: locatorText(mapped) });
    if (mapped === null && asking.isMapped) log("info", "port-mapping-ended", { gateway: formatIpText(place.gateway) });
    asking.isMapped = mapped !== null;
    onMapped(place.key, mapped);
    asking.timer = setTimeout(() => void this.#ask(asking), mapped === null ? RETRY_MS : RENEW_MS);
    asking.timer.unref();
  }

  async #byPmp(asking: Asking): Promise<Locator | null> {
    try {
      asking.gateway = pmpNat(formatIpText(asking.place.gateway), { autoRefresh: false, description: DESCRIPTION });
      // Its socket's errors: the port of NAT-PMP's clients is taken.
      (asking.gateway as unknown as NodeJS.EventEmitter).on("error", () => undefined);
      return await this.#map(asking, asking.gateway, LIFE_S);
    } catch {
      await this.#stop(asking);
      return null;
    }
  }

  async #byUpnp(asking: Asking): Promise<Locator | null> {
    const wanted = formatIpText(asking.place.gateway);
    try {
      for await (const gateway of upnpNat({ autoRefresh: false, description: DESCRIPTION }).findGateways({ signal: this.#patience(asking) })) {
        if (gateway.host !== wanted) continue;
        asking.gateway = gateway;
        return await this.#map(asking, gateway, LIFE_S * 1_000);
      }
    } catch {
      await this.#stop(asking);
    }
    return null;
  }

  async #map(asking: Asking, gateway: Gateway, ttl: number): Promise<Locator | null> {
    const { port } = this.#options;
    const options: MapPortOptions = { protocol: "UDP", externalPort: port, ttl, autoRefresh: false, signal: this.#patience(asking) };
    const { externalHost, externalPort } = await gateway.map(port, formatIpText(asking.place.address), options);
    const address = parseIpText(externalHost);
    return address === undefined || externalPort === 0 ? null : makeLocator(address, externalPort);
  }

  #patience({ end }: Asking): AbortSignal {
    return AbortSignal.any([end.signal, AbortSignal.timeout(ASK_MS)]);
  }

  async #drop(asking: Asking): Promise<void> {
    this.#askings.delete(asking.place.key);
    asking.end.abort();
    if (asking.timer !== null) clearTimeout(asking.timer);
    const { gateway } = asking;
    // Of NAT-PMP the library takes back TCP's mapping unless it is told which.
    const options: MapPortOptions = { protocol: "UDP", signal: AbortSignal.timeout(STOP_MS) };
    if (asking.isMapped && gateway !== null) await gateway.unmap(this.#options.port, options).catch(() => undefined);
    await this.#stop(asking);
  }

  async #stop(asking: Asking): Promise<void> {
    const { gateway } = asking;
    asking.gateway = null;
    await gateway?.stop({ signal: AbortSignal.timeout(STOP_MS) }).catch(() => undefined);
  }
}
