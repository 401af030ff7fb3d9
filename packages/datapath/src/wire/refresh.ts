/**
 * REFRESH and its answer TRIGGER_OK (docs/wire.md §4, §4.1) as the engine reads and writes them: in the shortest form, as the control plane's codec writes it.
 *
 *     REFRESH     16  94 | c4 20 id 32 | index 1 to 3 | c4 10 token 16 | c0
 *     TRIGGER_OK  16  94 01 | c4 20 id 32 | life 1 to 3 | c4 length 1, locator; c0 for none
 */
import { CONTROL_FIRST_BYTE, CONTROL_HEADER_BYTES, CONTROL_TYPES, FLAG_MAC, NONCE_BYTES } from "@i3/common";

import { ID_BYTES } from "./data-header.js";

export const REFRESH_TOKEN_BYTES = 16;
const OFFSET = { type: 1, flags: 2, bodyLength: 4, nonce: 8 } as const;
const TOKEN = { four: 0x94, bytes: 0xc4, uint8: 0xcc, uint16: 0xcd, nil: 0xc0 } as const;
const MAX_FIXED = 0x7f;

export interface ParsedRefresh {
  readonly idAt: number;
  readonly tokenAt: number;
  readonly index: number;
}

/** Null: another message, a member's refresh, one with a MAC, or in another form; the control plane's to judge. */
export function parseRefresh(bytes: Uint8Array, at: number, length: number): ParsedRefresh | null {
  const byte = (offset: number): number => bytes[offset] ?? 0;
  if (length < CONTROL_HEADER_BYTES || byte(at + OFFSET.type) !== CONTROL_TYPES.REFRESH || (byte(at + OFFSET.flags) & FLAG_MAC) !== 0) return null;
  const end = at + CONTROL_HEADER_BYTES + ((byte(at + OFFSET.bodyLength) << 8) | byte(at + OFFSET.bodyLength + 1));
  if (end > at + length) return null;
  const bodyAt = at + CONTROL_HEADER_BYTES;
  const indexAt = bodyAt + 3 + ID_BYTES;
  if (indexAt >= end || byte(bodyAt) !== TOKEN.four || byte(bodyAt + 1) !== TOKEN.bytes || byte(bodyAt + 2) !== ID_BYTES) return null;
  const first = byte(indexAt);
  const indexBytes = first <= MAX_FIXED ? 1 : first === TOKEN.uint8 ? 2 : first === TOKEN.uint16 ? 3 : 0;
  const tokenAt = indexAt + indexBytes + 2;
  if (indexBytes === 0 || tokenAt + REFRESH_TOKEN_BYTES + 1 !== end) return null;
  if (byte(tokenAt - 2) !== TOKEN.bytes || byte(tokenAt - 1) !== REFRESH_TOKEN_BYTES || byte(end - 1) !== TOKEN.nil) return null;
  const index = indexBytes === 1 ? first : indexBytes === 2 ? byte(indexAt + 1) : (byte(indexAt + 1) << 8) | byte(indexAt + 2);
  return { idAt: bodyAt + 3, tokenAt, index };
}

/** `lifeMs` at most 65,535; `replica`: an encoded locator, or empty; the nonce is that of the request at `requestAt`. */
export function writeTriggerOk(id: Uint8Array, lifeMs: number, replica: Uint8Array, request: Uint8Array, requestAt: number): Uint8Array {
  const life = lifeMs <= MAX_FIXED ? [lifeMs] : lifeMs <= 0xff ? [TOKEN.uint8, lifeMs] : [TOKEN.uint16, lifeMs >> 8, lifeMs & 0xff];
  const locator = replica.length === 0 ? [TOKEN.nil] : [TOKEN.bytes, replica.length, ...replica];
  const body = [TOKEN.four, 1, TOKEN.bytes, ID_BYTES, ...id, ...life, ...locator];
  const nonceAt = requestAt + OFFSET.nonce;
  return Uint8Array.of(CONTROL_FIRST_BYTE, CONTROL_TYPES.TRIGGER_OK, 0, 0, 0, body.length, 0, 0, ...request.subarray(nonceAt, nonceAt + NONCE_BYTES), ...body);
}
