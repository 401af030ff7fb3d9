/** What the system says of this machine, for the core: from which interfaces it can send, and that it has slept. */
import type { Log } from "@i3/common";

import type { Proxy } from "../proxy.js";
import { MachinePlaces, type MachinePlacesOptions } from "./machine-places.js";
import { watchWaking } from "./wake-watch.js";

export interface MachineWatchOptions extends Omit<MachinePlacesOptions, "onChange"> {
  readonly log: Log;
  /** Calls the core with the time. */
  readonly run: (work: (proxy: Pick<Proxy, "setPlaces" | "awake">, nowMs: number) => void) => void;
}

/** Tells the places at once, and everything from then on. */
export function watchMachine({ log, run, ...options }: MachineWatchOptions): { close(): void } {
  const places = new MachinePlaces({ ...options, onChange: (now) => run((proxy, nowMs) => proxy.setPlaces(nowMs, now)) });
  const waking = watchWaking((sleptMs) => {
    log("info", "awake", { sleptS: Math.round(sleptMs / 1_000) });
    run((proxy, nowMs) => proxy.awake(nowMs));
  });
  return {
    close: () => {
      waking.close();
      places.close();
    },
  };
}
