/** TUN devices and UDP sockets of the native addon as ports of the engine, with errors for people. */
import { I3Error } from "@i3/common";
import type { NativeIo } from "../native-io.js";
import { CHECKSUM, type DatagramBatch, type PacketBatch } from "../reference/step.js";
import { removeCutDatagrams, type PortDrops, type TunPort, type UdpPort } from "./ports.js";

export interface TunOptions {
  /** At most 15 characters; empty or with `%d`: the kernel chooses. */
  readonly name: string;
  /** Bytes, {@link MIN_MTU_BYTES}–{@link MAX_MTU_BYTES}. */
  readonly mtu: number;
}

export interface UdpPortOptions {
  /** IPv4 or IPv6. `::` is both families, and falls back to 0.0.0.0 on a machine without IPv6. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** SO_MARK, 0 for none. */
  readonly mark: number;
}

/** The least that IPv6 allows (RFC 8200 §5). */
export const MIN_MTU_BYTES = 1_280;
/** So that a packet, its header with 15 ids and a set-up message fit {@link UDP_SLOT_BYTES}. */
export const MAX_MTU_BYTES = 8_192;
/** Datagrams that are longer are dropped, counted `too-big`. */
export const UDP_SLOT_BYTES = 9_216;
/** Holds bursts of a few thousand full packets while JavaScript is busy; the kernel doubles it for its own bookkeeping. */
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;

/** `code` of a system error, or "". */
export const systemCode = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

class NativeTunPort implements TunPort {
  readonly drops: PortDrops = { ioError: 0, tooBig: 0 };

  constructor(
    private readonly io: NativeIo,
    private readonly fd: number,
    readonly name: string,
    readonly index: number,
  ) {}

  read(batch: PacketBatch): boolean {
    batch.count = this.io.readBatch(this.fd, batch.arena, batch.slotBytes, batch.lengths);
    // Without vnet headers the kernel completes what it hands over.
    batch.checksums.fill(CHECKSUM.complete, 0, batch.count);
    return batch.count === batch.lengths.length;
  }

  write(batch: PacketBatch): void {
    const { count } = batch;
    batch.count = 0;
    this.drops.ioError += count;
    this.drops.ioError -= this.io.writeBatch(this.fd, batch.arena, batch.slotBytes, batch.lengths, count);
  }

  watch(callback: () => void): { close(): void } {
    return this.io.watchReadable(this.fd, callback);
  }

  close(): void {
    this.io.closeFd(this.fd);
  }
}

class NativeUdpPort implements UdpPort {
  readonly drops: PortDrops = { ioError: 0, tooBig: 0 };

  constructor(
    private readonly io: NativeIo,
    private readonly fd: number,
    readonly port: number,
    readonly family: 4 | 6,
  ) {}

  read(batch: DatagramBatch): boolean {
    batch.count = this.io.receiveBatch(this.fd, batch.arena, batch.slotBytes, batch.lengths, batch.addresses);
    batch.trafficClasses.fill(0, 0, batch.count);
    const full = batch.count === batch.lengths.length;
    this.drops.tooBig += removeCutDatagrams(batch);
    return full;
  }

  write(batch: DatagramBatch): void {
    const { count } = batch;
    batch.count = 0;
    this.drops.ioError += count;
    this.drops.ioError -= this.io.sendBatch(this.fd, batch.arena, batch.slotBytes, batch.lengths, batch.addresses, count);
  }

  watch(callback: () => void): { close(): void } {
    return this.io.watchReadable(this.fd, callback);
  }

  close(): void {
    this.io.closeFd(this.fd);
  }
}

const NO_TUN_REMEDY =
  "Creating one needs CAP_NET_ADMIN and a /dev/net/tun that this user may open (mode 0666): run as root or with that capability, " +
  'or use a user and network namespace, as "npm run demo" does.';

export function tunError(name: string, cause: unknown): I3Error {
  const shown = name === "" ? "a TUN device" : `the TUN device ${name}`;
  switch (systemCode(cause)) {
    case "EBUSY":
      return new I3Error("ERR_I3_TUN_BUSY", `${shown} is used by another process`, {
        cause,
        remedy: "Stop the other proxy, or choose another TUN name in the configuration.",
      });
    case "EINVAL":
      return new I3Error("ERR_I3_TUN_BUSY", `${shown} cannot be made: the name is not valid, or an interface of another kind has it`, {
        cause,
        remedy: "Choose another TUN name in the configuration.",
      });
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return new I3Error("ERR_I3_NO_TUN", `${shown} cannot be made: this system has no /dev/net/tun`, {
        cause,
        remedy: 'As root: "modprobe tun"; in a container, pass the device /dev/net/tun in.',
      });
    default:
      return new I3Error("ERR_I3_NO_TUN", `${shown} cannot be made`, { cause, remedy: NO_TUN_REMEDY });
  }
}

/**
 * Creates (or, when it is persistent, attaches to) a TUN device, sets its MTU and brings it up. Addresses and routes are the
 * caller's. Throws I3Error ERR_I3_NO_TUN or ERR_I3_TUN_BUSY; RangeError for an MTU outside the bounds.
 */
export function openTunPort(io: NativeIo, { name, mtu }: TunOptions): TunPort {
  if (!Number.isInteger(mtu) || mtu < MIN_MTU_BYTES || mtu > MAX_MTU_BYTES) {
    throw new RangeError(`mtu ${mtu}: expected ${MIN_MTU_BYTES} to ${MAX_MTU_BYTES}`);
  }
  let fd = -1;
  try {
    const tun = io.openTun({ name, kind: "tun" });
    fd = tun.fd;
    const index = io.interfaceIndex(tun.name);
    io.setLink({ index, up: true, mtu });
    return new NativeTunPort(io, fd, tun.name, index);
  } catch (cause) {
    if (fd >= 0) io.closeFd(fd);
    throw cause instanceof TypeError ? cause : tunError(name, cause);
  }
}

/** The error for a UDP socket that cannot be bound: ERR_I3_PORT_IN_USE or ERR_I3_NO_UDP. */
export function udpError(address: string, port: number, cause: unknown): I3Error {
  switch (systemCode(cause)) {
    case "EADDRINUSE":
      return new I3Error("ERR_I3_PORT_IN_USE", `UDP port ${port} is in use`, {
        cause,
        remedy: `Stop the program that has it ("ss -ulpn sport = :${port}" names it), or choose another port in the configuration.`,
      });
    case "EADDRNOTAVAIL":
      return new I3Error("ERR_I3_NO_UDP", `${address} is not an address of this machine`, {
        cause,
        remedy: 'Use an address that "ip address" shows, or :: for all.',
      });
    case "EACCES":
    case "EPERM":
      return new I3Error("ERR_I3_NO_UDP", `UDP port ${port} may not be opened by this user`, {
        cause,
        remedy: "Marked sockets need CAP_NET_ADMIN, ports below 1024 CAP_NET_BIND_SERVICE: run as root or grant the capability.",
      });
    default:
      return new I3Error("ERR_I3_NO_UDP", `the UDP socket for ${address} port ${port} cannot be opened`, { cause });
  }
}

/** The machine has no IPv6 at all, so that `::` has to become 0.0.0.0. */
export const lacksIpv6 = (error: unknown): boolean => ["EAFNOSUPPORT", "EPROTONOSUPPORT", "EADDRNOTAVAIL"].includes(systemCode(error));

/** Binds a UDP socket. Throws I3Error ERR_I3_PORT_IN_USE or ERR_I3_NO_UDP, each with a remedy. */
export function openUdpPort(io: NativeIo, { address, port, mark }: UdpPortOptions): UdpPort {
  const family = address.includes(":") ? 6 : 4;
  try {
    const udp = io.openUdp({ family, address, port, mark, bufferBytes: UDP_BUFFER_BYTES });
    return new NativeUdpPort(io, udp.fd, udp.port, family);
  } catch (cause) {
    if (address === "::" && lacksIpv6(cause)) return openUdpPort(io, { address: "0.0.0.0", port, mark });
    throw cause instanceof TypeError ? cause : udpError(address, port, cause);
  }
}
