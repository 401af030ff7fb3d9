/** Claims to names (docs/wire.md §4.1): off unless configured, several hosts side by side, none in another's way. */
import { claimId, makeLocator, nameId, nameKey, REFUSAL, TRIGGER_ACTION, type ControlMessage, type Locator, type TriggerMessage } from "@i3/common";
import { generateTriggerKey, type TriggerKey } from "@i3/hip";
import { describe, expect, it } from "vitest";

import { CLIENT, ServerBench, THIEF } from "./server-bench.js";

const NAME = "box.try.i3";
const OWNER = generateTriggerKey();
const IMPOSTOR = generateTriggerKey();
const at = (n: number): Locator => makeLocator(Uint8Array.of(203, 0, 113, n), 777);
const idOf = (key: TriggerKey, name = NAME): Uint8Array => claimId(nameKey(name), key.publicKey);
const bench = (claimsPerName = 2): ServerBench => new ServerBench({ limits: { triggers: 100, perSource: 50, claimsPerName } });

function claim(server: ServerBench, key: TriggerKey, from: Locator, change: Partial<TriggerMessage> & { readonly name?: string } = {}): ControlMessage | null {
  const { name = NAME, ...fields } = change;
  return server.ask(server.trigger({ signer: { kind: "name", nameKey: nameKey(name), key }, id: idOf(key, name), from, ...fields }), from);
}

describe("a claim to a name", () => {
  it("is refused unless the server takes them", () => {
    for (const limits of [{ triggers: 100, perSource: 50 }, { triggers: 100, perSource: 50, claimsPerName: 0 }]) {
      const server = new ServerBench({ limits });
      expect(claim(server, OWNER, CLIENT)).toMatchObject({ type: "REFUSED", code: REFUSAL.unsupported });
      expect(server.engine.triggers.size).toBe(0);
    }
  });

  it("gets what is sent to the name", () => {
    const server = bench();
    expect(claim(server, OWNER, CLIENT)).toMatchObject({ type: "TRIGGER_OK", lifeMs: 30_000 });
    expect(server.targets(nameId(NAME))).toEqual([CLIENT]);
    server.advance(30_000);
    expect(server.targets(nameId(NAME))).toEqual([]);
  });

  it("stands beside those of others, who can neither replace nor remove it", () => {
    const server = bench();
    claim(server, OWNER, CLIENT);
    expect(claim(server, IMPOSTOR, THIEF, { counter: 2 ** 50 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(server.targets(nameId(NAME))).toEqual([CLIENT, THIEF]);
    // With the owner's id, under the impostor's key.
    expect(claim(server, IMPOSTOR, THIEF, { id: idOf(OWNER), counter: 2 ** 50 })).toMatchObject({ type: "REFUSED", code: REFUSAL.wrongKey });
    expect(claim(server, IMPOSTOR, THIEF, { id: idOf(OWNER), counter: 2 ** 50, action: TRIGGER_ACTION.remove })).toMatchObject({ type: "REFUSED", code: REFUSAL.wrongKey });
    expect(claim(server, IMPOSTOR, THIEF, { action: TRIGGER_ACTION.remove, counter: 2 ** 50 + 1 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(server.targets(nameId(NAME))).toEqual([CLIENT]);
  });

  it("is one of so many, of as many addresses", () => {
    const server = bench(2);
    const [a, b, c] = [generateTriggerKey(), generateTriggerKey(), generateTriggerKey()];
    expect(claim(server, a, at(1))).toMatchObject({ type: "TRIGGER_OK" });
    expect(claim(server, b, at(1))).toMatchObject({ type: "REFUSED", code: REFUSAL.quota });
    expect(claim(server, b, at(2))).toMatchObject({ type: "TRIGGER_OK" });
    expect(claim(server, c, at(3))).toMatchObject({ type: "REFUSED", code: REFUSAL.quota });
    expect(claim(server, c, at(3), { name: "other.try.i3" })).toMatchObject({ type: "TRIGGER_OK" });
    // Those that are there may move.
    expect(claim(server, a, at(4), { counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
    expect(server.targets(nameId(NAME))).toEqual([at(2), at(4)]);
  });

  it.each([[8, 2], [4, 1], [1, 1]])("of %i, %i may be of one IPv6 /48, whichever of its /64s they are from", (claimsPerName, ofNetwork) => {
    const server = bench(claimsPerName);
    const within = (site: number, network = 7): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, network, 0, site, 0, 0, 0, 0, 0, 0, 0, 1), 777);
    const key = generateTriggerKey();
    expect(claim(server, key, within(0))).toMatchObject({ type: "TRIGGER_OK" });
    const taken = Array.from({ length: 12 }, (_, i) => claim(server, generateTriggerKey(), within(1 + i))).filter((answer) => answer?.type === "TRIGGER_OK").length;
    expect(taken).toBe(ofNetwork - 1);
    expect(claim(server, generateTriggerKey(), within(1, 8))?.type).toBe(claimsPerName > 1 ? "TRIGGER_OK" : "REFUSED");
    // Who is there may move within it.
    expect(claim(server, key, within(99), { counter: 2 })).toMatchObject({ type: "TRIGGER_OK" });
  });

  it("is for a name: nobody gets another kind of id, or another name's, with it", () => {
    const server = bench();
    const elsewhere = (prefix: Uint8Array): Uint8Array => Uint8Array.from([...prefix.subarray(0, 16), ...idOf(OWNER).subarray(16)]);
    for (const id of [nameId(NAME), elsewhere(OWNER.prefix), elsewhere(nameId("other.try.i3"))]) {
      expect(claim(server, OWNER, CLIENT, { id })).toMatchObject({ type: "REFUSED", code: REFUSAL.wrongKey });
    }
  });
});
