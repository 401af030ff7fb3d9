/** Time on the processors of one program, to the nanosecond: handshakes are too short for the hundredths that /proc/PID/stat tells. */
import { readdirSync, readFileSync } from "node:fs";

const NS_PER_SECOND = 1e9;
/** The name that the packet engine gives its workers. */
const ENGINE_THREAD = "i3-engine\n";

export interface ThreadSeconds {
  readonly main: number;
  /** Of the packet engine's workers; 0 of other programs. */
  readonly engine: number;
  /** V8 collects and compiles in others, and libuv reads and writes files. */
  readonly others: number;
}

/** By thread. Those that end meanwhile are missing, so it is for programs that keep theirs. */
export function threadSeconds(pid: number): ThreadSeconds {
  const task = `/proc/${pid}/task`;
  const sums = { main: 0, engine: 0, others: 0 };
  for (const thread of readdirSync(task)) {
    const whose = Number(thread) === pid ? "main" : readFileSync(`${task}/${thread}/comm`, "utf8") === ENGINE_THREAD ? "engine" : "others";
    sums[whose] += Number(readFileSync(`${task}/${thread}/schedstat`, "utf8").split(" ")[0]) / NS_PER_SECOND;
  }
  return sums;
}

/** Of all threads that live. */
export function processorSeconds(pid: number): number {
  const { main, engine, others } = threadSeconds(pid);
  return main + engine + others;
}
