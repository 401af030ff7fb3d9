/** WireGuard's first message: Noise_IKpsk2, from the initiator (WireGuard paper, §5.4.2). */
import { createCipheriv, createHash, createHmac, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto";

import { concatBytes } from "@i3/common";

import { blake2s } from "./blake2s.js";

export const INITIATION_BYTES = 148;
/** Of the answer. */
export const RESPONSE_BYTES = 92;
export const RESPONSE_TYPE = 2;
/** Where the answer has the number that we gave. */
export const RESPONSE_RECEIVER_OFFSET = 8;
const MAC1_OFFSET = 116;
const MAC_BYTES = 16;
/** TAI64 of the Unix epoch: 2^62 and ten leap seconds. */
const TAI64_EPOCH = 0x4000_0000_0000_000an;

export interface X25519Pair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** 32 bytes. */
  readonly raw: Uint8Array;
}

export interface Initiation {
  readonly from: X25519Pair;
  /** The responder's. */
  readonly to: KeyObject;
  readonly sender: number;
  /** Nanoseconds since 1970; each of a peer greater than the last. */
  readonly timeNs: bigint;
}

const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const hash = (...parts: readonly Uint8Array[]): Uint8Array => createHash("blake2s256").update(concatBytes(...parts)).digest();
const hmac = (key: Uint8Array, input: Uint8Array): Uint8Array => createHmac("blake2s256", key).update(input).digest();
const rawOf = (key: KeyObject): Uint8Array => Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");

export function newX25519(): X25519Pair {
  const pair = generateKeyPairSync("x25519");
  return { ...pair, raw: rawOf(pair.publicKey) };
}

export const x25519Public = (raw: Uint8Array): KeyObject => createPublicKey({ key: { kty: "OKP", crv: "X25519", x: Buffer.from(raw).toString("base64url") }, format: "jwk" });

/** KDF_2. */
function twoKeys(chaining: Uint8Array, input: Uint8Array): readonly [Uint8Array, Uint8Array] {
  const secret = hmac(chaining, input);
  const first = hmac(secret, Uint8Array.of(1));
  return [first, hmac(secret, concatBytes(first, Uint8Array.of(2)))];
}

function sealed(key: Uint8Array, plaintext: Uint8Array, additional: Uint8Array): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", key, new Uint8Array(12), { authTagLength: MAC_BYTES });
  cipher.setAAD(additional, { plaintextLength: plaintext.length });
  return concatBytes(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/** 148 bytes, without a cookie. */
export function makeInitiation({ from, to, sender, timeNs }: Initiation): Uint8Array {
  const responder = rawOf(to);
  const ephemeral = newX25519();
  const name = hash(text("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
  const begun = hash(hash(hash(name, text("WireGuard v1 zx2c4 Jason@zx2c4.com")), responder), ephemeral.raw);
  const [chaining, key] = twoKeys(twoKeys(name, ephemeral.raw)[0], diffieHellman({ privateKey: ephemeral.privateKey, publicKey: to }));
  const identity = sealed(key, from.raw, begun);
  const known = hash(begun, identity);
  const [, timeKey] = twoKeys(chaining, diffieHellman({ privateKey: from.privateKey, publicKey: to }));
  const message = new Uint8Array(INITIATION_BYTES);
  message[0] = 1;
  new DataView(message.buffer).setUint32(4, sender, true);
  message.set(concatBytes(ephemeral.raw, identity, sealed(timeKey, tai64n(timeNs), known)), 8);
  message.set(blake2s(hash(text("mac1----"), responder), message.subarray(0, MAC1_OFFSET), MAC_BYTES), MAC1_OFFSET);
  return message;
}

function tai64n(timeNs: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setBigUint64(0, TAI64_EPOCH + timeNs / 1_000_000_000n);
  view.setUint32(8, Number(timeNs % 1_000_000_000n));
  return new Uint8Array(view.buffer);
}
