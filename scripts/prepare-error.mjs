// @ts-check

/** The machine or the checkout is not ready; the message is one line that names the remedy. */
export class PrepareError extends Error {
  /** @param {string} message @param {'machine' | 'install' | 'build'} stage */
  constructor(message, stage) {
    super(message);
    this.name = 'PrepareError';
    this.stage = stage;
  }
}
