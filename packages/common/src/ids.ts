/** i3 identifiers: 256 bits, matched by longest prefix of at least 128 (paper §2; docs/wire.md §2). */
import { concatBytes, sameBytes, samePrefix } from "./bytes.js";
import { WireError } from "./errors.js";
import { domainHash } from "./hash.js";
import { normalName } from "./normal-name.js";

// Of the paper (§2):
/** Length of an id. */
export const ID_BYTES = 32;
/** Two ids match only if they share this much. */
export const MIN_MATCH_BITS = 128;

// Ours:
/** The part of an id that the ring places: all ids that could match live on one server. */
export const RING_KEY_BYTES = 16;
export const SUFFIX_BYTES = ID_BYTES - RING_KEY_BYTES;
export const HIT_BYTES = 16;

/** ORCHIDv2 suites RSA/SHA-256 and ECDSA/SHA-384 (RFC 7401 §5.2.10): those that we make keys for. */
const HIT_SUITES: readonly number[] = [1, 2];

/** Suite of a host identity tag (2001:20::/28, RFC 7343); null for other bytes. */
export function hitSuite(bytes: Uint8Array): number | null {
  const [a, b, c, d = 0] = bytes;
  return bytes.length === HIT_BYTES && a === 0x20 && b === 0x01 && c === 0x00 && d >> 4 === 2 ? d & 0xf : null;
}

/** Whether these bytes are the tag of a key as hosts of ours have them. */
export const isKnownHit = (bytes: Uint8Array): boolean => HIT_SUITES.includes(hitSuite(bytes) ?? 0);

/** Of the last answer: one packet of a host asks several times, and a hash takes 10 µs. */
let last: { readonly hit: Uint8Array; readonly id: Uint8Array } | undefined;

/** The id under which anybody who knows a host's HIT (16 bytes) reaches it. The bytes are the caller's. */
export function publicId(hit: Uint8Array): Uint8Array {
  assertLength("HIT", hit, HIT_BYTES);
  if (last === undefined || !sameBytes(last.hit, hit)) last = { hit: hit.slice(), id: domainHash("public", hit) };
  return last.id.slice();
}

/** The 16 bytes that all private ids of one Ed25519 public key (32 bytes) share. */
export function privatePrefix(ed25519PublicKey: Uint8Array): Uint8Array {
  assertLength("Ed25519 public key", ed25519PublicKey, 32);
  return domainHash("private", ed25519PublicKey).slice(0, RING_KEY_BYTES);
}

/** A private id: prefix of {@link privatePrefix} and a suffix of 16 random bytes. */
export function privateId(prefix: Uint8Array, suffix: Uint8Array): Uint8Array {
  assertLength("private prefix", prefix, RING_KEY_BYTES);
  assertLength("private suffix", suffix, SUFFIX_BYTES);
  return concatBytes(prefix, suffix);
}

/** The 16 bytes that all ids of a group share; `groupKey`: its Ed25519 public key (32 bytes). */
export function groupPrefix(groupKey: Uint8Array): Uint8Array {
  assertLength("group key", groupKey, 32);
  return domainHash("group", groupKey).slice(0, RING_KEY_BYTES);
}

/** A group's id: members with one suffix (16 bytes) all get a packet for it, of several the longest common prefix (paper §2). */
export function groupId(groupKey: Uint8Array, suffix: Uint8Array): Uint8Array {
  assertLength("group suffix", suffix, SUFFIX_BYTES);
  return concatBytes(groupPrefix(groupKey), suffix);
}

/** What a claim of a name shows a server in place of the name: 32 bytes. RangeError for what is no DNS name. */
export function nameKey(name: string): Uint8Array {
  const normal = normalName(name);
  if (normal === undefined) throw new RangeError(`${JSON.stringify(name)} is no DNS name`);
  return domainHash("name key", new TextEncoder().encode(normal));
}

/** The id under which all who claim a name are reached; ignores case and one trailing dot. RangeError for what is no DNS name. */
export const nameId = (name: string): Uint8Array => nameIdOfKey(nameKey(name));

/** The same, from {@link nameKey} (32 bytes). */
export function nameIdOfKey(key: Uint8Array): Uint8Array {
  assertLength("name key", key, 32);
  const id = new Uint8Array(ID_BYTES);
  id.set(domainHash("name", key).subarray(0, RING_KEY_BYTES));
  return id;
}

/** The id of one claim to a name: beside those of others, and its Ed25519 key (32 bytes) alone may change it. */
export function claimId(key: Uint8Array, ed25519PublicKey: Uint8Array): Uint8Array {
  assertLength("Ed25519 public key", ed25519PublicKey, 32);
  const id = nameIdOfKey(key);
  id.set(domainHash("claim", ed25519PublicKey).subarray(0, SUFFIX_BYTES), RING_KEY_BYTES);
  return id;
}

/** A server's place on the ring; `nonce` (16 bytes) comes with its ring credential. */
export const nodeKey = (serverPublicKey: Uint8Array, nonce: Uint8Array): Uint8Array =>
  domainHash("server", serverPublicKey, nonce).slice(0, RING_KEY_BYTES);

/** First 16 bytes: where on the ring an id lives. A view, not a copy. */
export const ringKey = (id: Uint8Array): Uint8Array => id.subarray(0, RING_KEY_BYTES);

/** Number of leading bits that two ids of the same length share. */
export function commonPrefixBits(a: Uint8Array, b: Uint8Array): number {
  const bytes = Math.min(a.length, b.length);
  for (let i = 0; i < bytes; i += 1) {
    const difference = (a[i] ?? 0) ^ (b[i] ?? 0);
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24;
  }
  return bytes * 8;
}

/** Whether a packet for `a` may be delivered to a trigger for `b`. */
export const idsMatch = (a: Uint8Array, b: Uint8Array): boolean => commonPrefixBits(a, b) >= MIN_MATCH_BITS;

/** An IPv4 range for virtual addresses. */
export interface AddressRange {
  /** Network address, 4 bytes. */
  readonly network: Uint8Array;
  /** 8–24. */
  readonly prefixBits: number;
}

/**
 * `10.H24(id)`, or as many bits as another range's host part has: the virtual IPv4 address that both ends use for a host
 * (paper §3.3). All-zero and all-one host parts are passed over.
 */
export function virtualAddress(range: AddressRange, id: Uint8Array): Uint8Array {
  assertLength("id", id, ID_BYTES);
  const hostBits = 32 - range.prefixBits;
  const limit = 2 ** hostBits;
  for (let round = domainHash("h24", id); ; round = domainHash("h24", round)) {
    for (let i = 0; i + 3 <= round.length; i += 3) {
      const bits24 = ((round[i] ?? 0) << 16) | ((round[i + 1] ?? 0) << 8) | (round[i + 2] ?? 0);
      const host = Math.floor(bits24 / 2 ** (24 - hostBits));
      if (host !== 0 && host !== limit - 1) return addressInRange(range, host);
    }
  }
}

/** The address with host part `host` in a range: 4 bytes. */
export function addressInRange(range: AddressRange, host: number): Uint8Array {
  const out = range.network.slice();
  const view = new DataView(out.buffer, out.byteOffset, 4);
  view.setUint32(0, (view.getUint32(0) + host) >>> 0);
  return out;
}

/** Whether a 4-byte address lies in a range. */
export const inRange = (range: AddressRange, address: Uint8Array): boolean =>
  address.length === 4 && samePrefix(address, range.network, range.prefixBits);

function assertLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new WireError(what, `${bytes.length} bytes instead of ${length}`);
}
