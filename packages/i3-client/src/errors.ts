/** Errors of the public client (io/connect.ts): a stable code, a message, and what to do about it. */
import { I3Error, REFUSAL, type I3ErrorOptions } from "@i3/common";

export type ClientErrorCode =
  /** An argument that cannot be right, or a call that makes no sense now. */
  | "ERR_I3_USAGE"
  /** A payload longer than `maxPayloadBytes`. */
  | "ERR_I3_TOO_LARGE"
  /** No server has answered in time. */
  | "ERR_I3_NO_SERVER"
  /** No server has taken the trigger in time. */
  | "ERR_I3_NOT_INSERTED"
  /** A server has refused the trigger for good. */
  | "ERR_I3_REFUSED"
  /** The connection holds as many triggers as it may. */
  | "ERR_I3_FULL"
  | "ERR_I3_CLOSED"
  /** The file with the connection's key is damaged, open to others, or cannot be written. */
  | "ERR_I3_KEY_FILE";

export class ClientError extends I3Error {
  override readonly name = "ClientError";

  constructor(code: ClientErrorCode, message: string, options: I3ErrorOptions = {}) {
    super(code, message, options);
  }
}

export const usageError = (message: string, remedy: string, cause?: unknown): ClientError =>
  new ClientError("ERR_I3_USAGE", message, cause === undefined ? { remedy } : { remedy, cause });

/** What a server meant by a code of REFUSED (docs/wire.md §4). */
const REFUSALS: Readonly<Record<number, { readonly why: string; readonly remedy: string }>> = {
  [REFUSAL.badSignature]: { why: "the signature does not hold", remedy: "Look whether the key is the one that the id was made of." },
  [REFUSAL.wrongKey]: { why: "the key is not the one of this id", remedy: "Look whether the key is the one that the id was made of." },
  [REFUSAL.quota]: { why: "it keeps no more triggers of this address, or at this id", remedy: "Remove triggers that are no longer used, or ask who runs the server for a higher triggers-per-source. A group has at most 128 members, 112 of them behind one address: more need a tree of groups." },
  [REFUSAL.unsupported]: { why: "it does not take such triggers", remedy: "Claims to names need claims-per-name in the servers' configuration." },
  [REFUSAL.otherFamily]: { why: "its server has no address of this host's family, IPv4 or IPv6", remedy: "Ask who runs the servers to give each an address of both, or give this host one of the other family." },
  [REFUSAL.expired]: { why: "the certificate or a consent has ended", remedy: "Get a new one from who gave it, and look at this machine's clock." },
};

export function refusalError(idText: string, code: number): ClientError {
  const { why, remedy } = REFUSALS[code] ?? { why: `code ${code}`, remedy: "See docs/wire.md, REFUSED." };
  return new ClientError("ERR_I3_REFUSED", `the server refuses the trigger at ${idText}: ${why}`, { remedy });
}
