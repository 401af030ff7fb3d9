/**
 * Who reads a client's packets and sends in the names of its servers, but cannot keep theirs back (docs/adr/0008): what he turns, and for how long.
 * Real cores in virtual time; a server of the forger's own stands behind what he says, and passes nothing on.
 */
import { bytesKey, CONTROL_FIRST_BYTE, decodeControl, encodeControl, locatorText, privateId, REFUSAL, ringKey, sameLocator, type ControlMessage, type Locator } from "@i3/common";
import { classifyDatagram, decodeDataHeader } from "@i3/datapath";
import { triggerKeyFromSeed } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const DELAY_MS = 10;
/** A question to a witness, a lookup in the ring, and the answer. */
const CONFIRMATION_MS = 150;
const FIRST_CHECK_MS = 1_000;
/** How long one LOCATED turns a trigger at most, from the insert on. */
const TURN_MS = FIRST_CHECK_MS + CONFIRMATION_MS;
/** Of those that go on. */
const HELD_MS = 120_000;
const SAY_EACH_MS = 100;
/** The client's, and a trigger's. */
const REFRESH_MS = 5_000;
const MAX_SETBACK_MS = 2_000;
const LIFE_MS = 30_000;
/** A cookie is good for 30 s. */
const COOKIE_MS = 10_000;
const NODE_KEY = filled(16, 0x66);

type Forgery = (message: ControlMessage | { readonly type: "data"; readonly id: Uint8Array }, to: Locator) => ControlMessage | null;

/** Reads what a client sends, and answers in the name of whom it was for, before that one can. */
class Forger {
  readonly node: Node;
  forge: Forgery = () => null;
  /** What came to his server. */
  data = 0;
  forged = 0;
  /** Says it again as soon as the true answer has arrived. */
  hasLastWord = false;
  /** The newest CHALLENGE for his own address. */
  given: Extract<ControlMessage, { type: "CHALLENGE" }> | null = null;
  #seen: number;
  /** Nonce of a question → what he says again, from whom. */
  readonly #lastWords = new Map<string, { readonly from: Locator; readonly bytes: Uint8Array }>();
  #due: { readonly atMs: number; readonly udp: { readonly from: Locator; readonly bytes: Uint8Array } }[] = [];
  /** Of a client that takes him for the server of its trigger. */
  #victim: { readonly from: Locator; readonly nonce: Uint8Array } | null = null;

  /** `real`: the server that he passes requests about triggers on to, as a man in the middle. */
  constructor(readonly world: World, readonly target: Program, readonly real: () => Locator | undefined = () => undefined) {
    this.#seen = world.wire.length;
    this.node = world.node("203.0.113.66");
    this.node.core = {
      handleUpcalls: (_nowMs, upcalls) => {
        for (const upcall of upcalls) if (upcall.kind === "control") this.#serve(upcall.from, upcall.bytes);
      },
      handleTimer: () => undefined, deadlineMs: () => Infinity,
    };
  }

  get self(): { readonly key: Uint8Array; readonly locator: Locator } {
    return { key: NODE_KEY, locator: this.node.locator };
  }

  /** Of virtual time, in which he reads and forges. */
  run(forMs: number, each: () => void = () => undefined): void {
    for (const endMs = this.world.nowMs + forMs; this.world.nowMs < endMs; ) {
      this.world.run(1);
      this.#read();
      const due = this.#due.filter(({ atMs }) => atMs <= this.world.nowMs);
      this.#due = this.#due.filter(({ atMs }) => atMs > this.world.nowMs);
      for (const { udp } of due) this.world.inject(this.target.node, { udp });
      each();
    }
  }

  #read(): void {
    for (; this.#seen < this.world.wire.length; this.#seen += 1) {
      const sent = this.world.wire[this.#seen] as (typeof this.world.wire)[number];
      if (sameLocator(sent.to, this.node.locator) && classifyDatagram(sent.bytes[0] ?? 0, sent.bytes.length) === "data") this.data += 1;
      if (sameLocator(sent.to, this.target.node.locator)) this.#readAnswer(sent);
      if (!sameLocator(sent.from, this.target.node.locator) || sameLocator(sent.to, this.node.locator)) continue;
      const [read, nonce] = readSent(sent.bytes);
      const answer = read === null ? null : this.forge(read, sent.to);
      if (answer === null) continue;
      this.forged += 1;
      const udp = { from: sent.to, bytes: encodeControl(answer, nonce) };
      if (this.hasLastWord) this.#lastWords.set(bytesKey(nonce), udp);
      this.world.inject(this.target.node, { udp });
    }
  }

  #readAnswer({ atMs, from, bytes }: (typeof this.world.wire)[number]): void {
    if (bytes[0] !== CONTROL_FIRST_BYTE) return;
    const nonce = bytesKey(decodeControl(bytes).nonce);
    const udp = this.#lastWords.get(nonce);
    if (udp === undefined || !sameLocator(udp.from, from)) return;
    this.#lastWords.delete(nonce);
    this.forged += 1;
    this.#due.push({ atMs: atMs + DELAY_MS + 1, udp });
  }

  /** From his own address. */
  ask(server: Locator, message: ControlMessage): void {
    this.node.engine.send([{ locator: server, bytes: encodeControl(message, this.world.random(8)) }]);
    this.world.inject(this.node, {});
  }

  #serve(from: Locator, bytes: Uint8Array): void {
    const { message, nonce } = decodeControl(bytes);
    const real = this.real();
    const say = (to: Locator, answer: ControlMessage, with_ = nonce): void => this.node.engine.send([{ locator: to, bytes: encodeControl(answer, with_) }]);
    switch (message.type) {
      case "PING": return say(from, { type: "PONG", timeMs: this.world.wallMs(), observed: from, nodeKey: NODE_KEY });
      case "LOCATE": return say(from, { type: "LOCATED", ringKey: message.ringKey, node: this.self });
      case "CHALLENGE_REQUEST": case "TRIGGER": case "REFRESH":
        this.#victim = { from, nonce };
        if (real !== undefined) say(real, message);
        return;
      case "CHALLENGE": case "TRIGGER_OK": case "REFUSED":
        if (message.type === "CHALLENGE") this.given = message;
        if (this.#victim !== null) say(this.#victim.from, message, this.#victim.nonce);
        return;
      default:
    }
  }
}

function readSent(bytes: Uint8Array): readonly [Parameters<Forgery>[0] | null, Uint8Array] {
  if (bytes[0] === CONTROL_FIRST_BYTE) {
    const { message, nonce } = decodeControl(bytes);
    return [message, nonce];
  }
  const { header: { ids: [id], nonce } } = decodeDataHeader(bytes);
  return [id === undefined ? null : { type: "data", id }, nonce];
}

function overlay(seed: string) {
  const world = new World({ delayMs: DELAY_MS, seed });
  const ring = world.ring(5);
  world.run(12_000);
  const receiver = new Program(world, "198.51.100.1", ring);
  const sender = new Program(world, "198.51.100.2", ring);
  world.run(2_000);
  const key = triggerKeyFromSeed(world.random(32));
  const id = privateId(key.prefix, filled(16, 1));
  receiver.listen(id);
  /** Where the servers' engines lead the id. */
  const targets = new Map<Node, readonly Locator[]>();
  for (const node of ring) {
    const setTriggers = node.engine.setTriggers.bind(node.engine);
    node.engine.setTriggers = (prefix, triggers) => {
      targets.set(node, triggers.flatMap(({ target }) => (target.kind === "locator" ? [target.locator] : [])));
      setTriggers(prefix, triggers);
    };
  }
  const insert = (): void => receiver.client.insertTrigger(world.nowMs, id, { kind: "private", key });
  let sent = 0;
  const say = (): void => {
    sender.say(id, String((sent += 1)));
  };
  const lost = (): number => sent - new Set(receiver.texts()).size;
  return { world, ring, receiver, sender, id, insert, say, lost, leadsTo: (locator: Locator) => [...targets.values()].flat().some((target) => sameLocator(target, locator)) };
}

/** A sender with a path, traffic for a minute while somebody forges, and how long the path led to him, at most and in all. */
function forgedFor(ms: number, seed: string, forgery: (forger: Forger, firstHop: () => Locator | null) => Forgery) {
  const { world, sender, id, insert, say, lost } = overlay(seed);
  insert();
  world.run(3_000);
  const forger = new Forger(world, sender);
  forger.forge = forgery(forger, () => sender.client.firstHop());
  sender.client.openPath(id);
  const turns: number[] = [];
  let turnedSinceMs: number | null = null;
  let nextMs = world.nowMs;
  forger.run(ms, () => {
    const server = sender.client.serverOfPath(id);
    const isTurned = server !== null && sameLocator(server, forger.node.locator);
    if (isTurned) turnedSinceMs ??= world.nowMs;
    else if (turnedSinceMs !== null) {
      turns.push(world.nowMs - turnedSinceMs);
      turnedSinceMs = null;
    }
    if (world.nowMs < nextMs) return;
    nextMs += 50;
    say();
  });
  if (turnedSinceMs !== null) turns.push(world.nowMs - turnedSinceMs);
  world.run(200);
  return { forger, sender, turns, lost: lost(), longestMs: Math.max(0, ...turns) };
}

describe("a path, while somebody who reads it forges", () => {
  const cacheOf = (forger: Forger): Forgery => (read) => (read.type === "data" ? { type: "CACHE", ringKey: ringKey(read.id), node: forger.self, lifeMs: 30_000 } : null);

  it("CACHE with the nonces of its packets: is never turned", () => {
    const { forger, turns, lost } = forgedFor(60_000, "cache", cacheOf);
    expect({ turns: turns.length, lost, data: forger.data }).toEqual({ turns: 0, lost: 0, data: 0 });
    expect(forger.forged).toBeGreaterThan(1_000);
  }, 240_000);

  it("CACHE, and LOCATED to the questions that it makes us ask: is turned for no longer than the true answer takes", () => {
    const { forger, turns, lost, longestMs } = forgedFor(120_000, "located", (self) => (read, to) =>
      read.type === "LOCATE" ? { type: "LOCATED", ringKey: read.ringKey, node: self.self } : cacheOf(self)(read, to));
    process.stdout.write(`    turned ${turns.length} times in 120 s, at most ${longestMs} ms; ${forger.forged} forged, ${lost} packets lost\n`);
    expect(turns.filter((ms) => ms > CONFIRMATION_MS)).toEqual([]);
    // A dispute is followed by 30 s without questions.
    expect(turns.length).toBeLessThanOrEqual(5);
    expect(lost).toBe(forger.data);
  }, 240_000);

  it("NOT_PRESENT: goes by the first hop, and nothing is lost", () => {
    const { forger, turns, lost } = forgedFor(30_000, "not-present", () => (read) => (read.type === "data" ? { type: "NOT_PRESENT", id: read.id } : null));
    expect({ turns: turns.length, lost }).toEqual({ turns: 0, lost: 0 });
    expect(forger.forged).toBeGreaterThan(500);
  }, 240_000);

  it("PONG in the names of all servers: is never turned", () => {
    const { forger, turns, lost } = forgedFor(30_000, "pong", (self) => (read, to) =>
      read.type === "PING" ? { type: "PONG", timeMs: self.world.wallMs() + 86_400_000, observed: self.node.locator, nodeKey: NODE_KEY } : cacheOf(self)(read, to));
    expect({ turns: turns.length, lost }).toEqual({ turns: 0, lost: 0 });
    expect(forger.forged).toBeGreaterThan(500);
  }, 240_000);
});

describe("a trigger, while somebody who reads what its owner sends forges", () => {
  /** How long the ring led the id to the forger. */
  function turnedMs(forger: Forger, leadsTo: (locator: Locator) => boolean, forMs: number): number {
    let turned = 0;
    forger.run(forMs, () => (turned += leadsTo(forger.node.locator) ? 1 : 0));
    return turned;
  }

  it("LOCATED once, with himself in the middle from then on: is his until the first check by another server, and then its owner's again", () => {
    const { world, receiver, insert, id, leadsTo } = overlay("once");
    const holder = holderOf(world, id); // He asks the ring himself.
    const forger = new Forger(world, receiver, () => holder);
    let times = 0;
    forger.forge = (read) => (read.type === "LOCATE" && (times += 1) === 1 ? { type: "LOCATED", ringKey: read.ringKey, node: forger.self } : null);
    insert();
    const turned = turnedMs(forger, leadsTo, 20_000);
    process.stdout.write(`    the forger's for ${turned} ms\n`);
    expect(turned).toBeGreaterThan(0);
    expect(turned).toBeLessThanOrEqual(TURN_MS);
    expect([receiver.isLive(id), receiver.serverOf(id)]).toEqual([true, locatorText(holder as Locator)]);
    expect(leadsTo(receiver.node.locator)).toBe(true);
  }, 240_000);

  it("TRIGGER_OK with a successor of his own: only the replica goes to him, and is back after the next true answer", () => {
    const { world, receiver, insert, id, leadsTo } = overlay("acknowledged");
    insert();
    world.run(2_000);
    const server = receiver.serverOf(id);
    const forger = new Forger(world, receiver);
    let times = 0;
    forger.forge = (read) => (read.type === "REFRESH" && (times += 1) === 1 ? { type: "TRIGGER_OK", action: 1, id, lifeMs: 30_000, replica: forger.node.locator } : null);
    expect(turnedMs(forger, leadsTo, 20_000)).toBe(0);
    expect([forger.forged, receiver.isLive(id), receiver.serverOf(id)]).toEqual([1, true, server]);
  }, 240_000);

  it("a CHALLENGE for his own address: what is signed for it serves him for one exchange", () => {
    const { world, receiver, insert, id, leadsTo } = overlay("challenge");
    insert();
    world.run(2_000);
    const server = receiver.client.triggers(world.nowMs)[0]?.server as Locator;
    const forger = new Forger(world, receiver);
    forger.ask(server, { type: "CHALLENGE_REQUEST", ringKey: ringKey(id), flags: 0 });
    world.run(100);
    forger.forge = challenging(forger, server, () => {
      const { given } = forger;
      forger.given = null;
      return given;
    });
    receiver.client.renewTriggers(world.nowMs);
    world.inject(receiver.node, {});
    const turned = turnedMs(forger, leadsTo, 20_000);
    process.stdout.write(`    the forger's for ${turned} ms\n`);
    expect(turned).toBeGreaterThan(0);
    expect(turned).toBeLessThanOrEqual(CONFIRMATION_MS);
    expect(leadsTo(receiver.node.locator)).toBe(true);
  }, 240_000);

  /**
   * What 120 s cost, ms and packets, and for how long after them (`backMs`) he still has it. `held`: the id led to him, or nowhere; `longestMs`: of that, at a stretch. `isNew`: the
   * trigger is put in while he forges.
   */
  function heldFor(seed: string, forges: (held: ReturnType<typeof overlay> & { readonly forger: Forger; readonly holder: Locator }) => Forgery, isNew: boolean) {
    const scene = overlay(seed);
    const { world, receiver, id, insert, say, lost, leadsTo } = scene;
    const holder = holderOf(world, id) as Locator; // He asks the ring himself.
    if (!isNew) {
      insert();
      world.run(2_000);
    }
    const forger = new Forger(world, receiver, () => holder);
    forger.forge = forges({ ...scene, forger, holder });
    if (isNew) insert();
    const isOwners = (): boolean => leadsTo(receiver.node.locator) && !leadsTo(forger.node.locator);
    let [turnedMs, missingMs, longestMs, sinceMs, sayMs, sent] = [0, 0, 0, world.nowMs, world.nowMs + FIRST_CHECK_MS, 0];
    forger.run(HELD_MS, () => {
      if (leadsTo(forger.node.locator)) turnedMs += 1;
      else if (!leadsTo(receiver.node.locator)) missingMs += 1;
      if (isOwners()) sinceMs = world.nowMs;
      longestMs = Math.max(longestMs, world.nowMs - sinceMs);
      if (world.nowMs < sayMs) return;
      sayMs += SAY_EACH_MS;
      sent += 1;
      say();
    });
    world.run(4 * DELAY_MS); // what was said last
    const outcome = { turnedMs, missingMs, longestMs, forged: forger.forged, sent, lost: lost() };
    const endMs = world.nowMs;
    world.run(60_000, isOwners);
    return { ...outcome, backMs: world.nowMs - endMs };
  }

  const located = (forger: Forger): Forgery => (read) => (read.type === "LOCATE" ? { type: "LOCATED", ringKey: read.ringKey, node: forger.self } : null);

  it.each<[string, { readonly isNew: boolean; readonly atLeastMs?: number; readonly atMostMs?: number; readonly longestMs?: number }, Parameters<typeof heldFor>[1]]>([
    ["every LOCATED but a witness's: is turned until the first check", { isNew: true, atMostMs: TURN_MS }, ({ forger, receiver, id }) => (read, to) => (receiver.serverOf(id) === "nowhere" ? located(forger)(read, to) : null)],
    ["the same, and a REFUSED to each REFRESH, so that it asks again: is turned until the check that follows", { isNew: true, atMostMs: TURN_MS * (1 + HELD_MS / (REFRESH_MS + FIRST_CHECK_MS)), longestMs: TURN_MS }, ({ forger, receiver, id }) => (read, to) => {
      if (read.type === "REFRESH") return { type: "REFUSED", code: REFUSAL.notResponsible, subject: id };
      return receiver.serverOf(id) === "nowhere" ? located(forger)(read, to) : null;
    }],
    ["every LOCATED, a witness's too: is turned until the first true answer to a check", { isNew: true, atMostMs: TURN_MS }, ({ forger }) => located(forger)],
    ["every LOCATED, a witness's too, before and after the true answer: is his while he goes on (docs/adr/0008)", { isNew: true, atLeastMs: HELD_MS - TURN_MS }, ({ forger }) => {
      forger.hasLastWord = true;
      return located(forger);
    }],
    ["a REFUSED to every request: ends, and stays away while he goes on (docs/adr/0008)", { isNew: false, atLeastMs: HELD_MS - LIFE_MS - REFRESH_MS }, ({ id }) => (read) =>
      read.type === "REFRESH" || read.type === "CHALLENGE_REQUEST" || read.type === "TRIGGER" ? { type: "REFUSED", code: REFUSAL.notResponsible, subject: id } : null],
    ["every CHALLENGE, with a cookie that he made up: ends, and stays away while he goes on (docs/adr/0008)", { isNew: false, atLeastMs: HELD_MS - LIFE_MS - REFRESH_MS }, ({ world, forger, receiver, id, holder }) =>
      challenging(forger, holder, () => ({ type: "CHALLENGE", ringKey: ringKey(id), cookie: world.random(24), observed: receiver.node.locator, timeMs: world.wallMs(), nodeKey: NODE_KEY }))],
    ["every CHALLENGE, with a cookie for his own address: is his from the next refresh, while he goes on (docs/adr/0008)", { isNew: false, atLeastMs: HELD_MS - 2 * REFRESH_MS }, ({ world, forger, id, holder }) => {
      let askedMs = -Infinity;
      return challenging(forger, holder, () => {
        if (world.nowMs > askedMs + COOKIE_MS) {
          askedMs = world.nowMs;
          forger.ask(holder, { type: "CHALLENGE_REQUEST", ringKey: ringKey(id), flags: 0 });
        }
        return forger.given;
      });
    }],
  ])("%s", (name, { isNew, atLeastMs = 0, atMostMs = Infinity, longestMs = atMostMs }, forges) => {
    const outcome = heldFor(name, forges, isNew);
    const { turnedMs, missingMs, forged, sent, lost, backMs } = outcome;
    process.stdout.write(`    in ${HELD_MS / 1_000} s his for ${turnedMs} ms, nowhere for ${missingMs} ms, at most ${outcome.longestMs} ms at a stretch; ${forged} forged; of ${sent} packets ${lost} lost; back ${backMs} ms after he stops\n`);
    expect(turnedMs + missingMs).toBeGreaterThanOrEqual(atLeastMs);
    expect(turnedMs + missingMs).toBeLessThanOrEqual(atMostMs);
    expect(outcome.longestMs).toBeLessThanOrEqual(longestMs);
    expect(forged).toBeGreaterThan(0);
    expect(lost).toBeGreaterThanOrEqual(atLeastMs / SAY_EACH_MS - FIRST_CHECK_MS / SAY_EACH_MS);
    expect(lost).toBeLessThanOrEqual((turnedMs + missingMs) / SAY_EACH_MS + 2);
    expect(backMs).toBeLessThanOrEqual(MAX_SETBACK_MS + CONFIRMATION_MS);
  }, 240_000);
});

/** A CHALLENGE for every question to the server of the trigger; what is signed for it, he sends from his own address. */
const challenging = (forger: Forger, server: Locator, challenge: () => ControlMessage | null): Forgery => (read, to) => {
  if (!sameLocator(to, server)) return null;
  if (read.type === "TRIGGER" && read.flags === 0) forger.ask(server, read);
  return read.type === "CHALLENGE_REQUEST" || read.type === "REFRESH" ? challenge() : null;
};

/** The server that an id belongs to, as one who may ask anybody finds out. */
function holderOf(world: World, id: Uint8Array): Locator | undefined {
  const asker = new Program(world, "203.0.113.67", [...world.nodes.values()].filter(({ locator }) => locatorText(locator).startsWith("192.0.2.")));
  world.run(500);
  const seen = world.wire.length;
  asker.node.engine.send([{ locator: asker.client.firstHop() as Locator, bytes: encodeControl({ type: "LOCATE", ringKey: ringKey(id) }, filled(8, 3)) }]);
  world.inject(asker.node, {});
  world.run(500);
  for (const { to, bytes } of world.wire.slice(seen)) {
    if (!sameLocator(to, asker.node.locator)) continue;
    const { message } = decodeControl(bytes);
    if (message.type === "LOCATED") return message.node.locator;
  }
  return undefined;
}
