/**
 * The longest packet that a path takes whole (RFC 8899, docs/wire.md §9.7): asked by CHECKs of that length, whatever ICMP says or does not say.
 *
 *     searching ── the longest is answered, or the next one is not, three times ──► settled ── every 10 minutes ──► searching, beyond what is known
 *         ▲                                                                           │
 *         └── it is not answered any more, three times, while short checks are ◄──────┘ asked again while much is sent
 *
 * Without I/O. Lengths are of whole IP packets. DEVIATION from RFC 8899 §5.1.1: an answer is awaited for two round trips, not for 1 s at least, so that nothing falls into a hole for longer than 2 s.
 */
import { bytesKey } from "@i3/common";

import { MTU_AGAIN_BYTES, MTU_AGAIN_MS, MTU_BASE, MTU_PATIENCE, MTU_RAISE_MS, MTU_SIZES, MTU_TRIES } from "./constants.js";

interface Probe {
  readonly nonce: string;
  readonly bytes: number;
  readonly untilMs: number;
}

/** What the owner knows of the path when it asks for the next probe. */
export interface ProbedPath {
  readonly rttMs: number;
  /** Of the last answer to a check that was not a probe. */
  readonly answeredMs: number;
  /** Bytes that packets had in all, this way or another. */
  readonly sentBytes: number;
}

export class PathMtu {
  /** Ascending, the first is taken for granted. */
  readonly #sizes: readonly number[];
  /** Of {@link #sizes}: the longest that is known to pass. */
  #known = 0;
  /** That is asked for while searching; null: settled. */
  #asking: number | null;
  #isSettled = false;
  /** Probes in a row without an answer. */
  #lost = 0;
  #lostSinceMs = Infinity;
  #probe: Probe | null = null;
  #confirmedMs = -Infinity;
  #confirmedBytes = 0;
  /** When a search was over, or began again. */
  #searchedMs = -Infinity;

  /** @param mostBytes of a packet that anybody would send: longer ones are not looked for */
  constructor(family: 4 | 6, mostBytes: number) {
    const base = MTU_BASE[family];
    const between = MTU_SIZES.filter((size) => size > base && size < mostBytes);
    this.#sizes = mostBytes > base ? [base, ...between, mostBytes] : [base];
    this.#asking = this.#first();
    this.#isSettled = this.#asking === null;
  }

  /** What passes as far as is known. */
  get bytes(): number {
    return this.#sizes[this.#known] as number;
  }

  /** False while nothing is known but the least: longer packets may be sent, in pieces. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** When {@link next} may have something to say, but for what {@link ProbedPath.sentBytes} brings. */
  dueMs(): number {
    if (this.#probe !== null) return this.#probe.untilMs;
    if (this.#asking !== null) return -Infinity;
    return this.#sizes.length > 1 ? this.#searchedMs + MTU_RAISE_MS : Infinity;
  }

  /** Of the next probe, which is to be sent now; null: none. */
  next(nowMs: number, path: ProbedPath): number | null {
    if (this.#probe !== null) {
      if (nowMs < this.#probe.untilMs) return null;
      this.#lose(nowMs, this.#probe, path);
    }
    if (this.#asking === null && nowMs >= this.#searchedMs + MTU_RAISE_MS) this.#raise(nowMs);
    if (this.#asking !== null) return this.#sizes[this.#asking] as number;
    const isDoubted = this.#lost > 0 || (nowMs >= this.#confirmedMs + MTU_AGAIN_MS && path.sentBytes - this.#confirmedBytes >= MTU_AGAIN_BYTES);
    return this.#known > 0 && isDoubted ? this.bytes : null;
  }

  sent(nowMs: number, nonce: Uint8Array, bytes: number, { rttMs }: Pick<ProbedPath, "rttMs">): void {
    const waitMs = Math.min(Math.max(rttMs * MTU_PATIENCE.roundTrips + MTU_PATIENCE.addMs, MTU_PATIENCE.atLeastMs), MTU_PATIENCE.atMostMs);
    this.#probe = { nonce: bytesKey(nonce), bytes, untilMs: nowMs + waitMs };
  }

  /** Whether it was a probe that was answered. */
  answered(nowMs: number, nonce: Uint8Array, sentBytes: number): boolean {
    if (this.#probe?.nonce !== bytesKey(nonce)) return false;
    const { bytes } = this.#probe;
    this.#probe = null;
    this.#lost = 0;
    this.#lostSinceMs = Infinity;
    this.#confirmedMs = nowMs;
    this.#confirmedBytes = sentBytes;
    const at = this.#sizes.indexOf(bytes);
    this.#known = Math.max(this.#known, at);
    if (this.#asking !== null) this.#ask(nowMs, this.#known + 1);
    return true;
  }

  /** The path may be another one, or what was known is wrong: from the beginning. */
  restart(): void {
    this.#known = 0;
    this.#asking = this.#first();
    this.#isSettled = this.#asking === null;
    this.#lost = 0;
    this.#lostSinceMs = Infinity;
    this.#probe = null;
  }

  /** It carries packets again after a while: what was known is asked for again. */
  doubt(): void {
    if (this.#asking === null && this.#known > 0 && this.#probe === null) this.#confirmedBytes = -Infinity;
  }

  /** The longest, once: most paths take it, and then one probe is enough. Then one by one. */
  #first(): number | null {
    return this.#sizes.length > 1 ? this.#sizes.length - 1 : null;
  }

  #ask(nowMs: number, at: number): void {
    this.#asking = at < this.#sizes.length ? at : null;
    if (this.#asking !== null) return;
    this.#isSettled = true;
    this.#searchedMs = nowMs;
  }

  #raise(nowMs: number): void {
    this.#searchedMs = nowMs;
    this.#confirmedBytes = -Infinity;
    this.#ask(nowMs, this.#known + 1);
  }

  #lose(nowMs: number, { untilMs }: Probe, { answeredMs }: ProbedPath): void {
    this.#probe = null;
    if (this.#lost === 0) this.#lostSinceMs = untilMs;
    this.#lost += 1;
    if (this.#asking === null) return this.#doubtMore(answeredMs);
    const isFirst = !this.#isSettled && this.#known === 0 && this.#asking > 1;
    if (isFirst) this.#asking = 1;
    else if (this.#lost < MTU_TRIES) return;
    else this.#ask(nowMs, this.#sizes.length);
    this.#lost = 0;
  }

  #doubtMore(answeredMs: number): void {
    if (this.#lost >= MTU_TRIES && answeredMs >= this.#lostSinceMs) this.restart();
  }
}
