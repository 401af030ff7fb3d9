/** Tells when the machine's addresses change. Asked for, since node has no event for it. */
import { networkInterfaces } from "node:os";

/** Cheaper than a packet, and soon enough: sooner than the next refresh of a trigger finds out by itself. */
const LOOK_EVERY_MS = 1_000;

/** Of all interfaces but loopback. */
export const machineAddresses = (): string =>
  Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).flatMap(({ internal, address }) => (internal ? [] : [address]))).sort().join(" ");

/** @param addresses @default {@link machineAddresses} */
export function watchAddresses(onChange: () => void, addresses: () => string = machineAddresses): { close(): void } {
  let last = addresses();
  const timer = setInterval(() => {
    const now = addresses();
    if (now === last) return;
    last = now;
    onChange();
  }, LOOK_EVERY_MS);
  // The socket keeps the process; this alone must not.
  timer.unref();
  return { close: () => clearInterval(timer) };
}
