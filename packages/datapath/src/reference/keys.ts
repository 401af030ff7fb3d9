/**
 * Table keys. Ids and IPv6 addresses are latin1 strings of their bytes (one character a byte, so equal strings are equal
 * bytes), IPv4 addresses are numbers: neither costs more than one small allocation per packet.
 */
import { ID_BYTES, RING_KEY_BYTES } from "../wire/data-header.js";
import { asBuffer, requireLength, u32 } from "./octets.js";

/** A number for IPv4, a string of 16 characters for IPv6. */
export type AddressKey = number | string;

/** `length` is 4 or 16. */
export const addressKeyAt = (bytes: Buffer, at: number, length: number): AddressKey =>
  length === 4 ? u32(bytes, at) : bytes.toString("latin1", at, at + 16);

export const idKeyAt = (bytes: Buffer, at: number): string => bytes.toString("latin1", at, at + ID_BYTES);

export const ringKeyAt = (bytes: Buffer, at: number): string => bytes.toString("latin1", at, at + RING_KEY_BYTES);

/** Throws RangeError when `address` has not 4 or 16 bytes. */
export function addressKey(address: Uint8Array): AddressKey {
  requireLength("address", address, 4, 16);
  return addressKeyAt(asBuffer(address), 0, address.length);
}

/** Throws RangeError when `id` has not 32 bytes. */
export function idKey(id: Uint8Array): string {
  requireLength("id", id, ID_BYTES);
  return idKeyAt(asBuffer(id), 0);
}

/** Throws RangeError when `ringKey` has not 16 bytes. */
export function ringKey(key: Uint8Array): string {
  requireLength("ring key", key, RING_KEY_BYTES);
  return ringKeyAt(asBuffer(key), 0);
}

/** The bytes of a string key. */
export const keyBytes = (key: string): Uint8Array => new Uint8Array(Buffer.from(key, "latin1"));
