/**
 * Files of libpcap, as dumpcap writes them (`-P`), little-endian, times in microseconds.
 *
 *     0  magic 4 | version 2, 2 | 0 (8) | longest record 4 | link type 4        then for each packet:
 *     0  seconds 4 | microseconds 4 | length in the file 4 | length on the wire 4 | packet
 */
export interface CapturedPacket {
  /** Since 1970, as `Date.now()`. */
  readonly timeMs: number;
  /** One IP packet, without the link's header. */
  readonly bytes: Uint8Array;
}

const MAGIC = 0xa1b2_c3d4;
const HEADER_BYTES = 24;
const LINK_TYPE_OFFSET = 20;
const RECORD_BYTES = 16;
const ETHERNET = 1;
/** Of TUN devices: the packet alone. */
const RAW_IP = 101;
const ETHERNET_BYTES = 14;
const ETHERTYPES = [0x0800, 0x86dd];

/** The IP packets of a file; a record that is not whole yet ends it. Throws for another format, and for a packet of which a part was left out. */
export function readPcap(file: Uint8Array): readonly CapturedPacket[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < HEADER_BYTES) return [];
  if (view.getUint32(0, true) !== MAGIC) throw new Error("not a file of libpcap, or of another byte order or resolution");
  const linkType = view.getUint32(LINK_TYPE_OFFSET, true);
  if (linkType !== ETHERNET && linkType !== RAW_IP) throw new Error(`a capture of link type ${linkType}`);
  const packets: CapturedPacket[] = [];
  for (let at = HEADER_BYTES; at + RECORD_BYTES <= file.length; ) {
    const timeMs = view.getUint32(at, true) * 1_000 + view.getUint32(at + 4, true) / 1_000;
    const [kept, length] = [view.getUint32(at + 8, true), view.getUint32(at + 12, true)];
    if (kept !== length) throw new Error(`${kept} of a packet's ${length} bytes were captured`);
    at += RECORD_BYTES + kept;
    if (at > file.length) break;
    const frame = file.subarray(at - kept, at);
    if (linkType === RAW_IP) packets.push({ timeMs, bytes: frame });
    else if (ETHERTYPES.includes(view.getUint16(at - kept + ETHERNET_BYTES - 2))) packets.push({ timeMs, bytes: frame.subarray(ETHERNET_BYTES) });
  }
  return packets;
}

export interface IpPacket {
  /** {@link addressKey} of it. */
  readonly source: string;
  readonly destination: string;
  /** Behind an IPv6 header: of the first extension header, if there is one. */
  readonly protocol: number;
  /** Of the whole packet, as its header says: Ethernet pads short frames. */
  readonly totalBytes: number;
  readonly payload: Uint8Array;
}

const IP4_MIN_BYTES = 20;
const IP6_BYTES = 40;
/** "More fragments", and the fragment's offset. */
const FRAGMENT_BITS = 0x3fff;
const FRAGMENT_HEADER = 44;

/** Of 4 or 16 bytes: the same for the same address. */
export const addressKey = (bytes: Uint8Array): string => bytes.join(".");

/** Throws for a fragment, and for what is shorter than it says. */
export function readIp(bytes: Uint8Array): IpPacket {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const is6 = bytes.length > 0 && view.getUint8(0) >> 4 === 6;
  if (bytes.length < (is6 ? IP6_BYTES : IP4_MIN_BYTES)) throw new Error(`an IP packet of ${bytes.length} bytes`);
  const totalBytes = is6 ? IP6_BYTES + view.getUint16(4) : view.getUint16(2);
  if (totalBytes > bytes.length) throw new Error(`an IP packet of ${totalBytes} bytes, of which ${bytes.length} are there`);
  const protocol = view.getUint8(is6 ? 6 : 9);
  if (is6 ? protocol === FRAGMENT_HEADER : (view.getUint16(6) & FRAGMENT_BITS) !== 0) throw new Error("a fragment");
  const address = (at: number): string => addressKey(bytes.subarray(at, at + (is6 ? 16 : 4)));
  const headerBytes = is6 ? IP6_BYTES : (view.getUint8(0) & 15) * 4;
  return { source: address(is6 ? 8 : 12), destination: address(is6 ? 24 : 16), protocol, totalBytes, payload: bytes.subarray(headerBytes, totalBytes) };
}
