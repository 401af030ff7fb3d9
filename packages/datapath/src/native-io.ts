/**
 * The native addon beside the packet engine (native-addon.ts): netlink, the sockets of the proxy's DNS, and TUN devices for the
 * tests' WAN emulator, with packets in batches. Linux only. All calls are synchronous and never block. Errors of the system are thrown as Error with `code` (EPERM,
 * EBUSY, …), `syscall` and `errno` (negative); arguments that are wrong are a TypeError. Descriptors are those that this addon
 * opened in the same thread; any other number throws EBADF.
 *
 * Batches: packet i is arena[i*slotBytes … +lengths[i]]; at most 1,024 slots, slots of at most 65,536 bytes.
 */
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { I3Error } from "@i3/common";

export interface NativeIo {
  /** Opens /dev/net/tun (IFF_NO_PI, no vnet header). Brings nothing up. An empty name lets the kernel choose; `%d` in it a number. */
  openTun(options: { readonly name: string; readonly kind: "tun" }): { readonly fd: number; readonly name: string };
  /**
   * Fills slots until nothing is left to read. Returns the number read. A packet that does not fit is cut to `slotBytes`.
   * Throws EBADFD when the device was removed.
   */
  readBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array): number;
  /** Writes packets 0…count-1. Returns how many the device took; the rest (device full or down, packet not IP) must be counted as dropped. */
  writeBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, count: number): number;
  /** Binds a UDP socket: `mark` = SO_MARK (0 none; needs CAP_NET_ADMIN); dual stack when family is 6; `bufferBytes` each way (0 = the system's). */
  openUdp(options: UdpOptions): { readonly fd: number; readonly port: number };
  /**
   * recvmmsg. Source of datagram i at addresses[i*18]: IPv6 or IPv4-mapped address 16, port 2. Returns the number received.
   * lengths[i] is the datagram's real length: more than `slotBytes` when it was cut.
   */
  receiveBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, addresses: Uint8Array): number;
  /** sendmmsg; datagrams that the kernel refuses are skipped. Returns how many were sent. When the socket is full the rest stays unsent. */
  sendBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, addresses: Uint8Array, count: number): number;
  /**
   * An unconnected TCP socket with SO_MARK set, not this addon's any more: wrap it at once, see `connectMarkedTcp` in io/.
   */
  openMarkedTcp(options: { readonly family: 4 | 6; readonly mark: number }): { readonly fd: number };
  /**
   * Calls back once per turn of the event loop while the descriptor is readable, and once when it breaks (the next read says
   * why). One watch per descriptor (EEXIST). `close` may be called at any time, also twice and from the callback; closeFd closes it too.
   */
  watchReadable(fd: number, callback: () => void): { close(): void };
  closeFd(fd: number): void;
  /** Netlink, synchronous: addresses, link state and routes. Throws ENODEV. */
  interfaceIndex(name: string): number;
  /** `mtu` in bytes, 0 = as it is. */
  setLink(options: { readonly index: number; readonly up: boolean; readonly mtu: number }): void;
  /** An equal address is not an error. */
  addAddress(options: { readonly index: number; readonly address: Uint8Array; readonly prefixBits: number }): void;
  /** `type` unreachable needs no index (0). Replaces an equal route (same destination, table and metric). */
  setRoute(options: RouteOptions): void;
  /** Missing routes are not an error. */
  removeRoute(options: RouteOptions): void;
  /** `ip rule`: lookups (optionally only from a source prefix) go to `table` at `priority`. Existing equal rules are not an error. */
  setRule(options: RuleOptions): void;
  /** Missing rules are not an error. */
  removeRule(options: RuleOptions): void;
  /** All routes of all tables. Throws E2BIG above 262,144 of them. */
  listRoutes(family: 4 | 6): readonly RouteEntry[];
  listAddresses(family: 4 | 6): readonly AddressEntry[];
  /** Calls back when something of these kinds changed, at most once per turn of the event loop; changes made here are told too. */
  watchNetlink(callback: (events: readonly NetlinkEvent[]) => void): { close(): void };
}

export type NetlinkEvent = "address" | "link" | "route";

/** What routes and rules set here carry as `proto` (ip-route(8)): finds the leftovers of a killed process. */
export const ROUTE_PROTOCOL = 105;

export interface UdpOptions {
  readonly family: 4 | 6;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly mark: number;
  readonly bufferBytes: number;
}

export interface RouteOptions {
  readonly type: "unicast" | "unreachable";
  readonly destination: Uint8Array;
  readonly prefixBits: number;
  readonly index: number;
  readonly table: number;
  /** 0: the kernel's choice (0 for IPv4, 1,024 for IPv6). */
  readonly metric: number;
  /** Preferred source address, or null. */
  readonly source: Uint8Array | null;
}

export interface RuleOptions {
  readonly family: 4 | 6;
  readonly priority: number;
  readonly table: number;
  /** Only packets with this SO_MARK or nft mark (0 or absent: all). */
  readonly mark?: number;
  readonly from: { readonly address: Uint8Array; readonly prefixBits: number } | null;
  readonly to: { readonly address: Uint8Array; readonly prefixBits: number } | null;
}

export type RouteType =
  | "unspec" | "unicast" | "local" | "broadcast" | "anycast" | "multicast" | "blackhole" | "unreachable" | "prohibit" | "throw" | "other";

export interface RouteEntry {
  readonly type: RouteType;
  /** 4 or 16 bytes; zeros for the default route. */
  readonly destination: Uint8Array;
  readonly prefixBits: number;
  /** May be of the other family; of several next hops the first one's. */
  readonly gateway: Uint8Array | null;
  /** The interface; 0 for none. */
  readonly index: number;
  readonly table: number;
  readonly metric: number;
  /** {@link ROUTE_PROTOCOL} when it is one of ours. */
  readonly protocol: number;
}

export interface AddressEntry {
  readonly index: number;
  /** The interface's. */
  readonly name: string;
  readonly address: Uint8Array;
  readonly prefixBits: number;
}

/** Node's own headers lie beside node, whatever npm is configured to. */
const BUILD_REMEDY =
  "Install g++, make and python3, then run in packages/datapath: " +
  `node ../../node_modules/node-gyp/bin/node-gyp.js rebuild --nodedir=${resolve(process.execPath, "../..")}`;

/** The same file seen from src/ (vitest) and from dist/. */
const addonUrl = new URL("../build/Release/i3_native_io.node", import.meta.url);

/** Loads the addon. Throws I3Error ERR_I3_NO_NATIVE with a remedy when it is not built, or not for this system. */
export function loadNativeIo(): NativeIo {
  const file = fileURLToPath(addonUrl);
  try {
    return createRequire(import.meta.url)(file) as NativeIo;
  } catch (cause) {
    throw new I3Error("ERR_I3_NO_NATIVE", `the native addon ${file} cannot be loaded`, { cause, remedy: BUILD_REMEDY });
  }
}
