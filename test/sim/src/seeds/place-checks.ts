/**
 * What must hold of triggers' places at every moment: a server's engine has only triggers that the server has acknowledged, and in fair weather whoever is
 * responsible for a trigger has it, as soon as its client has had the time to bring it there.
 */
import { bytesKey } from "@i3/common";
import type { TriggerEntry } from "@i3/datapath";

import { endpointOfLocator } from "./endpoints.js";
import { allWanted, leadsTo, type Owner } from "./quiet-checks.js";
import { inRingOrder, responsible } from "./ring-checks.js";
import type { ServerMachine } from "./server-machine.js";
import type { Sight } from "./steady-checks.js";
import { CheckFailed } from "./trace.js";

const LOOK_MS = 500;
/** The ring learns of a server (5 s), the client at its next refresh (5 s). A group's is delivered by 6.5 s after its server has joined (docs/wire.md §4.2). In 50 seeds 6.5 s were the most. */
const HAND_OVER_MS = 10_000;

/** Who is responsible for a trigger, and since when it, the trigger, and the counters of a client that knows a member have been as they are. */
interface Place {
  readonly home: ServerMachine;
  readonly owner: Owner;
  readonly sinceMs: number;
}

export class PlaceChecks {
  #nextMs = 0;
  /** Client and id → its place. */
  #places = new Map<string, Place>();

  /** The weather changes. */
  turn(): void {
    this.#places.clear();
  }

  /** At every step. */
  look(sight: Sight): void {
    const { nowMs } = sight;
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + LOOK_MS;
    checkAcknowledged(sight);
    if (sight.isFair) this.#checkPlaces(sight);
  }

  #checkPlaces(sight: Sight): void {
    const { nowMs } = sight;
    const members = inRingOrder([...sight.servers.values()].filter(({ isMember }) => isMember));
    const places = new Map<string, Place>();
    for (const [id, owners] of allWanted(sight)) {
      const home = responsible(members, id.slice(0, 16));
      if (home === undefined) return;
      for (const owner of owners) {
        const name = `${owner.client.name} ${id}`;
        const known = this.#places.get(name);
        const isKnown = known?.home === home && known.owner.trigger === owner.trigger && known.sinceMs >= owner.client.recountedMs && owner.client.knows(members);
        const place = isKnown ? known : { home, owner, sinceMs: nowMs };
        places.set(name, place);
        if (nowMs - place.sinceMs < HAND_OVER_MS) continue;
        sight.checked("place");
        if (home.table.get(id.slice(0, 16))?.some((entry) => bytesKey(entry.id) === id && isOf(entry, owner)) === true) continue;
        throw new CheckFailed("not-handed-over", `${home.name} lacks a trigger of ${owner.client.name} for which it has been responsible for ${nowMs - place.sinceMs} ms`);
      }
    }
    this.#places = places;
  }
}

/** Whether it is this one, though its client may have moved since. */
function isOf(entry: TriggerEntry, owner: Owner): boolean {
  return entry.target.kind === "locator" && owner.trigger.steps.length === 0 ? owner.client.addresses.has(endpointOfLocator(entry.target.locator)) : leadsTo(entry, owner);
}

/** In foul weather too. */
function checkAcknowledged({ nowMs, servers, wire }: Sight): void {
  for (const server of servers.values()) {
    if (!server.isUp) continue;
    for (const entries of server.table.values()) {
      for (const { id, target } of entries) {
        const to = target.kind === "locator" ? endpointOfLocator(target.locator) : null;
        if (!wire.isAcknowledged(nowMs, server, bytesKey(id), to)) throw new CheckFailed("unacknowledged", `${server.name} delivers by a trigger that it has not acknowledged in the last 30 s`);
      }
    }
  }
}
