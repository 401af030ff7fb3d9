/**
 * Credentials of a ring (docs/wire.md §4.2): its authority says who may be a server, and where on the ring.
 *
 *     0  version 1
 *     1  authority's Ed25519 public key 32
 *    33  server's X25519 public key 32
 *    65  nonce 16, chosen by the authority
 *    81  not after 8, s since 1970; 0: never ends
 *    89  Ed25519 signature 64 over "i3/1 credential" 0 and all before it
 */
import { sign, verify } from "node:crypto";

import { concatBytes, CREDENTIAL_BYTES, nodeKey, u64Bytes, WireError } from "@i3/common";

import { privateKeyOf, publicBytesOf, publicKeyOf, RAW_KEY_BYTES } from "./raw-keys.js";

const VERSION = 1;
const OFFSET_AUTHORITY = 1;
const OFFSET_SERVER = 33;
const OFFSET_NONCE = 65;
const OFFSET_NOT_AFTER = 81;
const OFFSET_SIGNATURE = 89;
export const CREDENTIAL_NONCE_BYTES = 16;
const LABEL = new TextEncoder().encode("i3/1 credential\0");
/** So that it is a whole number of milliseconds too. */
const MAX_NOT_AFTER_S = Math.floor(Number.MAX_SAFE_INTEGER / 1_000);

export interface Credential {
  /** All of it, 153 bytes. */
  readonly bytes: Uint8Array;
  /** 32 bytes. */
  readonly authority: Uint8Array;
  /** The server's, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 16 bytes: follow from key and nonce, so that no server chooses its place. */
  readonly nodeKey: Uint8Array;
  /** From then on it is worth nothing, ms since 1970; Infinity: never ends. */
  readonly endMs: number;
}

/** What makes a server a member of a ring. */
export interface RingMembership {
  readonly credential: Credential;
  /** X25519, 32 bytes. Secret. */
  readonly privateKey: Uint8Array;
}

/** Its fields, copied; whether it is signed is for {@link isSigned}. Throws WireError. */
export function readCredential(bytes: Uint8Array): Credential {
  if (bytes.length !== CREDENTIAL_BYTES) throw new WireError("credential", `${bytes.length} bytes instead of ${CREDENTIAL_BYTES}`);
  if (bytes[0] !== VERSION) throw new WireError("credential", `version ${bytes[0]}`);
  const notAfter = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(OFFSET_NOT_AFTER));
  if (notAfter > MAX_NOT_AFTER_S) throw new WireError("credential", `ends at ${notAfter}`);
  const publicKey = bytes.slice(OFFSET_SERVER, OFFSET_NONCE);
  return {
    bytes: new Uint8Array(bytes), authority: bytes.slice(OFFSET_AUTHORITY, OFFSET_SERVER), publicKey,
    nodeKey: nodeKey(publicKey, bytes.subarray(OFFSET_NONCE, OFFSET_NOT_AFTER)), endMs: notAfter === 0 ? Infinity : notAfter * 1_000,
  };
}

/** Whether the authority that it names has signed it. Never throws. */
export function isSigned({ bytes, authority }: Credential): boolean {
  try {
    const covered = concatBytes(LABEL, bytes.subarray(0, OFFSET_SIGNATURE));
    return verify(null, covered, publicKeyOf("ed25519", authority), bytes.subarray(OFFSET_SIGNATURE));
  } catch {
    return false;
  }
}

/**
 * Admits a server: 153 bytes.
 * @param authoritySecret Ed25519, 32 bytes
 * @param publicKey the server's, X25519, 32 bytes
 * @param nonce 16 unpredictable bytes
 * @param notAfterS s since 1970; 0: never ends
 */
export function issueCredential(authoritySecret: Uint8Array, publicKey: Uint8Array, nonce: Uint8Array, notAfterS: number): Uint8Array {
  if (publicKey.length !== RAW_KEY_BYTES || nonce.length !== CREDENTIAL_NONCE_BYTES) throw new RangeError("not 32 and 16 bytes");
  if (!Number.isInteger(notAfterS) || notAfterS < 0 || notAfterS > MAX_NOT_AFTER_S) throw new RangeError(`ends at ${notAfterS}`);
  const fields = concatBytes(Uint8Array.of(VERSION), publicBytesOf("ed25519", authoritySecret), publicKey, nonce, u64Bytes(notAfterS));
  return concatBytes(fields, sign(null, concatBytes(LABEL, fields), privateKeyOf("ed25519", authoritySecret)));
}

/** A server with a key of its own, admitted. `random`: `length` unpredictable bytes. The rest as of {@link issueCredential}. */
export function admitServer(authoritySecret: Uint8Array, random: (length: number) => Uint8Array, notAfterS = 0): RingMembership {
  const privateKey = random(RAW_KEY_BYTES);
  const bytes = issueCredential(authoritySecret, publicBytesOf("x25519", privateKey), random(CREDENTIAL_NONCE_BYTES), notAfterS);
  return { credential: readCredential(bytes), privateKey };
}
