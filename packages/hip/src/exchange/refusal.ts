/** Why a packet is dropped. Never leaves the core: it becomes a counter, and sometimes a NOTIFY or the reason of a failure. */
import { NOTIFY_CODE, type NotifyName } from "../wire/parameters/notification.js";
import type { HipDrop } from "./counters.js";

export class HipRefusal extends Error {
  override readonly name = "HipRefusal";
  readonly drop: HipDrop;
  /** What a NOTIFY would say, when the packet deserves one (RFC 7401 §6.9.1). */
  readonly notify: number | null;
  /** Nothing that could still come helps: the peer has proven who it is, and wants what we do not. */
  readonly isFinal: boolean;

  constructor(drop: HipDrop, message: string, options: { readonly notify?: NotifyName; readonly isFinal?: boolean } = {}) {
    super(message);
    this.drop = drop;
    this.notify = options.notify === undefined ? null : NOTIFY_CODE[options.notify];
    this.isFinal = options.isFinal ?? false;
  }
}
