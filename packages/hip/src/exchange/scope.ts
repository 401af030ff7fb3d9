/** What attempts and associations share with their host. */
import { concatBytes, TokenBucket, WireError } from "@i3/common";

import type { HostIdentity } from "../identity/host-identity.js";
import { HIP_PACKET, PARAMETER } from "../wire/numbers.js";
import type { HipPacket } from "../wire/packet.js";
import { encodeNotification, type Notification } from "../wire/parameters/notification.js";
import type { HipCounters } from "./counters.js";
import type { HipEnvironment, HipEvent } from "./events.js";
import { MIN_SPI, NOTIFIES_PER_SECOND } from "./limits.js";
import { pathText, type HipPath } from "./paths.js";
import { HipRefusal } from "./refusal.js";
import { headerOf, notifiedHash, sealPacket } from "./seal.js";

/** Tries of {@link HipEnvironment.newSpi}: 65,536 associations with a few SPIs each leave a chance of 2^-14 for each. */
const MAX_SPI_TRIES = 16;

export class Scope {
  readonly env: HipEnvironment;
  readonly counters: HipCounters;
  readonly #spis = new Set<number>();
  readonly #notifies = new TokenBucket(NOTIFIES_PER_SECOND, NOTIFIES_PER_SECOND);

  constructor(env: HipEnvironment, counters: HipCounters) {
    this.env = env;
    this.counters = counters;
  }

  get identity(): HostIdentity {
    return this.env.identity;
  }

  emit(event: HipEvent): void {
    this.env.onEvent(event);
  }

  /** Counts a packet that is not good, by what it threw; throws what is no fault of a packet. */
  drop(cause: unknown, from: HipPath): void {
    if (cause instanceof HipRefusal) this.counters.drops[cause.drop]++;
    else if (cause instanceof WireError) this.counters.drops.malformed++;
    else throw cause;
    this.env.log("debug", "hip-drop", { path: pathText(from), why: cause.message });
  }

  /** An SPI that is ours until {@link freeSpi}. RangeError when the source gives only ones in use. */
  takeSpi(): number {
    for (let tries = 0; tries < MAX_SPI_TRIES; tries++) {
      const spi = this.env.newSpi();
      if (!Number.isInteger(spi) || spi < MIN_SPI || spi > 0xffff_ffff) throw new RangeError(`SPI ${spi}`);
      if (this.#spis.has(spi)) continue;
      this.#spis.add(spi);
      return spi;
    }
    throw new RangeError(`${MAX_SPI_TRIES} SPIs that are all in use`);
  }

  freeSpi(spi: number): void {
    this.#spis.delete(spi);
  }

  /** A signed NOTIFY about a packet, if not too many went out and it is no longer than that one. */
  notify(nowMs: number, path: HipPath, about: HipPacket, { code, data }: Notification): void {
    if (!this.#notifies.take(nowMs)) return;
    const notification = { type: PARAMETER.notification, contents: encodeNotification({ code, data: concatBytes(data, notifiedHash(about)) }) };
    const packet = sealPacket(this.identity, headerOf(HIP_PACKET.notify, this.identity.hit, about.header.senderHit), [notification], null);
    if (packet.length > about.bytes.length) return;
    this.counters.notifySent++;
    this.env.send(path, packet);
  }
}
