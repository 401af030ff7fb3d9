/**
 * Whether the key that answered is the one that a name stands for (issue 4, "names bind to keys"). The address book decides where it
 * has the name, then the name's zone; a pin where policy allows first use. Without I/O; asked with the HIT of an R1, before I2 is sent.
 */
import { formatIpText, I3Error, publicId, sameBytes, toHex, type AddressBook, type BookEntry, type Trust } from "@i3/common";

import type { Pin, Pins } from "./pins.js";

export type TrustVerdict =
  | { readonly kind: "trusted" }
  /** Trusted from now on: {@link Pins.add} it when the exchange has proven the key, not before. */
  | { readonly kind: "first-use" }
  /** The message names both keys and says what to do. */
  | { readonly kind: "refused"; readonly error: I3Error };

export interface TrustEnvironment {
  readonly book: AddressBook;
  /** What a zone says of a name that the book does not have. @default nothing */
  readonly zoneEntry?: (name: string) => { readonly hit: Uint8Array; readonly suffix: string } | undefined;
  readonly pins: Pins;
  /** Where the pins are kept, for messages. */
  readonly pinFile: string;
}

const TRUSTED: TrustVerdict = Object.freeze({ kind: "trusted" });
const FIRST_USE: TrustVerdict = Object.freeze({ kind: "first-use" });
const SOMEBODY_ELSE = "If its owner says that the key is new";

const refused = (code: `ERR_I3_${string}`, message: string, remedy: string): TrustVerdict => ({ kind: "refused", error: new I3Error(code, message, { remedy }) });

/**
 * @param name that a program asked for
 * @param hit of the host key that answered, 16 bytes
 */
export function judgeKey({ book, zoneEntry, pins, pinFile }: TrustEnvironment, name: string, trust: Trust, hit: Uint8Array): TrustVerdict {
  const entry = book.lookup(name);
  if (entry !== undefined) return judgeByBook(entry, hit);
  const answered = `${name} answered with the key of ${formatIpText(hit)}`;
  const zoned = zoneEntry?.(name);
  if (zoned !== undefined) {
    if (sameBytes(zoned.hit, hit)) return TRUSTED;
    return refused("ERR_I3_PEER_KEY", `${answered}, but the zone ${zoned.suffix} says that it is ${formatIpText(zoned.hit)}`, `${SOMEBODY_ELSE}, whoever has the zone's key must sign the name again; otherwise somebody else answers in its place.`);
  }
  if (trust === "book") {
    return refused("ERR_I3_UNKNOWN_HOST", `${answered}, and is not in the address book`, "Put it there if that is its key, or write trust=\"first-use\" in the rule for its name.");
  }
  const pin = pins.get(name);
  if (pin !== undefined) return judgeByPin(pin, answered, hit, pinFile);
  if (!pins.isFull) return FIRST_USE;
  return refused("ERR_I3_TABLE_FULL", `${answered}, and ${pins.size} keys are remembered already, which are all there may be`, `Delete lines of ${pinFile} that are not needed, or put the host into the address book.`);
}

function judgeByBook({ name, hit: wanted, id, line }: BookEntry, hit: Uint8Array): TrustVerdict {
  if (wanted === undefined ? sameBytes(id ?? new Uint8Array(), publicId(hit)) : sameBytes(wanted, hit)) return TRUSTED;
  const known = wanted === undefined ? `the id ${toHex(id ?? new Uint8Array())}` : formatIpText(wanted);
  return refused("ERR_I3_PEER_KEY", `${name} answered with the key of ${formatIpText(hit)}, but is ${known} in the address book (line ${line})`, `${SOMEBODY_ELSE}, change that line; otherwise somebody else answers in its place.`);
}

function judgeByPin({ name, hit: wanted, sinceMs }: Pin, answered: string, hit: Uint8Array, pinFile: string): TrustVerdict {
  if (sameBytes(wanted, hit)) return TRUSTED;
  const since = new Date(sinceMs).toISOString().slice(0, 10);
  return refused("ERR_I3_PEER_KEY", `${answered}, but has had that of ${formatIpText(wanted)} since ${since}`, `${SOMEBODY_ELSE}, stop i3-proxy, delete the line of ${name} in ${pinFile} and start it again; otherwise somebody else answers in its place.`);
}
