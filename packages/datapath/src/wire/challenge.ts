/**
 * CHALLENGE_REQUEST and its answer CHALLENGE (docs/wire.md §4, §4.1) as the engine reads and writes them: in the shortest form, as the control plane's codec writes it.
 *
 *     CHALLENGE_REQUEST  16  92 | c4 10 ring key 16 | flags 1 to 3
 *     CHALLENGE          16  95 | c4 10 ring key 16 | c4 18 cookie 24 | c4 length 1, masked locator | time 1 to 9 | c4 10 node key 16
 */
import { CONTROL_FIRST_BYTE, CONTROL_HEADER_BYTES, CONTROL_TYPES, FLAG_MAC, maskLocator, NONCE_BYTES, u64Bytes } from "@i3/common";

import { RING_KEY_BYTES } from "./data-header.js";

const OFFSET = { type: 1, flags: 2, bodyLength: 4, nonce: 8 } as const;
const TOKEN = { two: 0x92, five: 0x95, bytes: 0xc4, uint8: 0xcc, uint16: 0xcd, uint32: 0xce, int64: 0xd3 } as const;
const MAX_FIXED = 0x7f;

export interface ParsedChallengeRequest {
  readonly ringKeyAt: number;
  /** Of the trigger that is to follow. */
  readonly flags: number;
}

/** Null: another message, one with a MAC, or in another form; the control plane's to judge. */
export function parseChallengeRequest(bytes: Uint8Array, at: number, length: number): ParsedChallengeRequest | null {
  const byte = (offset: number): number => bytes[offset] ?? 0;
  if (length < CONTROL_HEADER_BYTES || byte(at + OFFSET.type) !== CONTROL_TYPES.CHALLENGE_REQUEST || (byte(at + OFFSET.flags) & FLAG_MAC) !== 0) return null;
  const bodyAt = at + CONTROL_HEADER_BYTES;
  const end = bodyAt + ((byte(at + OFFSET.bodyLength) << 8) | byte(at + OFFSET.bodyLength + 1));
  if (end > at + length) return null;
  const flagsAt = bodyAt + 3 + RING_KEY_BYTES;
  if (flagsAt >= end || byte(bodyAt) !== TOKEN.two || byte(bodyAt + 1) !== TOKEN.bytes || byte(bodyAt + 2) !== RING_KEY_BYTES) return null;
  const first = byte(flagsAt);
  const flagsBytes = first <= MAX_FIXED ? 1 : first === TOKEN.uint8 ? 2 : first === TOKEN.uint16 ? 3 : 0;
  if (flagsBytes === 0 || flagsAt + flagsBytes !== end) return null;
  const flags = flagsBytes === 1 ? first : flagsBytes === 2 ? byte(flagsAt + 1) : (byte(flagsAt + 1) << 8) | byte(flagsAt + 2);
  return { ringKeyAt: bodyAt + 3, flags };
}

/** `timeMs`: whole, up to 2^53 - 1; `observed`: an encoded locator; the nonce is that of the request at `requestAt`. */
export function writeChallenge(ringKey: Uint8Array, cookie: Uint8Array, observed: Uint8Array, timeMs: number, nodeKey: Uint8Array, request: Uint8Array, requestAt: number): Uint8Array {
  const binary = (bytes: Uint8Array): readonly number[] => [TOKEN.bytes, bytes.length, ...bytes];
  const nonceAt = requestAt + OFFSET.nonce;
  const nonce = request.subarray(nonceAt, nonceAt + NONCE_BYTES);
  const body = [TOKEN.five, ...binary(ringKey), ...binary(cookie), ...binary(maskLocator(observed, nonce)), ...uintBytes(timeMs), ...binary(nodeKey)];
  return Uint8Array.of(CONTROL_FIRST_BYTE, CONTROL_TYPES.CHALLENGE, 0, 0, 0, body.length, 0, 0, ...nonce, ...body);
}

function uintBytes(value: number): readonly number[] {
  const big = u64Bytes(value);
  if (value <= MAX_FIXED) return [value];
  if (value <= 0xff) return [TOKEN.uint8, ...big.subarray(7)];
  if (value <= 0xffff) return [TOKEN.uint16, ...big.subarray(6)];
  return value <= 0xffff_ffff ? [TOKEN.uint32, ...big.subarray(4)] : [TOKEN.int64, ...big];
}
