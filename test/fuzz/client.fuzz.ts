/**
 * Control messages of all kinds into a client that has triggers, replicas, a record, near keys, paths and a shortcut on a ring of real servers, in virtual time:
 * bytes, mutations, and well-formed lies, from strangers and from one who reads every request and answers before the server does. Nothing throws; what
 * answers nothing is counted, once; what is kept and sent stays bounded; no trigger is given up, and when the liar is silent all is as before. Runs
 * I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import {
  bytesKey, CONTROL_FIRST_BYTE, CONTROL_TYPES, decodeControl, encodeControl, groupId, isRingMessage, locatorKey, locatorText, makeLocator, privateId, RECORD_KIND, recordKey, ringKey, sameBytes, sameLocator,
  type ControlMessage, type ControlType, type Locator, type RingNode,
} from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { decodeDataHeader } from "@i3/datapath";
import { certifyMember, signRecord, signStep, triggerKeyFromSeed } from "@i3/hip";
import { expect, it } from "vitest";

import { Program } from "../../packages/i3-client/test/program.js";
import { World, type Node } from "../sim/world.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const TURNS_PER_WORLD = 1_000;
/** Longer than a trigger at a false server stays there (30 s until a witness is asked, and once more when two contradict each other), and than a refused one waits. */
const QUIET_MS = 90_000;
const END_S = 1_900_000_000;
/** 256 that were heard of, and those of the configuration. */
const MAX_SERVERS = 256 + 3;
/** Datagrams that one message, or the second or two until the next, makes a client of four triggers say. */
const MAX_SENT = 64;
const MAX_EVENTS = 64;
const TOKENS = [0x80, 0x90, 0x9f, 0xbf, 0xc0, 0xc4, 0xcf, 0xdf, 0xff];
/** Nobody is there, and no lie names it. */
const STRANGER = makeLocator(Uint8Array.of(198, 18, 0, 1), 5610);
const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

/** A request of the client's that somebody has read. */
interface Asked {
  readonly to: Locator;
  readonly nonce: Uint8Array;
  /** Null: a packet. */
  readonly message: ControlMessage | null;
}

/** What answers a request, when nobody lies. */
const ANSWER: Partial<Record<ControlType, readonly ControlType[]>> = {
  PING: ["PONG"], LOCATE: ["LOCATED"], CHALLENGE_REQUEST: ["CHALLENGE", "REFUSED"], TRIGGER: ["TRIGGER_OK", "REFUSED"], REFRESH: ["TRIGGER_OK", "CHALLENGE", "REFUSED"],
  RECORD_PUT: ["CHALLENGE", "RECORD_OK", "REFUSED"], RECORD_GET: ["RECORD_IS", "REFUSED"], PROVE: ["PROOF"], PROBE: ["PROBED"],
};

class Scene {
  readonly random: Random;
  readonly world: World;
  readonly ring: readonly Node[];
  readonly client: Program;
  readonly peer: Program;
  /** Where lies lead: answers everything, with lies. */
  readonly liar: Node;
  readonly ids: readonly Uint8Array[];
  readonly peerId: Uint8Array;
  readonly absentId: Uint8Array;
  readonly record;
  readonly sources = new Map<string, number>();
  readonly asked: Asked[] = [];
  readonly captured: Uint8Array[] = [];
  /** What the liar says more often than all else. */
  readonly favourite: ControlType;
  readonly tally = { handled: 0, unexpected: 0, malformed: 0 };
  #seen = 0;
  mostSent = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.favourite = this.random.pick(["REFUSED", "LOCATED", "CHALLENGE", "TRIGGER_OK", "RECORD_IS", "CACHE", "SHORTCUT", "NOT_PRESENT"] as const);
    this.world = new World({ seed: String(seed) });
    this.ring = this.world.ring(3);
    this.world.run(9_000);
    this.client = new Program(this.world, "198.51.100.1", this.ring);
    this.peer = new Program(this.world, "198.51.100.2", this.ring);
    this.liar = this.world.node("203.0.113.66");
    this.liar.core = { handleUpcalls: (_, upcalls) => upcalls.forEach((upcall) => upcall.kind === "control" && this.#answersFalsely(upcall.from, upcall.bytes)), handleTimer: () => undefined, deadlineMs: () => Infinity };
    const { engine } = this.client.node;
    const setKnownSource = engine.setKnownSource.bind(engine);
    engine.setKnownSource = (address, isKnown) => {
      const count = (this.sources.get(bytesKey(address)) ?? 0) + (isKnown ? 1 : -1);
      if (count === 0) this.sources.delete(bytesKey(address));
      else this.sources.set(bytesKey(address), count);
      setKnownSource(address, isKnown);
    };
    this.world.run(2_000);
    const key = () => triggerKeyFromSeed(this.world.random(32));
    const [one, two, group, member, step, peers, signer] = [key(), key(), key(), key(), key(), key(), key()] as const;
    const [first, second, source] = [one, two, step].map((each) => privateId(each.prefix, this.random.bytes(16))) as [Uint8Array, Uint8Array, Uint8Array];
    const groupsId = groupId(group.publicKey, this.random.bytes(16));
    this.peerId = privateId(peers.prefix, this.random.bytes(16));
    this.absentId = this.random.bytes(32);
    this.ids = [first, second, groupsId, source];
    const { client } = this.client;
    const nowMs = this.world.nowMs;
    for (const id of [first, second, groupsId]) this.client.listen(id);
    this.peer.listen(this.peerId);
    client.insertTrigger(nowMs, first, { kind: "private", key: one }, { shortcut: true });
    client.insertTrigger(nowMs, second, { kind: "private", key: two });
    client.joinGroup(nowMs, groupsId, certifyMember(group, member.publicKey, END_S), member);
    client.insertStack(nowMs, source, { kind: "private", key: step }, [signStep({ kind: "private", key: two }, source, second, END_S)]);
    this.peer.client.insertTrigger(nowMs, this.peerId, { kind: "private", key: peers }, { shortcut: true });
    client.openPath(this.peerId, { shortcut: true });
    client.openPath(this.absentId);
    for (const id of this.ids) this.peer.client.openPath(id);
    client.wantNearKeys(nowMs, 2);
    this.record = signRecord(signer, { kind: RECORD_KIND.name, label: "box", sequence: 1, notAfterS: END_S, value: HIT });
    client.keepRecord(nowMs, this.record.bytes);
    for (let n = 0; n < 10; n += 1) {
      this.#talk();
      this.world.run(300);
    }
    expect(this.areAllLive()).toBe(true);
    this.#read();
  }

  areAllLive(): boolean {
    return this.ids.every((id) => this.client.isLive(id));
  }

  /** Packets both ways. */
  #talk(): void {
    this.client.say(this.peerId, "to the peer");
    this.client.say(this.absentId, "to nobody");
    for (const id of this.ids) this.peer.say(id, "to the client");
  }

  /** What the client has said since the last time, as everybody on the way reads it, and what it was told. */
  #read(): number {
    const { locator } = this.client.node;
    let sent = 0;
    for (const { from, to, bytes } of this.world.wire.slice(this.#seen)) {
      if (sameLocator(to, locator)) this.captured.push(bytes);
      if (!sameLocator(from, locator)) continue;
      sent += 1;
      if (bytes[0] === CONTROL_FIRST_BYTE) {
        const { message, nonce } = decodeControl(bytes);
        this.asked.push({ to, nonce, message });
      } else this.asked.push({ to, nonce: decodeDataHeader(bytes).header.nonce, message: null });
    }
    this.#seen = this.world.wire.length;
    this.captured.splice(0, this.captured.length - 200);
    this.asked.splice(0, this.asked.length - 40);
    return sent;
  }

  locator(): Locator {
    const { random } = this;
    switch (random.below(8)) {
      case 0: return random.pick(this.ring).locator;
      case 1: return this.client.node.locator;
      case 2: return this.peer.node.locator;
      case 3: return makeLocator(random.bytes(16), random.below(65_536));
      case 4: return makeLocator(random.pick([[0, 0, 0, 0], [127, 0, 0, 1], [255, 255, 255, 255], [224, 0, 0, 1]].map((address) => Uint8Array.from(address))), random.below(65_536));
      case 5: return makeLocator(Uint8Array.of(203, 0, 113, random.below(256)), 1 + random.below(3));
      default: return this.liar.locator;
    }
  }

  node(): RingNode {
    return { key: this.random.bytes(16), locator: this.locator() };
  }

  id(about: ControlMessage | null): Uint8Array {
    const said = about !== null && "id" in about ? about.id : undefined;
    const known = [...this.ids, this.peerId, this.absentId];
    return this.random.below(3) > 0 && said !== undefined ? said : this.random.below(5) > 0 ? this.random.pick(known) : this.random.bytes(32);
  }

  ringKey(about: ControlMessage | null): Uint8Array {
    const said = about !== null && "ringKey" in about ? about.ringKey : about?.type === "RECORD_PUT" ? recordKey(this.record) : undefined;
    return this.random.below(4) > 0 && said !== undefined ? said : this.random.below(2) === 0 ? ringKey(this.id(about)) : this.random.below(2) === 0 ? recordKey(this.record) : this.random.bytes(16);
  }

  /** Well-formed, and true by chance alone. */
  lie(type: ControlType, about: ControlMessage | null): ControlMessage {
    const { random } = this;
    const [from, node, id, key] = [this.node(), this.node(), this.id(about), this.ringKey(about)];
    const someTime = (): number => random.pick([0, 1, 1_000, 30_000, 2 ** 32 - 1, this.world.wallMs()]);
    const lifeMs = random.pick([0, 1, 3_000, 30_000, 3_600_000]);
    const locator = random.below(3) === 0 ? null : this.locator();
    switch (type) {
      case "PING": case "HELLO_AGAIN": return type === "PING" ? { type } : { type, counter: random.below(20) };
      case "PONG": return { type, timeMs: someTime(), observed: this.locator(), nodeKey: random.bytes(16) };
      case "LOCATE": return { type, ringKey: key };
      case "LOCATED": return { type, ringKey: key, node };
      case "CHALLENGE_REQUEST": return { type, ringKey: key, flags: random.below(4) };
      case "CHALLENGE": return { type, ringKey: key, cookie: random.bytes(24), observed: this.locator(), timeMs: someTime(), nodeKey: random.bytes(16) };
      case "TRIGGER": {
        const asked = this.asked.find(({ message }) => message?.type === "TRIGGER")?.message;
        return asked?.type === "TRIGGER" ? { ...asked, counter: random.below(1_000) } : { type: "PING" };
      }
      case "TRIGGER_OK": return { type, action: random.below(4) === 0 ? 2 : 1, id, lifeMs, replica: locator };
      case "REFRESH": return { type, id, index: random.below(64), token: random.bytes(16), member: null };
      case "REFUSED": return { type, code: 1 + random.below(21), subject: id };
      case "NOT_PRESENT": case "PROVE": case "PROBE": return { type, id };
      case "CACHE": return { type, ringKey: key, node, lifeMs };
      case "SHORTCUT": return { type, id, target: this.locator() };
      case "PROOF": return { type, id, token: random.bytes(16), keyKind: 2, publicKey: random.bytes(32), signature: random.bytes(64) };
      case "PROBED": return { type, id, token: random.bytes(16) };
      case "CHECK": return { type, spi: random.below(2 ** 32), flags: random.below(4) };
      case "CHECKED": return { type, spi: random.below(2 ** 32), observed: this.locator() };
      case "FIND": return { type, from, ringKey: key };
      case "FOUND": return { type, from, final: random.below(2) === 0, node };
      case "ROUTE": return { type, from, ringKey: key, asker: node, last: false, hops: random.below(60), credential: random.bytes(153) };
      case "ROUTED": return { type, from, hops: random.below(60), credential: null };
      case "STATE": case "NOTIFY": case "ALIVE": case "ALIVE_YES": return { type, from };
      case "STATE_IS": return { type, from, pending: false, predecessor: null, successors: [node] };
      case "LEAVING": return { type, from, predecessor: null, successors: [node] };
      case "HELLO": case "HELLO_YES": return { type, credential: random.bytes(153) };
      case "RECORD_PUT": return { type, flags: random.below(2), cookie: random.bytes(24), record: this.record.bytes };
      case "RECORD_GET": return { type, flags: random.below(2), ringKey: key };
      case "RECORD_OK": return { type, ringKey: key, sequence: random.below(5), lifeMs, successor: locator };
      case "RECORD_IS": return { type, ringKey: key, record: random.below(4) === 0 ? null : this.someRecord(), successor: locator };
    }
  }

  /** True, with a bit of its value or its sequence another, or none. */
  someRecord(): Uint8Array {
    const { bytes } = this.record;
    const at = this.random.pick([-1, -1, bytes.length - 70, bytes.length - 100, 0]);
    return this.random.below(5) === 0 ? this.random.bytes(200) : bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
  }

  anyType(): ControlType {
    return this.random.pick(Object.keys(CONTROL_TYPES) as ControlType[]);
  }

  /** To one question, from whom it was for. */
  answerTo({ message }: Pick<Asked, "message">): ControlMessage {
    const fitting = message === null ? (["CACHE", "NOT_PRESENT", "SHORTCUT"] as const) : (ANSWER[message.type] ?? []);
    if (fitting.some((type) => type === this.favourite) && this.random.below(4) > 0) return this.lie(this.favourite, message);
    return this.lie(fitting.length > 0 && this.random.below(4) > 0 ? this.random.pick(fitting) : this.anyType(), message);
  }

  #answersFalsely(from: Locator, bytes: Uint8Array): void {
    if (bytes[0] !== CONTROL_FIRST_BYTE || !sameLocator(from, this.client.node.locator)) return;
    const { message, nonce } = decodeControl(bytes);
    const truth = message.type === "PING" ? ({ type: "PONG", timeMs: this.world.wallMs(), observed: from, nodeKey: this.random.bytes(16) } as const) : null;
    const answer = truth !== null && this.random.below(3) > 0 ? truth : this.answerTo({ message });
    if (this.random.below(4) > 0 && !isRingMessage(answer.type)) this.liar.engine.send([{ locator: from, bytes: encodeControl(answer, nonce) }]);
  }

  /** Gives it to the client. `mustCount`: it answers nothing. */
  hears(from: Locator, bytes: Uint8Array, mustCount: boolean): void {
    const { client, node, events } = this.client;
    const [counters, before, events0] = [client.counters, { ...client.counters }, events.length];
    node.core?.handleUpcalls(this.world.nowMs, [{ kind: "control", from, bytes }]);
    const [malformed, unexpected] = [counters.malformed - before.malformed, counters.unexpected - before.unexpected];
    if (mustCount) expect(malformed + unexpected, "not counted").toBe(1);
    expect(malformed + unexpected, "counted twice").toBeLessThanOrEqual(1);
    this.tally.malformed += malformed;
    this.tally.unexpected += unexpected;
    this.tally.handled += 1 - malformed - unexpected;
    this.world.inject(node, {});
    this.check(events0);
  }

  check(eventsBefore: number): void {
    const { client, events } = this.client;
    this.mostSent = Math.max(this.mostSent, this.#read());
    expect(events.length - eventsBefore, "events").toBeLessThanOrEqual(MAX_EVENTS);
    for (const event of events.slice(eventsBefore)) if (event.kind === "record" && event.record !== null) expect(event.record.bytes, "a record that nobody signed").toEqual(this.record.bytes);
    expect(client.servers().length, "servers").toBeLessThanOrEqual(MAX_SERVERS);
    expect(this.sources.size, "known sources").toBeLessThanOrEqual(MAX_SERVERS + 1);
    expect([...this.sources.values()].every((count) => count > 0), "a source forgotten twice").toBe(true);
    expect(client.triggers(this.world.nowMs).map(({ id }) => bytesKey(id)).toSorted(), "triggers").toEqual(this.ids.map((id) => bytesKey(id)).toSorted());
    expect(this.mostSent, "datagrams").toBeLessThanOrEqual(MAX_SENT);
    expect(client.clocks().every(({ aheadMs }) => Number.isFinite(aheadMs ?? 0))).toBe(true);
  }

  /** Whether a client that holds this id for shortcuts answers it, whoever asks. */
  #isAnswered({ type, ...message }: ControlMessage): boolean {
    return (type === "PROVE" || type === "PROBE") && "id" in message && sameBytes(message.id, this.ids[0] as Uint8Array);
  }

  turn(): void {
    const { random, asked } = this;
    const kind = random.below(20);
    if (kind === 0) {
      this.#talk();
      this.client.client.takeNearKey(this.world.nowMs);
    }
    if (kind === 1) return this.#looksForRecord();
    if (kind < 3) {
      const before = this.client.events.length;
      this.world.run(random.below(400));
      this.check(before);
      return;
    }
    if (kind === 3) return this.hears(random.pick([this.locator(), STRANGER]), random.bytes(random.below(120)), false);
    if (kind === 4 && this.captured.length > 0) return this.hears(random.pick(this.ring).locator, mutated(random, random.pick(this.captured), TOKENS), false);
    if (kind < 7 || asked.length === 0) {
      // A nonce by chance.
      const message = this.lie(this.anyType(), null);
      return this.hears(random.pick([...this.ring, this.peer.node]).locator, encodeControl(message, random.bytes(8)), !this.#isAnswered(message));
    }
    const question = kind > 9 ? this.#freshQuestion() : random.pick(asked);
    const message = this.answerTo(question);
    const bytes = encodeControl(message, question.nonce);
    // From another than was asked.
    if (kind < 9) return this.hears(STRANGER, bytes, !this.#isAnswered(message));
    if (kind === 9) return this.hears(question.to, mutated(random, bytes, TOKENS), false);
    this.hears(question.to, bytes, false);
  }

  /** One that nobody has answered yet: the client has just asked it. */
  #freshQuestion(): Asked {
    const { world, client, asked } = this;
    const before = client.events.length;
    world.run(2_000, () => world.wire.slice(this.#seen).some(({ from }) => sameLocator(from, client.node.locator)));
    this.check(before);
    return asked[asked.length - 1 - this.random.below(Math.min(3, asked.length))] as Asked;
  }

  #looksForRecord(): void {
    this.client.client.findRecord(this.world.nowMs, recordKey(this.record));
    for (let n = 0; n < 5; n += 1) {
      this.#freshQuestion();
      const question = this.asked.slice(-3).find(({ message }) => message?.type === "RECORD_GET");
      if (question !== undefined) return this.hears(question.to, encodeControl(this.answerTo(question), question.nonce), false);
    }
  }

  /** The liar goes; then everything must be as it was. */
  recovers(): void {
    this.liar.down = true;
    for (let ms = 0; ms < QUIET_MS; ms += 500) {
      this.world.run(500);
      if (ms % 5_000 === 0) this.#talk();
    }
    const places = this.ring.map(({ locator }) => locatorText(locator));
    for (const id of this.ids) {
      expect(this.client.isLive(id), "live").toBe(true);
      expect(places, "its server").toContain(this.client.serverOf(id));
    }
    const before = [said(this.client), said(this.peer)];
    this.#talk();
    this.world.run(1_000);
    // Both triggers to ourselves, the group's, and the one along a step.
    const [heard, peerHeard] = [said(this.client), said(this.peer)];
    expect(heard - (before[0] ?? 0), "packets to the client").toBe(this.ids.length);
    expect(peerHeard - (before[1] ?? 0), "packets to the peer").toBe(1);
    const straight = this.client.client.shortcutOf(this.peerId);
    if (straight !== null) expect(locatorKey(straight)).toBe(locatorKey(this.peer.node.locator));
  }
}

/** Packets that it heard, without those that ask over i3 about a shortcut, each 20 s (seed 2775816927 has one in the last second). */
const said = ({ heard }: Program): number => heard.filter(({ text }) => text.startsWith("to the ")).length;

it(`client, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  console.log(`client fuzz: I3_FUZZ_SEED=${SEED}`);
  const endMs = performance.now() + SECONDS * 1_000;
  const sum = { handled: 0, unexpected: 0, malformed: 0 };
  let worlds = 0;
  let mostSent = 0;
  while (worlds === 0 || performance.now() < endMs) {
    const scene = new Scene((SEED + worlds) >>> 0);
    for (let turn = 0; turn < TURNS_PER_WORLD; turn += 1) scene.turn();
    scene.recovers();
    worlds += 1;
    mostSent = Math.max(mostSent, scene.mostSent);
    for (const name of ["handled", "unexpected", "malformed"] as const) sum[name] += scene.tally[name];
  }
  console.log(`client fuzz: ${worlds} worlds, ${JSON.stringify(sum)}, at most ${mostSent} datagrams after one message`);
  expect(sum.handled, "no lie was ever taken for an answer").toBeGreaterThan(0);
});
