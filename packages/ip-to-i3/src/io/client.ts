/** A plain client's connection, and what all ports need for theirs. */
import type { Socket } from "node:net";

import { parseIpText } from "@i3/common";

import type { PublishedNames } from "../names/published-names.js";
import type { Place, Places } from "../places/places.js";
import { proxyHeader, type TcpEnd } from "../proxy-protocol/header.js";
import type { OverlayHosts } from "./overlay-hosts.js";
import type { PublishLog } from "./publish-log.js";

export interface Timings {
  /** Until it is known whom a client means. */
  readonly firstBytesMs: number;
  /** Without a byte either way. */
  readonly idleMs: number;
  /** Between two requests of a connection. */
  readonly keepAliveMs: number;
  /** For a client to read a last word. */
  readonly lingerMs: number;
}

export const TIMINGS: Timings = { firstBytesMs: 5_000, idleMs: 3_600_000, keepAliveMs: 60_000, lingerMs: 2_000 };

export interface PortEnvironment {
  /** As they are now. */
  readonly names: () => PublishedNames;
  readonly hosts: Pick<OverlayHosts, "connect">;
  readonly places: Places;
  readonly log: PublishLog;
  readonly timings: Timings;
}

export interface Client {
  readonly source: TcpEnd;
  /** Where it connected to. */
  readonly destination: TcpEnd;
  readonly place: Place;
  /** Aborts when its connection is closed. */
  readonly gone: AbortSignal;
}

/** Finds a place for a new connection, or closes it. @param waits it has to say whom it means */
export function admit(socket: Socket, places: Places, waits: boolean): Client | null {
  const [source, destination] = [endOf(socket.remoteAddress, socket.remotePort), endOf(socket.localAddress, socket.localPort)];
  const place = source === null || destination === null ? null : places.enter(source.address, waits, () => socket.destroy());
  if (source === null || destination === null || place === null) {
    socket.destroy();
    return null;
  }
  const gone = new AbortController();
  socket.once("close", () => {
    place.leave();
    gone.abort();
  });
  return { source, destination, place, gone: gone.signal };
}

const MAPPED = /^::ffff:(?=[0-9.]+$)/i;

/** Null: it is closed already. IPv4 that came in by a socket of both families is IPv4. */
function endOf(text: string | undefined, port: number | undefined): TcpEnd | null {
  const address = parseIpText((text ?? "").replace(MAPPED, "").replace(/%.*$/, ""));
  return address === undefined || port === undefined ? null : { address, port };
}

/** What a host gets before the client's first byte. */
export const firstBytes = (client: Client, protocol: "none" | "v2"): Uint8Array => (protocol === "v2" ? proxyHeader(client.source, client.destination) : new Uint8Array(0));

/** A fault of ours that a connection has found costs that connection, never the proxy. */
export async function endOnFault(env: PortEnvironment, socket: Socket, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch {
    env.log.count("internal");
    socket.resetAndDestroy();
  }
}
