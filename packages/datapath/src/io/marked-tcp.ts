/** TCP connections whose packets carry SO_MARK, so that rules can keep them out of the overlay. */
import { isIPv4, isIPv6, Socket } from "node:net";
import type { NativeIo } from "../native-io.js";

/**
 * Begins a connection and returns the socket, which tells success and failure as net.connect does. `address` is an IP
 * address: names would be looked up by the system. Throws (EPERM) when the mark may not be set.
 */
export function connectMarkedTcp(io: NativeIo, options: { readonly address: string; readonly port: number; readonly mark: number }): Socket {
  const { address, port, mark } = options;
  const family = isIPv4(address) ? 4 : isIPv6(address) ? 6 : null;
  if (family === null) throw new TypeError(`address ${address}: expected an IP address`);
  const { fd } = io.openMarkedTcp({ family, mark });
  // Connect in the same turn: the event loop would take a socket that is not even connecting for one that was hung up.
  return new Socket({ fd, readable: true, writable: true }).connect({ host: address, port, family, autoSelectFamily: false });
}
