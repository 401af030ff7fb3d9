/**
 * Errors of the test bed. Of the same shape as `I3Error`, but of its own: the test bed must work before anything else is built,
 * so it imports no other package.
 */

export type NetnsErrorCode =
  /** Topology.create outside the sandbox of enter.mjs. */
  | "ERR_I3_NETNS_NO_SANDBOX"
  /** A command of ours (ip, nft, mount…) failed; the message has its error output. */
  | "ERR_I3_NETNS_COMMAND"
  /** A program did not end, or did not print what was waited for, in time. */
  | "ERR_I3_NETNS_TIMEOUT"
  /** A program ended before it printed what was waited for. */
  | "ERR_I3_NETNS_EXITED"
  /** The declared topology is impossible: a name, subnet or membership. */
  | "ERR_I3_NETNS_PLAN"
  /** The emulator process could not be started or refused a request. */
  | "ERR_I3_NETNS_EMULATOR";

export class NetnsError extends Error {
  override readonly name = "NetnsError";
  readonly code: NetnsErrorCode;
  /** What the reader should do next, as a sentence. */
  readonly remedy: string | undefined;

  constructor(code: NetnsErrorCode, message: string, options: { readonly cause?: unknown; readonly remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.remedy = options.remedy;
  }
}
