/**
 * CHECK and CHECKED (docs/wire.md §9.7): whether packets of an association get to a place of the peer and back. Sealed by the association's path keys, without a
 * signature; the MAC stands where that of messages between servers does (docs/wire.md §4).
 *
 * The nonce of a CHECK is a number that grows (4 bytes), so that an old one moves nobody, and random (4), so that only who got it can answer.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

import { concatBytes, encodeControl, MAC_BYTES, PADDED_BYTES, type ControlMessage, type DecodedControl } from "@i3/common";

import { uintBytes } from "../wire/fields.js";

const DOMAIN = new TextEncoder().encode("i3/1 path check\0");
const LEAST_CHECK_BYTES = PADDED_BYTES.CHECK as number;
const NUMBER_BYTES = 4;
const RANDOM_BYTES = 4;

/** 32 bytes each, of both directions. */
export interface PathKeys {
  readonly in: Uint8Array;
  readonly out: Uint8Array;
}

export type PathMessage = Extract<ControlMessage, { type: "CHECK" | "CHECKED" }>;

/** Of all bytes before it. */
export const macOf = (key: Uint8Array, covered: Uint8Array): Uint8Array => new Uint8Array(createHmac("sha256", key).update(concatBytes(DOMAIN, covered)).digest().subarray(0, MAC_BYTES));

/** One datagram, of `least` bytes at least. */
export const sealPathMessage = (key: Uint8Array, message: PathMessage, nonce: Uint8Array, least = 0): Uint8Array => encodeControl(message, nonce, (covered) => macOf(key, covered), least);

/** Takes equally long wherever they differ; false without a MAC. */
export const isGenuine = (key: Uint8Array, mac: DecodedControl["mac"]): boolean => mac !== null && timingSafeEqual(mac.value, macOf(key, mac.covered));

/** Of a CHECK: its answer could be longer than it is. */
export const isShort = (mac: DecodedControl["mac"]): boolean => mac === null || mac.covered.length + MAC_BYTES < LEAST_CHECK_BYTES;

export const checkNonce = (number: number, random: (bytes: number) => Uint8Array): Uint8Array => concatBytes(uintBytes(NUMBER_BYTES, number), random(RANDOM_BYTES));
export const numberOf = (nonce: Uint8Array): number => new DataView(nonce.buffer, nonce.byteOffset).getUint32(0);
