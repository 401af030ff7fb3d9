/** What waypoints keep over a restart: `waypoints.json` in the state directory, mode 0600, written whole or not at all. */
import { join } from "node:path";

import { formatIpText, I3Error, parseIpText, type WaypointsConfig } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";
import { readStateFile, restoreRouterSettings, routerSettingsOf, type RouterSettings } from "@i3/i3-proxy";

export interface WaypointState {
  /** Of the system before the gateway; null: the gateway ended in order and has restored them. */
  readonly router: RouterSettings | null;
  /** Waypoints and the hosts that they stand for. */
  readonly tenures: readonly { readonly waypoint: Uint8Array; readonly host: string }[];
}

export const waypointStateFile = (stateDirectory: string): string => join(stateDirectory, "waypoints.json");

/** Throws I3Error ERR_I3_STATE. */
export function readWaypointState(file: string): WaypointState {
  const text = readStateFile(file, "the state of waypoints");
  if (text === null) return { router: null, tenures: [] };
  try {
    const { version, router, waypoints } = JSON.parse(text) as Record<string, unknown>;
    if (version !== 1 || !Array.isArray(waypoints)) throw new RangeError("not a state of this version");
    return { router: router === null ? null : routerSettingsOf(router), tenures: waypoints.map(tenureOf) };
  } catch (cause) {
    throw new I3Error("ERR_I3_STATE", `${file} is damaged`, { cause, remedy: "Move it away: hosts may have other waypoints then." });
  }
}

/** Throws I3Error ERR_I3_STATE; the file is then as it was. */
export function writeWaypointState(file: string, { router, tenures }: WaypointState): void {
  const waypoints = tenures.map(({ waypoint, host }) => [formatIpText(waypoint), host]);
  try {
    replaceDurably(file, `${JSON.stringify({ version: 1, router, waypoints })}\n`);
  } catch (cause) {
    throw new I3Error("ERR_I3_STATE", `cannot write ${file}`, { cause, remedy: "Is the disk full? Until it can be written, hosts may have other waypoints after a restart." });
  }
}

/** Of the settings of the system, those that the waypoints need. */
export function turnedOn({ forward4, forward6 }: RouterSettings, { addresses }: WaypointsConfig): RouterSettings {
  const has = (bytes: 4 | 16): boolean => addresses.some(({ length }) => length === bytes);
  return { forward4: has(4) ? forward4 : null, forward6: has(16) ? forward6 : null };
}

/** The system passes packets on as it did before a gateway that did not end in order. Throws I3Error. */
export function leaveWaypoints(stateDirectory: string, config: WaypointsConfig): void {
  const state = readWaypointState(waypointStateFile(stateDirectory));
  if (state.router === null) return;
  restoreRouterSettings(turnedOn(state.router, config));
  writeWaypointState(waypointStateFile(stateDirectory), { ...state, router: null });
}

function tenureOf(json: unknown): WaypointState["tenures"][number] {
  const [address, host, ...more] = Array.isArray(json) ? (json as unknown[]) : [];
  const waypoint = typeof address === "string" ? parseIpText(address) : undefined;
  if (waypoint === undefined || typeof host !== "string" || host.length > 255 || more.length > 0) throw new RangeError("a field of another kind");
  return { waypoint, host };
}
