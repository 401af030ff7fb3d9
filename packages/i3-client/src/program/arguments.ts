/** What programs hand in, in the forms that they may have it: ids and payloads as bytes or text, servers as text. */
import { fromHex, I3_PORT, ID_BYTES, makeLocator, parseIpText, toHex, type Locator } from "@i3/common";
import { dataHeaderBytes, MAX_STACK_LENGTH } from "@i3/datapath";

import { ClientError, usageError } from "../errors.js";

/** An i3 id: 32 bytes, or 64 hex digits. */
export type Id = Uint8Array | string;
/** Bytes, or text that is sent as UTF-8. */
export type Payload = Uint8Array | string;

/** The UDP payload that IPv6 carries whole on every path (RFC 8200 §5: 1,280 - 40 - 8). What is on a path of 1,500 beyond this is left for ids that triggers put in on the way. */
export const MAX_DATAGRAM_BYTES = 1_232;

/** The longest payload, in bytes, along a stack of so many ids (1 to 15): 1,184 for one, 32 less for each more. Throws ERR_I3_USAGE. */
export function maxPayloadBytes(ids = 1): number {
  if (!Number.isInteger(ids) || ids < 1 || ids > MAX_STACK_LENGTH) throw usageError(`the number of ids is ${shown(ids)}`, `A packet goes along 1 to ${MAX_STACK_LENGTH} ids.`);
  return MAX_DATAGRAM_BYTES - dataHeaderBytes(ids);
}

/** 32 bytes of the caller's own. Throws ERR_I3_USAGE. */
export function readId(id: Id, what = "the id"): Uint8Array {
  if (typeof id === "string" && /^[0-9a-fA-F]{64}$/.test(id)) return fromHex(id);
  if (id instanceof Uint8Array && id.length === ID_BYTES) return Uint8Array.from(id);
  throw usageError(`${what} is ${shown(id)}`, "An id is a Uint8Array of 32 bytes, or 64 hex digits.");
}

/** Bytes of hex digits, two for each. Throws ERR_I3_USAGE. */
export function readHex(text: string): Uint8Array {
  if (typeof text === "string" && /^(?:[0-9a-fA-F]{2})*$/.test(text)) return fromHex(text);
  throw usageError(`the hex digits are ${shown(text)}`, "Write two digits, 0 to 9 and a to f, for each byte, and nothing between them.");
}

/** One id, or a stack of them. Throws ERR_I3_USAGE. */
export function readStack(to: Id | readonly Id[]): readonly Uint8Array[] {
  if (!Array.isArray(to)) return [readId(to as Id)];
  const ids = to as readonly Id[];
  if (ids.length < 1 || ids.length > MAX_STACK_LENGTH) throw usageError(`the stack has ${ids.length} ids`, `Name 1 to ${MAX_STACK_LENGTH} ids, the next one first.`);
  return ids.map((id, i) => readId(id, `id ${i + 1} of the stack`));
}

/** Throws ERR_I3_TOO_LARGE and ERR_I3_USAGE. */
export function readPayload(payload: Payload, ids: number): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  if (!(bytes instanceof Uint8Array)) throw usageError(`the payload is ${shown(payload)}`, "Send a Uint8Array, or a string; encode anything else, as with JSON.stringify.");
  const most = maxPayloadBytes(ids);
  if (bytes.length > most) throw new ClientError("ERR_I3_TOO_LARGE", `the payload has ${bytes.length} bytes`, { remedy: `One packet along ${ids} ${ids === 1 ? "id" : "ids"} carries at most ${most} bytes: cut it up.` });
  return bytes;
}

/** `192.0.2.1`, `192.0.2.1:5610`, `2001:db8::1`, `[2001:db8::1]:5610`. Throws ERR_I3_USAGE. */
export function readServer(text: string): Locator {
  const bare = typeof text === "string" ? parseIpText(text) : undefined;
  if (bare !== undefined) return makeLocator(bare, I3_PORT);
  const [, six, four, digits = ""] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(String(text)) ?? [];
  const address = parseIpText(six ?? four ?? "");
  const port = Number(digits);
  if (address === undefined || port < 1 || port > 65_535) {
    throw usageError(`the address of a server is ${shown(text)}`, `Write an IP address, with a port unless that is ${I3_PORT}: "192.0.2.1", "192.0.2.1:5611", "[2001:db8::1]:5611".`);
  }
  return makeLocator(address, port);
}

/** Short, and never the bytes themselves: they may be a secret that got into the wrong place. */
export function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === "string") return value.length <= 45 ? JSON.stringify(value) : `a text of ${value.length} characters`;
  return Array.isArray(value) ? "an array" : `of type ${typeof value}`;
}

/** Beginning and end of an id, for people: all private ids of a connection begin alike. */
export const shortId = (id: Uint8Array): string => `${toHex(id.subarray(0, 4))}…${toHex(id.subarray(-4))}`;
