/**
 * How much of the engine each peer may take while more comes than it can do (docs/datapath.md, "Shares"): who took most gives way first, so that what others send is not lost in the kernel's queues.
 * It begins when these have lost something, since senders that wait for answers fill them too, and never beyond. From then on, for a while, what a peer may have in a window is lowered while there is always
 * more to read (a standing queue, as RFC 8289 has it), and rises else. A peer's packets are charged when they are genuine, and dropped before anything costs.
 */
import { LIMITS } from "../datapath.js";

/** Of one peer in one window, bytes and {@link PACKET_COST} for each packet. */
type Used<Peer> = Map<Peer, number>;

// Ours:
export const WINDOW_MS = 10;
/** A packet costs as much as so many bytes. */
export const PACKET_COST = 1_024;
/** Shares last so long after the last loss, twice as long each time that they have hardly ended before the next: a flood is shared on, a burst is not. */
export const HOLD_MS = 100;
export const MAX_HOLD_MS = 10_000;
export const SOON_MS = 1_000;
/** Whoever was alone for so long has nobody to share with. */
export const ALONE_MS = 1_000;
/** Windows take a part less, or more, than the one before. */
export const CUT = 8;
export const GROWTH = 8;
/** One of the longest packets in a window gets through, whatever the others do. */
export const LEAST = 4_096;
/** Of what peers had when shares began: where nobody's packets keep the queue standing, such as those of unknown SPIs, it does no good to take everything from peers. */
export const FLOOR_PART = 16;
/** More than any engine does in a window. */
export const MOST = 2 ** 40;

/** What was found in the queue before a port when it was read: nothing more, more, or more and that the kernel had no room for some. */
export type QueueState = "empty" | "waiting" | "lost";

export class FairShares<Peer> {
  readonly #used: Used<Peer> = new Map();
  #level = Infinity;
  #nowMs = 0;
  #windowMs = 0;
  #standingMs = { tun: Infinity, udp: Infinity };
  #hasLost = false;
  #holdMs = HOLD_MS;
  #untilMs = -Infinity;
  #endedMs = -Infinity;
  #floor = LEAST;
  /** When shares ended. */
  #lastLevel = Infinity;
  #last: Peer | undefined;
  #changedMs = -Infinity;

  /** What a peer may take in this window. */
  get level(): number {
    return this.#level;
  }

  /** Time passes. */
  begin(nowMs: number): void {
    this.#nowMs = nowMs;
    if (nowMs >= this.#windowMs + WINDOW_MS) this.#roll();
  }

  /** A port was read. */
  saw(side: "tun" | "udp", queue: QueueState): void {
    this.#standingMs[side] = queue === "empty" ? Infinity : Math.min(this.#standingMs[side], this.#nowMs);
    this.#hasLost ||= queue === "lost";
  }

  /** Before anything costs. */
  may(peer: Peer | undefined): boolean {
    return this.#level === Infinity || peer === undefined || (this.#used.get(peer) ?? 0) < this.#level;
  }

  /** A packet of the peer's, or for it, that was worked on. */
  charge(peer: Peer | undefined, bytes: number): void {
    if (peer === undefined) return;
    if (peer !== this.#last && this.#last !== undefined) this.#changedMs = this.#nowMs;
    this.#last = peer;
    const used = this.#used.get(peer);
    if (used !== undefined || this.#used.size < LIMITS.sharePeers) this.#used.set(peer, (used ?? 0) + bytes + PACKET_COST);
  }

  #roll(): void {
    const standingMs = this.#nowMs - Math.min(this.#standingMs.tun, this.#standingMs.udp);
    const isShared = this.#level !== Infinity;
    if (this.#nowMs - this.#changedMs > ALONE_MS || (isShared && !this.#hasLost && this.#nowMs >= this.#untilMs)) this.#end();
    else if (!isShared && this.#hasLost) this.#share();
    else if (isShared) {
      if (this.#hasLost) this.#untilMs = this.#nowMs + this.#holdMs;
      if (standingMs >= WINDOW_MS) this.#level = Math.min(this.#level, Math.max(this.#lowerLevel(), this.#floor));
      else this.#rise(Math.floor((this.#nowMs - this.#windowMs) / WINDOW_MS));
    }
    this.#hasLost = false;
    this.#windowMs = this.#nowMs;
    this.#used.clear();
  }

  #share(): void {
    const isSoon = this.#nowMs - this.#endedMs < SOON_MS;
    this.#holdMs = isSoon ? Math.min(2 * this.#holdMs, MAX_HOLD_MS) : HOLD_MS;
    this.#untilMs = this.#nowMs + this.#holdMs;
    const lower = this.#lowerLevel();
    if (!isSoon && lower !== Infinity) this.#floor = Math.max(LEAST, Math.floor(lower / FLOOR_PART));
    this.#level = Math.min(isSoon ? this.#lastLevel : Infinity, lower);
  }

  #end(): void {
    if (this.#level === Infinity) return;
    this.#endedMs = this.#nowMs;
    this.#lastLevel = this.#level;
    this.#level = Infinity;
  }

  #rise(windows: number): void {
    for (let i = 0; i < windows && this.#level < MOST; i += 1) this.#level += Math.floor(this.#level / GROWTH);
    if (this.#level >= MOST) this.#end();
  }

  /** So that all together take an eighth less than they did, and those who took little as much as before: max-min. */
  #lowerLevel(): number {
    // Without what the last packet took beyond the level, which would keep it where it is.
    const used = [...this.#used.values()].map((one) => Math.min(one, this.#level)).sort((a, b) => a - b);
    const total = used.reduce((sum, one) => sum + one, 0);
    let left = total - Math.floor(total / CUT);
    let level = Infinity;
    for (const [i, one] of used.entries()) {
      level = Math.floor(left / (used.length - i));
      if (one > level) break;
      left -= one;
    }
    return Math.max(level, LEAST);
  }
}
