/** New keys, from the system's randomness. */
import { generateKeyPairSync, randomBytes } from "node:crypto";

import { identityOf, type HostIdentity } from "../host-identity.js";
import { triggerKeyFromSeed, type TriggerKey } from "../trigger-key.js";

export const generateHostIdentity = (): HostIdentity => identityOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);

export const generateTriggerKey = (): TriggerKey => triggerKeyFromSeed(randomBytes(32));
