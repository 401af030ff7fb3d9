/** Packets from {@link OWN} to {@link PEER}, of both families, and what they need when an address has {@link SERVICES}. */
import type { Service, Services, Strength } from "../../src/datapath.js";
import { be16, bytes, concat, data, icmp, ip4, ip4Packet, ip6, ip6Packet, packet, tcp, udp } from "./packets.js";

export const OWN = ip4("10.0.0.1");
export const PEER = ip4("10.0.0.2");
export const OWN6 = ip6(1);
export const PEER6 = ip6(2);
export const service = (protocol: number, strength: Strength, ...ports: readonly (readonly [number, number])[]): Service => ({ protocol, strength, ports: ports.map(([first, last]) => ({ first, last })) });
/** Ping in cleartext, HTTP readable, SSH not, the rest of TCP readable, and what is left encrypted. */
export const SERVICES: Services = { services: [service(1, 0), service(58, 0), service(6, 1, [80, 80]), service(6, 2, [20, 22]), service(6, 1), service(17, 0, [53, 53], [5_000, 5_010])], rest: 2 };

export const tcpTo = (source: number, destination: number): Uint8Array => concat(be16(source), be16(destination), tcp(data(4)).subarray(4));
export const udpTo = (source: number, destination: number): Uint8Array => concat(be16(source), be16(destination), udp(data(4)).subarray(4));
export const v4 = (protocol: number, message: Uint8Array): Uint8Array => packet(OWN, PEER, protocol, message);
export const v6 = (protocol: number, message: Uint8Array): Uint8Array => packet(OWN6, PEER6, protocol, message);
export const piece4 = (word: number, protocol: number, payload: Uint8Array): Uint8Array => ip4Packet({ source: OWN, destination: PEER, protocol, fragment: word }, payload);
const piece6 = (word: number, protocol: number, payload: Uint8Array): Uint8Array => ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 44 }, concat(bytes(protocol, 0), be16(word), data(4), payload));
const error4 = (quote: Uint8Array, type = 3): Uint8Array => v4(1, icmp(type, 4, concat(bytes(0, 0, 5, 0), quote)));
const error6 = (quote: Uint8Array, type = 2): Uint8Array => v6(58, icmp(type, 0, concat(bytes(0, 0, 5, 0), quote)));
export const back4 = (protocol: number, message: Uint8Array): Uint8Array => packet(PEER, OWN, protocol, message);
export const back6 = (protocol: number, message: Uint8Array): Uint8Array => packet(PEER6, OWN6, protocol, message);
export const PING = icmp(8, 0, data(20));
const PING6 = icmp(128, 0, data(20));

export const NEEDS: readonly (readonly [what: string, packet: Uint8Array, needs: Strength])[] = [
  ["the first service of its protocol and port", v4(6, tcpTo(40_000, 80)), 1],
  ["either port: the source's", v4(6, tcpTo(22, 40_000)), 2],
  ["either port: the service comes first, not the port", v4(6, tcpTo(22, 80)), 1],
  ["the first of a range", v4(6, tcpTo(20, 1)), 2],
  ["the last of a range", v4(6, tcpTo(1, 22)), 2],
  ["a port beside a range, which the next service takes", v4(6, tcpTo(19, 23)), 1],
  ["UDP of another port than TCP's", v4(17, udpTo(1, 80)), 2],
  ["one of several ranges", v4(17, udpTo(1, 5_005)), 0],
  ["a service of a whole protocol", v4(1, PING), 0],
  ["the rest", v4(47, data(20)), 2],
  ["TCP over IPv6", v6(6, tcpTo(1, 22)), 2],
  ["ICMPv6", v6(58, PING6), 0],
  ["ICMP's number over IPv6, which is no ICMP", v6(1, PING), 0],
  ["IPv6 behind extension headers", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(bytes(17, 0, 1, 4, 0, 0, 0, 0), udpTo(53, 9))), 0],
  ["IPv6 headers that cannot be walked: the strongest of all", ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(bytes(17, 250, 1, 4, 0, 0, 0, 0), udpTo(53, 9))), 2],
  ["ports that are cut off: the strongest that it could need", v4(17, bytes(0, 53, 0)), 2],
  ["a first fragment, which has ports", piece4(0x2000, 17, udpTo(53, 9)), 0],
  ["a first fragment without ports", piece4(0x2000, 17, bytes()), 2],
  ["a later fragment: the strongest of its protocol and the rest", piece4(0x2001, 17, udpTo(53, 53)), 2],
  ["a later fragment of a protocol that one service takes whole", piece4(1, 1, data(16)), 0],
  ["a first fragment over IPv6", piece6(1, 17, udpTo(53, 9)), 0],
  ["a later fragment over IPv6, whose header need not tell the truth", piece6(8, 58, data(16)), 2],
  ["an ICMP error: what it quotes", error4(back4(6, tcpTo(80, 40_000))), 1],
  ["an ICMP error about UDP", error4(back4(17, udpTo(53, 40_000))), 0],
  ["an ICMP error about SSH", error4(back4(6, tcpTo(22, 40_000)), 11), 2],
  ["an ICMP error about a ping", error4(back4(1, PING)), 0],
  ["an ICMP error that quotes ports and no more", error4(back4(17, udpTo(53, 9)).subarray(0, 24)), 0],
  ["an ICMP error that quotes less than ports", error4(back4(17, udpTo(53, 9)).subarray(0, 23)), 2],
  ["an ICMP error that quotes a header alone", error4(back4(17, udpTo(53, 9)).subarray(0, 20)), 2],
  ["an ICMP error that quotes less than a header", error4(back4(17, udpTo(53, 9)).subarray(0, 19)), 2],
  ["an ICMP error that quotes nothing", v4(1, icmp(3, 4, bytes())), 2],
  ["an ICMP error that quotes IPv6", error4(back6(17, udpTo(53, 9))), 2],
  ["an ICMP error that quotes a later fragment", error4(ip4Packet({ source: PEER, destination: OWN, protocol: 17, fragment: 1 }, udpTo(53, 53))), 2],
  ["an ICMP error about an ICMP error", error4(error4(back4(17, udpTo(53, 9)))), 2],
  ["an ICMP message that is none", v4(1, icmp(13, 0, back4(6, tcpTo(22, 22)))), 0],
  ["an ICMPv6 error: what it quotes", error6(back6(6, tcpTo(80, 40_000))), 1],
  ["an ICMPv6 error of a type that there is not yet", error6(back6(6, tcpTo(80, 40_000)), 99), 1],
  ["an ICMPv6 error that quotes a chain cut off", error6(ip6Packet({ source: PEER6, destination: OWN6, nextHeader: 60 }, bytes(17, 0, 1, 4))), 2],
  ["an ICMPv6 redirect, which quotes elsewhere", error6(back6(6, tcpTo(22, 22)), 137), 0],
  ["the first fragment of an ICMP error", ip4Packet({ source: OWN, destination: PEER, protocol: 1, fragment: 0x2000 }, error4(back4(6, tcpTo(80, 9))).subarray(20)), 1],
];
