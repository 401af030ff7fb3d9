/** Notices that the machine has slept: the wall clock has gone on, the monotonic one has not. NATs and servers have forgotten it then, though no address has changed. */

// Ours:
const LOOK_EVERY_MS = 1_000;
/** Shorter sleeps are what a busy machine does; nothing has been forgotten after them. */
const SLEPT_MS = 5_000;

export interface WakeClocks {
  wallMs(): number;
  monotonicMs(): number;
}

export class WakeWatch {
  readonly #clocks: WakeClocks;
  #aheadMs: number;

  constructor(clocks: WakeClocks) {
    this.#clocks = clocks;
    this.#aheadMs = clocks.wallMs() - clocks.monotonicMs();
  }

  /** For how long it has slept since the last look, ms; 0: it has not. A clock that somebody sets forward looks the same, and costs as little. */
  look(): number {
    const aheadMs = this.#clocks.wallMs() - this.#clocks.monotonicMs();
    const sleptMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    return sleptMs >= SLEPT_MS ? sleptMs : 0;
  }
}

/** Calls back with how long it was, within a second of waking. */
export function watchWaking(onAwake: (sleptMs: number) => void): { close(): void } {
  const watch = new WakeWatch({ wallMs: () => Date.now(), monotonicMs: () => performance.now() });
  const timer = setInterval(() => {
    const sleptMs = watch.look();
    if (sleptMs > 0) onAwake(sleptMs);
  }, LOOK_EVERY_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
