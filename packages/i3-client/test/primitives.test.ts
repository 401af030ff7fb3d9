/** The ways to send of the i3 paper (§2), by native programs on real server cores and engines in virtual time: multicast, anycast, chains, trees; and what loops and bombs cost. */
import { groupId, KEY_KIND, privateId, ringKey, toHex, type StackStep } from "@i3/common";
import { classifyDatagram, COPY_BUDGET } from "@i3/datapath";
import { certifyMember, generateTriggerKey, signStep, type TriggerKey, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { World } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const END_S = 1_900_000_000;
const HOPS = 16;

function overlay(servers = 4, hosts = 5) {
  const world = new World({ delayMs: 10, seed: "primitives" });
  const ring = world.ring(servers);
  world.run(12_000); // joined, and claimed
  const programs = Array.from({ length: hosts }, (_, i) => new Program(world, `198.51.100.${i + 1}`, ring));
  world.run(2_000);
  return { world, ring, programs: programs as [Program, Program, Program, Program, Program] };
}

const member = (group: TriggerKey, key = generateTriggerKey()): TriggerSigner & { kind: "member" } => ({ kind: "member", certificate: certifyMember(group, key.publicKey, END_S), key });
function join(program: Program, group: TriggerKey, id: Uint8Array): void {
  const { certificate, key } = member(group);
  program.listen(id);
  program.client.joinGroup(program.world.nowMs, id, certificate, key);
}
const privateIdOf = (key: TriggerKey, suffix = 1): Uint8Array => privateId(key.prefix, filled(16, suffix));
const consent = (key: TriggerKey, source: Uint8Array, id = privateIdOf(key)): StackStep => signStep({ kind: "private", key }, source, id, END_S);
/** Data packets on the wire since then. */
const dataSince = (world: World, sinceMs: number): number =>
  world.wire.filter(({ atMs, bytes }) => atMs >= sinceMs && classifyDatagram(bytes[0] ?? 0, bytes.length) === "data").length;

describe("a group", () => {
  const group = generateTriggerKey();
  const id = groupId(group.publicKey, filled(16, 0x40));

  it("with one id gets one copy each, until a member leaves or its certificate ends", () => {
    const { world, programs: [a, b, c, sender] } = overlay();
    for (const program of [a, b, c]) join(program, group, id);
    world.run(1_000);
    sender.say(id, "one");
    world.run(500);
    b.client.leaveGroup(world.nowMs, id);
    world.run(500);
    sender.say(id, "two");
    world.run(500);
    expect([a, b, c].map((program) => program.texts())).toEqual([["one", "two"], ["one"], ["one", "two"]]);
  });

  it("with several is reached at the one whose id is nearest, and at the next when that is gone", () => {
    const { world, programs: [near, far, , sender] } = overlay();
    const nearId = groupId(group.publicKey, filled(16, 0x41));
    join(near, group, nearId);
    near.listen(id); // The packet comes with the id that it was sent to …
    const [farId, key] = [groupId(group.publicKey, filled(16, 0x80)), generateTriggerKey()];
    far.client.insertTrigger(world.nowMs, privateIdOf(key), { kind: "private", key });
    far.listen(privateIdOf(key)); // … or, by a member who leads it on to an id of its own, with that.
    far.client.insertStack(world.nowMs, farId, member(group), [consent(key, farId)]);
    world.run(1_000);
    sender.say(id, "one");
    world.run(500);
    near.client.leaveGroup(world.nowMs, nearId);
    world.run(500);
    sender.say(id, "two");
    world.run(500);
    expect([near.texts(), far.texts()]).toEqual([["one"], ["two"]]);
  });
});

describe("triggers from ids to ids", () => {
  it("make a chain, over as many servers as it takes", () => {
    const { world, programs: [a, , , sender] } = overlay();
    const keys = Array.from({ length: 4 }, generateTriggerKey);
    const ids = keys.map((key) => privateIdOf(key)) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    for (let i = 0; i < 3; i += 1) a.client.insertStack(world.nowMs, ids[i] as Uint8Array, { kind: "private", key: keys[i] as TriggerKey }, [consent(keys[i + 1] as TriggerKey, ids[i] as Uint8Array)]);
    a.client.insertTrigger(world.nowMs, ids[3], { kind: "private", key: keys[3] as TriggerKey });
    a.listen(ids[3]);
    world.run(1_000);
    sender.say(ids[0], "through");
    world.run(500);
    expect(a.heard.map(({ id, text }) => [toHex(id), text])).toEqual([[toHex(ids[3]), "through"]]);
  });

  it("make a receiver's stack: what is sent to one id passes another host first", () => {
    const { world, programs: [box, home, , sender] } = overlay();
    const [boxKey, homeKey, inner] = [generateTriggerKey(), generateTriggerKey(), generateTriggerKey()];
    const [boxId, homeId, innerId] = [boxKey, homeKey, inner].map((key) => privateIdOf(key)) as [Uint8Array, Uint8Array, Uint8Array];
    box.listen(boxId);
    home.listen(innerId);
    box.client.insertTrigger(world.nowMs, boxId, { kind: "private", key: boxKey });
    home.client.insertTrigger(world.nowMs, innerId, { kind: "private", key: inner });
    home.client.insertStack(world.nowMs, homeId, { kind: "private", key: homeKey }, [consent(boxKey, homeId), consent(inner, homeId)]);
    world.run(1_000);
    sender.say(homeId, "checked");
    world.run(500);
    expect([box.texts(), home.texts()]).toEqual([["checked"], []]);
    box.sayAlong([innerId], "good");
    world.run(500);
    expect(home.texts()).toEqual(["good"]);
  });

  it("make a multicast tree", () => {
    const { world, programs: [a, b, c, d, sender] } = overlay();
    const [root, left, right] = [generateTriggerKey(), generateTriggerKey(), generateTriggerKey()];
    const idOf = (group: TriggerKey): Uint8Array => groupId(group.publicKey, filled(16, 1));
    for (const [branch, program] of [[left, a], [right, c]] as const) {
      program.client.insertStack(world.nowMs, idOf(root), member(root), [signStep({ kind: "group", key: branch }, idOf(root), idOf(branch), END_S)]);
    }
    for (const [branch, program] of [[left, a], [left, b], [right, c], [right, d]] as const) join(program, branch, idOf(branch));
    world.run(1_000);
    sender.say(idOf(root), "leaves");
    world.run(500);
    expect([a, b, c, d].map((program) => program.texts())).toEqual([["leaves"], ["leaves"], ["leaves"], ["leaves"]]);
  });
});

/** Two who have nothing to do with an attack: of 40 packets of theirs beside so many attacks, how many were lost, and how long the slowest of the others took, against that of as many in peace. */
function beside(world: World, home: Program, friend: Program, attack: () => void): { readonly lost: number; readonly worstMs: number; readonly calmMs: number } {
  const key = generateTriggerKey();
  const id = privateIdOf(key);
  home.listen(id);
  home.client.insertTrigger(world.nowMs, id, { kind: "private", key });
  friend.client.openPath(id);
  world.run(2_000);
  const packets = (what: string, each: () => void): { readonly lost: number; readonly worstMs: number } => {
    const sentMs = new Map<string, number>();
    for (let i = 0; i < 40; i += 1) {
      each();
      sentMs.set(`${what} ${i}`, world.nowMs);
      friend.say(id, `${what} ${i}`);
      world.run(50);
    }
    world.run(500);
    const delays = home.heard.flatMap(({ atMs, text }) => (sentMs.has(text) ? [atMs - (sentMs.get(text) as number)] : []));
    return { lost: sentMs.size - delays.length, worstMs: Math.max(...delays) };
  };
  packets("first", () => undefined); // they go by the first-hop server until the way is known
  const calm = packets("calm", () => undefined);
  expect(calm.lost).toBe(0);
  return { ...packets("attacked", attack), calmMs: calm.worstMs };
}

describe("against a bomber", () => {
  it("nobody's id is a target without its key: of forged tokens nothing gets through", () => {
    const { world, programs: [victim, bomber, , sender] } = overlay();
    const [victimKey, own] = [generateTriggerKey(), generateTriggerKey()];
    const [victimId, ownId] = [privateIdOf(victimKey), privateIdOf(own)];
    victim.listen(victimId);
    victim.client.insertTrigger(world.nowMs, victimId, { kind: "private", key: victimKey });
    const forged = [{ ...consent(own, ownId), id: victimId }, { ...consent(own, ownId, victimId), publicKey: victimKey.publicKey }, consent(victimKey, privateIdOf(own, 2))];
    for (const step of forged) expect(() => bomber.client.insertStack(world.nowMs, ownId, { kind: "private", key: own }, [step])).toThrow(RangeError);
    world.run(1_000);
    sender.say(ownId, "to the victim");
    world.run(500);
    expect(victim.texts()).toEqual([]);
    expect(forged.map(({ keyKind }) => keyKind)).toContain(KEY_KIND.ed25519);
  });

  it("a loop of its own ids over three servers ends by the hop limit, for each packet", () => {
    const { world, ring, programs: [bomber, home, friend, sender] } = overlay();
    const at = new Map<string, TriggerKey>();
    // Keys until three servers have one each.
    for (let i = 0; at.size < 3 && i < 200; i += 1) {
      const key = generateTriggerKey();
      const id = privateIdOf(key);
      bomber.client.insertTrigger(world.nowMs, id, { kind: "private", key });
      world.run(200);
      const server = bomber.serverOf(id);
      if (at.has(server)) bomber.client.removeTrigger(world.nowMs, id);
      else at.set(server, key);
    }
    const keys = [...at.values()] as [TriggerKey, TriggerKey, TriggerKey];
    expect(ring.length).toBeGreaterThan(3);
    keys.forEach((key, i) => {
      const next = keys[(i + 1) % 3] as TriggerKey;
      bomber.client.insertStack(world.nowMs, privateIdOf(key), { kind: "private", key }, [consent(next, privateIdOf(key))]);
    });
    world.run(2_000);
    const sinceMs = world.nowMs;
    for (let i = 0; i < 10; i += 1) sender.say(privateIdOf(keys[0]), "round");
    world.run(2_000);
    const sent = dataSince(world, sinceMs);
    process.stdout.write(`    loop over three servers: ${sent} datagrams for 10\n`);
    expect(sent).toBeGreaterThan(10 * 3);
    expect(sent).toBeLessThanOrEqual(10 * HOPS);
    expect(new Set(keys.map((key) => toHex(ringKey(privateIdOf(key))))).size).toBe(3);
    const others = beside(world, home, friend, () => {
      for (let i = 0; i < 10; i += 1) sender.say(privateIdOf(keys[0]), "round");
    });
    process.stdout.write(`    others beside 40 times as many: ${others.lost} of 40 packets lost, ${others.worstMs} ms at most (in peace ${others.calmMs})\n`);
    expect(others).toEqual({ lost: 0, worstMs: others.calmMs, calmMs: others.calmMs });
  });

  it.each([["to itself", true], ["to six others, and they back to it", false]])("a group's id that leads %s six times makes no more copies than the budget, for each packet", (what, isItself) => {
    const { world, programs: [bomber, target, home, sender, friend] } = overlay();
    const group = generateTriggerKey();
    const idAt = (i: number): Uint8Array => groupId(group.publicKey, filled(16, i));
    const id = idAt(1);
    const leads = (from: Uint8Array, to: Uint8Array) => [signStep({ kind: "group", key: group }, from, to, END_S)];
    join(target, group, id);
    // A client holds one trigger at an id: each further one takes another host of the bomber's.
    for (let i = 0; i < 6; i += 1) {
      const { client } = new Program(world, `203.0.113.${i + 1}`, [{ locator: bomber.client.servers()[0]?.locator ?? bomber.node.locator }]);
      client.insertStack(world.nowMs, id, member(group), leads(id, isItself ? id : idAt(2 + i)));
      if (!isItself) client.insertStack(world.nowMs, idAt(2 + i), member(group), leads(idAt(2 + i), id));
    }
    world.run(3_000);
    const sinceMs = world.nowMs;
    sender.say(id, "boom");
    world.run(2_000);
    process.stdout.write(`    a group's id that leads ${what} six times: ${dataSince(world, sinceMs)} datagrams, ${target.heard.length} to its honest member\n`);
    expect(target.heard.length).toBeGreaterThan(0);
    // Equal targets are one: then it is a loop with one way out.
    expect(dataSince(world, sinceMs)).toBeLessThanOrEqual((isItself ? HOPS : COPY_BUDGET) + HOPS);
    const others = beside(world, home, friend, () => sender.say(id, "boom"));
    process.stdout.write(`    others beside 40 such bombs: ${others.lost} of 40 packets lost, ${others.worstMs} ms at most (in peace ${others.calmMs})\n`);
    expect(others).toEqual({ lost: 0, worstMs: others.calmMs, calmMs: others.calmMs });
  });
});
