/**
 * Groups (docs/wire.md §2) as programs see them. One key founds a group; whoever has it admits members. The suffixes of its ids are ours to choose:
 *
 *     multicast   16 zeros
 *     anycast     0xff | preference, 0 to 11 bytes | random to the end
 *
 * so that no packet for the one is nearer to a member of the other.
 */
import { concatBytes, fromHex, groupId, RING_KEY_BYTES, SUFFIX_BYTES } from "@i3/common";
import { certifyMember, triggerKeyFromSeed, triggerKeySeed, type TriggerKey } from "@i3/hip";

import { usageError } from "../errors.js";
import { shown, type Id } from "./arguments.js";
import { makeConsent } from "./consent.js";
import { readEnd } from "./options.js";

const ANYCAST_MARK = 0xff;
/** Of an anycast id, what all those of its group share. */
export const ANYCAST_PREFIX_BYTES = RING_KEY_BYTES + 1;
/** The rest is random: members with one preference share the work, if not equally, and hardly ever an id. Several ids for each would be fairer, but the packet engine holds 128 triggers of a group. */
export const MAX_PREFERENCE_BYTES = 11;
const SECRET_BYTES = 32;
/** Of a member, Ed25519. */
const KEY_BYTES = 32;

/** What members and senders of an anycast group say of themselves, most important first: text (UTF-8) or bytes, at most 11. */
export type Preference = string | Uint8Array;

/** A group whose key we have. */
export class Group {
  /** 32 bytes: what is sent there goes to all members who have joined for multicast. */
  readonly id: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #key: TriggerKey;

  constructor(key: TriggerKey) {
    this.#key = key;
    this.publicKey = key.publicKey;
    this.id = groupId(key.publicKey, new Uint8Array(SUFFIX_BYTES));
  }

  /** Of {@link secret}: 32 bytes, or 64 hex digits. Throws ERR_I3_USAGE. */
  static fromSecret(secret: Uint8Array | string): Group {
    const bytes = typeof secret === "string" && /^[0-9a-fA-F]{64}$/.test(secret) ? fromHex(secret) : secret;
    if (!(bytes instanceof Uint8Array) || bytes.length !== SECRET_BYTES) throw usageError("the secret of the group has not the right form", "It has 32 bytes, or 64 hex digits, as Group.secret() gives it.");
    return new Group(triggerKeyFromSeed(bytes));
  }

  /** 32 bytes. Whoever has them is the group: can join it, and admit others for ever. */
  secret(): Uint8Array {
    return triggerKeySeed(this.#key);
  }

  /** The certificate (136 bytes) by which a member (its connection's `publicKey`, 32 bytes) may join until then. Throws ERR_I3_USAGE. */
  admit(memberKey: Uint8Array, notAfter: Date): Uint8Array {
    if (!(memberKey instanceof Uint8Array) || memberKey.length !== KEY_BYTES) throw usageError(`the key of the member is ${shown(memberKey)}`, "Name the 32 bytes of its connection's publicKey.");
    return certifyMember(this.#key, memberKey, readEnd(notAfter));
  }

  /**
   * The group's consent, in bytes for another to use as `to`: until `notAfter` triggers at `source`, another's id or another group's, may lead on to all members of
   * this one: a group becomes a branch of another, and in a tree of them several servers share the work of copying. Throws ERR_I3_USAGE.
   */
  consent(source: Id, notAfter: Date): Uint8Array {
    return makeConsent({ kind: "group", key: this.#key }, this.id, source, notAfter);
  }
}

/** An anycast id of the group that `id` is of. Throws ERR_I3_USAGE. */
export function anycastIdOf(id: Uint8Array, preference: Preference, randomBytes: (length: number) => Uint8Array): Uint8Array {
  const bytes = typeof preference === "string" ? new TextEncoder().encode(preference) : preference;
  if (!(bytes instanceof Uint8Array) || bytes.length > MAX_PREFERENCE_BYTES) throw usageError(`the preference is ${typeof preference === "string" ? `a text of ${bytes.length} bytes` : shown(preference)}`, `Name a text or Uint8Array of at most ${MAX_PREFERENCE_BYTES} bytes.`);
  return concatBytes(id.subarray(0, RING_KEY_BYTES), Uint8Array.of(ANYCAST_MARK), bytes, randomBytes(SUFFIX_BYTES - 1 - bytes.length));
}
