/** `<shared by="sni">`: reads the name that a TLS client asks for, and passes its bytes on to the host of that name as they are. Nothing is decrypted. */
import { createServer, type Server, type Socket } from "node:net";

import { HANDSHAKE_FAILURES } from "../sni/alert.js";
import { ClientHelloReader } from "../sni/client-hello-reader.js";
import { admit, endOnFault, firstBytes, type Client, type PortEnvironment } from "./client.js";
import { HostError } from "./errors.js";
import { endWith, relay } from "./relay.js";

export function tlsServer(env: PortEnvironment): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const client = admit(socket, env.places, true);
    if (client !== null) readHello(env, socket, client);
  });
}

function readHello(env: PortEnvironment, socket: Socket, client: Client): void {
  const reader = new ClientHelloReader();
  const chunks: Buffer[] = [];
  const timer = setTimeout(() => end("late"), env.timings.firstBytesMs);
  const forget = (): void => {
    clearTimeout(timer);
    socket.off("data", onData);
    socket.off("end", onEnd);
    socket.off("close", forget);
  };
  const end = (why: string): void => {
    env.log.count(why);
    forget();
    socket.destroy();
  };
  const onEnd = (): void => end("ended-early");
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    const verdict = reader.push(chunk);
    if (verdict.kind === "more") return;
    forget();
    socket.pause();
    if (verdict.kind === "name") void endOnFault(env, socket, pass(env, socket, client, verdict.name, chunks));
    else refuse(env, socket, client, verdict.reason, null);
  };
  socket.on("data", onData);
  socket.on("end", onEnd);
  socket.on("close", forget);
  socket.on("error", () => undefined);
}

function refuse(env: PortEnvironment, socket: Socket, client: Client, why: string, name: string | null): void {
  env.log.refused(client.source.address, "sni", why, name);
  // Who speaks something else would not understand it.
  if (why === "not-tls" || why === "ssl2") socket.destroy();
  else endWith(socket, HANDSHAKE_FAILURES.unrecognizedName, env.timings.lingerMs);
}

async function pass(env: PortEnvironment, socket: Socket, client: Client, name: string, chunks: readonly Buffer[]): Promise<void> {
  const published = env.names().find(name);
  if (published === undefined) return refuse(env, socket, client, "not-published", name);
  client.place.settle();
  try {
    const host = await env.hosts.connect(published, published.https, Buffer.concat([firstBytes(client, published.proxyProtocol), ...chunks]), client.gone);
    env.log.count("passed");
    relay(socket, host, env.timings.idleMs);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    env.log.failed(published.to, error);
    endWith(socket, HANDSHAKE_FAILURES.internalError, env.timings.lingerMs);
  }
}
