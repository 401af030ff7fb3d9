/** Errors of the whole system: a stable `code` for programs, a message for people, a `remedy` where one exists. */

export interface I3ErrorOptions {
  readonly cause?: unknown;
  /** What the reader should do next, as a sentence. */
  readonly remedy?: string;
}

/** Base of every error that a peer, the system or a user's input can cause. Programming errors are plain assertions. */
export class I3Error extends Error {
  override readonly name: string = "I3Error";
  /** Stable, `ERR_I3_*`. */
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(code: `ERR_I3_${string}`, message: string, options: I3ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}

/** Bytes from the network that do not have the form they must have. Never fatal: a counter and nothing else. */
export class WireError extends I3Error {
  override readonly name = "WireError";

  constructor(what: string, why: string) {
    super("ERR_I3_WIRE", `${what}: ${why}`);
  }
}

/** One line for people: message, cause, remedy. */
export function errorLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  const remedy = error instanceof I3Error && error.remedy !== undefined ? ` ${error.remedy}` : "";
  return `${error.message}${cause}.${remedy}`.replace(/\.\.$/, ".").replaceAll("\n", " ");
}
