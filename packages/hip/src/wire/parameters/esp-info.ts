/**
 * ESP_INFO (RFC 7402 §5.1.1).
 *
 *     0  reserved 2 | KEYMAT index 2
 *     4  old SPI 4
 *     8  new SPI 4
 */
import { concatBytes } from "@i3/common";
import { FieldReader, uintBytes } from "../fields.js";

export interface EspInfo {
  /** Bytes of KEYMAT before the first ESP key; 0 in an UPDATE without a new Diffie-Hellman secret and new keys. */
  readonly keymatIndex: number;
  /** 0 when the association is new. */
  readonly oldSpi: number;
  /** The SPI at which the sender wants to be sent to; equal to the old one when only the address changes, 0 when it goes away. */
  readonly newSpi: number;
}

export const encodeEspInfo = (fields: EspInfo): Uint8Array =>
  concatBytes(uintBytes(2, 0), uintBytes(2, fields.keymatIndex), uintBytes(4, fields.oldSpi), uintBytes(4, fields.newSpi));

export function decodeEspInfo(contents: Uint8Array): EspInfo {
  const reader = new FieldReader("ESP_INFO", contents);
  reader.skip(2);
  const fields = { keymatIndex: reader.uint(2), oldSpi: reader.uint(4), newSpi: reader.uint(4) };
  reader.end();
  return fields;
}
