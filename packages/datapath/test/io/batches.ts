/** Batches of datagrams as values, for tests of the I/O. */
import { makeDatagramBatch, type DatagramBatch } from "@i3/datapath";
import { parseAddress } from "../../src/io/datagram-addresses.js";
import type { NativeIo } from "../../src/native-io.js";

export interface TestDatagram {
  readonly text: string;
  readonly address: string;
  readonly port: number;
}

/** A batch to send with one datagram in each slot. */
export function datagramBatch(datagrams: readonly TestDatagram[], slotBytes = 2_048): DatagramBatch {
  const batch = makeDatagramBatch(datagrams.length, slotBytes);
  datagrams.forEach(({ text, address, port }, i) => {
    const bytes = Buffer.from(text, "latin1");
    batch.arena.set(bytes, i * slotBytes);
    batch.lengths[i] = bytes.length;
    batch.addresses.set(parseAddress(address) ?? [], i * 18);
    batch.addresses.set([port >> 8, port & 0xff], i * 18 + 16);
  });
  batch.count = datagrams.length;
  return batch;
}

export const sendAll = (io: NativeIo, fd: number, datagrams: readonly TestDatagram[]): number => {
  const batch = datagramBatch(datagrams);
  return io.sendBatch(fd, batch.arena, batch.slotBytes, batch.lengths, batch.addresses, batch.count);
};

/** Text of packet i of a batch. */
export const textOf = (batch: DatagramBatch, i: number): string =>
  Buffer.from(batch.arena.buffer, i * batch.slotBytes, batch.lengths[i]).toString("latin1");

/** Receives until `count` datagrams are there (on loopback they are at once, but a busy machine may take a turn). */
export async function receiveTexts(io: NativeIo, fd: number, count: number): Promise<string[]> {
  const texts: string[] = [];
  const batch = makeDatagramBatch(64, 2_048);
  for (let tries = 0; texts.length < count && tries < 200; tries++) {
    const received = io.receiveBatch(fd, batch.arena, batch.slotBytes, batch.lengths, batch.addresses);
    for (let i = 0; i < received; i++) texts.push(textOf(batch, i));
    if (received === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return texts;
}

export const addressHex = (batch: DatagramBatch, i: number): string => Buffer.from(batch.addresses.subarray(i * 18, i * 18 + 16)).toString("hex");

/** Waits for a condition, at most five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`this did not come to pass in 5 s: ${what}`);
}

/** Lets the event loop look at all descriptors so many times: what is readable is told by then. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
