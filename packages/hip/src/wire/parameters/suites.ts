/**
 * Lists by preference: HIP_CIPHER (RFC 7401 §5.2.8), HIT_SUITE_LIST (§5.2.10), TRANSPORT_FORMAT_LIST (§5.2.11), ESP_TRANSFORM (RFC 7402 §5.1.2).
 *
 *     HIP_CIPHER, TRANSPORT_FORMAT_LIST   0  number 2, number 2, …
 *     HIT_SUITE_LIST                      0  suite 4 bits, 0 4 bits; …
 *     ESP_TRANSFORM                       0  reserved 2 | number 2, number 2, …
 *
 * Longer lists are cut, as §5.2.8 asks for HIP_CIPHER. In R2 and I2 the first entry is the chosen one.
 */
import { concatBytes, WireError } from "@i3/common";
import { FieldReader, uintBytes, uintListBytes } from "../fields.js";

/** RFC 7401 §5.2.8 and RFC 7402 §5.1.2: "no more than six". */
export const MAX_CIPHERS = 6;
/** Ours: four bits have no more values. */
export const MAX_HIT_SUITES = 16;
/** Ours: the registry has two. */
export const MAX_TRANSPORT_FORMATS = 16;

export const encodeHipCipher = (ciphers: readonly number[]): Uint8Array => uintListBytes(2, ciphers, MAX_CIPHERS);
export const decodeHipCipher = (contents: Uint8Array): readonly number[] => new FieldReader("HIP_CIPHER", contents).uints(2, MAX_CIPHERS);

/** Parameter types, such as that of ESP_TRANSFORM. */
export const encodeTransportFormatList = (types: readonly number[]): Uint8Array => uintListBytes(2, types, MAX_TRANSPORT_FORMATS);
export const decodeTransportFormatList = (contents: Uint8Array): readonly number[] =>
  new FieldReader("TRANSPORT_FORMAT_LIST", contents).uints(2, MAX_TRANSPORT_FORMATS);

export const encodeEspTransform = (suites: readonly number[]): Uint8Array => concatBytes(uintBytes(2, 0), uintListBytes(2, suites, MAX_CIPHERS));

export function decodeEspTransform(contents: Uint8Array): readonly number[] {
  const reader = new FieldReader("ESP_TRANSFORM", contents);
  reader.skip(2);
  return reader.uints(2, MAX_CIPHERS);
}

/** `suites`: the four-bit numbers that stand in HITs, 1 to 15. */
export function encodeHitSuiteList(suites: readonly number[]): Uint8Array {
  if (suites.some((suite) => !Number.isInteger(suite) || suite < 1 || suite > 15)) throw new RangeError(`HIT suites ${suites.join()}`);
  return uintListBytes(1, suites.map((suite) => suite << 4), MAX_HIT_SUITES);
}

/** Entries whose lower four bits are used are for HITs that do not exist yet (RFC 7401 §5.2.10) and are skipped; none left is a WireError. */
export function decodeHitSuiteList(contents: Uint8Array): readonly number[] {
  const suites = new FieldReader("HIT_SUITE_LIST", contents).uints(1, MAX_HIT_SUITES).filter((entry) => (entry & 0x0f) === 0 && entry !== 0).map((entry) => entry >> 4);
  if (suites.length === 0) throw new WireError("HIT_SUITE_LIST", "no suite of four bits");
  return suites;
}
