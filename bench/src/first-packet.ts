/**
 * The plain set-up adds no round trip (paper §4.3): the first answer of a fresh mapping beside the answers after it, on paths of
 * 20 ms each way between each NAT and the servers.
 */
import { Laptop, startRing } from "@i3/demo";
import { standardTopology, type Child } from "@i3/netns";

import { makeRow, median, type Row } from "./report.js";

const ROUNDS = 5;
const ONE_WAY_MS = 20;
const PINGS_AFTER = 10;

/** Throws unless the daemon says at its start that the native engine runs. */
function requireNative(name: string, child: Child | null): void {
  if (child?.lines.some(({ text }) => /READY .*engine=native/.test(text)) !== true) throw new Error(`${name} does not run the native engine`);
}

/** Times of `ping -c N` in ms, in order. */
async function pingTimes(laptop: Laptop, count: number): Promise<readonly number[]> {
  const { stdout } = await laptop.host.exec("ping", ["-4", "-n", "-c", String(count), "-i", "0.2", "-W", "5", "home.i3"]);
  return [...stdout.matchAll(/time=([0-9.]+) ms/g)].map(([, ms]) => Number(ms));
}

export async function firstPacket(): Promise<readonly Row[]> {
  const delayed = { delayMs: ONE_WAY_MS };
  const bed = await standardTopology({ wan: { nat1: delayed, nat2: delayed } });
  try {
    for (const server of await startRing(bed.servers)) requireNative("a server", server.child);
    const serverAddresses = bed.servers.map((server) => server.address4);
    const home = await Laptop.make(bed.home, { serverAddresses });
    const laptop = await Laptop.make(bed.laptop, { serverAddresses });
    for (const each of [laptop, home]) await each.writeBook({ "laptop.i3": laptop, "home.i3": home });
    await home.start();
    requireNative("home", home.child);
    const first: number[] = [];
    const after: number[] = [];
    for (let i = 0; i < ROUNDS; i += 1) {
      // The laptop comes with new private ids; whoever answers it must set up anew.
      await bed.laptop.exec("rm", ["-rf", `${bed.laptop.directory}/state`]);
      await laptop.start();
      const [firstMs = NaN] = await pingTimes(laptop, 1);
      first.push(firstMs);
      after.push(median(await pingTimes(laptop, PINGS_AFTER)));
      await laptop.child?.stop();
    }
    if (first.some(Number.isNaN)) throw new Error(`a first ping was not answered: ${first.join(", ")} ms`);
    return [makeRow({ name: "first answer of a fresh mapping, relayed, 2 × 20 ms paths", unit: "ms", better: "lower", runs: first, baselines: { "later answers": median(after) } })];
  } finally {
    await bed.topology.close();
  }
}
