/** Signed inserts a second, beside what bare verification of their signatures allows on the same core. */
import { fileURLToPath } from "node:url";

import { threadSeconds, type ThreadSeconds } from "../handshake/processor-seconds.js";
import { makeRow, median, type Row } from "../report.js";
import { pinned, SERVER_CORE, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

const BARE_PROGRAM = fileURLToPath(new URL("bare-verify.js", import.meta.url));
const LIMIT = 0.5;
const KEYS = 5_000;
/** Enough that the server is never without work. */
const UNDER_WAY = 64;
const SOURCES = 250;

export async function insertRows(bed: Bed, { rows, runs, seconds, warmUpSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("inserts")) return [];
  const { child, port } = await bed.startServer();
  /** Processor time of an insert, µs; that of a machine with much else to do still means something. */
  const costs: ThreadSeconds[] = [];
  const insert = async (duration: number): Promise<number> => {
    const before = threadSeconds(child.pid ?? 0);
    const { inserted, seconds: took, lost } = await bed.load({ task: "insert", port, seconds: duration, keys: KEYS, underWay: UNDER_WAY, sources: SOURCES });
    if (lost > 0) say(`inserts: ${lost} of ${inserted} begun again`);
    const after = threadSeconds(child.pid ?? 0);
    const cost = (thread: keyof ThreadSeconds): number => (1e6 * (after[thread] - before[thread])) / inserted;
    costs.push({ main: cost("main"), engine: cost("engine"), others: cost("others") });
    return inserted / took;
  };
  await insert(warmUpSeconds);
  costs.length = 0;
  const [ours, bare]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run += 1) {
    bare.push(Number(await pinned(bed.host, SERVER_CORE, process.execPath, [BARE_PROGRAM, String(seconds)])));
    ours.push(await insert(seconds));
    say(`inserts, run ${run + 1}: ${ours.at(-1)?.toFixed(0)} a second, bare verification ${bare.at(-1)?.toFixed(0)}`);
  }
  await child.stop();
  const baseline = "bare Ed25519 verification";
  const us = (thread: keyof ThreadSeconds): number => median(costs.map((cost) => cost[thread]));
  return [makeRow({
    name: "signed inserts, challenge answered", unit: "1/s", better: "higher", runs: ours, baselines: { [baseline]: median(bare) }, limits: { [baseline]: LIMIT }, isRequired: true,
    beside: { "µs of processor for an insert": { "main thread": us("main"), engine: us("engine"), "other threads": us("others") } },
  })];
}
