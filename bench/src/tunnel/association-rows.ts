/** What it costs that associations come from the exchange and daemons carry them: proxies beside engines that were told theirs. */
import { makeRow, median, type Row } from "../report.js";
import type { Bed, Subject } from "./bed.js";
import { openDaemons } from "./daemon-bed.js";
import { tcpRun } from "./iperf.js";
import { medianRoundTrip } from "./ping-rows.js";
import { inTurns, say, type Plan } from "./plan.js";
import { findHighestRate, OUR_MBIT, packetTime } from "./udp-rows.js";

/** No row falls by more than 3 %. */
const LEAST = 0.97;

/** One kind of measurement, of each daemon beside the engine that does the same. */
interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly better: Row["better"];
  /** Which daemons, and beside which engines. */
  readonly pairs: readonly (readonly [Subject, Subject])[];
  readonly measure: (subject: Subject) => Promise<number>;
}

export async function associationRows(bed: Bed, { rows, runs, tcpSeconds, udpSeconds, probeSeconds, pings }: Plan): Promise<readonly Row[]> {
  if (!rows.has("associations")) return [];
  const daemons = await openDaemons();
  try {
    const direct = [daemons.direct, bed.ours["encrypted-direct"]] as const;
    const relay = [daemons.relay, bed.ours["encrypted-relay"]] as const;
    const highestRate = findHighestRate(probeSeconds);
    const comparisons: readonly Comparison[] = [
      { what: "TCP, one stream", unit: "Mbit/s", better: "higher", pairs: [direct, relay], measure: async (subject) => (await tcpRun(subject, tcpSeconds)).mbitPerSecond },
      { what: "UDP, 1,200-byte datagrams, loss < 0.5 %", unit: "Mbit/s", better: "higher", pairs: [direct], measure: highestRate },
      {
        what: `CPU for a 1,200-byte packet at ${OUR_MBIT} Mbit/s, both ends`, unit: "µs", better: "lower", pairs: [direct],
        measure: async (subject) => {
          const { send, receive } = await packetTime(subject, OUR_MBIT, udpSeconds);
          return send + receive;
        },
      },
      { what: "ping, median, idle", unit: "µs", better: "lower", pairs: [direct], measure: (subject) => medianRoundTrip(subject, pings) },
    ];
    const result: Row[] = [];
    for (const comparison of comparisons) result.push(...(await compare(comparison, runs)));
    return result;
  } finally {
    await daemons.close();
  }
}

async function compare({ what, unit, better, pairs, measure }: Comparison, runs: number): Promise<readonly Row[]> {
  const measured = await inTurns(runs, pairs.flat(), async (subject, run) => {
    const value = await measure(subject);
    say(`associations, ${what}, run ${run + 1}: ${subject.name} ${value.toFixed(1)} ${unit}`);
    return value;
  });
  return pairs.map(([daemon, engine]) =>
    makeRow({
      name: `associations: ${what}: ${daemon.name}`, unit, better, runs: measured.get(daemon) ?? [],
      baselines: { [engine.name]: median(measured.get(engine) ?? []) }, limits: { [engine.name]: LEAST },
    }));
}
