/** The ways on which HIP packets travel. */
import { concatBytes, formatIpText, locatorKey, locatorText, sameBytes, sameViaLocator, toHex, type ViaLocator } from "@i3/common";

/**
 * Where a packet goes; of a packet that came in, where it came from. Over i3 nobody sees where a packet comes from, so there `id` is, for one that came in, the
 * id of ours to which it was sent.
 */
export type HipPath =
  /** RFC 9028: behind four zero bytes, checksum 0. */
  | { readonly kind: "udp"; readonly locator: ViaLocator }
  /** Protocol 139; 4 or 16 bytes. Who sends fills in the checksum, who receives has checked it. `local`: the address of ours, the system's choice when left out. */
  | { readonly kind: "ip"; readonly address: Uint8Array; readonly local?: Uint8Array }
  /** Payload kind 3 behind a data header for the id (32 bytes). */
  | { readonly kind: "i3"; readonly id: Uint8Array };

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** What a puzzle binds an initiator to (docs/wire.md §9.4): the return id, 32 bytes, or its address, 16 bytes with IPv4 mapped. The port may change behind a NAT. */
export function puzzlePathBytes(path: HipPath): Uint8Array {
  if (path.kind === "i3") return path.id;
  const address = path.kind === "udp" ? path.locator.address : path.address;
  return address.length === 4 ? concatBytes(MAPPED_PREFIX, address) : address;
}

/** A key for Map. */
export function pathKey(path: HipPath): string {
  switch (path.kind) {
    case "udp": return `udp ${locatorKey(path.locator)}`;
    case "ip": return `ip ${toHex(path.address)}`;
    case "i3": return `i3 ${toHex(path.id)}`;
  }
}

/** For people and logs. */
export function pathText(path: HipPath): string {
  switch (path.kind) {
    case "udp": return locatorText(path.locator);
    case "ip": return `IP protocol 139 of ${formatIpText(path.address)}`;
    case "i3": return `id ${toHex(path.id.subarray(0, 8))}`;
  }
}

/** The same peer at the same place, and the same address of ours. */
export function samePath(a: HipPath, b: HipPath): boolean {
  if (a.kind === "udp" && b.kind === "udp") return sameViaLocator(a.locator, b.locator);
  if (a.kind === "ip" && b.kind === "ip") return sameBytes(a.address, b.address) && (a.local === b.local || (a.local !== undefined && b.local !== undefined && sameBytes(a.local, b.local)));
  return a.kind === "i3" && b.kind === "i3" && sameBytes(a.id, b.id);
}
