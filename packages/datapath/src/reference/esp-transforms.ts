/**
 * The cryptography of ESP packets (docs/wire.md §7; RFC 4106, RFC 2410, RFC 3602, RFC 4868), with 64-bit sequence numbers.
 *
 *     | SPI 4 | low half of the sequence number 4 | IV | text: payload, padding, pad length, next header | ICV 16 |
 */
import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual, type CipherGCMTypes } from "node:crypto";
import type { EspTransform } from "../datapath.js";
import { ownBuffer, requireLength } from "./octets.js";

export const ESP_HEADER_BYTES = 8;
export const ICV_BYTES = 16;
const SPI_BYTES = 4;
const GCM_IV_BYTES = 8;
const CBC_BLOCK_BYTES = 16;
/** RFC 4303 §2.4: what follows ends on a word. */
const WORD_BYTES = 4;

/** One transform with its keys. `packet` is a whole ESP packet, SPI to ICV, for which there is room. */
export interface EspCipher {
  readonly kind: EspTransform["kind"];
  /** Ours alone; {@link wipeKeys}. */
  readonly keys: readonly Buffer[];
  readonly ivBytes: number;
  /** Text is a multiple of this. */
  readonly blockBytes: number;
  /** Text that is not a multiple of {@link blockBytes} cannot be opened. */
  readonly wholeBlocks: boolean;
  /** Writes the IV, encrypts the text in place, writes the ICV. */
  seal(packet: Buffer, sequence: bigint): void;
  /** The text in a buffer of its own, or null when the ICV is wrong. */
  open(packet: Buffer, sequence: bigint): Buffer | null;
}

/** Copies the keys. Throws RangeError for a wrong length. */
export function makeCipher(transform: EspTransform): EspCipher {
  switch (transform.kind) {
    case "aes-gcm-16":
      requireLength("ESP key", transform.key, 16, 32);
      requireLength("ESP salt", transform.salt, 4);
      return makeGcm(ownBuffer(transform.key), ownBuffer(transform.salt));
    case "null-hmac-sha-256":
      requireLength("ESP integrity key", transform.integrityKey, 32);
      return makeNull(ownBuffer(transform.integrityKey));
    case "aes-cbc-hmac-sha-256":
      requireLength("ESP key", transform.key, 16, 32);
      requireLength("ESP integrity key", transform.integrityKey, 32);
      return makeCbc(ownBuffer(transform.key), ownBuffer(transform.integrityKey));
    default:
      throw new RangeError(`ESP transform ${String((transform as { kind: unknown }).kind)}`);
  }
}

/** Same transform, same bytes of every key. */
export const sameKeys = (a: EspCipher, b: EspCipher): boolean => a.kind === b.kind && a.keys.every((key, i) => sameKey(key, b.keys[i] as Buffer));

const sameKey = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);

/** The cipher must not be used after this. */
export function wipeKeys(cipher: EspCipher): void {
  for (const key of cipher.keys) key.fill(0);
}

function sequenceBytes(sequence: bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(sequence);
  return out;
}

const textOf = (packet: Buffer, ivBytes: number): Buffer => packet.subarray(ESP_HEADER_BYTES + ivBytes, -ICV_BYTES);
const icvOf = (packet: Buffer): Buffer => packet.subarray(-ICV_BYTES);

function makeGcm(key: Buffer, salt: Buffer): EspCipher {
  const algorithm: CipherGCMTypes = key.length === 16 ? "aes-128-gcm" : "aes-256-gcm";
  const options = { authTagLength: ICV_BYTES };
  const additional = (packet: Buffer, sequence: bigint): Buffer => Buffer.concat([packet.subarray(0, SPI_BYTES), sequenceBytes(sequence)]);
  const nonce = (packet: Buffer): Buffer => Buffer.concat([salt, packet.subarray(ESP_HEADER_BYTES, ESP_HEADER_BYTES + GCM_IV_BYTES)]);
  return {
    kind: "aes-gcm-16",
    keys: [key, salt],
    ivBytes: GCM_IV_BYTES,
    blockBytes: WORD_BYTES,
    wholeBlocks: false,
    seal(packet, sequence) {
      sequenceBytes(sequence).copy(packet, ESP_HEADER_BYTES);
      const text = textOf(packet, GCM_IV_BYTES);
      const cipher = createCipheriv(algorithm, key, nonce(packet), options).setAAD(additional(packet, sequence));
      cipher.update(text).copy(text);
      cipher.final();
      cipher.getAuthTag().copy(icvOf(packet));
    },
    open(packet, sequence) {
      const decipher = createDecipheriv(algorithm, key, nonce(packet), options).setAAD(additional(packet, sequence)).setAuthTag(icvOf(packet));
      const text = decipher.update(textOf(packet, GCM_IV_BYTES));
      try {
        decipher.final();
        return text;
      } catch {
        return null;
      }
    },
  };
}

/** HMAC-SHA-256-128 over everything before the ICV, then the half of the sequence number that is not sent (RFC 4303 §2.2.1). */
function makeIcv(integrityKey: Buffer, packet: Buffer, sequence: bigint): Buffer {
  const high = sequenceBytes(sequence).subarray(0, 4);
  return createHmac("sha256", integrityKey).update(packet.subarray(0, -ICV_BYTES)).update(high).digest().subarray(0, ICV_BYTES);
}

const isGenuine = (integrityKey: Buffer, packet: Buffer, sequence: bigint): boolean => timingSafeEqual(makeIcv(integrityKey, packet, sequence), icvOf(packet));

function makeNull(integrityKey: Buffer): EspCipher {
  return {
    kind: "null-hmac-sha-256",
    keys: [integrityKey],
    ivBytes: 0,
    blockBytes: WORD_BYTES,
    wholeBlocks: false,
    seal(packet, sequence) {
      makeIcv(integrityKey, packet, sequence).copy(icvOf(packet));
    },
    open(packet, sequence) {
      return isGenuine(integrityKey, packet, sequence) ? ownBuffer(textOf(packet, 0)) : null;
    },
  };
}

function makeCbc(key: Buffer, integrityKey: Buffer): EspCipher {
  const algorithm = key.length === 16 ? "aes-128-cbc" : "aes-256-cbc";
  const ivOf = (packet: Buffer): Buffer => packet.subarray(ESP_HEADER_BYTES, ESP_HEADER_BYTES + CBC_BLOCK_BYTES);
  return {
    kind: "aes-cbc-hmac-sha-256",
    keys: [key, integrityKey],
    ivBytes: CBC_BLOCK_BYTES,
    blockBytes: CBC_BLOCK_BYTES,
    wholeBlocks: true,
    seal(packet, sequence) {
      // Never the same and not to be foreseen (RFC 3602 §3), without randomness.
      createHmac("sha256", integrityKey).update("i3 iv").update(sequenceBytes(sequence)).digest().copy(packet, ESP_HEADER_BYTES, 0, CBC_BLOCK_BYTES);
      const text = textOf(packet, CBC_BLOCK_BYTES);
      createCipheriv(algorithm, key, ivOf(packet)).setAutoPadding(false).update(text).copy(text);
      makeIcv(integrityKey, packet, sequence).copy(icvOf(packet));
    },
    open(packet, sequence) {
      if (!isGenuine(integrityKey, packet, sequence)) return null;
      return createDecipheriv(algorithm, key, ivOf(packet)).setAutoPadding(false).update(textOf(packet, CBC_BLOCK_BYTES));
    },
  };
}
