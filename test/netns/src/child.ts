/** A program that runs on a node of the topology for a while: its lines, its end, and ways to wait for both. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { EventEmitter } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { NetnsError } from "./errors.js";
import { statusOf } from "./run.js";

export interface Line {
  readonly stream: "stdout" | "stderr";
  readonly text: string;
}

export interface ChildEnd {
  /** Exit status; 128+n when signal n ended it. */
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

export interface SpawnOptions {
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

interface ChildEvents {
  line: [Line];
  end: [ChildEnd];
}

/** The newest lines that `waitForLine` and `diagnose` can look back on. */
const LINES_MAX = 10_000;
const WAIT_MS = 10_000;

export class Child extends EventEmitter<ChildEvents> {
  /** What was started, for messages. */
  readonly title: string;
  /** Settles when the program has ended and its output has been read; never rejects. Status 127: it could not be started. */
  readonly ended: Promise<ChildEnd>;
  #process: ChildProcessByStdio<Writable, Readable, Readable>;
  #lines: Line[] = [];
  #end: ChildEnd | undefined;

  /** `argv` starts the program, `title` is how people know it. */
  constructor(argv: readonly string[], title: string, options: SpawnOptions = {}) {
    super();
    this.setMaxListeners(100);
    this.title = title;
    const [program = "", ...args] = argv;
    this.#process = spawn(program, args, { env: { ...process.env, ...options.env }, cwd: options.cwd, stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stdin.on("error", () => {}); // EPIPE: the program did not want its input.
    for (const stream of ["stdout", "stderr"] as const) {
      createInterface({ input: this.#process[stream] }).on("line", (text) => this.#addLine({ stream, text }));
    }
    this.ended = new Promise((resolve) => {
      this.#process.on("error", (error) => {
        this.#addLine({ stream: "stderr", text: error.message });
        this.#finish({ status: 127, signal: null }, resolve);
      });
      this.#process.on("close", (code, signal) => this.#finish({ status: statusOf(code, signal), signal }, resolve));
    });
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** The newest lines of both streams, oldest first. */
  get lines(): readonly Line[] {
    return this.#lines;
  }

  /** The program's standard input. */
  get stdin(): Writable {
    return this.#process.stdin;
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#process.kill(signal);
  }

  /** Ends the program politely, then by force after `timeoutMs`. */
  async stop(timeoutMs = 5_000): Promise<ChildEnd> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.destroy(), timeoutMs);
    return this.ended.finally(() => clearTimeout(timer));
  }

  /** Ends the program by force and stops reading: a grandchild that holds the pipes open cannot delay `ended`. */
  destroy(): void {
    this.kill("SIGKILL");
    this.#process.stdin.destroy();
    this.#process.stdout.destroy();
    this.#process.stderr.destroy();
  }

  /**
   * The match in the first line, of those already seen and those to come, that `pattern` matches. Rejects with
   * ERR_I3_NETNS_TIMEOUT or ERR_I3_NETNS_EXITED; the message ends with the last lines seen.
   */
  waitForLine(pattern: RegExp, timeoutMs = WAIT_MS): Promise<RegExpExecArray> {
    const match = (line: Line): RegExpExecArray | null => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(line.text);
    for (const line of this.#lines) {
      const found = match(line);
      if (found !== null) return Promise.resolve(found);
    }
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.off("line", onLine);
        this.off("end", onEnd);
      };
      const failWith = (code: "ERR_I3_NETNS_TIMEOUT" | "ERR_I3_NETNS_EXITED", why: string): void => {
        settle();
        reject(new NetnsError(code, `${this.title}: ${why} before a line matched ${String(pattern)}\n${this.tail()}`));
      };
      const onLine = (line: Line): void => {
        const found = match(line);
        if (found === null) return;
        settle();
        resolve(found);
      };
      const onEnd = (end: ChildEnd): void => failWith("ERR_I3_NETNS_EXITED", `ended with status ${end.status}`);
      const timer = setTimeout(() => failWith("ERR_I3_NETNS_TIMEOUT", `${timeoutMs} ms passed`), timeoutMs);
      this.on("line", onLine);
      this.on("end", onEnd);
      if (this.#end !== undefined) onEnd(this.#end);
    });
  }

  /** The last `count` lines, for messages. */
  tail(count = 20): string {
    return this.#lines.slice(-count).map((line) => `  ${line.stream === "stderr" ? "!" : "|"} ${line.text}`).join("\n");
  }

  #addLine(line: Line): void {
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.splice(0, LINES_MAX / 10);
    this.emit("line", line);
  }

  #finish(end: ChildEnd, resolve: (end: ChildEnd) => void): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.emit("end", end);
    resolve(end);
  }
}
