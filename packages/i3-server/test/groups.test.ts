/** Triggers of groups (docs/wire.md §2, §4.1): many members at one id, none in another's way, nobody without a certificate. */
import { groupId, makeLocator, REFUSAL, TRIGGER_ACTION, type ControlMessage, type Locator, type TriggerMessage } from "@i3/common";
import { LIMITS, ReferenceEngine } from "@i3/datapath";
import { certifyMember, generateTriggerKey, type TriggerKey, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { TRIGGERS_PER_GROUP, TRIGGERS_PER_GROUP_AND_NETWORK } from "../src/triggers/constants.js";
import { CLIENT, ServerBench, THIEF, tokenAt, WALL_MS } from "./server-bench.js";

const GROUP = generateTriggerKey();
const [ANN, BOB, STRANGER] = [generateTriggerKey(), generateTriggerKey(), generateTriggerKey()];
const YEAR_S = WALL_MS / 1_000 + 31_536_000;
const at = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, n >> 8, n & 0xff), 777);
const idOf = (suffix: number): Uint8Array => {
  const bytes = new Uint8Array(16).fill(suffix >> 8);
  bytes[15] = suffix;
  return groupId(GROUP.publicKey, bytes);
};
const signerOf = (key: TriggerKey, notAfterS = YEAR_S, group = GROUP): TriggerSigner & { kind: "member" } => ({ kind: "member", certificate: certifyMember(group, key.publicKey, notAfterS), key });

function join(server: ServerBench, signer: TriggerSigner, from: Locator, change: Partial<TriggerMessage> & { readonly nodeKey?: Uint8Array } = {}): ControlMessage | null {
  return server.ask(server.trigger({ signer, id: idOf(1), from, ...change }), from);
}
const refused = (code: number, id = idOf(1)) => ({ type: "REFUSED", code, subject: id });
const refresh = (server: ServerBench, member: TriggerKey, index: number, from: Locator): ControlMessage | null =>
  server.ask({ type: "REFRESH", id: idOf(1), index, token: tokenAt(index), member: member.publicKey }, from);

describe("members of a group", () => {
  it("at one id all get what is sent to it; each is refreshed, moved and removed by itself", () => {
    const server = new ServerBench();
    expect(join(server, signerOf(ANN), CLIENT)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    join(server, signerOf(BOB), THIEF);
    expect(server.targets(idOf(1))).toEqual([CLIENT, THIEF]);
    server.advance(20_000);
    expect(refresh(server, ANN, 1, CLIENT)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    expect(join(server, signerOf(ANN), at(1), { counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(server.targets(idOf(1))).toEqual([THIEF, at(1)]);
    server.advance(10_000);
    expect(server.targets(idOf(1))).toEqual([at(1)]);
    expect(join(server, signerOf(ANN), at(1), { counter: 3, action: TRIGGER_ACTION.remove })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 0 });
    expect(server.targets(idOf(1))).toEqual([]);
  });

  it("at different suffixes stand for anycast", () => {
    const server = new ServerBench();
    join(server, signerOf(ANN), CLIENT);
    join(server, signerOf(BOB), THIEF, { id: idOf(2) });
    expect([server.targets(idOf(1)), server.targets(idOf(2))]).toEqual([[CLIENT], [THIEF]]);
  });

  it("cannot remove, replace or refresh another's trigger", () => {
    const server = new ServerBench();
    join(server, signerOf(ANN), CLIENT);
    for (const action of [TRIGGER_ACTION.insert, TRIGGER_ACTION.remove]) {
      expect(join(server, signerOf(BOB), THIEF, { action, counter: 2 ** 50 + action })).toMatchObject({ type: "TRIGGER_OK" });
      expect(server.targets(idOf(1))).toContainEqual(CLIENT);
    }
    // Under the other's certificate, by the own key.
    for (const action of [TRIGGER_ACTION.insert, TRIGGER_ACTION.remove]) {
      expect(join(server, { kind: "member", certificate: signerOf(ANN).certificate, key: BOB }, THIEF, { action, counter: 2 ** 50 })).toEqual(refused(REFUSAL.badSignature));
    }
    expect(refresh(server, ANN, 1, THIEF)).toMatchObject({ type: "CHALLENGE" });
    expect(server.targets(idOf(1))).toEqual([CLIENT]);
    expect(refresh(server, BOB, 1, CLIENT)).toMatchObject({ type: "CHALLENGE" });
  });
});

describe("who is not in the group", () => {
  it.each<[string, TriggerSigner, number]>([
    ["certified by another group", signerOf(STRANGER, YEAR_S, STRANGER), REFUSAL.wrongKey],
    ["with a certificate of its own making", { kind: "member", key: STRANGER, certificate: Uint8Array.from([...GROUP.publicKey, ...signerOf(STRANGER, YEAR_S, STRANGER).certificate.subarray(32)]) }, REFUSAL.badSignature],
    ["with a private key that has the group's bytes as its public one", { kind: "private", key: { ...STRANGER, publicKey: GROUP.publicKey } }, REFUSAL.wrongKey],
    ["with a certificate made longer", { kind: "member", key: ANN, certificate: signerOf(ANN).certificate.map((byte, i) => (i === 71 ? byte ^ 0xff : byte)) }, REFUSAL.badSignature],
  ])("%s is refused", (_, signer, code) => {
    const server = new ServerBench();
    expect(join(server, signer, CLIENT)).toEqual(refused(code));
    expect(server.engine.triggers.size).toBe(0);
  });

  it("whose certificate has ended is refused, and its trigger ends with it, refreshed or not", () => {
    const server = new ServerBench();
    const endS = WALL_MS / 1_000 + 42; // 41 s from the bench's start
    expect(join(server, signerOf(ANN, endS), CLIENT)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    join(server, signerOf(BOB), THIEF);
    server.advance(20_000);
    refresh(server, BOB, 1, THIEF);
    expect(refresh(server, ANN, 1, CLIENT)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 21_000 });
    server.advance(20_999);
    expect(server.targets(idOf(1))).toEqual([CLIENT, THIEF]);
    server.advance(1);
    expect(server.targets(idOf(1))).toEqual([THIEF]);
    expect(join(server, signerOf(ANN, endS), CLIENT, { counter: 2 })).toEqual(refused(REFUSAL.expired));
    expect(server.core.counters.get("certificate-ended")).toBe(1);
    expect(join(server, signerOf(ANN), CLIENT, { counter: 3 })).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
  });

  it("others live on when one's certificate ends between theirs", () => {
    const server = new ServerBench();
    join(server, signerOf(ANN), CLIENT);
    join(server, signerOf(BOB, WALL_MS / 1_000 + 6), THIEF);
    server.advance(5_000);
    expect(server.targets(idOf(1))).toEqual([CLIENT]);
    server.advance(24_999);
    expect(server.targets(idOf(1))).toEqual([CLIENT]);
    server.advance(1);
    expect(server.targets(idOf(1))).toEqual([]);
  });
});

describe("bounds of a group", () => {
  const members = Array.from({ length: 9 }, () => signerOf(generateTriggerKey()));
  const open = (): ServerBench => new ServerBench({ verify: () => true, limits: { triggers: 10_000, perSource: 5_000 }, verificationsPerSourcePerSecond: 10_000 });

  it("one source has its share of it, at whatever suffixes; others and other groups have theirs", () => {
    const server = open();
    for (let i = 0; i < TRIGGERS_PER_GROUP_AND_NETWORK; i += 1) expect(join(server, members[0] as TriggerSigner, CLIENT, { id: idOf(i) })).toMatchObject({ type: "TRIGGER_OK" });
    expect(join(server, members[1] as TriggerSigner, CLIENT, { id: idOf(1) })).toEqual(refused(REFUSAL.quota));
    expect(join(server, members[0] as TriggerSigner, CLIENT, { id: idOf(1), counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(join(server, members[1] as TriggerSigner, THIEF, { id: idOf(1) })).toMatchObject({ type: "TRIGGER_OK" });
    const other = generateTriggerKey();
    expect(join(server, signerOf(ANN, YEAR_S, other), CLIENT, { id: groupId(other.publicKey, new Uint8Array(16)) })).toMatchObject({ type: "TRIGGER_OK" });
    join(server, members[0] as TriggerSigner, CLIENT, { id: idOf(1), counter: 3, action: TRIGGER_ACTION.remove });
    expect(join(server, members[1] as TriggerSigner, CLIENT, { id: idOf(2) })).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("so has an IPv6 /48, whichever of its /64s they are in", () => {
    const server = new ServerBench({ limits: { triggers: 1_000, perSource: 1_000 } });
    const within = (site: number, network = 7): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, network, 0, site, 0, 0, 0, 0, 0, 0, 0, 1), 777);
    const joined = (i: number, from: Locator): string | undefined => join(server, members[0] as TriggerSigner, from, { id: idOf(i) })?.type;
    for (let i = 0; i < TRIGGERS_PER_GROUP_AND_NETWORK; i += 1) expect(joined(i, within(i))).toBe("TRIGGER_OK");
    expect([joined(200, within(200)), joined(201, within(1, 8)), joined(202, CLIENT)]).toEqual(["REFUSED", "TRIGGER_OK", "TRIGGER_OK"]);
  });

  it("all together have theirs, which is as many as a packet engine holds of one ring key", () => {
    expect(TRIGGERS_PER_GROUP).toBe(LIMITS.triggersPerRingKey);
    const [server, engine] = [open(), new ReferenceEngine()];
    server.engine.setTriggers = (key, triggers) => engine.setTriggers(key, triggers);
    for (let i = 0; i < TRIGGERS_PER_GROUP; i += 1) expect(join(server, members[i >> 4] as TriggerSigner, at(i >> 4), { id: idOf(i) })).toMatchObject({ type: "TRIGGER_OK" });
    expect(join(server, members[8] as TriggerSigner, at(9))).toEqual(refused(REFUSAL.quota));
    expect([server.core.counters.get("quota"), server.core.counters.get("table-full")]).toEqual([1, 0]);
    expect(server.core.inspect().triggers).toBe(TRIGGERS_PER_GROUP);
  });

  it("a member's signature counts for two, since its certificate is checked too", () => {
    let verified = 0;
    const server = new ServerBench({ verify: () => ((verified += 1), false), verificationsPerSourcePerSecond: 10 });
    for (let i = 0; i < 10; i += 1) join(server, members[0] as TriggerSigner, CLIENT);
    expect([verified, server.core.counters.get("rate")]).toEqual([3, 7]); // 6 of 10 taken, 4 left
  });
});
