import { describe, expect, it } from "vitest";

import { CREDENTIAL_BYTES, makeLocator, type RingNode } from "@i3/common";

import { Chord, type ChordOutput, type RingMessage } from "../src/chord/chord.js";
import { MAX_HOPS, ROUTE_ATTEMPTS, ROUTE_MS } from "../src/chord/constants.js";
import { compareKeys } from "../src/chord/ring-key.js";
import { keyOf, randomBytesFrom, RingNet, seeded, type Member } from "./ring-net.js";

const NONCE: Uint8Array = new Uint8Array(8).fill(3);
const node = (byte: number): RingNode => ({ key: new Uint8Array(16).fill(byte), locator: makeLocator(Uint8Array.of(10, 9, 0, byte), 4_000) });
const keyAt = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const ASKER = node(0xee);
const CREDENTIAL: Uint8Array = new Uint8Array(CREDENTIAL_BYTES).fill(5);

/** Node 50 of a ring 10 – 20 – … – 90: knows those after it up to 90, and its predecessor 40. */
function member(): { readonly chord: Chord; readonly say: (message: RingMessage, nonce?: Uint8Array) => readonly ChordOutput[]; readonly drain: () => readonly ChordOutput[] } {
  const chord = new Chord({ self: node(50), members: [], random: randomBytesFrom(seeded(1)) });
  const drain = (): readonly ChordOutput[] => {
    const outputs: ChordOutput[] = [];
    for (let output = chord.pollOutput(); output !== undefined; output = chord.pollOutput()) outputs.push(output);
    return outputs;
  };
  const say = (message: RingMessage, nonce = NONCE): readonly ChordOutput[] => {
    chord.handleMessage(0, nonce, message);
    return drain();
  };
  chord.start(0);
  const query = say({ type: "NOTIFY", from: node(60) }).find((output) => output.kind === "send" && output.message.type === "STATE");
  if (query?.kind !== "send") throw new Error("no state query");
  say({ type: "STATE_IS", from: node(60), pending: false, predecessor: null, successors: [node(70), node(80), node(90)] }, query.nonce);
  say({ type: "NOTIFY", from: node(40) });
  return { chord, say, drain };
}

const sends = (outputs: readonly ChordOutput[]): readonly Extract<ChordOutput, { kind: "send" }>[] => outputs.flatMap((output) => (output.kind === "send" ? [output] : []));

describe("a question that is passed on", () => {
  const ask = (key: number, fields: Partial<Extract<RingMessage, { type: "ROUTE" }>> = {}): RingMessage => ({ type: "ROUTE", from: node(40), ringKey: keyAt(key), asker: ASKER, last: false, hops: 3, credential: CREDENTIAL, ...fields });

  it("is answered to the asker by the node that is responsible, with its nonce", () => {
    const expected = { kind: "send", to: ASKER.locator, toKey: ASKER.key, nonce: NONCE, message: { type: "ROUTED", from: node(50), hops: 3, credential: null }, shown: CREDENTIAL };
    expect(member().say(ask(50))).toEqual([expected]);
    expect(member().say(ask(41, { last: true }))).toEqual([expected]);
  });

  it.each([
    [55, 60, true], [60, 60, true], [61, 70, true], [90, 90, true], [95, 90, false], [39, 90, false],
  ])("for key %d goes from 50 to %d, as the last: %s", (key, to, last) => {
    expect(sends(member().say(ask(key)))).toMatchObject([{ toKey: keyAt(to), nonce: NONCE, message: { type: "ROUTE", from: node(50), asker: ASKER, ringKey: keyAt(key), last, hops: 4, credential: CREDENTIAL } }]);
  });

  it("that was to end here goes back to the predecessor, which has come between", () => {
    expect(sends(member().say(ask(35, { last: true, from: node(30) })))).toMatchObject([{ toKey: keyAt(40), message: { type: "ROUTE", last: true, hops: 4 } }]);
  });

  it("that was to end here goes nowhere when its sender is wrong about the order", () => {
    expect(member().say(ask(60, { last: true, from: node(40) }))).toEqual([]);
  });

  it("ends after as many servers as a lookup may ask, and never comes to the asker", () => {
    expect(sends(member().say(ask(95, { hops: MAX_HOPS - 1 })))).toHaveLength(1);
    expect(member().say(ask(95, { hops: MAX_HOPS }))).toEqual([]);
    expect(member().say(ask(95, { asker: node(90) }))).toEqual([]);
  });
});

describe("the asker", () => {
  /** Asks for a key and returns the question that left. */
  const asked = (key: number) => {
    const ring = member();
    const id = ring.chord.lookup(0, keyAt(key));
    const [question] = sends(ring.drain());
    if (question?.message.type !== "ROUTE") throw new Error("no ROUTE");
    return { ...ring, id, question };
  };
  const found = (outputs: readonly ChordOutput[]) => outputs.find((output) => output.kind === "found");

  it("takes the answer of the responsible node, whoever that is, once", () => {
    const { say, question, id } = asked(95);
    expect(question).toMatchObject({ toKey: keyAt(90), message: { hops: 1, asker: node(50) } });
    expect(found(say({ type: "ROUTED", from: node(97), hops: 4, credential: null }, question.nonce))).toEqual({ kind: "found", id, key: keyAt(95), node: node(97), hops: 4 });
    expect(say({ type: "ROUTED", from: node(98), hops: 4, credential: null }, question.nonce)).toEqual([]);
  });

  it("takes none with another nonce, of a node before the key, or to another question", () => {
    const { say, question, chord, drain } = asked(95);
    expect(say({ type: "ROUTED", from: node(97), hops: 4, credential: null }, NONCE)).toEqual([]);
    expect(say({ type: "ROUTED", from: node(94), hops: 4, credential: null }, question.nonce)).toEqual([]);
    chord.handleTimer(600); // By when it was passed on again.
    const state = sends(drain()).find(({ message }) => message.type === "STATE");
    expect(say({ type: "ROUTED", from: node(97), hops: 4, credential: null }, state?.nonce ?? NONCE)).toEqual([]);
    expect(found(say({ type: "ROUTED", from: node(97), hops: 4, credential: null }, question.nonce))).toBeDefined();
  });

  it("passes it on again when no answer comes, by other nodes, and takes an answer by any of them", () => {
    const { chord, say, drain, question, id } = asked(85);
    expect(question).toMatchObject({ toKey: keyAt(90), message: { last: true } });
    const again = (nowMs: number) => {
      chord.handleTimer(nowMs);
      return sends(drain()).filter(({ message }) => message.type === "ROUTE" && compareKeys(message.ringKey, keyAt(85)) === 0);
    };
    expect(again(ROUTE_MS)).toMatchObject([{ nonce: question.nonce, toKey: keyAt(80), message: { last: false } }]);
    expect(again(2 * ROUTE_MS)).toMatchObject([{ nonce: question.nonce, toKey: keyAt(70), message: { last: false } }]);
    expect(found(say({ type: "ROUTED", from: node(90), hops: 1, credential: null }, question.nonce))).toEqual({ kind: "found", id, key: keyAt(85), node: node(90), hops: 1 });
  });

  it("asks by itself when no answer comes, and who is named has to confirm it", () => {
    const { chord, say, drain, id } = asked(95);
    const finds = () => sends(drain()).filter(({ message }) => message.type === "FIND");
    for (let i = 1; i <= ROUTE_ATTEMPTS; i += 1) {
      expect(finds()).toEqual([]);
      chord.handleTimer(i * ROUTE_MS);
    }
    const [first] = finds();
    expect(first?.toKey).toEqual(keyAt(90));
    chord.handleMessage(ROUTE_ATTEMPTS * ROUTE_MS, first?.nonce ?? NONCE, { type: "FOUND", from: node(90), final: true, node: node(97) });
    const [second] = finds();
    expect(second?.toKey).toEqual(keyAt(97));
    expect(found(say({ type: "FOUND", from: node(97), final: true, node: node(97) }, second?.nonce))).toEqual({ kind: "found", id, key: keyAt(95), node: node(97), hops: 2 });
  });

  it("who denies it is not found; the lookup begins again until its time is over", () => {
    const { chord, drain } = asked(95);
    /** So that nobody is taken for dead meanwhile. */
    const alive = ({ toKey }: { readonly toKey: Uint8Array | null }): RingMessage => ({ type: "STATE_IS", from: node(toKey?.[0] ?? 0), pending: false, predecessor: node(50), successors: [node(70), node(80), node(90)] });
    let claims = 0;
    const outputs: ChordOutput[] = [];
    for (let nowMs = 0; nowMs <= 8_000; nowMs += 50) {
      if (chord.deadlineMs() <= nowMs) chord.handleTimer(nowMs);
      for (const output of drain()) {
        outputs.push(output);
        if (output.kind === "send") chord.handleMessage(nowMs, output.nonce, alive(output));
        if (output.kind !== "send" || output.message.type !== "FIND" || compareKeys(output.message.ringKey, keyAt(95)) !== 0) continue;
        const isClaimed = compareKeys(output.toKey ?? NONCE, keyAt(97)) === 0;
        claims += isClaimed ? 1 : 0;
        const answer = isClaimed ? { from: node(97), final: false, node: node(10) } : { from: node(output.toKey?.[0] ?? 0), final: true, node: node(97) };
        chord.handleMessage(nowMs, output.nonce, { type: "FOUND", ...answer });
      }
    }
    expect(found(outputs)).toBeUndefined();
    expect(outputs.filter(({ kind }) => kind === "not-found")).toHaveLength(1);
    expect(claims).toBeGreaterThan(5);
    expect(claims).toBeLessThan(30);
  });
});

describe("lookups in a ring of 24", () => {
  const ring = (seed: number): RingNet => {
    const net = new RingNet(seed);
    for (let i = 0; i < 24; i += 1) {
      net.add(i === 0 ? [] : [0]);
      net.run(50);
    }
    net.run(15_000);
    return net;
  };

  /** From all members but `except` at once; the answers when all have come. */
  function lookUpAll(net: RingNet, key: Uint8Array, except: readonly Member[]): readonly ChordOutput[] {
    const askers = net.live().filter((asker) => !except.includes(asker));
    const ids = askers.map(({ chord }) => chord.lookup(net.nowMs, key));
    const answers = () => askers.flatMap(({ outputs }, i) => outputs.filter((output) => (output.kind === "found" || output.kind === "not-found") && output.id === ids[i]));
    net.runUntil(() => answers().length === askers.length, 8_000);
    return answers();
  }

  it.each([1, 2, 3])("never name a node that has just died, though others do not know it yet (seed %i)", (seed) => {
    const net = ring(seed);
    const dead = net.member(5);
    const before = net.live().find(({ chord }) => keyOf(chord.successors[0] ?? null) === keyOf(dead.node)) as Member;
    net.crash(5);
    const answers = lookUpAll(net, dead.node.key, [before]);
    expect(answers).toHaveLength(22);
    for (const answer of answers) expect(answer).toMatchObject({ kind: "found", node: net.ownerOf(dead.node.key).node });
  });

  it("are found though every fifth message is lost", () => {
    const net = ring(4);
    net.loss = 0.2;
    const right = Array.from({ length: 40 }, (_, i) => {
      const key = net.randomKey();
      return keyOf(net.lookup(i % 24, key)) === keyOf(net.ownerOf(key).node);
    });
    expect(right.filter(Boolean).length).toBeGreaterThanOrEqual(38);
  });
});
