import { fromHex, groupId, privateId, publicId, toHex, type StackStep } from "@i3/common";
import { describe, expect, it } from "vitest";

import { generateHostIdentity, hostIdentityFromPem, signStep, stepOwnsId, triggerKeyFromSeed, verifyStep, verifyWithTriggerKey, type StepSigner } from "../src/index.js";
import { knownAnswer } from "./identity/known-answers.js";

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const flipped = (bytes: Uint8Array, bit: number): Uint8Array => bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
const END_S = 1_900_000_000;
const SOURCE = filled(32, 0x55);
const key = triggerKeyFromSeed(filled(32, 7));
const identity = generateHostIdentity();
const p384 = hostIdentityFromPem(knownAnswer("ecdsa-p384").pem);
const rsa = hostIdentityFromPem(knownAnswer("rsa").pem);

const SIGNERS: readonly (readonly [string, StepSigner, Uint8Array])[] = [
  ["private", { kind: "private", key }, privateId(key.prefix, filled(16, 1))],
  ["group", { kind: "group", key }, groupId(key.publicKey, filled(16, 1))],
  ["P-256", { kind: "host", identity }, publicId(identity.hit)],
  ["P-384", { kind: "host", identity: p384 }, publicId(p384.hit)],
  ["RSA", { kind: "host", identity: rsa }, publicId(rsa.hit)],
];

describe.each(SIGNERS)("a step of a %s id", (_, signer, id) => {
  const step = signStep(signer, SOURCE, id, END_S);

  it("holds for its source", () => {
    expect(stepOwnsId(step)).toBe(true);
    expect(verifyStep(step, SOURCE)).toBe(true);
  });

  it("is looked at by the Ed25519 that is given, if it is of such a key", () => {
    expect(verifyStep(step, SOURCE, verifyWithTriggerKey)).toBe(true);
    expect(verifyStep(step, SOURCE, () => false)).toBe(signer.kind === "host");
  });

  it("holds for no other source, id, end, key or signature", () => {
    for (let bit = 0; bit < 256; bit += 17) {
      expect(verifyStep(step, flipped(SOURCE, bit))).toBe(false);
      expect(verifyStep({ ...step, id: flipped(id, bit) }, SOURCE)).toBe(false);
      expect(verifyStep({ ...step, signature: flipped(step.signature, bit) }, SOURCE)).toBe(false);
      expect(verifyStep({ ...step, publicKey: flipped(step.publicKey, bit) }, SOURCE)).toBe(false);
      if (bit < 128) expect(stepOwnsId({ ...step, id: flipped(id, bit) })).toBe(false);
    }
    for (const notAfterS of [0, END_S - 1, END_S + 1]) expect(verifyStep({ ...step, notAfterS }, SOURCE)).toBe(false);
  });

  it("is not said by another key, nor of another kind", () => {
    for (const [, other, otherId] of SIGNERS.filter((row) => row[2] !== id)) {
      const { keyKind, publicKey, signature } = signStep(other, SOURCE, otherId, END_S);
      expect(stepOwnsId({ ...step, keyKind, publicKey })).toBe(false);
      // One Ed25519 key may be behind two ids; each kind owns its own alone.
      if (toHex(publicKey) !== toHex(step.publicKey)) expect(verifyStep({ ...step, keyKind, publicKey, signature }, SOURCE)).toBe(false);
    }
  });
});

it("what is signed is what docs/wire.md §4.1 says", () => {
  const id = privateId(key.prefix, filled(16, 1));
  const covered = fromHex(Buffer.from("i3/1 stack").toString("hex") + "00" + "55".repeat(32) + toHex(id) + "00000000713fb300");
  expect(verifyWithTriggerKey(key.publicKey, covered, signStep({ kind: "private", key }, SOURCE, id, END_S).signature)).toBe(true);
});

it("steps that could not be written are not made; odd bytes are false, not an error", () => {
  const signer = { kind: "private", key } as const;
  expect(() => signStep(signer, filled(31, 1), SOURCE, END_S)).toThrow(RangeError);
  expect(() => signStep(signer, SOURCE, filled(33, 1), END_S)).toThrow(RangeError);
  for (const endS of [-1, 0.5, Infinity]) expect(() => signStep(signer, SOURCE, SOURCE, endS)).toThrow(RangeError);
  for (const keyKind of [1, 2, 3, 4, 7] as const) {
    const odd: StackStep = { id: SOURCE, notAfterS: 1, keyKind, publicKey: filled(5, 1), signature: filled(5, 1) };
    expect([stepOwnsId(odd), verifyStep(odd, SOURCE)]).toEqual([false, false]);
  }
});
