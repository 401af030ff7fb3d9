import { usageError } from "../errors.js";
import { readStack, shown } from "./arguments.js";

/** What a native program gets: one packet (docs/wire.md §3, payload kind 5). */
export interface Message {
  /** The id that it came to, 32 bytes: that of the trigger, or for anycast the one that the sender named. */
  readonly id: Uint8Array;
  readonly payload: Uint8Array;
  /** The ids behind it on its stack, next one first: where a service sends what it has made of it ({@link I3Connection.forward}). Mostly none. */
  readonly stack: readonly Uint8Array[];
  /** Servers that it may still pass, 0 to 255: {@link I3Connection.forward} takes one off, so that a loop of services ends. */
  readonly hopLimit: number;
  /** Copies of it that may still be made. */
  readonly copyBudget: number;
}

/** Throws ERR_I3_USAGE unless it can be sent on, or ends here. */
export function readMessage(message: Message): void {
  const remedy = "Pass the message as it came, or one with all fields of it.";
  if (typeof message !== "object" || message === null) throw usageError(`the message is ${shown(message)}`, remedy);
  const { stack, hopLimit, copyBudget } = message;
  if (!Array.isArray(stack)) throw usageError(`the stack of the message is ${shown(stack)}`, remedy);
  if (stack.length > 0) readStack(stack);
  for (const [name, value] of Object.entries({ hopLimit, copyBudget })) if (!Number.isInteger(value) || value < 0) throw usageError(`${name} of the message is ${shown(value)}`, remedy);
}
