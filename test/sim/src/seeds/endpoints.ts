/** Addresses of the virtual network: an IPv4 address and a port as one number, so that maps and comparisons are cheap. */
import { makeLocator, type Locator } from "@i3/common";
import { ADDRESS_SLOT_BYTES, WAY_SLOT_BYTES, type DatagramBatch } from "@i3/datapath";

/** IPv4 address × 65,536 + port. */
export type Endpoint = number;

const PORT = 5_610;
/** 192.0.2 */
const SERVER_NETWORK = (192 * 256 + 0) * 256 + 2;

const endpointOf = (a: number, b: number, c: number, d: number, port: number): Endpoint => (((a * 256 + b) * 256 + c) * 256 + d) * 65_536 + port;

/** Of server number `n`, 0 to 253. */
export const serverEndpoint = (n: number): Endpoint => endpointOf(192, 0, 2, n + 1, PORT);
/** Whether a server is there, was, or will be. */
export const isServerEndpoint = (endpoint: Endpoint): boolean => Math.floor(endpoint / 16_777_216) === SERVER_NETWORK;
/** The `n`th address that a client has had. */
export const clientEndpoint = (n: number): Endpoint => endpointOf(10, 0, n >> 8, n & 255, PORT);
/** The `n`th that a stranger has shown. */
export const strangerEndpoint = (n: number): Endpoint => endpointOf(198, 18, n >> 8, n & 255, 1_024 + (n % 1_000));

export function locatorOf(endpoint: Endpoint): Locator {
  const address = Math.floor(endpoint / 65_536);
  return makeLocator(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address), endpoint % 65_536);
}

export function endpointText(endpoint: Endpoint): string {
  const address = Math.floor(endpoint / 65_536);
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}:${endpoint % 65_536}`;
}

export function endpointOfLocator({ address, port }: Locator): Endpoint {
  const [a = 0, b = 0, c = 0, d = 0] = address;
  return endpointOf(a, b, c, d, port);
}

/** The address of slot `i`, which is IPv4-mapped. */
export function readEndpoint(batch: DatagramBatch, i: number): Endpoint {
  const at = i * ADDRESS_SLOT_BYTES + 12;
  const byte = (offset: number): number => batch.addresses[at + offset] ?? 0;
  return endpointOf(byte(0), byte(1), byte(2), byte(3), byte(4) * 256 + byte(5));
}

export function writeEndpoint(batch: DatagramBatch, i: number, endpoint: Endpoint): void {
  const at = i * ADDRESS_SLOT_BYTES;
  const address = Math.floor(endpoint / 65_536);
  const port = endpoint % 65_536;
  batch.addresses.fill(0, at, at + 10);
  batch.addresses.set([0xff, 0xff, address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255, port >> 8, port & 255], at + 10);
  batch.ways.fill(0, i * WAY_SLOT_BYTES, (i + 1) * WAY_SLOT_BYTES);
}
