/**
 * HOST_ID (RFC 7401 §5.2.9).
 *
 *     0  length of HI 2 | type of DI 4 bits, length of DI 12 bits
 *     4  algorithm 2
 *     6  host identity, domain identifier
 */
import { concatBytes } from "@i3/common";
import { FieldReader, uintBytes } from "../fields.js";

/** 0 is none. */
export const DOMAIN_ID_TYPE = { fqdn: 1, nai: 2 } as const;
export type DomainIdType = (typeof DOMAIN_ID_TYPE)[keyof typeof DOMAIN_ID_TYPE];

export interface DomainId {
  readonly type: DomainIdType;
  /** FQDN: labels as in DNS; NAI: text (RFC 7542). 1 to 4,095 bytes, not looked into. */
  readonly bytes: Uint8Array;
}

export interface HostId {
  /** 5 RSA, 7 ECDSA. */
  readonly algorithm: number;
  /** In the algorithm's own form; not looked into. */
  readonly hi: Uint8Array;
  readonly domainId: DomainId | null;
}

const MAX_DOMAIN_ID_BYTES = 0xfff;

export function encodeHostId({ algorithm, hi, domainId }: HostId): Uint8Array {
  const id = domainId?.bytes ?? new Uint8Array(0);
  if (domainId !== null && (id.length === 0 || id.length > MAX_DOMAIN_ID_BYTES)) throw new RangeError(`domain identifier of ${id.length} bytes`);
  return concatBytes(uintBytes(2, hi.length), uintBytes(2, ((domainId?.type ?? 0) << 12) | id.length), uintBytes(2, algorithm), hi, id);
}

export function decodeHostId(contents: Uint8Array): HostId {
  const reader = new FieldReader("HOST_ID", contents);
  const hiBytes = reader.uint(2);
  const domain = reader.uint(2);
  const algorithm = reader.uint(2);
  const hi = reader.bytes(hiBytes);
  const bytes = reader.bytes(domain & MAX_DOMAIN_ID_BYTES);
  reader.end();
  const type = domain >> 12;
  if (type === 0) return bytes.length === 0 ? { algorithm, hi, domainId: null } : reader.fail("a domain identifier of no type");
  if (type !== DOMAIN_ID_TYPE.fqdn && type !== DOMAIN_ID_TYPE.nai) return reader.fail(`domain identifier of type ${type}`);
  return bytes.length === 0 ? reader.fail("an empty domain identifier") : { algorithm, hi, domainId: { type, bytes } };
}
