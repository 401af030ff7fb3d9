/** What must hold after quiet time, when nothing has gone wrong for a while. */
import { bytesKey, RECORD_KIND, sameBytes } from "@i3/common";
import type { TriggerEntry } from "@i3/datapath";

import type { ClientMachine, Wanted } from "./client-machine.js";
import { endpointOfLocator, strangerEndpoint } from "./endpoints.js";
import { wantedOf, type Events } from "./events.js";
import { checkIdeal, inRingOrder, responsible } from "./ring-checks.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";
import type { World } from "./world.js";

/** A packet is there after this, by whatever server it goes. */
const PROBE_MS = 3_000;
const PROBER = strangerEndpoint(0);
/** Each takes two of the 16 hops at most, and the copies that a packet may have are shared at groups. */
const SURE_STEPS = 3;

const fail = (checker: string, message: string): never => {
  throw new CheckFailed(checker, message);
};

/** All of them; sends packets, so time goes by. `through`: how many of the servers are asked to pass packets on. */
export function checkQuiet(world: World, events: Events, through: number): void {
  const running = world.talking();
  checkIdeal(running);
  checkPlaces(world, running);
  checkReach(world, events, running.slice(0, through));
  checkRecords(world);
  checkSizes(world, running);
}

/** Whether all is in its place now; the packets that show it are sent only by {@link checkQuiet}. */
export function isAtRest(world: World): boolean {
  try {
    const running = world.talking();
    checkIdeal(running);
    checkPlaces(world, running);
    checkSizes(world, running);
    return true;
  } catch (error) {
    if (error instanceof CheckFailed) return false;
    throw error;
  }
}

/** Every live trigger is at the server of its key, leads to where its client is or to its ids, and is nowhere else; the client knows. */
function checkPlaces(world: World, running: readonly ServerMachine[]): void {
  const ordered = inRingOrder(running);
  const wanted = allWanted(world);
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
      if (wanted.get(id)?.some((owner) => leadsTo(entry, owner)) !== true) fail("trigger-ended", `${server.name} has a trigger that nobody wants`);
      if (responsible(ordered, id.slice(0, 16)) !== server) fail("trigger-ended", `${server.name} still has a trigger that is not its own`);
    }
  }
}

interface Owner {
  readonly client: ClientMachine;
  readonly trigger: Wanted;
}

/** Id (bytesKey) → who wants a trigger there. */
function allWanted(world: World): ReadonlyMap<string, readonly Owner[]> {
  const owners = new Map<string, Owner[]>();
  for (const client of world.clients) {
    for (const trigger of wantedOf(client)) owners.set(bytesKey(trigger.id), [...(owners.get(bytesKey(trigger.id)) ?? []), { client, trigger }]);
  }
  return owners;
}

function leadsTo({ target }: TriggerEntry, { client, trigger }: Owner): boolean {
  if (target.kind === "locator") return trigger.steps.length === 0 && endpointOfLocator(target.locator) === client.endpoint;
  return target.ids.length === trigger.steps.length && target.ids.every((id, i) => sameBytes(id, trigger.steps[i]?.id ?? id.subarray(1)));
}

/** Who gets a packet for an id, as far as exact ids lead there in so few steps that no limit ends it. */
function receivers(wanted: ReadonlyMap<string, readonly Owner[]>, id: Uint8Array, stepsLeft = SURE_STEPS): ReadonlySet<ClientMachine> {
  const found = new Set<ClientMachine>();
  for (const { client, trigger } of wanted.get(bytesKey(id)) ?? []) {
    const [next] = trigger.steps;
    if (next === undefined) found.add(client);
    else if (stepsLeft > 0) for (const receiver of receivers(wanted, next.id, stepsLeft - 1)) found.add(receiver);
  }
  return found;
}

/** A packet to every trigger gets there through every one of these. */
function checkReach(world: World, events: Events, servers: readonly ServerMachine[]): void {
  const awaited: { readonly text: string; readonly server: ServerMachine; readonly client: ClientMachine }[] = [];
  const wanted = allWanted(world);
  for (const server of servers) {
    for (const [{ trigger }] of wanted.values() as Iterable<readonly [Owner]>) {
      const number = events.probe(PROBER, server.endpoint, trigger.id);
      for (const client of receivers(wanted, trigger.id)) awaited.push({ text: `${client.name} ${number}`, server, client });
    }
  }
  world.run(world.nowMs + PROBE_MS);
  for (const { text, server, client } of awaited) if (!world.arrived.has(text)) fail("trigger-lost", `a packet through ${server.name} does not reach ${client.name}`);
  world.arrived.clear();
}

/** What owners put now all clients find, and nothing older. */
function checkRecords(world: World): void {
  for (const client of world.clients) client.keep(world.records.sign(client.recordKey, []).newest);
  world.run(world.nowMs + PROBE_MS);
  const kept = [...world.records.newest.values()];
  for (const { key } of kept) for (const client of world.clients) client.find(key);
  world.run(world.nowMs + PROBE_MS);
  for (const { name } of world.clients) {
    for (const { key, newest } of kept) {
      const found = world.records.lastFound.get(`${name} ${bytesKey(key)}`);
      if (newest.kind === RECORD_KIND.name && found?.sequence !== newest.sequence) fail("record-lost", `${name} finds ${found?.sequence ?? "none"} of a record with sequence ${newest.sequence}`);
    }
  }
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
  if (world.network.flights.size > 1_000) fail("bounded", `${world.network.flights.size} datagrams are under way`);
}
