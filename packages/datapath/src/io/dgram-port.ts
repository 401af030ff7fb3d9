/**
 * A UDP port over node:dgram, for servers on a machine where the addon cannot be built. One callback per datagram collects
 * them; the engine still gets batches. No TUN, no SO_MARK.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { concatBytes } from "@i3/common";
import type { SendFailure } from "../datapath.js";
import { VIA, viaAt } from "../reference/endpoints.js";
import { ADDRESS_SLOT_BYTES, WAY_SLOT_BYTES, type DatagramBatch } from "../reference/step.js";
import { EngineDriver, type DriverOptions } from "./engine-driver.js";
import { DatagramAddresses } from "./datagram-addresses.js";
import { lacksIpv6, udpError, type UdpPortOptions } from "./port-errors.js";
import type { PortDrops, UdpPort } from "./ports.js";

/** Datagrams that wait for the engine; more are dropped, counted `io-error`. A full turn of the driver takes 512. */
const MAX_QUEUED = 2_048;
/** Sends that the system has not confirmed; more are dropped, counted `io-error`. */
const MAX_UNCONFIRMED = 4_096;

/** What the system says of a place that it cannot send to, or not as much. */
const FAILURES: ReadonlyMap<string, SendFailure> = new Map([...["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "ENODEV", "ENETDOWN"].map((code) => [code, "unreachable"] as const), ["EMSGSIZE", "too-big"]]);

const routeAt = ({ addresses, ways }: DatagramBatch, i: number): Uint8Array =>
  concatBytes(addresses.subarray(i * ADDRESS_SLOT_BYTES, (i + 1) * ADDRESS_SLOT_BYTES), ways.subarray(i * WAY_SLOT_BYTES, (i + 1) * WAY_SLOT_BYTES));

interface Received {
  readonly bytes: Uint8Array;
  readonly from: RemoteInfo;
}

class DgramPort implements UdpPort {
  readonly drops: PortDrops = { ioError: 0, tooBig: 0 };
  onSendFailed: UdpPort["onSendFailed"];
  readonly family: 4 | 6;
  readonly port: number;
  readonly #socket: Socket;
  readonly #addresses: DatagramAddresses;
  #queue: Received[] = [];
  /** Where in the queue the next read begins; what is before it was taken. */
  #taken = 0;
  #unconfirmed = 0;
  #callback: (() => void) | undefined;
  #scheduled = false;
  #closed = false;

  /** `socket` is bound. */
  constructor(socket: Socket, family: 4 | 6) {
    this.#socket = socket;
    this.family = family;
    this.port = socket.address().port;
    this.#addresses = new DatagramAddresses(family);
    socket.on("message", (bytes, from) => this.#receive(bytes, from));
    // Errors of single sends; the socket itself goes on.
    socket.on("error", () => (this.drops.ioError += 1));
  }

  read(batch: DatagramBatch): boolean {
    batch.count = 0;
    const slots = batch.lengths.length;
    while (batch.count < slots) {
      const next = this.#queue[this.#taken];
      if (next === undefined) break;
      this.#taken += 1;
      this.#put(batch, next);
    }
    if (this.#taken === this.#queue.length) {
      this.#queue = [];
      this.#taken = 0;
    }
    return this.#queue.length > 0;
  }

  write(batch: DatagramBatch): void {
    for (let i = 0; i < batch.count; i++) {
      // Of the main port alone. Node cannot choose the address or the interface of a datagram, nor that it stays whole: the system does.
      const address = viaAt(batch.ways, i * WAY_SLOT_BYTES) === VIA.udp ? this.#addresses.read(batch.addresses, i * 18) : null;
      if (address === null || this.#unconfirmed >= MAX_UNCONFIRMED) this.drops.ioError += 1;
      else this.#send(batch.arena.slice(i * batch.slotBytes, i * batch.slotBytes + (batch.lengths[i] ?? 0)), address, batch.tells[i] === 1 ? routeAt(batch, i) : null);
    }
    batch.count = 0;
  }

  watch(callback: () => void): { close(): void } {
    this.#callback = callback;
    this.#schedule();
    return { close: () => (this.#callback = undefined) };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#callback = undefined;
    this.#socket.close();
  }

  #receive(bytes: Uint8Array, from: RemoteInfo): void {
    if (this.#queue.length - this.#taken >= MAX_QUEUED) {
      this.drops.ioError += 1;
      return;
    }
    this.#queue.push({ bytes, from });
    this.#schedule();
  }

  #put(batch: DatagramBatch, { bytes, from }: Received): void {
    const i = batch.count;
    if (bytes.length > batch.slotBytes) {
      this.drops.tooBig += 1;
      return;
    }
    if (!this.#addresses.write(from.address, from.port, batch.addresses, i * 18)) return;
    batch.arena.set(bytes, i * batch.slotBytes);
    batch.lengths[i] = bytes.length;
    // Node does not tell; and sets none when it sends.
    batch.trafficClasses[i] = 0;
    batch.count += 1;
  }

  /** `route`: where it goes, if its refusal is to be told. */
  #send(bytes: Uint8Array, { address, port }: { readonly address: string; readonly port: number }, route: Uint8Array | null): void {
    // Port 0 makes node throw; anybody could name it in a trigger.
    if (port === 0) {
      this.drops.ioError += 1;
      return;
    }
    this.#unconfirmed += 1;
    this.#socket.send(bytes, port, address, (error) => {
      this.#unconfirmed -= 1;
      if (error === null) return;
      this.drops.ioError += 1;
      const reason = FAILURES.get((error as NodeJS.ErrnoException).code ?? "");
      if (route !== null && reason !== undefined && !this.#closed) this.onSendFailed?.(route, reason);
    });
  }

  /** As poll(2) would: again in the next turn while something is left. */
  #schedule(): void {
    if (this.#scheduled || this.#callback === undefined || this.#queue.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#callback?.();
      this.#schedule();
    });
  }
}

function bindSocket(family: 4 | 6, address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: family === 6 ? "udp6" : "udp4",
      recvBufferSize: 1024 * 1024,
      // Addresses only: nothing is looked up, and nothing waits for it.
      lookup: (name, _options, callback) => callback(null, name, family),
    });
    const fail = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once("error", fail);
    socket.bind({ address, port }, () => {
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

/** Binds a UDP socket of node's. Rejects with I3Error ERR_I3_PORT_IN_USE or ERR_I3_NO_UDP. */
export async function openDgramPort({ address, port }: Omit<UdpPortOptions, "mark">): Promise<UdpPort> {
  const family = address.includes(":") ? 6 : 4;
  try {
    return new DgramPort(await bindSocket(family, address, port), family);
  } catch (cause) {
    if (address === "::" && lacksIpv6(cause)) return openDgramPort({ address: "0.0.0.0", port });
    throw udpError(address, port, cause);
  }
}

/** The driver of a server without the addon. */
export async function openDgramDriver(options: DriverOptions & { readonly udp: Omit<UdpPortOptions, "mark"> }): Promise<EngineDriver> {
  return new EngineDriver(options, await openDgramPort(options.udp));
}
