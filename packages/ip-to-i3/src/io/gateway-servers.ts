/**
 * Servers behind gateways: asked for at the proxy's own DNS port, as programs of this machine ask, so that the rule, the gateway's answer and the way to it are what they have. What was said is
 * known for a while, and a name is asked for once at a time: whoever connects a lot must not use up this machine's share at the gateway.
 */
import { Resolver } from "node:dns/promises";

import { parseIpText, remember } from "@i3/common";

import type { GatewayServers } from "./overlay-hosts.js";

// Ours:
/** A gateway that is called for the first time makes keys before it answers; the proxy gives up after 6 s. */
const ASK_MS = 7_000;
const KNOWN_MS = 30_000;
const FAILED_MS = 2_000;
/** Names are published: so many at most. */
const MOST_KNOWN = 4_096;

export interface GatewayServersOptions extends Pick<GatewayServers, "leads" | "has"> {
  /** Of the proxy's DNS, on loopback. */
  readonly port: number;
}

interface Known {
  readonly found: Promise<readonly Uint8Array[]>;
  addresses: readonly Uint8Array[];
  untilMs: number;
}

export function gatewayServers({ port, leads, has }: GatewayServersOptions): GatewayServers {
  const known = new Map<string, Known>();
  const ask = async (name: string, signal: AbortSignal): Promise<readonly Uint8Array[]> => {
    let entry = known.get(name);
    if (entry === undefined || entry.untilMs <= performance.now() || !entry.addresses.every(has)) {
      const made: Known = { found: lookUp(port, name), addresses: [], untilMs: Infinity };
      const keep = (ms: number): void => void (made.untilMs = performance.now() + ms);
      made.found.then((addresses) => {
        made.addresses = addresses;
        keep(KNOWN_MS);
      }, () => keep(FAILED_MS));
      remember(known, name, made, MOST_KNOWN);
      entry = made;
    }
    return await orAborted(entry.found, signal);
  };
  return { ask, leads, has };
}

async function lookUp(port: number, name: string): Promise<readonly Uint8Array[]> {
  const resolver = new Resolver({ timeout: ASK_MS, tries: 1 });
  resolver.setServers([`127.0.0.1:${port}`]);
  // A server may have one family only.
  const [four, six] = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  const found = [four, six].flatMap((one) => (one.status === "fulfilled" ? one.value : [])).flatMap((text) => parseIpText(text) ?? []);
  if (found.length === 0 && four.status === "rejected") throw four.reason;
  return found;
}

/** Rejects at once when the signal is, whatever others wait for. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let leave = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
