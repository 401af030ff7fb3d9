/**
 * Our parameters (docs/wire.md §9.3): private use numbers, not critical, covered by MAC and signature.
 *
 *     I3_RETURN_ID, I3_OWN_ID, I3_PRIVATE_ID   0  i3 id 32
 *
 *     I3_PREFERENCES                           0  version 1 (1) | flags 2
 *                                              3  own IPv4 4 | own IPv6 16 | peer's IPv4 4 | peer's IPv6 16
 *                                             43  ignored by receivers: fields of later days
 *
 *     I3_PADDING                               0  zeros, not looked at by receivers
 *
 * I3_PRIVATE_ID and I3_PREFERENCES stand only inside ENCRYPTED.
 */
import { concatBytes, MAX_HIP_PACKET_BYTES } from "@i3/common";
import { exactly, FieldReader, uintBytes } from "../fields.js";
import { TLV_HEADER_BYTES } from "../tlv.js";

const ID_BYTES = 32;
const PREFERENCES_VERSION = 1;

/** Unknown flags are passed on and ignored. */
export const I3_PREFERENCE_FLAG = { shortcuts: 0x0001, checksumState: 0x0002, beetIpv4: 0x0004, beetIpv6: 0x0008 } as const;

export interface I3Preferences {
  /** Sum of {@link I3_PREFERENCE_FLAG}. */
  readonly flags: number;
  /** 4 bytes: the sender's own virtual address; zeros when it has none. */
  readonly own4: Uint8Array;
  /** 16 bytes. */
  readonly own6: Uint8Array;
  /** 4 bytes: the virtual address by which the sender's programs know the receiver. */
  readonly peer4: Uint8Array;
  /** 16 bytes. */
  readonly peer6: Uint8Array;
}

function decodeId(what: string, contents: Uint8Array): Uint8Array {
  const reader = new FieldReader(what, contents);
  const id = reader.bytes(ID_BYTES);
  reader.end();
  return id;
}

/** The id to which the answer to this packet should be sent, used once: the asker has no public name there. */
export const encodeI3ReturnId = (id: Uint8Array): Uint8Array => exactly("i3 id", id, ID_BYTES).slice();
export const decodeI3ReturnId = (contents: Uint8Array): Uint8Array => decodeId("I3_RETURN_ID", contents);

/** The sender's own public id, where the next packet should go: of an anycast group the member that answered. */
export const encodeI3OwnId = (id: Uint8Array): Uint8Array => exactly("i3 id", id, ID_BYTES).slice();
export const decodeI3OwnId = (contents: Uint8Array): Uint8Array => decodeId("I3_OWN_ID", contents);

/** The id at which this peer alone reaches the sender from now on, data above all. */
export const encodeI3PrivateId = (id: Uint8Array): Uint8Array => exactly("i3 id", id, ID_BYTES).slice();
export const decodeI3PrivateId = (contents: Uint8Array): Uint8Array => decodeId("I3_PRIVATE_ID", contents);

export const encodeI3Preferences = (fields: I3Preferences): Uint8Array => concatBytes(
  uintBytes(1, PREFERENCES_VERSION), uintBytes(2, fields.flags),
  exactly("own4", fields.own4, 4), exactly("own6", fields.own6, 16), exactly("peer4", fields.peer4, 4), exactly("peer6", fields.peer6, 16));

/** WireError for another version. */
export function decodeI3Preferences(contents: Uint8Array): I3Preferences {
  const reader = new FieldReader("I3_PREFERENCES", contents);
  const version = reader.uint(1);
  if (version !== PREFERENCES_VERSION) reader.fail(`version ${version}`);
  return { flags: reader.uint(2), own4: reader.bytes(4), own6: reader.bytes(16), peer4: reader.bytes(4), peer6: reader.bytes(16) };
}

/**
 * Contents of the padding that makes a packet of `packetBytes` (without it; `hipPacketBytes` of all other parameters) `wantedBytes` long; null when it is
 * that long or longer. RangeError unless both are multiples of 8 and the wanted one is possible.
 */
export function encodeI3Padding(packetBytes: number, wantedBytes: number): Uint8Array | null {
  if (packetBytes % 8 !== 0 || wantedBytes % 8 !== 0 || wantedBytes > MAX_HIP_PACKET_BYTES) throw new RangeError(`padding from ${packetBytes} to ${wantedBytes} bytes`);
  return packetBytes >= wantedBytes ? null : new Uint8Array(wantedBytes - packetBytes - TLV_HEADER_BYTES);
}

/** How many bytes of padding. */
export const decodeI3Padding = (contents: Uint8Array): number => contents.length;
