/**
 * ENCRYPTED (RFC 7401 §5.2.18). The length of the IV is that of the negotiated HIP_CIPHER: 0 for NULL, 16 for AES-CBC.
 *
 *     0  reserved 4
 *     4  IV, ciphertext: parameters (tlv.ts), padded to whole blocks
 */
import { concatBytes } from "@i3/common";
import { exactly, FieldReader } from "../fields.js";

export interface Encrypted {
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
}

export const encodeEncrypted = ({ iv, ciphertext }: Encrypted): Uint8Array => concatBytes(new Uint8Array(4), exactly("IV", iv, 0, 16), ciphertext);

/** WireError without any ciphertext; whether it is whole blocks is for the cipher to say. */
export function decodeEncrypted(contents: Uint8Array, ivBytes: 0 | 16): Encrypted {
  const reader = new FieldReader("ENCRYPTED", contents);
  reader.skip(4);
  return { iv: reader.bytes(ivBytes), ciphertext: reader.rest(1) };
}
