/** What a trigger costs a real server, with its lease: by how much its process grows. */
import { makeRow, type Row } from "../report.js";
import { residentBytes, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

const LIMIT_BYTES = 1_024;
/** So that code, arenas and young heap have their size; these are not counted. */
const WARM_UP_SHARE = 0.02;
const UNDER_WAY = 64;
/** With 4,096 triggers each, as a server allows by default. */
const SOURCES = 500;
/** A trigger's 30 s are then 20 minutes. */
const SLOWER = 40;

export async function memoryRows(bed: Bed, { rows, triggers }: Plan): Promise<readonly Row[]> {
  if (!rows.has("memory")) return [];
  const { child, port } = await bed.startServer({ environment: { LD_PRELOAD: await bed.program("slow-clock.so"), SLOW_CLOCK: String(SLOWER) } });
  // taskset has become the server.
  const pid = child.pid ?? 0;
  const fill = async (count: number): Promise<void> => {
    const { inserted, seconds } = await bed.load({ task: "fill", port, triggers: count, underWay: UNDER_WAY, sources: SOURCES });
    if (inserted !== count) throw new Error(`${inserted} of ${count} triggers are in, and refreshed`);
    say(`memory: ${count} triggers in ${seconds.toFixed(0)} s, the server has ${(residentBytes(pid) / 1e6).toFixed(0)} MB`);
  };
  const warmUp = Math.round(triggers * WARM_UP_SHARE);
  await fill(warmUp);
  const before = residentBytes(pid);
  await fill(triggers - warmUp);
  const bytes = (residentBytes(pid) - before) / (triggers - warmUp);
  await child.stop();
  return [makeRow({ name: `memory of a trigger, of ${triggers.toLocaleString("en")}: growth of the server's process`, unit: "B", better: "lower", runs: [bytes], baselines: { limit: LIMIT_BYTES }, limits: { limit: 1 }, isRequired: true })];
}
