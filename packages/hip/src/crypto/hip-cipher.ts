/**
 * HIP_CIPHER suites, which hide parameters inside ENCRYPTED (RFC 7401 §5.2.8, §5.2.18).
 *
 * The plaintext is one or more parameters, each padded to 8 bytes. AES-CBC pads it further to its block as PKCS #5 has it (RFC 8018
 * §6.1.1): n bytes of value n, a whole block when nothing is missing. NULL has no IV and no padding.
 *
 * The padding is checked, so callers verify the HIP_MAC before they decrypt: otherwise the answer to a forged ENCRYPTED would tell
 * about its plaintext.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";

import { WireError } from "@i3/common";

/** Numbers of HIP_CIPHER (IANA hip-parameters). */
export const HIP_CIPHER_SUITE = { null: 1, aes128Cbc: 2, aes256Cbc: 4 } as const;
export type HipCipherSuite = (typeof HIP_CIPHER_SUITE)[keyof typeof HIP_CIPHER_SUITE];

const AES_IV_BYTES = 16;
/** Parameters are padded to this. */
const PARAMETER_ALIGNMENT = 8;

const SUITES = {
  1: { name: null, keyBytes: 0, ivBytes: 0 },
  2: { name: "aes-128-cbc", keyBytes: 16, ivBytes: AES_IV_BYTES },
  4: { name: "aes-256-cbc", keyBytes: 32, ivBytes: AES_IV_BYTES },
} as const satisfies Record<HipCipherSuite, { name: string | null; keyBytes: number; ivBytes: number }>;

export const isHipCipherSuite = (number: number): number is HipCipherSuite => Object.hasOwn(SUITES, number);

/** What the key and the IV of a suite measure in bytes. */
export const hipCipherLengths = (suite: HipCipherSuite): { readonly keyBytes: number; readonly ivBytes: number } => SUITES[suite];

/** Encrypted data for ENCRYPTED. `iv` must be unpredictable and new for each call. RangeError for wrong lengths or no whole parameters. */
export function encryptParameter(suite: HipCipherSuite, key: Uint8Array, iv: Uint8Array, parameters: Uint8Array): Uint8Array {
  checkKey(suite, key);
  if (iv.length !== SUITES[suite].ivBytes) throw new RangeError(`HIP cipher ${suite}: IV of ${iv.length} bytes`);
  if (!areWhole(parameters)) throw new RangeError(`${parameters.length} bytes are no whole parameters`);
  const { name } = SUITES[suite];
  if (name === null) return parameters.slice();
  const cipher = createCipheriv(name, key, iv);
  return new Uint8Array(Buffer.concat([cipher.update(parameters), cipher.final()]));
}

/** The inverse of {@link encryptParameter}. WireError for whatever a peer can do wrong, RangeError for a key of the wrong length. */
export function decryptParameter(suite: HipCipherSuite, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  checkKey(suite, key);
  if (iv.length !== SUITES[suite].ivBytes) throw new WireError("ENCRYPTED", `IV of ${iv.length} bytes for cipher ${suite}`);
  const parameters = open(suite, key, iv, data);
  if (!areWhole(parameters)) throw undecipherable();
  return parameters;
}

function open(suite: HipCipherSuite, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const { name } = SUITES[suite];
  if (name === null) return data.slice();
  const decipher = createDecipheriv(name, key, iv);
  const opened = decipher.update(data);
  try {
    return new Uint8Array(Buffer.concat([opened, decipher.final()]));
  } catch {
    throw undecipherable();
  }
}

/** One error for wrong padding and any wrong length: which it was is nobody's business. */
const undecipherable = (): WireError => new WireError("ENCRYPTED", "no whole parameters inside");

function checkKey(suite: HipCipherSuite, key: Uint8Array): void {
  if (key.length !== SUITES[suite].keyBytes) throw new RangeError(`HIP cipher ${suite}: key of ${key.length} bytes`);
}

const areWhole = (parameters: Uint8Array): boolean => parameters.length > 0 && parameters.length % PARAMETER_ALIGNMENT === 0;
