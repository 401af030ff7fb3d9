/**
 * The header of the PROXY protocol, version 2 (haproxy, doc/proxy-protocol.txt §2.2): in front of a connection's bytes, from whom and to which address it came.
 *
 *     0           12        13         14        16
 *     ┌───────────┬─────────┬──────────┬─────────┬────────┬─────────────┬──────────┬──────────────────┐
 *     │ signature │ 2 | cmd │ af | pro │ length  │ source │ destination │ source's │ destination's    │
 *     │ 12        │ 0, 1    │ 0x11…    │ 16 bit  │ 4 / 16 │ 4 / 16      │ port 16  │ port 16          │
 *     └───────────┴─────────┴──────────┴─────────┴────────┴─────────────┴──────────┴──────────────────┘
 */
const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const VERSION = 0x20;
const COMMAND = { local: 0, proxy: 1 } as const;
const UNSPEC = 0x00;
const TCP_IPV4 = 0x11;
const TCP_IPV6 = 0x21;

export interface TcpEnd {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Of a TCP connection that somebody else's is passed on by. Ends that are not of one family are unknown: UNSPEC, without addresses. */
export function proxyHeader(source: TcpEnd, destination: TcpEnd): Uint8Array {
  const { length } = source.address;
  if (length !== destination.address.length || (length !== 4 && length !== 16)) return header(COMMAND.proxy, UNSPEC, new Uint8Array(0));
  const addresses = Uint8Array.of(...source.address, ...destination.address, ...uint16(source.port), ...uint16(destination.port));
  return header(COMMAND.proxy, length === 4 ? TCP_IPV4 : TCP_IPV6, addresses);
}

/** Of a connection that nobody else asked for, such as a test whether the host is there: its own addresses are the true ones. */
export const localHeader = (): Uint8Array => header(COMMAND.local, UNSPEC, new Uint8Array(0));

const header = (command: number, family: number, addresses: Uint8Array): Uint8Array =>
  Uint8Array.of(...SIGNATURE, VERSION | command, family, ...uint16(addresses.length), ...addresses);

const uint16 = (value: number): readonly [number, number] => [value >> 8, value & 0xff];
