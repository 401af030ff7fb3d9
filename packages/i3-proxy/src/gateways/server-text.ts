/**
 * Servers behind gateways, as text, so that connections to them outlive a restart of this host's proxy:
 *
 *     i3 gateway servers 1
 *     ["HIT of the gateway","virtual address","name","the gateway's name in its rule",…]      a line each, the one asked for longest ago first
 */
import { formatIpText, I3Error, isKnownHit, parseIpText } from "@i3/common";

import type { ServerAddress } from "./server-addresses.js";

const FIRST_LINE = "i3 gateway servers 1";
/** Bounds of {@link ServerAddress}es, and of a line. */
const [MAX_LINES, MAX_LINE_CHARACTERS] = [16_384, 8_192] as const;
/** What is read again, and a little less than a state file may have. */
const MAX_CHARACTERS = 4_000_000;

export interface KnownServer {
  /** Of the gateway, 16 bytes. */
  readonly hit: Uint8Array;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** With the gateway's name in the rule of each; asked for last is last. */
  readonly names: readonly (readonly [name: string, via: string])[];
}

/** Of servers whose gateway has no proven key there is none: it could be another host the next time. */
export function serversToText(servers: Iterable<ServerAddress>): string {
  const lines: string[] = [];
  let characters = FIRST_LINE.length + 1;
  for (const { address, gateway: { peerHit }, names } of [...servers].sort((a, b) => b.askedMs - a.askedMs)) {
    if (peerHit === null) continue;
    const line = JSON.stringify([formatIpText(peerHit), formatIpText(address), ...[...names].flat()]);
    characters += line.length + 1;
    if (characters > MAX_CHARACTERS || lines.length >= MAX_LINES) break;
    if (line.length <= MAX_LINE_CHARACTERS) lines.unshift(line);
  }
  return [FIRST_LINE, ...lines].map((line) => `${line}\n`).join("");
}

/** The inverse. Throws I3Error ERR_I3_STATE with the line that is wrong. @param file its name, for errors */
export function serversFromText(text: string, file: string): readonly KnownServer[] {
  const damaged = (line: number, why: string): never => {
    throw new I3Error("ERR_I3_STATE", `${file}:${line}: ${why}`, { remedy: "Delete the file: connections to servers behind gateways end then, and their names are asked for anew." });
  };
  const [first, ...lines] = text.split("\n");
  if (first !== FIRST_LINE) damaged(1, `not the line "${FIRST_LINE}"`);
  if (lines.pop() !== "") damaged(lines.length + 2, "the last line is cut off");
  if (lines.length > MAX_LINES) damaged(MAX_LINES + 2, `more than ${MAX_LINES} servers`);
  return lines.map((line, i) => serverOf(line) ?? damaged(i + 2, "not a server"));
}

function serverOf(line: string): KnownServer | undefined {
  const fields = line.length > MAX_LINE_CHARACTERS ? null : fieldsOf(line);
  if (fields === null || fields.length < 4 || fields.length % 2 !== 0) return undefined;
  const [hitText = "", addressText = "", ...rest] = fields;
  const [hit, address] = [parseIpText(hitText), parseIpText(addressText)];
  if (hit?.length !== 16 || !isKnownHit(hit) || address === undefined) return undefined;
  const names = Array.from({ length: rest.length / 2 }, (_, i) => [rest[2 * i] ?? "", rest[2 * i + 1] ?? ""] as const);
  return { hit, address, names };
}

function fieldsOf(line: string): readonly string[] | null {
  try {
    const json: unknown = JSON.parse(line);
    return Array.isArray(json) && json.every((field) => typeof field === "string") ? json : null;
  } catch {
    return null;
  }
}
