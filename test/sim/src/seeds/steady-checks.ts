/**
 * What must hold in fair weather without waiting for quiet: a packet to a trigger arrives, through any server and straight from a client that knows where to,
 * whatever joins and leaves, and only the server of a key acknowledges triggers for it. A server that crashes, and a client that moves or changes its mind, are given time to be noticed.
 */
import { bytesKey, sameBytes } from "@i3/common";
import type { TriggerEntry } from "@i3/datapath";

import type { ClientMachine, Wanted } from "./client-machine.js";
import { Draw } from "./draw.js";
import { endpointOfLocator, strangerEndpoint, type Endpoint } from "./endpoints.js";
import type { Events } from "./events.js";
import { PlaceChecks } from "./place-checks.js";
import { inRingOrder, responsible } from "./ring-checks.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed, type Checked } from "./trace.js";
import type { WireChecks } from "./wire-checks.js";

/** One packet to one trigger this often, which is there after ARRIVAL_MS: a lookup that goes astray begins again. */
const PACKET_MS = 250;
const ARRIVAL_MS = 2_500;
/** After a crash: until it is noticed (1.4 s), and lookups and packets on their way to it are lost. */
const CRASH_MS = 3_000;
/** Servers' ways to ids are this old at most: those of the time of a partition may lead in circles through three servers. */
const WAYS_MS = 30_000;
/** So many packets go straight, where a client has the way. */
const STRAIGHT = 0.5;
/** A server that joined so long ago has been heard of by the one behind it. */
const KNOWN_MS = 5_000;
/** A client brings its triggers to a server that has joined one by one, each at its refresh (5 s), and takes them from where they were. */
const BRINGING_MS = 8_000;
const SENDER = strangerEndpoint(65_535);

interface Held {
  readonly client: ClientMachine;
  readonly trigger: Wanted;
}

/** What a packet needs to get there. */
interface Packet extends Held {
  readonly number: string;
  readonly sentMs: number;
  /** It goes in through this one. */
  readonly via: ServerMachine;
  /** Who sent it straight to that one, by a way that it has learned; null: a stranger sent it. */
  readonly straightFrom: ClientMachine | null;
}

/** What it sees of a run. */
export interface Sight {
  readonly nowMs: number;
  readonly isFair: boolean;
  readonly servers: ReadonlyMap<Endpoint, ServerMachine>;
  readonly clients: readonly ClientMachine[];
  readonly arrived: ReadonlySet<string>;
  readonly wire: Pick<WireChecks, "isAcknowledged">;
  checked(what: Checked): void;
}

export class SteadyChecks {
  readonly #draw: Draw;
  readonly #events: Pick<Events, "probe" | "probeFrom">;
  readonly #places = new PlaceChecks();
  #packets: Packet[] = [];
  #nextMs = 0;
  /** Since when the weather is fair, ms. */
  #fairMs = Infinity;
  /** When it was foul last. */
  #foulMs = -Infinity;

  constructor(seed: string, events: Pick<Events, "probe" | "probeFrom">) {
    this.#draw = new Draw(`${seed}/steady`);
    this.#events = events;
  }

  /** The weather changes. */
  turn(nowMs: number, isFair: boolean): void {
    this.#fairMs = isFair ? nowMs : Infinity;
    if (!isFair) this.#foulMs = nowMs;
    this.#packets = [];
    this.#places.turn();
  }

  /** At every step. */
  look(sight: Sight): void {
    const { nowMs, isFair } = sight;
    this.#places.look(sight);
    if (!isFair || nowMs < this.#nextMs || nowMs - this.#foulMs < WAYS_MS) return;
    this.#nextMs = nowMs + PACKET_MS;
    while (this.#packets[0] !== undefined && nowMs - this.#packets[0].sentMs >= ARRIVAL_MS) this.#judge(sight, this.#packets.shift() as Packet);
    const packet = this.#next(sight);
    if (packet !== null) this.#packets.push(packet);
  }

  /** A server acknowledges a trigger, which is no replica. */
  acknowledged(sight: Sight, server: ServerMachine, ringKey: string): void {
    if (sight.nowMs - this.#fairMs < KNOWN_MS) return;
    // All whom it was told of are gone: it cannot know that there is a ring.
    const isThere = (member: ServerMachine | undefined): boolean => member?.isMember === true && sight.nowMs - (member.memberSinceMs ?? Infinity) >= KNOWN_MS;
    if (!server.members.some((member) => isThere(sight.servers.get(member)))) return;
    for (const other of sight.servers.values()) {
      if (!other.isMember || sight.nowMs - (other.memberSinceMs ?? Infinity) < KNOWN_MS) continue;
      if (responsible(inRingOrder([other, server]), ringKey) !== server) {
        throw new CheckFailed("misplaced", `${server.name} acknowledges a trigger that has its place at ${other.name}, which has been there for ${sight.nowMs - (other.memberSinceMs ?? 0)} ms`);
      }
    }
  }

  #next(sight: Sight): Packet | null {
    const { nowMs, clients, servers } = sight;
    const held = clients.flatMap((client) => [...client.triggers.values()].filter(({ isWanted, steps }) => isWanted && steps.length === 0).map((trigger) => ({ client, trigger })));
    const members = [...servers.values()].filter((server) => server.isMember && nowMs - (server.memberSinceMs ?? Infinity) >= KNOWN_MS);
    if (held.length === 0 || members.length === 0) return null;
    const chosen = this.#draw.pick(held);
    const via = this.#draw.pick(members);
    const straight = this.#draw.chance(STRAIGHT) ? waysTo(sight, chosen.trigger.id) : [];
    if (!isSure(sight, chosen, nowMs)) return null;
    const { id } = chosen.trigger;
    if (straight.length === 0) return { ...chosen, via, straightFrom: null, sentMs: nowMs, number: this.#events.probe(SENDER, via.endpoint, id) };
    const way = this.#draw.pick(straight);
    return { ...chosen, ...way, sentMs: nowMs, number: this.#events.probeFrom(way.straightFrom, id) };
  }

  #judge(sight: Sight, packet: Packet): void {
    const { client, trigger, via, straightFrom, number, sentMs } = packet;
    const hasArrived = sight.arrived.has(`${client.name} ${number}`);
    // Who leaves passes on what comes straight.
    if (!hasArrived && (sentMs < this.#fairMs || !(straightFrom !== null || via.isMember) || !isSure(sight, packet, sentMs))) return;
    sight.checked(straightFrom === null ? "packet" : "straight packet");
    if (hasArrived) return;
    const how = straightFrom === null ? "through" : `by ${straightFrom.name} straight to`;
    throw new CheckFailed("packet-lost", `a packet to ${Buffer.from(trigger.id.subarray(0, 8)).toString("hex")} of ${client.name}, sent ${ARRIVAL_MS} ms ago ${how} ${via.name}, is not there`);
  }
}

/** Clients that have learned where packets for an id go, and where that is. */
function waysTo({ clients, servers }: Sight, id: Uint8Array): readonly { readonly via: ServerMachine; readonly straightFrom: ClientMachine }[] {
  return clients.flatMap((straightFrom) => {
    const way = straightFrom.client.serverOfPath(id);
    const via = way === null || way === straightFrom.client.firstHop() ? undefined : servers.get(endpointOfLocator(way));
    return via === undefined ? [] : [{ via, straightFrom }];
  });
}

/** Whether a packet to this trigger that was sent at `sentMs` must arrive: a server has acknowledged it as it is, and has it. */
function isSure({ servers, clients }: Sight, { client, trigger }: Held, sentMs: number): boolean {
  if (!trigger.isWanted || trigger.steps.length > 0 || client.disturbedMs >= sentMs) return false;
  const at = client.serverOf(trigger.id);
  const holder = at === null ? undefined : servers.get(at);
  if (holder === undefined || !holder.isMember || !holder.table.has(bytesKey(trigger.id).slice(0, 16))) return false;
  // Who leads on from the same id may multiply what comes there.
  const sharers = clients.filter((other) => other.triggers.get(bytesKey(trigger.id))?.isWanted === true);
  if (sharers.some((other) => (other.triggers.get(bytesKey(trigger.id))?.steps.length ?? 0) > 0)) return false;
  if (hasSiblingElsewhere(servers, { client, trigger }) && [...servers.values()].some(({ memberSinceMs }) => memberSinceMs !== null && memberSinceMs > sentMs - BRINGING_MS)) return false;
  for (const server of servers.values()) {
    if (server.crashedMs > sentMs - CRASH_MS) return false;
    if (server.isUp && !leadsOnlyThere(server, { client, trigger }, sharers)) return false;
  }
  return true;
}

/** An id of the same key leads, or led, past the client: where that trigger is and this one is not, a packet goes by it (docs/wire.md §4.2). */
function hasSiblingElsewhere(servers: Sight["servers"], { client, trigger }: Held): boolean {
  if (trigger.certificate !== null) return false;
  const ringKey = bytesKey(trigger.id).slice(0, 16);
  const isSibling = (id: Uint8Array): boolean => bytesKey(id).startsWith(ringKey) && !sameBytes(id, trigger.id);
  return [...client.triggers.values()].some(({ id, steps, isWanted }) => isWanted && steps.length > 0 && isSibling(id))
    || [...servers.values()].some(({ table }) => table.get(ringKey)?.some(({ id, target }) => target.kind !== "locator" && isSibling(id)) === true);
}

/** What a server has of the ring key is this trigger, of all who share it as they are now, or nothing. */
function leadsOnlyThere({ table }: ServerMachine, { trigger }: Held, sharers: readonly ClientMachine[]): boolean {
  const entries = table.get(bytesKey(trigger.id).slice(0, 16))?.filter(({ id }) => sameBytes(id, trigger.id));
  if (entries === undefined) return true;
  const leadsTo = ({ target }: TriggerEntry, { endpoint }: ClientMachine): boolean => target.kind === "locator" && endpointOfLocator(target.locator) === endpoint;
  return entries.every((entry) => sharers.some((other) => leadsTo(entry, other))) && sharers.every((other) => entries.some((entry) => leadsTo(entry, other)));
}
