/**
 * What packets grew by, by captures of the TUN device where a program's packets go in and of the interface where they come out: outer IP length less inner IP length.
 * Between two packets of the program its answer was awaited, so that the first that goes in is the first that comes out.
 */
import { classifyDatagram } from "@i3/datapath";

import { addressKey, readIp, type CapturedPacket } from "./pcap.js";

export interface AddedBytes {
  /** Of the inner packet, all headers of it included. */
  readonly innerBytes: number;
  readonly added: number;
}

export interface Crossing {
  /** Of the TUN device. */
  readonly inside: readonly CapturedPacket[];
  readonly outside: readonly CapturedPacket[];
  /** Of the far program: 4 or 16 bytes. */
  readonly to: Uint8Array;
  /** Of the near host: 4 bytes. */
  readonly from: Uint8Array;
  /** UDP port of the far program. */
  readonly port: number;
  /** Which datagrams carry packets. */
  readonly isData: (datagram: Uint8Array) => boolean;
  /** How many packets the program sent. */
  readonly count: number;
}

const UDP = 17;
const UDP_BYTES = 8;
const WIREGUARD_DATA = 4;
/** A message without a packet: header and tag. */
const WIREGUARD_KEEP_ALIVE_BYTES = 32;

/** An i3 data packet, or ESP. */
export const isOurData = (datagram: Uint8Array): boolean => ["data", "esp"].includes(classifyDatagram(datagram[0] ?? 0, datagram.length));
export const isWireguardData = (datagram: Uint8Array): boolean => datagram[0] === WIREGUARD_DATA && datagram.length > WIREGUARD_KEEP_ALIVE_BYTES;

/** Throws unless `count` packets went in and, one after each of them, as many came out before the next went in. */
export function addedBytesOf({ inside, outside, to, from, port, isData, count }: Crossing): readonly AddedBytes[] {
  const events = [
    ...inside.flatMap((packet) => {
      const ip = readIp(packet.bytes);
      const isIn = ip.protocol === UDP && ip.destination === addressKey(to) && portOf(ip.payload) === port;
      return isIn ? [{ timeMs: packet.timeMs, isInner: true, bytes: ip.totalBytes }] : [];
    }),
    ...outside.flatMap((packet) => {
      const ip = readIp(packet.bytes);
      const isOut = ip.protocol === UDP && ip.source === addressKey(from) && isData(ip.payload.subarray(UDP_BYTES));
      return isOut ? [{ timeMs: packet.timeMs, isInner: false, bytes: ip.totalBytes }] : [];
    }),
  ].sort((a, b) => a.timeMs - b.timeMs || Number(b.isInner) - Number(a.isInner));
  const crossing = events.slice(Math.max(0, events.findIndex(({ isInner }) => isInner)));
  // The one after the last is looked at too: it may be the last one's second.
  const outOfTurn = crossing.slice(0, 2 * count + 1).findIndex(({ isInner }, i) => isInner !== (i % 2 === 0));
  if (outOfTurn >= 0) throw new Error(`the captures do not show ${count} packets that went in and came out in turn: number ${outOfTurn + 1} is out of turn`);
  if (crossing.length < 2 * count) throw new Error(`the captures do not show ${count} packets that went in and came out: ${crossing.length} sights of both`);
  return Array.from({ length: count }, (_, i) => {
    const innerBytes = crossing[2 * i]?.bytes ?? NaN;
    return { innerBytes, added: (crossing[2 * i + 1]?.bytes ?? NaN) - innerBytes };
  });
}

const portOf = (udp: Uint8Array): number => ((udp[2] ?? 0) << 8) | (udp[3] ?? 0);
