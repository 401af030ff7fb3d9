/**
 * What a datagram is, by its first byte (docs/wire.md §1).
 *
 *     0x00       HIP behind four zero bytes       0x01–0x0F  nothing
 *     0x10–0x17  i3 data, version in low 3 bits   0x18–0x1F  i3 control, version in low 3 bits
 *     0x20–0xFE  ESP                              0xFF       NAT keep-alive when alone, else nothing
 */

/** i3 data, version 1. */
export const DATA_FIRST_BYTE = 0x11;
/** i3 control, version 1. */
export const CONTROL_FIRST_BYTE = 0x19;

/** Types of what servers say to each other (docs/wire.md §4); in the second byte. */
const RING_TYPES = { first: 32, last: 59 } as const;

const CHECK_TYPE = 18;

/** Whether a control datagram is one that may be long. */
export const isCheck = (type: number, length: number): boolean => length > 1 && type === CHECK_TYPE;

/** Whether a control datagram is of a type that passes between servers. */
export const isBetweenServers = (type: number, length: number): boolean => length > 1 && type >= RING_TYPES.first && type <= RING_TYPES.last;

export type DatagramClass = "data" | "control" | "keep-alive" | "hip" | "esp" | "version" | "malformed";

/** `length` is the datagram's, in bytes; an empty datagram is malformed. `version`: i3 of a version not spoken here. */
export function classifyDatagram(firstByte: number, length: number): DatagramClass {
  if (length < 1) return "malformed";
  if (firstByte === DATA_FIRST_BYTE) return "data";
  if (firstByte === CONTROL_FIRST_BYTE) return "control";
  if (firstByte === 0x00) return "hip";
  if (firstByte < 0x10) return "malformed";
  if (firstByte < 0x20) return "version";
  if (firstByte < 0xff) return "esp";
  return length === 1 ? "keep-alive" : "malformed";
}
