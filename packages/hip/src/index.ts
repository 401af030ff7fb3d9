/** Host identities, trigger keys and signatures; the HIP base exchange joins them later. */
export * from "./host-identity.js";
export * from "./trigger-key.js";
export * from "./trigger-signature.js";
export * from "./io/generate.js";
export * from "./io/key-file.js";
