/**
 * WireGuard peers that call one responder: `node wireguard-callers.js JSON` with {@link WireguardCallersOptions}. Prints a line with the public keys of all as a JSON
 * array, in base64; then for each line of standard input every peer calls once, and a line `{"done":…}` tells how many were answered.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";

import { makeInitiation, newX25519, RESPONSE_BYTES, RESPONSE_RECEIVER_OFFSET, RESPONSE_TYPE, x25519Public } from "./wireguard-initiation.js";

export interface WireguardCallersOptions {
  readonly address: string;
  readonly port: number;
  /** The responder's public key, in base64. */
  readonly key: string;
  readonly count: number;
}

/** Fewer than what makes wireguard-go ask for cookies: 128 that wait. */
const UNDER_WAY = 48;
const ROUND_MS = 30_000;

const options = JSON.parse(process.argv[2] ?? "{}") as WireguardCallersOptions;
const to = x25519Public(Buffer.from(options.key, "base64"));
const peers = Array.from({ length: options.count }, newX25519);
const socket = createSocket("udp4");
socket.bind(0);
await once(socket, "listening");
let waiting = new Set<number>();
socket.on("message", (datagram) => {
  if (datagram.length === RESPONSE_BYTES && datagram[0] === RESPONSE_TYPE) waiting.delete(datagram.readUInt32LE(RESPONSE_RECEIVER_OFFSET));
});

async function round(number: number): Promise<number> {
  const messages = peers.map((from, i) => makeInitiation({ from, to, sender: number * peers.length + i + 1, timeNs: BigInt(Date.now()) * 1_000_000n }));
  waiting = new Set();
  const endMs = performance.now() + ROUND_MS;
  for (const [i, message] of messages.entries()) {
    while (waiting.size >= UNDER_WAY && performance.now() < endMs) await turn();
    waiting.add(number * peers.length + i + 1);
    socket.send(message, options.port, options.address);
  }
  while (waiting.size > 0 && performance.now() < endMs) await turn();
  return messages.length - waiting.size;
}

process.stdout.write(`${JSON.stringify(peers.map(({ raw }) => Buffer.from(raw).toString("base64")))}\n`);
let rounds = 0;
for await (const _ of createInterface({ input: process.stdin })) process.stdout.write(`${JSON.stringify({ done: await round(rounds++) })}\n`);
process.exit(0);
