/**
 * Packets for tests, and the checksum oracle: the whole computation over pseudo-header and payload (RFC 1071), which shares no
 * code with the engine's incremental one.
 */

export const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
export const ip4 = (text: string): Uint8Array => Uint8Array.from(text.split(".").map(Number));

/** `fd69:3300::` and two more bytes. */
export const ip6 = (last: number): Uint8Array => bytes(0xfd, 0x69, 0x33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last >> 8, last & 0xff);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const be16 = (value: number): Uint8Array => bytes((value >> 8) & 0xff, value & 0xff);
export const be32 = (value: number): Uint8Array => concat(be16(value >>> 16), be16(value & 0xffff));

/** An id: its ring key is all `key`, its suffix is `suffix` padded with zeros. */
export function makeId(key: number, ...suffix: readonly number[]): Uint8Array {
  const id = new Uint8Array(32).fill(key, 0, 16);
  id.set(suffix, 16);
  return id;
}

/** The Internet checksum of all parts together. */
export function fullChecksum(...parts: readonly Uint8Array[]): number {
  const all = concat(...parts);
  let sum = 0;
  for (let i = 0; i < all.length; i++) sum += i % 2 === 0 ? (all[i] ?? 0) * 256 : (all[i] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

const pseudoHeader = (source: Uint8Array, destination: Uint8Array, protocol: number, length: number): Uint8Array =>
  source.length === 4
    ? concat(source, destination, bytes(0, protocol), be16(length))
    : concat(source, destination, be32(length), bytes(0, 0, 0, protocol));

const withWord = (packet: Uint8Array, at: number, value: number): Uint8Array => {
  const out = Uint8Array.from(packet);
  out.set(be16(value), at);
  return out;
};

const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 };

/** Fills in the checksum of a transport message of protocol 1, 6, 17 or 58. */
export function sealTransport(source: Uint8Array, destination: Uint8Array, protocol: number, message: Uint8Array): Uint8Array {
  const at = CHECKSUM_AT[protocol];
  if (at === undefined || at + 2 > message.length) return message;
  const empty = withWord(message, at, 0);
  const pseudo = protocol === 1 ? new Uint8Array(0) : pseudoHeader(source, destination, protocol, message.length);
  const sum = fullChecksum(pseudo, empty);
  return withWord(message, at, protocol === 17 && sum === 0 ? 0xffff : sum);
}

export interface Ip4Fields {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly options?: Uint8Array;
  /** The flags and fragment offset word. */
  readonly fragment?: number;
  readonly totalLength?: number;
  readonly ttl?: number;
  readonly trafficClass?: number;
  readonly identification?: number;
}

export function ip4Packet(fields: Ip4Fields, payload: Uint8Array): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const headerBytes = 20 + options.length;
  const header = concat(
    bytes(0x40 | (headerBytes / 4), fields.trafficClass ?? 0),
    be16(fields.totalLength ?? headerBytes + payload.length),
    be16(fields.identification ?? 0x1234),
    be16(fields.fragment ?? 0),
    bytes(fields.ttl ?? 64, fields.protocol, 0, 0),
    fields.source,
    fields.destination,
    options,
  );
  return concat(withWord(header, 10, fullChecksum(header)), payload);
}

export interface Ip6Fields {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly nextHeader: number;
  readonly payloadLength?: number;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
}

export function ip6Packet(fields: Ip6Fields, payload: Uint8Array): Uint8Array {
  const header = concat(be16(0x6000 | ((fields.trafficClass ?? 0) << 4)), bytes(0, 0), be16(fields.payloadLength ?? payload.length), bytes(fields.nextHeader, fields.hopLimit ?? 64), fields.source, fields.destination);
  return concat(header, payload);
}

export const data = (length: number, seed = 7): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17) & 0xff);

export const tcp = (payload: Uint8Array): Uint8Array => concat(be16(40_000), be16(80), be32(1), be32(2), bytes(0x50, 0x18), be16(1000), be16(0), be16(0), payload);
export const udp = (payload: Uint8Array): Uint8Array => concat(be16(5_000), be16(53), be16(8 + payload.length), be16(0), payload);
export const icmp = (type: number, code: number, rest: Uint8Array): Uint8Array => concat(bytes(type, code, 0, 0), rest);

/** A whole packet with right checksums, of the family of its addresses. */
export function packet(source: Uint8Array, destination: Uint8Array, protocol: number, message: Uint8Array): Uint8Array {
  const sealed = sealTransport(source, destination, protocol, message);
  return source.length === 4 ? ip4Packet({ source, destination, protocol }, sealed) : ip6Packet({ source, destination, nextHeader: protocol }, sealed);
}

/** A control datagram with other bytes in the place of `[from, to)` of its body, and 160 bytes long again. */
export function withBody(whole: Uint8Array, from: number, to: number, instead: readonly number[]): Uint8Array {
  const body = whole.subarray(16, 16 + (whole[5] ?? 0));
  const changed = concat(body.subarray(0, from), Uint8Array.from(instead), body.subarray(to));
  const out = concat(whole.subarray(0, 16), changed, new Uint8Array(160 - 16 - changed.length));
  out[5] = changed.length;
  return out;
}
