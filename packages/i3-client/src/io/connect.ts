/** How a native program begins: {@link connect}. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";

import { fromHex, locatorText, type Locator } from "@i3/common";
import { generateTriggerKey, triggerKeyFromSeed, type TriggerKey } from "@i3/hip";

import { ClientError, usageError } from "../errors.js";
import { readServer } from "../program/arguments.js";
import { Group } from "../program/group.js";
import { I3Connection } from "./connection.js";
import { readOrCreateProgramKey } from "./program-key.js";

export interface ConnectOptions {
  /** Servers of the ring, at least one: `"192.0.2.1"`, `"192.0.2.1:5611"`, `"[2001:db8::1]:5611"`. Others are learned; two or three are enough to survive the death of one at the start. */
  readonly servers: readonly string[];
  /** A directory (made if need be) where this connection's key is kept, in a file of mode 0600: ids of {@link I3Connection.id} stay the same when the program starts again. One process at a time. @default a new key each time */
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
const SECRET_BYTES = 32;

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
  const { servers, address = "::", port = 0, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (!Array.isArray(servers) || servers.length === 0) throw usageError("no servers", "Name at least one server of the ring: connect({ servers: [\"192.0.2.1\"] }).");
  const locators = (servers as readonly string[]).map(readServer);
  const connection = await I3Connection.open({ servers: locators, key: keyOf(options), address, port });
  try {
    await connection.answered(timeoutMs);
    return connection;
  } catch (cause) {
    await connection.close();
    throw cause instanceof ClientError && cause.code === "ERR_I3_NO_SERVER" ? noServer(locators, timeoutMs) : cause;
  }
}

const noServer = (locators: readonly Locator[], timeoutMs: number): ClientError =>
  new ClientError("ERR_I3_NO_SERVER", `no server has answered within ${timeoutMs} ms: ${locators.map(locatorText).join(", ")}`, {
    remedy: "See whether i3-server runs there and prints READY, whether address and port are right, and whether UDP is let through both ways.",
  });

function keyOf({ key, stateDir }: ConnectOptions): TriggerKey {
  if (key !== undefined && stateDir !== undefined) throw usageError("both key and stateDir", "Leave one of them out: stateDir keeps a key of its own.");
  if (stateDir !== undefined) return readOrCreateProgramKey(join(stateDir, KEY_FILE));
  if (key === undefined) return generateTriggerKey();
  const bytes = typeof key === "string" && /^[0-9a-fA-F]{64}$/.test(key) ? fromHex(key) : key;
  if (!(bytes instanceof Uint8Array) || bytes.length !== SECRET_BYTES) throw usageError("a key of the wrong form", "It is a secret of 32 bytes, or 64 hex digits.");
  return triggerKeyFromSeed(bytes);
}

/** A new group, whose key this program has. Keep `secret()` to go on with it later. */
export const newGroup = (): Group => Group.fromSecret(new Uint8Array(randomBytes(SECRET_BYTES)));
