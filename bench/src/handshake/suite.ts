/**
 * Suite `handshake`: what it takes to get an association (bench/README.md).
 *
 *     npm run bench -- handshake [--json FILE] [--only ROW,ROW] [--quick]
 */
import type { Row } from "../report.js";
import { bytesRows } from "./bytes-rows.js";
import { firstAnswerRows } from "./first-answer-rows.js";
import { floodRows } from "./flood-rows.js";
import { makePlan } from "./plan.js";
import { responderRows } from "./responder-rows.js";

export async function handshake(options: { readonly quick: boolean; readonly only: string | undefined }): Promise<readonly Row[]> {
  const plan = makePlan(options);
  return [...(await responderRows(plan)), ...(await firstAnswerRows(plan)), ...(await floodRows(plan)), ...(await bytesRows(plan))];
}
