/** Refreshes a second, beside Redis's SET with EX over the same loopback: clients in C that ask again when they have their answer. */
import { scratchDirectory } from "../tunnel/bed.js";
import { makeRow, median, type Row } from "../report.js";
import { LOAD_CORE, LOOPBACK, pinned, SERVER_CORE, type Bed } from "./bed.js";
import { say, type Plan } from "./plan.js";

/** Hosts with a trigger each. */
const CLIENTS = 128;
/** Refreshes of each that are made before: at most what its chain has. */
const REQUESTS = { one: 400, all: 1_000 } as const;
const REDIS_PORT = 6_379;
const REDIS_START_MS = 10_000;
const REDIS_KEYS = 10_000;
/** As long as a trigger's address, counter and token together. */
const VALUE = "x".repeat(30);

type Ways = "one" | "all";

export async function refreshRows(bed: Bed, plan: Plan): Promise<readonly Row[]> {
  if (!plan.rows.has("refreshes")) return [];
  const { host } = bed;
  const redis = host.spawn("taskset", ["-c", SERVER_CORE, "redis-server", "--bind", LOOPBACK, "--port", String(REDIS_PORT), "--save", "", "--appendonly", "no", "--dir", scratchDirectory()]);
  await redis.waitForLine(/Ready to accept connections/, REDIS_START_MS);
  const { child, port } = await bed.startServer();
  const askAnswer = await bed.program("ask-answer");
  const ours = async (ways: Ways): Promise<number> => {
    const file = `${scratchDirectory()}/refreshes`;
    await bed.load({ task: "prepare-refreshes", port, sources: CLIENTS, requests: REQUESTS[ways], file });
    const [answered = 0, seconds = 0, lost = 0] = (await pinned(host, LOAD_CORE, askAnswer, [LOOPBACK, String(port), file, String(plan.seconds), ways])).split(" ").map(Number);
    if (lost > 0) say(`refreshes: ${lost} without an answer`);
    return answered / seconds;
  };
  /** For about as long as ours, since redis-benchmark is told a number and no time. */
  const theirs = async (clients: number, rate: number): Promise<number> => {
    const requests = Math.ceil(rate * plan.seconds);
    const args = ["-h", LOOPBACK, "-p", String(REDIS_PORT), "-c", String(clients), "-n", String(requests), "-r", String(REDIS_KEYS), "--csv", "SET", "key:__rand_int__", VALUE, "EX", "30"];
    const text = await pinned(host, LOAD_CORE, "redis-benchmark", args, 10 * 60_000);
    // The name of the row may hold anything: the rate is the second column.
    const measuredRate = Number(/","([0-9.]+)"/.exec(text.trim().split("\n").at(-1) ?? "")?.[1]);
    if (!(measuredRate > 0)) throw new Error(`redis-benchmark says: ${text}`);
    return measuredRate;
  };
  await ours("all");
  const measured = { one: [], all: [], redis: [], redisAll: [] } as { readonly one: number[]; readonly all: number[]; readonly redis: number[]; readonly redisAll: number[] };
  for (let run = 0; run < plan.runs; run += 1) {
    measured.one.push(await ours("one"));
    measured.redis.push(await theirs(1, measured.one.at(-1) ?? 0));
    measured.all.push(await ours("all"));
    measured.redisAll.push(await theirs(CLIENTS, measured.all.at(-1) ?? 0));
    say(`refreshes, run ${run + 1}: one client ${measured.one.at(-1)?.toFixed(0)}, Redis ${measured.redis.at(-1)?.toFixed(0)}; ${CLIENTS} clients ${measured.all.at(-1)?.toFixed(0)}, Redis ${measured.redisAll.at(-1)?.toFixed(0)}`);
  }
  await Promise.all([child.stop(), redis.stop()]);
  const one = { "Redis SET EX, one client": median(measured.redis) };
  return [
    makeRow({ name: "refreshes, one under way", unit: "1/s", better: "higher", runs: measured.one, baselines: one, limits: { "Redis SET EX, one client": 1 }, isRequired: true }),
    makeRow({ name: `refreshes, ${CLIENTS} clients, one under way each`, unit: "1/s", better: "higher", runs: measured.all, baselines: { ...one, [`Redis SET EX, ${CLIENTS} clients`]: median(measured.redisAll) } }),
  ];
}
