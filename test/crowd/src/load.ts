/** What clients ask of a server, and how that went: each fetches a page once in a while, whatever the others do. */
import { connect } from "node:net";

export interface LoadOptions {
  readonly seconds: number;
  /** Between two requests of a client, ms. */
  readonly everyMs: number;
  /** A page that takes longer is of no use. */
  readonly limitMs: number;
}

export interface LoadResult {
  readonly asked: number;
  /** Whole and in time. */
  readonly answered: number;
  /** Why not, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Clients that were answered at least once. */
  readonly clients: number;
  /** Of those answered, ms. */
  readonly medianMs: number;
  readonly p99Ms: number;
}

/** Clients begin evenly spread, and keep their times: one that waits for an answer does not ask less. @param targets of each client, an address */
export async function load(targets: readonly string[], { seconds, everyMs, limitMs }: LoadOptions): Promise<LoadResult> {
  const failures: Record<string, number> = {};
  const times: number[] = [];
  const served = new Set<number>();
  const running = new Set<Promise<void>>();
  const startMs = performance.now();
  const rounds = Math.floor((seconds * 1_000) / everyMs);
  for (let i = 0; i < rounds * targets.length; i += 1) {
    const client = i % targets.length;
    await untilMs(startMs + (i * everyMs) / targets.length);
    const one = fetchPage(targets[client] as string, limitMs).then((outcome) => {
      if (typeof outcome === "string") failures[outcome] = (failures[outcome] ?? 0) + 1;
      else {
        times.push(outcome);
        served.add(client);
      }
      running.delete(one);
    });
    running.add(one);
  }
  await Promise.all(running);
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Infinity;
  return { asked: rounds * targets.length, answered: times.length, failures, clients: served.size, medianMs: at(0.5), p99Ms: at(0.99) };
}

/** Milliseconds, or why it failed. */
export function fetchPage(address: string, limitMs: number): Promise<number | string> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const socket = connect({ host: address, port: 80 });
    let text = "";
    const settle = (outcome: number | string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => settle("late"), limitMs);
    socket.on("connect", () => socket.write(`GET / HTTP/1.0\r\nHost: ${address}\r\n\r\n`));
    socket.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")));
    socket.on("error", (error: NodeJS.ErrnoException) => settle(error.code ?? "error"));
    socket.on("end", () => settle(/^HTTP\/1\.[01] 200 /.test(text) ? performance.now() - startMs : "answer"));
  });
}

const untilMs = async (timeMs: number): Promise<void> => {
  const leftMs = timeMs - performance.now();
  if (leftMs > 1) await new Promise((resolve) => setTimeout(resolve, leftMs));
};
