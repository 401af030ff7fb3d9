/** What a base exchange costs who is called, beside the handshakes of others: handshakes for one second on a processor. */
import { makeRow, median, type Row } from "../report.js";
import type { Plan } from "./plan.js";
import { measureOurResponder } from "./responder-ours.js";
import { measureWireguard } from "./responder-wireguard.js";

const REQUIRED = 1_000;

export async function responderRows(plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("responder")) return [];
  const ours = await measureOurResponder(plan);
  const beside = { baselines: { required: REQUIRED, "wireguard-go": median(await measureWireguard(plan)) }, limits: { required: 1 } };
  return [
    makeRow({ name: "responder: handshakes for a processor second, newcomers", unit: "1/s", better: "higher", runs: ours.newcomers, ...beside }),
    makeRow({ name: "responder: handshakes for a processor second, known hosts", unit: "1/s", better: "higher", runs: ours.known, ...beside }),
  ];
}
