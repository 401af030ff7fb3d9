import { createPrivateKey } from "node:crypto";

import { describe, expect, it } from "vitest";

import { TRIGGER_ACTION, type TriggerMessage } from "@i3/common";
import { triggerKeyFromSeed } from "@i3/hip";
import { admitServer, credentialChecks } from "@i3/i3-server";

import { Draw } from "../src/seeds/draw.js";
import { credentials, sign, verify } from "../src/seeds/known-signatures.js";

const draw = new Draw("known signatures");
const key = triggerKeyFromSeed(draw.bytes(32));
const nodeKey = draw.bytes(16);
const unsigned = {
  action: TRIGGER_ACTION.insert, id: draw.bytes(32), target: { address: Uint8Array.of(192, 0, 2, 1), port: 5_610 }, flags: 0, counter: 7, commitment: draw.bytes(16), cookie: draw.bytes(24),
};

describe("signatures that are known", () => {
  const message = sign({ kind: "private", key }, unsigned, nodeKey);
  const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte));

  it("are good as they were made, once more and for the same server only", () => {
    expect([verify(message, nodeKey), verify(message, nodeKey), verify(message, flipped(nodeKey))]).toEqual([true, true, false]);
  });

  it.each<[string, TriggerMessage]>([
    ["another counter", { ...message, counter: 8 }], ["another action", { ...message, action: TRIGGER_ACTION.remove }], ["another id", { ...message, id: flipped(message.id) }],
    ["another cookie", { ...message, cookie: flipped(message.cookie) }], ["another signature", { ...message, signature: flipped(message.signature) }],
    ["another commitment", { ...message, commitment: flipped(message.commitment) }], ["another key", { ...message, publicKey: flipped(message.publicKey) }],
    ["another target", { ...message, target: { address: Uint8Array.of(192, 0, 2, 1), port: 5_611 } }],
  ])("are not good with %s", (_, changed) => {
    expect(verify(changed, nodeKey)).toBe(false);
  });
});

it("credentials are as the real checks say, and pairs get keys of their own to wipe", () => {
  const authority = draw.bytes(32);
  const [one, two] = [admitServer(authority, draw.bytes), admitServer(authority, draw.bytes)];
  const bad = { ...one.credential, bytes: one.credential.bytes.map((byte, i) => (i === 90 ? byte ^ 1 : byte)) };
  for (const credential of [one.credential, bad, one.credential, bad]) expect(credentials.isSigned(credential)).toBe(credentialChecks.isSigned(credential));
  const ownKey = createPrivateKey({ key: Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), one.privateKey]), format: "der", type: "pkcs8" });
  const pair = (): Uint8Array | null => credentials.pairKeyOf(ownKey, one.credential, two.credential);
  pair()?.fill(0);
  expect(pair()).toEqual(credentialChecks.pairKeyOf(ownKey, one.credential, two.credential));
});
