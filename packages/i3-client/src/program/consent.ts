/**
 * A consent as programs hand it to each other: that triggers at one id may lead through another (docs/wire.md §4.1, 8).
 *
 *      0  id 32: through which they may lead
 *     32  not after 8, s since 1970
 *     40  key kind 1
 *     41  length of the key 2, key
 *         signature, to the end
 */
import { concatBytes, KEY_BYTES, KEY_KIND, u64Bytes, WireError, type StackStep, type StepKeyKind } from "@i3/common";
import { signStep, stepOwnsId, verifyStep, type StepSigner } from "@i3/hip";

import { usageError } from "../errors.js";
import { readId, shortId, shown, type Id } from "./arguments.js";
import { readEnd } from "./options.js";

const OFFSET_NOT_AFTER = 32;
const OFFSET_KEY_KIND = 40;
const OFFSET_KEY_LENGTH = 41;
const OFFSET_KEY = 43;
const STEP_KEY_KINDS: readonly number[] = [KEY_KIND.ecdsaP256, KEY_KIND.ed25519, KEY_KIND.ecdsaP384, KEY_KIND.rsa, KEY_KIND.group];

export const consentToBytes = ({ id, notAfterS, keyKind, publicKey, signature }: StackStep): Uint8Array =>
  concatBytes(id, u64Bytes(notAfterS), Uint8Array.of(keyKind, publicKey.length >> 8, publicKey.length & 0xff), publicKey, signature);

/** That triggers at `source` may lead through `through`, an id of the signer's key, until `notAfter`. Throws ERR_I3_USAGE. */
export function makeConsent(signer: StepSigner, through: Uint8Array, source: Id, notAfter: Date): Uint8Array {
  return consentToBytes(signStep(signer, readId(source, "the source"), through, readEnd(notAfter)));
}

/** Throws WireError, nothing else. Whether it is true, verifyStep of @i3/hip knows. */
export function consentFromBytes(bytes: Uint8Array): StackStep {
  if (bytes.length < OFFSET_KEY) throw new WireError("consent", `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const kind = view.getUint8(OFFSET_KEY_KIND);
  if (!STEP_KEY_KINDS.includes(kind)) throw new WireError("consent", `key kind ${kind}`);
  const keyKind = kind as StepKeyKind;
  const notAfterS = Number(view.getBigUint64(OFFSET_NOT_AFTER));
  if (!Number.isSafeInteger(notAfterS * 1_000)) throw new WireError("consent", "an end beyond all time");
  const end = OFFSET_KEY + view.getUint16(OFFSET_KEY_LENGTH);
  const publicKey = bytes.slice(OFFSET_KEY, end);
  const signature = bytes.slice(end);
  const { key: [keyMin, keyMax], signature: [signatureMin, signatureMax] } = KEY_BYTES[keyKind];
  if (end > bytes.length || publicKey.length < keyMin || publicKey.length > keyMax) throw new WireError("consent", `a key of ${publicKey.length} bytes`);
  if (signature.length < signatureMin || signature.length > signatureMax) throw new WireError("consent", `a signature of ${signature.length} bytes`);
  return { id: bytes.slice(0, OFFSET_NOT_AFTER), notAfterS, keyKind, publicKey, signature };
}

/** `name`: of the option that they are. Throws ERR_I3_USAGE unless they are an array. */
export function listConsents(name: string, consents: readonly Uint8Array[]): readonly Uint8Array[] {
  if (Array.isArray(consents)) return consents as readonly Uint8Array[];
  throw usageError(`${name} is ${shown(consents)}`, `Name an array of consents: ${name}: [other.consent(otherId, thisId, notAfter)].`);
}

/** Consents for triggers at `source`, as {@link consentToBytes} makes them. Throws ERR_I3_USAGE for what no server would take. */
export function readConsents(consents: readonly Uint8Array[], source: Uint8Array, most: number): readonly StackStep[] {
  if (consents.length > most) throw usageError(`there are ${consents.length} consents`, `A trigger leads through at most ${most} ids here.`);
  return consents.map((bytes, i) => {
    const step = readConsent(bytes, i + 1);
    if (stepOwnsId(step) && verifyStep(step, source)) return step;
    throw usageError(`consent ${i + 1} is not for the trigger at ${shortId(source)}`, "The owner of the id on the way makes it for exactly this trigger's id: connection.consent(ownId, thisId, notAfter).");
  });
}

function readConsent(bytes: Uint8Array, number: number): StackStep {
  if (!(bytes instanceof Uint8Array)) throw usageError(`consent ${number} is ${shown(bytes)}`, "Pass on the bytes as connection.consent() has made them.");
  try {
    return consentFromBytes(bytes);
  } catch (cause) {
    throw usageError(`consent ${number} cannot be read`, "Pass on the bytes as connection.consent() has made them.", cause);
  }
}
