/** Faults of this package. */
import { I3Error } from "@i3/common";

/** A host of the overlay that no connection leads to. */
export class HostError extends I3Error {
  override readonly name = "HostError";

  constructor(
    /** refused: the way leads elsewhere than into the overlay, or to this machine itself. */
    readonly why: "refused" | "unknown" | "unreachable" | "timeout" | "left",
    message: string,
    cause?: unknown,
  ) {
    super("ERR_I3_HOST", message, cause === undefined ? {} : { cause });
  }
}
