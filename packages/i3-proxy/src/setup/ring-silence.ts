/** Whether no server has answered for so long that programs hear that hosts over i3 cannot be reached. */

/** Ours: so long after the last server was found dead, which takes three seconds. */
const SILENT_MS = 3_000;

export class RingSilence {
  #fromMs = Infinity;
  #isSilent = false;

  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** @returns whether {@link isSilent} has changed */
  handleFirstHop(nowMs: number, hasServer: boolean): boolean {
    this.#fromMs = hasServer ? Infinity : nowMs + SILENT_MS;
    return hasServer && this.#set(false);
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
