/** Keeps the table of waypoints as it should be: changes one after the other, and the whole of it anew when nft refuses one, dies, or somebody clears all tables. */
import { errorLine, type Log } from "@i3/common";
import { NftElements, NftSession, replaceTable } from "@i3/i3-proxy";

import { forgetClaims, leaveTable, openWindows, seekTable, tableBody, waypointTable, type TableElement, type WaypointTableSettings } from "../waypoints/waypoint-table.js";
import type { Window } from "../waypoints/windows.js";

// Ours:
const SEEK_MS = 1_000;

export interface WaypointNatOptions {
  readonly settings: WaypointTableSettings;
  /** What the table should hold now. */
  readonly elements: () => readonly TableElement[];
  readonly log: Log;
}

export class WaypointNat {
  readonly #options: WaypointNatOptions;
  readonly #name: string;
  readonly #nft: NftSession;
  readonly #elements: NftElements;
  /** By set and key, as told. */
  #told = new Map<string, TableElement>();
  /** To be opened with the next command. */
  #windows: Window[] = [];
  #opening: Promise<void> | null = null;
  #making: Promise<void> | null = null;
  #isUp = false;
  #isWrong = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WaypointNatOptions) {
    this.#options = options;
    this.#name = waypointTable(options.settings.tunName);
    this.#nft = new NftSession({ log: options.log });
    this.#elements = new NftElements(this.#nft, { table: this.#name, coalesceMs: 0, onError: (error) => this.#tell("nftables refused a change", error) });
  }

  /** Makes the table. Rejects with I3Error. */
  async open(): Promise<void> {
    this.#nft.onRestart = () => this.#tell("nft was started again", null);
    await this.#make();
    this.#isUp = true;
    this.#timer = setInterval(() => void this.#look(), SEEK_MS);
  }

  /** What the table should hold has changed. */
  sync(): void {
    if (!this.#isUp) return;
    const wanted = byKey(this.#options.elements());
    for (const [key, { set, key: name }] of this.#told) if (!wanted.has(key)) this.#elements.set(set, name, null);
    for (const [key, { set, key: name, value }] of wanted) if (this.#told.get(key)?.value !== value) this.#elements.set(set, name, value);
    this.#told = wanted;
  }

  forgetClaims(): void {
    if (this.#isUp) void this.#nft.run(forgetClaims(this.#options.settings.tunName)).catch((error: unknown) => this.#tell("nftables refused a change", error));
  }

  /** Resolves when everything asked for so far is in force, the window too. Rejects with I3Error. */
  async settled(window: Window | null): Promise<void> {
    if (this.#isWrong) await this.#look();
    await this.#elements.settled();
    if (window === null) {
      await this.#opening;
      return;
    }
    this.#windows.push(window);
    // Those that come while nft is at work share its next command.
    const before = this.#opening;
    this.#opening = (before ?? Promise.resolve()).catch(() => undefined).then(() => this.#openAll());
    await this.#opening;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#making?.catch(() => undefined);
    await this.#elements.settled().catch(() => undefined);
    if (this.#isUp) await this.#nft.run(leaveTable(this.#options.settings.tunName)).catch((error: unknown) => this.#options.log("warn", "nft", { error: errorLine(error) }));
    this.#isUp = false;
    await this.#nft.close();
  }

  async #openAll(): Promise<void> {
    const windows = this.#windows.splice(0);
    if (windows.length > 0) await this.#nft.run(openWindows(this.#options.settings.tunName, windows));
  }

  #tell(why: string, error: unknown): void {
    this.#isWrong = true;
    this.#options.log("warn", "nft", { why, ...(error === null ? {} : { error: errorLine(error) }), remedy: "The table of waypoints is made anew; until that has worked names with a waypoint are not answered for." });
  }

  async #look(): Promise<void> {
    if (!this.#isWrong) await this.#nft.run(seekTable(this.#options.settings.tunName)).catch((error: unknown) => this.#tell("the table of waypoints is gone", error));
    if (this.#isWrong && this.#isUp) await this.#make().catch((error: unknown) => this.#options.log("error", "nft", { error: errorLine(error) }));
  }

  /** One at a time; whoever comes meanwhile waits for it. */
  async #make(): Promise<void> {
    this.#making ??= this.#makeTable().finally(() => {
      this.#making = null;
    });
    await this.#making;
  }

  async #makeTable(): Promise<void> {
    const elements = this.#options.elements();
    await this.#nft.run(replaceTable(this.#name, tableBody(this.#options.settings, elements)));
    this.#isWrong = false;
    const now = this.#options.elements();
    this.#told = byKey(now);
    this.#elements.restart(elements, now);
    await this.#elements.settled();
  }
}

const byKey = (elements: readonly TableElement[]): Map<string, TableElement> => new Map(elements.map((element) => [`${element.set} ${element.key}`, element]));
