/** What the system needs for rules by address: nftables rules and a setting, then routes (docs/host-changes.md). Nothing of it is there while there is no such rule. */
import { errorLine, exitOf, type Log } from "@i3/common";

import type { NetworkWay } from "../gateways/gateway-networks.js";
import type { NftRunner } from "./interception-nft.js";
import { keepLengths, readLengths } from "./network-lengths.js";
import { NetworkRoutes, type NetworkRoutesOptions } from "./network-routes.js";
import { networkRules, removeNetworkRules, seekNetworkRules, type NetworkTable } from "./network-table.js";
import { restoreSourceMark, setSourceMark } from "./source-mark.js";

export interface NetworksOptions extends Omit<NetworkRoutesOptions, "keepLengths">, Omit<NetworkTable, "refusesNames"> {
  readonly nft: NftRunner;
  readonly stateDirectory: string;
  readonly log: Log;
}

const REMEDY = "It is tried again with the next change of rules. Until then packets for networks behind gateways may go the ordinary way, or nowhere.";

/** Somebody may have cleared all tables. */
const LOOK_MS = 5_000;

export class Networks {
  readonly #options: NetworksOptions;
  readonly #routes: NetworkRoutes;
  /** Rules that nft has; "": none of ours. */
  #table = "";
  /** There may be something of ours. */
  #isUsed = false;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> = Promise.resolve();

  private constructor(options: NetworksOptions) {
    this.#options = options;
    this.#routes = new NetworkRoutes({ ...options, keepLengths: (lengths) => keepLengths(options.stateDirectory, lengths) });
  }

  /** Takes over, or removes, what an earlier run has left behind. Rejects with what nft or the system says. */
  static async open(options: NetworksOptions, ways: readonly NetworkWay[]): Promise<Networks> {
    const networks = new Networks(options);
    const earlier = readLengths(options.stateDirectory);
    networks.#isUsed = earlier.length > 0;
    await networks.#prepare(ways);
    networks.#routes.start(ways, earlier);
    if (ways.length === 0) await networks.#end();
    networks.#timer = setInterval(() => networks.#look(), LOOK_MS);
    return networks;
  }

  /** Other rules, or another gateway is down: in the background. */
  update(ways: readonly NetworkWay[]): void {
    this.#work = this.#work.then(async () => {
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
    clearInterval(this.#timer);
    await this.#work;
    try {
      this.#routes.close();
      await this.#end();
    } catch (error) {
      this.#options.log("error", "networks-failed", { error: errorLine(error), remedy: "Run i3-proxy --config FILE --clean." });
    }
  }

  #look(): void {
    const { nft, tunName, log } = this.#options;
    this.#work = this.#work.then(async () => {
      const table = this.#table;
      if (table === "") return;
      try {
        await nft.run(seekNetworkRules(tunName)).catch(() => nft.run(table));
      } catch (error) {
        log("error", "networks-failed", { error: errorLine(error), remedy: "It is tried again within seconds. Until then packets for networks behind gateways may go the ordinary way, or nowhere." });
      }
    });
  }

  async #prepare(ways: readonly NetworkWay[]): Promise<void> {
    if (ways.length === 0) return;
    this.#isUsed = true;
    const exit = exitOf(ways.map(({ rule }) => rule));
    const table = networkRules({ ...this.#options, refusesNames: exit?.whenDown === "refuse" });
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
