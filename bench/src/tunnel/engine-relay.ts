/**
 * A server with our engine: `node engine-relay.js JSON` with {@link RelayOptions}. Either the relay between two hosts, with a trigger
 * for each of their ids, or a server with many triggers to one place. Speaks as engine-process.ts says.
 */
import type { Locator } from "@i3/common";
import { ID_BYTES, RING_KEY_BYTES } from "@i3/datapath";

import { openEngine, serve } from "./engine-process.js";
import { addressBytes, ENGINE_PORT, idOf, isRelayed, MODES, ringKeyOf } from "./modes.js";
import { writeTriggerId } from "./trigger-ids.js";

export type RelayOptions =
  /** Underlay addresses of the hosts. */
  | { readonly hosts: { readonly a: string; readonly b: string } }
  | { readonly port: number; readonly triggers: number; readonly sink: { readonly address: string; readonly port: number } };

const options = JSON.parse(process.argv[2] ?? "{}") as RelayOptions;
const engine = openEngine({ port: "port" in options ? options.port : ENGINE_PORT });
engine.setResponsibility({ kind: "all" });
if ("hosts" in options) joinHosts(options.hosts);
else fill(options.triggers, { address: addressBytes(options.sink.address), port: options.sink.port });
serve(engine);

function joinHosts(hosts: { readonly a: string; readonly b: string }): void {
  for (const mode of MODES.filter(isRelayed)) {
    for (const side of ["a", "b"] as const) {
      const id = idOf(mode, side);
      engine.setTriggers(ringKeyOf(id), [{ id, target: { kind: "locator", locator: { address: addressBytes(hosts[side]), port: ENGINE_PORT } } }]);
    }
  }
}

function fill(triggers: number, locator: Locator): void {
  // The engine copies both.
  const id = new Uint8Array(ID_BYTES);
  const ringKey = id.subarray(0, RING_KEY_BYTES);
  const entries = [{ id, target: { kind: "locator", locator } }] as const;
  for (let i = 0; i < triggers; i += 1) {
    writeTriggerId(i, id);
    engine.setTriggers(ringKey, entries);
  }
}
