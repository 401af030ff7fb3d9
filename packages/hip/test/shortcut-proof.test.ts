/** Proofs that a host holds a trigger where it was asked (docs/wire.md §5.1). */
import { describe, expect, it } from "vitest";

import { claimId, groupId, makeLocator, privateId, publicId, type Locator, type ProofMessage } from "@i3/common";

import { canProveShortcut, certifyMember, generateHostIdentity, generateTriggerKey, signShortcut, verifyShortcut, type TriggerSigner } from "../src/index.js";

const WALL_MS = 1_800_000_000_000;
const SUFFIX = new Uint8Array(16).fill(3);
const TARGET = makeLocator(Uint8Array.of(192, 0, 2, 7), 5_610);
const NONCE = new Uint8Array(8).fill(1);
const TOKEN = new Uint8Array(16).fill(2);
const key = generateTriggerKey();
const group = generateTriggerKey();
const host = generateHostIdentity();
const p384 = generateHostIdentity("ecdsa-p384");
const member = (notAfterS: number): TriggerSigner => ({ kind: "member", certificate: certifyMember(group, key.publicKey, notAfterS), key });

const OWNERS: readonly (readonly [string, TriggerSigner, Uint8Array])[] = [
  ["a private id", { kind: "private", key }, privateId(key.prefix, SUFFIX)],
  ["a public id with P-256", { kind: "host", identity: host }, publicId(host.hit)],
  ["a public id with P-384", { kind: "host", identity: p384 }, publicId(p384.hit)],
  ["a group's id", member(1_900_000_000), groupId(group.publicKey, SUFFIX)],
];
const prove = (signer: TriggerSigner, id: Uint8Array): ProofMessage => signShortcut(signer, { id, nonce: NONCE, target: TARGET, token: TOKEN });
const holds = (proof: ProofMessage, nonce = NONCE, target: Locator = TARGET): boolean => verifyShortcut(proof, { nonce, target }, WALL_MS);

describe.each(OWNERS)("of %s", (_, signer, id) => {
  it("holds for the id, the nonce, the address and the token that it was made for, and no other", () => {
    const proof = prove(signer, id);
    expect(holds(proof)).toBe(true);
    expect(holds(proof, new Uint8Array(8))).toBe(false);
    expect(holds(proof, NONCE, makeLocator(TARGET.address, 5_611))).toBe(false);
    expect(holds(proof, NONCE, makeLocator(Uint8Array.of(192, 0, 2, 8), 5_610))).toBe(false);
    expect(holds({ ...proof, token: new Uint8Array(16) })).toBe(false);
    expect(holds({ ...proof, id: Uint8Array.from(id, (byte, i) => (i === 31 ? byte ^ 1 : byte)) })).toBe(false);
    expect(holds({ ...proof, signature: Uint8Array.from(proof.signature, (byte, i) => (i === 9 ? byte ^ 1 : byte)) })).toBe(false);
  });

  it("is not made with another's key", () => {
    const other = generateTriggerKey();
    const thief: TriggerSigner = signer.kind === "member" ? { kind: "member", certificate: certifyMember(other, other.publicKey, 1_900_000_000), key: other } : { kind: "private", key: other };
    expect(holds(prove(thief, id))).toBe(false);
  });
});

it("of a member whose certificate has ended, or is not the group's, does not hold", () => {
  const id = groupId(group.publicKey, SUFFIX);
  expect(holds(prove(member(WALL_MS / 1_000), id))).toBe(false);
  expect(holds(prove(member(WALL_MS / 1_000 + 1), id))).toBe(true);
  const proof = prove(member(1_900_000_000), id);
  expect(holds({ ...proof, publicKey: Uint8Array.from(proof.publicKey, (byte, i) => (i === 80 ? byte ^ 1 : byte)) })).toBe(false);
});

it("there is none of a name, nor with RSA: its keys are longer than what asks", () => {
  const nameKey = new Uint8Array(32).fill(4);
  for (const [signer, id] of [[{ kind: "name", nameKey, key }, claimId(nameKey, key.publicKey)], [{ kind: "host", identity: generateHostIdentity("rsa") }, privateId(key.prefix, SUFFIX)]] as const) {
    expect(canProveShortcut(signer)).toBe(false);
    expect(() => prove(signer, id)).toThrow(RangeError);
  }
});
