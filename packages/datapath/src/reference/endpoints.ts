/**
 * Locators as they stand in a DatagramBatch: an endpoint, which is an IPv6 or IPv4-mapped address 16 and a port 2, and a way.
 *
 *     | via 1: 0 udp, 1 hip, 2 ip, 3 udp without detour, until it leaves; and 0x10 when nobody may cut it | address of ours 16, as above; zeros: the system's choice |
 *     | interface 4; 0: the system's choice |
 *
 * An endpoint with a way behind it is a route.
 */
import { makeLocator, type Locator, type Via, type ViaLocator } from "@i3/common";
import { IP_PROTOCOL, type Datagram } from "../datapath.js";
import { copyBytes, equalAt, put16, put32, putBytes, requireLength, u16, u32, u8 } from "./octets.js";
import { ADDRESS_SLOT_BYTES, WAY_SLOT_BYTES } from "./step.js";

export const PORT_OFFSET = 16;
export const WAY_OFFSET = { local: 1, interfaceIndex: 17 } as const;
/** As the system counts them. */
const MAX_INTERFACE_INDEX = 0x7fff_ffff;
export const ROUTE_BYTES = ADDRESS_SLOT_BYTES + WAY_SLOT_BYTES;
export const VIAS = ["udp", "hip", "ip"] as const satisfies readonly Via[];
export const VIA = { udp: 0, hip: 1, ip: 2 } as const satisfies Record<Via, number>;
/** In the place of {@link VIA}.udp, for a datagram that takes no detour: in what waits to leave, never in a batch. */
export const VIA_STRAIGHT = 3;
const VIA_MASK = 0x0f;
const WHOLE = 0x10;
const ADDRESS_BYTES = 16;
const UDP_HEADER_BYTES = 8;
/** Before an IPv4 address (RFC 4291 §2.5.5.2). */
const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

function putAddress(out: Uint8Array, at: number, address: Uint8Array): void {
  if (address.length === 4) putBytes(out, at, MAPPED);
  putBytes(out, at + ADDRESS_BYTES - address.length, address);
}

/** As it stands in an endpoint, 16 bytes. Throws RangeError. */
export function encodeAddress(address: Uint8Array): Uint8Array {
  requireLength("address", address, 4, ADDRESS_BYTES);
  const out = new Uint8Array(ADDRESS_BYTES);
  putAddress(out, 0, address);
  return out;
}

/** Throws RangeError for a locator that no socket could send to. */
export function encodeEndpoint(locator: Locator): Uint8Array {
  const out = new Uint8Array(ADDRESS_SLOT_BYTES);
  putEndpoint(out, 0, locator);
  return out;
}

/** The same into 18 zero bytes at `at`. */
export function putEndpoint(out: Uint8Array, at: number, { address, port }: Locator): void {
  requireLength("locator address", address, 4, 16);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RangeError(`locator port ${port}`);
  putAddress(out, at, address);
  put16(out, at + PORT_OFFSET, port);
}

/** With its way. Throws RangeError as {@link encodeEndpoint}, and for a way that no socket has. */
export function encodeRoute(locator: ViaLocator): Uint8Array {
  const { via = "udp", local, interfaceIndex = 0, isWhole = false, address, port } = locator;
  const out = new Uint8Array(ROUTE_BYTES);
  out.set(encodeEndpoint(locator));
  if (!Object.hasOwn(VIA, via)) throw new RangeError(`a locator via ${String(via)}`);
  if (via === "ip" && port !== IP_PROTOCOL.hip && port !== IP_PROTOCOL.esp) throw new RangeError(`IP protocol ${port}, expected ${IP_PROTOCOL.hip} or ${IP_PROTOCOL.esp}`);
  if (local !== undefined && local.length !== address.length) throw new RangeError("an address of ours of another family");
  requireInterface(interfaceIndex);
  if (isWhole && via === "ip") throw new RangeError("whole datagrams by IP");
  out[ADDRESS_SLOT_BYTES] = VIA[via] | (isWhole ? WHOLE : 0);
  if (local !== undefined) putAddress(out, ADDRESS_SLOT_BYTES + WAY_OFFSET.local, local);
  put32(out, ADDRESS_SLOT_BYTES + WAY_OFFSET.interfaceIndex, interfaceIndex);
  return out;
}

/** Of a datagram of the control plane's. Throws as {@link encodeRoute}. */
export function encodeDatagramRoute({ locator, isStraight = false }: Pick<Datagram, "locator" | "isStraight">): Uint8Array {
  const route = encodeRoute(locator);
  if (isStraight && viaAt(route, ADDRESS_SLOT_BYTES) === VIA.udp) putVia(route, ADDRESS_SLOT_BYTES, VIA_STRAIGHT);
  return route;
}

/** A number of {@link VIA}, or {@link VIA_STRAIGHT}. */
export const viaAt = (ways: Uint8Array, wayAt: number): number => u8(ways, wayAt) & VIA_MASK;

/** What else the way says stays. */
export function putVia(ways: Uint8Array, wayAt: number, via: number): void {
  ways[wayAt] = (u8(ways, wayAt) & ~VIA_MASK) | via;
}

/** Throws RangeError. */
export function requireInterface(index: number): void {
  if (!Number.isInteger(index) || index < 0 || index > MAX_INTERFACE_INDEX) throw new RangeError(`interface ${index}`);
}

/** Whether it goes by the main port, and names no place of ours. */
export function isPlaceless(ways: Uint8Array, wayAt: number): boolean {
  for (let i = WAY_OFFSET.local; i < WAY_SLOT_BYTES; i++) if (u8(ways, wayAt + i) !== 0) return false;
  return viaAt(ways, wayAt) === VIA.udp;
}

/** Of a datagram that takes this route: bare in IP there is none. */
export const udpHeaderBytes = (route: Uint8Array): number => (viaAt(route, ADDRESS_SLOT_BYTES) === VIA.ip ? 0 : UDP_HEADER_BYTES);

/** The caller has checked that the port is not 0. */
export function decodeEndpoint(bytes: Uint8Array, at: number): Locator {
  const port = u16(bytes, at + PORT_OFFSET);
  // Of each upcall's sender: IPv4 with one copy.
  if (equalAt(bytes, at, MAPPED)) return Object.freeze({ address: copyBytes(bytes, at + MAPPED.length, at + PORT_OFFSET), port });
  return makeLocator(copyBytes(bytes, at, at + PORT_OFFSET), port);
}

/** `ways[wayAt …]`: the way beside the endpoint. Without fields that say what is so unless said otherwise. */
export function decodeRoute(bytes: Uint8Array, at: number, ways: Uint8Array, wayAt: number): ViaLocator {
  const locator = decodeEndpoint(bytes, at);
  const via = VIAS[viaAt(ways, wayAt)] ?? "udp";
  const isWhole = (u8(ways, wayAt) & WHOLE) !== 0;
  const interfaceAt = wayAt + WAY_OFFSET.interfaceIndex;
  const hasLocal = ways.subarray(wayAt + WAY_OFFSET.local, interfaceAt).some((byte) => byte !== 0);
  const interfaceIndex = u32(ways, interfaceAt);
  return Object.freeze({
    ...locator, ...(via !== "udp" && { via }), ...(hasLocal && { local: makeLocator(copyBytes(ways, wayAt + WAY_OFFSET.local, interfaceAt), 1).address }), ...(interfaceIndex !== 0 && { interfaceIndex }),
    ...(isWhole && { isWhole }),
  });
}
