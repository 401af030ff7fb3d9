/**
 * Suite `server`: what a real i3-server holds out, beside bare signatures, Redis and mosquitto in the same run (bench/README.md).
 *
 *     npm run bench -- server [--json FILE] [--only ROW,ROW] [--quick]
 */
import type { Row } from "../report.js";
import { openBed } from "./bed.js";
import { fanOutRows } from "./fan-out-rows.js";
import { insertRows } from "./insert-rows.js";
import { memoryRows } from "./memory-rows.js";
import { makePlan } from "./plan.js";
import { refreshRows } from "./refresh-rows.js";

export async function server(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const plan = makePlan(options);
  const bed = await openBed();
  try {
    const rows: Row[] = [];
    for (const measure of [insertRows, refreshRows, fanOutRows, memoryRows]) rows.push(...(await measure(bed, plan)));
    return rows;
  } finally {
    await bed.close();
  }
}
