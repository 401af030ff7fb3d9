/** Ways of HIP packets as the packet engine has them, and the other way round. */
import type { ViaLocator } from "@i3/common";
import { IP_PROTOCOL } from "@i3/datapath";
import type { HipPath } from "@i3/hip";

/** How a HIP packet came. */
export function pathOf({ address, port, via, local }: ViaLocator): HipPath {
  const ours = local === undefined ? {} : { local };
  return via === "ip" ? { kind: "ip", address, ...ours } : { kind: "udp", locator: { address, port, ...(via !== undefined && { via }), ...ours } };
}

/** Where data goes beside HIP; null: over i3. */
export function locatorOf(path: HipPath): ViaLocator | null {
  if (path.kind === "i3") return null;
  if (path.kind === "udp") return path.locator;
  const { address, local } = path;
  return { address, port: IP_PROTOCOL.esp, via: "ip", ...(local !== undefined && { local }) };
}
