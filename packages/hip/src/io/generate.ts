/** New keys, from the system's randomness. */
import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";

import type { HostKeyAlgorithm } from "../identity/host-identity-field.js";
import { identityOf, type HostIdentity } from "../identity/host-identity.js";
import { triggerKeyFromSeed, type TriggerKey } from "../trigger-key.js";

/** As strong as P-256 (NIST SP 800-57 part 1, table 2), and an R1 with it still fits over i3 (docs/wire.md §9.5). */
const RSA_BITS = 3_072;

function newKey(algorithm: HostKeyAlgorithm): KeyObject {
  switch (algorithm) {
    case "ecdsa-p256": return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    case "ecdsa-p384": return generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    case "rsa": return generateKeyPairSync("rsa", { modulusLength: RSA_BITS }).privateKey;
  }
}

/** RSA takes about half a second. */
export const generateHostIdentity = (algorithm: HostKeyAlgorithm = "ecdsa-p256"): HostIdentity => identityOf(newKey(algorithm));

export const generateTriggerKey = (): TriggerKey => triggerKeyFromSeed(randomBytes(32));
