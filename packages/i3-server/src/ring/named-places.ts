/**
 * Which places servers may name to a host whose datagrams leave from this machine (docs/wire.md §10): none that leads into this machine, or into a
 * network that only this machine is in.
 */
import { sameBytes, type Locator } from "@i3/common";
import { canBeOneHosts } from "@i3/hip";

/** From how far away an address is reached (RFC 1918, 3927, 4193, 4291, 6598). */
const SCOPE = { machine: 0, link: 1, site: 2, all: 3 } as const;

/** `own`: where this server is, one of each family at most. Another port there is somebody's only where all servers are on one machine. */
export function mayBeNamed({ address, port }: Locator, own: readonly Locator[]): boolean {
  const self = own.find((one) => one.address.length === address.length);
  const ownScope = self === undefined ? SCOPE.all : scopeOf(self.address);
  if (scopeOf(address) < ownScope) return false;
  return self === undefined || ownScope === SCOPE.machine || port === self.port || !sameBytes(address, self.address);
}

/** The same of one that sends from there: from this machine's own address only those can who are on it. */
export const mayBeProven = (locator: Locator, own: readonly Locator[]): boolean =>
  own.some(({ address }) => sameBytes(address, locator.address)) || mayBeNamed(locator, own);

/** Of a network that is not everywhere: private, shared by a carrier's customers, or a link. */
export function isNearbyOnly(address: Uint8Array): boolean {
  const scope = scopeOf(address);
  return scope === SCOPE.link || scope === SCOPE.site;
}

export const isPublic = (address: Uint8Array): boolean => scopeOf(address) === SCOPE.all;

/** -1: nobody's alone. */
function scopeOf(address: Uint8Array): number {
  const [first = 0, second = 0] = address;
  const isIpv4 = address.length === 4;
  if (isIpv4 ? first === 127 : address.every((byte, i) => byte === (i === 15 ? 1 : 0))) return SCOPE.machine;
  if (isIpv4 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80) return SCOPE.link;
  if (!canBeOneHosts(address)) return -1;
  return (isIpv4 ? isPrivate(first, second) : (first & 0xfe) === 0xfc || (first === 0xfe && (second & 0xc0) === 0xc0)) ? SCOPE.site : SCOPE.all;
}

const isPrivate = (first: number, second: number): boolean =>
  first === 10 || (first === 172 && (second & 0xf0) === 16) || (first === 192 && second === 168) || (first === 100 && (second & 0xc0) === 64);
