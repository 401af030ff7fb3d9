/** Bounds and times of the exchange. Those of RFC 7401 are only named there, not given; so all figures are ours. */

/** An epoch of puzzles and of the responder's Diffie-Hellman keys. */
export const EPOCH_MS = 60_000;
/** How long after its end solutions of an epoch are taken: the initiator's lifetime of a puzzle, its work, and the last I2 it sends. */
export const EPOCH_GRACE_MS = 60_000;
/** The same when the next epoch is harder: else nobody under attack would have to do the harder work. Time for an I2 that is on its way. */
export const EASIER_EPOCH_GRACE_MS = 10_000;
/** A rise of the difficulty begins an epoch, at most this often. */
export const MIN_EPOCH_MS = 5_000;
/** 2^(37 - 32) = 32 s, less than {@link EPOCH_GRACE_MS}. */
export const PUZZLE_LIFETIME = 37;
/** Solutions that were used in an epoch are remembered; at this many the epoch ends. */
export const MAX_USED_SOLUTIONS = 262_144;
/** Solutions that came with something wrong behind them, of an epoch. */
export const MAX_SPOILT_SOLUTIONS = 4_096;
/** RFC 7401 §8: after so many bad I2 with one solution it is good no more. */
export const SPOILT_LIMIT = 3;

/** More is the sign of somebody who wants us busy, not of a host under load: about 30 s of one core. */
export const MAX_DIFFICULTY_SOLVED = 24;
/** Hashes between two turns of the loop, for all puzzles together: 2 ms at 1 µs each. */
export const PUZZLE_TRIES_PER_TICK = 1_500;

/** First wait of I1, I2, UPDATE and CLOSE; doubled each time. */
export const RETRY_MS = 500;
/** With the waits 0.5, 1, 2, 4 and 8 s an attempt is given up 15.5 s after its first packet. */
export const MAX_TRIES = 5;
/** All of them together: R2-SENT ends after it, since no further I2 can come. */
export const ALL_TRIES_MS = RETRY_MS * (2 ** MAX_TRIES - 1);
/** The first I2 with which another I1 goes out: a responder that restarted in between takes no I2, but a fresh R1 helps. */
export const I1_AGAIN_FROM_TRY = 3;
/** Bad R1s that are looked at at once for each I1 sent. Somebody who knows both HITs could send many; the others wait. */
export const MAX_R1_CHECKS = 16;
/** R1s of one call that wait to be looked at: 16 KiB at most. */
export const MAX_WAITING_R1S = 8;
/** Between two R1s that are looked at when one was answered before, or too many were bad: each may cost the check of a signature, and a puzzle, a key and a signature more. */
export const OTHER_R1_MS = 250;
/** R1s of one call whose puzzles are being solved, or whose I2s may still be answered. */
export const MAX_OPEN_R1S = 8;
/** R1s of one call that are answered in all: else somebody who forges them could keep a processor at puzzles. */
export const MAX_ANSWERED_R1S = 24;
/** NOTIFYs of one attempt whose signature is looked at. */
export const MAX_NOTIFY_CHECKS = 4;
/** One cached answer (R2, UPDATE with ACK, CLOSE_ACK) goes out at most this often. */
export const REPEAT_MS = 50;

/** After an exchange that both began, the peer's own I2, which its own rules made void, may still be under way. */
export const CROSSED_I2_MS = 3_000;
/** Old inbound keys outlive a rekey by this: longer than the peer tries to tell us that it is done. */
export const RETIRE_MS = 30_000;
/** Old inbound keys of one pair that live on at once; the oldest go first. */
export const MAX_RETIRING = 4;
/** Rekeys that a peer may begin, of one pair. */
export const PEER_REKEYS_PER_SECOND = 1;
export const PEER_REKEY_BURST = 4;
/** UPDATEs of a peer that are looked at beyond their MAC, but for those that answer ours: each may cost two signatures and the check of one. */
export const PEER_UPDATES_PER_SECOND = 10;
export const PEER_UPDATE_BURST = 20;
/** Places that a peer may seem to have moved to, and as many that it only names. */
export const CHECKS_PER_SECOND = 0.5;
export const CHECK_BURST = 3;
/** Nobody may be there, and whoever is has asked for nothing. */
export const MAX_CHECK_TRIES = 2;
/** CLOSED lasts so long, to answer the CLOSE again. */
export const CLOSED_MS = ALL_TRIES_MS + 15_000;
export const REKEY_AFTER_MS = 3_600_000;

export const MAX_ASSOCIATIONS = 65_536;
/** In I1-SENT and I2-SENT. */
export const MAX_ATTEMPTS = 4_096;
/** Peers whose R1 generation counter is remembered (RFC 7401 §4.1.4), and how long: one that lost its clock must come back some time. */
export const MAX_R1_COUNTERS = 4_096;
export const R1_COUNTER_MS = 600_000;
/** Signing costs, and a NOTIFY only helps people. */
export const NOTIFIES_PER_SECOND = 20;
/** I1s that reach this core; those that the packet engine answers are not among them. */
export const I1_ANSWERS_PER_SECOND = 20_000;
/** Diffie-Hellman groups whose secrets cost three to six times what P-256's do, which puzzles do not count, and I2s with one of them. */
export const DEAR_GROUPS: readonly number[] = [4, 8, 9];
export const DEAR_I2S_PER_SECOND = 20;
/** UPDATE ids that are remembered behind the next one (RFC 7401 §6.12). */
export const UPDATE_WINDOW = 32;
/** UPDATE ids that may be ahead of the next one. A peer that moves on and on, or whose relay is gone, loses many in a row; each ahead is as good as its MAC. */
export const MAX_UPDATES_AHEAD = 65_536;
/** Between two UPDATEs that say the same thing in a newer way: the peer looks at {@link PEER_UPDATES_PER_SECOND}. */
export const ANNOUNCE_EVERY_MS = 200;
/** SPIs 0 to 255 are reserved (RFC 4303 §2.1). */
export const MIN_SPI = 256;

/**
 * Length of every I1 over i3, and so the most that R1 may have: nobody's address is known there, so an answer must not be longer than what it answers. With data
 * header (48), UDP (8) and IPv6 (40) it fills the 1,280 bytes that every path takes. R1s with the groups 7, 8 and 9 have with ECDSA P-256 424, 456 and 496 bytes, P-384
 * 488, 520 and 560, RSA of 2,048 bits 792, 824 and 864, of 3,072 bits 1,048, 1,080 and 1,120, of 4,096 bits 1,304 and more: the last does not fit.
 */
export const I3_I1_BYTES = 1_184;
/** The packet engine is given no longer R1: with the mark (4), UDP over IPv6 it fits a path of 1,280 bytes. */
export const MAX_ENGINE_R1_BYTES = 1_224;
/** The packet engine is given the puzzles of no more epochs, the latest. A rise of the difficulty begins one at most every {@link MIN_EPOCH_MS} and ends easier ones {@link EASIER_EPOCH_GRACE_MS} later, so that fewer live. */
export const MAX_ENGINE_EPOCHS = 8;
