/** Bounds and times of paths. RFC 8046 and RFC 9028 leave them open, or give those of ICE, which looks for a path once; so all are ours. */

/** Waits between the checks of a path that is not proven. The sixth goes out 2.1 s after the first, so that a path is found, or not, in 3 s. */
export const OPENING_MS: readonly number[] = [150, 150, 300, 600, 900];
/** After the last of them, and then twice as long each time. */
export const REST_MS = 5_000;
export const MAX_REST_MS = 60_000;

/** Of the path in use while packets go: a third of the time in which a dead one has to be left. */
export const CARRYING_EVERY_MS = 200;
/** The same once an answer is overdue. */
export const SUSPECT_EVERY_MS = 100;
export const OVERDUE = { roundTrips: 1.5, addMs: 20 } as const;
/** Neither more often than so many in a round trip. */
export const CHECKS_PER_ROUND_TRIP = 4;
/** Of a proven one beside it, so that there is one to change to. */
export const STANDBY_EVERY_MS = 5_000;
/** Of the path in use when packets have gone lately: NATs forget after 30 s at the earliest in practice, RFC 4787 REQ-5 wants 120. */
export const WARM_EVERY_MS = 15_000;
/** Of the last two, when an answer is missing. */
export const AGAIN_MS = 500;
/** A proven path is dead when so many checks in a row have no answer, and the first of them for so long: of one on which each fifth is lost about one in 3,000 looks so. */
export const MISSES = 4;
export const PATIENCE = { roundTrips: 2, addMs: 200, atLeastMs: 500, atMostMs: 3_000 } as const;
/** Proven, not in use, and not heard of for so long: not proven any more. */
export const PROOF_LIFE_MS = 30_000;
/** The path that died is tried again after this. */
export const DEAD_REST_MS = 1_000;

/** Another path takes the place of a proven one when its round trip is shorter by this factor and so much. */
export const NEARER_FACTOR = 0.8;
export const NEARER_BY_MS = 5;

/** Of ours, of the peer by its word, of the peer as its packets came from, and of both together. */
export const MAX_PLACES = 8;
export const MAX_PEER_LOCATORS = 16;
export const MAX_SEEN_LOCATORS = 4;
export const MAX_PATHS = 64;
/** Checks of one path to which a late answer still counts. */
export const MAX_ASKED = 32;
/** An answer that is older proves nothing: who got the CHECK may be elsewhere by now, and somebody else there. */
export const MAX_ANSWER_MS = 5_000;

/** Data that may go to a place before it has answered (RFC 8046 §5.6.1: not more than came from the peer since the last time). */
export const MAX_CREDIT_BYTES = 262_144;
/** Places on credit follow each other no sooner than this. */
export const CREDIT_EVERY_MS = 200;
/** The peer is believed to be elsewhere no sooner after the last time, while packets get to it: each time all its flows are set anew. */
export const ELSEWHERE_EVERY_MS = 50;

/** The longest packets that every path takes, with IP and UDP: IPv6 by RFC 8200 §5, IPv4 by RFC 8899 §5.1.2. */
export const MTU_BASE = { 4: 1_200, 6: 1_280 } as const;
/** That are looked for: the least of IPv6, tunnels, DSL with L2TP and PPPoE, Ethernet. */
export const MTU_SIZES: readonly number[] = [1_280, 1_400, 1_452, 1_472, 1_492, 1_500];
/** RFC 8899 §5.1.2, MAX_PROBES. */
export const MTU_TRIES = 3;
/** RFC 8899 §5.1.1, PMTU_RAISE_TIMER. */
export const MTU_RAISE_MS = 600_000;
/** How long an answer to a probe is awaited: three that are lost after one that is due show a hole within 2 s. */
export const MTU_PATIENCE = { roundTrips: 2, addMs: 100, atLeastMs: 150, atMostMs: 1_000 } as const;
/** What is known is asked for again when so much was sent since the last answer, and not more often: less than a fifth is added (1,476 bytes). */
export const MTU_AGAIN_BYTES = 8_192;
export const MTU_AGAIN_MS = 500;

/** Checks to one machine (an IPv4 address, an IPv6 /64) that has not answered, of all associations together: a peer may have named anybody's address. */
export const CHECKS_PER_MACHINE_PER_SECOND = 1;
export const CHECKS_PER_MACHINE_BURST = 48;
/** To all that have not answered. */
export const CHECKS_PER_SECOND = 100;
export const CHECKS_BURST = 400;
/** Of one peer, so that none takes the checks of others, however often it makes keys; and of what may go to one machine at most this part. */
export const PEER_CHECKS_PER_SECOND = 16;
export const PEER_CHECKS_BURST = 64;
export const MACHINE_SHARE = 0.5;
/** Of strangers together, who may all be one. */
export const STRANGERS_SHARE = 0.5;
/** More than are checked in the 48 s in which a machine gets its burst anew (5,200): none is forgotten before. */
export const MAX_MACHINES = 8_192;
/** Far more than can have checks in the 4 s in which a peer gets its burst anew (800). */
export const MAX_PEERS = 8_192;
/** A check that the budget does not let out is wanted again after this, and then twice as long each time. */
export const PUT_OFF_MS = 150;
export const MAX_PUT_OFF_MS = 1_200;
/** Answers to CHECKs that had one already: networks make copies, and so does who keeps them. */
export const COPIES_PER_SECOND = 10;
export const COPIES_BURST = 20;
