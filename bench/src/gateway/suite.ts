/**
 * Suite `gateway`: what passes i3-to-ip and ip-to-i3, beside the tunnel alone, an exit of wireguard-go and haproxy, and what one client costs others (bench/README.md).
 *
 *     npm run bench -- gateway [--json FILE] [--only ROW,ROW] [--quick]
 */
import type { Row } from "../report.js";
import { openExitBed } from "./exit-bed.js";
import { crowdRows } from "./crowd-rows.js";
import { connectionRow, roundTripRow, throughputRows } from "./exit-rows.js";
import { makePlan, type Plan } from "./plan.js";
import { sniRows } from "./sni-rows.js";

export async function gateway(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const plan = makePlan(options);
  return [...(await exitRows(plan)), ...(await sniRows(plan)), ...(await crowdRows(plan))];
}

async function exitRows(plan: Plan): Promise<readonly Row[]> {
  if (!(["throughput", "round-trip", "connections"] as const).some((row) => plan.rows.has(row))) return [];
  const bed = await openExitBed();
  try {
    const made: Row[] = [];
    if (plan.rows.has("throughput")) made.push(...(await throughputRows(bed, plan)));
    if (plan.rows.has("round-trip")) made.push(await roundTripRow(bed, plan));
    if (plan.rows.has("connections")) made.push(await connectionRow(bed, plan));
    return made;
  } finally {
    await bed.close();
  }
}
