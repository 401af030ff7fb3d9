import { claimId, concatBytes, encodeControl, fromHex, groupId, makeLocator, MAX_CONTROL_BYTES, nameKey, privateId, publicId, toHex, type TriggerMessage } from "@i3/common";
import { describe, expect, it } from "vitest";

import {
  certifyMember, generateHostIdentity, generateTriggerKey, hitOfPublicKey, hostIdentityFromPem, hostPublicKey, keyOwnsId, REFRESH_CHAIN_LENGTH, refreshChain, refreshStep, signStep, signTrigger, triggerKeyFromSeed,
  verifyTrigger, verifyWithTriggerKey, type TriggerSigner, type UnsignedTrigger,
} from "../src/index.js";
import { knownAnswer } from "./identity/known-answers.js";

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);
const identity = generateHostIdentity();
const p384 = hostIdentityFromPem(knownAnswer("ecdsa-p384").pem);
const rsa = hostIdentityFromPem(knownAnswer("rsa").pem);
const triggerKey = generateTriggerKey();
const claimKey = generateTriggerKey();
const groupKey = generateTriggerKey();
const memberKey = generateTriggerKey();
const certificate = certifyMember(groupKey, memberKey.publicKey, 1_900_000_000);
const NODE_KEY = filled(16, 0x99);
const ADDRESS = filled(4, 10);
const STEP = signStep({ kind: "private", key: triggerKey }, filled(32, 1), privateId(triggerKey.prefix, filled(16, 2)), 1_900_000_000);
const SIGNERS = {
  "host P-256": { signer: { kind: "host", identity }, id: publicId(identity.hit) },
  "host P-384": { signer: { kind: "host", identity: p384 }, id: publicId(p384.hit) },
  "host RSA": { signer: { kind: "host", identity: rsa }, id: publicId(rsa.hit) },
  private: { signer: { kind: "private", key: triggerKey }, id: privateId(triggerKey.prefix, filled(16, 1)) },
  "name claim": { signer: { kind: "name", nameKey: nameKey("box.try.i3"), key: claimKey }, id: claimId(nameKey("box.try.i3"), claimKey.publicKey) },
  "group member's": { signer: { kind: "member", certificate, key: memberKey }, id: groupId(groupKey.publicKey, filled(16, 1)) },
} as const satisfies Record<string, { signer: TriggerSigner; id: Uint8Array }>;

const unsigned = (id: Uint8Array): UnsignedTrigger => ({
  action: 1, id, target: makeLocator(ADDRESS, 5610), flags: 0, counter: 1_800_000_000_000, commitment: filled(16, 0xcc), cookie: filled(24, 0xdd),
});

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const out = bytes.slice();
  out[bit >> 3] = (out[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  return out;
};

/** Messages that differ from one in a single field, for every field of the type. */
const CHANGES: { readonly [K in Exclude<keyof TriggerMessage, "type">]: (m: TriggerMessage) => readonly TriggerMessage[K][] } = {
  action: (m) => [m.action === 1 ? 2 : 1],
  id: (m) => Array.from({ length: 256 }, (_, bit) => flipped(m.id, bit)),
  target: () => [
    makeLocator(ADDRESS, 5611), makeLocator(ADDRESS, 5610 ^ 0x100), makeLocator(flipped(ADDRESS, 0), 5610), makeLocator(flipped(ADDRESS, 31), 5610),
    makeLocator(concatBytes(filled(12, 0x20), ADDRESS), 5610), { steps: [STEP] }, { steps: [] },
  ],
  flags: () => [1, 0x100, 0xffff],
  counter: (m) => [0, m.counter - 1, m.counter + 1, m.counter + 2 ** 32, Number.MAX_SAFE_INTEGER],
  keyKind: (m) => ([0, 1, 2, 3, 4, 5, 6, 7] as const).filter((kind) => kind !== m.keyKind),
  publicKey: (m) => [...Array.from({ length: m.publicKey.length * 8 }, (_, bit) => flipped(m.publicKey, bit)), m.publicKey.subarray(1), new Uint8Array(0)],
  commitment: (m) => Array.from({ length: 128 }, (_, bit) => flipped(m.commitment, bit)),
  cookie: (m) => Array.from({ length: 192 }, (_, bit) => flipped(m.cookie, bit)),
  signature: (m) => [...Array.from({ length: m.signature.length * 8 }, (_, bit) => flipped(m.signature, bit)), m.signature.subarray(1), concatBytes(m.signature, filled(1, 0)), new Uint8Array(m.signature.length)],
};

describe.each(Object.entries(SIGNERS))("a trigger signed by a %s key", (_, { signer, id }) => {
  const message = signTrigger(signer, unsigned(id), NODE_KEY);

  it("holds", () => {
    expect(verifyTrigger(message, NODE_KEY)).toBe(true);
    expect(keyOwnsId(message.keyKind, message.publicKey, message.id)).toBe(true);
    for (const action of [1, 2] as const) {
      for (const target of [makeLocator(filled(4, 1), 1), makeLocator(filled(16, 0x20), 65_535)]) {
        expect(verifyTrigger(signTrigger(signer, { ...unsigned(id), action, target, counter: Number.MAX_SAFE_INTEGER }, NODE_KEY), NODE_KEY)).toBe(true);
      }
    }
  });

  it.each(Object.keys(CHANGES) as (keyof typeof CHANGES)[])("fails after a change of its %s", (field) => {
    const values = CHANGES[field](message);
    expect(values.length).toBeGreaterThan(0);
    // Every third bit of long fields: each costs a verification.
    for (const [i, value] of values.entries()) {
      if (i % (values.length > 600 ? 13 : 3) === 0 || i > values.length - 5) expect(verifyTrigger({ ...message, [field]: value }, NODE_KEY)).toBe(false);
    }
  }, 60_000);

  it("is looked at by the Ed25519 that is given, if it is of such a key", () => {
    expect(verifyTrigger(message, NODE_KEY, verifyWithTriggerKey)).toBe(true);
    expect(verifyTrigger(message, NODE_KEY, () => false)).toBe(signer.kind === "host");
  });

  it("has every Ed25519 signature looked at by the one that is given, and no other", () => {
    const asked: string[] = [];
    expect(verifyTrigger(message, NODE_KEY, (publicKey, ...what) => asked.push(toHex(publicKey)) > 0 && verifyWithTriggerKey(publicKey, ...what))).toBe(true);
    const keys = { host: [], private: [message.publicKey], name: [message.publicKey.subarray(32)], member: [groupKey.publicKey, memberKey.publicKey] };
    expect(asked).toEqual(keys[signer.kind].map(toHex));
  });

  it("fails at a server with another node key", () => {
    for (let bit = 0; bit < 128; bit += 5) expect(verifyTrigger(message, flipped(NODE_KEY, bit))).toBe(false);
    expect(verifyTrigger(message, filled(16, 0))).toBe(false);
  });

  it("fails with the other kinds of key", () => {
    for (const other of Object.values(SIGNERS).filter((row) => row.signer !== signer)) {
      const key = signTrigger(other.signer, unsigned(id), NODE_KEY);
      expect(verifyTrigger({ ...message, keyKind: key.keyKind, publicKey: key.publicKey }, NODE_KEY)).toBe(false);
      expect(keyOwnsId(key.keyKind, key.publicKey, id)).toBe(false);
    }
  });
});

it("the bytes that are signed are those of docs/wire.md §4.1", () => {
  const key = triggerKeyFromSeed(filled(32, 7));
  const message = signTrigger({ kind: "private", key }, { ...unsigned(filled(32, 0xaa)), flags: 0x0102, action: 2 }, NODE_KEY);
  const bytes = fromHex([
    Buffer.from("i3/1 trigger").toString("hex"), "00", "02", "aa".repeat(32), "0007", "01", "0a0a0a0a15ea", "99".repeat(16), "0102", "0000",
    "000001a3185c5000", "cc".repeat(16), "dd".repeat(24),
  ].join(""));
  expect(verifyWithTriggerKey(key.publicKey, bytes, message.signature)).toBe(true);
});

it("of a stack, its ids and ends are signed in order", () => {
  const key = triggerKeyFromSeed(filled(32, 7));
  const steps = [STEP, { ...STEP, id: filled(32, 0xbb), notAfterS: 1 }];
  const message = signTrigger({ kind: "private", key }, { ...unsigned(filled(32, 0xaa)), target: { steps } }, NODE_KEY);
  const bytes = fromHex([
    Buffer.from("i3/1 trigger").toString("hex"), "00", "01", "aa".repeat(32), "0051", "02", toHex(STEP.id), "00000000713fb300", "bb".repeat(32), "0000000000000001",
    "99".repeat(16), "0000", "0000", "000001a3185c5000", "cc".repeat(16), "dd".repeat(24),
  ].join(""));
  expect(verifyWithTriggerKey(key.publicKey, bytes, message.signature)).toBe(true);
  for (const changed of [[...steps].reverse(), [STEP], [...steps, STEP], [STEP, { ...STEP, id: filled(32, 0xbb), notAfterS: 2 }]]) {
    expect(verifyTrigger({ ...message, target: { steps: changed } }, NODE_KEY)).toBe(false);
  }
});

it("a member's signature covers its certificate, in the place of the member", () => {
  const message = signTrigger(SIGNERS["group member's"].signer, unsigned(filled(32, 0xaa)), NODE_KEY);
  const bytes = fromHex([
    Buffer.from("i3/1 trigger").toString("hex"), "00", "01", "aa".repeat(32), "0007", "01", "0a0a0a0a15ea", "99".repeat(16), "0000", "0088", toHex(certificate),
    "000001a3185c5000", "cc".repeat(16), "dd".repeat(24),
  ].join(""));
  expect(verifyWithTriggerKey(memberKey.publicKey, bytes, message.signature)).toBe(true);
  // Another certificate of the same member, made by the same group: not what was signed.
  expect(verifyTrigger({ ...message, publicKey: certifyMember(groupKey, memberKey.publicKey, 1_900_000_001) }, NODE_KEY)).toBe(false);
});

describe("who owns an id", () => {
  const { point } = identity;
  const hostId = SIGNERS["host P-256"].id;

  it("is decided by the first 128 bits", () => {
    for (const [kind, key, id] of [
      [1, point, hostId], [2, triggerKey.publicKey, SIGNERS.private.id], [3, hostPublicKey(p384), SIGNERS["host P-384"].id], [4, hostPublicKey(rsa), SIGNERS["host RSA"].id],
    ] as const) {
      for (let bit = 0; bit < 256; bit++) expect(keyOwnsId(kind, key, flipped(id, bit)), `bit ${bit}`).toBe(bit >= 128);
    }
  });

  it("is nobody else", () => {
    expect(keyOwnsId(1, generateHostIdentity().point, hostId)).toBe(false);
    expect(keyOwnsId(2, generateTriggerKey().publicKey, SIGNERS.private.id)).toBe(false);
    expect(keyOwnsId(0, point, hostId)).toBe(false);
    expect(keyOwnsId(0, new Uint8Array(0), hostId)).toBe(false);
    expect(keyOwnsId(2, point, hostId)).toBe(false);
    expect(keyOwnsId(1, triggerKey.publicKey, SIGNERS.private.id)).toBe(false);
    // Not even when the id commits to it: no key has this length.
    for (const [algorithm, kind, length] of [["ecdsa-p256", 1, 63], ["ecdsa-p256", 1, 65], ["ecdsa-p384", 3, 95], ["rsa", 4, 257], ["rsa", 4, 518]] as const) {
      expect(keyOwnsId(kind, filled(length, 1), publicId(hitOfPublicKey(algorithm, filled(length, 1))))).toBe(false);
    }
    expect(keyOwnsId(3, hostPublicKey(rsa), SIGNERS["host RSA"].id)).toBe(false);
    expect(keyOwnsId(4, hostPublicKey(p384), SIGNERS["host P-384"].id)).toBe(false);
    for (const length of [0, 31, 33, 63, 65, 95, 97, 257, 518]) {
      for (const kind of [0, 1, 2, 3, 4] as const) expect(keyOwnsId(kind, filled(length, 1), hostId)).toBe(false);
    }
  });
});

describe("refresh chains", () => {
  // H("refresh", x)[0..16] of bytes that count up, once and 1,024 times, by the Python of packages/common/test/ids.test.ts:
  //   v = bytes(range(16))
  //   for _ in range(1024): v = H("refresh", v)[:16]
  const secret = Uint8Array.from({ length: 16 }, (_, i) => i);
  const chain = refreshChain(secret);

  it("end as computed elsewhere", () => {
    expect(chain.length).toBe(REFRESH_CHAIN_LENGTH + 1);
    expect(toHex(chain[0] ?? secret)).toBe(toHex(secret));
    expect(toHex(chain[1] ?? secret)).toBe("6a8dce6609402482541d38b55ed9dc66");
    expect(toHex(chain[1_024] ?? secret)).toBe("4a87bdc1380c917d8ecd0d747e9bc6d1");
  });

  it("lead from each element to the next, and never repeat", () => {
    for (let i = 0; i < REFRESH_CHAIN_LENGTH; i++) expect(refreshStep(chain[i] ?? secret)).toEqual(chain[i + 1]);
    expect(new Set(chain.map(toHex)).size).toBe(chain.length);
  });
});

it("the largest trigger there is fits into a control datagram", () => {
  const trigger = { type: "TRIGGER", ...unsigned(filled(32, 0xaa)), flags: 0xffff, counter: Number.MAX_SAFE_INTEGER, target: makeLocator(filled(16, 0x20), 65_535), keyKind: 4, publicKey: filled(517, 1), signature: filled(512, 1) } as const;
  expect(encodeControl(trigger, filled(8, 0)).length).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
});
