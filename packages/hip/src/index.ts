/** Host identities, trigger keys and signatures; the HIP base exchange joins them later. */
export * from "./identity/hit.js";
export * from "./identity/host-identity-field.js";
export * from "./identity/host-identity.js";
export * from "./identity/host-key.js";
export * from "./identity/host-signature.js";
export * from "./trigger-key.js";
export * from "./trigger-signature.js";
export * from "./io/generate.js";
export * from "./io/key-file.js";
export * from "./wire/index.js";
