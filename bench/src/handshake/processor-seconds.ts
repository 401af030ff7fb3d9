/** Time on the processors of one program, to the nanosecond: handshakes are too short for the hundredths that /proc/PID/stat tells. */
import { readdirSync, readFileSync } from "node:fs";

const NS_PER_SECOND = 1e9;

/** Of all threads that live. Those that end meanwhile are missing, so it is for programs that keep theirs. */
export function processorSeconds(pid: number): number {
  const task = `/proc/${pid}/task`;
  return readdirSync(task).reduce((sum, thread) => sum + Number(readFileSync(`${task}/${thread}/schedstat`, "utf8").split(" ")[0]), 0) / NS_PER_SECOND;
}
