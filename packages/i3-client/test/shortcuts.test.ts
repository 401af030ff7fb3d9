/** Shortcuts (docs/wire.md §5.1; paper §5.2) between native programs on real server cores, in virtual time: who gets one, how they end, and what forgers get. */
import { decodeControl, encodeControl, groupId, locatorText, makeLocator, privateId, sameLocator, SUFFIX_BYTES, type ControlMessage, type Locator } from "@i3/common";
import { classifyDatagram, DATA_FLAG, decodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { certifyMember, generateTriggerKey, signShortcut, type TriggerKey } from "@i3/hip";
import { afterEach, beforeAll, describe, expect, it } from "vitest";

import { World } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { ProgramNode } from "./program/program-node.js";

const END_S = 1_900_000_000;
const EVERY_MS = 50;
/** As of carried packets: 0.4 s, and six questions of 0.14 s. */
const DEATH_MS = 1_300;
const PROVE_BYTES = 288;
const PROVE_TRIES = 3;

/** One ring for all tests; each has machines of its own. */
const world = new World({ delayMs: 10, seed: "shortcuts" });
const ring = world.ring(4);
let machines = 0;
beforeAll(() => world.run(12_000)); // joined, and claimed
afterEach(() => {
  for (const [key, node] of world.nodes) if (!ring.includes(node)) world.nodes.delete(key);
  world.wire.length = 0;
});

const newAddress = (): string => `198.51.${100 + Math.floor((machines += 1) / 200)}.${1 + (machines % 200)}`;
function program(): ProgramNode {
  return new ProgramNode(world, newAddress(), ring);
}

function insert(receiver: ProgramNode, shortcut = true, key = generateTriggerKey(), suffix = 1): Uint8Array {
  const id = privateId(key.prefix, filled(SUFFIX_BYTES, suffix));
  receiver.listen(id);
  receiver.core.client.insertTrigger(world.nowMs, id, { kind: "private", key }, { shortcut });
  return id;
}

function say(sender: ProgramNode, id: Uint8Array, text: string, shortcut = true): void {
  sender.core.send(world.nowMs, [id], new TextEncoder().encode(text), { shortcut });
  sender.flush();
}

/** A packet to the id now and then. */
function talk(sender: ProgramNode, id: Uint8Array, forMs: number, shortcut = true): number {
  let sent = 0;
  for (const endMs = world.nowMs + forMs; world.nowMs < endMs; world.run(EVERY_MS)) say(sender, id, `${(sent += 1)} at ${world.nowMs}`, shortcut);
  return sent;
}

function pair(shortcut = true): { readonly sender: ProgramNode; readonly receiver: ProgramNode; readonly id: Uint8Array } {
  const [receiver, sender] = [program(), program()];
  world.run(1_000);
  const id = insert(receiver, shortcut);
  world.run(1_000);
  return { sender, receiver, id };
}

/** With a shortcut in use. */
function shortPair(): ReturnType<typeof pair> {
  const made = pair();
  talk(made.sender, made.id, 1_000);
  expect(made.sender.core.client.shortcutOf(made.id)).toEqual(made.receiver.node.locator);
  return made;
}

type Sent = (typeof world.wire)[number];
const since = (ms: number): readonly Sent[] => world.wire.filter(({ atMs }) => atMs >= ms);
const isTo = ({ address }: Locator) => ({ to }: Sent): boolean => to.address.every((byte, i) => byte === address[i]);
const isFrom = ({ address }: Locator) => ({ from }: Sent): boolean => from.address.every((byte, i) => byte === address[i]);
const controlOf = ({ bytes }: Sent): ControlMessage | null => (classifyDatagram(bytes[0] ?? 0, bytes.length) === "control" ? decodeControl(bytes).message : null);
const typeOf = (sent: Sent): string => controlOf(sent)?.type ?? "";
const isData = (kind: number) => ({ bytes }: Sent): boolean => classifyDatagram(bytes[0] ?? 0, bytes.length) === "data" && decodeDataHeader(bytes).header.payloadKind === kind;
/** Where a program's packets went. */
const wentTo = (sender: ProgramNode, sinceMs: number): readonly string[] => [...new Set(since(sinceMs).filter(isFrom(sender.node.locator)).filter(isData(PAYLOAD_KIND.native)).map(({ to }) => locatorText(to)))];
const countOf = (type: string, sinceMs: number): number => since(sinceMs).filter((sent) => typeOf(sent) === type).length;
const serverOf = (holder: ProgramNode, id: Uint8Array) => {
  const server = holder.core.client.triggers(world.nowMs).find((trigger) => trigger.id.every((byte, i) => byte === id[i]))?.server;
  const node = ring.find(({ locator }) => server !== undefined && server !== null && sameLocator(locator, server));
  if (node === undefined) throw new Error("no server holds the trigger");
  return node;
};
const lossOf = (receiver: ProgramNode, sent: number): number => sent - new Set(receiver.texts()).size;

/** The sender's question to the server, just sent; its nonce. */
function asked(sender: ProgramNode, id: Uint8Array): { readonly to: Locator; readonly nonce: Uint8Array } {
  const before = world.wire.length;
  const question = (): Sent | undefined => world.wire.slice(before).find((sent) => isFrom(sender.node.locator)(sent) && isData(PAYLOAD_KIND.nothing)(sent));
  say(sender, id, "a question follows");
  world.run(20_000, () => question() !== undefined);
  const found = question();
  if (found === undefined) throw new Error("no question");
  return { to: found.to, nonce: decodeDataHeader(found.bytes).header.nonce };
}
const tell = (to: ProgramNode, from: Locator, message: ControlMessage, nonce: Uint8Array): void => world.inject(to.node, { udp: { from, bytes: encodeControl(message, nonce) } });

describe("with consent of", () => {
  it("both, packets go straight to the receiver, and nothing of them through i3", () => {
    const { sender, receiver, id } = pair();
    let sent = talk(sender, id, 1_000);
    const startMs = world.nowMs;
    sent += talk(sender, id, 2_000);
    world.run(100);
    expect(wentTo(sender, startMs)).toEqual([locatorText(receiver.node.locator)]);
    expect(lossOf(receiver, sent)).toBe(0);
    expect(receiver.heard.length).toBe(sent);
    expect(sender.events.filter(({ kind }) => kind === "shortcut")).toEqual([{ kind: "shortcut", id, target: receiver.node.locator }]);
    expect(sender.core.counters.straight).toBeGreaterThanOrEqual(40);
    expect(receiver.core.client.counters.unexpected + sender.core.client.counters.unexpected).toBe(0);
  });

  it.each([["the receiver alone", true, false], ["the sender alone", false, true], ["neither", false, false]])("%s, nobody is told an address: packets stay on i3", (_, receivers, senders) => {
    const { sender, receiver, id } = pair(receivers);
    const startMs = world.nowMs;
    const sent = talk(sender, id, 15_000, senders);
    world.run(100);
    expect(lossOf(receiver, sent)).toBe(0);
    expect([countOf("SHORTCUT", startMs), countOf("PROVE", startMs)]).toEqual([0, 0]);
    expect(since(startMs).filter(isFrom(sender.node.locator)).filter(isTo(receiver.node.locator))).toEqual([]);
    expect(since(startMs).filter(isFrom(receiver.node.locator)).filter(isTo(sender.node.locator))).toEqual([]);
    // The sender's consent is in a packet with CACHE_REQUEST, and nowhere without it.
    const allowed = since(startMs).filter(isFrom(sender.node.locator)).filter(({ bytes }) => bytes[0] === 0x11 && ((bytes[1] ?? 0) & DATA_FLAG.shortcutOk) !== 0);
    expect(allowed.length > 0).toBe(senders);
    expect(allowed.length).toBeLessThan(10);
  });

  it("both for some packets alone: each that may not goes over i3", () => {
    const { sender, receiver, id } = shortPair();
    const startMs = world.nowMs;
    talk(sender, id, 500, false);
    expect(wentTo(sender, startMs)).toEqual([locatorText(serverOf(receiver, id).locator)]);
    talk(sender, id, 2_000, true);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });
});

describe("a shortcut in use", () => {
  it("goes on as long as packets do, asked for again before its 30 s end", () => {
    const { sender, receiver, id } = shortPair();
    const startMs = world.nowMs;
    talk(sender, id, 95_000);
    expect(wentTo(sender, startMs)).toEqual([locatorText(receiver.node.locator)]);
    const asks = since(startMs).filter(isFrom(sender.node.locator)).filter(isData(PAYLOAD_KIND.nothing)).length;
    expect(asks).toBeGreaterThanOrEqual(4);
    expect(asks).toBeLessThanOrEqual(6);
    expect(countOf("PROVE", startMs)).toBe(0);
  }, 30_000);

  it("ends after 30 s when no server says so any more", () => {
    const { sender, receiver, id } = shortPair();
    ring.forEach((server) => (server.down = true));
    talk(sender, id, 15_000);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
    talk(sender, id, 18_000);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    ring.forEach((server) => (server.down = false));
    world.run(60_000);
  }, 30_000);

  it("ends within its liveness time when the receiver moves, and leads to the new address later", () => {
    const { sender, receiver, id } = shortPair();
    const before = receiver.heard.length;
    const movedMs = world.nowMs;
    receiver.moveTo(newAddress());
    receiver.core.client.renewTriggers(world.nowMs);
    const arrived = (): boolean => receiver.heard.length > before;
    for (let i = 0; i < 500 && !arrived(); i += 1) {
      if (i % 5 === 0) say(sender, id, `again ${i}`);
      world.run(10);
    }
    process.stdout.write(`    after a move messages arrive again after ${world.nowMs - movedMs} ms\n`);
    expect(arrived()).toBe(true);
    expect(world.nowMs - movedMs).toBeLessThan(DEATH_MS + 100);
    talk(sender, id, 3_000);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });

  it("ends at once when a receiver with two addresses has moved to the other, and the old one still answers", () => {
    const { sender, receiver, id } = shortPair();
    const old = receiver.node;
    receiver.moveTo(newAddress());
    world.nodes.set("old", old); // its engine is the program's still
    receiver.core.client.renewTriggers(world.nowMs);
    receiver.flush();
    talk(sender, id, 1_000);
    expect(sender.events.filter((event) => event.kind === "shortcut" && event.target === null)).toHaveLength(1);
    talk(sender, id, 2_000);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
    world.nodes.delete("old");
  });

  it("ends when the receiver dies, and packets go over i3, where they are known not to be wanted in the end", () => {
    const { sender, receiver, id } = shortPair();
    const server = serverOf(receiver, id);
    receiver.node.down = true;
    const diedMs = world.nowMs;
    talk(sender, id, DEATH_MS + 100);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    const backMs = world.nowMs;
    talk(sender, id, 2_000);
    expect(wentTo(sender, backMs)).toEqual([locatorText(server.locator)]);
    talk(sender, id, 35_000);
    expect(sender.events.map(({ kind }) => kind)).toContain("not-present");
    // It was asked for a proof once in a minute, not more.
    expect(since(diedMs).filter(isTo(receiver.node.locator)).filter((sent) => typeOf(sent) === "PROVE").length).toBeLessThanOrEqual(PROVE_TRIES);
  }, 30_000);

  it.each<[string, (receiver: ProgramNode, id: Uint8Array, key: TriggerKey) => void]>([
    ["removes its trigger", (receiver, id) => receiver.core.client.removeTrigger(world.nowMs, id)],
    ["allows it no more", (receiver, id, key) => receiver.core.client.insertTrigger(world.nowMs, id, { kind: "private", key })],
  ])("ends when the receiver %s", (_, act) => {
    const [receiver, sender] = [program(), program()];
    const key = generateTriggerKey();
    world.run(1_000);
    const id = insert(receiver, true, key);
    world.run(1_000);
    talk(sender, id, 1_000);
    expect(sender.core.client.shortcutOf(id)).not.toBeNull();
    act(receiver, id, key);
    receiver.flush();
    talk(sender, id, DEATH_MS + 100);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    const startMs = world.nowMs;
    talk(sender, id, 15_000);
    expect(countOf("SHORTCUT", startMs)).toBe(0);
    expect(since(startMs).filter(isFrom(sender.node.locator)).filter(isTo(receiver.node.locator)).filter((sent) => typeOf(sent) !== "")).toEqual([]);
  });

  it.each(["CACHE", "NOT_PRESENT"] as const)("ends at once when the responsible server says %s", (type) => {
    const { sender, id } = shortPair();
    const { to, nonce } = asked(sender, id);
    expect(sender.core.client.shortcutOf(id)).not.toBeNull();
    tell(sender, to, type === "CACHE" ? { type, ringKey: id.slice(0, 16), node: { key: filled(16, 1), locator: to }, lifeMs: 30_000 } : { type, id }, nonce);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
  });

  it("ends at once when the sender moves, and comes again from the new address", () => {
    const { sender, receiver, id } = shortPair();
    sender.moveTo(newAddress());
    sender.core.client.renewTriggers(world.nowMs);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    const before = receiver.heard.length;
    const sent = talk(sender, id, 3_000);
    world.run(100);
    expect(receiver.heard.length - before).toBe(sent);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });

  it("ends with the path, and nobody is asked any more", () => {
    const { sender, id } = shortPair();
    world.run(61_000);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    const startMs = world.nowMs;
    world.run(30_000);
    expect(since(startMs).filter(isFrom(sender.node.locator)).filter((sent) => isData(PAYLOAD_KIND.nothing)(sent) || ["PROBE", "PROVE"].includes(typeOf(sent)))).toEqual([]);
  });
});

describe("triggers of a group", () => {
  function join(receiver: ProgramNode, group: TriggerKey, id: Uint8Array): void {
    const key = generateTriggerKey();
    receiver.core.receivers.set(id, (message) => receiver.heard.push(message));
    receiver.core.client.joinGroup(world.nowMs, id, certifyMember(group, key.publicKey, END_S), key, { shortcut: true });
  }

  it("at one id give none (multicast)", () => {
    const group = generateTriggerKey();
    const id = groupId(group.publicKey, filled(SUFFIX_BYTES, 1));
    const [a, b, sender] = [program(), program(), program()];
    world.run(1_000);
    for (const member of [a, b]) join(member, group, id);
    world.run(1_000);
    const startMs = world.nowMs;
    const sent = talk(sender, id, 12_000);
    world.run(100);
    expect([a, b].map((member) => lossOf(member, sent))).toEqual([0, 0]);
    expect([countOf("SHORTCUT", startMs), countOf("PROVE", startMs)]).toEqual([0, 0]);
    // What asks is no burden for the group.
    const questions = since(startMs).filter(isFrom(sender.node.locator)).filter(isData(PAYLOAD_KIND.nothing));
    expect(questions.map(({ bytes }) => decodeDataHeader(bytes).header.copyBudget)).toEqual(questions.map(() => 1));
  });

  it("at several give that of the member who is served (anycast), who proves it by its certificate", () => {
    const group = generateTriggerKey();
    const [near, far, sender] = [program(), program(), program()];
    const at = (suffix: number): Uint8Array => groupId(group.publicKey, filled(SUFFIX_BYTES, suffix));
    world.run(1_000);
    join(near, group, at(0x41));
    join(far, group, at(0x80));
    for (const member of [near, far]) member.core.receivers.set(at(0x40), (message) => member.heard.push(message));
    world.run(1_000);
    talk(sender, at(0x40), 2_000);
    expect(sender.core.client.shortcutOf(at(0x40))).toEqual(near.node.locator);
    expect([near.heard.length > 0, far.heard.length]).toEqual([true, 0]);
  });
});

it("are looked for by 256 ids at a time; packets to others stay on i3", () => {
  const sender = program();
  world.run(1_000);
  const ids = Array.from({ length: 300 }, () => world.random(32));
  for (const id of ids) expect(sender.core.client.openPath(id, { shortcut: true })).toBe(true);
  const startMs = world.nowMs;
  world.run(3_000);
  const questions = since(startMs).filter(isFrom(sender.node.locator)).filter(isData(PAYLOAD_KIND.nothing));
  expect(new Set(questions.map(({ bytes }) => Buffer.from(decodeDataHeader(bytes).header.ids[0] ?? []).toString("hex"))).size).toBe(256);
});

describe("a NAT", () => {
  function natted(which: "sender" | "receiver", how: (node: ProgramNode["node"]) => void) {
    const [receiver, sender] = [program(), program()];
    how((which === "sender" ? sender : receiver).node);
    world.run(1_000);
    const id = insert(receiver);
    world.run(1_000);
    const startMs = world.nowMs;
    const sent = talk(sender, id, 70_000);
    world.run(100);
    return { sender, receiver, id, sent, startMs };
  }

  it("that lets only the servers in gives none: the path check fails, is not tried again for a minute, and no packet is lost", () => {
    const { sender, receiver, id, sent, startMs } = natted("receiver", (node) => (node.symmetric = new Map()));
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    expect(lossOf(receiver, sent)).toBe(0);
    expect(countOf("SHORTCUT", startMs)).toBeGreaterThan(0);
    expect(since(startMs).filter(isFrom(sender.node.locator)).filter((sent) => typeOf(sent) === "PROVE").length).toBeLessThanOrEqual(2 * PROVE_TRIES);
    expect(sender.core.client.shortcutCounters.failed).toBeGreaterThan(0);
  }, 30_000);

  it("that lets everybody in gives one, to its own address and port", () => {
    const { sender, receiver, id } = natted("receiver", (node) => (node.natPort = 40_123));
    expect(sender.core.client.shortcutOf(id)).toEqual(makeLocator(receiver.node.locator.address, 40_123));
  }, 30_000);

  it("of the sender's is none of the receiver's business", () => {
    const { sender, receiver, id, sent } = natted("sender", (node) => (node.symmetric = new Map()));
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
    expect(lossOf(receiver, sent)).toBe(0);
  }, 30_000);
});

describe("of forgeries nothing is taken:", () => {
  const victim = makeLocator(Uint8Array.of(203, 0, 113, 66), 5_610);
  const toVictim = (sinceMs: number): readonly Sent[] => since(sinceMs).filter(isTo(victim));

  it("SHORTCUT with another nonce, from another address, of another id, or a second time", () => {
    const { sender, id } = pair(false);
    const { to, nonce } = asked(sender, id);
    const startMs = world.nowMs;
    const stranger = makeLocator(Uint8Array.of(203, 0, 113, 67), 5_610);
    const other = ring.find(({ locator }) => !sameLocator(locator, to))?.locator ?? stranger;
    const message = { type: "SHORTCUT", id, target: victim } as const;
    const before = sender.core.client.counters.unexpected;
    tell(sender, to, message, filled(8, 7));
    for (const from of [stranger, other, victim, makeLocator(to.address, to.port + 1)]) tell(sender, from, message, nonce);
    tell(sender, to, { ...message, id: filled(32, 7) }, nonce);
    world.run(50); // the server has answered
    tell(sender, to, message, nonce);
    expect(sender.core.client.counters.unexpected - before).toBe(7);
    talk(sender, id, 5_000);
    expect([toVictim(startMs).length, sender.core.client.shortcutOf(id)]).toEqual([0, null]);
  });

  it("an old SHORTCUT, from before the receiver moved", () => {
    const { sender, receiver, id } = shortPair();
    const [old] = world.wire.filter(isTo(sender.node.locator)).filter((sent) => typeOf(sent) === "SHORTCUT");
    receiver.moveTo(newAddress());
    receiver.core.client.renewTriggers(world.nowMs);
    talk(sender, id, 3_000);
    const startMs = world.nowMs;
    for (let i = 0; i < 20; i += 1) {
      if (old !== undefined) world.inject(sender.node, { udp: { from: old.from, bytes: old.bytes } });
      talk(sender, id, 1_000);
    }
    expect(old).toBeDefined();
    expect(wentTo(sender, startMs)).toEqual([locatorText(receiver.node.locator)]);
  });

  it("by who reads the wire and writes in the server's name: the victim that he names gets three questions in a minute, whatever the ids", () => {
    const [receiver, sender] = [program(), program()];
    const bystander = new ProgramNode(world, "203.0.113.66", ring);
    world.run(1_000);
    insert(bystander);
    const ids = Array.from({ length: 10 }, () => insert(receiver, false));
    world.run(1_000);
    const startMs = world.nowMs;
    let [told, seen] = [0, world.wire.length];
    for (let i = 0; i < 6_000; i += 1, world.run(10)) {
      if (i % 20 === 0) for (const id of ids) say(sender, id, "");
      const fresh = world.wire.slice(seen);
      seen = world.wire.length;
      // Each question is answered before the server can.
      for (const { to, bytes } of fresh.filter(isFrom(sender.node.locator)).filter(isData(PAYLOAD_KIND.nothing))) {
        const { nonce, ids: [id] } = decodeDataHeader(bytes).header;
        told += 1;
        tell(sender, to, { type: "SHORTCUT", id: id ?? nonce, target: victim }, nonce);
      }
    }
    const got = toVictim(startMs).filter(isFrom(sender.node.locator));
    const bytes = got.reduce((sum, sent) => sum + sent.bytes.length, 0);
    process.stdout.write(`    ${told} lies in the server's name: ${got.length} datagrams, ${bytes} bytes to the victim in 60 s; taken 0\n`);
    expect(told).toBeGreaterThan(20);
    expect(got.every((sent) => typeOf(sent) === "PROVE")).toBe(true);
    expect(bytes).toBeLessThanOrEqual(PROVE_TRIES * PROVE_BYTES);
    expect(ids.map((id) => sender.core.client.shortcutOf(id))).toEqual(ids.map(() => null));
    expect(bystander.heard).toEqual([]);
    expect(since(startMs).filter(isFrom(victim)).filter(isTo(sender.node.locator))).toEqual([]);
  }, 60_000);

  it("addresses that are no one host's, or this machine's own", () => {
    const { sender, id } = pair(false);
    const startMs = world.nowMs;
    const bad = [[224, 0, 0, 1], [255, 255, 255, 255], [0, 0, 0, 0], [127, 0, 0, 1]].map((address) => makeLocator(Uint8Array.from(address), 5_610));
    for (const target of bad) {
      const { to, nonce } = asked(sender, id);
      tell(sender, to, { type: "SHORTCUT", id, target }, nonce);
    }
    expect(sender.core.client.shortcutCounters.failed).toBe(bad.length);
    expect(countOf("PROVE", startMs)).toBe(0);
  }, 30_000);

  it("proofs that one in between passes on, makes with his own key, or has recorded", () => {
    const { sender, receiver, id } = pair();
    const thief = makeLocator(Uint8Array.of(203, 0, 113, 68), 5_610);
    const { to, nonce } = asked(sender, id);
    const startMs = world.nowMs;
    tell(sender, to, { type: "SHORTCUT", id, target: thief }, nonce);
    world.run(0);
    const questions = (): readonly Sent[] => since(startMs).filter((sent) => isTo(thief)(sent) && typeOf(sent) === "PROVE");
    const [question] = questions();
    if (question === undefined) throw new Error("no question");
    const asker = decodeControl(question.bytes).nonce;
    // He asks the holder in the sender's name, and reads the answer.
    world.inject(receiver.node, { udp: { from: sender.node.locator, bytes: question.bytes } });
    const passed = since(startMs).filter(isFrom(receiver.node.locator)).find((sent) => typeOf(sent) === "PROOF");
    if (passed === undefined) throw new Error("no proof");
    const proof = controlOf(passed);
    const own = signShortcut({ kind: "private", key: generateTriggerKey() }, { id, nonce: asker, target: thief, token: filled(16, 1) });
    if (proof?.type !== "PROOF") throw new Error("no proof");
    for (const message of [proof, own, { ...own, publicKey: proof.publicKey }, { ...proof, token: filled(16, 1) }]) tell(sender, thief, message, asker);
    // The real one is not from where it was asked for.
    tell(sender, receiver.node.locator, proof, asker);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
    world.run(100);
    expect(wentTo(sender, startMs)).not.toContain(locatorText(thief));
    talk(sender, id, 12_000); // and later the right one is found
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });

  it("the word of a host that has come to the receiver's address", () => {
    const { sender, receiver, id } = shortPair();
    const { locator } = receiver.node;
    receiver.moveTo(newAddress());
    receiver.core.client.renewTriggers(world.nowMs);
    receiver.flush();
    const startMs = world.nowMs;
    const probe = (): Sent | undefined => since(startMs).find((sent) => isTo(locator)(sent) && typeOf(sent) === "PROBE");
    world.run(2_000, () => probe() !== undefined);
    const question = probe();
    if (question === undefined) throw new Error("no question");
    tell(sender, locator, { type: "PROBED", id, token: filled(16, 9) }, decodeControl(question.bytes).nonce);
    expect(sender.core.client.shortcutOf(id)).toBeNull();
  });
});

describe("what it costs the receiver", () => {
  const strangerAt = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, 114 + (n >> 8), n & 0xff), 5_610);
  const ask = (type: "PROVE" | "PROBE", id: Uint8Array, n: number): Uint8Array => encodeControl({ type, id }, Uint8Array.of(0, 0, 0, 0, n >> 24, n >> 16, n >> 8, n));

  it("answers are never larger than what asks, and only for ids with consent", () => {
    const { receiver, id } = pair();
    const hidden = insert(receiver, false);
    world.run(1_000);
    const startMs = world.nowMs;
    const before = receiver.core.client.counters.unexpected;
    for (const [i, subject] of [hidden, filled(32, 1), Uint8Array.from(id, (byte, at) => (at === 31 ? byte ^ 1 : byte))].entries()) {
      for (const type of ["PROVE", "PROBE"] as const) world.inject(receiver.node, { udp: { from: strangerAt(i), bytes: ask(type, subject, i) } });
    }
    expect(since(startMs).filter(isFrom(receiver.node.locator)).filter((sent) => isTo(strangerAt(0))(sent) || isTo(strangerAt(1))(sent) || isTo(strangerAt(2))(sent))).toEqual([]);
    expect(receiver.core.client.counters.unexpected - before).toBe(6);
    for (const [type, answer] of [["PROVE", "PROOF"], ["PROBE", "PROBED"]] as const) {
      const question = ask(type, id, 9);
      world.inject(receiver.node, { udp: { from: strangerAt(9), bytes: question } });
      const [reply] = since(startMs).filter(isTo(strangerAt(9))).filter((sent) => typeOf(sent) === answer);
      expect(reply?.bytes.length).toBeLessThanOrEqual(question.length);
    }
  });

  it("questions that are shorter than their answers could be get none", () => {
    const { receiver, id } = pair();
    const { counters } = receiver.core.client;
    const [startMs, before] = [world.nowMs, counters.malformed];
    for (const [i, type] of (["PROVE", "PROBE"] as const).entries()) {
      const whole = ask(type, id, 20 + i);
      for (const bytes of [51, whole.length - 1, whole.length]) world.inject(receiver.node, { udp: { from: strangerAt(20 + i), bytes: whole.subarray(0, bytes) } });
      expect(since(startMs).filter(isTo(strangerAt(20 + i))).length).toBe(1);
    }
    expect(counters.malformed - before).toBe(4);
  });

  it("of a flood of PROBEs from one address 640 are answered, and who has a shortcut keeps it", () => {
    const { sender, receiver, id } = shortPair();
    const [startMs, before] = [world.nowMs, receiver.core.client.shortcutCounters.proofsRefused];
    for (let i = 0; i < 2_000; i += 1) world.inject(receiver.node, { udp: { from: strangerAt(30), bytes: ask("PROBE", id, i) } });
    expect(since(startMs).filter(isTo(strangerAt(30))).length).toBe(640);
    expect(receiver.core.client.shortcutCounters.proofsRefused - before).toBe(1_360);
    talk(sender, id, 3_000);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });

  it("of a flood of questions, from one address and from many, few are signed for, and who has a shortcut keeps it", () => {
    const { sender, receiver, id } = shortPair();
    const startMs = world.nowMs;
    for (let i = 0; i < 2_000; i += 1) world.inject(receiver.node, { udp: { from: strangerAt(1), bytes: ask("PROVE", id, i) } });
    const one = since(startMs).filter((sent) => typeOf(sent) === "PROOF").length;
    for (let i = 0; i < 2_000; i += 1) world.inject(receiver.node, { udp: { from: strangerAt(i % 500), bytes: ask("PROVE", id, i) } });
    const all = since(startMs).filter((sent) => typeOf(sent) === "PROOF").length;
    process.stdout.write(`    4,000 questions at once: ${one} signatures for one address, ${all} in all\n`);
    expect(one).toBeLessThanOrEqual(16);
    expect(all).toBeLessThanOrEqual(100);
    expect(receiver.core.client.shortcutCounters.proofsRefused).toBe(4_000 - all);
    const before = receiver.heard.length;
    const sent = talk(sender, id, 2_000);
    world.run(100);
    expect(receiver.heard.length - before).toBe(sent);
    expect(sender.core.client.shortcutOf(id)).toEqual(receiver.node.locator);
  });
});
