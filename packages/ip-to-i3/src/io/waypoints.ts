/** Waypoints of both families: which host has which, the table of nftables that leads there, and what of it outlives a restart. */
import { networkInterfaces } from "node:os";

import { errorLine, I3Error, type PublishConfig, type PublishingProxyConfig, type WaypointsConfig } from "@i3/common";
import { endConntrackOf } from "@i3/datapath/io";
import { FewLines, passPackets, readRouterSettings, restoreRouterSettings, routedFamilies, type PartHost, type RouterSettings } from "@i3/i3-proxy";

import type { WaypointQuestion } from "../dns/authority.js";
import { WaitingAnswers } from "../dns/waiting-answers.js";
import { servicesByHost } from "../waypoints/services.js";
import { Tenures } from "../waypoints/tenures.js";
import { tenureElements, type TableElement } from "../waypoints/waypoint-table.js";
import { Windows } from "../waypoints/windows.js";
import { HostError } from "./errors.js";
import type { OverlayHosts } from "./overlay-hosts.js";
import type { PublishLog } from "./publish-log.js";
import { readWaypointState, turnedOn, waypointStateFile, writeWaypointState } from "./waypoint-state.js";
import { WaypointNat } from "./waypoint-nat.js";

export interface WaypointsOptions {
  readonly host: Pick<PartHost<PublishingProxyConfig>, "config" | "proxy" | "log" | "io" | "tun" | "datapath">;
  readonly config: WaypointsConfig;
  readonly hosts: Pick<OverlayHosts, "addressesOf">;
  readonly log: PublishLog;
}

/** An address; none: the host has none of that family; null: not now. */
export type WaypointAnswer = Uint8Array | "none" | null;

export class Waypoints {
  readonly #options: WaypointsOptions;
  readonly #stateFile: string;
  readonly #router: RouterSettings;
  readonly #tenures: Readonly<Record<4 | 16, Tenures>>;
  readonly #windows: Windows;
  readonly #nat: WaypointNat;
  readonly #waiting = new WaitingAnswers();
  readonly #fullLines = new FewLines();
  readonly #counts = { asked: 0, failed: 0 };
  #services: ReturnType<typeof servicesByHost> = new Map();
  #isOpen = false;

  private constructor(options: WaypointsOptions) {
    const { host: { config: { state }, proxy: { own4, own6 }, tun, datapath, log }, config: { addresses, claimMs, restS } } = options;
    this.#options = options;
    this.#stateFile = waypointStateFile(state.directory);
    const kept = readWaypointState(this.#stateFile);
    this.#router = kept.router ?? readRouterSettings();
    const tenures = (length: 4 | 16): Tenures => new Tenures({ waypoints: addresses.filter((one) => one.length === length), restMs: restS * 1_000, lastUse: (virtual) => datapath.lastUse(virtual), vacated: (virtual) => this.#end(virtual) });
    this.#tenures = { 4: tenures(4), 16: tenures(16) };
    this.#windows = new Windows(claimMs);
    this.#nat = new WaypointNat({ settings: { tunName: tun.name, waypoints: addresses, own4, own6, routed: routedFamilies(this.#router), restS }, elements: () => this.#elements(), log });
    for (const { waypoint, host } of kept.tenures) this.#of(waypoint).restore(performance.now(), waypoint, host);
  }

  /** Rejects with I3Error. */
  static async open(options: WaypointsOptions, publish: PublishConfig): Promise<Waypoints> {
    const waypoints = new Waypoints(options);
    waypoints.setNames(publish);
    try {
      await waypoints.#start();
      return waypoints;
    } catch (error) {
      await waypoints.close();
      throw error;
    }
  }

  /** That there are waypoints of. */
  get families(): readonly (4 | 16)[] {
    return ([4, 16] as const).filter((length) => this.#options.config.addresses.some((one) => one.length === length));
  }

  counters(): object {
    return { ...this.#counts, ...this.#waiting.counters, waiting: this.#waiting.size, ipv4: this.#tenures[4].counters, ipv6: this.#tenures[16].counters };
  }

  /** Hosts and what of them is reached, from now on; flows to hosts that are published no more end. */
  setNames({ names }: PublishConfig): void {
    this.#services = servicesByHost(names);
    for (const tenures of Object.values(this.#tenures)) tenures.setHosts(performance.now(), new Set(this.#services.keys()));
    this.#nat.sync();
  }

  /** The address that stands for the name's host now; when it is there, whoever gets it may connect. @param from who asks, 4 or 16 bytes */
  async answer({ published, family, site }: WaypointQuestion, from: Uint8Array): Promise<WaypointAnswer> {
    this.#counts.asked += 1;
    try {
      return await this.#waiting.wait(published.to, from, async (signal) => {
        const found = await this.#options.hosts.addressesOf(published, signal);
        const virtual = found.find(({ length }) => length === family);
        return virtual === undefined ? "none" : await this.#give(published.to, virtual, site);
      });
    } catch (error) {
      this.#counts.failed += 1;
      if (error instanceof HostError) this.#options.log.failed(published.to, error);
      else if (!(error instanceof I3Error)) throw error;
      return null;
    }
  }

  /** Somebody else may get these: nothing that was meant for who had them is to come there. */
  released(addresses: readonly Uint8Array[]): void {
    const led = addresses.filter((address) => [...this.#of(address).all()].some(({ virtual }) => virtual !== null && Buffer.compare(virtual, address) === 0));
    if (led.length === 0) return;
    for (const address of led) this.#of(address).release(performance.now(), address);
    this.#nat.sync();
    this.#nat.forgetClaims();
  }

  async close(): Promise<void> {
    this.#waiting.close();
    await this.#nat.close();
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const end of [() => restoreRouterSettings(turnedOn(this.#router, this.#options.config)), () => this.#save(null)]) {
      try {
        end();
      } catch (error) {
        this.#options.host.log("warn", "gateway-left", { error: errorLine(error) });
      }
    }
  }

  async #start(): Promise<void> {
    this.#save(this.#router);
    this.#isOpen = true;
    // Nothing is passed on before the table is there.
    await this.#nat.open();
    const { tun } = this.#options.host;
    passPackets(turnedOn(this.#router, this.#options.config), this.families.includes(16) ? Object.keys(networkInterfaces()).filter((name) => name !== "lo" && name !== tun.name) : []);
  }

  async #give(host: string, virtual: Uint8Array, site: WaypointQuestion["site"]): Promise<Uint8Array | null> {
    const { log } = this.#options.host;
    const tenures = this.#of(virtual);
    const { given } = tenures.counters;
    const tenure = this.#services.has(host) ? tenures.give(performance.now(), host, virtual) : null;
    if (tenure === null) {
      if (this.#fullLines.take(performance.now(), null)) log("warn", "waypoints-full", { host, remedy: "All waypoints stand for other hosts that are in use: clients of this one hear that its name cannot be looked up. Give <waypoints> as many addresses as there are hosts." });
      return null;
    }
    if (tenures.counters.given !== given) this.#save(this.#router);
    this.#nat.sync();
    await this.#nat.settled(tenures.isEnough(performance.now()) ? null : this.#windows.open(performance.now(), tenure.waypoint, site));
    // While nft was at work the host may have lost it.
    return tenure.virtual === null ? null : tenure.waypoint;
  }

  /** A waypoint leads there no more: neither does what has begun. */
  #end(virtual: Uint8Array): void {
    const { io, log } = this.#options.host;
    void this.#nat.settled(null).then(() => endConntrackOf(io, virtual)).catch((error: unknown) => log("warn", "conntrack", { error: errorLine(error) }));
  }

  #elements(): readonly TableElement[] {
    return Object.values(this.#tenures).flatMap((tenures) => [...tenures.all()].flatMap((tenure) => tenureElements(tenure, this.#services.get(tenure.host) ?? [], tenures.isEnough(performance.now()))));
  }

  #of({ length }: Uint8Array): Tenures {
    return this.#tenures[length === 4 ? 4 : 16];
  }

  #save(router: RouterSettings | null): void {
    const tenures = Object.values(this.#tenures).flatMap((each) => [...each.all()].map(({ waypoint, host }) => ({ waypoint, host })));
    writeWaypointState(this.#stateFile, { router, tenures });
  }
}
