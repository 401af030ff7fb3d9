/** The system passes packets on while the gateway runs, and does as before when it ends (docs/host-changes.md). */
import { readFileSync, writeFileSync } from "node:fs";

import { I3Error } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";

const FILES = {
  forward4: "/proc/sys/net/ipv4/ip_forward",
  forward6: "/proc/sys/net/ipv6/conf/all/forwarding",
} as const;
type Setting = keyof typeof FILES;

/** Before the gateway; null: the system has none of that family. */
export type RouterSettings = Readonly<Record<Setting, string | null>>;

/** Throws I3Error. */
export const readRouterSettings = (): RouterSettings => ({ forward4: read(FILES.forward4), forward6: read(FILES.forward6) });

/** As JSON had them. Throws RangeError for something else. */
export function routerSettingsOf(json: unknown): RouterSettings {
  const { forward4, forward6 } = json as Record<string, unknown>;
  const setting = (value: unknown): string | null => {
    if (value === null || (typeof value === "string" && /^[0-9]$/.test(value))) return value;
    throw new RangeError("a field of another kind");
  };
  return { forward4: setting(forward4), forward6: setting(forward6) };
}

/** Families whose packets the system passed on before. */
export const routedFamilies = ({ forward4, forward6 }: RouterSettings): readonly (4 | 6)[] => [...(isOn(forward4) ? [4 as const] : []), ...(isOn(forward6) ? [6 as const] : [])];

const isOn = (value: string | null): boolean => value !== null && value !== "0";

/** As long as forwarding of IPv6 is on, routers' advertisements are no longer followed unless they are asked for so. */
const acceptRa = (name: string): string => `/proc/sys/net/ipv6/conf/${name}/accept_ra`;

/** Throws I3Error. @param out interfaces that may have learned their routes of a router */
export function passPackets(before: RouterSettings, out: readonly string[]): void {
  for (const name of out) if (read(acceptRa(name)) === "1") write(acceptRa(name), "2");
  for (const [setting, value] of Object.entries(before)) if (value !== null && value !== "1") write(FILES[setting as Setting], "1");
}

/**
 * Trains of servers (GSO) go into the TUN as they came. It is made for the shorter ones of this machine's own programs, and what is longer the kernel would cut into packets, which overflow its
 * queue. The device ends with the proxy. A kernel that refuses costs speed alone.
 */
export function takeWholeTrains(io: Pick<NativeIo, "setTrains">, tunIndex: number): void {
  try {
    io.setTrains({ index: tunIndex, segments: 65_535, bytes: 65_536 });
  } catch {
    // They are cut.
  }
}

/** What was turned on is turned off again. */
export function restoreRouterSettings(before: RouterSettings): void {
  for (const [setting, value] of Object.entries(before)) if (value !== null && value !== "1") write(FILES[setting as Setting], value);
}

function read(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new I3Error("ERR_I3_FORWARDING", `cannot read ${file}`, { cause: error });
  }
}

function write(file: string, value: string): void {
  try {
    writeFileSync(file, value);
  } catch (cause) {
    throw new I3Error("ERR_I3_FORWARDING", `cannot write ${value} to ${file}`, { cause, remedy: "A gateway passes packets on: run it as root, where /proc/sys may be written (a container needs it so)." });
  }
}
