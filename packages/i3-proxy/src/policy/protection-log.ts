/** Packets that were dropped for what the rules ask, for people: once a minute how many. The packet engine counts them and says no more. Without I/O. */
import { TokenBucket, type Log } from "@i3/common";

/** Ours. */
const LINES_PER_SECOND = 1 / 60;

export class ProtectionLog {
  readonly #log: Log;
  readonly #lines = new TokenBucket(LINES_PER_SECOND, 1);
  #told = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param dropped packets that the engine has dropped for what the rules ask, since it began */
  look(nowMs: number, dropped: number): void {
    if (dropped <= this.#told || !this.#lines.take(nowMs)) return;
    this.#log("warn", "too-little-protection", {
      packets: dropped - this.#told, why: "they came with less protection than the rules here ask for, or no rule takes them, whether a peer or a program here sent them",
      remedy: "Compare the rules of both machines for the protocols and ports in use: each must ask for at least the security that the other one does.",
    });
    this.#told = dropped;
  }
}
