/**
 * What it costs that associations come from the exchange and daemons carry them: proxies beside engines that were told theirs. A proxy has nftables rules, because
 * of which the kernel tracks connections as it does on any machine with a firewall; so have the engines here, and another row says what those rules cost.
 */
import type { Host } from "@i3/netns";

import { makeRow, median, type Row } from "../report.js";
import { succeed, type Bed, type Subject } from "./bed.js";
import { openDaemons } from "./daemon-bed.js";
import { tcpRun } from "./iperf.js";
import { TUN_NAME } from "./modes.js";
import { medianRoundTrip } from "./ping-rows.js";
import { inTurns, say, type Plan } from "./plan.js";
import { findHighestRate, OUR_MBIT, packetTime } from "./udp-rows.js";

/** No row falls by more than 3 %. */
const LEAST = 0.97;
/** Of a proxy whose configuration names none. */
const PROXY_TUN = "i3";

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
    const auth = [daemons.auth, bed.ours["auth-direct"]] as const;
    const tcp = async (subject: Subject): Promise<number> => (await tcpRun(subject, tcpSeconds)).mbitPerSecond;
    const highestRate = findHighestRate(probeSeconds);
    const comparisons: readonly Comparison[] = [
      { what: "TCP, one stream", unit: "Mbit/s", better: "higher", pairs: [direct, relay, auth], measure: tcp },
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
    const withRules = async <T>(work: () => Promise<T>): Promise<T> => {
      for (const side of ["a", "b"] as const) await giveRules(daemons.direct[side], direct[1][side]);
      return work().finally(async () => {
        for (const side of ["a", "b"] as const) await succeed(direct[1][side], "nft", ["flush", "ruleset"]);
      });
    };
    await withRules(async () => {
      for (const comparison of comparisons) result.push(...(await compare(comparison, runs)));
    });
    return [...result, await priceOfRules(direct[1], runs, tcp, withRules)];
  } finally {
    await daemons.close();
  }
}

/** The rules of a proxy's machine, for another TUN, and without an owner: with one they would go as soon as nft has ended. */
async function giveRules(from: Host, to: Host): Promise<void> {
  const rules = await succeed(from, "nft", ["list", "ruleset"]);
  await succeed(to, "nft", [rules.replaceAll(/^\s*flags owner$/gm, "").replaceAll(`"${PROXY_TUN}"`, `"${TUN_NAME}"`)]);
  const tracks = (await succeed(to, "nft", ["list", "ruleset"])).includes("ct state");
  if (!tracks) throw new Error(`${to.name} did not get the rules of ${from.name}`);
}

/** The same engines, with the rules and without, in turns. */
async function priceOfRules(engine: Subject, runs: number, tcp: (subject: Subject) => Promise<number>, withRules: <T>(work: () => Promise<T>) => Promise<T>): Promise<Row> {
  const measured = await inTurns(runs, [true, false], async (hasRules, run) => {
    const value = await (hasRules ? withRules(() => tcp(engine)) : tcp(engine));
    say(`associations, TCP, engines ${hasRules ? "with" : "without"} a proxy's rules, run ${run + 1}: ${value.toFixed(1)} Mbit/s`);
    return value;
  });
  return makeRow({
    name: "associations: TCP, one stream: engines with a proxy's nftables rules", unit: "Mbit/s", better: "higher", runs: measured.get(true) ?? [],
    baselines: { "the same without": median(measured.get(false) ?? []) }, limits: {},
  });
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
