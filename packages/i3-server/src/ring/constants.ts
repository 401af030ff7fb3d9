/** Numbers of what passes between servers; all ours. */
import { ATTEMPT_MS, ATTEMPTS, FIND_ATTEMPTS } from "../chord/constants.js";

/** HELLOs to one server because of its HELLO_AGAIN, which anybody on the path can forge. Two at once: a server whose clock was set back needs both. */
export const CALLS_AGAIN_PER_SECOND = 1;
export const CALLS_AGAIN_AT_ONCE = 2;
/** HELLOs of strangers that are looked at: of one source (10 at once too), and of all. Each costs about 0.5 ms of a slow processor. */
export const HELLOS_PER_SOURCE_PER_SECOND = 10;
export const HELLOS_PER_SECOND = 200;
/** Signatures under HELLO_YES that are checked for one HELLO, and in all: only who saw our HELLO can send one. */
export const MAX_CHECKS_PER_HELLO = 4;
export const HELLO_YES_PER_SECOND = 200;
/** Signatures under credentials that lookups and their answers show, between servers that have not met. */
export const STRANGERS_PER_SECOND = 100;
/** Servers that a session is kept with. */
export const MAX_SESSIONS = 4_096;
/** Servers whose credential was seen, and that have not shown yet that it is theirs. */
export const MAX_HALF_OPEN = 256;
/**
 * Calls by what they are for: how many at once, how often HELLO is said in each, and how long an answer to it is awaited. Who is named by others may be made up,
 * so these calls have few places of their own.
 */
export const CALLS = {
  own: { atOnce: 64, attempts: ATTEMPTS, everyMs: ATTEMPT_MS },
  lookup: { atOnce: 16, attempts: FIND_ATTEMPTS, everyMs: ATTEMPT_MS },
} as const;
/** Messages that wait for one who is being called. */
export const MAX_WAITING_PER_CALL = 4;
/** Counters below the highest that are still taken, once each. */
export const COUNTER_WINDOW = 64;
/** Nonces of our messages that a HELLO_AGAIN may answer. */
export const MAX_SENT = 1_024;
/** Whoever answered at a member's locator is taken to be there for so long; of so many locators it is known. */
export const LOCATOR_MS = 10_000;
export const MAX_LOCATORS = 256;
/** An epoch is the time of the start in units of 64 ms, then 16 random bits: who can set a server's clock still cannot make an epoch come twice. */
export const EPOCH_UNIT_MS = 64;
export const EPOCHS_PER_UNIT = 65_536;
/** A peer has heard a later epoch of ours than we have begun, so often since it answers us: another server has our credential. */
export const OUTDONE_TIMES = 3;
/** Refused servers are named in the log: of one address once in this time, of so many addresses, and in all so often. */
export const REFUSED_LOG_PAUSE_MS = 3_600_000;
export const MAX_REFUSED_LOGGED = 64;
export const REFUSED_LOGS_PER_SECOND = 0.1;
export const REFUSED_LOGS_AT_ONCE = 10;
