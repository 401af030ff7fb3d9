/** `<port>`: every connection to it goes to one port of one host. */
import { createServer, type Server, type Socket } from "node:net";

import type { FixedPort } from "@i3/common";

import { admit, endOnFault, firstBytes, type Client, type PortEnvironment } from "./client.js";
import { HostError } from "./errors.js";
import { relay } from "./relay.js";

/** @param target as it is now; undefined: it is published no more */
export function fixedServer(env: PortEnvironment, target: () => FixedPort | undefined): Server {
  return createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    const client = admit(socket, env.places, false);
    const fixed = target();
    if (client === null) return;
    if (fixed === undefined) socket.resetAndDestroy();
    else void endOnFault(env, socket, pass(env, socket, client, fixed));
  });
}

async function pass(env: PortEnvironment, socket: Socket, client: Client, fixed: FixedPort): Promise<void> {
  socket.on("error", () => undefined);
  try {
    const host = await env.hosts.connect(fixed, fixed.port, firstBytes(client, fixed.proxyProtocol), client.gone);
    env.log.count("passed");
    relay(socket, host, env.timings.idleMs);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    env.log.failed(fixed.to, error);
    socket.resetAndDestroy();
  }
}
