/** What passes interfaces of several hosts while something is done, whole: by dumpcap, whose counters tell of every packet that it missed. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

import type { Child, Host } from "@i3/netns";

import { readPcap, type CapturedPacket } from "./pcap.js";

export interface CapturePoint {
  readonly host: Host;
  /** Name of the interface. */
  readonly device: string;
  /** Of libpcap. */
  readonly filter: string;
}

const BUFFER_MB = "16";
const WHOLE_MS = 10_000;
const LOOK_MS = 50;
let files = 0;

interface Running extends CapturePoint {
  readonly file: string;
  readonly dumpcap: Child;
}

/**
 * Runs `work` while all `points` are captured, then twice `last`, a round trip that passes each of them: what `work` sent has come when the first is over, and is
 * in a capture that has a packet of the second. Rejects when one does not get that far, and when dumpcap does not say that it has dropped nothing.
 *
 * @returns one list for each point, with what `last` sent at its end
 */
export async function captureAll(points: readonly CapturePoint[], work: () => Promise<void>, last: () => Promise<void>): Promise<readonly (readonly CapturedPacket[])[]> {
  const running: Running[] = [];
  for (const point of points) running.push(await start(point));
  await work();
  await last();
  const endMs = Date.now();
  // Kernel and Node.js read the same clock, but round it differently.
  await sleep(2);
  await last();
  for (const each of running) await untilAfter(each, endMs);
  const traces: (readonly CapturedPacket[])[] = [];
  for (const each of running) traces.push(await stop(each));
  return traces;
}

async function start(point: CapturePoint): Promise<Running> {
  const file = `${point.host.directory}/capture-${(files += 1)}.pcap`;
  const dumpcap = point.host.spawn("dumpcap", ["-q", "-P", "-B", BUFFER_MB, "-i", point.device, "-f", point.filter, "-w", file]);
  await dumpcap.waitForLine(/^File: /);
  return { ...point, file, dumpcap };
}

async function untilAfter({ host, device, file }: Running, timeMs: number): Promise<void> {
  for (let waited = 0; waited < WHOLE_MS; waited += LOOK_MS) {
    if (((await packetsOf(file)).at(-1)?.timeMs ?? 0) > timeMs) return;
    await sleep(LOOK_MS);
  }
  throw new Error(`the capture of ${host.name}'s ${device} is not whole: nothing of after the work came within ${WHOLE_MS} ms`);
}

async function stop({ host, device, file, dumpcap }: Running): Promise<readonly CapturedPacket[]> {
  await dumpcap.stop();
  const [told, received, dropped] = dumpcap.lines.map(({ text }) => /^Packets received\/dropped on interface .*: (\d+)\/(\d+) /.exec(text)).find((found) => found !== null) ?? [];
  const packets = await packetsOf(file);
  if (told === undefined || dropped !== "0" || Number(received) < packets.length) throw new Error(`the capture of ${host.name}'s ${device} is not whole: ${told ?? dumpcap.tail()}`);
  return packets;
}

const packetsOf = async (file: string): Promise<readonly CapturedPacket[]> => readPcap(await readFile(file));
