/** What must hold after quiet time, when nothing has gone wrong for a while. */
import { bytesKey, type Locator } from "@i3/common";

import type { ClientMachine } from "./client-machine.js";
import { endpointOfLocator, strangerEndpoint } from "./endpoints.js";
import { wantedOf, type Events } from "./events.js";
import { checkIdeal, inRingOrder, responsible } from "./ring-checks.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";
import type { World } from "./world.js";

/** A packet is there after this, by whatever server it goes. */
const PROBE_MS = 3_000;
const PROBER = strangerEndpoint(0);

const fail = (checker: string, message: string): never => {
  throw new CheckFailed(checker, message);
};

/** All of them; sends packets, so time goes by. `through`: how many of the servers are asked to pass packets on. */
export function checkQuiet(world: World, events: Events, through: number): void {
  const running = world.talking();
  checkIdeal(running);
  checkPlaces(world, running);
  checkReach(world, events, running.slice(0, through));
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

/** Every live trigger is at the server of its key, with the address where its client is, and nowhere else; the client knows. */
function checkPlaces(world: World, running: readonly ServerMachine[]): void {
  const ordered = inRingOrder(running);
  const wanted = new Map(world.clients.flatMap((client) => wantedOf(client).map(({ id }) => [bytesKey(id), client] as const)));
  for (const [id, client] of wanted) {
    const home = responsible(ordered, id.slice(0, 16));
    const target = home === undefined ? null : targetAt(home, id);
    if (home === undefined || target === null) return fail("trigger-place", `${home?.name} lacks a trigger of ${client.name}, which says that it is at ${placeText(client, id)}`);
    if (endpointOfLocator(target) !== client.endpoint) fail("trigger-place", `${home.name} has a trigger with an address that ${client.name} has left`);
    if (client.serverOf(Buffer.from(id, "latin1")) !== home.endpoint) fail("trigger-place", `${client.name} does not know that ${home.name} has its trigger`);
  }
  for (const server of running) {
    for (const id of [...server.table.values()].flatMap((entries) => entries.map((entry) => bytesKey(entry.id)))) {
      if (!wanted.has(id)) fail("trigger-ended", `${server.name} has a trigger that nobody wants`);
      if (responsible(ordered, id.slice(0, 16)) !== server) fail("trigger-ended", `${server.name} still has a trigger that is not its own`);
    }
  }
}

function targetAt(server: ServerMachine, id: string): Locator | null {
  const entry = server.table.get(id.slice(0, 16))?.find((other) => bytesKey(other.id) === id);
  return entry?.target.kind === "locator" ? entry.target.locator : null;
}

function placeText(client: ClientMachine, id: string): string {
  return String(client.serverOf(Buffer.from(id, "latin1")));
}

/** A packet to every trigger gets there through every one of these. */
function checkReach(world: World, events: Events, servers: readonly ServerMachine[]): void {
  const awaited: { readonly text: string; readonly server: ServerMachine; readonly client: ClientMachine }[] = [];
  for (const server of servers) {
    for (const client of world.clients) {
      for (const { id } of wantedOf(client)) awaited.push({ text: `${client.name} ${events.probe(PROBER, server.endpoint, id)}`, server, client });
    }
  }
  world.run(world.nowMs + PROBE_MS);
  for (const { text, server, client } of awaited) if (!world.arrived.has(text)) fail("trigger-lost", `a packet through ${server.name} does not reach ${client.name}`);
  world.arrived.clear();
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
    if (sessions > world.servers.size || routes > 4_096 || triggers > 8 * world.clients.length) fail("bounded", text);
    if (server.engine.queuedPackets() > 0) fail("bounded", `${server.name} keeps ${server.engine.queuedPackets()} packets`);
  }
  if (world.network.flights.size > 1_000) fail("bounded", `${world.network.flights.size} datagrams are under way`);
}
