/**
 * LOCATOR_SET (RFC 8046 §4; type 2: RFC 9028 §5.7), any number of
 *
 *     0  traffic type 1 | locator type 1 | length of the locator in 4 bytes 1 | reserved 7 bits, P 1
 *     4  lifetime 4
 *     8  type 0: address 16; type 1: SPI 4, address 16; type 2: port 2, transport protocol 1, kind 1, priority 4, SPI 4, address 16
 *
 * An IPv4 address is written as IPv4-mapped IPv6. Locators of other types are counted and skipped.
 */
import { concatBytes } from "@i3/common";
import { exactly, FieldReader, uintBytes } from "../fields.js";

/** Ours: what follows is dropped unread; a packet has room for 83. */
export const MAX_LOCATORS = 16;
export const TRAFFIC_TYPE = { both: 0, signaling: 1, data: 2 } as const;

const TYPE_ADDRESS = 0;
const TYPE_ESP = 1;
const TYPE_TRANSPORT = 2;
/** In units of 4 bytes. */
const LENGTHS: Readonly<Record<number, number>> = { [TYPE_ADDRESS]: 4, [TYPE_ESP]: 5, [TYPE_TRANSPORT]: 7 };
/** Of type 2: the only transport protocol that has a meaning (RFC 9028 §5.7). */
export const PROTOCOL_UDP = 17;
/** Of type 2: how its host came to know of the address (RFC 8445 §5.1.1). */
export const LOCATOR_KIND = { host: 0, serverReflexive: 1, peerReflexive: 2, relayed: 3 } as const;

/** What a locator of type 2 has beyond type 1. */
export interface TransportLocator {
  readonly port: number;
  /** {@link PROTOCOL_UDP}; other numbers are passed on, and so are kinds. */
  readonly protocol: number;
  /** {@link LOCATOR_KIND}. */
  readonly kind: number;
  /** 32 bits, greater is better (RFC 8445 §5.1.2). */
  readonly priority: number;
}

export interface HipLocator {
  /** {@link TRAFFIC_TYPE}; other numbers are passed on. */
  readonly trafficType: number;
  /** P: the one to use first. */
  readonly preferred: boolean;
  readonly lifetimeSeconds: number;
  /** Locator type 1 or 2 when it is a number, type 0 when null. */
  readonly spi: number | null;
  /** Locator type 2 when it is there, which has an SPI. */
  readonly transport?: TransportLocator;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
}

export interface LocatorSet {
  readonly locators: readonly HipLocator[];
  /** How many were of a type that is not known, or came behind {@link MAX_LOCATORS}. */
  readonly skipped: number;
}

const NOTHING = new Uint8Array(0);
const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

const isMapped = (address: Uint8Array): boolean => MAPPED_PREFIX.every((byte, i) => address[i] === byte);

const transportBytes = ({ port, protocol, kind, priority }: TransportLocator): Uint8Array =>
  concatBytes(uintBytes(2, port), uintBytes(1, protocol), uintBytes(1, kind), uintBytes(4, priority));

function typeOf({ spi, transport }: HipLocator): number {
  if (transport === undefined) return spi === null ? TYPE_ADDRESS : TYPE_ESP;
  if (spi === null) throw new RangeError("a locator with a port and without an SPI");
  return TYPE_TRANSPORT;
}

function encodeLocator(locator: HipLocator): Uint8Array {
  const address = exactly("address", locator.address, 4, 16);
  const type = typeOf(locator);
  const value = concatBytes(
    locator.transport === undefined ? NOTHING : transportBytes(locator.transport), locator.spi === null ? NOTHING : uintBytes(4, locator.spi),
    address.length === 4 ? MAPPED_PREFIX : NOTHING, address);
  return concatBytes(
    uintBytes(1, locator.trafficType), uintBytes(1, type), uintBytes(1, value.length / 4),
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
  const length = LENGTHS[type];
  if (length === undefined) {
    reader.skip(valueBytes);
    return null;
  }
  if (valueBytes !== length * 4) reader.fail(`a locator of type ${type} and ${valueBytes} bytes`);
  const transport = type === TYPE_TRANSPORT ? { transport: { port: reader.uint(2), protocol: reader.uint(1), kind: reader.uint(1), priority: reader.uint(4) } } : {};
  const spi = type === TYPE_ADDRESS ? null : reader.uint(4);
  const address = reader.bytes(16);
  return { trafficType, preferred, lifetimeSeconds, spi, ...transport, address: isMapped(address) ? address.slice(MAPPED_PREFIX.length) : address };
}

export function decodeLocatorSet(contents: Uint8Array): LocatorSet {
  const reader = new FieldReader("LOCATOR_SET", contents);
  const locators: HipLocator[] = [];
  let skipped = 0;
  while (reader.left > 0) {
    const locator = readLocator(reader);
    if (locator === null || locators.length >= MAX_LOCATORS) skipped++;
    else locators.push(locator);
  }
  return { locators, skipped };
}
