/** Which packets travel, how, and what must then stand in the ESP packet (docs/wire.md §7). */
import type { EspTransform } from "@i3/datapath";
import { CBC, CBC_128, GCM, GCM_128, NULL, OWN, OWN6, PEER, PEER6 } from "../../packages/datapath/test/reference/associations.js";
import { bytes, data, icmp, ip4Packet, ip6Packet, packet, sealTransport, tcp, udp } from "../../packages/datapath/test/reference/packets.js";

export const TRANSFORMS: readonly { readonly name: string; readonly transform: EspTransform }[] = [
  { name: "AES-256-GCM-16", transform: GCM },
  { name: "AES-128-GCM-16", transform: GCM_128 },
  { name: "AES-256-CBC and HMAC-SHA-256-128", transform: CBC },
  { name: "AES-128-CBC and HMAC-SHA-256-128", transform: CBC_128 },
  { name: "NULL and HMAC-SHA-256-128", transform: NULL },
];

export const ivBytes = (transform: EspTransform): number => ({ "aes-gcm-16": 8, "aes-cbc-hmac-sha-256": 16, "null-hmac-sha-256": 0 })[transform.kind];

/** The first numbers of four associations: the beginning, across the end of the low half, the last below 2^63, the last of all but a few hundred. */
export const FIRST_SEQUENCES: readonly bigint[] = [1n, 2n ** 32n - 4n, 2n ** 63n - 2n, 2n ** 64n - 300n];

export interface EspRow {
  readonly name: string;
  readonly family: 4 | 6;
  /** As the association says. */
  readonly beet: 4 | 6 | null;
  readonly packet: Uint8Array;
  /** What is left of the packet in ESP, and the number of what that is. */
  readonly payload: Uint8Array;
  readonly nextHeader: number;
}

const DF = 0x4000;

/** Packets whose header BEET can rebuild. */
const plain4 = (protocol: number, message: Uint8Array): Uint8Array =>
  ip4Packet({ source: OWN, destination: PEER, protocol, fragment: DF, identification: 0 }, sealTransport(OWN, PEER, protocol, message));
const plain6 = (protocol: number, message: Uint8Array): Uint8Array => ip6Packet({ source: OWN6, destination: PEER6, nextHeader: protocol }, sealTransport(OWN6, PEER6, protocol, message));

const ping4 = (length: number): Uint8Array => icmp(8, 0, bytes(0, 7, 0, 1, ...data(length)));
const ping6 = (length: number): Uint8Array => icmp(128, 0, bytes(0, 7, 0, 1, ...data(length)));

const tunnelled = (name: string, family: 4 | 6, beet: 4 | 6 | null, whole: Uint8Array): EspRow => ({ name, family, beet, packet: whole, payload: whole, nextHeader: family === 4 ? 4 : 41 });
const beet4 = (name: string, protocol: number, message: Uint8Array): EspRow => {
  const whole = plain4(protocol, message);
  return { name, family: 4, beet: 4, packet: whole, payload: whole.subarray(20), nextHeader: protocol };
};
const beet6 = (name: string, protocol: number, message: Uint8Array): EspRow => {
  const whole = plain6(protocol, message);
  return { name, family: 6, beet: 6, packet: whole, payload: whole.subarray(40), nextHeader: protocol };
};

export const ESP_ROWS: readonly EspRow[] = [
  tunnelled("tunnel mode, TCP in IPv4", 4, null, plain4(6, tcp(data(1_200)))),
  tunnelled("tunnel mode, ICMP in IPv4", 4, null, packet(OWN, PEER, 1, ping4(56))),
  tunnelled("tunnel mode, UDP in IPv6", 6, null, plain6(17, udp(data(33)))),
  tunnelled("tunnel mode, a fragment where BEET is agreed", 4, 4, ip4Packet({ source: OWN, destination: PEER, protocol: 17, fragment: 0x2001 }, data(16))),
  tunnelled("tunnel mode, IPv6 where BEET is agreed for IPv4", 6, 4, plain6(58, ping6(8))),
  beet4("BEET, TCP in IPv4", 6, tcp(data(1_200))),
  beet4("BEET, ICMP in IPv4", 1, ping4(56)),
  beet6("BEET, UDP in IPv6", 17, udp(data(33))),
  beet6("BEET, ICMPv6", 58, ping6(8)),
  // Every length of padding, of words and of blocks.
  ...Array.from({ length: 16 }, (_, i) => beet4(`BEET, UDP with ${i} bytes`, 17, udp(data(i)))),
];
