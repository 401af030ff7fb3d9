/** A child `nft` that is started again when something kills it. Its owner tables are gone then: `onRestart` sets them anew. */
import type { Log } from "@i3/common";
import { NftChild, type NftRunner } from "./interception-nft.js";

const RESTART_MS = 500;
const MAX_RESTART_MS = 30_000;

export interface NftSessionOptions {
  readonly log: Log;
  readonly nftProgram?: string;
}

export class NftSession implements NftRunner {
  readonly #options: NftSessionOptions;
  #child: NftChild;
  #timer: NodeJS.Timeout | null = null;
  #waitMs = RESTART_MS;
  onRestart: () => void = () => undefined;

  constructor(options: NftSessionOptions) {
    this.#options = options;
    this.#child = this.#start();
  }

  async run(line: string): Promise<void> {
    await this.#child.run(line);
    this.#waitMs = RESTART_MS;
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#child.close();
  }

  #start(): NftChild {
    const { nftProgram: program, log } = this.#options;
    return new NftChild({
      ...(program === undefined ? {} : { program }),
      onExit: (error) => {
        log("warn", "nft-ended", { error: error.message, remedy: "It is started again." });
        this.#timer = setTimeout(() => {
          this.#child = this.#start();
          this.onRestart();
        }, this.#waitMs);
        this.#waitMs = Math.min(MAX_RESTART_MS, this.#waitMs * 2);
      },
    });
  }
}
