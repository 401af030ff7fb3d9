/** Servers behind gateways: asked for at the proxy's own DNS port, as programs of this machine ask, so that the rule, the gateway's answer and the way to it are what they have. */
import { Resolver } from "node:dns/promises";

import { parseIpText } from "@i3/common";

import type { GatewayServers } from "./overlay-hosts.js";

// Ours:
/** A gateway that is called for the first time makes keys before it answers; the proxy gives up after 6 s. */
const ASK_MS = 7_000;

export interface GatewayServersOptions extends Pick<GatewayServers, "leads" | "has"> {
  /** Of the proxy's DNS, on loopback. */
  readonly port: number;
}

export function gatewayServers({ port, leads, has }: GatewayServersOptions): GatewayServers {
  const ask = async (name: string, signal: AbortSignal): Promise<readonly Uint8Array[]> => {
    const resolver = new Resolver({ timeout: ASK_MS, tries: 1 });
    resolver.setServers([`127.0.0.1:${port}`]);
    const leave = (): void => resolver.cancel();
    signal.addEventListener("abort", leave, { once: true });
    try {
      // A server may have one family only.
      const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
      const found = [four, six].flatMap((one) => (one.status === "fulfilled" ? one.value : [])).flatMap((text) => parseIpText(text) ?? []);
      if (found.length === 0 && four.status === "rejected") throw four.reason;
      return found;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  };
  return { ask, leads, has };
}
