/**
 * HIP hosts that call one responder straight over UDP, one after the other: `node newcomers.js JSON` with {@link NewcomerOptions}. Each comes from an address of its
 * own and retransmits as hosts do. Prints a line for each: the milliseconds until it was in, or `failed`.
 */
import { createSocket } from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { makeLocator, parseIpText } from "@i3/common";
import { generateHostIdentity, HipHost, systemDhSource } from "@i3/hip";

export interface NewcomerOptions {
  readonly address: string;
  readonly port: number;
  readonly hit: string;
  /** One host each. */
  readonly sources: readonly string[];
}

const MARK = new Uint8Array(4);
const MIN_SPI = 0x2000_0000;
const TICK_MS = 10;

const { address, port, hit, sources } = JSON.parse(process.argv[2] ?? "{}") as NewcomerOptions;
const path = { kind: "udp", locator: makeLocator(parseIpText(address) as Uint8Array, port) } as const;
for (const source of sources) process.stdout.write(`${await newcomer(source)}\n`);

async function newcomer(source: string): Promise<string> {
  const socket = createSocket({ type: "udp4" });
  socket.bind(0, source);
  await once(socket, "listening");
  let outcome: string | null = null;
  const startMs = performance.now();
  const host = new HipHost({
    identity: generateHostIdentity("ecdsa-p256"), ownPublicId: null, random: (bytes) => randomBytes(bytes), dhSource: systemDhSource, r1Generation: 1n,
    send: (_path, packet) => socket.send([MARK, packet], port, address), newSpi: () => MIN_SPI + (randomBytes(4).readUInt32BE() >>> 1), admits: () => true, espSuitesFor: () => [13],
    offerFor: () => ({ privateId: null, preferences: null }), log: () => undefined,
    onEvent: ({ kind }) => {
      if (kind === "established") outcome = (performance.now() - startMs).toFixed(0);
      else if (kind === "failed") outcome = "failed";
    },
  }, startMs);
  socket.on("message", (datagram) => host.handle(performance.now(), new Uint8Array(datagram.subarray(MARK.length)), path));
  host.connect(performance.now(), { hit: parseIpText(hit) as Uint8Array, path, returnId: null });
  while (outcome === null) {
    await sleep(Math.max(0, Math.min(TICK_MS, (host.nextDeadlineMs() ?? Infinity) - performance.now())));
    host.tick(performance.now());
  }
  socket.close();
  return outcome;
}
