import { beforeEach, describe, expect, it } from "vitest";

import { encodeControl, makeLocator, publicId, REFUSAL, TRIGGER_ACTION, type ControlMessage, type TriggerMessage } from "@i3/common";
import { DatapathError } from "@i3/datapath";
import { generateHostIdentity, generateTriggerKey, HOST_KEY_ALGORITHMS } from "@i3/hip";

import { CLIENT, idOf, KEY, NONCE, OTHER_KEY, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const MOVED = makeLocator(Uint8Array.of(203, 0, 113, 7), 777);
const PREFIX = idOf(KEY).slice(0, 16);
const NEIGHBOUR_PORT = makeLocator(CLIENT.address, CLIENT.port + 1);

let bench: ServerBench;
beforeEach(() => {
  bench = new ServerBench();
});

const insert = (change: Parameters<ServerBench["trigger"]>[0] = {}): ControlMessage | null => bench.ask(bench.trigger(change), change.from ?? CLIENT);
const refused = (code: number, id = idOf(KEY)) => ({ type: "REFUSED", code, subject: id });
const refresh = (index: number, token = tokenAt(index), from = CLIENT): ControlMessage | null =>
  bench.ask({ type: "REFRESH", id: idOf(KEY), index, token, member: null }, from);

describe("insert", () => {
  it("delivers to the address that the server sees, for 30 s", () => {
    expect(insert()).toEqual({ type: "TRIGGER_OK", action: 1, id: idOf(KEY), lifeMs: 30_000, replica: null });
    expect(bench.targets()).toEqual([CLIENT]);
    bench.advance(29_999);
    expect(bench.targets()).toEqual([CLIENT]);
    bench.advance(1);
    expect(bench.targets()).toEqual([]);
    expect(bench.core.counters.get("expired")).toBe(1);
  });

  it.each(HOST_KEY_ALGORITHMS)("takes a public id signed by its host key (%s)", (algorithm) => {
    const identity = generateHostIdentity(algorithm);
    const id = new Uint8Array(publicId(identity.hit));
    expect(insert({ signer: { kind: "host", identity }, id })).toMatchObject({ type: "TRIGGER_OK", id });
    expect(bench.targets(id)).toEqual([CLIENT]);
  });

  it("says in the challenge what a client needs: its address, the time, the node key", () => {
    const challenge = bench.answer("CHALLENGE", { type: "CHALLENGE_REQUEST", ringKey: PREFIX, flags: 0 });
    expect(challenge).toMatchObject({ ringKey: PREFIX, observed: CLIENT, timeMs: WALL_MS + 1_000, nodeKey: bench.self.key });
  });

  it("keeps several suffixes of one prefix side by side", () => {
    insert({ id: idOf(KEY, 1) });
    insert({ id: idOf(KEY, 2) });
    expect(bench.targets(idOf(KEY, 1))).toEqual([CLIENT]);
    expect(bench.targets(idOf(KEY, 2))).toEqual([CLIENT]);
  });

  it("moves at once with a newer counter, and leaves no second copy", () => {
    insert();
    expect(insert({ from: MOVED, counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(bench.targets()).toEqual([MOVED]);
  });

  it("answers a repeated message like the first time without giving it new life", () => {
    const message = bench.trigger();
    bench.ask(message);
    bench.advance(10_000);
    expect(bench.ask(message)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 20_000 });
    expect(bench.core.counters.get("inserted")).toBe(1);
    expect(bench.core.counters.get("repeated")).toBe(1);
  });
});

describe("an attacker's insert", () => {
  it.each<[string, (m: TriggerMessage) => TriggerMessage, number, string]>([
    ["forged signature", (m) => ({ ...m, signature: m.signature.map((b) => b ^ 1) }), REFUSAL.badSignature, "signature"],
    ["changed commitment", (m) => ({ ...m, commitment: new Uint8Array(16) }), REFUSAL.badSignature, "signature"],
    ["raised counter", (m) => ({ ...m, counter: m.counter + 1 }), REFUSAL.badSignature, "signature"],
    ["insert made a remove", (m) => ({ ...m, action: TRIGGER_ACTION.remove }), REFUSAL.badSignature, "signature"],
    ["another suffix", (m) => ({ ...m, id: idOf(KEY, 9) }), REFUSAL.badSignature, "signature"],
    ["made-up cookie", (m) => ({ ...m, cookie: new Uint8Array(24) }), REFUSAL.badCookie, "cookie"],
    ["cookie from the future", (m) => ({ ...m, cookie: m.cookie.map((b, i) => (i === 0 ? 0x7f : b)) }), REFUSAL.badCookie, "cookie"],
    ["unknown flag", (m) => ({ ...m, flags: 4 }), REFUSAL.unsupported, "unsupported"],
    ["target elsewhere", (m) => ({ ...m, target: THIEF }), REFUSAL.notYourAddress, "not-your-address"],
  ])("%s is refused and counted", (_name, change, code, counter) => {
    const message = change(bench.trigger());
    expect(bench.ask(message)).toEqual(refused(code, message.id));
    expect(bench.engine.triggers.size).toBe(0);
    expect(bench.core.counters.get(counter as "cookie")).toBe(1);
  });

  it("with a key of its own cannot take another's id", () => {
    expect(insert({ signer: { kind: "private", key: OTHER_KEY } })).toEqual(refused(REFUSAL.wrongKey));
    const identity = generateHostIdentity();
    const id = new Uint8Array(publicId(generateHostIdentity().hit));
    expect(insert({ signer: { kind: "host", identity }, id })).toEqual(refused(REFUSAL.wrongKey, id));
    expect(bench.engine.triggers.size).toBe(0);
  });

  it("replayed from elsewhere, or from another port of the same address, gets nowhere", () => {
    const message = bench.trigger();
    expect(bench.ask(message, THIEF)).toEqual(refused(REFUSAL.badCookie));
    expect(bench.ask(message, NEIGHBOUR_PORT)).toEqual(refused(REFUSAL.badCookie));
  });

  it("replayed to the thief's own cookie fails at the signature", () => {
    const stolen = bench.trigger();
    const message = { ...stolen, target: THIEF, cookie: bench.cookie(idOf(KEY), THIEF) };
    expect(bench.ask(message, THIEF)).toEqual(refused(REFUSAL.badSignature));
  });

  it("cannot use a cookie for another ring key, or one of more than 30 s", () => {
    expect(insert({ cookie: bench.cookie(idOf(OTHER_KEY)) })).toEqual(refused(REFUSAL.badCookie));
    const old = bench.trigger();
    bench.advance(30_001);
    expect(bench.ask(old)).toEqual(refused(REFUSAL.badCookie));
  });

  it("signed for another server is refused here", () => {
    expect(insert({ nodeKey: new Uint8Array(16) })).toEqual(refused(REFUSAL.badSignature));
  });

  it("with an older counter cannot bring an old address back, nor after a remove or an expiry", () => {
    insert({ counter: 5 });
    expect(insert({ from: MOVED, counter: 4 })).toEqual(refused(REFUSAL.oldCounter));
    expect(insert({ from: MOVED, counter: 5 })).toEqual(refused(REFUSAL.oldCounter));
    expect(insert({ action: TRIGGER_ACTION.remove, counter: 6 })).toMatchObject({ type: "TRIGGER_OK", action: 2, lifeMs: 0 });
    bench.advance(59_000);
    expect(insert({ counter: 5 })).toEqual(refused(REFUSAL.oldCounter));
    expect(insert({ counter: 7 })).toMatchObject({ type: "TRIGGER_OK" });
    bench.advance(31_000);
    expect(bench.targets()).toEqual([]);
    expect(insert({ counter: 7 })).toEqual(refused(REFUSAL.oldCounter));
    bench.advance(60_000);
    expect(insert({ counter: 7 })).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("replayed remove does not remove what was inserted since", () => {
    insert({ counter: 1 });
    const removal = bench.trigger({ action: TRIGGER_ACTION.remove, counter: 2 });
    bench.ask(removal);
    insert({ counter: 3 });
    expect(bench.ask(removal)).toEqual(refused(REFUSAL.oldCounter));
    expect(bench.targets()).toEqual([CLIENT]);
  });

  it("an insert replayed after the owner's remove, within the cookie's life and from the same address, is refused", () => {
    const first = bench.trigger({ counter: 1 });
    bench.ask(first);
    insert({ action: TRIGGER_ACTION.remove, counter: 2 });
    expect(bench.ask(first)).toEqual(refused(REFUSAL.oldCounter));
    expect(bench.targets()).toEqual([]);
  });
});

describe("remove", () => {
  it("acts at once", () => {
    insert();
    insert({ action: TRIGGER_ACTION.remove, counter: 2 });
    expect(bench.targets()).toEqual([]);
  });

  it("by a stranger is refused", () => {
    insert();
    const removal = bench.trigger({ action: TRIGGER_ACTION.remove, counter: 2, from: THIEF, signer: { kind: "private", key: OTHER_KEY } });
    expect(bench.ask(removal, THIEF)).toEqual(refused(REFUSAL.wrongKey));
    expect(bench.ask({ ...removal, publicKey: KEY.publicKey }, THIEF)).toEqual(refused(REFUSAL.badSignature));
    expect(bench.targets()).toEqual([CLIENT]);
  });

  it("works from a new address, and for an id that is not here", () => {
    insert();
    expect(insert({ action: TRIGGER_ACTION.remove, counter: 2, from: MOVED })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 0 });
    expect(bench.targets()).toEqual([]);
    expect(insert({ action: TRIGGER_ACTION.remove, counter: 2, id: idOf(KEY, 9) })).toMatchObject({ type: "TRIGGER_OK" });
  });
});

describe("refresh", () => {
  it("gives 30 s more for the next token, and for one after lost ones", () => {
    insert();
    bench.advance(20_000);
    expect(refresh(1)).toMatchObject({ type: "TRIGGER_OK", action: 1, lifeMs: 30_000 });
    bench.advance(20_000);
    expect(refresh(65)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    bench.advance(29_000);
    expect(bench.targets()).toEqual([CLIENT]);
  });

  it("answers a repeated token without giving it new life", () => {
    insert();
    refresh(1);
    bench.advance(10_000);
    expect(refresh(1)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 20_000 });
  });

  it("challenges instead: old, wrong or too far tokens, index 0, unknown triggers", () => {
    insert();
    refresh(3);
    for (const answer of [refresh(2), refresh(4, tokenAt(5)), refresh(3, new Uint8Array(16)), refresh(68), refresh(0, tokenAt(0))]) {
      expect(answer).toMatchObject({ type: "CHALLENGE", ringKey: PREFIX });
    }
    expect(bench.core.counters.get("refresh-token")).toBe(5);
    expect(bench.ask({ type: "REFRESH", id: idOf(KEY, 7), index: 1, token: tokenAt(1), member: null })).toMatchObject({ type: "CHALLENGE" });
    bench.advance(30_000);
    expect(bench.targets()).toEqual([]);
  });

  it("with a stolen token counts only from the address that the trigger targets", () => {
    insert();
    bench.advance(20_000);
    expect(refresh(1, tokenAt(1), THIEF)).toMatchObject({ type: "CHALLENGE", observed: THIEF });
    bench.advance(10_000);
    expect(bench.targets()).toEqual([]);
    expect(refresh(2)).toMatchObject({ type: "CHALLENGE" });
  });

  it("gives a cookie that the next insert can use", () => {
    const challenge = bench.answer("CHALLENGE", { type: "REFRESH", id: idOf(KEY), index: 1, token: tokenAt(1), member: null });
    expect(insert({ cookie: challenge.cookie })).toMatchObject({ type: "TRIGGER_OK" });
  });
});

describe("bounds", () => {
  it("one source has its quota; another is not hurt; what is removed counts until it is forgotten", () => {
    bench = new ServerBench({ limits: { triggers: 100, perSource: 3 } });
    for (let i = 1; i <= 3; i += 1) expect(insert({ id: idOf(KEY, i) })).toMatchObject({ type: "TRIGGER_OK" });
    expect(insert({ id: idOf(KEY, 4) })).toEqual(refused(REFUSAL.quota, idOf(KEY, 4)));
    expect(insert({ id: idOf(KEY, 4), from: NEIGHBOUR_PORT })).toEqual(refused(REFUSAL.quota, idOf(KEY, 4)));
    expect(insert({ id: idOf(KEY, 4), from: THIEF })).toMatchObject({ type: "TRIGGER_OK" });
    expect(insert({ id: idOf(KEY, 1), counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    insert({ id: idOf(KEY, 1), counter: 3, action: TRIGGER_ACTION.remove });
    expect(insert({ id: idOf(KEY, 5) })).toEqual(refused(REFUSAL.quota, idOf(KEY, 5)));
    bench.advance(91_000);
    expect(insert({ id: idOf(KEY, 5) })).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("an IPv6 subscriber is one source, whatever address of its /64 it uses", () => {
    bench = new ServerBench({ limits: { triggers: 100, perSource: 1 } });
    const at = (last: number) => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last), 5_000);
    expect(insert({ from: at(1), id: idOf(KEY, 1) })).toMatchObject({ type: "TRIGGER_OK" });
    expect(insert({ from: at(2), id: idOf(KEY, 2) })).toEqual(refused(REFUSAL.quota, idOf(KEY, 2)));
  });

  it("the server has its limit", () => {
    bench = new ServerBench({ limits: { triggers: 2, perSource: 2 } });
    insert({ id: idOf(KEY, 1) });
    insert({ id: idOf(KEY, 2), from: THIEF });
    expect(insert({ id: idOf(KEY, 3), from: MOVED })).toEqual(refused(REFUSAL.quota, idOf(KEY, 3)));
  });

  it("while the server is full, what lives there is refreshed, moved and removed; newcomers come when there is room again", () => {
    bench = new ServerBench({ limits: { triggers: 3, perSource: 3 } });
    for (let i = 1; i <= 3; i += 1) expect(insert({ id: idOf(KEY, i) })).toMatchObject({ type: "TRIGGER_OK" });
    const attempt = () => insert({ id: idOf(OTHER_KEY), from: THIEF, signer: { kind: "private", key: OTHER_KEY } });
    const isFull = () => expect(attempt()).toEqual(refused(REFUSAL.quota, idOf(OTHER_KEY)));
    isFull();
    bench.advance(20_000);
    for (let i = 1; i <= 3; i += 1) expect(bench.ask({ type: "REFRESH", id: idOf(KEY, i), index: 1, token: tokenAt(1), member: null })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    bench.advance(20_000);
    isFull();
    expect(insert({ id: idOf(KEY, 1), from: MOVED, counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    expect([1, 2, 3].map((i) => bench.targets(idOf(KEY, i)))).toEqual([[MOVED], [CLIENT], [CLIENT]]);
    isFull();
    expect(insert({ id: idOf(KEY, 2), counter: 2, action: TRIGGER_ACTION.remove })).toMatchObject({ type: "TRIGGER_OK" });
    expect([1, 2, 3].map((i) => bench.targets(idOf(KEY, i)))).toEqual([[MOVED], [], [CLIENT]]);
    isFull(); // its counter is remembered
    expect(insert({ id: idOf(KEY, 2), counter: 3 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(bench.core.counters.get("quota")).toBe(4);
    bench.advance(91_000);
    expect(attempt()).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("a full engine table is a refusal, and the trigger is not kept", () => {
    bench.engine.triggersFail = new DatapathError("ERR_I3_TABLE_FULL", "full");
    expect(insert()).toEqual(refused(REFUSAL.quota));
    bench.engine.triggersFail = null;
    expect(insert()).toMatchObject({ type: "TRIGGER_OK" });
    expect(bench.core.counters.get("table-full")).toBe(1);
  });

  it("a flood of signatures from one address costs at most its rate in verifications, and others none of theirs", () => {
    let verified = 0;
    const verify = (): boolean => ((verified += 1), false);
    bench = new ServerBench({ verify, verificationsPerSourcePerSecond: 50 });
    const flood = encodeControl(bench.trigger(), NONCE);
    for (let i = 0; i < 1_000; i += 1) bench.sendBytes(flood);
    expect(verified).toBe(25); // the other half is for other ports: shared-address.test.ts
    expect(bench.core.counters.get("rate")).toBe(975);
    insert({ from: THIEF });
    expect(verified).toBe(26);
    bench.advance(20);
    bench.sendBytes(flood);
    bench.sendBytes(flood);
    expect(verified).toBe(27);
  });

  it("a refresh that skips others counts as a signature, right or wrong; the next one does not", () => {
    bench = new ServerBench({ verificationsPerSourcePerSecond: 10 });
    insert();
    bench.advance(1_000);
    const wrong = (index: number): string | undefined => refresh(index, new Uint8Array(16))?.type;
    // A locator has its half of what its source has.
    expect(Array.from({ length: 10 }, () => wrong(64)).filter((type) => type === "CHALLENGE").length).toBe(5);
    expect(bench.core.counters.get("rate")).toBe(5);
    expect(refresh(64)).toBeNull();
    expect([wrong(1), wrong(65), refresh(1)?.type]).toEqual(["CHALLENGE", "CHALLENGE", "TRIGGER_OK"]);
    bench.advance(1_000);
    expect(refresh(3)).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("a signature counts for more at a ring key that has many triggers", () => {
    bench = new ServerBench({ verificationsPerSourcePerSecond: 20 });
    const forged = (): number => {
      const message = bench.trigger({ id: idOf(KEY, 200), from: THIEF });
      const before = bench.core.counters.get("signature");
      for (let i = 0; i < 20; i += 1) bench.send({ ...message, signature: new Uint8Array(64) }, THIEF);
      return bench.core.counters.get("signature") - before;
    };
    expect(forged()).toBe(10);
    for (let i = 0; i < 64; i += 1) {
      if (i % 8 === 0) bench.advance(1_000);
      expect(insert({ id: idOf(KEY, i) })).toMatchObject({ type: "TRIGGER_OK" });
    }
    expect(forged()).toBe(5);
  });

  it("a signature with P-384, which costs ten times as much to check, counts for ten", () => {
    let verified = 0;
    bench = new ServerBench({ verify: () => ((verified += 1), false), verificationsPerSourcePerSecond: 50 });
    const identity = generateHostIdentity("ecdsa-p384");
    const flood = encodeControl(bench.trigger({ signer: { kind: "host", identity }, id: new Uint8Array(publicId(identity.hit)) }), NONCE);
    for (let i = 0; i < 20; i += 1) bench.sendBytes(flood);
    expect([verified, bench.core.counters.get("rate")]).toEqual([3, 17]); // 30 of 50 taken, 20 left
    const other = bench.trigger({ signer: { kind: "host", identity }, id: new Uint8Array(publicId(identity.hit)), from: NEIGHBOUR_PORT });
    bench.ask(other, NEIGHBOUR_PORT);
    expect(verified).toBe(4);
    bench.advance(1);
    bench.sendBytes(flood);
    expect(verified).toBe(4);
    bench.advance(1_000);
    for (let i = 0; i < 20; i += 1) bench.sendBytes(flood);
    expect(verified).toBe(6); // 11 of 30 count still, 50 are there again
  });

  it("never checks a signature before the cheap checks hold", () => {
    let verified = 0;
    bench = new ServerBench({ verify: () => ((verified += 1), true) });
    const good = bench.trigger();
    for (const bad of [{ ...good, cookie: new Uint8Array(24) }, { ...good, target: THIEF }, { ...good, publicKey: generateTriggerKey().publicKey }, { ...good, flags: 4 }]) {
      bench.ask(bad);
    }
    expect(verified).toBe(0);
  });

  it("rotates the secret of its cookies, and old ones hold for their 30 s across it", () => {
    bench.cookie(idOf(KEY));
    bench.advance(55_000);
    const cookie = bench.cookie(idOf(KEY));
    bench.advance(10_000);
    bench.cookie(idOf(KEY));
    expect(insert({ cookie })).toMatchObject({ type: "TRIGGER_OK" });
  });
});
