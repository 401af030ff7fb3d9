/** Whom a resolver's address counts with: who has one address of an IPv4 /24 or an IPv6 /56 has them all, most times. */
import { bytesKey } from "@i3/common";

const NETWORK_BYTES = { 4: 3, 16: 7 } as const;

/** @param from 4 or 16 bytes */
export const askingNetwork = (from: Uint8Array): string => bytesKey(from.subarray(0, from.length === 4 ? NETWORK_BYTES[4] : NETWORK_BYTES[16]));
