/** Locators as they stand in a DatagramBatch: IPv6 or IPv4-mapped address 16, port 2. */
import { makeLocator, type Locator } from "@i3/common";
import { copyBytes, put16, requireLength, u16 } from "./octets.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";

export const PORT_OFFSET = 16;

/** Throws RangeError for a locator that no socket could send to. */
export function encodeEndpoint(locator: Locator): Uint8Array {
  requireLength("locator address", locator.address, 4, 16);
  if (!Number.isInteger(locator.port) || locator.port < 1 || locator.port > 65_535) throw new RangeError(`locator port ${locator.port}`);
  const out = new Uint8Array(ADDRESS_SLOT_BYTES);
  if (locator.address.length === 4) out.fill(0xff, 10, 12);
  out.set(locator.address, PORT_OFFSET - locator.address.length);
  put16(out, PORT_OFFSET, locator.port);
  return out;
}

/** The caller has checked that the port is not 0. */
export const decodeEndpoint = (bytes: Uint8Array, at: number): Locator =>
  makeLocator(copyBytes(bytes, at, at + PORT_OFFSET), u16(bytes, at + PORT_OFFSET));
