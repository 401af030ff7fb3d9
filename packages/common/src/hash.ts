/** The one hash function of the system: SHA-256 with domain separation (docs/wire.md §2). */
import { hash } from "node:crypto";

/**
 * `H(domain, part…)`: 32 bytes. The input is the ASCII text "i3/1 " + domain, a zero byte, then every part behind its
 * length as two bytes, so that no two lists of parts hash alike.
 */
export function domainHash(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const label = `i3/1 ${domain}\0`;
  const input = Buffer.alloc(parts.reduce((length, part) => length + 2 + part.length, label.length));
  let at = input.write(label, "latin1");
  for (const part of parts) {
    if (part.length > 0xffff) throw new RangeError(`domainHash: part of ${part.length} bytes`);
    input[at] = part.length >> 8;
    input[at + 1] = part.length & 0xff;
    input.set(part, at + 2);
    at += 2 + part.length;
  }
  return new Uint8Array(hash("sha256", input, "buffer")); // not a Buffer: its slice() would not copy
}
