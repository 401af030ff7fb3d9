/**
 * The ways in which our engine carries packets between two hosts, each a virtual address of its own, so that one pair of processes
 * has them all. Ids and keys are fixed; both ends and the relay derive them from here.
 *
 *     10.66.K.1 (a)  ⇄  10.66.K.2 (b)      K = 1 for the first mode, and so on
 */
import { createHash } from "node:crypto";

import { parseIpText } from "@i3/common";
import { MIN_SPI, RING_KEY_BYTES, type EspTransform } from "@i3/datapath";

export const MODES = ["encrypted-direct", "encrypted-relay", "plain-direct", "plain-relay", "auth-direct"] as const;
export type Mode = (typeof MODES)[number];
export type Side = "a" | "b";

/** As in the product: room for headers, ids and ESP in 1,500 bytes over IPv6. */
export const TUN_MTU_BYTES = 1_360;
export const ENGINE_PORT = 5_610;
/** Both families, as in the product. */
export const ENGINE_ADDRESS = "::";
export const TUN_NAME = "i3bench";

export const otherSide = (side: Side): Side => (side === "a" ? "b" : "a");
export const isRelayed = (mode: Mode): boolean => mode.endsWith("-relay");
export const isPlain = (mode: Mode): boolean => mode.startsWith("plain-");

export const overlayAddress = (mode: Mode, side: Side): string => `10.66.${MODES.indexOf(mode) + 1}.${side === "a" ? 1 : 2}`;

/** Throws for what is no address. */
export function addressBytes(text: string): Uint8Array {
  const bytes = parseIpText(text);
  if (bytes === undefined) throw new RangeError(`${text} is no address`);
  return bytes;
}

/** 32 bytes that follow from the words. */
const derive = (...words: readonly string[]): Uint8Array => new Uint8Array(createHash("sha256").update(words.join("/")).digest());

/** Under which `side` is reached through the overlay. */
export const idOf = (mode: Mode, side: Side): Uint8Array => derive("id", mode, side);
export const ringKeyOf = (id: Uint8Array): Uint8Array => id.subarray(0, RING_KEY_BYTES);

/** Name of the outbound association; one a mode. */
export const associationOf = (mode: Mode): number => MODES.indexOf(mode) + 1;
/** Of the association in which `side` receives. */
export const spiOf = (mode: Mode, side: Side): number => MIN_SPI + 2 * MODES.indexOf(mode) + (side === "a" ? 0 : 1);

/** Of the association in which `side` receives: AES-128-GCM, or NULL with HMAC-SHA-256 for the mode that only authenticates. */
export function transformOf(mode: Mode, side: Side): EspTransform {
  const key = derive("key", mode, side);
  if (mode === "auth-direct") return { kind: "null-hmac-sha-256", integrityKey: key };
  return { kind: "aes-gcm-16", key: key.subarray(0, 16), salt: key.subarray(16, 20) };
}
