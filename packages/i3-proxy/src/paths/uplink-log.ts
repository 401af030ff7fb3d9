/** Lines about the interface by which packets leave. Without I/O. */
import { formatIpText, type Log } from "@i3/common";
import type { ClientEvent } from "@i3/i3-client";

import type { OwnPlace } from "./own-locators.js";

const WHY = { back: "servers answer again by an interface that is preferred to the other one", preferred: "the system prefers the one in use now", gone: "the interface that was chosen is gone" } as const;

/** @param places of this host, as they are now */
export function tellUplink(log: Log, places: readonly OwnPlace[], { interfaceIndex, why }: Extract<ClientEvent, { kind: "uplink" }>): void {
  const addresses = places.filter((place) => place.interfaceIndex === interfaceIndex).flatMap((place) => place.addresses.map(formatIpText));
  const by = interfaceIndex === 0 ? { by: "the routes of the system" } : { by: addresses.join(" "), interface: interfaceIndex };
  if (why === "silent") log("warn", "uplink", { ...by, why: "no server answers by the other one", remedy: "Look for what is broken behind the other one." });
  else log("info", "uplink", { ...by, why: WHY[why] });
}
