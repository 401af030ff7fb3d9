/** Private ids at near servers (paper §4.2), on emulated links: one server is near the laptop, the others are not. */
import { readFile, rm } from "node:fs/promises";

import { fromHex, toHex } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";
import { afterAll, beforeAll, expect, it } from "vitest";

import { eventually, pairBed, pings, type PairBed } from "./pair-bed.js";

const RULES = '<rules><rule name=".*\\.i3" go="i3" security="none" private-id="own"/></rules>';
/** What the proxy keeps ready. */
const KEYS = 4;
const FAR_MS = 40;
let bed: PairBed;
let near = "";

/** Which of the servers has the largest part of the ring, a third or more: 12 draws hardly ever miss it. */
async function largestPart(): Promise<number> {
  const nodes = await Promise.all(bed.ring.map(async ({ child }) => Number.parseInt((await child?.waitForLine(/ node=([0-9a-f]{8})/))?.[1] ?? "", 16)));
  const partOf = (node: number): number => Math.min(...nodes.filter((other) => other !== node).map((other) => (node - other + 2 ** 32) % 2 ** 32));
  const parts = nodes.map(partOf);
  return parts.indexOf(Math.max(...parts));
}

beforeAll(async () => {
  bed = await pairBed({ seed: 7, wan: { s1: {}, s2: {}, s3: {} }, laptopOptions: { rules: RULES }, homeOptions: { rules: RULES }, start: false });
  const nearest = await largestPart();
  near = `${bed.servers[nearest]?.address4}:5610`;
  for (const n of [0, 1, 2]) if (n !== nearest) await bed.links.get(`s${n + 1}`)?.set({ delayMs: FAR_MS });
  await Promise.all([bed.laptopProxy.start(), bed.homeProxy.start()]);
}, 120_000);
afterAll(async () => await bed.close());

interface Event {
  readonly event: string;
  readonly server?: string;
  /** The first 8 bytes. */
  readonly id?: string;
}

const eventsOf = (event: string): Event[] =>
  (bed.laptopProxy.child?.lines ?? []).flatMap(({ text }) => (text.startsWith("{") ? [JSON.parse(text) as Event] : [])).filter((line) => line.event === event);

it("the id that a peer gets is at the near server", async () => {
  const ready = await eventually("keys are ready", 30_000, () => Promise.resolve(eventsOf("near-key").length >= KEYS ? eventsOf("near-key") : undefined));
  expect(ready.slice(0, KEYS).map(({ server }) => server)).toEqual(Array.from({ length: KEYS }, () => near));
  const before = eventsOf("trigger-live").length;
  await eventually("home answers", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined));
  const drawn = await eventually("its trigger is live", 10_000, () => Promise.resolve(eventsOf("trigger-live")[before]));
  expect(drawn.server).toBe(near);
});

it("by default peers share a key, and the id that one gets is at the near server too", async () => {
  const journal = `${bed.laptop.directory}/state/mappings.journal`;
  await bed.laptopProxy.kill();
  await rm(journal);
  await bed.laptopProxy.writeConfig({ rules: RULES.replace(' private-id="own"', "") });
  await bed.laptopProxy.start();
  /** The first half of the prefix of ids that peers get now. */
  const prefix = async (): Promise<string> => {
    const { shared, nearer } = JSON.parse((await readFile(journal, "utf8")).split("\n")[0] ?? "") as { shared: string; nearer: readonly string[] };
    return toHex(triggerKeyFromSeed(fromHex(nearer.at(-1) ?? shared)).prefix).slice(0, 16);
  };
  const isNear = async (): Promise<true | undefined> => {
    const wanted = await prefix();
    return eventsOf("trigger-live").some(({ id, server }) => id === wanted && server === near) ? true : undefined;
  };
  expect(await eventually("the shared prefix is at the near server", 30_000, isNear)).toBe(true);
  await eventually("home answers", 20_000, async () => ((await pings(bed.laptop, "home.i3")) ? true : undefined));
  expect(await readFile(journal, "utf8")).toContain(`"ownPrivateId":"${await prefix()}`);
}, 90_000);
