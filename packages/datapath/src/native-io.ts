/**
 * The small native addon: opens TUN devices and UDP sockets and moves packets in batches, until the packet engine takes its
 * place. Linux only. All calls are synchronous and never block; errors are thrown as Error with `code` (EPERM, EBUSY, …),
 * `syscall`, `errno`.
 */
import type { Locator } from "@i3/common";

export interface NativeIo {
  /** Opens /dev/net/tun (IFF_NO_PI, no vnet header). Brings nothing up. */
  openTun(options: { readonly name: string; readonly kind: "tun" }): { readonly fd: number; readonly name: string };
  /** Packet i is put at arena[i*slotBytes], its length in lengths[i]; stops when nothing is left. Returns the number read. */
  readBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array): number;
  /** Writes packets 0…count-1. Returns how many the device took; the rest must be counted as dropped. */
  writeBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, count: number): number;
  /** Binds a UDP socket: `mark` = SO_MARK (0 none); dual stack when family is 6. */
  openUdp(options: { readonly family: 4 | 6; readonly address: string; readonly port: number; readonly mark: number; readonly bufferBytes: number }): { readonly fd: number; readonly port: number };
  /** recvmmsg. Source of datagram i at addresses[i*18]: IPv6 or IPv4-mapped address 16, port 2. */
  receiveBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, addresses: Uint8Array): number;
  /** sendmmsg; datagrams that the kernel refuses are skipped. Returns how many were sent. */
  sendBatch(fd: number, arena: Uint8Array, slotBytes: number, lengths: Int32Array, addresses: Uint8Array, count: number): number;
  /** A TCP socket with SO_MARK set, for `new net.Socket({fd})`. */
  openMarkedTcp(options: { readonly family: 4 | 6; readonly mark: number }): { readonly fd: number };
  /** Calls back once per turn of the event loop while the descriptor is readable. */
  watchReadable(fd: number, callback: () => void): { close(): void };
  closeFd(fd: number): void;
  /** Netlink, synchronous: addresses, link state and routes. */
  interfaceIndex(name: string): number;
  setLink(options: { readonly index: number; readonly up: boolean; readonly mtu: number }): void;
  addAddress(options: { readonly index: number; readonly address: Uint8Array; readonly prefixBits: number }): void;
  /** `type` unreachable needs no index. Replaces an equal route (same destination, table and metric). */
  setRoute(options: RouteOptions): void;
  /** Missing routes are not an error. */
  removeRoute(options: RouteOptions): void;
  /** `ip rule`: lookups (optionally only from a source prefix) go to `table` at `priority`. Existing equal rules are not an error. */
  setRule(options: RuleOptions): void;
  removeRule(options: RuleOptions): void;
}

export interface RouteOptions {
  readonly type: "unicast" | "unreachable";
  readonly destination: Uint8Array;
  readonly prefixBits: number;
  readonly index: number;
  readonly table: number;
  readonly metric: number;
  /** Preferred source address, or null. */
  readonly source: Uint8Array | null;
}

export interface RuleOptions {
  readonly family: 4 | 6;
  readonly priority: number;
  readonly table: number;
  readonly from: { readonly address: Uint8Array; readonly prefixBits: number } | null;
  readonly to: { readonly address: Uint8Array; readonly prefixBits: number } | null;
}

export type { Locator };
