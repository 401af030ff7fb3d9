/** What a base exchange costs who is called, beside the handshakes of others: handshakes for one second on a processor. */
import { makeRow, median, type Row } from "../report.js";
import type { Plan } from "./plan.js";
import type { ThreadSeconds } from "./processor-seconds.js";
import { measureOurResponder, totalSeconds, type WarmUp } from "./responder-ours.js";
import { measureStrongswan } from "./responder-strongswan.js";
import { measureWireguard } from "./responder-wireguard.js";

const REQUIRED = 1_000;

export async function responderRows(plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("responder")) return [];
  const ours = await measureOurResponder(plan);
  const baselines = {
    required: REQUIRED,
    "wireguard-go": median(await measureWireguard(plan)),
    "strongSwan, pre-shared key": median(await measureStrongswan(plan, "pre-shared key")),
    "strongSwan, certificates": median(await measureStrongswan(plan, "certificates")),
  };
  const compared = { baselines, limits: { required: 1 } };
  const warm = (pick: (each: WarmUp) => number): number => median(ours.warmUps.map(pick));
  const warmUp = {
    "warm-up before": { seconds: warm(({ seconds }) => seconds), exchanges: warm(({ exchanges }) => exchanges) },
    "µs for an exchange of it": {
      "first fifth": warm(({ first }) => totalSeconds(first) * 1e6), "last fifth": warm(({ last }) => totalSeconds(last) * 1e6), "then at full speed": warm(({ fast }) => totalSeconds(fast) * 1e6),
    },
  };
  const row = (whose: string, costs: readonly ThreadSeconds[]): Row => ({
    ...makeRow({ name: `responder: handshakes for a processor second, ${whose}`, unit: "1/s", better: "higher", runs: costs.map((cost) => 1 / totalSeconds(cost)), ...compared }),
    beside: { "µs for an exchange": { "main thread": medianUs(costs, "main"), engine: medianUs(costs, "engine"), "other threads": medianUs(costs, "others") }, ...warmUp },
  });
  return [row("newcomers", ours.newcomers), row("known hosts", ours.known)];
}

const medianUs = (costs: readonly ThreadSeconds[], thread: keyof ThreadSeconds): number => median(costs.map((cost) => cost[thread] * 1e6));
