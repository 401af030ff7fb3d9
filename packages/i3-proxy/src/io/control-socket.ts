/**
 * The control socket (docs/control.md): HTTP/1.1 on a Unix stream socket, so that `curl --unix-socket` asks it too. Who may open the file may ask: its owner and group.
 * It changes nothing.
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";

import { errorLine, I3Error, type Log } from "@i3/common";

// Ours:
const MAX_CONNECTIONS = 32;
const MAX_HEADER_BYTES = 4_096;
/** Whoever has asked for nothing by then is let go. */
const PATIENCE_MS = 5_000;
const SOCKET_MODE = 0o660;
const OTHERS_NOTHING = 0o117;

export interface ControlSocketOptions {
  readonly file: string;
  /** What a path such as `/v1/status` answers with, made when it is asked for. */
  readonly answers: Readonly<Record<string, () => object>>;
}

export class ControlSocket {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Takes the place of a socket that nobody listens at any more. Rejects with I3Error ERR_I3_CONTROL. */
  static async open({ file, answers }: ControlSocketOptions): Promise<ControlSocket> {
    const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS, connectionsCheckingInterval: PATIENCE_MS }, (request, response) => answer(answers, request, response));
    server.maxConnections = MAX_CONNECTIONS;
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
      if (isSocket(file)) await takePlace(file);
      await listen(server, file);
      chmodSync(file, SOCKET_MODE);
    } catch (cause) {
      server.close();
      if (cause instanceof I3Error) throw cause;
      throw new I3Error("ERR_I3_CONTROL", `no control socket at ${file}`, { cause, remedy: "Choose another <control socket>, in a directory that is this user's." });
    }
    // Of what comes later none concerns anybody but who asked.
    server.on("error", () => undefined);
    return new ControlSocket(server);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** @param file undefined: none is wanted @returns null: there is none; a proxy without it works, and the log says why it has to */
export async function openControl(file: string | undefined, log: Log, answers: ControlSocketOptions["answers"]): Promise<ControlSocket | null> {
  if (file === undefined) return null;
  try {
    return await ControlSocket.open({ file, answers });
  } catch (error) {
    log("error", "control-failed", { error: errorLine(error) });
    return null;
  }
}

function isSocket(file: string): boolean {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found !== undefined && !found.isSocket()) throw new I3Error("ERR_I3_CONTROL", `${file} is no socket`, { remedy: "Choose another <control socket>, or move that file away." });
  return found !== undefined;
}

/** After a crash its socket is still there. */
async function takePlace(file: string): Promise<void> {
  const isHeard = await new Promise<boolean>((resolve) => {
    const socket = connect(file);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
  if (isHeard) throw new I3Error("ERR_I3_CONTROL", `another daemon listens at ${file}`, { remedy: "Each needs a <control socket> of its own." });
  unlinkSync(file);
}

/** Nobody else can open it in between: its mode is right from the first moment. */
async function listen(server: Server, file: string): Promise<void> {
  const before = process.umask(OTHERS_NOTHING);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(file, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } finally {
    process.umask(before);
  }
}

function answer(answers: ControlSocketOptions["answers"], { method, url = "" }: IncomingMessage, response: ServerResponse): void {
  const [path = ""] = url.split("?");
  const make = Object.hasOwn(answers, path) ? answers[path] : undefined;
  if (make === undefined) return say(response, 404, { error: "there is nothing of that name", paths: Object.keys(answers) });
  if (method !== "GET") return say(response, 405, { error: "it can be read (GET), nothing else" });
  say(response, 200, make());
}

function say(response: ServerResponse, status: number, content: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(content)}\n`);
}
