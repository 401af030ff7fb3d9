/** iperf3 between the two hosts of a subject: client pinned to one core, server to the other, TCP under cubic. */
import { readFileSync } from "node:fs";

import { succeed, type Subject } from "./bed.js";

const CLIENT_CORE = "0";
const SERVER_CORE = "1";
const PORT = 5_201;
const CONNECT_MS = 3_000;
/** Beyond the run itself. */
const END_MS = 15_000;
/** The first second is not counted: TCP begins slowly. */
const OMITTED_S = 1;
export const DATAGRAM_BYTES = 1_200;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/** What we read of iperf3's output (its -J). */
interface Output {
  readonly error?: string;
  readonly start?: { readonly tcp_mss_default?: number };
  readonly intervals?: readonly { readonly sum: { readonly bytes: number } }[];
  readonly end: {
    readonly sender_tcp_congestion?: string;
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum?: { readonly seconds: number; readonly packets: number; readonly lost_packets: number };
  };
}

export interface TcpRun {
  readonly mbitPerSecond: number;
  /** All that was sent, in the omitted second too. */
  readonly bytes: number;
  /** Of the program's bytes as many go into one packet. */
  readonly segmentBytes: number;
}

/** One stream, up from a to b or down from b to a. */
export async function tcpRun(subject: Subject, seconds: number, direction: "up" | "down" = "up"): Promise<TcpRun> {
  const { start, end, intervals = [] } = await iperf(subject, seconds + OMITTED_S, ["-C", "cubic", "-O", String(OMITTED_S), "-t", String(seconds), ...(direction === "down" ? ["-R"] : [])]);
  if (end.sender_tcp_congestion !== "cubic") throw new Error(`TCP used ${end.sender_tcp_congestion ?? "?"} instead of cubic`);
  return { mbitPerSecond: (end.sum_received?.bits_per_second ?? NaN) / 1e6, bytes: intervals.reduce((sum, interval) => sum + interval.sum.bytes, 0), segmentBytes: start?.tcp_mss_default ?? NaN };
}

export interface UdpRun {
  /** Datagrams of {@link DATAGRAM_BYTES}. */
  readonly sent: number;
  readonly received: number;
  /** Of what was received, without headers. */
  readonly mbitPerSecond: number;
  /** 0–1. */
  readonly loss: number;
}

/** Datagrams from a to b at a rate, which the client may not reach. */
export async function udpRun(subject: Subject, mbitPerSecond: number, seconds: number): Promise<UdpRun> {
  const args = ["-u", "-l", String(DATAGRAM_BYTES), "-w", String(socketBufferBytes()), "-b", `${Math.round(mbitPerSecond * 1_000)}K`, "-t", String(seconds)];
  const { end } = await iperf(subject, seconds, args);
  if (end.sum === undefined) throw new Error("iperf3 told nothing about its datagrams");
  const { packets: sent, lost_packets: lost, seconds: tookS } = end.sum;
  return { sent, received: sent - lost, mbitPerSecond: ((sent - lost) * DATAGRAM_BYTES * 8) / tookS / 1e6, loss: lost / sent };
}

/** 4 MiB, or what the machine allows; iperf3 refuses to run with less than it was told. */
function socketBufferBytes(): number {
  const limits = ["rmem_max", "wmem_max"].map((name) => {
    try {
      return Number(readFileSync(`/proc/sys/net/core/${name}`, "utf8"));
    } catch {
      return SOCKET_BUFFER_BYTES; // Not shown in a namespace of older kernels; iperf3 then says what is wrong.
    }
  });
  return Math.min(SOCKET_BUFFER_BYTES, ...limits);
}

async function iperf({ a, b, address, listensAt = address }: Subject, seconds: number, args: readonly string[]): Promise<Output> {
  // One server for each run: one that lost its client would be busy in the next.
  const server = b.spawn("taskset", ["-c", SERVER_CORE, "iperf3", "-s", "-1", "-B", listensAt, "-p", String(PORT), "--forceflush"]);
  try {
    await server.waitForLine(/Server listening/);
    const client = ["-c", CLIENT_CORE, "iperf3", "-c", address, "-p", String(PORT), "--connect-timeout", String(CONNECT_MS), "-J", ...args];
    const output = JSON.parse(await succeed(a, "taskset", client, seconds * 1_000 + END_MS)) as Output;
    if (output.error !== undefined) throw new Error(`iperf3: ${output.error}`);
    return output;
  } finally {
    server.kill("SIGKILL");
    await server.ended;
  }
}
