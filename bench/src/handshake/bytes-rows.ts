/**
 * What a packet grows by on its way, outer headers and all: packets go into a native engine by its TUN, and the datagrams that it makes are measured.
 * ESP pads to four bytes, so the row is the mean over packets of all remainders. BEET leaves out the inner header, which is longer for IPv6; an association has
 * it for one family (between two i3 hosts: IPv4), and the other one's packets go in tunnel mode.
 */
import { concatBytes } from "@i3/common";
import { encodeDataHeader, HOP_LIMIT, COPY_BUDGET, NativeEngine, NONCE_BYTES, PAYLOAD_KIND, type EspTransform, type Flow } from "@i3/datapath";

import { makeRow, type Row } from "../report.js";
import { addressBytes, idOf, ringKeyOf, spiOf, transformOf } from "../tunnel/modes.js";
import type { Plan } from "./plan.js";

/** IPv4 20, UDP 8, its header 16, its tag 16 (WireGuard paper, §5.4.6); what is inside is padded to 16 bytes besides, when the MTU allows. */
const WIREGUARD_BYTES = 60;
/** IPv4 and UDP. */
const OUTER_BYTES = 28;
/** struct virtio_net_hdr of a whole packet with its checksum. */
const NO_OFFLOAD = new Uint8Array(10);
const LENGTHS = [1_200, 1_201, 1_202, 1_203];
const OWN = { 4: addressBytes("10.66.0.1"), 6: addressBytes("2001:20::1") } as const;
const PEER = { 4: addressBytes("10.66.0.2"), 6: addressBytes("2001:20::2") } as const;
const HOP = { address: addressBytes("192.0.2.2"), port: 5_610 };
const IP_HEADER_BYTES = { 4: 20, 6: 40 } as const;

type Family = 4 | 6;
interface Case {
  readonly name: string;
  readonly family: Family;
  readonly isRelayed: boolean;
  readonly beet: Family | null;
  readonly transform: EspTransform;
  /** Ratio to WireGuard that we ask for. */
  readonly limit?: number;
}

const GCM = transformOf("encrypted-direct", "b");
const AUTH = transformOf("auth-direct", "b");
/** "Below" WireGuard's: by one byte at least. */
const BELOW = WIREGUARD_BYTES / (WIREGUARD_BYTES - 1);
const CASES: readonly Case[] = [
  { name: "direct, BEET, IPv4", family: 4, isRelayed: false, beet: 4, transform: GCM, limit: BELOW },
  { name: "direct, BEET, IPv6", family: 6, isRelayed: false, beet: 6, transform: GCM, limit: BELOW },
  { name: "direct, tunnel mode", family: 4, isRelayed: false, beet: null, transform: GCM },
  { name: "direct, BEET, auth", family: 4, isRelayed: false, beet: 4, transform: AUTH },
  { name: "relayed, BEET, IPv4", family: 4, isRelayed: true, beet: 4, transform: GCM },
  { name: "relayed, tunnel mode", family: 4, isRelayed: true, beet: null, transform: GCM },
];

export function bytesRows({ rows }: Plan): readonly Row[] {
  if (!rows.has("bytes")) return [];
  return CASES.map((each) => {
    const added = LENGTHS.map((length) => addedBytes(each, length));
    return {
      ...makeRow({
        name: `bytes added to a packet: ${each.name}`, unit: "B", better: "lower", runs: [added.reduce((sum, bytes) => sum + bytes, 0) / added.length], baselines: { WireGuard: WIREGUARD_BYTES },
        ...(each.limit === undefined ? {} : { limits: { WireGuard: each.limit } }),
      }),
      beside: { "by the packet's length": { least: Math.min(...added), most: Math.max(...added) } },
    };
  });
}

/** Outer packet less inner packet. */
function addedBytes({ family, isRelayed, beet, transform }: Case, length: number): number {
  const engine = NativeEngine.stepped();
  const peerId = idOf("encrypted-relay", "b");
  const header = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: PAYLOAD_KIND.esp, nonce: new Uint8Array(NONCE_BYTES), ids: [peerId] });
  const way: Pick<Extract<Flow, { action: "esp" }>, "header" | "locator"> = isRelayed ? { header, locator: null } : { header: null, locator: HOP };
  engine.setNextServer(ringKeyOf(peerId), HOP);
  engine.setOutboundAssociation(1, { spi: spiOf("encrypted-direct", "b"), transform, beet, checksumState: true });
  engine.setFlow(PEER[family], { action: "esp", association: 1, ...way, source: OWN[family] });
  const { udp } = engine.step(1, { tun: [concatBytes(NO_OFFLOAD, packetOf(family, length))] });
  const [datagram] = udp;
  if (udp.length !== 1 || datagram === undefined) throw new Error(`${udp.length} datagrams for a packet: ${JSON.stringify(engine.counters().drops)}`);
  return OUTER_BYTES + datagram.bytes.length - length;
}

/** UDP with a checksum that nobody looks at. */
function packetOf(family: Family, length: number): Uint8Array {
  const packet = new Uint8Array(length);
  const view = new DataView(packet.buffer);
  const headerBytes = IP_HEADER_BYTES[family];
  if (family === 4) {
    packet.set([0x45, 0, length >> 8, length & 0xff, 0, 1, 0x40, 0, 64, 17]);
    packet.set(OWN[4], 12);
    packet.set(PEER[4], 16);
  } else {
    packet.set([0x60, 0, 0, 0, (length - headerBytes) >> 8, (length - headerBytes) & 0xff, 17, 64]);
    packet.set(OWN[6], 8);
    packet.set(PEER[6], 24);
  }
  view.setUint16(headerBytes, 1_000);
  view.setUint16(headerBytes + 2, 9);
  view.setUint16(headerBytes + 4, length - headerBytes);
  view.setUint16(headerBytes + 6, 0x1234);
  return packet;
}
