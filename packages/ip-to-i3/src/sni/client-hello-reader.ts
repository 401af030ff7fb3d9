/**
 * Puts a ClientHello together from the records and segments that it comes in (RFC 8446 §5.1), without doing so twice for any byte.
 * It may be cut anywhere, also within its header; of records with other contents in between, or of none, RFC 8446 allows neither.
 */
import { CLIENT_HELLO, HANDSHAKE_HEADER_BYTES, nameOfClientHello, refusedHello, type HelloVerdict } from "./client-hello.js";

// Of RFC 8446 §5.1:
const RECORD_HEADER_BYTES = 5;
const HANDSHAKE = 22;
const MAJOR_VERSION = 3;
const MAX_RECORD_BYTES = 16_384;
// Ours:
/** Of the ClientHello. Those of browsers with keys of ML-KEM have 2 KB. */
export const MAX_HELLO_BYTES = 16_384;
/** With record headers, however small the records are. */
export const MAX_READ_BYTES = 2 * MAX_HELLO_BYTES;

const MORE: HelloVerdict = { kind: "more" };

export class ClientHelloReader {
  #verdict = MORE;
  readonly #header: number[] = [];
  /** Of the record that is read, behind its header. */
  #recordLeft = 0;
  readonly #hello = new Uint8Array(HANDSHAKE_HEADER_BYTES + MAX_HELLO_BYTES);
  #helloBytes = 0;
  #read = 0;

  /** The next bytes of the connection. Never throws; when it has a verdict other than "more" it stays. */
  push(chunk: Uint8Array): HelloVerdict {
    const end = Math.min(chunk.length, MAX_READ_BYTES - this.#read);
    let at = 0;
    while (at < end && this.#verdict.kind === "more") at += this.#recordLeft === 0 ? this.#readHeader(chunk[at] ?? 0) : this.#readBody(chunk.subarray(at, end));
    this.#read += at;
    if (this.#verdict.kind === "more" && end < chunk.length) this.#verdict = refusedHello("too-long");
    return this.#verdict;
  }

  /** Returns how many bytes it took: one. */
  #readHeader(byte: number): number {
    const header = this.#header;
    header.push(byte);
    if (header[0] !== HANDSHAKE || (header.length > 1 && header[1] !== MAJOR_VERSION)) return this.#refuseFirst();
    if (header.length < RECORD_HEADER_BYTES) return 1;
    this.#recordLeft = (header[3] ?? 0) * 256 + (header[4] ?? 0);
    header.length = 0;
    if (this.#recordLeft === 0 || this.#recordLeft > MAX_RECORD_BYTES) this.#verdict = refusedHello("malformed");
    return 1;
  }

  /** What comes first shows who does not speak TLS; SSL 2.0 begins with the length, its highest bit set, and the type 1 (RFC 5246 appendix E.2). */
  #refuseFirst(): number {
    const [first = 0] = this.#header;
    if (this.#helloBytes > 0) this.#verdict = refusedHello("malformed");
    else if ((first & 0x80) === 0) this.#verdict = refusedHello("not-tls");
    else if (this.#header.length === 3) this.#verdict = refusedHello(this.#header[2] === CLIENT_HELLO ? "ssl2" : "not-tls");
    return 1;
  }

  #readBody(bytes: Uint8Array): number {
    const type = this.#helloBytes === 0 ? bytes[0] : this.#hello[0];
    if (type !== CLIENT_HELLO) this.#verdict = refusedHello("malformed");
    const count = Math.min(bytes.length, this.#recordLeft, this.#hello.length - this.#helloBytes);
    this.#hello.set(bytes.subarray(0, count), this.#helloBytes);
    this.#helloBytes += count;
    this.#recordLeft -= count;
    if (this.#verdict.kind !== "more" || this.#helloBytes < HANDSHAKE_HEADER_BYTES) return count;
    const [, high = 0, middle = 0, low = 0] = this.#hello;
    const length = high * 65_536 + middle * 256 + low;
    const end = HANDSHAKE_HEADER_BYTES + length;
    if (length > MAX_HELLO_BYTES) this.#verdict = refusedHello("too-long");
    else if (this.#helloBytes >= end) this.#verdict = nameOfClientHello(this.#hello.subarray(HANDSHAKE_HEADER_BYTES, end));
    return count;
  }
}
