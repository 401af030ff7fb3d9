/** Time on the processors, of programs and of the whole machine. */
import { readFileSync } from "node:fs";

import type { Subject } from "./bed.js";

/** Linux tells user programs in hundredths of a second, whatever the kernel's own clock (USER_HZ). */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/PID/stat, counted from the one behind the program's name. */
const STAT_UTIME = 11;
const STAT_STIME = 12;
/** Fields of the first line of /proc/stat behind "cpu": user nice system idle iowait irq softirq steal. */
const IDLE_FIELDS = new Set([3, 4, 7]);
const SYSTEM_FIELDS = 8;

/** Seconds. */
export interface ProcessorTime {
  readonly a: number;
  readonly b: number;
  /** `a`, `b` and what is between them. */
  readonly all: number;
  /** Everything that ran on the machine: generators, kernel and strangers too. */
  readonly system: number;
}

/** Of all threads of a process, ended ones too. */
function ofProcess(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
  return (Number(fields[STAT_UTIME]) + Number(fields[STAT_STIME])) / TICKS_PER_SECOND;
}

function ofSystem(): number {
  const [, ...fields] = (readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "").split(/ +/).map(Number);
  return fields.slice(0, SYSTEM_FIELDS).reduce((sum, value, i) => (IDLE_FIELDS.has(i) ? sum : sum + value), 0) / TICKS_PER_SECOND;
}

/** Used so far. */
function processorTime({ pids }: Subject): ProcessorTime {
  const a = ofProcess(pids.a);
  const b = ofProcess(pids.b);
  return { a, b, all: pids.between.reduce((sum, pid) => sum + ofProcess(pid), a + b), system: ofSystem() };
}

/** Runs `work`, and says what the subject's programs and the machine used meanwhile. */
export async function withProcessorTime<T>(subject: Subject, work: () => Promise<T>): Promise<{ readonly result: T; readonly used: ProcessorTime }> {
  const before = processorTime(subject);
  const result = await work();
  const after = processorTime(subject);
  return { result, used: { a: after.a - before.a, b: after.b - before.b, all: after.all - before.all, system: after.system - before.system } };
}
