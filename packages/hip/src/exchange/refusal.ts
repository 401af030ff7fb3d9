/** Why a packet is dropped. Never leaves the core: it becomes a counter, and sometimes a NOTIFY or the reason of a failure. */
import type { WireError } from "@i3/common";

import { PARAMETER } from "../wire/numbers.js";
import { NOTIFY_CODE, type Notification, type NotifyName } from "../wire/parameters/notification.js";
import { CriticalParameterError } from "../wire/tlv.js";
import type { HipDrop } from "./counters.js";

const NOTHING = new Uint8Array(0);

export interface RefusalOptions {
  /** What a NOTIFY says, when the packet deserves one (RFC 7401 §6.9.1). */
  readonly notify?: NotifyName;
  /** What that code has for data. */
  readonly detail?: Uint8Array;
  readonly isFinal?: boolean;
}

export class HipRefusal extends Error {
  override readonly name = "HipRefusal";
  readonly drop: HipDrop;
  /** What a NOTIFY would say, when the packet deserves one; which packet is meant goes behind its data. */
  readonly notify: Notification | null;
  /** Nothing that could still come helps: the peer has proven who it is, and wants what we do not. */
  readonly isFinal: boolean;

  constructor(drop: HipDrop, message: string, { notify, detail = NOTHING, isFinal = false }: RefusalOptions = {}) {
    super(message);
    this.drop = drop;
    this.notify = notify === undefined ? null : { code: NOTIFY_CODE[notify], data: detail };
    this.isFinal = isFinal;
  }
}

/** RFC 7401 §5.2.19: the data of UNSUPPORTED_CRITICAL_PARAMETER_TYPE. */
const typeBytes = (type: number): Uint8Array => Uint8Array.of(type >> 8, type & 0xff);

/** @throws HipRefusal, a final one, for a packet with a critical parameter that is not known. For who has checked whose packet it is, or that it is paid for. */
export function checkCritical({ unknownCritical }: { readonly unknownCritical: number | null }): void {
  if (unknownCritical === null) return;
  // Everybody on the way can put it there: it is not the peer that has said it.
  if (unknownCritical > PARAMETER.hipSignature2) throw new HipRefusal("malformed", `critical parameter ${unknownCritical} is not known, and not signed`);
  throw new HipRefusal("malformed", `critical parameter ${unknownCritical} is not known`, { notify: "UNSUPPORTED_CRITICAL_PARAMETER_TYPE", detail: typeBytes(unknownCritical), isFinal: true });
}

/** What a NOTIFY says of what an I2 threw; null: nothing. */
export function notificationOf(cause: HipRefusal | WireError): Notification | null {
  if (cause instanceof HipRefusal) return cause.notify;
  if (cause instanceof CriticalParameterError) return { code: NOTIFY_CODE.UNSUPPORTED_CRITICAL_PARAMETER_TYPE, data: typeBytes(cause.parameterType) };
  return { code: NOTIFY_CODE.INVALID_SYNTAX, data: NOTHING };
}
