/** HIP_MAC and HIP_MAC_2: HMAC with RHASH, whole (RFC 7401 §5.2.12, §5.2.13, §6.4.1). What they cover is the wire's business. */
import { createHmac, timingSafeEqual } from "node:crypto";

import { RHASH_BYTES, type Rhash } from "./rhash.js";

/** RHASH_len bytes over `covered`, with an integrity key of {@link HipKeys}, of RHASH_len bytes too. */
export function hipMac(rhash: Rhash, key: Uint8Array, covered: Uint8Array): Uint8Array {
  if (key.length !== RHASH_BYTES[rhash]) throw new RangeError(`HIP_MAC key of ${key.length} bytes for ${rhash}`);
  return new Uint8Array(createHmac(rhash, key).update(covered).digest());
}

/** Whether `mac` is that of `covered`; takes equally long wherever they differ. Any `mac`: never throws for it. */
export function checkHipMac(rhash: Rhash, key: Uint8Array, covered: Uint8Array, mac: Uint8Array): boolean {
  const expected = hipMac(rhash, key, covered);
  return mac.length === expected.length && timingSafeEqual(mac, expected);
}
