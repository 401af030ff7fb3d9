/**
 * What of a host's datagrams would use up, at the server that they go to, what this server's address may have there: triggers and records that are kept, and
 * ring keys that are looked up. docs/wire.md §10.
 */
import { bytesKey, decodeControl, decodeRecord, KEY_KIND, locatorKey, recordKey, remember, WireError, type ControlMessage, type Locator } from "@i3/common";
import { DATA_FLAG, DATA_OFFSET } from "@i3/datapath";
import { readMembership } from "@i3/hip";

import type { FairShares } from "./fair-rate.js";
import { ASKED_MS, MAX_SEEN_KEYS, RECORD_PLACE_MS, RECORD_PLACES, SEEN_KEY_MS, TRIGGER_PLACE_MS, TRIGGER_PLACES } from "./limits.js";
import { Places, type Holder } from "./places.js";

const RING_KEY_BYTES = 16;

/** Of all hosts. */
export class FarPlaces {
  readonly triggers = new Places(TRIGGER_PLACES, TRIGGER_PLACE_MS);
  readonly records = new Places(RECORD_PLACES, RECORD_PLACE_MS);
}

interface Seen {
  readonly endMs: number;
  readonly askedMs: number;
}

/** Why something does not go on; "unasked": it does, but its CACHE_REQUEST does not. */
export type FarRefusal = "full" | "rate" | "unasked";

/** Of one host. */
export class FarShares {
  /** Servers with the ring keys that data went to by them. */
  readonly #seen = new Map<string, Seen>();

  constructor(
    private readonly holder: Holder,
    private readonly places: FarPlaces,
    private readonly lookups: FairShares,
  ) {}

  control(nowMs: number, to: Locator, bytes: Uint8Array): FarRefusal | null {
    const message = readControl(bytes);
    const [server, { triggers, records }] = [locatorKey(to), this.places];
    switch (message?.type) {
      case "LOCATE": return this.lookups.take(nowMs) ? null : "rate";
      case "TRIGGER": return triggers.take(nowMs, server, triggerName(message), this.holder) ? null : "full";
      case "RECORD_PUT": {
        const name = recordName(message.record);
        return name === null || records.take(nowMs, server, name, this.holder) ? null : "full";
      }
      case "REFRESH":
        // Of what is not there it makes nothing.
        triggers.keep(nowMs, server, bytesKey(message.id) + (message.member === null ? "" : bytesKey(message.member)), this.holder);
        return null;
      default: return null;
    }
  }

  /** @param bytes with a header that is whole */
  data(nowMs: number, to: Locator, bytes: Uint8Array): FarRefusal | null {
    const key = locatorKey(to) + bytesKey(bytes.subarray(DATA_OFFSET.ids, DATA_OFFSET.ids + RING_KEY_BYTES));
    const seen = this.#seen.get(key);
    const isKnown = seen !== undefined && nowMs < seen.endMs;
    const asks = ((bytes[DATA_OFFSET.flags] ?? 0) & DATA_FLAG.cacheRequest) !== 0 && !(isKnown && nowMs < seen.askedMs + ASKED_MS);
    if (isKnown && !asks) return null;
    if (!this.lookups.take(nowMs)) return isKnown ? "unasked" : "rate";
    remember(this.#seen, key, { endMs: nowMs + SEEN_KEY_MS, askedMs: asks ? nowMs : (seen?.askedMs ?? -Infinity) }, MAX_SEEN_KEYS);
    return null;
  }
}

/** Null: none, of which a server makes nothing. */
function readControl(bytes: Uint8Array): ControlMessage | null {
  try {
    return decodeControl(bytes).message;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return null;
  }
}

function recordName(record: Uint8Array): string | null {
  try {
    return bytesKey(recordKey(decodeRecord(record)));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return null;
  }
}

/** By which a server knows it: of a group's members each has one of its own. */
function triggerName({ id, keyKind, publicKey }: Extract<ControlMessage, { readonly type: "TRIGGER" }>): string {
  const member = keyKind === KEY_KIND.groupMember ? readMembership(publicKey).memberKey : undefined;
  return bytesKey(id) + (member === undefined ? "" : bytesKey(member));
}
