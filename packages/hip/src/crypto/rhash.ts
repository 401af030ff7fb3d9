/**
 * RHASH, the hash function of one association: the one of the HIT suite of the responder's HIT (RFC 7401 §2.3). Both hosts use it
 * for the puzzle, KEYMAT and HIP_MAC.
 */
export type Rhash = "sha256" | "sha384";

/** RHASH_len in bytes; also the length of #I, #J, a HIP_MAC and its key. */
export const RHASH_BYTES = { sha256: 32, sha384: 48 } as const satisfies Record<Rhash, number>;
