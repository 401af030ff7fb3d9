/** The one hash function of the system: SHA-256 with domain separation (docs/wire.md §2). */
import { createHash } from "node:crypto";

/**
 * `H(domain, part…)`: 32 bytes. The input is the ASCII text "i3/1 " + domain, a zero byte, then every part behind its
 * length as two bytes, so that no two lists of parts hash alike.
 */
export function domainHash(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256").update(`i3/1 ${domain}\0`, "latin1");
  for (const part of parts) {
    if (part.length > 0xffff) throw new RangeError(`domainHash: part of ${part.length} bytes`);
    hash.update(Uint8Array.of(part.length >> 8, part.length & 0xff)).update(part);
  }
  return new Uint8Array(hash.digest()); // not a Buffer: its slice() would not copy
}
