/**
 * The ways to send of the i3 paper (§2), and what a client remembers of them (§2.2), with real clients of three real daemons: a multicast tree, loops and bombs, and the
 * cache that NOT_PRESENT empties. That the cache is renewed after 20 s and ends after 30 is shown in virtual time (i3-client, sender-paths.test.ts).
 */
import { once } from "node:events";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { COPY_BUDGET, HOP_LIMIT } from "@i3/datapath";
import { generateTriggerKey, signStep, triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";
import { newGroup, type Group, type I3Connection, type Trigger } from "@i3/i3-client";

import { UdpClient, until } from "./daemon-process.js";
import { DaemonRing, type Keeper, type Totals } from "./daemon-ring.js";

const TOMORROW = new Date(Date.now() + 86_400_000);
const END_S = Math.floor(TOMORROW.getTime() / 1_000);
/** Longer than what servers answer to a packet, which is never longer than it. */
const PADDING = ".".repeat(200);

let ring: DaemonRing;
beforeAll(async () => void (ring = await DaemonRing.start()), 60_000);
afterEach(async () => await ring?.closeHosts());
afterAll(async () => await ring?.close());

/** What arrives from now on, without its padding. */
function heardBy(trigger: Trigger): readonly string[] {
  const heard: string[] = [];
  trigger.on("message", ({ payload }) => heard.push(Buffer.from(payload).toString().replace(PADDING, "")));
  return heard;
}

const groupAt = (server: number): Group => ring.drawnAt(server, newGroup, ({ id }) => id);
const keyAt = (server: number): TriggerKey => ring.drawnAt(server, generateTriggerKey, ({ prefix }) => Uint8Array.from([...prefix, ...new Uint8Array(16)]));
const programAt = (server: number): Promise<I3Connection> => ring.connect({ key: triggerKeySeed(keyAt(server)) });

/** A trigger from one group's id to another's, with the consent of both. */
async function lead(keeper: Keeper, from: Group, to: Group): Promise<void> {
  const key = generateTriggerKey();
  const step = signStep({ kind: "group", key: triggerKeyFromSeed(to.secret()) }, from.id, to.id, END_S);
  await keeper.insertStack(from.id, { kind: "member", certificate: from.admit(key.publicKey, TOMORROW), key }, [step]);
}

describe("a multicast tree", () => {
  const LEVELS = 3;
  const MEMBERS = 20;
  const MESSAGES = 20;

  /** Both branches of each id are at the other two servers. */
  async function grow(root: Group, left: Keeper, right: Keeper): Promise<readonly Group[]> {
    let level: readonly Group[] = [root];
    for (let depth = 0; depth < LEVELS; depth += 1) {
      level = (await Promise.all(level.map(async (parent) => await Promise.all([left, right].map(async (keeper, side) => {
        const child = groupAt((ring.ownerOf(parent.id) + 1 + side) % 3);
        await lead(keeper, parent, child);
        return child;
      }))))).flat();
    }
    return level;
  }

  it(`of ${LEVELS} levels of triggers from ids to ids, at three servers, brings each of ${MEMBERS} members each message once`, async () => {
    const root = groupAt(0);
    const replicas = await ring.replicasInserted();
    const leaves = await grow(root, await ring.keeper(), await ring.keeper());
    expect(leaves).toHaveLength(2 ** LEVELS);
    expect(new Set(leaves.map(({ id }) => ring.ownerOf(id))).size).toBe(3);
    const heard = await Promise.all(Array.from({ length: MEMBERS }, async (_, i) => heardBy(await (await ring.connect()).join(leaves[i % leaves.length] as Group))));
    // For 8 s after another has joined a server delivers by its replicas what it would else send on (HANDOVER_MS), and those come just behind the triggers.
    await until(async () => (await ring.replicasInserted()) - replicas >= 2 ** (LEVELS + 1) - 2 + MEMBERS, 5_000);
    const sender = await ring.connect();
    const messages = Array.from({ length: MESSAGES }, (_, i) => `message ${i}`);
    for (const message of messages) {
      sender.send(root.id, message);
      await until(() => heard.every((texts) => texts.includes(message)), 5_000, () => `${message} came to ${heard.filter((texts) => texts.includes(message)).length} of ${MEMBERS}`);
    }
    // A second copy of any would have come before this, by the same way.
    sender.send(root.id, "the last");
    await until(() => heard.every((texts) => texts.includes("the last")), 5_000);
    for (const texts of heard) expect(texts).toEqual([...messages, "the last"]);
  }, 40_000);
});

describe("against a bomber", () => {
  /** Two others, whose packets go one by one, the next when the last has come. */
  async function bystanders(): Promise<(beside: () => void) => Promise<number>> {
    const [home, friend] = [await ring.connect(), await ring.connect()];
    const inbox = await home.insert();
    const heard = heardBy(inbox);
    let number = 0;
    /** Of 40 packets, those that did not arrive. */
    return async (beside) => {
      let lost = 0;
      for (let i = 0; i < 40; i += 1) {
        const text = `packet ${(number += 1)}`;
        beside();
        friend.send(inbox.id, text);
        await until(() => heard.includes(text), 2_000).catch(() => (lost += 1));
      }
      return lost;
    };
  }

  /** When nothing of an attack is on its way any more: each packet and each copy ends at a server or at a member. */
  async function ended(): Promise<Totals> {
    let last = await ring.totals();
    await until(async () => {
      const now = await ring.totals();
      const isQuiet = now.hopLimit === last.hopLimit && now.copyBudget === last.copyBudget && now.udpOut - last.udpOut < HOP_LIMIT * 10;
      last = now;
      return isQuiet;
    }, 10_000, () => `it goes on: ${JSON.stringify(last)}`);
    return last;
  }

  it("a loop of ids at three servers ends by the hop limit, for each packet, and others do not notice", async () => {
    const owners = await Promise.all([0, 1, 2].map(programAt));
    const ids = owners.map((owner) => owner.id("loop"));
    expect(ids.map((id) => ring.ownerOf(id))).toEqual([0, 1, 2]);
    await Promise.all(owners.map(async (owner, i) => {
      const next = (i + 1) % 3;
      await owner.insert(ids[i], { to: [(owners[next] as I3Connection).consent(ids[next] as Uint8Array, ids[i] as Uint8Array, TOMORROW)] });
    }));
    const sender = await ring.connect();
    const others = await bystanders();
    const around = (count: number): void => {
      for (let i = 0; i < count; i += 1) sender.send(ids[0] as Uint8Array, "round");
    };
    // Fewer at once than wait for one route (LIMITS.queuedPacketsPerRoute).
    const [ROUNDS, EACH] = [40, 25];
    const before = await ended();
    for (let round = 1; round <= ROUNDS; round += 1) {
      around(EACH);
      await until(async () => (await ring.totals()).hopLimit === before.hopLimit + round * EACH, 5_000, () => `of ${round * EACH} packets not all ended by the hop limit`);
    }
    const after = await ended();
    const sent = after.udpOut - before.udpOut;
    process.stdout.write(`    loop over three servers: ${sent} datagrams of the servers for ${ROUNDS * EACH} packets, control included, ${after.hopLimit - before.hopLimit} ended by the hop limit\n`);
    expect(after.hopLimit - before.hopLimit).toBe(ROUNDS * EACH);
    // The first server gets it with 16, and the sixteenth ends it.
    expect(sent).toBeGreaterThanOrEqual(ROUNDS * EACH * (HOP_LIMIT - 1));
    expect(sent).toBeLessThan(ROUNDS * EACH * HOP_LIMIT);
    expect(await others(() => around(EACH))).toBe(0);
  }, 60_000);

  it("ids that lead to two ids each, in a circle, make no more of a packet than its copy budget, and others do not notice", async () => {
    const groups = [0, 1, 2].map(groupAt);
    const keepers = [await ring.keeper(), await ring.keeper()];
    await Promise.all(groups.flatMap((group, i) => keepers.map(async (keeper, side) => await lead(keeper, group, groups[(i + 1 + side) % 3] as Group))));
    const heard = await Promise.all(groups.map(async (group) => heardBy(await (await ring.connect()).join(group))));
    const delivered = (): number => heard.reduce((sum, { length }) => sum + length, 0);
    const sender = await ring.connect();
    const others = await bystanders();
    const before = await ended();
    const BOMBS = 10;
    for (let i = 0; i < BOMBS; i += 1) {
      sender.send((groups[0] as Group).id, "boom");
      await ended();
    }
    await until(() => heard.every(({ length }) => length >= BOMBS), 5_000);
    const after = await ended();
    const [sent, hopLimit] = [after.udpOut - before.udpOut, after.hopLimit - before.hopLimit];
    process.stdout.write(`    ${BOMBS} bombs: ${sent} datagrams of the servers, control included, ${hopLimit} ended by the hop limit, ${delivered()} at members, ${after.copyBudget - before.copyBudget} copies without a share, ${after.rate - before.rate} beyond the rate\n`);
    expect(after.copyBudget).toBeGreaterThan(before.copyBudget);
    expect(after.rate).toBe(before.rate);
    // What became of each packet ends once, here or there.
    expect(hopLimit + delivered()).toBeLessThanOrEqual(BOMBS * COPY_BUDGET);
    expect(sent).toBeLessThanOrEqual(BOMBS * COPY_BUDGET * HOP_LIMIT);
    expect(await others(() => sender.send((groups[0] as Group).id, "boom"))).toBe(0);
  }, 60_000);
});

describe("a sender's cache", () => {
  const BURST = 200;
  let probe: UdpClient;
  beforeAll(async () => void (probe = await UdpClient.open()));
  afterAll(() => probe?.close());
  const udpIn = async (): Promise<readonly number[]> => await Promise.all(ring.daemons.map(async (daemon) => Number((await daemon.counters()).engine["udpIn"])));

  it("is asked for by the first packets, then spares the first hop, and is dropped at once when nobody has the id any more", async () => {
    const HOLDER = 2;
    const home = await programAt(HOLDER);
    const inbox = await home.insert(home.id("inbox"));
    const heard = heardBy(inbox);
    // So that both know their way to the holder: of a burst without one few would wait.
    for (const port of ring.ports.slice(0, HOLDER)) {
      probe.sendData(port, inbox.id, `by ${port}`);
      await until(() => heard.includes(`by ${port}`), 5_000);
    }
    const sender = await ring.connect({ servers: [0, 1] });
    let sent = heard.length;
    /** So many at once, that no answer comes between them. */
    const burst = (): void => {
      for (let i = 0; i < BURST; i += 1) sender.send(inbox.id, `${(sent += 1)}${PADDING}`);
    };
    /** What came to the two that the sender knows, from `before` until the holder has got all, control included. */
    const atFirstHop = async (before: readonly number[]): Promise<number> => {
      await until(async () => ((await udpIn())[HOLDER] as number) - (before[HOLDER] as number) >= BURST, 5_000);
      const after = await udpIn();
      return [0, 1].reduce((sum, i) => sum + (after[i] as number) - (before[i] as number), 0);
    };
    const measure = async (): Promise<number> => {
      const before = await udpIn();
      burst();
      return await atFirstHop(before);
    };

    const unknown = await measure();
    await until(() => heard.length === sent, 5_000);
    let known = BURST;
    await until(async () => (known = await measure()) < BURST / 2, 10_000, () => `still ${known} at the first hop`);
    await until(() => heard.length === sent, 5_000);

    const removed = async (): Promise<number> => (await (ring.daemons[HOLDER] as (typeof ring.daemons)[number]).counters()).control["removed"] ?? 0;
    const removedBefore = await removed();
    inbox.remove();
    await until(async () => (await removed()) > removedBefore, 5_000);
    const before = await udpIn();
    const gone = once(sender, "not-present").then(burst);
    sender.send(inbox.id, `is anybody there?${PADDING}`);
    await gone;
    const dropped = await atFirstHop(before);
    process.stdout.write(`    of ${BURST} packets came to the first hop, control included: ${unknown} without a cache, ${known} with it, ${dropped} right after NOT_PRESENT\n`);
    expect(unknown).toBeGreaterThanOrEqual(BURST);
    expect(known).toBeLessThan(BURST / 2);
    expect(dropped).toBeGreaterThanOrEqual(BURST);
    expect(heard).toHaveLength(sent - BURST);

    // Who comes back is found again.
    const again = heardBy(await home.insert(inbox.id));
    sender.send(inbox.id, "again");
    await until(() => again.includes("again"), 5_000);
  }, 40_000);
});
