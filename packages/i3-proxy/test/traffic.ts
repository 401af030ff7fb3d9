/** What tests of simulated hosts share: packets that programs send each other, and rules. */
import { parseProxyConfig, type ProxyRule } from "@i3/common";

import type { Host, World } from "../../../test/sim/world.js";

/** Of a configuration with these `<rule>`s. */
export const rulesOf = (rules: string): readonly ProxyRule[] => parseProxyConfig(
  `<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules>${rules}</rules></i3-proxy>`, "i3-proxy.xml",
).rules;

export interface PacketKind {
  /** @default 253, for experiments */
  readonly protocol?: number;
  /** Source and destination; the transport header is those four bytes and nothing else. */
  readonly ports?: readonly [number, number];
}

/** An IPv4 packet with a right header checksum. */
export function packet4(source: Uint8Array, destination: Uint8Array, payload: string, { protocol = 253, ports }: PacketKind = {}): Uint8Array {
  const text = new TextEncoder().encode(payload);
  const head = ports === undefined ? [] : ports.flatMap((port) => [port >> 8, port & 0xff]);
  const body = Uint8Array.from([...head, ...text]);
  const out = new Uint8Array(20 + body.length);
  out.set([0x45, 0, 0, out.length, 0, 0, 0x40, 0, 64, protocol]);
  out.set(source, 12);
  out.set(destination, 16);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += ((out[i] ?? 0) << 8) | (out[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  out.set([(~sum >> 8) & 0xff, ~sum & 0xff], 10);
  out.set(body, 20);
  return out;
}

/** An IPv6 packet. */
export function packet6(source: Uint8Array, destination: Uint8Array, payload: string, { protocol = 253, ports }: PacketKind = {}): Uint8Array {
  const head = ports === undefined ? [] : ports.flatMap((port) => [port >> 8, port & 0xff]);
  const body = Uint8Array.from([...head, ...new TextEncoder().encode(payload)]);
  return Uint8Array.from([0x60, 0, 0, 0, body.length >> 8, body.length & 0xff, protocol, 64, ...source, ...destination, ...body]);
}

export const textOf = (packet: Uint8Array | undefined): string => new TextDecoder().decode((packet ?? new Uint8Array()).subarray(20));
export const sourceOf = (packet: Uint8Array | undefined): string => [...(packet ?? new Uint8Array()).subarray(12, 16)].join(".");

export function addressOf(host: Host, name: string): Uint8Array {
  const found = host.proxy.names.resolve(name);
  if (typeof found === "string" || found.v4 === null) throw new Error(`${name} is ${JSON.stringify(found)}`);
  host.proxy.installFresh();
  return found.v4;
}

/** Sends from `a` to the name of `b` and back, and says what arrived. */
export function roundTrip(world: World, a: Host, b: Host, name: string, text: string): { there: string; back: string } {
  const to = addressOf(a, name);
  world.inject(a.node, { tun: packet4(a.proxy.own4, to, text) });
  world.run(5_000, () => b.node.received.some((p) => textOf(p) === text));
  const arrived = b.node.received.find((p) => textOf(p) === text);
  if (arrived === undefined) return { there: "nothing", back: "nothing" };
  world.inject(b.node, { tun: packet4(arrived.slice(16, 20), arrived.slice(12, 16), `re: ${text}`) });
  world.run(5_000, () => a.node.received.some((p) => textOf(p) === `re: ${text}`));
  const answer = a.node.received.find((p) => textOf(p) === `re: ${text}`);
  return { there: sourceOf(arrived), back: answer === undefined ? "nothing" : sourceOf(answer) };
}
