/** Runs one program to its end, by argument vector; no shell ever sees an input. */
import { spawn, type ChildProcess } from "node:child_process";
import { NetnsError } from "./errors.js";

export interface RunOptions {
  /** Written to standard input, which is then closed. @default "" */
  readonly input?: string;
  /** The program is killed (SIGKILL) after this time. @default 30_000 */
  readonly timeoutMs?: number;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface RunResult {
  /** Exit status; 128+n when signal n ended it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 30_000;
/** More output than this is cut off at the front: a test looks at the end of a runaway program. */
const OUTPUT_CHARS_MAX = 16 * 1024 * 1024;

/** Signal numbers of Linux that end programs in practice; others count as 128. */
const SIGNAL_NUMBERS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGKILL: 9, SIGUSR1: 10, SIGSEGV: 11, SIGUSR2: 12,
  SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15,
};

export function statusOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + ((signal === null ? 0 : SIGNAL_NUMBERS[signal]) ?? 0);
}

/**
 * Resolves with status and output, whatever the status. Rejects with ERR_I3_NETNS_COMMAND when it cannot be started, and with
 * ERR_I3_NETNS_TIMEOUT (the message ends with the output so far) when it does not end in time.
 */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program = "", ...args] = argv;
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...options.env }, cwd: options.cwd, stdio: "pipe" });
    const output = collect(child);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    child.stdin.on("error", () => {}); // EPIPE: the program did not want its input.
    child.stdin.end(options.input ?? "");
    child.on("error", (cause) => {
      clearTimeout(timer);
      reject(new NetnsError("ERR_I3_NETNS_COMMAND", `cannot start ${program}: ${cause.message}`, { cause }));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (!timedOut) return resolve({ status: statusOf(code, signal), ...output });
      reject(new NetnsError("ERR_I3_NETNS_TIMEOUT", `${argv.join(" ")}: not done after ${timeoutMs} ms\n${output.stdout}${output.stderr}`));
    });
  });
}

/** As `run`, and a status other than 0 is ERR_I3_NETNS_COMMAND too. Resolves with standard output. */
export async function runOk(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.status === 0) return result.stdout;
  const why = (result.stderr || result.stdout).trim();
  const words = argv.map((word) => (word.includes("\n") ? "…" : word)); // A script of ours is no news.
  throw new NetnsError("ERR_I3_NETNS_COMMAND", `${words.join(" ")}: status ${result.status}: ${why}`);
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8");
    child[name]?.on("data", (text: string) => {
      output[name] = (output[name] + text).slice(-OUTPUT_CHARS_MAX);
    });
  }
  return output;
}
