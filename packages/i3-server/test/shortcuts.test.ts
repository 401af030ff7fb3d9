/** Who is told where a trigger leads (docs/wire.md §5.1): server cores, and what they answer to packets that ask. */
import { describe, expect, it } from "vitest";

import { claimId, decodeControl, groupId, makeLocator, nameIdOfKey, REFUSAL, TRIGGER_FLAG, type ControlMessage, type Locator, type TriggerMessage } from "@i3/common";
import { certifyMember, generateTriggerKey, signStep, type TriggerSigner } from "@i3/hip";

import { CLIENT, idOf, KEY, NONCE, OTHER_KEY, ServerBench, THIEF } from "./server-bench.js";
import { inHalfOpen } from "../src/chord/ring-key.js";
import { anyMember, memberWhere, RingPeer } from "./ring-peer.js";

const SENDER = makeLocator(Uint8Array.of(203, 0, 113, 5), 5_610);
const ASK_BYTES = 96;
const END_S = 2_000_000_000;
const ID = idOf(KEY);
const SHORT = TRIGGER_FLAG.shortcut;

/** What the server answers to a packet that asks. */
function ask(bench: ServerBench, id = ID, { shortcutOk = true, requestBytes = ASK_BYTES }: { readonly shortcutOk?: boolean; readonly requestBytes?: number } = {}): readonly ControlMessage[] {
  const answers = bench.upcall({ kind: "cache-request", id, from: SENDER, nonce: NONCE, shortcutOk, requestBytes });
  return answers.map(({ locator, bytes }) => {
    expect(locator).toEqual(SENDER);
    expect(bytes.length).toBeLessThanOrEqual(requestBytes);
    const { nonce, message } = decodeControl(bytes);
    expect(nonce).toEqual(NONCE);
    return message;
  });
}
const typesOf = (messages: readonly ControlMessage[]): readonly string[] => messages.map(({ type }) => type);

function withTrigger(change: Partial<TriggerMessage> & { readonly signer?: TriggerSigner; readonly from?: Locator }, bench = new ServerBench()): ServerBench {
  const { from = CLIENT } = change;
  expect(bench.ask(bench.trigger(change), from)).toMatchObject({ type: "TRIGGER_OK" });
  return bench;
}

describe("a packet with CACHE_REQUEST and SHORTCUT_OK", () => {
  it("is answered with the one address that the trigger leads to, when its owner allows that too, and with CACHE when one of them does not", () => {
    const both = withTrigger({ flags: SHORT });
    expect(ask(both)).toEqual([{ type: "SHORTCUT", id: ID, target: CLIENT }]);
    expect(both.core.counters.get("shortcut-sent")).toBe(1);
    expect(typesOf(ask(both, ID, { shortcutOk: false }))).toEqual(["CACHE"]);
    expect(typesOf(ask(withTrigger({ flags: 0 })))).toEqual(["CACHE"]);
    expect(typesOf(ask(new ServerBench()))).toEqual(["CACHE"]);
  });

  it("that is shorter than the answer is not answered, and counted", () => {
    const bench = withTrigger({ flags: SHORT });
    expect(ask(bench, ID, { requestBytes: 58 })).toEqual([]);
    expect(bench.core.counters.get("amplification")).toBe(1);
    expect(typesOf(ask(bench, ID, { requestBytes: 59 }))).toEqual(["SHORTCUT"]);
  });

  it("is answered by the trigger as it is now: moved, without consent, removed, ended", () => {
    const bench = withTrigger({ flags: SHORT });
    withTrigger({ flags: SHORT, counter: 2, from: THIEF, signer: { kind: "private", key: KEY } }, bench);
    expect(ask(bench)).toEqual([{ type: "SHORTCUT", id: ID, target: THIEF }]);
    withTrigger({ flags: 0, counter: 3 }, bench);
    expect(typesOf(ask(bench))).toEqual(["CACHE"]);
    withTrigger({ flags: SHORT, counter: 4 }, bench);
    expect(typesOf(ask(bench))).toEqual(["SHORTCUT"]);
    withTrigger({ flags: SHORT, counter: 5, action: 2 }, bench);
    expect(typesOf(ask(bench))).toEqual(["CACHE"]);
    withTrigger({ flags: SHORT, counter: 6 }, bench);
    bench.advance(30_000);
    expect(typesOf(ask(bench))).toEqual(["CACHE"]);
  });

  it("is told nothing of a trigger that leads to ids", () => {
    const next = idOf(OTHER_KEY);
    const steps = [signStep({ kind: "private", key: OTHER_KEY }, ID, next, END_S)];
    expect(typesOf(ask(withTrigger({ flags: SHORT, target: { steps } })))).toEqual(["CACHE"]);
  });

  it("is told nothing of the claims to a name", () => {
    const nameKey = new Uint8Array(32).fill(5);
    const bench = new ServerBench({ limits: { triggers: 100, perSource: 100, claimsPerName: 2 } });
    withTrigger({ flags: SHORT, id: claimId(nameKey, KEY.publicKey), signer: { kind: "name", nameKey, key: KEY } }, bench);
    expect(typesOf(ask(bench, nameIdOfKey(nameKey)))).toEqual(["CACHE"]);
  });

  it("is told nothing of several members at one id, and of several ids that of the member who is served", () => {
    const group = generateTriggerKey();
    const at = (suffix: number): Uint8Array => groupId(group.publicKey, new Uint8Array(16).fill(suffix));
    const bench = new ServerBench();
    const join = (id: Uint8Array, from: Locator, flags: number): void => {
      const key = generateTriggerKey();
      withTrigger({ id, from, flags, signer: { kind: "member", certificate: certifyMember(group, key.publicKey, END_S), key } }, bench);
    };
    join(at(0x40), CLIENT, SHORT);
    expect(ask(bench, at(0x41))).toEqual([{ type: "SHORTCUT", id: at(0x41), target: CLIENT }]);
    join(at(0x80), THIEF, SHORT);
    join(at(0xc0), SENDER, 0);
    expect(ask(bench, at(0x41))).toEqual([{ type: "SHORTCUT", id: at(0x41), target: CLIENT }]);
    expect(ask(bench, at(0x81))).toEqual([{ type: "SHORTCUT", id: at(0x81), target: THIEF }]);
    expect(typesOf(ask(bench, at(0xc1)))).toEqual(["CACHE"]);
    join(at(0x40), THIEF, SHORT);
    expect(typesOf(ask(bench, at(0x40)))).toEqual(["CACHE"]);
  });
});

describe("the flag of a trigger", () => {
  it("is signed for: nobody on the way sets it or takes it away", () => {
    const bench = new ServerBench();
    for (const flags of [0, SHORT]) expect(bench.ask({ ...bench.trigger({ flags }), flags: flags ^ SHORT })).toEqual({ type: "REFUSED", code: REFUSAL.badSignature, subject: ID });
    expect(bench.engine.triggers.size).toBe(0);
  });

  it("needs a newer counter to change, and is not lost by a refresh or a repeated message", () => {
    const bench = new ServerBench();
    const message = bench.trigger({ flags: SHORT });
    for (let i = 0; i < 2; i += 1) expect(bench.ask(message)).toMatchObject({ type: "TRIGGER_OK" });
    expect(bench.ask(bench.trigger({ flags: 0 }))).toEqual({ type: "REFUSED", code: REFUSAL.oldCounter, subject: ID });
    expect(typesOf(ask(bench))).toEqual(["SHORTCUT"]);
  });

  it("alone is known: other bits are refused", () => {
    const bench = new ServerBench();
    for (const flags of [4, 8, 0x8000]) expect(bench.ask(bench.trigger({ flags: flags | SHORT }))).toEqual({ type: "REFUSED", code: REFUSAL.unsupported, subject: ID });
  });
});

it("a server that is responsible no more tells nobody of the triggers that it still has", () => {
  const bench = new ServerBench({ ring: anyMember() });
  withTrigger({ flags: SHORT }, bench);
  expect(typesOf(ask(bench))).toEqual(["SHORTCUT"]);
  const peer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000), memberWhere((node) => !inHalfOpen(node, ID.slice(0, 16), bench.self.key)));
  bench.ring(peer, { type: "NOTIFY", from: peer.node });
  bench.engine.take();
  expect(bench.targets()).toEqual([CLIENT]);
  bench.upcall({ kind: "cache-request", id: ID, from: SENDER, nonce: NONCE, shortcutOk: true, requestBytes: ASK_BYTES });
  expect(bench.core.counters.get("shortcut-sent")).toBe(1);
});

describe("a replica", () => {
  it("is nobody's to tell of while another server is responsible, and told of once it has taken over", () => {
    const bench = new ServerBench({ ring: anyMember(), limits: { triggers: 1_000, perSource: 100 } });
    const key = ID.slice(0, 16);
    const peer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000), memberWhere((node) => !inHalfOpen(node, key, bench.self.key)));
    bench.ring(peer, { type: "NOTIFY", from: peer.node });
    bench.engine.take();
    withTrigger({ flags: TRIGGER_FLAG.replica | SHORT }, bench);
    bench.upcall({ kind: "cache-request", id: ID, from: SENDER, nonce: NONCE, shortcutOk: true, requestBytes: ASK_BYTES });
    expect(bench.core.counters.get("shortcut-sent")).toBe(0);
    bench.ring(peer, { type: "LEAVING", from: peer.node, predecessor: null, successors: [bench.self] });
    expect(bench.targets()).toEqual([CLIENT]);
    expect(ask(bench)).toEqual([{ type: "SHORTCUT", id: ID, target: CLIENT }]);
  });
});
