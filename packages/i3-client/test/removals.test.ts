/** Removal by strangers, and of one member of a group by another (docs/wire.md §4.1). */
import { groupId, TRIGGER_ACTION, type TriggerMessage } from "@i3/common";
import { certifyMember, signTrigger, type TriggerKey, type TriggerSigner } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { AttackScene, keyOf, ROUNDS, tell, TRIES, UNHURT } from "./attack-scene.js";
import { filled } from "./fake-ring.js";

const END_S = 1_900_000_000;

describe("removal by a stranger", () => {
  it("removes nothing, by whatever he has, and costs nobody a packet or a refresh", () => {
    const scene = new AttackScene("removal by strangers");
    const { attacker } = scene;
    const [key, strangers] = [keyOf(5), keyOf(66)];
    const { owner, id, bystander, removals, inserts } = scene.ownerOnTape(key);
    expect([removals.length, inserts.length]).toEqual([2, 2]);

    const outcome = scene.attack(id, [{ program: owner, id }, bystander], ({ flags, given }, round) => {
      const [he, she] = [attacker.node.locator, owner.node.locator];
      const [his, hers] = [given(he), given(she)];
      const removal = { action: TRIGGER_ACTION.remove, id, target: he, flags, counter: 2 ** 50 + round, commitment: filled(16, 0), cookie: his.cookie } as const;
      const signed = (change: Partial<typeof removal> = {}): TriggerMessage => signTrigger({ kind: "private", key: strangers }, { ...removal, ...change }, his.nodeKey);
      const asHers = (message: TriggerMessage): TriggerMessage => ({ ...message, publicKey: key.publicKey });
      return {
        "own key": [{ from: he, message: signed() }],
        "stolen public key": [{ from: he, message: asHers(signed()) }],
        "stolen cookie": [{ from: he, message: asHers(signed({ cookie: hers.cookie })) }],
        "stolen cookie and address": [{ from: she, message: asHers(signed({ cookie: hers.cookie, target: she })) }],
        replay: removals.map((message) => ({ from: she, message })),
        "replay from elsewhere": removals.map((message) => ({ from: he, message })),
        "replay with a new cookie": removals.map((message) => ({ from: he, message: { ...message, flags, target: he, cookie: his.cookie, counter: removal.counter } })),
        "replay with a new cookie of hers": removals.map((message) => ({ from: she, message: { ...message, flags, cookie: hers.cookie, counter: removal.counter } })),
        "insert made a removal": inserts.map((message) => ({ from: she, message: { ...message, flags, action: TRIGGER_ACTION.remove, cookie: hers.cookie, counter: removal.counter } })),
      };
    });
    tell(`${TRIES} of each kind`, outcome);
    const { replay, ...rest } = outcome.answers;
    expect(rest).toEqual({
      "own key": { "REFUSED 5": TRIES }, "stolen public key": { "REFUSED 3": TRIES }, "stolen cookie": { "REFUSED 2": TRIES }, "stolen cookie and address": { "REFUSED 3": TRIES },
      // Those for the replica's server are no removals at the responsible one, and the other way round.
      "replay from elsewhere": { "REFUSED 1": 3 * ROUNDS, "REFUSED 2": TRIES, "REFUSED 10": ROUNDS },
      "replay with a new cookie": { "REFUSED 3": 2 * TRIES }, "replay with a new cookie of hers": { "REFUSED 3": 2 * TRIES }, "insert made a removal": { "REFUSED 3": 2 * TRIES },
    });
    expect(Object.values(replay ?? {}).reduce((sum, n) => sum + n, 0)).toBe(2 * TRIES);
    expect(replay).toEqual({ "REFUSED 1": 3 * ROUNDS, "REFUSED 2": 2 * ROUNDS, "REFUSED 4": 2 * ROUNDS, "REFUSED 10": ROUNDS });
    expect({ removed: outcome.removed, inserted: outcome.inserted, expired: outcome.expired, rate: outcome.rate }).toEqual({ removed: 0, inserted: 0, expired: 0, rate: 0 });
    for (const each of outcome.of) {
      expect(each).toMatchObject(UNHURT);
      expect(each.refreshes.asked).toBeGreaterThan(20);
      expect(each.refreshes.lost).toBe(0);
    }
  }, 60_000);
});

describe("a member of a group", () => {
  it("removes no other, by whatever it has, and costs nobody a packet or a refresh", () => {
    const scene = new AttackScene("removal by members");
    const { world, attacker } = scene;
    const [ann, carol] = [scene.program(1), scene.program(3)];
    const [group, foreign, annsKey, carolsKey, bobsKey] = [keyOf(9), keyOf(10), keyOf(11), keyOf(12), keyOf(13)];
    const id = groupId(group.publicKey, filled(16, 0));
    const certificate = (member: TriggerKey, by = group): Uint8Array => certifyMember(by, member.publicKey, END_S);
    for (const [program, key] of [[ann, annsKey], [carol, carolsKey]] as const) {
      program.listen(id);
      program.client.joinGroup(world.nowMs, id, certificate(key), key);
    }
    world.run(1_000);
    ann.client.leaveGroup(world.nowMs, id);
    world.run(1_000);
    ann.client.joinGroup(world.nowMs, id, certificate(annsKey), annsKey);
    world.run(1_000);
    const [removals, inserts] = [scene.taped(ann, TRIGGER_ACTION.remove), scene.taped(ann, TRIGGER_ACTION.insert)];
    expect([removals.length, inserts.length]).toEqual([2, 2]);

    const outcome = scene.attack(id, [{ program: ann, id }, { program: carol, id }], ({ flags, given }, round) => {
      const [bob, she] = [attacker.node.locator, ann.node.locator];
      const [his, hers] = [given(bob), given(she)];
      const removal = { action: TRIGGER_ACTION.remove, id, target: bob, flags, counter: 2 ** 50 + round, commitment: filled(16, 0), cookie: his.cookie } as const;
      const signed = (signer: TriggerSigner, change: Partial<typeof removal> = {}): TriggerMessage => signTrigger(signer, { ...removal, ...change }, his.nodeKey);
      const bobs: TriggerSigner = { kind: "member", certificate: certificate(bobsKey), key: bobsKey };
      const asAnn: TriggerSigner = { kind: "member", certificate: certificate(annsKey), key: bobsKey };
      const ofHisMaking = Uint8Array.from([...group.publicKey, ...certificate(annsKey, bobsKey).subarray(32)]);
      return {
        "his own trigger, that is not there": [{ from: bob, message: signed(bobs) }],
        "the other's certificate": [{ from: bob, message: signed(asAnn) }],
        "the other's certificate, cookie and address": [{ from: she, message: signed(asAnn, { cookie: hers.cookie, target: she }) }],
        "his signature under the other's certificate": [{ from: bob, message: { ...signed(bobs), publicKey: certificate(annsKey) } }],
        "a certificate for the other, of his making": [{ from: bob, message: signed({ kind: "member", certificate: ofHisMaking, key: bobsKey }) }],
        "a certificate for the other, of another group": [{ from: bob, message: signed({ kind: "member", certificate: certificate(annsKey, foreign), key: bobsKey }) }],
        "the group's key as one of a single host": [{ from: bob, message: signed({ kind: "private", key: { ...bobsKey, publicKey: group.publicKey } }) }],
        replay: removals.map((message) => ({ from: she, message })),
        "replay with a new cookie": removals.map((message) => ({ from: bob, message: { ...message, flags, target: bob, cookie: his.cookie, counter: removal.counter } })),
        "insert made a removal": inserts.map((message) => ({ from: she, message: { ...message, flags, action: TRIGGER_ACTION.remove, cookie: hers.cookie, counter: removal.counter } })),
      };
    });
    tell(`${TRIES} of each kind`, outcome);
    expect(outcome.answers).toEqual({
      "his own trigger, that is not there": { TRIGGER_OK: TRIES },
      "the other's certificate": { "REFUSED 3": TRIES }, "the other's certificate, cookie and address": { "REFUSED 3": TRIES }, "his signature under the other's certificate": { "REFUSED 3": TRIES },
      "a certificate for the other, of his making": { "REFUSED 3": TRIES }, "a certificate for the other, of another group": { "REFUSED 5": TRIES }, "the group's key as one of a single host": { "REFUSED 5": TRIES },
      replay: { "REFUSED 1": 3 * ROUNDS, "REFUSED 2": 2 * ROUNDS, "REFUSED 4": 2 * ROUNDS, "REFUSED 10": ROUNDS },
      "replay with a new cookie": { "REFUSED 3": 2 * TRIES }, "insert made a removal": { "REFUSED 3": 2 * TRIES },
    });
    // His own alone.
    expect({ removed: outcome.removed, inserted: outcome.inserted, expired: outcome.expired, rate: outcome.rate }).toEqual({ removed: TRIES, inserted: 0, expired: 0, rate: 0 });
    for (const each of outcome.of) {
      expect(each).toMatchObject(UNHURT);
      expect(each.refreshes.asked).toBeGreaterThan(20);
      expect(each.refreshes.lost).toBe(0);
    }
  }, 60_000);
});
