/** Numbers of the ring. */

// Of the Berkeley i3 tree, the original implementation:
/** Length of a successor list. */
export const SUCCESSORS = 8;

// Ours:
/** One stabilization round begins this long after the one before; half of Berkeley's, so that a crash heals in under 4 s. */
export const STABILIZE_MS = 500;
/** A request is sent again after this; most answers come before. */
export const ATTEMPT_MS = 250;
/** And then after this, again and again. */
export const NEXT_ATTEMPT_MS = 110;
/** Unanswered for ATTEMPT_MS + 5 × NEXT_ATTEMPT_MS = 0.8 s: the peer is dead; with 0.65 s a server that had just started again was, whose sessions have to be made anew. Six, because three lose a live peer too often at 20 % loss. */
export const ATTEMPTS = 6;
/** A lookup leaves a silent hop sooner: another node may know the way. */
export const FIND_ATTEMPTS = 3;
/** A predecessor or watched node that said nothing for this long is asked whether it lives. A living predecessor speaks every STABILIZE_MS. */
export const QUIET_MS = 550;
/** How much later that may be seen. */
export const QUIET_CHECK_MS = 50;
/** A dead node is not taken from other nodes' lists for this long, unless it speaks itself. */
export const TOMBSTONE_MS = 10_000;
export const MAX_TOMBSTONES = 256;
/** After "response pending" a random time between these; the upper one doubles up to STABILIZE_MS. */
export const PENDING_RETRY_MIN_MS = 20;
export const PENDING_RETRY_MAX_MS = 80;
/** How often a node looks for itself at a configured member that is no neighbour, which joins and merges rings. */
export const MEMBER_PROBE_MS = 2_000;
/** In a ring with more nodes than this each looks less often, so that the members get no more questions than from so many. */
export const MEMBER_PROBE_SIZE = 32;
export const MEMBER_PROBE_MAX_MS = 600_000;
/** While alone: more often, so that a ring that starts together is there in a second. */
export const MEMBER_PROBE_ALONE_MS = 500;
/** For so long after its start, and after the last answer of a member, a node with configured members claims no keys, unless it has joined. */
export const SETTLE_MS = 2_000;
/** It claims them this long after its start at the latest, though members answer. */
export const LAST_SETTLE_MS = 30_000;
/** Neighbours that were heard and lost are tried like configured members, so that partitions heal; at most so many, for so long: then others may have their addresses. */
export const MAX_REMEMBERED = 16;
export const REMEMBERED_MS = 86_400_000;
/** Two: when one dies the other is there; and of two, one is on the way for more keys. */
export const FINGERS_PER_RANGE = 2;
/** Which finger gets a lookup: it is worth as much that the rest of the way is halved as that the finger is nearer by this, one way. */
export const HALVING_MS = 20;
/** One way to a finger that was not timed yet. */
export const UNTIMED_MS = 100;
/** One finger is looked after each time: asked whether it lives, or looked for when its range has none. */
export const FINGER_MS = 500;
/** Other nodes of a range are tried this long after each other: the pause grows by SAMPLE_GROWTH each time, and is short again after a finger is lost. */
export const SAMPLE_MIN_MS = 1_000;
export const SAMPLE_MAX_MS = 20_000;
export const SAMPLE_GROWTH = 1.1;
/** A node takes a finger's place when its round trip is at most this part of the other's: fingers that are as near do not change for ever. */
export const NEARER_BY = 0.9;
/** Nodes that are being timed at once. */
export const MAX_PROBES = 16;
/** Ranges from [2^127, 2^128) down to [2^104, 2^105): enough for rings of 2^24 nodes. */
export const FINGERS = 24;
/** A lookup that is passed from node to node goes another way when no answer came after this; after ROUTE_ATTEMPTS it asks the nodes itself. */
export const ROUTE_MS = 250;
export const ROUTE_ATTEMPTS = 3;
/** Steps of one lookup; a ring of 65,536 needs about 8. */
export const MAX_HOPS = 48;
export const LOOKUP_MS = 5_000;
/** A lookup that ran out of nodes to ask begins again after this. */
export const LOOKUP_PAUSE_MS = 250;
/** 768 that others make the server do (server/constants.ts) and 64 of the ring's own. */
export const MAX_LOOKUPS = 832;
/** Steps in one stabilization round towards ever nearer successors. */
export const MAX_CANDIDATES = 32;
/** Nodes watched for the server's route cache. */
export const MAX_WATCHED = 512;
/** Nodes of which is known when they were heard: those, the neighbours, and some that were. */
export const MAX_HEARD = 1_024;
/** LEAVING is not acknowledged, so it is said again after these. The later ones are for neighbours with whom a session is begun meanwhile (HELLO_AGAIN), before they find out by silence. */
export const LEAVING_PAUSES_MS: readonly number[] = [40, 40, 160, 320];
/** Of one node it counts so often in LEAVING_AGAIN_MS and no more: who leaves in order stays for as long, and what each costs (a round of stabilization, a line in the log) is not to be had at will. */
export const LEAVING_TIMES = 3;
export const LEAVING_AGAIN_MS = 3_000;
