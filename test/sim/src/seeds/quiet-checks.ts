/** What must hold after quiet time, when nothing has gone wrong for a while. */
import { bytesKey, RECORD_KIND, sameBytes } from "@i3/common";
import type { TriggerEntry } from "@i3/datapath";

import type { ClientMachine, Wanted } from "./client-machine.js";
import { endpointOfLocator, strangerEndpoint } from "./endpoints.js";
import { wantedOf, type Events } from "./events.js";
import { checkIdeal, inRingOrder, responsible } from "./ring-checks.js";
import type { OwnRecord } from "./records.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";
import type { World } from "./world.js";

/** A packet is there after this, by whatever server it goes, and a record can be found. */
const PROBE_MS = 3_000;
/** Whether it is there sooner is looked for this often. */
const MANY_FLIGHTS = 1_000;
/** Sixteen hops. */
const HOPS_MS = 1_000;
const LOOK_MS = 200;
/** Servers look up the ways of the first packets for so long: 32 for each key may wait, and groups that lead to each other would make more of all at once. */
const LOOKUP_MS = 400;
/** Servers on a list. */
const LISTED = 8;
const PROBER = strangerEndpoint(0);
/** Each takes two of the 16 hops at most, and the copies that a packet may have are shared at groups. */
const SURE_STEPS = 3;

const fail = (checker: string, message: string): never => {
  throw new CheckFailed(checker, message);
};

/**
 * All of them; sends packets, so time goes by. `isWhole`: quiet was so long that nothing is left of what is not wanted. `through`: how many of the servers
 * are asked to pass packets on.
 */
export function checkQuiet(world: World, events: Events, isWhole: boolean, through: number): void {
  const running = world.talking();
  checkIdeal(running);
  checkPlaces(world, running, isWhole);
  // Servers whose routes from before lead to each other, or in a circle, find out by the first packet.
  const asked = running.slice(0, through);
  const isSure = !isWhole && (reachesAll(world, events, asked) || reachesAll(world, events, asked));
  if (!isSure) checkReach(world, events, asked);
  world.arrived.clear();
  checkRecords(world);
  // Copies of the packets that were sent may still wait for a lookup.
  runUntil(world, () => running.every(({ engine }) => engine.queuedPackets() === 0));
  checkSizes(world, running);
}

/** Whether all is in its place now; the packets that show it are sent only by {@link checkQuiet}. */
export function isAtRest(world: World): boolean {
  try {
    const running = world.talking();
    checkIdeal(running);
    checkPlaces(world, running, false);
    checkSizes(world, running);
    return true;
  } catch (error) {
    if (error instanceof CheckFailed) return false;
    throw error;
  }
}

/**
 * Every live trigger is at the server of its key, leads to where its client is or to its ids; the client knows. It is nowhere else, and nothing else is there:
 * when quiet was not whole, but for what that server acknowledged, was not told to remove, and may keep until its life ends.
 */
function checkPlaces(world: World, running: readonly ServerMachine[], isWhole: boolean): void {
  const ordered = inRingOrder(running);
  const wanted = allWanted(world);
  checkReplicas(ordered, wanted);
  for (const [id, owners] of wanted) {
    const home = responsible(ordered, id.slice(0, 16));
    const entries = home?.table.get(id.slice(0, 16))?.filter((entry) => bytesKey(entry.id) === id) ?? [];
    for (const owner of owners) {
      const at = owner.client.serverOf(owner.trigger.id);
      if (home === undefined || !entries.some((entry) => leadsTo(entry, owner))) {
        fail("trigger-place", `${home?.name} lacks a trigger of ${owner.client.name}, or has it with another target; it says that it is at ${String(at)}`);
      } else if (at !== home.endpoint) fail("trigger-place", `${owner.client.name} does not know that ${home.name} has its trigger`);
    }
  }
  for (const server of running) {
    for (const entry of [...server.table.values()].flat()) {
      const id = bytesKey(entry.id);
      if (!isWhole && world.wire.isAcknowledged(world.nowMs, server, id)) continue;
      if (wanted.get(id)?.some((owner) => leadsTo(entry, owner)) !== true) fail("trigger-ended", `${server.name} has a trigger that nobody wants`);
      if (responsible(ordered, id.slice(0, 16)) !== server) fail("trigger-ended", `${server.name} still has a trigger that is not its own`);
    }
  }
}

/** Who takes over when a server is gone has as many replicas as that one has triggers. */
function checkReplicas(ordered: readonly ServerMachine[], wanted: ReadonlyMap<string, readonly Owner[]>): void {
  const needed = new Map<ServerMachine, number>();
  for (const [id, owners] of wanted) {
    const home = responsible(ordered, id.slice(0, 16));
    if (home !== undefined) needed.set(home, (needed.get(home) ?? 0) + owners.length);
  }
  for (const [home, count] of needed) {
    const next = ordered[(ordered.indexOf(home) + 1) % ordered.length] as ServerMachine;
    const replicas = next.inspect()?.replicas ?? 0;
    if (ordered.length > 1 && replicas < count) fail("replica-lost", `${next.name} has ${replicas} replicas for the ${count} triggers of ${home.name}`);
  }
}

export interface Owner {
  readonly client: ClientMachine;
  readonly trigger: Wanted;
}

/** Id (bytesKey) → who wants a trigger there. */
export function allWanted(world: { readonly clients: readonly ClientMachine[] }): ReadonlyMap<string, readonly Owner[]> {
  const owners = new Map<string, Owner[]>();
  for (const client of world.clients) {
    for (const trigger of wantedOf(client)) owners.set(bytesKey(trigger.id), [...(owners.get(bytesKey(trigger.id)) ?? []), { client, trigger }]);
  }
  return owners;
}

export function leadsTo({ target }: TriggerEntry, { client, trigger }: Owner): boolean {
  if (target.kind === "locator") return trigger.steps.length === 0 && endpointOfLocator(target.locator) === client.endpoint;
  return target.ids.length === trigger.steps.length && target.ids.every((id, i) => sameBytes(id, trigger.steps[i]?.id ?? id.subarray(1)));
}

/** Ring keys of which a server still has something that is not wanted there: packets that meet it go where that leads. */
function leftovers(running: readonly ServerMachine[], wanted: ReadonlyMap<string, readonly Owner[]>): ReadonlySet<string> {
  const ordered = inRingOrder(running);
  const left = new Set<string>();
  for (const server of running) {
    for (const [ringKey, entries] of server.table) {
      const isWanted = (entry: TriggerEntry): boolean => wanted.get(bytesKey(entry.id))?.some((owner) => leadsTo(entry, owner)) === true;
      if (responsible(ordered, ringKey) !== server || !entries.every(isWanted)) left.add(ringKey);
    }
  }
  return left;
}

/** Who gets a packet for an id, as far as exact ids lead there in so few steps that no limit ends it, and past no leftovers. */
function receivers(wanted: ReadonlyMap<string, readonly Owner[]>, left: ReadonlySet<string>, id: Uint8Array, stepsLeft = SURE_STEPS): ReadonlySet<ClientMachine> {
  const found = new Set<ClientMachine>();
  if (left.has(bytesKey(id).slice(0, 16))) return found;
  for (const { client, trigger } of wanted.get(bytesKey(id)) ?? []) {
    const [next] = trigger.steps;
    if (next === undefined) found.add(client);
    else if (stepsLeft > 0) for (const receiver of receivers(wanted, left, next.id, stepsLeft - 1)) found.add(receiver);
  }
  return found;
}

function reachesAll(world: World, events: Events, servers: readonly ServerMachine[]): boolean {
  return probeAll(world, events, servers).every(({ text }) => world.arrived.has(text));
}

/** A packet to every trigger gets there through every one of these. */
function checkReach(world: World, events: Events, servers: readonly ServerMachine[]): void {
  const awaited = probeAll(world, events, servers);
  for (const { text, server, client, id } of awaited) if (!world.arrived.has(text)) fail("trigger-lost", `a packet to ${Buffer.from(id).toString("hex")} through ${server.name} does not reach ${client.name}`);
}

interface Awaited {
  readonly text: string;
  readonly id: Uint8Array;
  readonly server: ServerMachine;
  readonly client: ClientMachine;
}

/** Sends them, and waits. */
function probeAll(world: World, events: Events, servers: readonly ServerMachine[]): readonly Awaited[] {
  const awaited: Awaited[] = [];
  const wanted = allWanted(world);
  const left = leftovers(world.talking(), wanted);
  for (const server of servers) {
    for (const [{ trigger }] of wanted.values() as Iterable<readonly [Owner]>) {
      const number = events.probe(PROBER, server.endpoint, trigger.id);
      for (const client of receivers(wanted, left, trigger.id)) awaited.push({ text: `${client.name} ${number}`, id: trigger.id, server, client });
    }
    if (server === servers[0]) world.run(world.nowMs + LOOKUP_MS);
  }
  runUntil(world, () => awaited.every(({ text }) => world.arrived.has(text)));
  return awaited;
}

/** What owners put now, names and server lists, all clients find, and nothing older. */
function checkRecords(world: World): void {
  const servers = world.talking().slice(-LISTED).map(({ node }) => node);
  for (const client of world.clients) for (const list of [[], servers]) client.keep(world.records.sign(client.recordKey, list).newest);
  const kept = [...world.records.newest.values()];
  runUntil(world, () => kept.every((record) => world.records.isAcknowledged(record)));
  for (const { key } of kept) for (const client of world.clients) client.find(key);
  const foundBy = (name: string, { key }: OwnRecord): number | undefined => world.records.lastFound.get(`${name} ${bytesKey(key)}`)?.sequence;
  runUntil(world, () => kept.every((record) => world.clients.every(({ name }) => foundBy(name, record) === record.newest.sequence)));
  for (const { name } of world.clients) {
    for (const record of kept) {
      const found = foundBy(name, record);
      if (found !== record.newest.sequence) fail("record-lost", `${name} finds ${found ?? "none"} of a ${record.newest.kind === RECORD_KIND.name ? "name" : "server list"} with sequence ${record.newest.sequence}`);
    }
  }
}

/** Until it is so, or ought to be. */
function runUntil(world: World, isSo: () => boolean): void {
  const endMs = world.nowMs + PROBE_MS;
  while (world.nowMs < endMs && !isSo()) world.run(world.nowMs + LOOK_MS);
}

/** Nothing waits for ever, and nothing grows beyond what there is. */
function checkSizes(world: World, running: readonly ServerMachine[]): void {
  for (const server of running) {
    const sizes = server.inspect();
    if (sizes === null) continue;
    const { sessions, requests, lookups, waiting, routes, triggers } = sizes;
    const text = `${server.name} keeps ${JSON.stringify(sizes)}`;
    // Of each kind a few: a round of stabilization, liveness of the predecessor and of the servers on its routes, a finger, a member.
    if (requests > 4 + running.length || lookups > 6 || waiting > 4) fail("bounded", text);
    if (sessions > world.servers.size || routes > 4_096 || triggers > 10 * world.clients.length) fail("bounded", text);
    if (server.engine.queuedPackets() > 0) fail("bounded", `${server.name} keeps ${server.engine.queuedPackets()} packets`);
  }
  // Copies of the last probes in a loop of trees: their hops are used up by then.
  if (world.network.flights.size > MANY_FLIGHTS) world.run(world.nowMs + HOPS_MS);
  if (world.network.flights.size > MANY_FLIGHTS) fail("bounded", `${world.network.flights.size} datagrams are under way`);
}
