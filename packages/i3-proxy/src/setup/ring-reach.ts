/** How the ring is reached: by which family, and whether no server has answered for so long that programs hear that hosts over i3 cannot be reached. */
import type { Locator } from "@i3/common";

/** Ours: so long after the last server was found dead, which takes three seconds. */
const SILENT_MS = 3_000;

export class RingReach {
  #fromMs = Infinity;
  #isSilent = false;
  #is6 = false;

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** By IPv6, now or last. */
  get is6(): boolean {
    return this.#is6;
  }

  /** @param server that packets go to first; null: none answers @returns whether {@link isSilent} or {@link is6} has changed */
  handleFirstHop(nowMs: number, server: Locator | null): boolean {
    this.#fromMs = server === null ? nowMs + SILENT_MS : Infinity;
    if (server === null) return false;
    const was6 = this.#is6;
    this.#is6 = server.address.length === 16;
    return this.#set(false) || was6 !== this.#is6;
  }

  /** @returns whether {@link isSilent} has changed */
  handleTimer(nowMs: number): boolean {
    return nowMs >= this.#fromMs && this.#set(true);
  }

  deadlineMs(): number {
    return this.#isSilent ? Infinity : this.#fromMs;
  }

  #set(isSilent: boolean): boolean {
    const has = this.#isSilent !== isSilent;
    this.#isSilent = isSilent;
    return has;
  }
}
