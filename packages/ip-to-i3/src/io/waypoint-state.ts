/** What waypoints keep over a restart: `waypoints.json` in the state directory, mode 0600, written whole or not at all. */
import { join } from "node:path";

import { formatIpText, I3Error, parseIpText } from "@i3/common";
import { replaceDurably } from "@i3/i3-client";
import { readStateFile, routerSettingsOf, type RouterSettings } from "@i3/i3-proxy";

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

function tenureOf(json: unknown): WaypointState["tenures"][number] {
  const [address, host, ...more] = Array.isArray(json) ? (json as unknown[]) : [];
  const waypoint = typeof address === "string" ? parseIpText(address) : undefined;
  if (waypoint === undefined || typeof host !== "string" || host.length > 255 || more.length > 0) throw new RangeError("a field of another kind");
  return { waypoint, host };
}
