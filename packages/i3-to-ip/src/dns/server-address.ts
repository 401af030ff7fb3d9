/**
 * Virtual addresses of real servers, as a gateway's clients see them (docs/adr/0013-gateways.md): by a hash of the gateway's HIT and the server's address, so that those of two gateways differ,
 * and the same server has the same address again, after a restart too.
 *
 *     IPv4: in the client's virtual range, H24 of H("gateway server", HIT 16, address 4, try 1)
 *     IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway server", HIT 16, address 16, try 1)[8]
 */
import { concatBytes, domainHash, serverPrefix6, virtualAddress, type VirtualOption } from "@i3/common";

/** @param hit of the gateway, 16 bytes @param real of the server, 4 or 16 @returns as long as `real` */
export function serverAddress(hit: Uint8Array, real: Uint8Array, { range, tries }: VirtualOption): Uint8Array {
  const id = domainHash("gateway server", hit, real, Uint8Array.of(tries));
  return real.length === 4 ? virtualAddress(range, id) : concatBytes(serverPrefix6(hit), id.subarray(0, 8));
}
