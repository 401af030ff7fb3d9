/**
 * How much of the engine each peer may take while more comes than it can do (docs/datapath.md, "Shares"): who took most gives way first, so that what others send neither waits long nor is lost
 * in the kernel's queues. What a peer may have in a window is lowered while there is always more to read (a standing queue, as RFC 8289 has it), and rises else, so that nothing is dropped that there is
 * time for. A peer's packets are charged when they are genuine, and dropped before anything costs.
 */
import { LIMITS } from "../datapath.js";

/** Of one peer in one window, bytes and {@link PACKET_COST} for each packet. */
type Used<Peer> = Map<Peer, number>;

// Ours:
export const WINDOW_MS = 10;
/** A packet costs as much as so many bytes. */
export const PACKET_COST = 1_024;
/** A burst need not be shared. */
export const STANDING_MS = 100;
/** Whoever was alone for so long has nobody to share with. */
export const ALONE_MS = 1_000;
/** Windows take a part less, or more, than the one before. */
export const CUT = 8;
export const GROWTH = 8;
/** One of the longest packets in a window gets through, whatever the others do. */
export const LEAST = 4_096;
/** More than any engine does in a window. */
export const MOST = 2 ** 40;

export class FairShares<Peer> {
  readonly #used: Used<Peer> = new Map();
  #level = Infinity;
  #nowMs = 0;
  #windowMs = 0;
  #standingMs = { tun: Infinity, udp: Infinity };
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

  /** A port was read: whether more waits behind it. */
  saw(side: "tun" | "udp", more: boolean): void {
    this.#standingMs[side] = more ? Math.min(this.#standingMs[side], this.#nowMs) : Infinity;
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
    if (this.#nowMs - this.#changedMs > ALONE_MS) this.#level = Infinity;
    else if (standingMs >= (this.#level === Infinity ? STANDING_MS : WINDOW_MS)) this.#level = Math.min(this.#level, this.#lowerLevel());
    else if (this.#level !== Infinity) this.#rise(Math.floor((this.#nowMs - this.#windowMs) / WINDOW_MS));
    this.#windowMs = this.#nowMs;
    this.#used.clear();
  }

  #rise(windows: number): void {
    for (let i = 0; i < windows && this.#level < MOST; i += 1) this.#level += Math.floor(this.#level / GROWTH);
    if (this.#level >= MOST) this.#level = Infinity;
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
