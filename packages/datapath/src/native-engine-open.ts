/** Opening the native engine's ports, with errors for people. */
import { I3Error, type OffloadName } from "@i3/common";
import { ipError, lacksIpv6, tunError, udpError, type TunOptions, type UdpPortOptions } from "./io/port-errors.js";
import type { EngineHandle, EngineOptions, NativeEngineAddon } from "./native-addon.js";
import { loadNativeIo, type NativeIo } from "./native-io.js";

/** The least that IPv6 allows (RFC 8200 §5). */
const MIN_MTU_BYTES = 1_280;
/** So that a packet of that length with a header and a set-up message stays one UDP datagram by far; ours. */
const MAX_MTU_BYTES = 16_384;
/** Holds bursts of a few thousand full packets while a worker is busy; the kernel doubles it for its own bookkeeping. */
const UDP_BUFFER_BYTES = 4 * 1024 * 1024;
export const MAX_WORKERS = 16;

export interface NativePorts {
  /** @default none: a server */
  readonly tun?: TunOptions;
  readonly udp: UdpPortOptions;
  /** HIP's own UDP port (RFC 9028), at the same address. @default none */
  readonly hip?: { readonly port: number } | undefined;
  /** HIP and ESP bare in IP, protocols 139 and 50, which need CAP_NET_RAW. @default false */
  readonly ip?: boolean | undefined;
  /** 1–{@link MAX_WORKERS}. @default 1 */
  readonly workers?: number;
  /** Offloads that stay off. @default none */
  readonly without?: readonly OffloadName[];
}

export interface OpenedPorts {
  readonly handle: EngineHandle;
  readonly tun: { readonly name: string; readonly index: number } | null;
  readonly udp: { readonly port: number; readonly family: 4 | 6 };
}

/** `openEngine` makes the TUN and sets its MTU; `setLink` then brings it up. */
export type EngineAddon = NativeEngineAddon & Pick<NativeIo, "setLink">;

/** What the addon calls. */
export type PortEvents = Pick<EngineOptions, "onUpcalls" | "onFailure">;

/** Loads the addon. Throws I3Error ERR_I3_NO_NATIVE with a remedy when it is not built, not for this system, or older than the engine. */
export function loadNativeEngine(): NativeIo & NativeEngineAddon {
  const addon = loadNativeIo() as NativeIo & Partial<NativeEngineAddon>;
  if (typeof addon.openEngine === "function") return addon as NativeIo & NativeEngineAddon;
  throw new I3Error("ERR_I3_NO_NATIVE", "the native addon was built without the packet engine", { remedy: "Build it again: npm test or npm run demo does." });
}

/**
 * Opens the TUN device (if asked for; it is brought up with its MTU) and the UDP socket, and starts the workers. Throws I3Error ERR_I3_NO_TUN,
 * ERR_I3_TUN_BUSY, ERR_I3_PORT_IN_USE, ERR_I3_NO_UDP, ERR_I3_NO_RAW, nothing is open then; RangeError for an MTU or a number of workers outside the bounds.
 */
export function openNativePorts(addon: EngineAddon, ports: NativePorts, nowMs: number, events: PortEvents): OpenedPorts {
  const { tun, udp, hip, ip = false, workers = 1, without = [] } = ports;
  if (tun !== undefined) requireWithin("mtu", tun.mtu, MIN_MTU_BYTES, MAX_MTU_BYTES);
  requireWithin("workers", workers, 1, MAX_WORKERS);
  const open = (address: string): OpenedPorts => {
    const family = address.includes(":") ? 6 : 4;
    const { port, mark } = udp;
    const socket = { family, address, port, mark, bufferBytes: UDP_BUFFER_BYTES } as const;
    const hipSocket = hip === undefined ? null : { ...socket, port: hip.port };
    const opened = addon.openEngine({ workers, tun: tun ?? null, udp: socket, hip: hipSocket, ip, nowMs, without, ...events });
    return { handle: opened.handle, tun: opened.tun, udp: { port: opened.port, family } };
  };
  try {
    const opened = openFallingBack(open, udp.address);
    if (opened.tun !== null) bringUp(addon, opened.handle, opened.tun.index);
    return opened;
  } catch (cause) {
    throw portError(ports, cause);
  }
}

function bringUp(addon: EngineAddon, handle: EngineHandle, index: number): void {
  try {
    addon.setLink({ index, up: true, mtu: 0 });
  } catch (error) {
    addon.closeEngine(handle);
    throw error;
  }
}

/** `::` on a machine without IPv6 becomes 0.0.0.0. */
function openFallingBack(open: (address: string) => OpenedPorts, address: string): OpenedPorts {
  try {
    return open(address);
  } catch (error) {
    if (address === "::" && isOfUdp(error) && lacksIpv6(error)) return open("0.0.0.0");
    throw error;
  }
}

/** The calls that fail when a socket cannot be opened; everything else is about the TUN. */
const UDP_CALLS = new Set(["socket", "setsockopt", "bind", "getsockname"]);
const isOfUdp = (error: unknown): boolean => error instanceof Error && "syscall" in error && UDP_CALLS.has(String(error.syscall));

function portError({ tun, udp, hip }: NativePorts, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("code" in cause) || cause instanceof TypeError) return cause;
  const syscall = "syscall" in cause ? cause.syscall : undefined;
  if (syscall === "raw socket") return ipError(cause);
  if (syscall === "hip socket" && hip !== undefined) return udpError(udp.address, hip.port, cause);
  return tun === undefined || isOfUdp(cause) ? udpError(udp.address, udp.port, cause) : tunError(tun.name, cause);
}

function requireWithin(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) throw new RangeError(`${what} ${value}: expected ${least} to ${most}`);
}

/** The error for a port that broke while the engine ran. */
export const brokenPort = (port: "tun" | "udp", tunName: string, cause: Error): I3Error =>
  port === "tun"
    ? new I3Error("ERR_I3_NO_TUN", `the TUN device ${tunName} is gone`, { cause, remedy: "Start the proxy again." })
    : new I3Error("ERR_I3_NO_UDP", "the UDP socket is broken", { cause, remedy: "Start the program again." });
