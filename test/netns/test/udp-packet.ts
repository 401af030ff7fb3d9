/** UDP over IPv4 by hand, and its checksums checked by the definition of RFC 1071: the sum of everything is all ones. */
import { expect } from "vitest";

/** From 192.168.1.1 port 1 to 192.0.2.6 port 2, checksums right. */
export function udpPacket(payload: Uint8Array, { protocol = 17, fragment = 0 } = {}): Uint8Array {
  const packet = new Uint8Array(28 + payload.length);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0, 0, 0, 0, 1, fragment >> 8, fragment & 0xff, 64, protocol, 0, 0, 192, 168, 1, 1, 192, 0, 2, 6]);
  view.setUint16(2, packet.length);
  view.setUint16(20, 1);
  view.setUint16(22, 2);
  view.setUint16(24, 8 + payload.length);
  packet.set(payload, 28);
  view.setUint16(10, ~sum(packet.subarray(0, 20)) & 0xffff);
  view.setUint16(26, ~sum(pseudo(packet)) & 0xffff);
  return packet;
}

export function expectChecksums(packet: Uint8Array): void {
  const view = new DataView(packet.buffer, packet.byteOffset);
  expect([view.getUint16(2), view.getUint16(24)], "lengths").toEqual([packet.length, packet.length - 20]);
  expect([sum(packet.subarray(0, 20)), sum(pseudo(packet))], "checksums").toEqual([0xffff, 0xffff]);
}

function pseudo(packet: Uint8Array): Uint8Array {
  const length = packet.length - 20;
  return Uint8Array.from([...packet.subarray(12, 20), 0, 17, length >> 8, length & 0xff, ...packet.subarray(20)]);
}

function sum(bytes: Uint8Array): number {
  let total = 0;
  bytes.forEach((byte, i) => (total += i % 2 === 0 ? byte << 8 : byte));
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
