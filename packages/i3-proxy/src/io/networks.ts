/** What the system needs for rules by address: nftables rules and a setting, then routes (docs/host-changes.md). Nothing of it is there while there is no such rule. */
import { errorLine, type Log } from "@i3/common";
import type { NativeIo, RouteEntry } from "@i3/datapath/native-io";

import type { NetworkWay } from "../gateways/gateway-networks.js";
import { FewLines } from "../policy/few-lines.js";
import type { NftRunner } from "./interception-nft.js";
import { keepLengths, readLengths } from "./network-lengths.js";
import { NetworkRoutes, type NetworkRoutesOptions } from "./network-routes.js";
import { networkRules, removeNetworkRules, seekNetworkRules, type NetworkTable } from "./network-table.js";
import { restoreSourceMark, setSourceMark } from "./source-mark.js";

export interface NetworksOptions extends Omit<NetworkRoutesOptions, "keepLengths" | "io">, Omit<NetworkTable, "ways" | "routes"> {
  readonly io: NetworkRoutesOptions["io"] & Pick<NativeIo, "watchNetlink">;
  readonly nft: NftRunner;
  readonly stateDirectory: string;
  /** Sets other rules and routes of ours that are missing among those of the machine, and returns how many were. Throws what NativeIo throws. */
  readonly keepOthers: (entries: readonly RouteEntry[]) => number;
  readonly log: Log;
}

const REMEDY = "It is tried again with the next change of rules. Until then packets for networks behind gateways may go the ordinary way, or nowhere.";
const RESTORED_REMEDY = "Another program has removed routing rules or routes of i3-proxy, which has set them again. If it is systemd-networkd: ManageForeignRoutingPolicyRules=no and ManageForeignRoutes=no in networkd.conf.";
const FAMILIES = [4, 6] as const;

/** Somebody may have cleared all tables of nftables, of which nobody is told. */
const LOOK_MS = 5_000;
/** After a change of the machine's routes or rules ours are looked at so late, and no sooner than this many times as long as it took. */
const SETTLE_MS = 50;
const REST_FACTOR = 10;

export class Networks {
  readonly #options: NetworksOptions;
  readonly #routes: NetworkRoutes;
  readonly #restored = new FewLines();
  #ways: readonly NetworkWay[] = [];
  /** Rules that nft has; "": none of ours. */
  #table = "";
  /** There may be something of ours. */
  #isUsed = false;
  #timer: NodeJS.Timeout | undefined;
  #watch: { close(): void } | undefined;
  #soon: NodeJS.Timeout | undefined;
  #restMs = 0;
  #isClosed = false;
  #work: Promise<void> = Promise.resolve();

  /** Sets nothing. */
  constructor(options: NetworksOptions) {
    this.#options = options;
    this.#routes = new NetworkRoutes({ ...options, keepLengths: (lengths) => keepLengths(options.stateDirectory, lengths) });
  }

  /** Whether something is refused while there is no proxy. */
  get isShut(): boolean {
    return this.#table !== "" && this.#ways.some(({ rule }) => rule.whenDown === "refuse");
  }

  /** Takes over, or removes, what an earlier run has left behind. Rejects with what nft or the system says. */
  async start(ways: readonly NetworkWay[]): Promise<void> {
    const { io, stateDirectory } = this.#options;
    const earlier = readLengths(stateDirectory);
    this.#isUsed = earlier.length > 0;
    await this.#prepare(ways);
    this.#routes.start(ways, earlier);
    if (ways.length === 0) await this.#end();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#watch = io.watchNetlink((events) => {
      if (this.#table !== "" && events.some((event) => event !== "address")) this.#soon ??= setTimeout(() => this.#look(), Math.max(SETTLE_MS, this.#restMs));
    });
  }

  /** Other rules, or another gateway is down: in the background. */
  update(ways: readonly NetworkWay[]): void {
    this.#work = this.#work.then(async () => {
      if (this.#isClosed) return;
      try {
        await this.#prepare(ways);
        this.#routes.set(ways);
        if (ways.length === 0) await this.#end();
      } catch (error) {
        this.#options.log("error", "networks-failed", { error: errorLine(error), remedy: REMEDY });
      }
    });
  }

  /** Everything is as it was before. */
  async close(): Promise<void> {
    await this.leave();
    try {
      this.#routes.close();
      await this.#end();
    } catch (error) {
      this.#options.log("error", "networks-failed", { error: errorLine(error), remedy: "Run i3-proxy --config FILE --clean." });
    }
  }

  /** What is to outlive a proxy that dies stays. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#watch?.close();
    this.#watch = undefined;
    this.#isClosed = true;
    await this.#work;
  }

  #look(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const { nft, tunName, log } = this.#options;
    this.#work = this.#work.then(async () => {
      if (this.#table === "" || this.#watch === undefined) return;
      try {
        this.#keep();
        const table = this.#tableOf(this.#ways);
        if (table === this.#table) await nft.run(seekNetworkRules(tunName)).catch(() => nft.run(table));
        else await nft.run(table);
        this.#table = table;
      } catch (error) {
        log("error", "networks-failed", { error: errorLine(error), remedy: "It is tried again within seconds. Until then packets for networks behind gateways may go the ordinary way, or nowhere." });
      }
    });
  }

  #keep(): void {
    const { keepOthers, log } = this.#options;
    const startMs = performance.now();
    const entries = this.#entries();
    const missing = this.#routes.keep(entries) + keepOthers(entries);
    this.#restMs = (performance.now() - startMs) * REST_FACTOR;
    if (missing > 0 && this.#restored.take(startMs, new Uint8Array())) log("warn", "networks-restored", { missing, remedy: RESTORED_REMEDY });
  }

  #entries(): readonly RouteEntry[] {
    return FAMILIES.flatMap((family) => this.#options.io.listRoutes(family));
  }

  #tableOf(ways: readonly NetworkWay[]): string {
    return networkRules({ ...this.#options, ways, routes: this.#entries() });
  }

  async #prepare(ways: readonly NetworkWay[]): Promise<void> {
    this.#ways = ways;
    if (ways.length === 0) return;
    this.#isUsed = true;
    const table = this.#tableOf(ways);
    if (table !== this.#table) await this.#options.nft.run(table);
    this.#table = table;
    setSourceMark(this.#options.stateDirectory);
  }

  async #end(): Promise<void> {
    if (!this.#isUsed) return;
    const { nft, tunName, stateDirectory } = this.#options;
    await nft.run(removeNetworkRules(tunName));
    this.#table = "";
    restoreSourceMark(stateDirectory);
    this.#isUsed = false;
  }
}
