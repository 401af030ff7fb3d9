/**
 * Trips that packets made, by captures at both ends: how many had to wait for one another, and how long they were at the ends. What is here sees nothing but the captures.
 *
 *     program ─ TUN ─ laptop ────────────────────────── home          a trip: a packet that left one end and came to the other, the same bytes
 *                   s1 (i3-server) is on the way                      an asking: what the server answers goes half of the way and back, one trip
 */
import { classifyDatagram, DATA_OFFSET, dataHeaderBytes, PAYLOAD_KIND } from "@i3/datapath";
import { HIP_PACKET } from "@i3/hip";

import { readIp, type CapturedPacket } from "./pcap.js";

export type End = "near" | "far";

export interface Trip {
  readonly from: End;
  /** The same as `from` when a server was asked. */
  readonly to: End;
  readonly leftMs: number;
  readonly cameMs: number;
  /** "i1", "r1" …, "esp", "plain", "asking". */
  readonly kind: string;
}

export interface EndTrace {
  /** Of the interface towards the other end: IPv4, as text. */
  readonly address: string;
  readonly packets: readonly CapturedPacket[];
}

export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** A capture lacks a packet, so nothing can be counted in it. */
export class IncompleteTraceError extends Error {
  override readonly name = "IncompleteTraceError";
}

interface Sighting {
  readonly end: End;
  readonly isOut: boolean;
  readonly timeMs: number;
  readonly kind: string;
  /** What stays the same from end to end. */
  readonly bytes: string;
}

const UDP = 17;
const UDP_BYTES = 8;
const MARK_BYTES = 4;
const HIP_TYPE_OFFSET = 2;
const CONTROL = "control";
const ASKING = "asking";

export interface TripOptions {
  /** What left before this has come before the captures end. */
  readonly untilMs: number;
  /** How long a server's answer takes at the least; null: nobody is asked. */
  readonly askingMs: number | null;
}

/**
 * All trips from end to end, and all times when a server can have been asked and have answered.
 * Throws IncompleteTraceError when a packet has left one end and not come to the other, or come without having left.
 */
export function tripsOf(traces: Readonly<Record<End, EndTrace>>, { untilMs, askingMs }: TripOptions): readonly Trip[] {
  const seen = (["near", "far"] as const).flatMap((end) => traces[end].packets.flatMap((packet) => sightingOf(end, traces[end].address, packet) ?? []));
  const waiting = new Map<string, Sighting[]>();
  const trips: Trip[] = [];
  for (const sighting of seen.filter(({ kind }) => kind !== CONTROL).sort((a, b) => a.timeMs - b.timeMs || Number(b.isOut) - Number(a.isOut))) {
    const key = `${sighting.isOut === (sighting.end === "near") ? "there" : "back"} ${sighting.bytes}`;
    if (sighting.isOut) waiting.set(key, [...(waiting.get(key) ?? []), sighting]);
    else {
      const left = waiting.get(key)?.shift();
      if (left === undefined) throw new IncompleteTraceError(`${sighting.kind} came to the ${sighting.end} end, and no capture has where it left`);
      trips.push({ from: left.end, to: sighting.end, leftMs: left.timeMs, cameMs: sighting.timeMs, kind: sighting.kind });
    }
  }
  const missing = [...waiting.values()].flat().find(({ timeMs }) => timeMs < untilMs);
  if (missing !== undefined) throw new IncompleteTraceError(`${missing.kind} left the ${missing.end} end, and did not come to the other`);
  return [...trips, ...(askingMs === null ? [] : askings(seen, askingMs))];
}

/** The first answer that can be one, for each that was asked. */
function askings(seen: readonly Sighting[], askingMs: number): readonly Trip[] {
  return seen.flatMap((asked) => {
    if (asked.kind !== CONTROL || !asked.isOut) return [];
    const answer = seen.find(({ kind, end, isOut, timeMs }) => kind === CONTROL && end === asked.end && !isOut && timeMs >= asked.timeMs + askingMs);
    return answer === undefined ? [] : [{ from: asked.end, to: asked.end, leftMs: asked.timeMs, cameMs: answer.timeMs, kind: ASKING }];
  });
}

/**
 * The longest chain within `span` that begins and ends at the near end, of trips that each began where and after the one before had ended: no fewer were waited for
 * one after the other. Throws IncompleteTraceError when there is none.
 */
export function longestChain(trips: readonly Trip[], { startMs, endMs }: Span): readonly Trip[] {
  const within = trips.filter(({ leftMs, cameMs }) => leftMs >= startMs && cameMs <= endMs).sort((a, b) => a.cameMs - b.cameMs);
  const best = new Map<Trip, readonly Trip[]>();
  let longest: readonly Trip[] = [];
  for (const trip of within) {
    const before = within
      .filter(({ to, cameMs }) => to === trip.from && cameMs <= trip.leftMs)
      .map((each) => best.get(each) ?? [])
      .reduce((a, b) => (b.length > a.length ? b : a), []);
    if (before.length === 0 && trip.from !== "near") continue;
    const chain = [...before, trip];
    best.set(trip, chain);
    if (trip.to === "near" && chain.length > longest.length) longest = chain;
  }
  if (!longest.some(({ to }) => to === "far")) throw new IncompleteTraceError("no packet went to the far end and came back between a program's packet and its answer");
  return longest;
}

/** What a chain of trips does with the time of its span, in ms. */
export function timesOf(chain: readonly Trip[], { startMs, endMs }: Span): { readonly wholeMs: number; readonly onTheWayMs: number; readonly atTheEndsMs: number } {
  const onTheWayMs = chain.reduce((sum, { leftMs, cameMs }) => sum + cameMs - leftMs, 0);
  return { wholeMs: endMs - startMs, onTheWayMs, atTheEndsMs: endMs - startMs - onTheWayMs };
}

function sightingOf(end: End, address: string, { timeMs, bytes }: CapturedPacket): Sighting | null {
  const ip = readIp(bytes);
  if (ip.protocol !== UDP || (ip.source !== address && ip.destination !== address)) return null;
  const carried = carriedBy(ip.payload.subarray(UDP_BYTES));
  return carried === null ? null : { end, isOut: ip.source === address, timeMs, kind: carried.kind, bytes: Buffer.from(carried.bytes).toString("base64") };
}

const HIP_NAMES = new Map<number, string>(Object.entries(HIP_PACKET).map(([name, type]) => [type, name]));
const hip = (bytes: Uint8Array): { readonly kind: string; readonly bytes: Uint8Array } => ({ kind: HIP_NAMES.get(bytes[HIP_TYPE_OFFSET] ?? 0) ?? "hip", bytes });

/** What a datagram of ours carries, without the header that servers change. null: a keep-alive, or nobody's. */
function carriedBy(datagram: Uint8Array): { readonly kind: string; readonly bytes: Uint8Array } | null {
  const what = classifyDatagram(datagram[0] ?? 0, datagram.length);
  if (what === "esp") return { kind: "esp", bytes: datagram };
  if (what === "hip") return hip(datagram.subarray(MARK_BYTES));
  if (what === "control") return { kind: CONTROL, bytes: datagram };
  if (what !== "data") return null;
  const payload = datagram.subarray(dataHeaderBytes(datagram[DATA_OFFSET.stackLength] ?? 0));
  const kind = datagram[DATA_OFFSET.payloadKind];
  if (kind === PAYLOAD_KIND.hip) return hip(payload);
  return { kind: kind === PAYLOAD_KIND.esp ? "esp" : "plain", bytes: payload };
}
