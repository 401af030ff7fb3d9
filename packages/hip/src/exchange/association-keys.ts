/** The keys of one base exchange (RFC 7401 §6.5, RFC 7402 §7), the same on both sides. */
import { createHmac } from "node:crypto";

import type { EspKeys, EspSuite } from "../crypto/esp-suites.js";
import { espKeysOf } from "../crypto/esp-suites.js";
import { decryptParameter, encryptParameter, hipCipherLengths, type HipCipherSuite } from "../crypto/hip-cipher.js";
import { hipKeysOf, Keymat, type Directions, type HipKeys } from "../crypto/keymat.js";
import type { Rhash } from "../crypto/rhash.js";
import { PARAMETER } from "../wire/numbers.js";
import { decodeEncrypted, encodeEncrypted } from "../wire/parameters/encrypted.js";
import { decodeParameters, encodeParameters, type ParameterContents, type RawParameter } from "../wire/tlv.js";
import { HipRefusal } from "./refusal.js";

/** ESP draws 128 bytes at most (suite 9, both directions). */
const MAX_ESP_DRAW_BYTES = 128;

export interface ExchangeSecrets {
  readonly rhash: Rhash;
  readonly cipher: HipCipherSuite;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly ownHit: Uint8Array;
  readonly peerHit: Uint8Array;
}

export interface ExchangeKeys {
  readonly keymat: Keymat;
  readonly hip: HipKeys;
}

/** KEYMAT and HIP keys; `kij` is wiped. */
export function exchangeKeys(secrets: ExchangeSecrets, kij: Uint8Array): ExchangeKeys {
  const { rhash, cipher, i, j, ownHit, peerHit } = secrets;
  const keymat = new Keymat(rhash, kij, i, j, ownHit, peerHit);
  kij.fill(0);
  return { keymat, hip: hipKeysOf(keymat, cipher, ownHit, peerHit) };
}

/** Keys of both directions from `index` on. HipRefusal when the index lies behind what was drawn, or too near to the end. */
export function espKeysAt(keymat: Keymat, index: number, suite: EspSuite, ownHit: Uint8Array, peerHit: Uint8Array): Directions<EspKeys> {
  checkKeymatIndex(keymat, index);
  keymat.skipTo(index);
  return espKeysOf(keymat, suite, ownHit, peerHit);
}

export function checkKeymatIndex(keymat: Keymat, index: number): void {
  if (index < keymat.index || index + MAX_ESP_DRAW_BYTES > keymat.size) throw new HipRefusal("spi", `KEYMAT index ${index} where ${keymat.index} is next`);
}

/** Whether {@link espKeysAt} has room left for another rekey. */
export const hasKeysLeft = (keymat: Keymat): boolean => keymat.index + MAX_ESP_DRAW_BYTES <= keymat.size;

export function encrypted(cipher: HipCipherSuite, key: Uint8Array, random: (bytes: number) => Uint8Array, parameters: readonly ParameterContents[]): ParameterContents {
  const iv = random(hipCipherLengths(cipher).ivBytes);
  const ciphertext = encryptParameter(cipher, key, iv, encodeParameters(parameters));
  return { type: PARAMETER.encrypted, contents: encodeEncrypted({ iv, ciphertext }) };
}

const PATH_KEY_LABEL = "i3/1 path key\0";

/** For the MACs of path checks (docs/wire.md §9.7), 32 bytes each. */
export const pathKeysOf = (hip: HipKeys): Directions<Uint8Array> => ({ in: pathKeyOf(hip.in.integrity), out: pathKeyOf(hip.out.integrity) });

const pathKeyOf = (integrity: Uint8Array): Uint8Array => new Uint8Array(createHmac("sha256", integrity).update(PATH_KEY_LABEL).digest());

/** What is inside ENCRYPTED. Only behind a checked HIP_MAC: the padding would tell about the plaintext otherwise. */
export function decrypted(cipher: HipCipherSuite, key: Uint8Array, contents: Uint8Array): readonly RawParameter[] {
  const { iv, ciphertext } = decodeEncrypted(contents, hipCipherLengths(cipher).ivBytes as 0 | 16);
  let plaintext;
  try {
    plaintext = decryptParameter(cipher, key, iv, ciphertext);
  } catch (cause) {
    throw new HipRefusal("encrypted", `ENCRYPTED does not open: ${(cause as Error).message}`, { notify: "ENCRYPTION_FAILED" });
  }
  return decodeParameters("ENCRYPTED", plaintext);
}
