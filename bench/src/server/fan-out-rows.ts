/** Messages that reach the members of a group of 100 at one id, beside mosquitto's 100 subscribers to one topic. */
import { scratchDirectory } from "../tunnel/bed.js";
import { makeRow, median, type Row } from "../report.js";
import { LOAD_CORE, LOOPBACK, pinned, SERVER_CORE, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

const MEMBERS = 100;
/** A server makes 200,000 copies a second of one source's packets (LIMITS of @i3/datapath): what one publisher has at most, and many together may exceed. */
const PUBLISHERS = { many: 64, one: 1 } as const;
const PAYLOAD_BYTES = 128;
/** Messages: few enough that all of them wait in a socket's buffer. */
const AHEAD = 32;
const BROKER_PORT = 1_883;
const BROKER_START_MS = 10_000;
/** Share of the copies that were to come and did not. */
const LOST_LIMIT = 0.001;

interface Measured {
  /** Messages that members got, 1/s. */
  readonly rate: number;
  /** Share of those that were to come and did not. */
  readonly lost: number;
}

export async function fanOutRows(bed: Bed, plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("fan-out")) return [];
  const { host } = bed;
  const config = await host.writeFile("mosquitto.conf", `listener ${BROKER_PORT} ${LOOPBACK}\nallow_anonymous true\npersistence false\nlog_dest stderr\nset_tcp_nodelay true\n`);
  const broker = host.spawn("taskset", ["-c", SERVER_CORE, "mosquitto", "-c", config]);
  await broker.waitForLine(/running/, BROKER_START_MS);
  const { child, port } = await bed.startServer();
  const fanOut = await bed.program("fan-out");
  const measure = async (who: "i3" | "mqtt", to: number, members: string): Promise<Measured> => {
    const args = [who, LOOPBACK, String(to), String(PAYLOAD_BYTES), String(plan.seconds), String(AHEAD), members];
    const [delivered = 0, seconds = 0, lost = 0] = (await pinned(host, LOAD_CORE, fanOut, args)).split(" ").map(Number);
    return { rate: delivered / seconds, lost: lost / (delivered + lost) };
  };
  const whole = ({ rate, lost }: Measured): number => {
    if (lost > LOST_LIMIT) throw new Error(`${(100 * lost).toFixed(1)} % were lost`);
    return rate;
  };
  const publish = async (publishers: number): Promise<Measured> => {
    const file = `${scratchDirectory()}/group-${publishers}`;
    await bed.load({ task: "prepare-group", port, members: MEMBERS, publishers, file });
    return measure("i3", port, file);
  };
  const [many, one, theirs]: [number[], Measured[], number[]] = [[], [], []];
  for (let run = 0; run < plan.runs; run += 1) {
    many.push(whole(await publish(PUBLISHERS.many)));
    theirs.push(whole(await measure("mqtt", BROKER_PORT, String(MEMBERS))));
    one.push(await publish(PUBLISHERS.one));
    say(`fan-out, run ${run + 1}: ${many.at(-1)?.toFixed(0)} messages a second, of one publisher ${one.at(-1)?.rate.toFixed(0)}, mosquitto ${theirs.at(-1)?.toFixed(0)}`);
  }
  await Promise.all([child.stop(), broker.stop()]);
  const row = { unit: "1/s", better: "higher", baselines: { mosquitto: median(theirs) } } as const;
  return [
    makeRow({ ...row, name: `fan-out to ${MEMBERS} members: messages delivered`, runs: many, limits: { mosquitto: 1 }, isRequired: true }),
    makeRow({
      ...row, name: "fan-out, one publisher: messages delivered", runs: one.map(({ rate }) => rate), limits: { mosquitto: 1 }, isRequired: true,
      beside: { "%, sent beyond what a source may have": { ours: 100 * median(one.map(({ lost }) => lost)) } },
    }),
  ];
}
