/**
 * A child `nft -i` that applies nftables commands in order. A table with `flags owner` lives as long as the child, and the child as
 * long as its standard input: when we die, even by SIGKILL, the kernel closes the pipe, the child ends, and its tables vanish.
 *
 * nft says nothing when a command works, so each is followed by a word that is none: its syntax error on stderr tells, in
 * order, that everything before it was done, and what was printed before it is the error of the command.
 */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { I3Error } from "@i3/common";

export interface NftOptions {
  /** @default "nft" */
  readonly program?: string;
  /** The child ended although nobody closed it: the owner tables are gone. */
  readonly onExit: (error: I3Error) => void;
}

/** Commands that wait for nft; more are refused. Callers coalesce, so that a handful is usual. */
const MAX_WAITING = 1_024;
/** /usr/sbin is not in everybody's PATH; HOME keeps nft from writing a history file. */
const childEnvironment = (): NodeJS.ProcessEnv => ({ PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`, HOME: "/dev/null", LC_ALL: "C" });

interface Waiting {
  readonly sync: string;
  readonly resolve: () => void;
  readonly reject: (error: I3Error) => void;
}

/** Applies one line as one transaction. */
export interface NftRunner {
  run(line: string): Promise<void>;
}

export class NftChild implements NftRunner {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: Waiting[] = [];
  #output = "";
  #count = 0;
  #ended: I3Error | null = null;
  #closing = false;

  /** Starts the child. A missing program or missing rights show in the first {@link run}. */
  constructor(options: NftOptions) {
    // Detached: Ctrl-C in a terminal is for us, and the rules must stay until we have stopped.
    this.#child = spawn(options.program ?? "nft", ["-i"], { env: childEnvironment(), detached: true });
    this.#child.stdout.resume();
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.#onErrorText(text));
    this.#child.stdin.on("error", () => undefined);
    this.#child.on("error", (cause) => this.#end(startError(cause), options));
    this.#child.on("exit", (code, signal) => this.#end(new I3Error("ERR_I3_NFT", `nft ended (${signal ?? `status ${code}`})`), options));
  }

  /** Applies one line as one transaction. Rejects with I3Error ERR_I3_NFT, ERR_I3_NO_NFT, ERR_I3_NFT_DENIED or ERR_I3_NFT_BUSY. */
  run(line: string): Promise<void> {
    if (line.includes("\n")) throw new RangeError("one line at a time");
    if (this.#ended !== null) return Promise.reject(this.#ended);
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new I3Error("ERR_I3_NFT_BUSY", `${MAX_WAITING} nftables commands are waiting`));
    const sync = `i3_sync_${(this.#count += 1)}`;
    this.#child.stdin.write(`${line}\n${sync}\n`);
    return new Promise((resolve, reject) => this.#waiting.push({ sync, resolve, reject }));
  }

  /** Ends the child; its owner tables vanish. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#ended !== null) return;
    const exited = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.stdin.end();
    await exited;
  }

  #onErrorText(text: string): void {
    this.#output += text;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      // "Error: syntax error, unexpected newline, expecting string\ni3_sync_17\n          ^\n"
      const match = new RegExp(`Error: [^\\n]*\\n${first.sync}\\n *\\^+\\n`).exec(this.#output);
      if (match === null) return;
      const before = this.#output.slice(0, match.index).trim();
      this.#output = this.#output.slice(match.index + match[0].length);
      this.#waiting.shift();
      if (before === "") first.resolve();
      else first.reject(commandError(before));
    }
  }

  #end(error: I3Error, options: NftOptions): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    if (!this.#closing) options.onExit(error);
  }
}

function startError(cause: Error & { code?: string }): I3Error {
  if (cause.code !== "ENOENT") return new I3Error("ERR_I3_NFT", "nft cannot be started", { cause });
  return new I3Error("ERR_I3_NO_NFT", "the program nft is missing", { cause, remedy: "apt-get install nftables" });
}

function commandError(text: string): I3Error {
  // What follows is the command with marks below it.
  const shown = text.slice(0, text.indexOf("\n") >>> 0).replace(/^Error: /, "");
  if (!/Operation not permitted|Permission denied/.test(text)) return new I3Error("ERR_I3_NFT", `nft: ${shown}`);
  const remedy = "Run as root or with CAP_NET_ADMIN, and stop another i3-proxy that uses the same TUN name.";
  return new I3Error("ERR_I3_NFT_DENIED", `nft: ${shown}`, { remedy });
}

/** Name of a table: letters, digits and underscores; other bytes of an interface's name as two hex digits. */
export const tableName = (kind: string, tunName: string): string =>
  `i3_${kind}_${tunName.replace(/[^A-Za-z0-9]/g, (char) => `_${char.charCodeAt(0).toString(16)}`)}`;

/** Removes a table, which need not be there. */
export const removeTable = (name: string, family: "inet" | "arp" = "inet"): string => `add table ${family} ${name}; delete table ${family} ${name}`;

/** Replaces a whole table in one transaction; `body` is what stands between its braces. */
export const replaceTable = (name: string, body: string, family: "inet" | "arp" = "inet"): string =>
  `${removeTable(name, family)}; add table ${family} ${name} { ${body} }`;

/** As {@link replaceTable}, for a table that vanishes with the child. */
export const replaceOwnedTable = (name: string, body: string): string =>
  `add table inet ${name} { flags owner; }; delete table inet ${name}; add table inet ${name} { flags owner; ${body} }`;
