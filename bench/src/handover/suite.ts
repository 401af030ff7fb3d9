/**
 * Suite `handover`: what programs notice when hosts move, and when what carries their packets dies (bench/README.md).
 *
 *     npm run bench -- handover [--json FILE] [--only ROW,ROW] [--quick]
 */
import type { Row } from "../report.js";
import { lengthRows } from "./length-rows.js";
import { moveRows } from "./move-rows.js";
import { makePlan } from "./plan.js";

export async function handover(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const plan = makePlan(options);
  return [...(await moveRows(plan)), ...(await lengthRows(plan))];
}
