/**
 * What a peer is to know of us, each time as a whole: an UPDATE that is repeated until it is acknowledged. A newer word takes the place of one that is still on its way,
 * and so few go out, the last one always, however often it changes.
 */
import type { ParameterContents } from "../wire/tlv.js";
import { ANNOUNCE_EVERY_MS, MAX_TRIES } from "./limits.js";
import type { Outstanding } from "./pair.js";

/** Made when it goes out. */
export type Word = () => readonly ParameterContents[];

export interface AnnouncementHome {
  /** An UPDATE with the next id, and with ESP_INFO of the SPI in use. */
  readonly send: (nowMs: number, word: readonly ParameterContents[]) => Outstanding;
  readonly repeat: (nowMs: number, outstanding: Outstanding) => void;
}

export class Announcement {
  readonly #home: AnnouncementHome;
  /** The last one. */
  #word: Word | null = null;
  /** When the last word goes out first; Infinity: it has. */
  #firstMs = Number.POSITIVE_INFINITY;
  #nextMs = Number.NEGATIVE_INFINITY;
  #outstanding: Outstanding | null = null;
  #isUnheard = false;

  constructor(home: AnnouncementHome) {
    this.#home = home;
  }

  get dueMs(): number {
    return Math.min(this.#firstMs, this.#outstanding?.dueMs ?? Number.POSITIVE_INFINITY);
  }

  /** Whether one of these ids is that of our last UPDATE. */
  isAcked(ids: readonly number[]): boolean {
    return this.#outstanding !== null && ids.includes(this.#outstanding.id);
  }

  /** Goes out with {@link tick}, at once unless another one just did. */
  say(nowMs: number, word: Word): void {
    this.#word = word;
    this.#isUnheard = false;
    this.#firstMs = Math.max(nowMs, this.#nextMs);
  }

  handleAck(): void {
    this.#outstanding = null;
  }

  /** The peer lives: it is told again what it has not acknowledged while it was silent. */
  heard(nowMs: number): void {
    if (this.#isUnheard && this.#word !== null) this.say(nowMs, this.#word);
  }

  /** "silent": all tries are over; it rests until {@link heard} or {@link say}. */
  tick(nowMs: number): "silent" | null {
    if (this.#word !== null && nowMs >= this.#firstMs) {
      this.#firstMs = Number.POSITIVE_INFINITY;
      this.#nextMs = nowMs + ANNOUNCE_EVERY_MS;
      this.#outstanding = this.#home.send(nowMs, this.#word());
      return null;
    }
    const outstanding = this.#outstanding;
    if (outstanding === null || nowMs < outstanding.dueMs) return null;
    if (outstanding.tries < MAX_TRIES) {
      this.#home.repeat(nowMs, outstanding);
      return null;
    }
    this.#outstanding = null;
    this.#isUnheard = true;
    return "silent";
  }
}
