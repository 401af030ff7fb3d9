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
  /** @default 300,000 */
  readonly renewMs?: number;
}

// Ours:
const ASK_MS = 3_000;
const STOP_MS = 500;
/** The library counts NAT-PMP's in seconds and UPnP's in milliseconds. */
const LIFE_S = 7_200;
/** Long before it ends: a router that has restarted has forgotten it, and tells nobody. */
const RENEW_MS = 300_000;
/** Where no router has ever opened anything. */
const RETRY_MS = 600_000;
const WAN_IP_CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:2";
const DESCRIPTION = "i3-proxy";

interface Asking {
  readonly place: MappedPlace;
  readonly end: AbortController;
  opener: Opener | null;
  timer: NodeJS.Timeout | null;
  isMapped: boolean;
  hasBeenMapped: boolean;
}

/** A router, by the protocol that it speaks. */
interface Opener {
  readonly gateway: Gateway;
  /** In what the library counts: seconds for NAT-PMP, milliseconds for UPnP. */
  readonly ttl: number;
  /** Takes back what was opened last, at that outside port. */
  readonly unmap: (externalPort: number, signal: AbortSignal) => Promise<unknown>;
  externalPort: number;
}

/** What we need of the library's UPnP gateway beside what it declares: it deletes without a protocol, which routers refuse, and remembers each renewal. */
interface UpnpGateway extends Gateway {
  readonly mappings: Map<number, unknown>;
  readonly gateway: { run(device: string, action: string, args: readonly (readonly [string, string | number])[], options: { readonly signal: AbortSignal }): Promise<unknown> };
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
      const asking: Asking = { place, end: new AbortController(), opener: null, timer: null, isMapped: false, hasBeenMapped: false };
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
    const mapped = (await this.#again(asking)) ?? (await this.#byPmp(asking)) ?? (await this.#byUpnp(asking));
    if (end.signal.aborted) return;
    const { onMapped, log } = this.#options;
    if (mapped !== null && !asking.isMapped) log("info", "port-mapped", { gateway: formatIpText(place.gateway), at: locatorText(mapped) });
    if (mapped === null && asking.isMapped) log("info", "port-mapping-ended", { gateway: formatIpText(place.gateway) });
    asking.isMapped = mapped !== null;
    asking.hasBeenMapped ||= asking.isMapped;
    onMapped(place.key, mapped);
    asking.timer = setTimeout(() => void this.#ask(asking), asking.hasBeenMapped ? (this.#options.renewMs ?? RENEW_MS) : RETRY_MS);
    asking.timer.unref();
  }

  /** Of the router that answered last, as long as it does. */
  async #again(asking: Asking): Promise<Locator | null> {
    const { opener } = asking;
    return opener === null ? null : this.#map(asking, opener);
  }

  #byPmp(asking: Asking): Promise<Locator | null> {
    const gateway = pmpNat(formatIpText(asking.place.gateway), { autoRefresh: false, description: DESCRIPTION });
    // Its socket's errors: the port of NAT-PMP's clients is taken.
    (gateway as unknown as NodeJS.EventEmitter).on("error", () => undefined);
    // The library takes back TCP's mapping unless it is told which.
    const unmap = (_externalPort: number, signal: AbortSignal): Promise<void> => gateway.unmap(this.#options.port, { protocol: "UDP", signal } as MapPortOptions);
    return this.#map(asking, { gateway, ttl: LIFE_S, unmap, externalPort: 0 });
  }

  async #byUpnp(asking: Asking): Promise<Locator | null> {
    const wanted = formatIpText(asking.place.gateway);
    try {
      for await (const found of upnpNat({ autoRefresh: false, description: DESCRIPTION }).findGateways({ signal: this.#patience(asking) })) {
        if (found.host !== wanted) continue;
        const gateway = found as UpnpGateway;
        const unmap = (externalPort: number, signal: AbortSignal): Promise<unknown> =>
          gateway.gateway.run(WAN_IP_CONNECTION, "DeletePortMapping", [["NewRemoteHost", ""], ["NewExternalPort", externalPort], ["NewProtocol", "UDP"]], { signal });
        return await this.#map(asking, { gateway, ttl: LIFE_S * 1_000, unmap, externalPort: 0 });
      }
    } catch {
      // Nobody has answered in time.
    }
    return null;
  }

  /** Null: it does not, and is asked no more. */
  async #map(asking: Asking, opener: Opener): Promise<Locator | null> {
    asking.opener = opener;
    const { gateway, ttl } = opener;
    const { port } = this.#options;
    try {
      const { externalHost, externalPort } = await gateway.map(port, formatIpText(asking.place.address), { protocol: "UDP", externalPort: port, ttl, autoRefresh: false, signal: this.#patience(asking) });
      forgetMappings(gateway);
      const address = parseIpText(externalHost);
      if (address !== undefined && externalPort !== 0) {
        opener.externalPort = externalPort;
        return makeLocator(address, externalPort);
      }
    } catch {
      // It speaks something else, or is gone.
    }
    await this.#stop(asking);
    return null;
  }

  #patience({ end }: Asking): AbortSignal {
    return AbortSignal.any([end.signal, AbortSignal.timeout(ASK_MS)]);
  }

  async #drop(asking: Asking): Promise<void> {
    this.#askings.delete(asking.place.key);
    asking.end.abort();
    if (asking.timer !== null) clearTimeout(asking.timer);
    const { opener } = asking;
    if (asking.isMapped && opener !== null) await opener.unmap(opener.externalPort, AbortSignal.timeout(STOP_MS)).catch(() => undefined);
    await this.#stop(asking);
  }

  async #stop(asking: Asking): Promise<void> {
    const { opener } = asking;
    asking.opener = null;
    await opener?.gateway.stop({ signal: AbortSignal.timeout(STOP_MS) }).catch(() => undefined);
  }
}

/** We keep what there is, and take it back. */
const forgetMappings = (gateway: Gateway): void => (gateway as Partial<UpnpGateway>).mappings?.clear();
