/** Diffie-Hellman key pairs from the system's randomness. */
import { randomBytes } from "node:crypto";

import { dhKeyPair, type DhSource } from "../crypto/diffie-hellman.js";

export const systemDhSource: DhSource = (group) => dhKeyPair(group, randomBytes);
