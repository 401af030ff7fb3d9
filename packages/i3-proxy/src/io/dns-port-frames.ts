/** DNS messages in a TCP stream (RFC 1035 §4.2.2): length 2, message. */
import { Buffer } from "node:buffer";

const LENGTH_BYTES = 2;

/** Cuts a stream into messages; holds at most one unfinished message of 64 KiB and what came with it. */
export class DnsFrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that a chunk completes. */
  push(chunk: Buffer): Buffer[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (bytes.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + bytes.readUInt16BE(0);
      if (bytes.length < end) break;
      messages.push(bytes.subarray(LENGTH_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = Buffer.from(bytes);
    return messages;
  }
}

/** Length and message in one piece, so that they leave in one segment (RFC 7766 §8). */
export function dnsFrame(message: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(LENGTH_BYTES + message.length);
  out.writeUInt16BE(message.length, 0);
  out.set(message, LENGTH_BYTES);
  return out;
}
