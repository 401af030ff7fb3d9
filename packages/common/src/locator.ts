/**
 * Locators: an address and UDP port where a host or server is reached (docs/wire.md §2).
 *
 *     IPv4:  | address 4  | port 2 |     6 bytes
 *     IPv6:  | address 16 | port 2 |    18 bytes
 */
import { bytesKey, sameBytes } from "./bytes.js";
import { formatIpText } from "./config/ip-text.js";
import { WireError } from "./errors.js";

/** Where a datagram goes to or comes from. IPv4-mapped IPv6 addresses are always held as IPv4. */
export interface Locator {
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** 1–65535. */
  readonly port: number;
}

/**
 * Which of a host's sockets a datagram passes: `udp` the main port, `hip` the port of HIP in UDP (RFC 9028), `ip` none: IP itself, where the
 * protocol's number (139 HIP, 50 ESP) stands in the place of the port.
 */
export type Via = "udp" | "hip" | "ip";

/** A locator as this host's packet engine reaches it. */
export interface ViaLocator extends Locator {
  /** @default udp */
  readonly via?: Via;
  /** The address of ours that is to be used, as long as `address`. @default the system's choice */
  readonly local?: Uint8Array;
  /** The number of the interface that is to be used. @default 0, the system's choice */
  readonly interfaceIndex?: number;
  /** Nobody may cut what goes there: it is refused when the interface cannot take it, and lost on a path that cannot. Not by `ip`. @default false, the system cuts as it knows the path, and over IPv4 routers do */
  readonly isWhole?: boolean;
}

/** ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
function isMapped(address: Uint8Array): boolean {
  if (address.length !== 16 || address[10] !== 0xff || address[11] !== 0xff) return false;
  for (let i = 0; i < 10; i += 1) if (address[i] !== 0) return false;
  return true;
}

/** An IPv4-mapped address as IPv4, every other one as it is. Shares its bytes. */
export const unmapped = (address: Uint8Array): Uint8Array => (isMapped(address) ? address.subarray(12) : address);

/** Makes a locator from 4 or 16 address bytes (copied); IPv4-mapped becomes IPv4. Throws WireError on other lengths or port 0. */
export function makeLocator(address: Uint8Array, port: number): Locator {
  if (address.length !== 4 && address.length !== 16) throw new WireError("locator address", `length ${address.length}`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new WireError("locator port", String(port));
  return Object.freeze({ address: unmapped(address).slice(), port });
}

/** 6 or 18 bytes. */
export function encodeLocator(locator: Locator): Uint8Array {
  const out = new Uint8Array(locator.address.length + 2);
  out.set(locator.address);
  out[out.length - 2] = locator.port >> 8;
  out[out.length - 1] = locator.port & 0xff;
  return out;
}

/** The inverse of {@link encodeLocator}. Throws WireError. */
export function decodeLocator(bytes: Uint8Array): Locator {
  if (bytes.length !== 6 && bytes.length !== 18) throw new WireError("locator", `length ${bytes.length}`);
  const end = bytes.length - 2;
  const port = ((bytes[end] ?? 0) << 8) | (bytes[end + 1] ?? 0);
  // Of each server that a message between servers names: IPv4 with one copy.
  if (end === 4 && port !== 0) return Object.freeze({ address: Uint8Array.of(bytes[0]!, bytes[1]!, bytes[2]!, bytes[3]!), port });
  return makeLocator(bytes.subarray(0, end), port);
}

export const sameLocator = (a: Locator, b: Locator): boolean =>
  a.port === b.port && sameBytes(a.address, b.address);

/** Both of IPv4, or both of IPv6. */
export const isSameFamily = (a: Locator, b: Locator): boolean => a.address.length === b.address.length;

/** The same address, port, socket and place of ours. */
export const sameViaLocator = (a: ViaLocator, b: ViaLocator): boolean =>
  sameLocator(a, b) && (a.via ?? "udp") === (b.via ?? "udp") && sameLocal(a.local, b.local) && (a.interfaceIndex ?? 0) === (b.interfaceIndex ?? 0);

const sameLocal = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.length === b.length && a.every((byte, i) => b[i] === byte));

/** For people and logs: `192.0.2.7:5610`, `[2001:db8::1]:5610`. */
export const locatorText = (locator: Locator): string =>
  locator.address.length === 4 ? `${formatIpText(locator.address)}:${locator.port}` : `[${formatIpText(locator.address)}]:${locator.port}`;

/** A key for Map and Set. */
export function locatorKey(locator: Locator): string {
  const { address: a, port } = locator;
  // Of every datagram's origin: IPv4 in a tenth of the time.
  return a.length === 4 ? String.fromCharCode(a[0]!, a[1]!, a[2]!, a[3]!, port >> 8, port & 0xff) : bytesKey(encodeLocator(locator));
}
