/**
 * Any bytes as keys, signatures and key files: false or an I3Error, never another exception, and true only for what was signed.
 * Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";
import { I3Error, makeLocator, WireError, type KeyKind, type TriggerMessage } from "@i3/common";
import {
  algorithmNumber, certifyMember, HOST_KEY_ALGORITHMS, hostIdentityFromPem, hostIdentityToPem, hostKeyFromHi, keyOwnsId, readMembership, rhashOf, signHip, signStep, signTrigger, signWithTriggerKey, stepOwnsId, suiteOfHit,
  triggerKeyFromSeed, verifyHip, verifyMembership, verifyStep, verifyTrigger, verifyWithHost, verifyWithTriggerKey, type StepSigner,
} from "@i3/hip";
import { loadLibsodiumEd25519 } from "@i3/hip/libsodium";
import { expect, it } from "vitest";
import { KNOWN_ANSWERS } from "../../packages/hip/test/identity/known-answers.js";
import { mutated, Random } from "@i3/common/testing";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

// A key of openssl's, so that a seed gives the same bytes again (but for ECDSA's own randomness).
const identity = hostIdentityFromPem(`-----BEGIN EC PRIVATE KEY-----
MFcCAQEEIErl0L95AXlutEJBCeSUlb/vmOQW1am6gQvspHdWgpGSoAoGCCqGSM49
AwEHoSQDIgAD1grTpepFo59SreQtf/PjajUupWeiq9TsEnlA3ATGX4Y=
-----END EC PRIVATE KEY-----
`);
const triggerKey = triggerKeyFromSeed(new Uint8Array(32).fill(7));
const memberKey = triggerKeyFromSeed(new Uint8Array(32).fill(8));
const certificate = certifyMember(triggerKey, memberKey.publicKey, 1_900_000_000);
const identities = [identity, ...KNOWN_ANSWERS.slice(0, 3).map((row) => hostIdentityFromPem(row.pem))];
const SOURCE = new Uint8Array(32).fill(3);
const steps = [{ kind: "host", identity }, { kind: "private", key: triggerKey }, { kind: "group", key: triggerKey }] as const satisfies readonly StepSigner[];
const signedSteps = steps.map((signer) => signStep(signer, SOURCE, new Uint8Array(32).fill(4), 1_900_000_000));
const HIP_MESSAGE = new Uint8Array(40).fill(59);
const hipSignatures = identities.map((own) => signHip(own, HIP_MESSAGE));
const libsodium = loadLibsodiumEd25519() ?? undefined;
const NODE_KEY = new Uint8Array(16).fill(9);

function pem(random: Random): string {
  const own = random.pick(identities);
  if (random.below(2) === 0) return Buffer.from(mutated(random, Buffer.from(hostIdentityToPem(own)), [0x0a, 0x2d, 0x3d, 0x41])).toString("latin1");
  const der = mutated(random, own.privateKey.export({ type: "pkcs8", format: "der" }), [0x02, 0x03, 0x04, 0x06, 0x30, 0x80, 0x84, 0xff]);
  return `-----BEGIN PRIVATE KEY-----\n${Buffer.from(der).toString("base64")}\n-----END PRIVATE KEY-----\n`;
}

function checkPem(random: Random): void {
  try {
    const read = hostIdentityFromPem(pem(random));
    expect([read.point.length, read.hit.length]).toEqual([read.algorithm === "ecdsa-p256" ? 64 : 0, 16]);
  } catch (error) {
    if (!(error instanceof I3Error) || error.code !== "ERR_I3_KEY") throw error;
  }
}

/** A field of a signed trigger becomes any bytes: it holds exactly when nothing was changed. */
function checkTrigger(random: Random, signed: TriggerMessage): void {
  const field = random.pick(["id", "publicKey", "commitment", "cookie", "signature"] as const);
  const changed = random.below(3) === 0 ? random.bytes(random.below(80)) : mutated(random, signed[field], [0, 0xff]);
  const keyKind: KeyKind = random.pick([signed.keyKind, signed.keyKind, 0, 1, 2, 3, 4, 5, 6]);
  const message = { ...signed, keyKind, [field]: changed };
  const isSame = keyKind === signed.keyKind && same(changed, signed[field]);
  expect(verifyTrigger(message, NODE_KEY)).toBe(isSame);
  expect(verifyTrigger(message, random.bytes(16))).toBe(false);
  expect(typeof keyOwnsId(keyKind, message.publicKey, random.bytes(32))).toBe("boolean");
}

/** A changed Host Identity is refused or somebody else's; a changed signature holds for nobody. */
function checkHostIdentity(random: Random): void {
  const at = random.below(identities.length);
  const own = identities[at] ?? identity;
  const hi = mutated(random, own.hi, [0, 1, 2, 3, 4, 0xff]);
  const signature = hipSignatures[at] ?? new Uint8Array(0);
  try {
    const key = hostKeyFromHi(random.pick([algorithmNumber(own), algorithmNumber(own), 5, 7, 0]), hi);
    expect(same(key.hit, own.hit)).toBe(same(hi, own.hi) && key.algorithm === own.algorithm);
    expect(suiteOfHit(key.hit)).toBe(key.hitSuite);
    // A point with the mark of SEC 1 before it is the same key under another name.
    if (verifyHip(key, HIP_MESSAGE, signature)) expect(key.publicKey.equals(own.publicKey)).toBe(true);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
  const changed = mutated(random, signature, [0, 0xff]);
  expect(verifyHip(own, HIP_MESSAGE, changed)).toBe(same(changed, signature));
  try {
    expect(["sha256", "sha384"]).toContain(rhashOf(mutated(random, own.hit, [0x20, 0x21, 0x22])));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** A changed certificate holds for nobody. */
function checkCertificate(random: Random): void {
  const changed = random.below(3) === 0 ? random.bytes(136) : mutated(random, certificate, [0, 0xff]);
  expect(verifyMembership(changed)).toBe(same(changed, certificate));
  try {
    expect(readMembership(changed).notAfterS).toBeGreaterThanOrEqual(0);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
  }
}

/** A changed token lets nobody through. */
function checkStep(random: Random): void {
  const signed = random.pick(signedSteps);
  const field = random.pick(["id", "publicKey", "signature"] as const);
  const changed = random.below(3) === 0 ? random.bytes(random.below(80)) : mutated(random, signed[field], [0, 0xff]);
  const step = { ...signed, [field]: changed };
  expect(verifyStep(step, SOURCE)).toBe(same(changed, signed[field]));
  expect(verifyStep(step, random.bytes(32))).toBe(false);
  expect(typeof stepOwnsId({ ...step, keyKind: random.pick([1, 2, 3, 4, 7]) })).toBe("boolean");
}

/** libsodium's word is node's, but for points of small order, whose signatures hold for much: it takes none. */
function checkEd25519(random: Random): void {
  const message = random.bytes(random.below(50));
  const smallOrder = [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), Uint8Array.of(0xec, ...new Uint8Array(30).fill(0xff), 0x7f)] as const;
  const key = random.pick([triggerKey.publicKey, random.bytes(32), mutated(random, triggerKey.publicKey, [0, 0xff]), ...smallOrder]);
  const good = signWithTriggerKey(triggerKey, message);
  const signature = random.pick([good, random.bytes(64), mutated(random, good, [0, 0xff]), Uint8Array.of(...random.pick(smallOrder), ...new Uint8Array(32))]);
  const holds = verifyWithTriggerKey(key, message, signature, libsodium);
  if (smallOrder.some((point) => same(point, key) || same(point, signature.subarray(0, 32)))) expect(holds).toBe(false);
  else expect(holds).toBe(verifyWithTriggerKey(key, message, signature));
}

function checkBytes(random: Random): void {
  const [message, point, signature] = [random.bytes(random.below(50)), random.bytes(random.below(70)), random.bytes(random.below(3) === 0 ? random.below(70) : 64)];
  expect(verifyWithHost(point, message, signature)).toBe(false);
  expect(verifyWithHost(identity.point, message, signature)).toBe(false);
  for (const algorithm of HOST_KEY_ALGORITHMS) expect(verifyWithHost(point, message, random.bytes(random.pick([64, 96, 256, 512])), algorithm)).toBe(false);
  // An all-zero or other small-order Ed25519 point would take forged signatures; nobody's id commits to one.
  expect(verifyWithTriggerKey(point, message, signature, libsodium)).toBe(false);
  expect(verifyWithTriggerKey(triggerKey.publicKey, message, signature)).toBe(false);
  checkEd25519(random);
  try {
    expect(triggerKeyFromSeed(point).publicKey.length).toBe(32);
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
  }
}

it(`keys and signatures, seed ${SEED}`, { timeout: (SECONDS + 60) * 1000 }, () => {
  console.log(`hip fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const unsigned = { action: 1, id: random.bytes(32), target: makeLocator(random.bytes(4), 5610), flags: 0, counter: 1, commitment: random.bytes(16), cookie: random.bytes(24) } as const;
  const signed = [...identities.map((own) => signTrigger({ kind: "host", identity: own }, unsigned, NODE_KEY)), ...([{ kind: "private", key: triggerKey }, { kind: "member", certificate, key: memberKey }] as const).map((signer) => signTrigger(signer, unsigned, NODE_KEY))];
  const end = performance.now() + SECONDS * 1000;
  let cases = 0;
  try {
    for (; performance.now() < end || cases < 100; cases++) {
      checkPem(random);
      checkTrigger(random, random.pick(signed));
      checkBytes(random);
      checkCertificate(random);
      checkStep(random);
      checkHostIdentity(random);
    }
  } catch (error) {
    throw new Error(`case ${cases} of seed ${SEED}`, { cause: error });
  }
  console.log(`hip fuzz: ${cases} cases`);
});
