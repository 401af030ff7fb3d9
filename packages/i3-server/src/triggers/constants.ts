/** Numbers of the trigger table. */
import { LIMITS } from "@i3/datapath";

// The paper's (§2):
/** A trigger that is not refreshed is forgotten after this. */
export const TRIGGER_LIFE_MS = 30_000;

// Ours:
/** How long the counter of a removed or expired trigger is remembered: longer than any cookie that a replay could carry. */
export const COUNTER_MEMORY_MS = 60_000;
/** A cookie is good for this long: a client signs within one round trip. */
export const COOKIE_LIFE_MS = 30_000;
/** A secret makes cookies for this long and checks them for twice as long. */
export const COOKIE_SECRET_MS = 60_000;
export const COOKIE_SECRET_BYTES = 32;
/** Signatures checked for one address (IPv4) or /64 (IPv6) each second, which its locators share; checking one costs about 0.1 ms. */
export const VERIFICATIONS_PER_SOURCE_PER_SECOND = 1_000;
/** An IPv6 /48 has places for triggers, and for records, of so many sources: one of eight such networks fills no table, and a university's has 32,768 triggers at each server. */
export const SOURCES_PER_NETWORK = 8;
/** And so many sources' signatures are checked for it: less than half of what one core can check. */
export const RATED_SOURCES_PER_NETWORK = 4;
/** Of the claims to one name that a server takes, one network may have this part, and one in any case. */
export const CLAIMS_SHARE_OF_NETWORK = 1 / 4;
/** One with P-384 costs about 1 ms, and counts for as many. */
export const P384_VERIFICATION_COST = 10;
/** A group's member brings a certificate, which is a signature more. */
export const MEMBER_VERIFICATION_COST = 2;
/** With so many triggers at its ring key a signature counts for one more: the engine is given all of them with each one that changes, 0.1 ms for so many. */
export const SIBLINGS_PER_VERIFICATION = 64;
/** When the ring changes, replicas come into use in turns of so much work, with the ring's messages in between; looking at one is 1, */
export const SERVE_WORK = 4_096;
/** and telling the engine of it so much more. */
export const PROGRAM_WORK = 16;
/** Triggers of one group at a time, whatever their suffixes; a packet becomes at most 255 copies, trees included (docs/wire.md §3). */
export const TRIGGERS_PER_GROUP = LIMITS.triggersPerRingKey;
/** Of these, from one network (networkOf): behind one NAT there may be many members, but some places are for others. */
export const TRIGGERS_PER_GROUP_AND_NETWORK = TRIGGERS_PER_GROUP - 16;
/** Sources whose rate is remembered, and as many networks; only proved addresses come this far. */
export const MAX_RATED_SOURCES = 65_536;
/** Locators of them. One that is forgotten begins anew, in its source's bucket still. */
export const MAX_RATED_LOCATORS = 65_536;
