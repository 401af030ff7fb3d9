/** What a gateway keeps over a restart, so that connections go on: `gateway.json` in the state directory, mode 0600, written whole or not at all. */
import { join } from "node:path";

import { formatIpText, fromHex, I3Error, parseIpText, sameBytes, toHex } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";
import { readStateFile, restoreRouterSettings, routerSettingsOf, type RouterSettings } from "@i3/i3-proxy";

import { SECRET_BYTES } from "../dns/server-address.js";
import type { Called, Led } from "../policy/led-clients.js";

// Ours:
/** Those asked for last: so many characters are read again. */
const MOST_CHARACTERS = 3_000_000;
const SECRET = new RegExp(`^[0-9a-f]{${2 * SECRET_BYTES}}$`);

export interface GatewayState {
  /** Of the system before the gateway; null: the gateway ended in order and has restored them. */
  readonly router: RouterSettings | null;
  /** By which servers' virtual addresses are made; null: there is none yet. */
  readonly secret: Uint8Array | null;
  /** Times are wall clock, ms. */
  readonly led: readonly Led[];
}

export const stateFileOf = (stateDirectory: string): string => join(stateDirectory, "gateway.json");

const EMPTY: GatewayState = { router: null, secret: null, led: [] };

/** Throws I3Error ERR_I3_STATE. */
export function readGatewayState(file: string): GatewayState {
  const text = readStateFile(file, "the gateway's state");
  if (text === null) return EMPTY;
  try {
    return stateOf(JSON.parse(text));
  } catch (cause) {
    throw new I3Error("ERR_I3_STATE", `${file} is damaged`, { cause, remedy: "Move it away: clients' connections through this gateway end then." });
  }
}

/** Throws I3Error ERR_I3_STATE; the file is then as it was. */
export function writeGatewayState(file: string, { router, secret, led }: GatewayState): void {
  const rows: string[] = [];
  let characters = 0;
  for (const { hit, real, called, names, askedMs } of [...led].sort((a, b) => b.askedMs - a.askedMs)) {
    const row = JSON.stringify([formatIpText(hit), formatIpText(real), called.map(calledText).join(" "), askedMs, ...names]);
    characters += row.length + 1;
    if (characters > MOST_CHARACTERS) break;
    rows.unshift(row);
  }
  try {
    replaceDurably(file, `{"version":1,"router":${JSON.stringify(router)},"secret":${JSON.stringify(secret === null ? null : toHex(secret))},"led":[\n${rows.join(",\n")}\n]}\n`);
  } catch (cause) {
    throw new I3Error("ERR_I3_STATE", `cannot write ${file}`, { cause, remedy: "Is the disk full? Until it can be written, connections through this gateway do not outlive its restart." });
  }
}

/** The system passes packets on as it did before a gateway that did not end in order. Throws I3Error. */
export function leaveRouter(stateDirectory: string): void {
  const state = readGatewayState(stateFileOf(stateDirectory));
  if (state.router === null) return;
  restoreRouterSettings(state.router);
  writeGatewayState(stateFileOf(stateDirectory), { ...state, router: null });
}

function stateOf(json: unknown): GatewayState {
  const { version, router, secret = null, led } = json as Record<string, unknown>;
  if (version !== 1) throw new RangeError("not a state of this version");
  return {
    router: router === null ? null : routerSettingsOf(router),
    secret: secret === null ? null : secretOf(textOf(secret)),
    led: rows(led).map(([hit, real, called, askedMs, ...names]) => ({ hit: addressOf(hit), real: addressOf(real), called: calledOf(called, addressOf(real)), askedMs: numberOf(askedMs), names: names.map(textOf) })),
  };
}

/** `virtual`, or `virtual=inside` of a server that the engine translates for. */
const calledText = ({ virtual, inside }: Called): string => (sameBytes(virtual, inside) ? formatIpText(virtual) : `${formatIpText(virtual)}=${formatIpText(inside)}`);

function calledOf(json: unknown, real: Uint8Array): readonly Called[] {
  const all = textOf(json).split(" ").map((one) => {
    const [virtual, inside = virtual, ...more] = one.split("=");
    const called = { virtual: addressOf(virtual), inside: addressOf(inside) };
    return more.length > 0 || called.inside.length !== real.length || (called.virtual.length === real.length) !== sameBytes(called.virtual, called.inside) ? wrong() : called;
  });
  return new Set(all.map(({ virtual }) => virtual.length)).size === all.length ? all : wrong();
}

const wrong = (): never => {
  throw new RangeError("a field of another kind");
};
const secretOf = (text: string): Uint8Array => (SECRET.test(text) ? fromHex(text) : wrong());
const rows = (json: unknown): unknown[][] => (Array.isArray(json) && json.every((row) => Array.isArray(row)) ? (json as unknown[][]) : wrong());
const isCount = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const numberOf = (value: unknown): number => (isCount(value) ? value : wrong());
const textOf = (value: unknown): string => (typeof value === "string" && value.length <= 255 ? value : wrong());
const addressOf = (value: unknown): Uint8Array => (typeof value === "string" ? (parseIpText(value) ?? wrong()) : wrong());
