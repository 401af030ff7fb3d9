/** A native program's core on real server cores, in virtual time: stacks, anycast, caches, a server's death, a move; and what it drops. */
import { groupId, makeLocator, privateId, sameLocator, SUFFIX_BYTES } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { certifyMember, generateTriggerKey, type TriggerKey } from "@i3/hip";
import { beforeAll, describe, expect, it } from "vitest";

import { World } from "../../../../test/sim/world.js";
import { anycastIdOf } from "../../src/program/group.js";
import { MAX_OPEN_PATHS, OpenPaths } from "../../src/program/open-paths.js";
import { ProgramNode } from "./program-node.js";

const END_S = 1_900_000_000;
const HOPS = 16;
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

/** One for all tests, since a ring takes a second of real time to form; each has machines of its own. */
const world = new World({ delayMs: 10, seed: "programs" });
const ring = world.ring(4);
let machines = 0;
beforeAll(() => world.run(12_000)); // joined, and claimed

function overlay(programs: number): [ProgramNode, ProgramNode, ProgramNode] {
  const nodes = Array.from({ length: programs }, () => new ProgramNode(world, `198.51.100.${(machines += 1)}`, ring));
  world.run(1_000);
  return nodes as [ProgramNode, ProgramNode, ProgramNode];
}

function insert(program: ProgramNode, key: TriggerKey = generateTriggerKey(), suffix = 1): Uint8Array {
  const id = privateId(key.prefix, filled(SUFFIX_BYTES, suffix));
  program.listen(id);
  program.core.client.insertTrigger(program.world.nowMs, id, { kind: "private", key });
  return id;
}

describe("a stack", () => {
  it("comes with the message, and forward sends the result to its next id", () => {
    const [service, receiver, sender] = overlay(3);
    const [serviceId, receiverId] = [insert(service), insert(receiver)];
    service.core.receivers.set(serviceId, (message) => service.core.forward(world.nowMs, message, Uint8Array.from(message.payload).reverse()));
    world.run(1_000);
    sender.send([serviceId, receiverId], "abc");
    world.run(500);
    expect(receiver.texts()).toEqual(["cba"]);
    expect(receiver.heard[0]).toMatchObject({ id: receiverId, stack: [] });
  });

  it("that leads through services in a circle ends by the hop limit", () => {
    const [a, b, sender] = overlay(3);
    const [aId, bId] = [insert(a), insert(b)];
    let calls = 0;
    const again = (program: ProgramNode, next: Uint8Array) => (message: Parameters<typeof program.core.forward>[1]): void => {
      calls += 1;
      program.core.forward(world.nowMs, { ...message, stack: [next] }, message.payload);
    };
    a.core.receivers.set(aId, again(a, bId));
    b.core.receivers.set(bId, again(b, aId));
    world.run(1_000);
    sender.send([aId], "round");
    world.run(1_500);
    expect(calls).toBeGreaterThan(3);
    expect(calls).toBeLessThanOrEqual(HOPS);
  });
});

describe("a group", () => {
  it("reaches a member by anycast ids that it did not insert, and by no others", () => {
    const [member, sender] = overlay(2);
    const [group, key] = [generateTriggerKey(), generateTriggerKey()];
    const base = groupId(group.publicKey, new Uint8Array(SUFFIX_BYTES));
    const id = anycastIdOf(base, "eu", world.random);
    member.core.receivers.setAnycast(id, (message) => member.heard.push(message));
    member.core.client.joinGroup(world.nowMs, id, certifyMember(group, key.publicKey, END_S), key);
    world.run(1_000);
    const asked = anycastIdOf(base, "us", world.random);
    sender.send([asked], "anycast");
    sender.send([base], "multicast");
    world.run(500);
    expect(member.heard.map(({ id: named }) => named)).toEqual([asked]);
    expect(member.core.counters.unknownId).toBe(1);
    // One membership at a time.
    expect(member.core.receivers.setAnycast(anycastIdOf(base, "us", world.random), () => undefined)).toBe(false);
  });
});

describe("anycast among members with one preference", () => {
  /** How many of 400 packets each member gets, in the order of `suffixes`: bytes that it adds to "eu". */
  function shares(asked: string, suffixes: readonly (readonly number[])[]): readonly number[] {
    const [sender, ...members] = overlay(suffixes.length + 1) as readonly ProgramNode[] as [ProgramNode, ...ProgramNode[]];
    const group = generateTriggerKey();
    const base = groupId(group.publicKey, new Uint8Array(SUFFIX_BYTES));
    for (const [i, member] of members.entries()) {
      const key = generateTriggerKey();
      const id = anycastIdOf(base, Uint8Array.of(0x65, 0x75, ...(suffixes[i] ?? [])), world.random);
      member.core.receivers.setAnycast(id, (message) => member.heard.push(message));
      member.core.client.joinGroup(world.nowMs, id, certifyMember(group, key.publicKey, END_S), key);
    }
    world.run(1_000);
    for (let i = 0; i < 400; i += 1) {
      sender.send([anycastIdOf(base, asked, world.random)], "work");
      world.run(5);
    }
    world.run(500);
    return members.map(({ heard }) => heard.length);
  }

  it("gives three of them a half and two quarters", () => {
    const [least = 0, , most = 0] = [...shares("eu", [[], [], []])].sort((a, b) => a - b);
    expect([least > 60, least < 140, most > 160, most < 240]).toEqual([true, true, true, true]);
  });

  it("gives four of them equal parts when they spread themselves evenly, and one of them all when the packet's preference goes on otherwise", () => {
    const spread = [[0], [64], [128], [192]];
    for (const count of shares("eu", spread)) expect([count > 60, count < 140]).toEqual([true, true]);
    expect(shares("eup", spread)).toEqual([0, 400, 0, 0]);
  });
});

describe("ways", () => {
  it("lead straight to the responsible server after the first packet", () => {
    const [receiver, sender] = overlay(2);
    // Until one lives elsewhere than at the sender's first server.
    const ids = Array.from({ length: 8 }, () => insert(receiver));
    world.run(1_000);
    const serverOf = (id: Uint8Array) => receiver.core.client.triggers(world.nowMs).find((trigger) => trigger.id.every((byte, i) => byte === id[i]))?.server ?? null;
    const id = ids.find((each) => {
      const server = serverOf(each);
      const first = sender.core.client.firstHop();
      return server !== null && first !== null && !sameLocator(server, first);
    }) as Uint8Array;
    sender.send([id], "x".repeat(100)); // as long as the CACHE that answers it
    world.run(500);
    const sinceMs = world.nowMs;
    sender.send([id], "y".repeat(100));
    world.run(500);
    const straight = world.wire.filter(({ atMs, bytes }) => atMs >= sinceMs && bytes[0] === 0x11).map(({ to }) => to);
    expect(straight[0]).toEqual(serverOf(id));
    expect(straight).toHaveLength(2); // to the server, and from it
  });

  it("are closed when nothing was sent for a minute", () => {
    const closed: number[] = [];
    const paths = new OpenPaths({ openPath: () => true, closePath: (id) => void closed.push(id[0] ?? 0), allowShortcut: () => undefined });
    paths.use(0, Uint8Array.of(1));
    paths.use(10, Uint8Array.of(2));
    paths.use(20, Uint8Array.of(1));
    expect(paths.nextDeadlineMs()).toBe(60_010);
    paths.handleTimer(60_010);
    expect([closed, paths.nextDeadlineMs()]).toEqual([[2], 60_020]);
  });

  it("are bounded: the one that was used longest ago goes", () => {
    const closed: number[] = [];
    const paths = new OpenPaths({ openPath: () => true, closePath: (id) => void closed.push(((id[0] ?? 0) << 8) | (id[1] ?? 0)), allowShortcut: () => undefined });
    for (let i = 0; i < MAX_OPEN_PATHS + 2; i += 1) {
      paths.use(i, Uint8Array.of(i >> 8, i & 0xff));
      paths.use(i, Uint8Array.of(0, 0));
    }
    expect(closed).toEqual([1, 2]);
  });
});

describe("drops, counted", () => {
  it("what is for nobody here, of another kind, of another version, cut off, or nothing at all", () => {
    const [program] = overlay(1);
    const id = insert(program);
    const from = makeLocator(Uint8Array.of(203, 0, 113, 9), 5610);
    const packet = (payloadKind: number, to: Uint8Array): Uint8Array => encodeDataHeader({ flags: 0, hopLimit: 3, copyBudget: 1, payloadKind, nonce: filled(8, 1), ids: [to] });
    const whole = packet(PAYLOAD_KIND.native, id);
    const rows: readonly Uint8Array[] = [packet(PAYLOAD_KIND.native, filled(32, 9)), packet(PAYLOAD_KIND.ipPacket, id), Uint8Array.of(0x12, 0, 0), whole.subarray(0, 40), new Uint8Array(0), Uint8Array.of(0x33, 1), Uint8Array.of(0, 0, 0, 0, 59), Uint8Array.of(0xff)];
    for (const bytes of rows) program.core.handleDatagram(world.nowMs, from, bytes);
    expect(program.core.counters).toMatchObject({ received: 0, unknownId: 1, otherKind: 3, malformed: 3 });
    program.core.handleDatagram(world.nowMs, from, whole);
    expect(program.core.counters.received).toBe(1);
  });

  it("what is sent while no server answers", () => {
    const program = new ProgramNode(world, "203.0.113.1", []);
    expect(program.send([filled(32, 1)], "to nobody")).toBe(false);
    expect(program.core.counters).toMatchObject({ sent: 0, noServer: 1 });
  });
});

describe("what goes on", () => {
  it("after a move: the triggers are at the new address as soon as they are renewed, and after a refresh by themselves", () => {
    const [receiver, sender] = overlay(2);
    const id = insert(receiver);
    world.run(1_000);
    receiver.moveTo("203.0.113.7");
    receiver.core.client.renewTriggers(world.nowMs);
    world.run(200);
    sender.send([id], "told");
    world.run(100);
    receiver.moveTo("203.0.113.8"); // nobody noticed: a NAT, for one
    world.run(6_000);
    sender.send([id], "found");
    world.run(100);
    expect(receiver.texts()).toEqual(["told", "found"]);
  });

  // Last: it is missing then.
  it("after the death of the trigger's server: messages arrive again", () => {
    const [receiver, sender] = overlay(2);
    const id = insert(receiver);
    world.run(2_000);
    const server = receiver.core.client.triggers(world.nowMs)[0]?.server;
    const dead = ring.find(({ locator }) => server !== undefined && server !== null && sameLocator(locator, server));
    expect(dead).toBeDefined();
    if (dead !== undefined) dead.down = true;
    const startMs = world.nowMs;
    world.run(15_000, () => {
      if (world.nowMs % 100 === 0) sender.send([id], "again");
      return receiver.heard.length > 0;
    });
    process.stdout.write(`    messages arrive again after ${world.nowMs - startMs} ms\n`);
    expect(receiver.heard.length).toBeGreaterThan(0);
  });
});
