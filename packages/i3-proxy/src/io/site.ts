/** A site beside the proxy: its hosts ask us for names, and their packets to virtual addresses take the TUN as ours (docs/gateways.md, "A site"). */
import { readFileSync } from "node:fs";

import { errorLine, formatIpText, I3Error, type AddressBook, type Log, type ProxyConfig, type SiteConfig } from "@i3/common";

import { addressesOf } from "../mappings/mapping-table.js";
import type { DaemonPart, OpenPart, PartHost } from "./daemon-part.js";
import { DnsPort } from "./dns-port.js";
import { NftSession } from "./interception-nft-session.js";
import { NftElements } from "./nft-elements.js";
import { leaveSite, namedSet, seekSite, siteRules, siteTable, type SiteTableSettings } from "./site-table.js";
import { SiteNames } from "./site-names.js";

const DNS_PORT = 53;
const FORWARDING = { 4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding" } as const;
// Ours:
const LOOK_MS = 1_000;

/** Of i3-proxy: nothing without `<site>`. */
export const SITE_PART: DaemonPart<ProxyConfig> = { elements: ["site"], open: async (host) => (host.config.site === undefined ? null : await Site.open(host, host.config.site)) };

class Site implements OpenPart<ProxyConfig> {
  readonly ready: string;
  readonly #host: PartHost<ProxyConfig>;
  readonly #site: SiteConfig;
  readonly #settings: SiteTableSettings;
  readonly #nft: NftSession;
  readonly #elements: NftElements;
  readonly #names: SiteNames;
  #dns: DnsPort | undefined;
  #timer: NodeJS.Timeout | undefined;
  #making: Promise<void> | null = null;
  #asked = 0;

  private constructor(host: PartHost<ProxyConfig>, site: SiteConfig) {
    const { tun: { name: tunName }, proxy: { own4, own6 }, log } = host;
    this.#host = host;
    this.#site = site;
    this.ready = `site=${site.interface}`;
    this.#settings = { tunName, site, own4, own6 };
    this.#nft = new NftSession({ log });
    this.#elements = new NftElements(this.#nft, { table: siteTable(tunName), coalesceMs: 0, onError: (error) => log("warn", "site-failed", { error: error.message, remedy: "The table is made anew; hosts of the site hear of no new names until that has worked." }) });
    this.#names = new SiteNames({ names: host.names, hasIpv6: site.networks.some(({ address }) => address.length === 16), pass: (addresses) => this.#pass(addresses) });
  }

  /** Rejects with I3Error. */
  static async open(host: PartHost<ProxyConfig>, site: SiteConfig): Promise<Site> {
    checkForwarding(site, host.log);
    const opened = new Site(host, site);
    try {
      await opened.#make();
      const { io, mark, proxy } = host;
      opened.#dns = await DnsPort.open({ io, port: DNS_PORT, mark, names: opened.#names, gateways: proxy.gateways, at: site.listen, inForce: () => opened.#elements.settled() }, [opened.#resolver()]);
      opened.#timer = setInterval(() => void opened.#look(), LOOK_MS);
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  counters(): object {
    return { site: { interface: this.#site.interface, named: this.#elements.size, dns: this.#dns?.counters() } };
  }

  setConfig({ site }: ProxyConfig): boolean {
    return JSON.stringify(site) === JSON.stringify(this.#site);
  }

  setBook(_book: AddressBook): void {
    for (const address of [...this.#host.proxy.mappings.all()].flatMap((mapping) => addressesOf(mapping))) (this.#isNamed(address) ? this.allocated([address]) : this.released([address]));
  }

  allocated(addresses: readonly Uint8Array[]): void {
    for (const address of addresses.filter((one) => this.#isNamed(one))) this.#elements.set(namedSet(address), formatIpText(address));
  }

  released(addresses: readonly Uint8Array[]): void {
    for (const address of addresses) {
      this.#elements.set(namedSet(address), formatIpText(address), null);
      this.#names.released(address);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#dns?.close();
    await this.#making?.catch(() => undefined);
    await this.#nft.run(leaveSite(this.#settings.tunName)).catch(() => undefined);
    await this.#nft.close();
  }

  /** A host that only called us is nobody whom the site's hosts may reach. */
  #isNamed(address: Uint8Array): boolean {
    const { mappings, gateways } = this.#host.proxy;
    return gateways.servers.has(address) || (mappings.byAddress(address)?.name ?? null) !== null;
  }

  async #pass(addresses: readonly Uint8Array[]): Promise<void> {
    for (const address of addresses) this.#elements.set(namedSet(address), formatIpText(address));
    await this.#elements.settled();
  }

  /** In turn: hosts of the site know one resolver, so that a dead one of ours costs them a try. */
  #resolver(): ReturnType<PartHost<ProxyConfig>["resolvers"]>[number] {
    const resolvers = this.#host.resolvers();
    const next = resolvers[(this.#asked += 1) % resolvers.length];
    if (next === undefined) throw new RangeError("no resolvers");
    return next;
  }

  /** Whoever cleared all tables cleared this one too. */
  async #look(): Promise<void> {
    const { tunName } = this.#settings;
    await this.#nft.run(seekSite(tunName)).catch(() => this.#make()).catch((error: unknown) => this.#host.log("error", "site-failed", { error: errorLine(error) }));
    await this.#dns?.setResolvers([this.#resolver()]).catch(() => undefined);
  }

  /** One at a time. */
  async #make(): Promise<void> {
    this.#making ??= this.#makeTable().finally(() => {
      this.#making = null;
    });
    await this.#making;
  }

  async #makeTable(): Promise<void> {
    const { mappings, gateways } = this.#host.proxy;
    const named = [...[...mappings.all()].flatMap((mapping) => addressesOf(mapping)), ...[...gateways.servers.all()].map(({ address }) => address)].filter((address) => this.#isNamed(address));
    await this.#nft.run(siteRules(this.#settings, named));
    const elements = named.map((address) => ({ set: namedSet(address), key: formatIpText(address), value: "" }));
    this.#elements.restart(elements, elements);
  }
}

/** A site's router passes packets on already; the proxy does not make a router of a machine. Throws I3Error. */
function checkForwarding({ networks }: SiteConfig, log: Log): void {
  const families = ([4, 6] as const).filter((family) => networks.some(({ address }) => address.length === (family === 4 ? 4 : 16)));
  const off = families.filter((family) => readFileSync(FORWARDING[family], "utf8").trim() === "0");
  const remedy = `This machine is to be the router of the site: sysctl -w ${off.map((family) => (family === 4 ? "net.ipv4.ip_forward=1" : "net.ipv6.conf.all.forwarding=1")).join(" ")}`;
  if (off.length === families.length) throw new I3Error("ERR_I3_FORWARDING", "<site>: this system passes no packets on", { remedy });
  if (off.length > 0) log("warn", "site-forwarding", { families: off, remedy });
}
