/** Which packets out count as answers that a host gives to anybody (docs/datapath.md, "Answers"): the same in both engines. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { CHECKSUM } from "../../src/reference/step.js";
import { dataPacket } from "../reference/harness.js";
import { bytes, concat, data, icmp, ip6Packet, tcp, udp } from "../reference/packets.js";
import { OWN, OWN6, PEER, PEER6, piece4, v4, v6 } from "../reference/service-packets.js";
import { plainArrival } from "./arrival-recipes.js";
import { EnginePair } from "./engine-pair.js";
import { idOf, LOCATORS } from "./pools.js";

const withFlags = (flags: number): Uint8Array => Uint8Array.from(tcp(data(4)), (octet, at) => (at === 13 ? flags : octet));
const options6 = (next: number, payload: Uint8Array): Uint8Array => ip6Packet({ source: OWN6, destination: PEER6, nextHeader: 60 }, concat(bytes(next, 0, 1, 4, 0, 0, 0, 0), payload));

let pair: EnginePair;
beforeEach(() => {
  pair = new EnginePair();
  pair.change("setDefaultServer", (engine) => engine.setDefaultServer(LOCATORS[0]!));
  for (const [source, peer] of [[OWN, PEER], [OWN6, PEER6]] as const) pair.change("setFlow", (engine) => engine.setFlow(peer, { action: "tunnel", header: dataPacket({ ids: [idOf(1)] }), source }));
});
afterEach(() => pair.close());

it.each<[string, Uint8Array, number]>([
  ["echo request", v4(1, icmp(8, 0, data(20))), 0], ["echo reply", v4(1, icmp(0, 0, data(20))), 1], ["port unreachable", v4(1, icmp(3, 3, data(32))), 1], ["ICMP without a byte", v4(1, bytes()), 1],
  ["ICMPv6 echo request", v6(58, icmp(128, 0, data(20))), 0], ["ICMPv6 echo reply", v6(58, icmp(129, 0, data(20))), 1], ["ICMPv6 echo reply behind options", options6(58, icmp(129, 0, data(20))), 1],
  ["SYN", v4(6, withFlags(0x02)), 0], ["SYN-ACK", v4(6, withFlags(0x12)), 1], ["data", v4(6, withFlags(0x18)), 0], ["reset", v6(6, withFlags(0x14)), 1], ["UDP", v4(17, udp(data(8))), 0],
  ["TCP cut off before its flags", v4(6, tcp(data(0)).subarray(0, 13)), 0], ["later fragment of UDP", piece4(0x0003, 17, data(16)), 1], ["first fragment of UDP", piece4(0x2000, 17, udp(data(8))), 0],
])("%s: %s", (_, inner, answers) => {
  pair.step(1, [plainArrival(inner, CHECKSUM.complete)], [], false);
  const counters = [PEER, PEER6].map((peer) => pair.flowCounters(peer));
  expect(counters.reduce((sum, counter) => [sum[0]! + (counter?.packetsOut ?? 0), sum[1]! + (counter?.answersOut ?? 0)], [0, 0])).toEqual([1, answers]);
});
