/** Ways to the ids that a program sends to, opened by themselves: the first packet opens one, a minute without any closes it, and of too many the one that was used longest ago goes. */
import { bytesKey } from "@i3/common";

// Ours:
const IDLE_MS = 60_000;
export const MAX_OPEN_PATHS = 1_024;

/** Of the client core. */
export interface PathOwner {
  openPath(id: Uint8Array): boolean;
  closePath(id: Uint8Array): void;
  allowShortcut(id: Uint8Array, isAllowed: boolean): void;
}

export class OpenPaths {
  readonly #owner: PathOwner;
  /** In the order of their last use. */
  readonly #open = new Map<string, { readonly id: Uint8Array; readonly usedMs: number; readonly shortcut: boolean }>();

  constructor(owner: PathOwner) {
    this.#owner = owner;
  }

  /** `shortcut`: whether this packet, and those until the next that says otherwise, may go straight to the receiver. */
  use(nowMs: number, id: Uint8Array, shortcut = false): void {
    const key = bytesKey(id);
    const old = this.#open.get(key);
    this.#open.delete(key);
    if (old === undefined) {
      if (this.#open.size >= MAX_OPEN_PATHS) this.#closeOldest();
      if (!this.#owner.openPath(id)) return;
    }
    if (shortcut !== (old?.shortcut ?? false)) this.#owner.allowShortcut(id, shortcut);
    this.#open.set(key, { id, usedMs: nowMs, shortcut });
  }

  handleTimer(nowMs: number): void {
    while (this.nextDeadlineMs() <= nowMs) this.#closeOldest();
  }

  nextDeadlineMs(): number {
    for (const { usedMs } of this.#open.values()) return usedMs + IDLE_MS;
    return Infinity;
  }

  #closeOldest(): void {
    for (const [key, { id }] of this.#open) {
      this.#open.delete(key);
      this.#owner.closePath(id);
      return;
    }
  }
}
