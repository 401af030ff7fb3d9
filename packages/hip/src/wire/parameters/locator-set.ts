/**
 * LOCATOR_SET (RFC 8046 §4), any number of
 *
 *     0  traffic type 1 | locator type 1 | length of the locator in 4 bytes 1 | reserved 7 bits, P 1
 *     4  lifetime 4
 *     8  type 0: address 16; type 1: SPI 4, address 16
 *
 * An IPv4 address is written as IPv4-mapped IPv6. Locators of other types are counted and skipped: a NOTIFY with LOCATOR_TYPE_UNSUPPORTED may answer.
 */
import { concatBytes } from "@i3/common";
import { exactly, FieldReader, uintBytes } from "../fields.js";

/** Ours: what follows is dropped unread; a packet has room for 83. */
export const MAX_LOCATORS = 16;
export const TRAFFIC_TYPE = { both: 0, signaling: 1, data: 2 } as const;

const TYPE_ADDRESS = 0;
const TYPE_ESP = 1;

export interface HipLocator {
  /** {@link TRAFFIC_TYPE}; other numbers are passed on. */
  readonly trafficType: number;
  /** P: the one to use first. */
  readonly preferred: boolean;
  readonly lifetimeSeconds: number;
  /** Locator type 1 when it is a number, type 0 when null. */
  readonly spi: number | null;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
}

export interface LocatorSet {
  readonly locators: readonly HipLocator[];
  /** How many were of a type that is not known. */
  readonly unsupported: number;
}

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

const isMapped = (address: Uint8Array): boolean => MAPPED_PREFIX.every((byte, i) => address[i] === byte);

function encodeLocator(locator: HipLocator): Uint8Array {
  const address = exactly("address", locator.address, 4, 16);
  const value = concatBytes(locator.spi === null ? new Uint8Array(0) : uintBytes(4, locator.spi), address.length === 4 ? MAPPED_PREFIX : new Uint8Array(0), address);
  return concatBytes(
    uintBytes(1, locator.trafficType), uintBytes(1, locator.spi === null ? TYPE_ADDRESS : TYPE_ESP), uintBytes(1, value.length / 4),
    uintBytes(1, locator.preferred ? 1 : 0), uintBytes(4, locator.lifetimeSeconds), value);
}

/** RangeError with more than {@link MAX_LOCATORS}. An empty set says that the host has no address at which it may be reached. */
export function encodeLocatorSet(locators: readonly HipLocator[]): Uint8Array {
  if (locators.length > MAX_LOCATORS) throw new RangeError(`${locators.length} locators`);
  return concatBytes(...locators.map(encodeLocator));
}

function readLocator(reader: FieldReader): HipLocator | null {
  const trafficType = reader.uint(1);
  const type = reader.uint(1);
  const valueBytes = reader.uint(1) * 4;
  const preferred = (reader.uint(1) & 1) === 1;
  const lifetimeSeconds = reader.uint(4);
  if (type !== TYPE_ADDRESS && type !== TYPE_ESP) {
    reader.skip(valueBytes);
    return null;
  }
  if (valueBytes !== (type === TYPE_ESP ? 20 : 16)) reader.fail(`a locator of type ${type} and ${valueBytes} bytes`);
  const spi = type === TYPE_ESP ? reader.uint(4) : null;
  const address = reader.bytes(16);
  return { trafficType, preferred, lifetimeSeconds, spi, address: isMapped(address) ? address.slice(MAPPED_PREFIX.length) : address };
}

export function decodeLocatorSet(contents: Uint8Array): LocatorSet {
  const reader = new FieldReader("LOCATOR_SET", contents);
  const locators: HipLocator[] = [];
  let unsupported = 0;
  while (reader.left > 0) {
    const locator = readLocator(reader);
    if (locator === null) unsupported++;
    else if (locators.length < MAX_LOCATORS) locators.push(locator);
  }
  return { locators, unsupported };
}
