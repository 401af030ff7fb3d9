/**
 * ESP_TRANSFORM suites and the keys that KEYMAT gives them (RFC 7402 §5.1.2, §7). Each key has its natural size:
 *
 *     suite                                 encryption key          authentication key
 *      7  NULL with HMAC-SHA-256            0                       32
 *      8  AES-128-CBC with HMAC-SHA-256     16                      32
 *      9  AES-256-CBC with HMAC-SHA-256     32                      32
 *     13  AES-GCM with a 16-octet ICV       16, then a salt of 4    0
 *
 * RFC 7402 names RFC 4106 for suite 13 and says neither how long its key is nor where the salt comes from. We take the one key length
 * that RFC 4106 §8.2 obliges everybody to have, 128 bits, and KEYMAT as its §8.1 splits it: the AES key, then four bytes of salt.
 */
import { drawDirections, type Directions, type Keymat } from "./keymat.js";

/** Numbers of ESP_TRANSFORM (IANA hip-parameters). */
export const ESP_SUITE = { nullSha256: 7, aes128CbcSha256: 8, aes256CbcSha256: 9, aesGcm16: 13 } as const;
export type EspSuite = (typeof ESP_SUITE)[keyof typeof ESP_SUITE];

const HMAC_SHA_256_KEY_BYTES = 32;
const GCM_SALT_BYTES = 4;
const ENCRYPTION_KEY_BYTES = { 7: 0, 8: 16, 9: 32, 13: 16 } as const satisfies Record<EspSuite, number>;

/** What protects one direction; the shape of the datapath's EspTransform, which this package does not know. */
export type EspKeys =
  | { readonly kind: "aes-gcm-16"; readonly key: Uint8Array; readonly salt: Uint8Array }
  | { readonly kind: "null-hmac-sha-256"; readonly integrityKey: Uint8Array }
  | { readonly kind: "aes-cbc-hmac-sha-256"; readonly key: Uint8Array; readonly integrityKey: Uint8Array };

const TEXTS: ReadonlyMap<number, string> = new Map([[7, "readable, authenticated"], [8, "AES-128-CBC"], [9, "AES-256-CBC"], [13, "AES-GCM"]]);

/** For people, of any number that a peer may say. */
export function espSuiteText(number: number): string {
  const text = TEXTS.get(number);
  return text === undefined ? String(number) : `${number} (${text})`;
}

export const isEspSuite = (number: number): number is EspSuite => Object.hasOwn(ENCRYPTION_KEY_BYTES, number);

/** Whether what it protects stays readable: `security="auth"`. */
export const isReadableSuite = (suite: EspSuite): boolean => suite === ESP_SUITE.nullSha256;

/** Draws the keys of one pair of security associations at the current index of `keymat`. */
export function espKeysOf(keymat: Keymat, suite: EspSuite, ownHit: Uint8Array, peerHit: Uint8Array): Directions<EspKeys> {
  return drawDirections(ownHit, peerHit, () => drawOne(keymat, suite));
}

function drawOne(keymat: Keymat, suite: EspSuite): EspKeys {
  const key = keymat.draw(ENCRYPTION_KEY_BYTES[suite]);
  switch (suite) {
    case ESP_SUITE.aesGcm16:
      return { kind: "aes-gcm-16", key, salt: keymat.draw(GCM_SALT_BYTES) };
    case ESP_SUITE.nullSha256:
      return { kind: "null-hmac-sha-256", integrityKey: keymat.draw(HMAC_SHA_256_KEY_BYTES) };
    case ESP_SUITE.aes128CbcSha256:
    case ESP_SUITE.aes256CbcSha256:
      return { kind: "aes-cbc-hmac-sha-256", key, integrityKey: keymat.draw(HMAC_SHA_256_KEY_BYTES) };
  }
}
