/** The topology's side of the emulator process: starts it, asks it, ends it. */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EmulatorReply, EmulatorRequest, OpenRequest, OpenResult, StatsResult } from "./emulator-messages.js";
import { NetnsError } from "./errors.js";

/** The compiled form, also when this file runs as TypeScript under vitest: src/ and dist/ are neighbours. */
const PROGRAM = fileURLToPath(new URL("../dist/emulator-process.js", import.meta.url));
const STDERR_CHARS_MAX = 4_000;

type Result = NonNullable<EmulatorReply["result"]> | null;

interface Pending {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: NetnsError) => void;
}

export class Emulator {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #ended: Promise<void>;
  #nextId = 1;
  #stderr = "";
  #hasEnded = false;

  /** Throws ERR_I3_NETNS_EMULATOR when it has not been built. @param isRealTime before all other programs, where the system lets us */
  constructor({ isRealTime }: { readonly isRealTime: boolean }) {
    if (!existsSync(PROGRAM)) {
      throw new NetnsError("ERR_I3_NETNS_EMULATOR", `${PROGRAM} is not there`, { remedy: "Build it with: npx tsc --build test/netns" });
    }
    this.#process = fork(PROGRAM, [], { execArgv: [], stdio: ["ignore", "inherit", "pipe", "ipc"] });
    // All of its threads: the collector of garbage holds the others up. Refused: then it goes on as it is.
    if (isRealTime) spawn("chrt", ["--all-tasks", "--fifo", "--pid", "1", String(this.#process.pid)], { stdio: "ignore" }).on("error", () => undefined);
    this.#process.on("message", (reply: EmulatorReply) => this.#settle(reply));
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#ended = new Promise((resolve) => {
      const end = (why: string): void => {
        this.#hasEnded = true;
        for (const { reject } of this.#pending.values()) reject(this.#goneError(why));
        this.#pending.clear();
        resolve();
      };
      this.#process.on("error", (error) => end(error.message));
      this.#process.on("close", (code, signal) => end(`ended with ${signal ?? `status ${code ?? "?"}`}`));
    });
  }

  /** Makes the link's two TUN devices, in the network namespace of this process. */
  async open(request: Omit<OpenRequest, "type">): Promise<OpenResult> {
    const result = await this.#ask({ type: "open", ...request });
    if (result === null || !("deviceA" in result)) throw new NetnsError("ERR_I3_NETNS_EMULATOR", "no devices in the answer");
    return result;
  }

  async stats(link: string): Promise<StatsResult> {
    const result = await this.#ask({ type: "stats", link });
    if (result === null || !("up" in result)) throw new NetnsError("ERR_I3_NETNS_EMULATOR", "no counters in the answer");
    return result;
  }

  async set(request: Extract<EmulatorRequest, { type: "set" }>): Promise<void> {
    await this.#ask(request);
  }

  /** Ends the process, and with it its TUN devices. */
  async close(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  #ask(request: EmulatorRequest): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded || !this.#process.connected) return reject(this.#goneError("has ended"));
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject });
      this.#process.send({ id, request });
    });
  }

  #settle({ id, result, error }: EmulatorReply): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result ?? null);
    else pending?.reject(new NetnsError("ERR_I3_NETNS_EMULATOR", `the emulator refused: ${error}`));
  }

  #goneError(why: string): NetnsError {
    return new NetnsError("ERR_I3_NETNS_EMULATOR", `the emulator process ${why}\n${this.#stderr}`);
  }
}
