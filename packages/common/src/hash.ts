/** The one hash function of the system: SHA-256 with domain separation (docs/wire.md §2). */
import { hash } from "node:crypto";

const LENGTH_BYTES = 2;

/**
 * `H(domain, part…)`: 32 bytes. The input is the ASCII text "i3/1 " + domain, a zero byte, then every part behind its
 * length as two bytes, so that no two lists of parts hash alike.
 */
export function domainHash(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const beginning = `i3/1 ${domain}\0`;
  const input = Buffer.allocUnsafe(parts.reduce((sum, part) => sum + LENGTH_BYTES + part.length, beginning.length));
  let at = input.write(beginning, "latin1");
  for (const part of parts) {
    if (part.length > 0xffff) throw new RangeError(`domainHash: part of ${part.length} bytes`);
    at = input.writeUInt16BE(part.length, at);
    input.set(part, at);
    at += part.length;
  }
  return bytesOf(sha256(input));
}

/** SHA-256 as a string with one character a byte: a third of what an object of `createHash` and its Buffer take, and servers hash for every request. */
export const sha256 = (input: Uint8Array): string => hash("sha256", input, "binary");

/** The bytes of such a string; not a Buffer, whose slice() would not copy. */
function bytesOf(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) out[i] = text.charCodeAt(i);
  return out;
}
