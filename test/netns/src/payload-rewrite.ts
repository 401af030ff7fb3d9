/**
 * What a meddling middlebox ("ALG") does to UDP over IPv4: an address inside the payload becomes another, as four bytes and as
 * text, and lengths and checksums are put right. Pure.
 *
 * This is why STUN has XOR-MAPPED-ADDRESS (RFC 8489 §14.2): a packet that says where it came from may be told otherwise.
 */
export interface AddressRewrite {
  /** IPv4 addresses, "192.168.1.10". */
  readonly from: string;
  readonly to: string;
}

const IP_HEADER_BYTES_MIN = 20;
const UDP_HEADER_BYTES = 8;
const PROTOCOL_UDP = 17;
/** More fragments, and the offset. */
const FRAGMENT_MASK = 0x3fff;
const PACKET_BYTES_MAX = 65_535;

/** A new packet, or `packet` itself where there is nothing to change: other protocols, fragments, headers that do not add up. */
export function rewriteAddresses(packet: Uint8Array, { from, to }: AddressRewrite): Uint8Array {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if (packet.length < IP_HEADER_BYTES_MIN + UDP_HEADER_BYTES || view.getUint8(0) >> 4 !== 4) return packet;
  const ipBytes = (view.getUint8(0) & 0xf) * 4;
  const isWholeUdp = view.getUint8(9) === PROTOCOL_UDP && (view.getUint16(6) & FRAGMENT_MASK) === 0;
  if (!isWholeUdp || ipBytes < IP_HEADER_BYTES_MIN || view.getUint16(2) !== packet.length) return packet;
  if (packet.length < ipBytes + UDP_HEADER_BYTES || view.getUint16(ipBytes + 4) !== packet.length - ipBytes) return packet;
  const payload = replaced(packet.subarray(ipBytes + UDP_HEADER_BYTES), from, to);
  const bytes = ipBytes + UDP_HEADER_BYTES + (payload?.length ?? 0);
  if (payload === undefined || bytes > PACKET_BYTES_MAX) return packet;
  const result = new Uint8Array(bytes);
  result.set(packet.subarray(0, ipBytes + UDP_HEADER_BYTES));
  result.set(payload, ipBytes + UDP_HEADER_BYTES);
  mend(new DataView(result.buffer), ipBytes);
  return result;
}

function replaced(payload: Uint8Array, from: string, to: string): Uint8Array | undefined {
  const patterns = [
    { find: Uint8Array.from(from.split("."), Number), put: Uint8Array.from(to.split("."), Number), isText: false },
    { find: new TextEncoder().encode(from), put: new TextEncoder().encode(to), isText: true },
  ];
  const result: number[] = [];
  let isChanged = false;
  for (let at = 0; at < payload.length; ) {
    const pattern = patterns.find(({ find, isText }) => startsWith(payload, at, find) && !(isText && isInsideNumber(payload, at, find.length)));
    if (pattern === undefined) {
      result.push(payload[at] ?? 0);
      at++;
      continue;
    }
    isChanged = true;
    result.push(...pattern.put);
    at += pattern.find.length;
  }
  return isChanged ? Uint8Array.from(result) : undefined;
}

function startsWith(bytes: Uint8Array, at: number, find: Uint8Array): boolean {
  return find.every((byte, i) => bytes[at + i] === byte);
}

/** "192.168.1.1" is not in "192.168.1.10". */
function isInsideNumber(bytes: Uint8Array, at: number, length: number): boolean {
  const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
  return isDigit(bytes[at - 1]) || isDigit(bytes[at + length]);
}

/** Lengths and both checksums (RFC 791, RFC 768); a UDP checksum of 0, "none", stays so. */
function mend(view: DataView, ipBytes: number): void {
  const udpBytes = view.byteLength - ipBytes;
  view.setUint16(2, view.byteLength);
  view.setUint16(10, 0);
  view.setUint16(10, complement(sum16(view, 0, ipBytes)));
  view.setUint16(ipBytes + 4, udpBytes);
  if (view.getUint16(ipBytes + 6) === 0) return;
  view.setUint16(ipBytes + 6, 0);
  const pseudoHeader = sum16(view, 12, 20) + PROTOCOL_UDP + udpBytes;
  view.setUint16(ipBytes + 6, complement(pseudoHeader + sum16(view, ipBytes, view.byteLength)) || 0xffff);
}

function sum16(view: DataView, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at + 1 < end; at += 2) sum += view.getUint16(at);
  return (end - start) % 2 === 0 ? sum : sum + (view.getUint8(end - 1) << 8);
}

function complement(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}
