/**
 * Many HIP hosts that call one responder, straight over UDP: `node initiators.js JSON` with {@link InitiatorOptions}. Prints `READY`; then each line of
 * standard input is a step, answered by a line `{"step":…}` with {@link StepResult}. Every host calls twice, as one that restarts in between: `first`, `again`;
 * before them others call, so that the responder's code is warm: first so slowly that it asks for no puzzles, and then as fast as those that count: `warm`.
 *
 *     warm-up       so many exchanges, one every 33 ms, of 600 hosts in turns: new ones at first, known ones then
 *     STEP call     all hosts send I1 and make their I2, which is held back: slowly, so that the responder asks for no puzzles
 *     STEP finish   the I2s go out, so many under way at once that the responder always has one to look at; ends when all R2s are in
 *
 * A responder that is asked more than 50 times a second makes puzzles, and initiators on the same machine would solve them instead of asking; an I2 is
 * good for 10 s after the puzzles have become harder, so those held back need none. Nothing else is skipped.
 */
import { createSocket, type Socket } from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

import { makeLocator, parseIpText } from "@i3/common";
import type { WARM_ROUNDS } from "./plan.js";
import { generateHostIdentity, HIP_PACKET, HipHost, systemDhSource, type HostIdentity } from "@i3/hip";

export interface InitiatorOptions {
  /** Of the responder, IPv4. */
  readonly address: string;
  readonly port: number;
  /** Its HIT, as text. */
  readonly hit: string;
  readonly count: number;
  /** Hosts of the rounds `warm`. */
  readonly warmCount: number;
  /** Exchanges in a step `warm-up`. */
  readonly warmUpCalls: number;
  /** Calls come from so many addresses, at most 250, of this host: 198.18.1.1 and on. The engine answers one of them only 10 times a second. */
  readonly sources: number;
}

export type Round = (typeof WARM_ROUNDS)[number] | "first" | "again";
export type Step = "warm-up" | `${Round} ${"call" | "finish"}`;

export interface StepResult {
  readonly step: Step;
  readonly done: number;
  readonly seconds: number;
}

const MARK = new Uint8Array(4);
/** Next header, length, type. */
const TYPE_OFFSET = 2;
/** Smaller ones look like i3 headers to our engine. */
const MIN_SPI = 0x2000_0000;
const CALLS_UNDER_WAY = 4;
/** Fewer than 1,000 a second, from which on puzzles get harder, however fast the machine is. */
const CALL_EVERY_MS = 1.25;
const FINISHES_UNDER_WAY = 48;
/** Nothing is lost on a veth unless a buffer overflows: whoever is not through by then is not counted. */
const STEP_MS = 30_000;
/** 30 a second: a responder asks for puzzles from 50 on. */
const WARM_UP_EVERY_MS = 33;
/** The more of them, the fewer strangers' places are left, of which the responder may not run short: from half of 4,096 on it asks for puzzles too. */
const WARM_UP_HOSTS = 600;

interface Initiator {
  readonly host: HipHost;
  /** Its I2 waits for the step `finish`. */
  readonly holds: boolean;
  heldI2: Uint8Array | null;
  isDone: boolean;
  readonly socket: Socket;
  readonly identity: HostIdentity;
}

const hitKey = (hit: Uint8Array): string => Buffer.from(hit).toString("hex");

const options = JSON.parse(process.argv[2] ?? "{}") as InitiatorOptions;
const locator = makeLocator(parseIpText(options.address) as Uint8Array, options.port);
const peerHit = parseIpText(options.hit) as Uint8Array;
/** By HIT. */
const current = new Map<string, Initiator>();
const sockets = await Promise.all(Array.from({ length: options.sources }, (_, i) => openSocket(`198.18.1.${i + 1}`)));
const newIdentities = (count: number): readonly HostIdentity[] => Array.from({ length: count }, () => generateHostIdentity("ecdsa-p256"));
const identities = newIdentities(options.count);
const warmUpIdentities = newIdentities(WARM_UP_HOSTS);
let warmUpCalls = 0;
const makeAll = (hosts = identities): readonly Initiator[] => hosts.map((identity, i) => makeInitiator(identity, i, true));
const warmIdentities = newIdentities(options.warmCount);
const initiators: Readonly<Record<Round, readonly Initiator[]>> = {
  "warm 1": makeAll(warmIdentities), "warm 2": makeAll(warmIdentities), "warm 3": makeAll(warmIdentities), "warm 4": makeAll(warmIdentities), "warm 5": makeAll(warmIdentities), first: makeAll(), again: makeAll(),
};
let underWay = 0;

async function openSocket(address: string): Promise<Socket> {
  const socket = createSocket({ type: "udp4" });
  socket.bind(0, address);
  await once(socket, "listening");
  // Behind the mark: next header, length, type, version, checksum, controls, sender's HIT, receiver's HIT.
  socket.on("message", (datagram) => {
    const packet = new Uint8Array(datagram.subarray(MARK.length));
    current.get(hitKey(packet.subarray(24, 40)))?.host.handle(performance.now(), packet, { kind: "udp", locator });
  });
  return socket;
}

function makeInitiator(identity: HostIdentity, number: number, holds: boolean): Initiator {
  const host = new HipHost({
    identity, ownPublicId: null, random: (bytes) => randomBytes(bytes), dhSource: systemDhSource, r1Generation: 1n, send: (_path, packet) => send(made, packet),
    newSpi: () => MIN_SPI + (randomBytes(4).readUInt32BE() >>> 1), admits: () => true, espSuitesFor: () => [13], offerFor: () => ({ privateId: null, preferences: null }),
    onEvent: (event) => {
      if (event.kind === "established") finished(made);
      else if (event.kind === "failed") process.stderr.write(`${event.reason}\n`);
    },
    log: () => undefined,
  }, performance.now());
  const made: Initiator = { host, holds, socket: sockets[number % sockets.length] as Socket, identity, heldI2: null, isDone: false };
  return made;
}

function send(initiator: Initiator, packet: Uint8Array): void {
  if (initiator.holds && packet[TYPE_OFFSET] === HIP_PACKET.i2) {
    initiator.heldI2 = packet;
    underWay -= 1;
  } else post(initiator, packet);
}

function post({ socket }: Initiator, packet: Uint8Array): void {
  socket.send([MARK, packet], options.port, options.address);
}

function finished(initiator: Initiator): void {
  initiator.isDone = true;
  underWay -= 1;
}

/** So many at a time, and none sooner than `everyMs` after the one before. No retransmissions: nobody calls `tick`. */
async function each(all: readonly Initiator[], limit: number, everyMs: number, begin: (initiator: Initiator) => void): Promise<void> {
  underWay = 0;
  const startMs = performance.now();
  const endMs = startMs + STEP_MS;
  for (const [i, initiator] of all.entries()) {
    while ((underWay >= limit || performance.now() < startMs + i * everyMs) && performance.now() < endMs) await turn();
    underWay += 1;
    current.set(hitKey(initiator.identity.hit), initiator);
    begin(initiator);
  }
  while (underWay > 0 && performance.now() < endMs) await turn();
}

function call({ host }: Initiator): void {
  host.connect(performance.now(), { hit: peerHit, path: { kind: "udp", locator }, returnId: null });
}

/** Never faster than that: who is late does not hurry after. */
async function warmUp(): Promise<StepResult> {
  const startMs = performance.now();
  const called: Initiator[] = [];
  for (let i = 0; i < options.warmUpCalls; i += 1) {
    const number = warmUpCalls++ % WARM_UP_HOSTS;
    const initiator = makeInitiator(warmUpIdentities[number] as HostIdentity, number, false);
    current.set(hitKey(initiator.identity.hit), initiator);
    called.push(initiator);
    call(initiator);
    await sleep(WARM_UP_EVERY_MS);
  }
  while (called.some(({ isDone }) => !isDone) && performance.now() < startMs + STEP_MS) await sleep(1);
  return { step: "warm-up", done: called.filter(({ isDone }) => isDone).length, seconds: (performance.now() - startMs) / 1_000 };
}

async function run(step: Step): Promise<StepResult> {
  if (step === "warm-up") return warmUp();
  const startMs = performance.now();
  const all = initiators[step.replace(/ (call|finish)$/, "") as Round];
  const isCall = step.endsWith("call");
  if (isCall) await each(all, CALLS_UNDER_WAY, CALL_EVERY_MS, call);
  else await each(all.filter(({ heldI2 }) => heldI2 !== null), FINISHES_UNDER_WAY, 0, (initiator) => post(initiator, initiator.heldI2 as Uint8Array));
  const done = all.filter(({ heldI2, isDone }) => (isCall ? heldI2 !== null : isDone)).length;
  return { step, done, seconds: (performance.now() - startMs) / 1_000 };
}

process.stdout.write("READY\n");
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(line as Step))}\n`);
}
process.exit(0);
