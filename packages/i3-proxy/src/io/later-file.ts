/** A small file of the state directory that is written, whole or not at all, a moment after what it holds has changed: a program that waits for an answer does not wait for the disk. */
import { errorLine, type Log } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";

/** Of several that change at once, one is written. */
const WRITE_AFTER_MS = 1_000;

export interface LaterFileOptions {
  readonly file: string;
  readonly log: Log;
  /** What is to be written, when it is. */
  readonly text: () => string;
  /** When it cannot be. */
  readonly failure: { readonly event: string; readonly remedy: string };
}

export class LaterFile {
  readonly #options: LaterFileOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LaterFileOptions) {
    this.#options = options;
  }

  changed(): void {
    this.#timer ??= setTimeout(() => this.#write(), WRITE_AFTER_MS).unref();
  }

  /** What has changed is written now. */
  close(): void {
    if (this.#timer !== undefined) this.#write();
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { file, log, text, failure: { event, remedy } } = this.#options;
    try {
      replaceDurably(file, text());
    } catch (error) {
      log("error", event, { file, error: errorLine(error), remedy });
    }
  }
}
