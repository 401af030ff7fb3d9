/** Triggers that lead on to other ids (docs/wire.md §4.1): with each one's consent, as long as that holds. */
import { claimId, nameKey, privateId, publicId, REFUSAL, TRIGGER_ACTION, type ControlMessage, type StackStep, type TriggerMessage } from "@i3/common";
import { generateHostIdentity, generateTriggerKey, signStep, type StepSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { CLIENT, idOf, KEY, OTHER_KEY, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const SOURCE = idOf(KEY);
const NEXT = idOf(OTHER_KEY);
const identity = generateHostIdentity();
const PUBLIC = new Uint8Array(publicId(identity.hit));
const END_S = WALL_MS / 1_000 + 31_536_000;
const CONSENT: StepSigner = { kind: "private", key: OTHER_KEY };
const step = (notAfterS = END_S, source = SOURCE, id = NEXT, signer: StepSigner = CONSENT): StackStep => signStep(signer, source, id, notAfterS);
const refused = (code: number, id = SOURCE) => ({ type: "REFUSED", code, subject: id });
const insert = (server: ServerBench, steps: readonly StackStep[], change: Parameters<ServerBench["trigger"]>[0] = {}): ControlMessage | null =>
  server.ask(server.trigger({ target: { steps }, ...change }), change.from ?? CLIENT);
/** What stands in the engine for an id. */
const entries = (server: ServerBench, id = SOURCE) => server.engine.triggers.get(Buffer.from(id.slice(0, 16)).toString("hex")) ?? [];

describe("a trigger along a stack", () => {
  it("puts the ids in the engine, in order, and lives as others do", () => {
    const server = new ServerBench();
    const steps = [step(), step(END_S, SOURCE, PUBLIC, { kind: "host", identity })];
    expect(insert(server, steps)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    expect(entries(server)).toEqual([{ id: SOURCE, target: { kind: "stack", ids: [NEXT, PUBLIC] } }]);
    server.advance(20_000);
    expect(server.ask({ type: "REFRESH", id: SOURCE, index: 1, token: tokenAt(1), member: null })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    expect(server.ask({ type: "REFRESH", id: SOURCE, index: 2, token: tokenAt(2), member: null }, THIEF)).toMatchObject({ type: "CHALLENGE" });
    expect(insert(server, [], { target: CLIENT, counter: 2, action: TRIGGER_ACTION.remove })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 0 });
    expect(entries(server)).toEqual([]);
  });

  it("is replaced by a newer one, to an address too; a repeated message changes nothing, another of its counter is old", () => {
    const server = new ServerBench();
    const message = server.trigger({ target: { steps: [step()] } });
    server.ask(message);
    server.advance(1_000);
    expect(server.ask(message)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 29_000 });
    expect(insert(server, [step(), step()])).toEqual(refused(REFUSAL.oldCounter));
    expect(server.ask(server.trigger())).toEqual(refused(REFUSAL.oldCounter));
    expect(server.ask(server.trigger({ counter: 2 }))).toMatchObject({ type: "TRIGGER_OK" });
    expect(server.targets()).toEqual([CLIENT]);
  });

  it("ends with the first of its tokens, and is refused from then on", () => {
    const server = new ServerBench();
    const soon = WALL_MS / 1_000 + 21;
    insert(server, [step(), step(soon)]);
    server.advance(19_999);
    expect(entries(server)).toHaveLength(1);
    server.advance(1);
    expect(entries(server)).toEqual([]);
    expect(insert(server, [step(), step(soon)], { counter: 2 })).toEqual(refused(REFUSAL.expired));
    expect(insert(server, [step()], { counter: 3 })).toMatchObject({ type: "TRIGGER_OK" });
  });
});

describe("nobody is pointed at against its will", () => {
  it.each<[string, readonly StackStep[], number]>([
    ["a token for another source", [step(END_S, idOf(KEY, 2))], REFUSAL.badSignature],
    ["a token for another id of the same key", [{ ...step(END_S, SOURCE, idOf(OTHER_KEY, 2)), id: NEXT }], REFUSAL.badSignature],
    ["a token made to last longer", [{ ...step(), notAfterS: END_S + 1 }], REFUSAL.badSignature],
    ["a forged token", [{ ...step(), signature: new Uint8Array(64).fill(1) }], REFUSAL.badSignature],
    ["a token of the source's own key", [step(END_S, SOURCE, NEXT, { kind: "private", key: KEY })], REFUSAL.wrongKey],
    ["one good token and one forged", [step(), { ...step(), signature: new Uint8Array(64).fill(1) }], REFUSAL.badSignature],
    ["an id that is not the key's", [{ ...step(), id: PUBLIC }], REFUSAL.wrongKey],
    ["a private key's token for a group's id", [{ ...step(), keyKind: 7 }], REFUSAL.wrongKey],
  ])("%s is refused", (_, steps, code) => {
    const server = new ServerBench();
    expect(insert(server, steps)).toEqual(refused(code));
    expect(server.engine.triggers.size).toBe(0);
  });

  it("nor does consent let anybody but the source's owner insert", () => {
    const server = new ServerBench();
    expect(insert(server, [step()], { signer: { kind: "private", key: OTHER_KEY } })).toEqual(refused(REFUSAL.wrongKey));
    const own = server.trigger({ target: { steps: [step()] } });
    expect(server.ask({ ...own, target: { steps: [step(), step()] } })).toEqual(refused(REFUSAL.badSignature));
    expect(server.ask({ ...own, target: CLIENT })).toEqual(refused(REFUSAL.badSignature));
  });

  it("claims of names lead to their makers only", () => {
    const server = new ServerBench({ limits: { triggers: 100, perSource: 50, claimsPerName: 2 } });
    const id = claimId(nameKey("box.try.i3"), KEY.publicKey);
    expect(insert(server, [step(END_S, id)], { id, signer: { kind: "name", nameKey: nameKey("box.try.i3"), key: KEY } })).toEqual(refused(REFUSAL.unsupported, id));
  });
});

describe("what it costs", () => {
  it("each token counts as a signature of its source", () => {
    let verified = 0;
    const count = (): boolean => ((verified += 1), true);
    const server = new ServerBench({ verify: count, verifyStep: count, verificationsPerSourcePerSecond: 12 });
    for (let i = 1; i <= 4; i += 1) insert(server, [step(), step(), step(), step()], { counter: i });
    expect([verified, server.core.counters.get("rate")]).toEqual([10, 2]);
  });

  it("tokens are not looked at when the owner's signature does not hold, nor any signature before the cheap checks", () => {
    const checked: string[] = [];
    const server = new ServerBench({ verify: () => (checked.push("owner"), false), verifyStep: () => (checked.push("step"), true) });
    const good: TriggerMessage = server.trigger({ target: { steps: [step()] } });
    server.ask(good);
    expect(checked).toEqual(["owner"]);
    for (const bad of [{ ...good, cookie: new Uint8Array(24) }, { ...good, publicKey: generateTriggerKey().publicKey }, { ...good, target: { steps: [{ ...step(), id: privateId(KEY.prefix, new Uint8Array(16)) }] } }]) server.ask(bad);
    expect(checked).toEqual(["owner"]);
  });

  it("counts on its owner's account", () => {
    const server = new ServerBench({ limits: { triggers: 100, perSource: 1 } });
    insert(server, [step()]);
    const id = idOf(KEY, 2);
    expect(insert(server, [step(END_S, id)], { id })).toEqual(refused(REFUSAL.quota, id));
    expect(insert(server, [step(END_S, id)], { id, from: THIEF })).toMatchObject({ type: "TRIGGER_OK" });
  });
});
