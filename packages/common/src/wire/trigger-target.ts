/**
 * Where a trigger leads (docs/wire.md §4.1): to the address of who inserts it, or on to a stack of ids, of each of which the key agrees.
 *
 *     [1, locator]
 *     [2, [id 32, not after (s since 1970), key kind, public key, signature], …]     1 to 4 ids
 */
import { WireError } from "../errors.js";
import { decodeLocator, encodeLocator, type Locator } from "../locator.js";
import { KEY_BYTES, KEY_KIND, type StepKeyKind } from "./key-kinds.js";
import { BodyReader, type BodyValue } from "./msgpack.js";

const TARGET = { locator: 1, stack: 2 } as const;
export const MAX_TRIGGER_STACK = 4;

/** One id of a trigger's stack, with what its key says: the trigger may lead here until then. */
export interface StackStep {
  /** 32 bytes. */
  readonly id: Uint8Array;
  /** Wall time, s since 1970. */
  readonly notAfterS: number;
  /** Of the key that `id` commits to. */
  readonly keyKind: StepKeyKind;
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
}

export interface TriggerStack {
  /** 1 to {@link MAX_TRIGGER_STACK}; the first is where packets go next. */
  readonly steps: readonly StackStep[];
}

export type TriggerTarget = Locator | TriggerStack;

export const isTriggerStack = (target: TriggerTarget): target is TriggerStack => "steps" in target;

export function triggerTargetValue(target: TriggerTarget): BodyValue {
  if (!isTriggerStack(target)) return [TARGET.locator, encodeLocator(target)];
  return [TARGET.stack, ...target.steps.map(({ id, notAfterS, keyKind, publicKey, signature }) => [id, notAfterS, keyKind, publicKey, signature])];
}

/** Throws WireError. */
export function readTriggerTarget(values: readonly BodyValue[]): TriggerTarget {
  const reader = new BodyReader("TRIGGER.target", values);
  const kind = reader.uint("kind");
  if (kind === TARGET.locator) return decodeLocator(reader.bytes("locator", 6, 18));
  if (kind !== TARGET.stack) throw new WireError("TRIGGER.target", "kind not supported");
  const steps = values.slice(1);
  if (steps.length < 1 || steps.length > MAX_TRIGGER_STACK) throw new WireError("TRIGGER.target", `stack of ${steps.length}`);
  return { steps: steps.map(readStep) };
}

function readStep(value: BodyValue): StackStep {
  const reader = new BodyReader("TRIGGER.step", Array.isArray(value) ? (value as readonly BodyValue[]) : []);
  const id = reader.bytes("id", 32);
  const notAfterS = reader.uint("notAfter", Math.floor(Number.MAX_SAFE_INTEGER / 1_000));
  const keyKind = readStepKeyKind(reader);
  const bytes = KEY_BYTES[keyKind];
  return { id, notAfterS, keyKind, publicKey: reader.bytesWithin("publicKey", ...bytes.key), signature: reader.bytesWithin("signature", ...bytes.signature) };
}

function readStepKeyKind(reader: BodyReader): StepKeyKind {
  const kind = reader.uint("keyKind", KEY_KIND.group);
  if (kind === KEY_KIND.none || kind === KEY_KIND.nameClaim || kind === KEY_KIND.groupMember) throw new WireError("TRIGGER.step.keyKind", String(kind));
  return kind as StepKeyKind;
}
