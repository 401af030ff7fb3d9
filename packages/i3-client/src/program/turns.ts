/** Work that waits for its turn, first come first served: so many at a time. */
export class Turns {
  readonly #atOnce: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Calls `begin` at once, or when another is done. Returns what to call when it is done, or is not wanted any more; twice is no error. */
  take(begin: () => void): () => void {
    let isRunning = false;
    const start = (): void => {
      isRunning = true;
      begin();
    };
    const done = (): void => {
      if (this.#waiting.delete(start) || !isRunning) return;
      isRunning = false;
      this.#running -= 1;
      this.#next();
    };
    this.#waiting.add(start);
    this.#next();
    return done;
  }

  #next(): void {
    const [start] = this.#waiting;
    if (start === undefined || this.#running >= this.#atOnce) return;
    this.#waiting.delete(start);
    this.#running += 1;
    start();
  }
}
