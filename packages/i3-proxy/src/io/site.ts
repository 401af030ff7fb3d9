/** A site beside the proxy: its hosts ask us for names, and their packets to virtual addresses take the TUN as ours (docs/gateways.md, "A site"). */
import { readFileSync } from "node:fs";

import { concatBytes, errorLine, formatIpText, I3Error, prefixText, sameBytes, serverPrefix6, SERVER_PREFIX6_BITS, type Log, type ProxyConfig, type SiteConfig } from "@i3/common";
import { endConntrackOf } from "@i3/datapath/io";

import { QuestionShares } from "../dns/question-shares.js";
import { addressesOf } from "../mappings/mapping-table.js";
import type { DaemonPart, OpenPart, PartHost } from "./daemon-part.js";
import { DnsPort } from "./dns-port.js";
import type { Resolver } from "./dns-upstream-resolvers.js";
import { NftSession } from "./interception-nft-session.js";
import { NftElements } from "./nft-elements.js";
import { takeWholeTrains } from "./router-settings.js";
import { rangeText } from "./system-view.js";
import { leaveSite, namedSet, removeSite, seekSite, siteRules, siteTable, type SiteContent, type SiteTableSettings } from "./site-table.js";
import { SiteNames } from "./site-names.js";

const DNS_PORT = 53;
const FORWARDING = { 4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding" } as const;
// Ours:
const LOOK_MS = 1_000;
/** Of one host, of what gateways are asked: all of them together are one client there. */
const SHARES = { perSecond: 20, burst: 60, mostOfOne: 16, mostOfAll: 48 } as const;

/** Of i3-proxy: nothing without `<site>`, not even what an earlier run with it has left. */
export const SITE_PART: DaemonPart<ProxyConfig> = {
  elements: ["site"],
  open: async (host) => {
    if (host.config.site !== undefined) return await Site.open(host, host.config.site);
    const nft = new NftSession(host);
    await nft.run(removeSite(host.tun.name)).finally(() => nft.close());
    return null;
  },
};

class Site implements OpenPart<ProxyConfig> {
  readonly ready: string;
  readonly #host: PartHost<ProxyConfig>;
  readonly #site: SiteConfig;
  readonly #settings: SiteTableSettings;
  readonly #nft: NftSession;
  readonly #elements: NftElements;
  readonly #names: SiteNames;
  readonly #shares = new QuestionShares(SHARES);
  /** Prefixes of gateways that any server was behind. */
  readonly #behind6 = new Set<string>();
  #dns: DnsPort | undefined;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;
  /** The table is not known to be as it should. */
  #isWrong = true;
  #content = "";
  #hasNoResolver = false;
  #watch: { close(): void } | undefined;

  private constructor(host: PartHost<ProxyConfig>, site: SiteConfig) {
    const { tun: { name: tunName }, proxy: { own4, own6 }, log } = host;
    this.#host = host;
    this.#site = site;
    this.ready = `site=${site.interface}`;
    this.#settings = { tunName, site, own4, own6 };
    this.#nft = new NftSession({ log });
    this.#nft.onRestart = () => this.#tell("the program nft has ended", null);
    this.#elements = new NftElements(this.#nft, { table: siteTable(tunName), coalesceMs: 0, onError: (error) => this.#tell("nftables refused a change", error) });
    const isOwn = (address: Uint8Array): boolean => sameBytes(address, own4) || sameBytes(address, own6);
    this.#names = new SiteNames({ names: host.names, isOwn, hasIpv6: site.networks.some(({ address }) => address.length === 16), pass: (addresses) => this.#pass(addresses) });
  }

  /** Rejects with I3Error. */
  static async open(host: PartHost<ProxyConfig>, site: SiteConfig): Promise<Site> {
    checkForwarding(site, host.log);
    const opened = new Site(host, site);
    try {
      await opened.#start();
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  counters(): object {
    return { site: { interface: this.#site.interface, named: this.#elements.size, shares: this.#shares.counters, dns: this.#dns?.counters() } };
  }

  setConfig({ site }: ProxyConfig): boolean {
    return JSON.stringify(site) === JSON.stringify(this.#site);
  }

  setBook(): void {
    for (const address of [...this.#host.proxy.mappings.all()].flatMap((mapping) => addressesOf(mapping))) {
      if (this.#isNamed(address)) this.allocated([address]);
      else this.#forget(address);
    }
  }

  allocated(addresses: readonly Uint8Array[]): void {
    for (const address of addresses.filter((one) => this.#isNamed(one))) this.#elements.set(namedSet(address), formatIpText(address));
  }

  released(addresses: readonly Uint8Array[]): void {
    for (const address of addresses) this.#forget(address);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#watch?.close();
    await this.#work;
    await this.#dns?.close();
    await this.#nft.run(leaveSite(this.#settings.tunName)).catch(() => undefined);
    await this.#nft.close();
  }

  async #start(): Promise<void> {
    const { io, mark, proxy, tun, view } = this.#host;
    const resolvers = this.#resolvers();
    if (resolvers.length === 0) throw new I3Error("ERR_I3_DNS_PORT", "<site>: resolv.conf names only this machine's own addresses of <site listen>", { remedy: 'Name other resolvers: <dns><resolver address="…"/></dns>.' });
    await this.#make();
    takeWholeTrains(io, tun.index);
    this.#dns = await DnsPort.open({
      io, port: DNS_PORT, mark, names: this.#names, gateways: proxy.gateways, at: this.#site.listen, inForce: () => this.#settled(),
      shares: { begin: (client) => this.#shares.begin(performance.now(), client), end: (client) => this.#shares.end(client) },
    }, resolvers);
    this.#watch = view.watch(() => this.#soon());
    this.#timer = setInterval(() => this.#soon(), LOOK_MS);
  }

  #soon(): void {
    this.#work = this.#work.then(() => this.#look()).catch((error: unknown) => this.#host.log("error", "site-failed", { error: errorLine(error) }));
  }

  /** A host that only called us is nobody whom the site's hosts may reach. */
  #isNamed(address: Uint8Array): boolean {
    const { mappings, gateways } = this.#host.proxy;
    return gateways.servers.has(address) || (mappings.byAddress(address)?.name ?? null) !== null;
  }

  /** Its connections end: another one may get the address. */
  #forget(address: Uint8Array): void {
    const { io, log } = this.#host;
    const wasNamed = this.#elements.has(namedSet(address), formatIpText(address));
    this.#elements.set(namedSet(address), formatIpText(address), null);
    this.#names.released(address);
    if (wasNamed) void endConntrackOf(io, address).catch((error: unknown) => log("warn", "conntrack", { error: errorLine(error) }));
  }

  async #pass(addresses: readonly Uint8Array[]): Promise<void> {
    for (const address of addresses) this.#elements.set(namedSet(address), formatIpText(address));
    await this.#settled();
  }

  /** Resolves when everything asked for so far is in force. Rejects with I3Error. */
  async #settled(): Promise<void> {
    if (this.#isWrong) this.#soon();
    if (this.#isWrong) await this.#work;
    await this.#elements.settled();
  }

  #tell(why: string, error: unknown): void {
    this.#isWrong = true;
    this.#names.forget();
    this.#host.log("warn", "site-failed", { why, ...(error === null ? {} : { error: errorLine(error) }), remedy: "The table of the site is made anew; its hosts hear of no new names until that has worked." });
  }

  /** Those that are not ourselves. */
  #resolvers(): readonly Resolver[] {
    return this.#host.resolvers().filter(({ address }) => !this.#site.listen.some((own) => sameBytes(own, address)));
  }

  /** Whoever cleared all tables cleared this one too. */
  async #look(): Promise<void> {
    if (this.#isClosed) return;
    if (!this.#isWrong) await this.#nft.run(seekSite(this.#settings.tunName)).catch((error: unknown) => this.#tell("the table of the site is gone", error));
    if (this.#isWrong || contentText(this.#contentNow()) !== this.#content) await this.#make();
    const resolvers = this.#resolvers();
    if (resolvers.length === 0 && !this.#hasNoResolver) this.#host.log("warn", "site-failed", { why: "resolv.conf names only this machine's own addresses of <site listen>", remedy: 'Those of before are asked. Name others: <dns><resolver address="…"/></dns>.' });
    this.#hasNoResolver = resolvers.length === 0;
    if (resolvers.length > 0) await this.#dns?.setResolvers(resolvers);
  }

  async #make(): Promise<void> {
    const content = this.#contentNow();
    await this.#nft.run(siteRules(this.#settings, content));
    this.#isWrong = false;
    this.#content = contentText(content);
    // What changed meanwhile is told now.
    this.#elements.restart(elementsOf(content), elementsOf(this.#contentNow()));
    await this.#elements.settled();
  }

  #contentNow(): SiteContent {
    const { proxy: { mappings, gateways }, config: { virtualAddresses: { range, unallocated } }, view } = this.#host;
    const servers = [...gateways.servers.all()];
    for (const { gateway: { peerHit } } of servers) if (peerHit !== null) this.#behind6.add(prefixText({ address: concatBytes(serverPrefix6(peerHit), new Uint8Array(8)), bits: SERVER_PREFIX6_BITS }));
    const named = [...[...mappings.all()].flatMap((mapping) => addressesOf(mapping)), ...servers.map(({ address }) => address)].filter((address) => this.#isNamed(address));
    const overlaps = view.findOverlaps(range);
    const isReal = unallocated === "pass" || overlaps.some(({ coversRange }) => coversRange);
    const except = [...new Set(overlaps.map(({ prefix }) => rangeText(prefix)))];
    return { named, virtual: isReal ? null : { range: rangeText(range), except }, behind6: [...this.#behind6] };
  }

}

const elementsOf = ({ named }: SiteContent): readonly { readonly set: string; readonly key: string; readonly value: string }[] => named.map((address) => ({ set: namedSet(address), key: formatIpText(address), value: "" }));

/** What is not told element by element. */
const contentText = ({ virtual, behind6 }: SiteContent): string => JSON.stringify([virtual, behind6]);

/** A site's router passes packets on already; the proxy does not make a router of a machine. Throws I3Error. */
function checkForwarding({ networks }: SiteConfig, log: Log): void {
  const families = ([4, 6] as const).filter((family) => networks.some(({ address }) => address.length === (family === 4 ? 4 : 16)));
  const off = families.filter((family) => readFileSync(FORWARDING[family], "utf8").trim() === "0");
  const remedy = `This machine is to be the router of the site: sysctl -w ${off.map((family) => (family === 4 ? "net.ipv4.ip_forward=1" : "net.ipv6.conf.all.forwarding=1")).join(" ")}`;
  if (off.length === families.length) throw new I3Error("ERR_I3_FORWARDING", "<site>: this system passes no packets on", { remedy });
  if (off.length > 0) log("warn", "site-forwarding", { families: off, remedy });
}
