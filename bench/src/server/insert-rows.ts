/** Signed inserts a second, beside what bare verification of their signatures allows on the same core. */
import { fileURLToPath } from "node:url";

import { makeRow, median, type Row } from "../report.js";
import { pinned, SERVER_CORE, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

const BARE_PROGRAM = fileURLToPath(new URL("bare-verify.js", import.meta.url));
const LIMIT = 0.5;
const KEYS = 10_000;
/** Enough that the server is never without work. */
const UNDER_WAY = 64;
const SOURCES = 250;

export async function insertRows(bed: Bed, { rows, runs, seconds, warmUpSeconds }: Plan): Promise<readonly Row[]> {
  if (!rows.has("inserts")) return [];
  const { child, port } = await bed.startServer();
  const insert = async (duration: number): Promise<number> => {
    const { inserted, seconds: took, lost } = await bed.load({ task: "insert", port, seconds: duration, keys: KEYS, underWay: UNDER_WAY, sources: SOURCES });
    if (lost > 0) say(`inserts: ${lost} of ${inserted} begun again`);
    return inserted / took;
  };
  await insert(warmUpSeconds);
  const [ours, bare]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run += 1) {
    bare.push(Number(await pinned(bed.host, SERVER_CORE, process.execPath, [BARE_PROGRAM, String(seconds)])));
    ours.push(await insert(seconds));
    say(`inserts, run ${run + 1}: ${ours.at(-1)?.toFixed(0)} a second, bare verification ${bare.at(-1)?.toFixed(0)}`);
  }
  await child.stop();
  const baseline = "bare Ed25519 verification";
  return [makeRow({ name: "signed inserts, challenge answered", unit: "1/s", better: "higher", runs: ours, baselines: { [baseline]: median(bare) }, limits: { [baseline]: LIMIT } })];
}
