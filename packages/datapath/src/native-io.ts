/**
 * The native addon beside the packet engine (native-addon.ts): netlink, also netfilter's (NFLOG, conntrack), the sockets of the proxy's DNS, and
 * TUN devices for the tests' WAN emulator, with packets in batches. Linux only. All calls are synchronous and never block. Errors of the system are thrown as Error with `code` (EPERM,
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
   * The same, not this addon's any more, for node:dgram (`bind({ fd })` at once): once connected it hears every ICMP error (IP_RECVERR), as host unreachable, which Linux otherwise
   * keeps from UDP sockets. To be closed at the first one: the error stays readable.
   */
  openReportingUdp(options: UdpOptions): { readonly fd: number };
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
  /** The longest train (GSO) that a device takes in one; the kernel cuts longer ones into packets before. `segments` up to 65,535, `bytes` with headers up to 65,536. */
  setTrains(options: { readonly index: number; readonly segments: number; readonly bytes: number }): void;
  /** An equal address is not an error. */
  addAddress(options: { readonly index: number; readonly address: Uint8Array; readonly prefixBits: number }): void;
  /** `type` unreachable needs no index (0). Replaces an equal route (same destination, table and metric). */
  setRoute(options: RouteOptions): void;
  /** Missing routes are not an error. */
  removeRoute(options: RouteOptions): void;
  /** `ip rule`: lookups (optionally only from a source prefix) go to `table` at `priority`. Existing equal rules are not an error. @returns whether it was not there */
  setRule(options: RuleOptions): boolean;
  /** Missing rules are not an error. @returns whether it was there */
  removeRule(options: RuleOptions): boolean;
  /** All routes of all tables. Throws E2BIG above 262,144 of them. */
  listRoutes(family: 4 | 6): readonly RouteEntry[];
  listAddresses(family: 4 | 6): readonly AddressEntry[];
  /** Calls back when something of these kinds changed, at most once per turn of the event loop; changes made here are told too. */
  watchNetlink(callback: (events: readonly NetlinkEvent[]) => void): { close(): void };
  /**
   * Binds a group of NFLOG in this network namespace: what rules log to it (`log prefix "…" group N`) can be read until closeFd. `openNflog` in io/
   * reads and counts. Throws EPERM without CAP_NET_ADMIN, EBUSY when the group is another socket's.
   */
  openNflog(options: NflogOptions): { readonly fd: number };
  /** One datagram of the kernel, with up to `queueThreshold` packets. */
  readNflog(fd: number): NflogBatch;
  /** Asks for all entries of conntrack of this network namespace; closeFd ends it. `listConntrack` in io/ reads it in turns. */
  openConntrackDump(family: 4 | 6): { readonly fd: number };
  /**
   * The next part, some 200 entries looked at: of these the entries whose original source, reply source or reply destination is `address` (4 or 16
   * bytes), or all with null. Throws EPERM without CAP_NET_ADMIN, EAGAIN behind the part that is `isDone`.
   */
  readConntrackDump(fd: number, address: Uint8Array | null): ConntrackPart;
  /**
   * Deletes the one entry with this original tuple, `zone` and `id`. false: there is none any more. Throws EPERM without CAP_NET_ADMIN.
   * Entries whose zone holds in one direction only are not found.
   */
  deleteConntrack(entry: Pick<ConntrackEntry, "protocol" | "original" | "id" | "zone">): boolean;
}

export interface NflogOptions {
  /** 0–65,535. */
  readonly group: number;
  /** Of each packet from its IP header on, 1–4,096. 64 hold the addresses and ports of IPv4 and IPv6 without options. */
  readonly copyBytes: number;
  /** The socket's; 0: the system's. */
  readonly bufferBytes: number;
  /** The kernel gathers so many packets, 1–256, or 32 KiB, before it tells … */
  readonly queueThreshold: number;
  /** … but waits no longer than this, 10–10,000, in steps of 10. */
  readonly flushMs: number;
}

export interface NflogBatch {
  readonly entries: readonly NflogEntry[];
  /** Messages that were not as the kernel makes them, of this call. */
  readonly malformed: number;
  /** Datagrams that found no room in the buffer (ENOBUFS), since the group was opened. */
  readonly drops: number;
  /** false: there was nothing to read. */
  readonly more: boolean;
}

/** A packet that a rule has logged. */
export interface NflogEntry {
  /** The rule's, at most 127 bytes. */
  readonly prefix: string;
  /** 0: neither. */
  readonly family: 4 | 6 | 0;
  /** NF_INET_…: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting. */
  readonly hook: number;
  /** 0: none. */
  readonly inIndex: number;
  readonly outIndex: number;
  /** The packet's, 0 for none. */
  readonly mark: number;
  /** EtherType, 0x0800 or 0x86dd; 0 when the packet has none yet. */
  readonly hardwareProtocol: number;
  /** Counts what the group was told, also what was lost on the way, from 0, in 32 bits. */
  readonly sequence: number;
  /** From the IP header on, at most `copyBytes`; the memory is shared with the others of its batch. */
  readonly packet: Uint8Array;
}

export interface ConntrackPart {
  readonly entries: readonly ConntrackEntry[];
  /** Messages that were not as the kernel makes them. */
  readonly malformed: number;
  readonly isDone: boolean;
}

export interface ConntrackEntry {
  readonly family: 4 | 6;
  /** IP protocol. */
  readonly protocol: number;
  readonly original: ConntrackTuple;
  readonly reply: ConntrackTuple;
  /** `ct mark`. */
  readonly mark: number;
  /** Differs for the entries that one tuple has in the course of time. */
  readonly id: number;
  /** Bits IPS_…: 1 expected, 2 seen in both directions, 4 assured, 8 confirmed, 16 source NAT, 32 destination NAT, … */
  readonly status: number;
  readonly zone: number;
}

/** Addresses of 4 or 16 bytes, whose memory is shared with the others of their part. What the protocol does not have is 0. */
export interface ConntrackTuple {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmpType: number;
  readonly icmpCode: number;
  readonly icmpId: number;
}

export type NetlinkEvent = "address" | "link" | "route" | "rule";

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
  /** Only packets that all of this is not true of. @default false */
  readonly invert?: boolean;
  /** Routes whose prefix is no longer than this are passed over, and the next rule is asked. @default none is */
  readonly suppressPrefixBits?: number;
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
