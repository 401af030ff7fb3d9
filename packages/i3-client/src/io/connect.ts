/** How a native program begins: {@link connect}. */
import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";

import { fromHex, I3Error } from "@i3/common";
import { generateTriggerKey, triggerKeyFromSeed, type TriggerKey } from "@i3/hip";

import { ClientError, usageError } from "../errors.js";
import { readServer, shown } from "../program/arguments.js";
import { Group } from "../program/group.js";
import { readOptions, readPort, readText, readTimeout } from "../program/options.js";
import { I3Connection, type ConnectionSettings, type ListSettings } from "./connection.js";
import { readOrCreateProgramKey } from "./program-key.js";

export interface ServerListOptions {
  /** Who signs it: an Ed25519 public key, 32 bytes or 64 hex digits. Usually that of the ring's authority. */
  readonly key: Uint8Array | string;
  /** Its origin, a file that is looked at again every 10 minutes. @default the ring itself, once a server answers */
  readonly file?: string;
  /** Tells several lists of one key apart. @default "" */
  readonly label?: string;
}

export interface ConnectOptions {
  /** Servers of the ring: `"192.0.2.1"`, `"192.0.2.1:5611"`, `"[2001:db8::1]:5611"`. Others are learned; two or three are enough to survive the death of one at the start. At least one, unless there is a `serverList`. */
  readonly servers?: readonly string[];
  /** A signed list of servers, beside `servers` or alone. */
  readonly serverList?: ServerListOptions;
  /** A directory (made if need be) where this connection's key is kept, in a file of mode 0600: ids of {@link I3Connection.id} stay the same when the program starts again. And a copy of the `serverList`, from which it starts when the origin is gone. One process at a time. @default a new key each time */
  readonly stateDir?: string;
  /** In place of `stateDir`: the key's secret, 32 bytes or 64 hex digits. */
  readonly key?: Uint8Array | string;
  /** Of the UDP socket. `::`: all, of IPv4 too. A machine that may move keeps to that. @default "::" */
  readonly address?: string;
  /** UDP port; 0: any. @default 0 */
  readonly port?: number;
  /** How long to wait for the first server, ms. @default 5,000 */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const KEY_FILE = "client.key";
const LIST_FILE = "server-list";
/** Of Ed25519: a secret, and a public key. */
const KEY_BYTES = 32;

/**
 * Opens a UDP socket and resolves when a server answers. Needs no root, no TUN and nothing built. The process lives until {@link I3Connection.close}.
 *
 * Rejects with ClientError: ERR_I3_USAGE, ERR_I3_NO_SERVER, ERR_I3_KEY_FILE; I3Error: ERR_I3_PORT_IN_USE, ERR_I3_NO_UDP. Nothing stays open then.
 *
 * @example
 * const i3 = await connect({ servers: ["192.0.2.11", "192.0.2.12"] });
 * const inbox = await i3.insert();
 * console.log("send to", toHex(inbox.id));
 * for await (const { payload } of inbox) console.log(Buffer.from(payload).toString());
 */
export async function connect(options: ConnectOptions): Promise<I3Connection> {
  const { servers = [], serverList, stateDir, address = "::", port = 0, timeoutMs = DEFAULT_TIMEOUT_MS } = readOptions("connect", options, ["servers", "serverList", "stateDir", "key", "address", "port", "timeoutMs"]);
  if (!Array.isArray(servers)) throw usageError(`servers is ${shown(servers)}`, "Name an array of addresses: servers: [\"192.0.2.1\"].");
  if (servers.length === 0 && serverList === undefined) throw usageError("no server is named", "Name at least one server of the ring: connect({ servers: [\"192.0.2.1\"] }); or a serverList.");
  if (typeof address !== "string" || isIP(address) === 0) throw usageError(`address is ${shown(address)}`, "Name an IP address of this machine, or leave it out: all of them.");
  if (stateDir !== undefined) readText("stateDir", stateDir, 1);
  readPort(port);
  readTimeout(timeoutMs);
  const list = serverList === undefined ? undefined : listOf(serverList, stateDir);
  const connection = await openAt({ servers: (servers as readonly string[]).map(readServer), list, key: keyOf(options), address, port });
  const known = connection.servers().map((server) => server.address);
  try {
    if (known.length === 0) throw noList(connection.listProblem);
    await connection.answered(timeoutMs);
  } catch (cause) {
    await connection.close();
    throw cause instanceof ClientError && cause.code === "ERR_I3_NO_SERVER" && known.length > 0 ? noServer(known, timeoutMs) : cause;
  }
  // When the program listens.
  setImmediate(() => connection.tellList());
  return connection;
}

/** What the engine's port says of its failures is meant for daemons, which have a configuration. */
async function openAt(settings: ConnectionSettings): Promise<I3Connection> {
  try {
    return await I3Connection.open(settings);
  } catch (error) {
    if (!(error instanceof I3Error)) throw error;
    const { port } = settings;
    if (error.code === "ERR_I3_PORT_IN_USE") throw new I3Error("ERR_I3_PORT_IN_USE", error.message, { cause: error.cause, remedy: `Leave port out: any that is free will do. Or stop the program that has it ("ss -ulpn sport = :${port}" names it).` });
    if (error.remedy === undefined) throw new I3Error("ERR_I3_NO_UDP", error.message, { cause: error.cause, remedy: "See its cause; leave address and port out: any will do." });
    throw error;
  }
}

const noServer = (addresses: readonly string[], timeoutMs: number): ClientError =>
  new ClientError("ERR_I3_NO_SERVER", `no server has answered within ${timeoutMs} ms: ${addresses.join(", ")}`, {
    remedy: "See whether i3-server runs there and prints READY, whether address and port are right, and whether UDP is let through both ways.",
  });

const noList = (why: string | null): ClientError =>
  new ClientError("ERR_I3_NO_SERVER", `no server is known: no list of them can be used${why === null ? "" : ` (${why})`}`, {
    remedy: "Get a list from whoever runs the ring, or name a server beside it. Without a stateDir no copy is kept.",
  });

function listOf(options: ServerListOptions, stateDir: string | undefined): ListSettings {
  const { key, file, label = "" } = readOptions("serverList", options, ["key", "file", "label"]);
  if (file !== undefined) readText("file of serverList", file, 1);
  readText("label of serverList", label);
  return { key: bytesOf(key, "the key of serverList", "It is an Ed25519 public key of 32 bytes, or 64 hex digits."), file, label, copyFile: stateDir === undefined ? undefined : join(stateDir, LIST_FILE) };
}

function keyOf({ key, stateDir }: ConnectOptions): TriggerKey {
  if (key !== undefined && stateDir !== undefined) throw usageError("both key and stateDir are named", "Leave one of them out: stateDir keeps a key of its own.");
  if (stateDir !== undefined) return readOrCreateProgramKey(join(stateDir, KEY_FILE));
  if (key === undefined) return generateTriggerKey();
  return triggerKeyFromSeed(bytesOf(key, "key", "It is a secret of 32 bytes, or 64 hex digits."));
}

/** Of a key, secret or public. */
function bytesOf(key: Uint8Array | string, what: string, remedy: string): Uint8Array {
  const bytes = typeof key === "string" && /^[0-9a-fA-F]{64}$/.test(key) ? fromHex(key) : key;
  if (!(bytes instanceof Uint8Array) || bytes.length !== KEY_BYTES) throw usageError(`${what} has not the right form`, remedy);
  return bytes;
}

/** A new group, whose key this program has. Keep `secret()` to go on with it later. */
export const newGroup = (): Group => Group.fromSecret(new Uint8Array(randomBytes(KEY_BYTES)));
