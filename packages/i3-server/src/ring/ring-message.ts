/**
 * Messages between servers on the wire (docs/wire.md §4.2): the control message and its padding, then
 *
 *     sender's epoch 8 | receiver's epoch 8 | counter 8 | MAC 16
 *
 * The MAC is HMAC-SHA-256 under the pair's key over everything before it, the sender's node key and the receiver's; first 16 bytes.
 */
import { createHmac, diffieHellman, hkdfSync, timingSafeEqual, type KeyObject } from "node:crypto";

import { bytesKey, concatBytes, CONTROL_HEADER_BYTES, encodeControlWithRoom, FLAG_MAC, MAC_BYTES, type ControlMessage, type ControlType, type DecodedControl } from "@i3/common";

import { isSigned, type Credential } from "./credential.js";
import { publicKeyOf } from "./raw-keys.js";

const TRAILER_BYTES = 24;
const PAIR_KEY_BYTES = 32;
const PAIR_LABEL = new TextEncoder().encode("i3/1 ring pair\0");
const OFFSET_FLAGS = 2;
const OFFSET_BODY_LENGTH = 4;

/** Requests are padded, so that no answer is larger. The largest over IPv6, from a server that has IPv4 as well: FOUND 144, STATE_IS with 8 successors 457, ALIVE_YES (which does not say so) 96. */
const RING_PADDED_BYTES: Readonly<Partial<Record<ControlType, number>>> = { FIND: 144, STATE: 464, ALIVE: 96 };

export interface Trailer {
  readonly senderEpoch: number;
  readonly receiverEpoch: number;
  readonly counter: number;
}

/** Who speaks to whom. */
export interface Direction {
  /** 32 bytes. */
  readonly pairKey: Uint8Array;
  /** Node keys, 16 bytes. */
  readonly sender: Uint8Array;
  readonly receiver: Uint8Array;
}

/**
 * The key that two servers share, 32 bytes, which the caller wipes: HKDF-SHA-256 (RFC 5869) over X25519 of their ring keys, without salt,
 * info = label, the lower node key, the higher. Null when the other's key is no good one.
 */
export function pairKeyOf(ownKey: KeyObject, own: Credential, peer: Credential): Uint8Array | null {
  let secret: Buffer;
  try {
    secret = diffieHellman({ privateKey: ownKey, publicKey: publicKeyOf("x25519", peer.publicKey) });
  } catch {
    return null; // a point of small order
  }
  const keys = bytesKey(own.nodeKey) < bytesKey(peer.nodeKey) ? [own.nodeKey, peer.nodeKey] : [peer.nodeKey, own.nodeKey];
  const key = new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(0), concatBytes(PAIR_LABEL, ...keys), PAIR_KEY_BYTES));
  secret.fill(0);
  return key;
}

/** What the channel does with the keys of credentials. */
export interface CredentialChecks {
  readonly isSigned: (credential: Credential) => boolean;
  /** As {@link pairKeyOf}. */
  readonly pairKeyOf: (ownKey: KeyObject, own: Credential, peer: Credential) => Uint8Array | null;
}

export const credentialChecks: CredentialChecks = { isSigned, pairKeyOf };

/** The MAC of what it covers: 16 bytes. */
export type RingMac = (covered: Uint8Array, direction: Direction) => Uint8Array;

export const ringMac: RingMac = (covered, { pairKey, sender, receiver }) =>
  createHmac("sha256", pairKey).update(covered).update(sender).update(receiver).digest().subarray(0, MAC_BYTES);

/** One datagram. */
export function sealRingMessage(message: ControlMessage, nonce: Uint8Array, direction: Direction, trailer: Trailer, mac: RingMac = ringMac): Uint8Array {
  const out = encodeControlWithRoom(message, nonce, TRAILER_BYTES + MAC_BYTES, RING_PADDED_BYTES[message.type] ?? 0);
  out[OFFSET_FLAGS] = FLAG_MAC;
  const macStart = out.length - MAC_BYTES;
  const view = new DataView(out.buffer, macStart - TRAILER_BYTES);
  setUint64(view, 0, trailer.senderEpoch);
  setUint64(view, 8, trailer.receiverEpoch);
  setUint64(view, 16, trailer.counter);
  out.set(mac(out.subarray(0, macStart), direction), macStart);
  return out;
}

/** Of a message whose MAC is not checked yet; null when it has none, or has numbers that nobody sends. */
export function trailerOf({ mac }: DecodedControl): Trailer | null {
  if (mac === null) return null;
  const { covered } = mac;
  const view = new DataView(covered.buffer, covered.byteOffset, covered.length);
  const at = covered.length - TRAILER_BYTES;
  if (at < CONTROL_HEADER_BYTES + view.getUint16(OFFSET_BODY_LENGTH)) return null;
  const senderEpoch = getUint64(view, at);
  const receiverEpoch = getUint64(view, at + 8);
  const counter = getUint64(view, at + 16);
  return Number.isSafeInteger(senderEpoch) && Number.isSafeInteger(receiverEpoch) && Number.isSafeInteger(counter) ? { senderEpoch, receiverEpoch, counter } : null;
}

const HIGH = 2 ** 32;

function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / HIGH));
  view.setUint32(at + 4, value % HIGH);
}

const getUint64 = (view: DataView, at: number): number => view.getUint32(at) * HIGH + view.getUint32(at + 4);

/** In constant time. */
export const isMacRight = ({ mac }: DecodedControl, direction: Direction, macOf: RingMac = ringMac): boolean => mac !== null && timingSafeEqual(macOf(mac.covered, direction), mac.value);
