/** Numbers of the record store. All are ours. */

/** A record that is not put again is forgotten after this; its own end may come before. */
export const RECORD_LIFE_MS = 3_600_000;
/** What has ended is looked for this often; nobody is given it in between. */
export const RECORD_SWEEP_MS = 30_000;
/** Copies for other servers' keys take at most this share of the store. */
export const COPIES_SHARE = 0.5;
/** Signatures of records checked for one address (IPv4) or /64 (IPv6) each second. */
export const RECORD_VERIFICATIONS_PER_SECOND = 100;
