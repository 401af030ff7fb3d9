/** Kinds of keys that sign for ids, as they stand on the wire (docs/wire.md §4.1). */

/** Of a group's key about one member (docs/wire.md §2). */
export const MEMBER_CERTIFICATE_BYTES = 136;

export const KEY_KIND = { none: 0, ecdsaP256: 1, ed25519: 2, ecdsaP384: 3, rsa: 4, nameClaim: 5, groupMember: 6, group: 7 } as const;
export type KeyKind = (typeof KEY_KIND)[keyof typeof KEY_KIND];
/** Kinds that sign a trigger. */
export type TriggerKeyKind = Exclude<KeyKind, 0 | 7>;
/** Kinds that agree to be a stack's next id: of a name nobody can, of a group its own key does. */
export type StepKeyKind = Exclude<KeyKind, 0 | 5 | 6>;

/** Kinds that prove a shortcut: of a name nobody can, and RSA is longer than what asks for it. */
export type ProofKeyKind = Exclude<KeyKind, 0 | 4 | 5 | 7>;
export const isProofKeyKind = (kind: number): kind is ProofKeyKind =>
  kind === KEY_KIND.ecdsaP256 || kind === KEY_KIND.ed25519 || kind === KEY_KIND.ecdsaP384 || kind === KEY_KIND.groupMember;

/**
 * Shortest and longest public key and signature of a kind. RSA: a modulus of 2,048 to 4,096 bits, an exponent of 1 to 4 bytes behind its length.
 * Name claim: name key and Ed25519 key. Group member: its certificate.
 */
export const KEY_BYTES: Readonly<Record<Exclude<KeyKind, 0>, { readonly key: readonly [number, number]; readonly signature: readonly [number, number] }>> = {
  1: { key: [64, 64], signature: [64, 64] },
  2: { key: [32, 32], signature: [64, 64] },
  3: { key: [96, 96], signature: [96, 96] },
  4: { key: [258, 517], signature: [256, 512] },
  5: { key: [64, 64], signature: [64, 64] },
  6: { key: [MEMBER_CERTIFICATE_BYTES, MEMBER_CERTIFICATE_BYTES], signature: [64, 64] },
  7: { key: [32, 32], signature: [64, 64] },
};
