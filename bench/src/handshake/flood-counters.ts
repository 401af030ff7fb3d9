/** How many I1s a host's interface has let in, counted there by nftables: what a generator has sent is not yet what has come. */
import type { Host } from "@i3/netns";
import { DATA_FIRST_BYTE, DATA_OFFSET, dataHeaderBytes, PAYLOAD_KIND } from "@i3/datapath";
import { HIP_PACKET } from "@i3/hip";

import { succeed } from "../tunnel/bed.js";

export type Way = "straight" | "relayed";

const TABLE = "bench_flood";
/** IP and UDP: a train of datagrams has these once. */
const HEADER_BYTES = { arrived4: 28, arrived6: 48 } as const;
const UDP_BYTES = 8;
const MARK_BYTES = 4;
const HIP_TYPE_OFFSET = 2;

/** A byte of a datagram, as nftables takes it: bits from the UDP header on. */
const byteIs = (offset: number, value: number): string => `@th,${8 * (UDP_BYTES + offset)},8 ${value}`;
const IS_I1: Readonly<Record<Way, string>> = {
  straight: `@th,${8 * UDP_BYTES},${8 * MARK_BYTES} 0 ${byteIs(MARK_BYTES + HIP_TYPE_OFFSET, HIP_PACKET.i1)}`,
  relayed: `${byteIs(0, DATA_FIRST_BYTE)} ${byteIs(DATA_OFFSET.payloadKind, PAYLOAD_KIND.hip)} ${byteIs(dataHeaderBytes(1) + HIP_TYPE_OFFSET, HIP_PACKET.i1)}`,
};

/** Counts from now on, what honest hosts send too. */
export async function countI1s(host: Host, way: Way): Promise<void> {
  const device = host.interfaces[0]?.name ?? "";
  const rule = (protocol: string, counter: string): string => `    meta protocol ${protocol} meta l4proto udp ${IS_I1[way]} counter name ${counter}\n`;
  await host.namespace.nft(`table netdev ${TABLE} {
  counter arrived4 { }
  counter arrived6 { }
  chain ingress_all {
    type filter hook ingress device "${device}" priority -100; policy accept
${rule("ip", "arrived4")}${rule("ip6", "arrived6")}  }
}
`);
}

/** Since {@link countI1s}; each of `datagramBytes`. */
export async function arrivedI1s(host: Host, datagramBytes: number): Promise<number> {
  const text = await succeed(host, "nft", ["-j", "list", "table", "netdev", TABLE]);
  const { nftables } = JSON.parse(text) as { readonly nftables: readonly { readonly counter?: { readonly name: string; readonly packets: number; readonly bytes: number } }[] };
  const counts = Object.entries(HEADER_BYTES).map(([name, headerBytes]) => {
    const counter = nftables.find((entry) => entry.counter?.name === name)?.counter;
    if (counter === undefined) throw new Error(`nft shows no counter ${name}: ${text}`);
    return (counter.bytes - counter.packets * headerBytes) / datagramBytes;
  });
  return Math.round(counts.reduce((sum, count) => sum + count, 0));
}

/** Packets that left by the host's first interface since it is there. */
export async function sentPackets(host: Host): Promise<number> {
  return Number(await succeed(host, "cat", [`/sys/class/net/${host.interfaces[0]?.name ?? ""}/statistics/tx_packets`]));
}
