/** Messages that reach the members of a group of 100 at one id, beside mosquitto's 100 subscribers to one topic. */
import { scratchDirectory } from "../tunnel/bed.js";
import { makeRow, median, type Row } from "../report.js";
import { LOAD_CORE, LOOPBACK, pinned, SERVER_CORE, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

const MEMBERS = 100;
/** A server makes 100,000 copies a second of one source's packets, and this row is not about that. */
const PUBLISHERS = 64;
const PAYLOAD_BYTES = 128;
/** Messages: few enough that all of them wait in a socket's buffer. */
const AHEAD = 32;
const BROKER_PORT = 1_883;
const BROKER_START_MS = 10_000;
/** Copies that were to come and did not, in all runs of one. */
const LOST_LIMIT = 0.001;

export async function fanOutRows(bed: Bed, plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("fan-out")) return [];
  const { host } = bed;
  const config = await host.writeFile("mosquitto.conf", `listener ${BROKER_PORT} ${LOOPBACK}\nallow_anonymous true\npersistence false\nlog_dest stderr\nset_tcp_nodelay true\n`);
  const broker = host.spawn("taskset", ["-c", SERVER_CORE, "mosquitto", "-c", config]);
  await broker.waitForLine(/running/, BROKER_START_MS);
  const { child, port } = await bed.startServer();
  const fanOut = await bed.program("fan-out");
  const measure = async (who: "i3" | "mqtt", to: number, members: string): Promise<number> => {
    const args = [who, LOOPBACK, String(to), String(PAYLOAD_BYTES), String(plan.seconds), String(AHEAD), members];
    const [delivered = 0, seconds = 0, lost = 0] = (await pinned(host, LOAD_CORE, fanOut, args)).split(" ").map(Number);
    if (lost > LOST_LIMIT * delivered) throw new Error(`${who}: ${lost} of ${delivered} were lost`);
    return delivered / seconds;
  };
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let run = 0; run < plan.runs; run += 1) {
    const file = `${scratchDirectory()}/group`;
    await bed.load({ task: "prepare-group", port, members: MEMBERS, publishers: PUBLISHERS, file });
    ours.push(await measure("i3", port, file));
    theirs.push(await measure("mqtt", BROKER_PORT, String(MEMBERS)));
    say(`fan-out, run ${run + 1}: ${ours.at(-1)?.toFixed(0)} messages a second, mosquitto ${theirs.at(-1)?.toFixed(0)}`);
  }
  await Promise.all([child.stop(), broker.stop()]);
  return [makeRow({ name: `fan-out to ${MEMBERS} members: messages delivered`, unit: "1/s", better: "higher", runs: ours, baselines: { mosquitto: median(theirs) }, limits: { mosquitto: 1 } })];
}
