/**
 * Virtual addresses of real servers, as a gateway's clients see them (docs/adr/0013-gateways.md): by a hash of the gateway's HIT and the server's address, so that those of two gateways differ,
 * and the same server has the same address again, after a restart too. A secret of the gateway's goes first: nobody else knows beforehand which servers would have one address. A server's address is
 * of 4 or 16 bytes, whatever family it is called by.
 *
 *     IPv4: in the client's virtual range, H24 of H("gateway server", secret 32, HIT 16, address, try 1)
 *     IPv6: fd | H("gateway", HIT)[5] | 0 0 | H("gateway server", secret 32, HIT 16, address, try 1)[8]
 */
import { concatBytes, domainHash, serverPrefix6, virtualAddress, type VirtualOption } from "@i3/common";

export const SECRET_BYTES = 32;

export interface AddressKey {
  /** Of the gateway, 16 bytes. */
  readonly hit: Uint8Array;
  /** {@link SECRET_BYTES}, kept with what was led by it. */
  readonly secret: Uint8Array;
}

/** @param real of the server, 4 or 16 @param bytes of the virtual address: those of the family in which the client asks */
export function serverAddress({ hit, secret }: AddressKey, real: Uint8Array, { range, tries }: VirtualOption, bytes: 4 | 16): Uint8Array {
  const id = domainHash("gateway server", secret, hit, real, Uint8Array.of(tries));
  return bytes === 4 ? virtualAddress(range, id) : concatBytes(serverPrefix6(hit), id.subarray(0, 8));
}
