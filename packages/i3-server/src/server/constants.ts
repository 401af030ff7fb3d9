/** Numbers of the server core. */

// The paper's (§2.2):
/** Way to the server of another's ids: kept so long. */
export const ROUTE_LIFE_MS = 30_000;

// Ours:
/** A route that somebody asks for when it is older than this is looked up again, so that one in use does not end. */
export const ROUTE_RENEW_MS = 20_000;
/**
 * LOCATE is answered from a route only while it is this young. Packets on an old route are passed on by the server that no longer
 * is responsible; a client that registers would be refused there (code 1) and sent back by an old route again and again.
 */
export const LOCATE_ROUTE_MS = 1_000;
/** Routes kept; the engine's table has 65,536. */
export const MAX_ROUTES = 32_768;
/** What requests may make us look up at once, and as many for packets that wait; the rest of chord's MAX_LOOKUPS is the ring's own. */
export const MAX_CLIENT_LOOKUPS = 256;
/** And so many more for sources that have proven their address. */
export const MAX_PROVEN_LOOKUPS = 128;
/** Longer than a client that stays refreshes one trigger before it signs it again: 1,024 times, every 5 s. */
export const PROVEN_MS = 7_200_000;
export const MAX_PROVEN_SOURCES = 65_536;
/** Of one IPv6 /48, so that it does not fill the others' memory. */
export const MAX_PROVEN_PER_NETWORK = 256;
/** Of the places for lookups that are free, one source may hold this part: 28 when it is alone, and 200 that all want more leave 8 for those who hold none. */
export const SHARE_OF_FREE = 1 / 8;
/** Requests that wait for the lookup of one key, and as many more of sources that have proven their address. One source has two. */
export const MAX_WAITING_PER_KEY = 16;
/** What servers say of their locators in the other family, of so many. */
export const MAX_OTHER_LOCATORS = 4_096;
/** One that has answered a PING from there is told for so long, and asked again when it is told and the answer is older than the second. */
export const OTHER_PROVEN_MS = 60_000;
export const OTHER_RENEW_MS = 20_000;
/** One that does not answer is asked again after this, doubled each time. */
export const UNANSWERED_PING_MS = 500;
export const MAX_UNANSWERED_PING_MS = 32_000;
/** Who asked where a server is may wait for it so long; then he has asked again. */
export const ANSWER_WAIT_MS = 500;
/** Senders of recent packets with CACHE_REQUEST, by nonce: NOT_PRESENT finds its way back through them. */
export const SENDER_MEMORY_MS = 30_000;
export const MAX_SENDERS = 65_536;
/** What the packets of one nonce may gather for answers to it, bytes. */
export const MAX_CREDIT_BYTES = 4_096;
/** One sender is told NOT_PRESENT at most once in this time, like the engine's upcall. */
export const NOT_PRESENT_PAUSE_MS = 100;
/** Signed records (docs/wire.md §4.3), of 1,000 bytes at most: 16 MB. */
export const DEFAULT_RECORD_LIMITS = { records: 16_384, perSource: 256 } as const;
/** How far the server's time in what the engine answers may be off. */
export const MAX_WALL_ERROR_MS = 10;
/** Longer than the time in which clients refresh, and so learn of a new server (i3-client: 5 s). */
export const CLAIM_AFTER_JOIN_MS = 6_500;
/** While others go on joining before it, so long after its own join a server sends on what they do not have; its successor has the triggers for 30 s. */
export const LAST_PASS_ON_MS = 20_000;
/** So long after another has joined before it a server delivers by replicas of groups and claims too: longer than that one takes to claim its keys. */
export const HANDOVER_MS = 8_000;
/**
 * A server that leaves goes on passing packets for so long, and answers no PING: longer than clients take to see that (i3-client: 2.8 s), so that
 * those who send to it straight lose nothing.
 */
export const LINGER_MS = 3_000;
