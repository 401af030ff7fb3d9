/** Forged inserts (docs/wire.md §4.1), of each kind that packages/i3-server/test/triggers.test.ts tries once: many at every server. */
import { TRIGGER_ACTION, type TriggerMessage } from "@i3/common";
import { signTrigger } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { AttackScene, keyOf, ROUNDS, tell, TRIES, UNHURT, type Attempt } from "./attack-scene.js";
import { filled } from "./fake-ring.js";

describe("an insert by a stranger", () => {
  it("puts nothing in, by whatever he has, and costs nobody a packet or a refresh", () => {
    const scene = new AttackScene("inserts by strangers");
    const { attacker } = scene;
    const [key, strangers] = [keyOf(5), keyOf(66)];
    const { owner, id, bystander, removals, inserts } = scene.ownerOnTape(key);
    expect([removals.length, inserts.length]).toEqual([2, 2]);

    const outcome = scene.attack(id, [{ program: owner, id }, bystander], ({ flags, given }, round) => {
      const [he, she] = [attacker.node.locator, owner.node.locator];
      const [his, hers] = [given(he), given(she)];
      const insert = { action: TRIGGER_ACTION.insert, id, target: he, flags, counter: 2 ** 50 + round, commitment: filled(16, 0), cookie: his.cookie } as const;
      const signed = (change: Partial<typeof insert> = {}): TriggerMessage => signTrigger({ kind: "private", key: strangers }, { ...insert, ...change }, his.nodeKey);
      const asHers = (message: TriggerMessage): TriggerMessage => ({ ...message, publicKey: key.publicKey });
      /** From her address, with a cookie that is good there. */
      const changed = (change: (message: TriggerMessage) => Partial<TriggerMessage>, of = inserts): readonly Attempt[] => of.map((message) => ({ from: she, message: { ...message, flags, cookie: hers.cookie, ...change(message) } }));
      return {
        "own key": [{ from: he, message: signed() }],
        "stolen public key": [{ from: he, message: asHers(signed()) }],
        "stolen cookie": [{ from: he, message: asHers(signed({ cookie: hers.cookie })) }],
        "stolen cookie and address": [{ from: she, message: asHers(signed({ cookie: hers.cookie, target: she })) }],
        "forged signature": changed(({ signature }) => ({ signature: signature.map((byte) => byte ^ 1) })),
        "changed commitment": changed(() => ({ commitment: insert.commitment })),
        "raised counter": changed(({ counter }) => ({ counter: counter + 1 + round })),
        "removal made an insert": changed(() => ({ action: TRIGGER_ACTION.insert, counter: insert.counter }), removals),
        "another suffix": changed(() => ({ id: Uint8Array.from([...key.prefix, ...filled(16, 9)]) })),
        "made-up cookie": changed(() => ({ cookie: filled(24, 0), counter: insert.counter })),
        "cookie from the future": changed(() => ({ cookie: hers.cookie.map((byte, i) => (i === 0 ? 0x7f : byte)), counter: insert.counter })),
        "unknown flag": changed(() => ({ flags: 4, counter: insert.counter })),
        "target elsewhere": changed(() => ({ target: he, counter: insert.counter })),
        replay: inserts.map((message) => ({ from: she, message })),
        "replay from elsewhere": inserts.map((message) => ({ from: he, message })),
        "replay with a new cookie": inserts.map((message) => ({ from: he, message: { ...message, flags, target: he, cookie: his.cookie, counter: insert.counter } })),
      };
    });
    tell(`${TRIES} of each kind`, outcome);
    const [inVain, ofBoth] = [{ "REFUSED 3": TRIES }, { "REFUSED 3": 2 * TRIES }];
    const { "forged signature": ofTheSame, "changed commitment": commitment, "raised counter": counter, replay, ...rest } = outcome.answers;
    expect(rest).toEqual({
      "own key": { "REFUSED 5": TRIES }, "stolen public key": inVain, "stolen cookie": { "REFUSED 2": TRIES }, "stolen cookie and address": inVain,
      "removal made an insert": ofBoth, "another suffix": ofBoth, "made-up cookie": { "REFUSED 2": 2 * TRIES }, "cookie from the future": { "REFUSED 2": 2 * TRIES },
      "unknown flag": { "REFUSED 7": 2 * TRIES }, "target elsewhere": { "REFUSED 8": 2 * TRIES },
      "replay from elsewhere": { "REFUSED 1": 3 * ROUNDS, "REFUSED 2": TRIES, "REFUSED 10": ROUNDS }, "replay with a new cookie": ofBoth,
    });
    // What has the counter of the trigger that is there is old, or is answered as that one was, and changes nothing, before a signature is looked at.
    for (const [answers, most] of [[ofTheSame, 2 * ROUNDS], [commitment, 0], [counter, 0], [replay, 2 * ROUNDS]] as const) {
      expect(Object.values(answers ?? {}).reduce((sum, n) => sum + n, 0)).toBe(2 * TRIES);
      expect(answers?.["TRIGGER_OK"] ?? 0).toBeLessThanOrEqual(most);
    }
    expect({ removed: outcome.removed, inserted: outcome.inserted, expired: outcome.expired, rate: outcome.rate }).toEqual({ removed: 0, inserted: 0, expired: 0, rate: 0 });
    for (const each of outcome.of) {
      expect(each).toMatchObject(UNHURT);
      expect(each.refreshes.asked).toBeGreaterThan(20);
      expect(each.refreshes.lost).toBe(0);
    }
  }, 60_000);
});
