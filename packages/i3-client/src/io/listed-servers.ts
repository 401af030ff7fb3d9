/**
 * The signed list of the ring's servers: its origin (a file, or a record of the ring), and a copy beside the state from which a
 * daemon or program starts when the origin is gone. The newest that has not ended counts. Both origins are looked at again while it runs.
 */
import { errorLine, RECORD_KIND, recordKey, sameBytes, type Locator, type Log, type ServerListConfig } from "@i3/common";
import type { RecordEvent } from "../environment.js";
import type { I3Client } from "../i3-client.js";
import { newestList, serverListOf, ServerListProblem, type ServerList } from "../server-list.js";
import { readServerList, writeServerList } from "./server-list-file.js";

/** The origin is looked at for a newer list this often. */
const LOOK_MS = 600_000;
/** While there is no list; and this long after the start, when a server has answered. */
const FIRST_LOOK_MS = 5_000;

export interface ListedServersInit {
  readonly config: ServerListConfig;
  /** Undefined: none is kept. */
  readonly copyFile: string | undefined;
  readonly log: Log;
  readonly wallMs: () => number;
  /** Calls the client, which runs by then. */
  readonly run: (work: (client: I3Client, nowMs: number) => void) => void;
}

export class ListedServers {
  readonly #init: ListedServersInit;
  readonly #ringKey: Uint8Array;
  #current: ServerList | undefined;
  /** Of the ring, as it was told last. */
  #missingWhy: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(init: ListedServersInit) {
    const { key, label } = init.config;
    this.#init = init;
    this.#ringKey = recordKey({ kind: RECORD_KIND.serverList, signer: key, label });
  }

  /** Of the origin's file and the copy, whichever is newer. */
  read(): readonly Locator[] {
    const { config, copyFile, wallMs, log } = this.#init;
    const cached = copyFile === undefined ? undefined : this.#readOne(copyFile, "It is not used.");
    const meanwhile = cached === undefined ? "The configured servers are tried alone, and it is looked for again." : "The copy of the last one is used.";
    const origin = config.file === undefined ? undefined : this.#readOne(config.file, meanwhile, "does not exist");
    this.#current = newestList([origin, cached], wallMs());
    if (this.#current === undefined) {
      if (cached !== undefined || origin !== undefined) log("warn", "server-list", { why: "all lists that there are have ended", remedy: "Get a new one from whoever runs the ring." });
      return [];
    }
    if (this.#current !== cached) this.#write(this.#current);
    log("info", "server-list", { servers: this.#current.servers.length, from: (this.#current === cached ? copyFile : config.file) ?? "" });
    return this.#locators();
  }

  #locators(): readonly Locator[] {
    return this.#current?.servers.map(({ locator }) => locator) ?? [];
  }

  /** From now on the ring is asked, or given the list. */
  start(): void {
    this.#timer = setTimeout(() => this.#look(), FIRST_LOOK_MS).unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    const { config, run } = this.#init;
    const list = config.file === undefined ? undefined : this.#readOne(config.file, "It is not used.");
    if (list !== undefined) this.#take(list, config.file ?? "");
    this.#timer = setTimeout(() => this.#look(), this.#current === undefined ? FIRST_LOOK_MS : LOOK_MS).unref();
    run((client, nowMs) => {
      if (config.publish && this.#current !== undefined) client.keepRecord(nowMs, this.#current.record.bytes);
      if (config.file === undefined) client.findRecord(nowMs, this.#ringKey, (this.#current?.record.sequence ?? -1) + 1);
    });
  }

  /** Of the ring. */
  handleRecord(event: RecordEvent): void {
    if (event.kind !== "record" || !sameBytes(event.ringKey, this.#ringKey)) return;
    if (event.record === null) return this.#missing(event.why === "absent" ? "the ring has none of this key and label" : "no server that should know has answered");
    this.#take(serverListOf(event.record, this.#init.config.key), "the ring");
  }

  /** Told once, until there is one or the reason is another. */
  #missing(why: string): void {
    if (this.#current !== undefined || why === this.#missingWhy) return;
    this.#missingWhy = why;
    this.#init.log("warn", "server-list", { why, remedy: "It is looked for again. Is this the key of the ring's list, and does anybody publish it?" });
  }

  /** If it is newer than the one in use. */
  #take(list: ServerList, from: string): void {
    if (newestList([this.#current, list], this.#init.wallMs()) !== list) return;
    this.#current = list;
    this.#write(list);
    this.#init.log("info", "server-list", { servers: list.servers.length, from });
    this.#init.run((client, nowMs) => client.setListedServers(nowMs, this.#locators()));
  }

  /** `missing`: what to say when there is no such file. @default nothing */
  #readOne(file: string, remedy: string, missing?: string): ServerList | undefined {
    const { config, log } = this.#init;
    try {
      const list = readServerList(file, config.key);
      if (list === undefined) {
        if (missing !== undefined) log("warn", "server-list", { file, why: missing, remedy });
        return undefined;
      }
      if (list.record.label === config.label) return list;
      throw new ServerListProblem(`has the label "${list.record.label}", not "${config.label}"`);
    } catch (error) {
      if (!(error instanceof ServerListProblem)) throw error;
      log("warn", "server-list", { file, why: reasonOf(error), remedy: `${remedy} Get a new one from whoever runs the ring.` });
      return undefined;
    }
  }

  #write(list: ServerList): void {
    const { copyFile } = this.#init;
    if (copyFile === undefined) return;
    try {
      writeServerList(copyFile, list);
    } catch (error) {
      this.#init.log("error", "server-list", { file: copyFile, why: errorLine(error), remedy: "The next start has the configured servers only. Is the disk full?" });
    }
  }
}

/** Without a stop at its end: it continues the name of the file. */
const reasonOf = (error: Error): string => errorLine(error).replace(/\.$/, "");
