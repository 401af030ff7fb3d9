/** Lines of the log about whoever calls, who need not be who it says: about each once a minute, 10 at once and one a second of all. Without I/O. */
import { bytesKey, TokenBucket } from "@i3/common";

// Ours:
const AGAIN_MS = 60_000;
const MAX_REMEMBERED = 256;
const PER_SECOND = 1;
const BURST = 10;

export class FewLines {
  readonly #told = new Map<string, number>();
  readonly #lines = new TokenBucket(PER_SECOND, BURST);

  /** Whether a line about this one may be written now. @param hit what it says to be; null: it says nothing */
  take(nowMs: number, hit: Uint8Array | null): boolean {
    const key = hit === null ? "" : bytesKey(hit);
    const toldMs = this.#told.get(key);
    if (toldMs !== undefined && nowMs - toldMs < AGAIN_MS) return false;
    if (!this.#lines.take(nowMs)) return false;
    this.#told.delete(key);
    if (this.#told.size >= MAX_REMEMBERED) this.#told.delete(this.#told.keys().next().value as string);
    this.#told.set(key, nowMs);
    return true;
  }
}
