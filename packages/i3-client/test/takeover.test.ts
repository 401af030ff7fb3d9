/** Traffic between programs behind port-dependent NATs when servers die, join and leave (docs/wire.md §4.1): replicas, in virtual time. */
import { claimId, CONTROL_FIRST_BYTE, CONTROL_TYPES, groupId, locatorText, makeLocator, nameId, nameKey, privateId, toHex } from "@i3/common";
import { certifyMember, signStep, triggerKeyFromSeed } from "@i3/hip";
import { ServerCore } from "@i3/i3-server";
import { describe, expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const EVERY_MS = 20;
/** Until traffic is back by a replica (docs/wire.md §5). */
const TAKEOVER_MS = 1_900;
/** Runs of each kind of failure and length of the ways: 12 for the figures of docs/failures.md. */
const RUNS = Number(process.env["I3_FAILURES"] ?? "4");

function overlay(seed: string, triggers = 1, delayMs = 10) {
  const cut = new Set<string>();
  const isCut = (address: Uint8Array): boolean => cut.has(address.join("."));
  const world = new World({ seed, delayBetweenMs: (from, to) => (isCut(from) || isCut(to) ? Infinity : delayMs) });
  const ring = world.ring(5);
  world.run(12_000);
  const receiver = new Program(world, "198.51.100.1", ring);
  receiver.node.symmetric = new Map();
  const sender = new Program(world, "198.51.100.2", ring);
  sender.node.symmetric = new Map();
  world.run(2_000);
  const ids = Array.from({ length: triggers }, () => {
    const key = triggerKeyFromSeed(world.random(32));
    const id = privateId(key.prefix, filled(16, 1));
    receiver.listen(id);
    receiver.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    sender.client.openPath(id);
    return id;
  });
  world.run(3_000);
  let sent = 0;
  /** Steady traffic, and until it has arrived. */
  const traffic = (forMs: number): void => {
    for (const endMs = world.nowMs + forMs; world.nowMs < endMs; ) {
      for (const id of ids) sender.say(id, String((sent += 1)));
      world.run(EVERY_MS);
    }
  };
  const holders = (): Node[] => ids.map((id) => {
    const node = ring.find(({ locator }) => locatorText(locator) === receiver.serverOf(id));
    if (node === undefined) throw new Error("no server holds the trigger");
    return node;
  });
  const holder = (): Node => holders()[0] as Node;
  /** The longest pause between two packets since then, and how many never came. */
  const since = (ms: number): { readonly pauseMs: number; readonly lost: number } => {
    const times = receiver.heard.filter(({ atMs }) => atMs >= ms).map(({ atMs }) => atMs);
    const pauseMs = Math.max(...times.map((atMs, i) => atMs - (times[i - 1] ?? ms)), world.nowMs - (times.at(-1) ?? ms));
    return { pauseMs, lost: sent - new Set(receiver.texts()).size };
  };
  /** The receiver could register anew as soon as the sender has seen what happened: that is not what is asked of a replica. */
  const holderDies = (): number => {
    receiver.isAsleep = true;
    holder().down = true;
    return world.nowMs;
  };
  /** Nothing reaches it or comes from it any more, and it goes on. */
  const holderIsCutOff = (): Node => {
    receiver.isAsleep = true;
    const node = holder();
    cut.add(node.locator.address.join("."));
    return node;
  };
  return { world, ring, receiver, ids, traffic, holder, holders, holderDies, holderIsCutOff, since };
}

/** A server joins, with its place between two keys whose first digits these are. */
function joinBetween(world: World, ring: Node[], low: string, high: string, n = 20): Node {
  const isBetween = (place: string): boolean => (low < high ? low < place && place < high : low < place || place < high);
  let membership = world.membership();
  while (!isBetween(toHex(membership.credential.nodeKey).slice(0, 8))) membership = world.membership();
  const node = world.server(n, [ring[0] as Node], membership);
  ring.push(node);
  return node;
}

/** The first digits of a server's node key, as the others know it. */
function placeOf(ring: readonly Node[], node: Node): string {
  const others = ring.filter((other) => other !== node).flatMap((other) => coreOf(other).inspect().successors);
  return others.find((text) => text.endsWith(`@${locatorText(node.locator)}`))?.slice(0, 8) ?? "";
}

/** Of all on the wire behind its first `seen` datagrams. */
const refreshesSince = (world: World, seen: number): number => world.wire.slice(seen).filter(({ bytes }) => bytes[0] === CONTROL_FIRST_BYTE && bytes[1] === CONTROL_TYPES.REFRESH).length;

const coreOf = (node: Node): ServerCore => {
  if (!(node.core instanceof ServerCore)) throw new Error("not a server");
  return node.core;
};

describe("the responsible server", () => {
  /** Where all is well before; the longest pauses of all runs, ms, ascending. */
  function pausesMs(what: string, delayMs: number, fails: (bed: ReturnType<typeof overlay>) => void): readonly number[] {
    const pauses = Array.from({ length: RUNS }, (_, run) => {
      const bed = overlay(`${what} ${delayMs} ${run}`, 1, delayMs);
      bed.traffic(2_000);
      bed.world.run(2 * delayMs + 100);
      expect(bed.since(0).lost).toBe(0);
      const failedMs = bed.world.nowMs;
      fails(bed);
      return bed.since(failedMs).pauseMs;
    }).sort((a, b) => a - b);
    const median = ((pauses[(RUNS - 1) >> 1] ?? 0) + (pauses[RUNS >> 1] ?? 0)) / 2;
    process.stdout.write(`    ${what}, ways of ${delayMs} ms, ${RUNS} runs: median ${median} ms, worst ${pauses.at(-1)} ms\n`);
    return pauses;
  }
  const PATIENCE_MS = 20_000 + RUNS * 10_000;

  it.each([1, 10, 50])("is killed, and within 2 s its successor delivers by the replica (ways of %i ms)", (delayMs) => {
    const pauses = pausesMs("killed", delayMs, ({ holderDies, traffic }) => {
      holderDies();
      traffic(4_000);
    });
    expect(pauses.filter((ms) => ms >= 2_000)).toEqual([]);
    // Of packets that were on their way something is lost: it was the server that carried them.
    expect(pauses[0]).toBeGreaterThan(300);
  }, PATIENCE_MS);

  it.each([1, 10, 50])("is silently cut off, and within 3 s its successor delivers by the replica, while it goes on by itself (ways of %i ms)", (delayMs) => {
    const pauses = pausesMs("cut off", delayMs, ({ world, holderIsCutOff, traffic }) => {
      const node = holderIsCutOff();
      const [cutMs, sent] = [world.nowMs, world.wire.length];
      traffic(4_000);
      expect(world.wire.slice(sent).some(({ atMs, from }) => atMs > cutMs + 1_000 && locatorText(from) === locatorText(node.locator))).toBe(true);
      expect(node.log.some(({ atMs, event }) => atMs > cutMs && event === "node-dead")).toBe(true);
    });
    expect(pauses.filter((ms) => ms >= 3_000)).toEqual([]);
    expect(pauses[0]).toBeGreaterThan(300);
  }, PATIENCE_MS);

  it("dies when the trigger is older than a replica lives: that was refreshed", () => {
    const { world, holderDies, traffic, since } = overlay("old");
    world.run(45_000);
    traffic(2_000);
    const diedMs = holderDies();
    traffic(8_000);
    expect(since(diedMs).pauseMs).toBeLessThan(TAKEOVER_MS);
  });

  it("dies when the receiver has just moved: the replica leads to the new address", () => {
    const { world, receiver, holderDies, traffic, since } = overlay("moved");
    const seenMs = world.wire.length;
    world.run(6_000, () => refreshesSince(world, seenMs) >= 2);
    traffic(500);
    Object.assign(receiver.node, { locator: makeLocator(Uint8Array.of(198, 51, 100, 77), 5610), symmetric: new Map() });
    receiver.client.renewTriggers(world.nowMs);
    world.inject(receiver.node, {});
    traffic(500); // Much less than the time to the next refresh, which would find out by itself.
    const diedMs = holderDies();
    traffic(8_000);
    expect(since(diedMs).pauseMs).toBeLessThan(TAKEOVER_MS);
  });

  it("dies when another has become its successor: the replica is there by then", () => {
    const { world, ring, holder, holderDies, traffic, since } = overlay("successor");
    const [before] = coreOf(holder()).inspect().successors;
    const joined = joinBetween(world, ring, placeOf(ring, holder()), (before ?? "").slice(0, 8));
    traffic(14_000);
    expect(coreOf(holder()).inspect().successors[0]).toMatch(locatorText(joined.locator));
    const diedMs = holderDies();
    traffic(8_000);
    expect(since(diedMs).pauseMs).toBeLessThan(TAKEOVER_MS);
  });

  it("dies when the trigger has just been removed, and nothing arrives by a replica", () => {
    const { world, receiver, ids: [id], holder, traffic } = overlay("removed");
    traffic(2_000);
    const node = holder();
    receiver.client.removeTrigger(world.nowMs, id as Uint8Array);
    world.inject(receiver.node, {});
    world.run(200);
    const heard = receiver.heard.length;
    expect(heard).toBe(100);
    receiver.isAsleep = true;
    node.down = true;
    traffic(8_000);
    expect(receiver.heard.length - heard).toBe(0);
  });

  it("leaves, and no packet is lost", () => {
    const { world, holder, traffic, since } = overlay("leave");
    traffic(2_000);
    const node = holder();
    coreOf(node).leave(world.nowMs);
    for (let left = 500; left > 0 && !coreOf(node).hasLeft; left -= 1) traffic(EVERY_MS);
    const leftMs = world.nowMs;
    node.down = true;
    traffic(6_000);
    world.run(100);
    process.stdout.write(`    left; longest pause since then ${since(leftMs).pauseMs} ms, lost ${since(0).lost}\n`);
    expect(coreOf(node).hasLeft).toBe(true);
    expect(since(0).lost).toBe(0);
  });

  it("gives its place to one that joins, and no packet is lost", () => {
    const { world, ring, holders, traffic, since } = overlay("join", 8);
    traffic(1_000);
    const before = holders();
    for (const n of [20, 21, 22, 23]) ring.push(world.server(n, [ring[0] as Node]));
    traffic(14_000);
    world.run(100);
    const moved = holders().filter((node, i) => node !== before[i]).length;
    process.stdout.write(`    ${moved} of 8 triggers moved\n`);
    expect(moved).toBeGreaterThan(0);
    expect(since(0).lost).toBe(0);
  });

  it.each([500, 3_000, 6_000])("gives its place to one that joins, and that one part of it to another %i ms later, and no packet is lost", (laterMs) => {
    const { world, ring, ids, receiver, holder, traffic, since } = overlay(`side by side ${laterMs}`);
    const key = toHex(ids[0] as Uint8Array).slice(0, 8);
    const first = joinBetween(world, ring, key, placeOf(ring, holder()));
    traffic(1_000);
    const place = placeOf(ring, first);
    traffic(laterMs - 1_000 > 0 ? laterMs - 1_000 : 0);
    // Packets for the part come to the one that has just lost it, too.
    const atFirst = new Program(world, "198.51.100.9", [first]);
    traffic(200);
    const second = joinBetween(world, ring, key, place, 21);
    for (let n = 0; n < 500; n += 1) {
      atFirst.say(ids[0] as Uint8Array, `through the first ${n}`);
      traffic(EVERY_MS);
    }
    traffic(15_000);
    world.run(100);
    expect(locatorText(holder().locator)).toBe(locatorText(second.locator));
    const heard = new Set(receiver.texts().filter((text) => text.startsWith("through the first")));
    expect([since(0).lost + heard.size, 500 - heard.size]).toEqual([0, 0]);
  });
});

describe("triggers of other kinds are handed over without loss when the responsible server", () => {
  const END_S = 1_900_000_000;
  const NAME = "box.try.i3";

  /** Three members of a group at one id, two of whom claim one name, and a chain of one step; all behind port-dependent NATs. */
  function groupAndChain(seed: string) {
    const world = new World({ delayMs: 10, seed });
    const ring = world.ring(5);
    world.run(12_000);
    const [sender, ...members] = [1, 2, 3, 4].map((n) => {
      const program = new Program(world, `198.51.100.${n}`, ring);
      program.node.symmetric = new Map();
      return program;
    }) as [Program, Program, Program, Program];
    world.run(2_000);
    const [group, source, target] = [triggerKeyFromSeed(world.random(32)), triggerKeyFromSeed(world.random(32)), triggerKeyFromSeed(world.random(32))];
    const id = groupId(group.publicKey, filled(16, 1));
    for (const [i, member] of members.entries()) {
      const key = triggerKeyFromSeed(world.random(32));
      member.listen(id);
      member.client.joinGroup(world.nowMs, id, certifyMember(group, key.publicKey, END_S), key);
      world.run(700 * (i + 1)); // They refresh at different times.
    }
    const [from, to] = [privateId(source.prefix, filled(16, 1)), privateId(target.prefix, filled(16, 1))];
    const [owner, second] = members;
    const claims = [owner, second].map((member) => {
      const key = triggerKeyFromSeed(world.random(32));
      const claim = claimId(nameKey(NAME), key.publicKey);
      member.listen(nameId(NAME));
      member.client.insertTrigger(world.nowMs, claim, { kind: "name", nameKey: nameKey(NAME), key });
      world.run(900);
      return claim;
    });
    const name = claims[0] as Uint8Array;
    owner.listen(to);
    owner.client.insertTrigger(world.nowMs, to, { kind: "private", key: target });
    owner.client.insertStack(world.nowMs, from, { kind: "private", key: source }, [signStep({ kind: "private", key: target }, from, to, END_S)]);
    for (const each of [id, from, nameId(NAME)]) sender.client.openPath(each);
    world.run(3_000);
    let sent = 0;
    const senders = [sender];
    const traffic = (forMs: number): void => {
      for (const endMs = world.nowMs + forMs; world.nowMs < endMs; world.run(2 * EVERY_MS)) {
        for (const each of senders) {
          sent += 1;
          each.say(id, `group ${sent}`);
          each.say(from, `chain ${sent}`);
          each.say(nameId(NAME), `name ${sent}`);
        }
      }
    };
    /** One more sender, whose packets go to this server. */
    const addSenderAt = (server: Node): void => {
      const late = new Program(world, "198.51.100.9", [server]);
      traffic(200);
      senders.push(late);
    };
    const holderOf = (which: Uint8Array, program: Program = owner): Node => ring.find(({ locator }) => locatorText(locator) === program.serverOf(which)) as Node;
    /** Of each member's packets, of each claimer's, and of those along the chain, how many never came and how many came again. */
    const faults = (): readonly string[] => {
      world.run(500);
      const of = (program: Program, what: string): readonly string[] => program.texts().filter((text) => text.startsWith(what));
      const streams = [...members.map((member) => of(member, "group")), of(owner, "name"), of(second, "name"), of(owner, "chain")];
      return streams.map((texts) => `${sent - new Set(texts).size} lost, ${texts.length - new Set(texts).size} twice`);
    };
    return { world, ring, traffic, addSenderAt, id, from, name, holderOf, faults };
  }
  const NONE = Array.from({ length: 6 }, () => "0 lost, 0 twice");

  it.each(["id", "from", "name"] as const)("leaves (it holds the %s)", (which) => {
    const { world, traffic, faults, holderOf, ...ids } = groupAndChain(`leaves ${which}`);
    traffic(1_000);
    const node = holderOf(ids[which]);
    coreOf(node).leave(world.nowMs);
    for (let left = 500; left > 0 && !coreOf(node).hasLeft; left -= 1) traffic(EVERY_MS);
    node.down = true;
    traffic(6_000);
    expect(faults()).toEqual(NONE);
  }, 60_000);

  it.each(["id", "from", "name"] as const)("gives its place to one that joins (which takes over the %s)", (which) => {
    const { world, ring, traffic, addSenderAt, faults, holderOf, ...ids } = groupAndChain(`joins ${which}`);
    traffic(1_000);
    const [key, before] = [toHex(ids[which]).slice(0, 8), placeOf(ring, holderOf(ids[which]))];
    const joined = joinBetween(world, ring, key, before);
    traffic(500);
    addSenderAt(joined);
    traffic(9_000);
    expect(holderOf(ids[which])).toBe(joined);
    expect(faults()).toEqual(NONE);
  }, 60_000);
});
