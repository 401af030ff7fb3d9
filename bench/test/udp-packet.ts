/** IPv4 and UDP around a datagram, from and to port 10500; checksums are zero. */
const PORT = 10_500;

const be16 = (value: number): readonly number[] => [value >> 8, value & 0xff];

/** Addresses are 4 bytes. */
export function udpPacket(source: readonly number[], destination: readonly number[], datagram: readonly number[]): Uint8Array {
  const head = [0x45, 0, ...be16(28 + datagram.length), 0, 1, 0x40, 0, 64, 17, 0, 0, ...source, ...destination];
  return Uint8Array.from([...head, ...be16(PORT), ...be16(PORT), ...be16(8 + datagram.length), 0, 0, ...datagram]);
}
