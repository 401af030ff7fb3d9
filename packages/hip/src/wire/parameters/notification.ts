/**
 * NOTIFICATION (RFC 7401 §5.2.19).
 *
 *     0  reserved 2 | code 2
 *     4  data
 *
 * Data is for the code to define; ours say behind it which packet is meant (seal.ts, docs/wire.md §9.5).
 */
import { concatBytes } from "@i3/common";
import { FieldReader, uintBytes } from "../fields.js";

/** RFC 7401 §5.2.19; 18 and 19 RFC 7402 §5.1.3, 46 RFC 8046 §4, 60 to 62 RFC 5770. */
export const NOTIFY_CODE = {
  UNSUPPORTED_CRITICAL_PARAMETER_TYPE: 1, INVALID_SYNTAX: 7, NO_DH_PROPOSAL_CHOSEN: 14, INVALID_DH_CHOSEN: 15, NO_HIP_PROPOSAL_CHOSEN: 16,
  INVALID_HIP_CIPHER_CHOSEN: 17, NO_ESP_PROPOSAL_CHOSEN: 18, INVALID_ESP_TRANSFORM_CHOSEN: 19, UNSUPPORTED_HIT_SUITE: 20, AUTHENTICATION_FAILED: 24,
  CHECKSUM_FAILED: 26, HIP_MAC_FAILED: 28, ENCRYPTION_FAILED: 32, INVALID_HIT: 40, BLOCKED_BY_POLICY: 42, RESPONDER_BUSY_PLEASE_RETRY: 44,
  LOCATOR_TYPE_UNSUPPORTED: 46, NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER: 60, CONNECTIVITY_CHECKS_FAILED: 61, MESSAGE_NOT_RELAYED: 62,
  I2_ACKNOWLEDGEMENT: 16_384,
} as const;
export type NotifyName = keyof typeof NOTIFY_CODE;

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(NOTIFY_CODE).map(([name, code]) => [code, name]));

/** Whether the sender could not do what was asked (RFC 7401 §5.2.19); the others tell only a status. */
export const isError = (code: number): boolean => code < 16_384;

/** For people; a number that has no name is written as such. */
export const notifyName = (code: number): string => NAMES.get(code) ?? String(code);

export interface Notification {
  readonly code: number;
  readonly data: Uint8Array;
}

export const encodeNotification = ({ code, data }: Notification): Uint8Array => concatBytes(uintBytes(2, 0), uintBytes(2, code), data);

export function decodeNotification(contents: Uint8Array): Notification {
  const reader = new FieldReader("NOTIFICATION", contents);
  reader.skip(2);
  return { code: reader.uint(2), data: reader.rest() };
}
