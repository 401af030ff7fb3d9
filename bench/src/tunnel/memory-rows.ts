/** What a flow and a trigger cost in memory (engine-memory.ts). */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { makeRow, median, type Row } from "../report.js";
import type { EntryBytes, MemoryEntry } from "./engine-memory.js";
import { inTurns, say, type Plan } from "./plan.js";

const PROGRAM = fileURLToPath(new URL("engine-memory.js", import.meta.url));
const FLOW_LIMIT_BYTES = 512;
const TRIGGER_LIMIT_BYTES = 256;
const REPLAY_WINDOW_BYTES = 1_024;

/** A row is the sum of what one of its kind needs. */
const NEEDS = [
  { name: "memory of a plain flow, with the id under which answers come", entries: ["tunnel flow", "inbound id"], limit: FLOW_LIMIT_BYTES },
  { name: "memory of an encrypted flow", entries: ["esp flow"], limit: FLOW_LIMIT_BYTES },
  // No limit was set: the replay window of 8,192 alone is 1,024 bytes, the rest is OpenSSL's key schedules and contexts.
  { name: "memory of a pair of associations", entries: ["outbound association", "inbound association"], limit: null },
  { name: "memory of a trigger", entries: ["trigger"], limit: TRIGGER_LIMIT_BYTES },
] as const satisfies readonly { readonly name: string; readonly entries: readonly MemoryEntry[]; readonly limit: number | null }[];

export async function memoryRows({ rows, runs }: Plan): Promise<readonly Row[]> {
  if (!rows.has("memory")) return [];
  const entries: readonly MemoryEntry[] = NEEDS.flatMap((need): readonly MemoryEntry[] => need.entries);
  const measured = await inTurns(runs, entries, async (entry, run) => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", PROGRAM, entry]);
    const bytes = JSON.parse(stdout) as EntryBytes;
    say(`memory, run ${run + 1}: ${entry} ${bytes.process.toFixed(0)} B (the engine counts ${bytes.tables.toFixed(0)})`);
    return bytes;
  });
  return NEEDS.map((need) => {
    const parts: readonly MemoryEntry[] = need.entries;
    const sum = (run: number): number => parts.reduce((total, entry) => total + (measured.get(entry)?.[run]?.process ?? NaN), 0);
    const each = (what: keyof EntryBytes): Record<string, number> =>
      Object.fromEntries(parts.map((entry) => [entry, median((measured.get(entry) ?? []).map((bytes) => bytes[what]))]));
    return makeRow({
      name: need.name, unit: "B", better: "lower", runs: Array.from({ length: runs }, (_, run) => sum(run)),
      ...(need.limit === null ? { baselines: { "the replay window alone": REPLAY_WINDOW_BYTES } } : { baselines: { limit: need.limit }, limits: { limit: 1 } }),
      beside: { B: each("process"), "B, as the engine counts": each("tables") },
    });
  });
}
