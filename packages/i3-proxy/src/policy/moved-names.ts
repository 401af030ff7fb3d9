/** Whether a mapping's name stands for another host than the mapping's now, because the address book or the name's zone says so: what lives there ends. Without I/O. */
import { publicId, sameBytes, type AddressBook } from "@i3/common";

import type { Mapping } from "../mappings/mapping.js";
import type { NameTrust } from "./name-trust.js";
import type { Pins } from "./pins.js";

export interface MovedName {
  /** Of the log's line. */
  readonly event: "name-in-book" | "name-in-zone";
  readonly why: string;
  readonly remedy?: string;
}

interface Names {
  readonly pins: Pins;
  readonly trust: NameTrust;
  /** A host's name as the address book had it until now, else as it is. */
  readonly nameOfHit: (hit: Uint8Array) => string | null;
}

const RECONNECT = "Its programs have to connect again.";

/** Null: it has not. */
export function movedName({ name, isNameOnly, peerHit, peerId }: Mapping, book: AddressBook, { pins, trust, nameOfHit }: Names): MovedName | null {
  if (name === null) return null;
  const inBook = book.lookup(name);
  const entry: { readonly hit?: Uint8Array; readonly id?: Uint8Array } | undefined = inBook ?? trust.zoneEntryOf(name);
  if (entry === undefined) return null;
  const [event, source] = inBook === undefined ? (["name-in-zone", "its zone"] as const) : (["name-in-book", "the address book"] as const);
  const pin = pins.get(name);
  const wasPinned = pin !== undefined && peerHit !== null && sameBytes(pin.hit, peerHit);
  if (wasPinned && (isNameOnly || trust.judge(name, peerHit).kind === "refused")) return { event, why: `${source} gives it another key than the pinned one` };
  if (isNameOnly) return { event, why: inBook === undefined ? "its zone says which host it is now" : "it is in the address book now" };
  if (peerId === null) return null;
  const isSame = sameBytes(entry.hit === undefined ? (entry.id ?? peerId) : publicId(entry.hit), peerId);
  const other = peerHit === null ? null : nameOfHit(peerHit);
  // It has another name here.
  if (isSame || (other !== null && other !== name)) return null;
  return { event, why: `${source} gives it another key now`, remedy: RECONNECT };
}
