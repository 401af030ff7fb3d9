/** What the line `counters` of the log has of the core (docs/wire.md §8): drops and the like since the start, by part and reason. */
import type { Proxy } from "./proxy.js";

/** `hip` is undefined when the proxy has no HIP. */
export function coreCounterFields({ client, setups, zones, detour }: Proxy) {
  return { client: client.counters, shortcuts: client.shortcutCounters, uplinks: client.uplinkCounters, setup: setups.plain.counters, hip: setups.hip?.counters, paths: setups.hip?.straight.counters, detour: detour && { on: detour.isOn, ...detour.counters }, zones: { names: zones.size, ...zones.counters } } as const;
}
