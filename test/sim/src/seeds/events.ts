/** What happens in a run, drawn from its seed: faults, and what clients do. */
import { bytesKey, concatBytes, CONTROL_TYPES, COOKIE_BYTES, decodeControl, encodeControl, KEY_KIND, privateId, sameBytes, TRIGGER_ACTION, u64Bytes } from "@i3/common";
import { COPY_BUDGET, DATA_FLAG, encodeDataHeader, HOP_LIMIT } from "@i3/datapath";

import type { ClientMachine, Wanted } from "./client-machine.js";
import { Draw } from "./draw.js";
import { endpointText, locatorOf, strangerEndpoint, type Endpoint } from "./endpoints.js";
import { drawGroupId } from "./groups.js";
import { sign } from "./known-signatures.js";
import type { Machine } from "./machine.js";
import { inRingOrder, responsible } from "./ring-checks.js";
import { Rogues } from "./rogues.js";
import type { ServerMachine } from "./server-machine.js";
import { FOUNDERS, type World } from "./world.js";

/** Servers that run and can be heard at least: in fair weather one more than a successor list is long, as Zave's proof has it. */
const MIN_FAIR = 9;
const MIN_FOUL = 8;
const MAX_SERVERS = 12;
/** In fair weather so many go within that time: fewer than a successor list is long, and before it is full again. */
const MAX_DEATHS = 3;
const DEATHS_MS = 12_000;
/** Who failed comes back when all others know of it. */
const FAIR_RETURN_MS = 15_000;
const MAX_WANTED = 6;
/** Ids that were removed and are still sent to. */
const MAX_OLD = 12;
const MAX_SKEW_MS = 3_600_000;
/** So much newer is the counter of a forged trigger: no other has it. */
const FORGED_AHEAD = 1_000_000;
/** A record was put, its cookie is good, and its copies are on their way. */
const FORGED_AFTER_MS = 500;
/** So many cuts are long, the others at most so long. */
const LONG_CUTS = 0.25;
const SHORT_CUT_MS = 3_000;
const LIE_COUNTER = 1_800_000_000_000;
/** So many messages of a server's life before come again, at most so long after it has started again. */
const OLD_LIFE = 24;
const OLD_LIFE_MS = 4_000;
/** Of a packet that asks for more than its sender is owed: enough for one answer and not for two. */
const ASKING_BYTES = 80;
/** In fair weather a question and its answer, behind a HELLO and its answer, are there before a node is taken for dead (1.5 s). */
const SLOWNESS = { fair: 2, foul: 12 };
const HELD_MS = { fair: 120, foul: 500 };

export type EventKind =
  | "insert" | "join-group" | "lead-on" | "remove" | "move" | "send" | "send-stack" | "record" | "find" | "client-restart"
  | "loss" | "duplication" | "reordering" | "slowness" | "partition" | "one-way" | "silence" | "crash" | "restart" | "join" | "leave" | "skew" | "replay" | "stranger" | "rogue";

export const CLIENT_ACTIONS: readonly EventKind[] = ["insert", "join-group", "lead-on", "remove", "move", "send", "send-stack", "record", "find", "client-restart"];

/** How often each happens in fair weather, and in foul. */
const WEIGHTS: Readonly<Record<EventKind, readonly [number, number]>> = {
  insert: [9, 8], "join-group": [5, 4], "lead-on": [5, 4], remove: [8, 7], move: [6, 5], send: [22, 17], "send-stack": [4, 3], record: [3, 3], find: [4, 3], "client-restart": [2, 2],
  loss: [0, 4], duplication: [3, 3], reordering: [3, 3], slowness: [1, 3], partition: [0, 3], "one-way": [0, 3], silence: [0, 3],
  crash: [5, 4], restart: [6, 6], join: [5, 3], leave: [4, 3], skew: [3, 3], replay: [8, 6], stranger: [8, 6], rogue: [8, 6],
};

export class Events {
  readonly counts = new Map<EventKind, number>();
  readonly #world: World;
  readonly #draw: Draw;
  readonly #actions: Readonly<Record<EventKind, () => boolean>>;
  readonly #rogues: Rogues;
  #old: Uint8Array[] = [];
  #deathsMs: number[] = [];
  #packets = 0;
  #strangers = 0;

  constructor(seed: string, world: World) {
    this.#world = world;
    this.#draw = new Draw(`${seed}/events`);
    this.#rogues = new Rogues(seed, world, () => this.#newStranger());
    this.#actions = {
      insert: () => this.#insert(), "join-group": () => this.#joinGroup(), "lead-on": () => this.#leadOn(), "send-stack": () => this.#sendStack(), record: () => this.#record(), find: () => this.#find(), remove: () => this.#remove(), move: () => this.#move(), send: () => this.#send(), "client-restart": () => this.#clientRestart(),
      loss: () => this.#weather({ loss: this.#draw.between(5, 40) / 100 }), duplication: () => this.#weather({ twice: this.#draw.between(5, 60) / 100 }),
      reordering: () => this.#weather({ held: this.#draw.between(5, 60) / 100 }), slowness: () => this.#weather({ slowness: this.#draw.between(2, SLOWNESS[this.#weatherName]) }),
      partition: () => this.#partition(true), "one-way": () => this.#partition(false), silence: () => this.#silence(),
      crash: () => this.#crash(), restart: () => this.#restart(), join: () => this.#join(), leave: () => this.#leave(), skew: () => this.#skew(),
      replay: () => this.#replay(), stranger: () => this.#stranger(), rogue: () => this.#rogue(),
    };
  }

  /** One event, of those that are possible now. */
  next(): void {
    const column = this.#world.isFair ? 0 : 1;
    for (;;) {
      let left = this.#draw.below(Object.values(WEIGHTS).reduce((sum, weights) => sum + weights[column], 0));
      const kind = (Object.keys(WEIGHTS) as EventKind[]).find((name) => (left -= WEIGHTS[name][column]) < 0) as EventKind;
      if (!this.#actions[kind]()) continue;
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
      return;
    }
  }

  /** A packet with a number of its own, from `from` to an id through one server. Returns the number as text. */
  probe(from: Endpoint, server: Endpoint, id: Uint8Array): string {
    const payload = this.#payload();
    const header = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: 5, nonce: this.#draw.bytes(8), ids: [id] });
    this.#world.inject(from, server, concatBytes(header, payload));
    return numberOf(payload);
  }

  /** The same from a client, by its own way to the id. */
  probeFrom(client: ClientMachine, id: Uint8Array): string {
    const payload = this.#payload();
    client.send(id, payload, false);
    return numberOf(payload);
  }

  #payload(): Uint8Array {
    this.#packets += 1;
    return concatBytes(u64Bytes(this.#packets), new Uint8Array(this.#draw.below(40)));
  }

  #note(text: string): true {
    this.#world.note(`-- ${text}`);
    return true;
  }

  // --- clients -----------------------------------------------------------------------------------------------------

  #client(): ClientMachine {
    return this.#draw.pick(this.#world.clients);
  }

  #insert(): boolean {
    const client = this.#client();
    if (wantedOf(client).length >= MAX_WANTED) return false;
    const { id } = client.insert([]);
    return this.#note(`${client.name} inserts ${hex(id)}`);
  }

  /** At an id of a group, to the client or on to another id: of its own group too, so that packets multiply. */
  #joinGroup(): boolean {
    const client = this.#client();
    if (wantedOf(client).length >= MAX_WANTED) return false;
    const at = drawGroupId(this.#draw);
    const next = this.#draw.chance(0.2) ? this.#someWanted(1) : [];
    const joined = client.join(at, next);
    return joined !== null && this.#note(`${client.name} joins ${hex(at.id)}${leadingTo(joined)}`);
  }

  /** A trigger to others' ids: they may lead back. */
  #leadOn(): boolean {
    const client = this.#client();
    const next = this.#someWanted(this.#draw.between(1, 2));
    if (wantedOf(client).length >= MAX_WANTED || next.length === 0) return false;
    const trigger = client.insert(next);
    this.#close(trigger);
    return this.#note(`${client.name} inserts ${hex(trigger.id)}${leadingTo(trigger)}`);
  }

  /** Now and then somebody whose trigger leads on lets it lead to this one, so that packets go in circles. */
  #close(trigger: Wanted): void {
    if (!this.#draw.chance(0.3)) return;
    const first = trigger.steps[0];
    for (const client of this.#world.clients) {
      const other = wantedOf(client).find(({ id, steps, certificate }) => first !== undefined && certificate === null && steps.length > 0 && sameBytes(id, first.id));
      if (other === undefined) continue;
      client.redirect(other, [trigger]);
      this.#note(`${client.name} lets ${hex(other.id)} lead back to ${hex(trigger.id)}`);
    }
  }

  #someWanted(count: number): readonly Wanted[] {
    const all = this.#world.clients.flatMap(wantedOf);
    return all.length === 0 ? [] : Array.from({ length: count }, () => this.#draw.pick(all));
  }

  #sendStack(): boolean {
    const client = this.#client();
    const ids = Array.from({ length: this.#draw.between(2, 6) }, () => this.#anyId());
    return client.sendStack(ids, this.#payload()) && this.#note(`${client.name} sends to ${ids.map(hex).join(" ")}`);
  }

  /** Its owner's, a newer one; or a list of servers. Or somebody has one of old. */
  #record(): boolean {
    const client = this.#client();
    const { all } = this.#world.records;
    if (all.length > 0 && this.#draw.chance(0.3)) {
      const old = this.#draw.pick(all);
      client.keep(old);
      return this.#note(`${client.name} puts record ${old.sequence} again`);
    }
    const isList = this.#draw.chance(0.4);
    const servers = isList ? [...this.#world.servers.values()].slice(-8).map(({ node }) => node) : [];
    const { key, newest } = this.#world.records.sign(client.recordKey, servers);
    client.keep(newest);
    if (this.#draw.chance(0.5)) this.#world.later(FORGED_AFTER_MS, () => void this.#forgeRecord());
    return this.#note(`${client.name} puts record ${newest.sequence} at ${hex(key)}`);
  }

  #find(): boolean {
    const all = [...this.#world.records.newest.values()];
    if (all.length === 0) return false;
    const client = this.#client();
    const { key } = this.#draw.pick(all);
    client.find(key);
    return this.#note(`${client.name} looks for ${hex(key)}`);
  }

  #remove(): boolean {
    const client = this.#client();
    const wanted = wantedOf(client);
    if (wanted.length === 0) return false;
    const trigger = this.#draw.pick(wanted);
    client.remove(trigger);
    this.#old = [...this.#old, trigger.id].slice(-MAX_OLD);
    return this.#note(`${client.name} removes ${hex(trigger.id)}`);
  }

  #move(): boolean {
    const client = this.#client();
    const isKnown = this.#draw.chance(0.7);
    this.#world.moveClient(client, isKnown);
    return this.#note(`${client.name} moves${isKnown ? "" : " unaware"}`);
  }

  #clientRestart(): boolean {
    const client = this.#client();
    client.crash();
    client.start(this.#world.founders);
    return this.#note(`${client.name} restarts`);
  }

  #anyId(): Uint8Array {
    const live = this.#world.clients.flatMap((client) => wantedOf(client).map(({ id }) => id));
    const known = this.#draw.chance(0.8) ? live : this.#old;
    if (known.length === 0 || this.#draw.chance(0.05)) return this.#draw.bytes(32);
    const id = this.#draw.pick(known);
    // By longest prefix it reaches one of the key's triggers.
    return this.#draw.chance(0.15) ? concatBytes(id.subarray(0, 16), this.#draw.bytes(16)) : id;
  }

  #send(): boolean {
    const client = this.#client();
    const id = this.#anyId();
    return client.send(id, this.#payload(), this.#draw.chance(0.5)) && this.#note(`${client.name} sends to ${hex(id)}`);
  }

  // --- the network -------------------------------------------------------------------------------------------------

  get #weatherName(): "fair" | "foul" {
    return this.#world.isFair ? "fair" : "foul";
  }

  #weather(change: Partial<World["network"]["weather"]>): boolean {
    const { network, nowMs } = this.#world;
    const forMs = this.#draw.between(500, 6_000);
    network.weather = { ...network.weather, heldMs: HELD_MS[this.#weatherName], ...change };
    network.weatherUntilMs = network.weatherUntilMs === Infinity ? nowMs + forMs : Math.max(network.weatherUntilMs, nowMs + forMs);
    return this.#note(`weather ${JSON.stringify(network.weather)} for ${forMs} ms`);
  }

  #partition(bothWays: boolean): boolean {
    const machines: Machine[] = [...this.#world.servers.values(), ...this.#world.clients];
    const here = new Set<Endpoint>();
    const there = new Set<Endpoint>();
    const share = this.#draw.between(10, 60) / 100;
    // Some clients are on no side: they hear both.
    for (const { endpoint, name } of machines) if (name.startsWith("server") || this.#draw.chance(0.8)) (this.#draw.chance(share) ? here : there).add(endpoint);
    if (here.size === 0 || there.size === 0) return false;
    const untilMs = this.#world.nowMs + this.#cutMs(20_000);
    this.#world.network.cut({ from: here, to: there, untilMs });
    if (bothWays) this.#world.network.cut({ from: there, to: here, untilMs });
    return this.#note(`${bothWays ? "partition" : "one-way partition"} ${machines.filter(({ endpoint }) => here.has(endpoint)).map(({ name }) => name).join(", ")} until ${untilMs} ms`);
  }

  /** How long somebody is cut off: mostly about as long as it takes to be taken for dead, so that much heals, and sometimes long. */
  #cutMs(longestMs: number): number {
    return this.#draw.between(500, this.#draw.chance(LONG_CUTS) ? longestMs : SHORT_CUT_MS);
  }

  #replay(): boolean {
    const { recorded } = this.#world;
    if (recorded.length === 0) return false;
    const triggers = this.#draw.chance(0.4) ? recorded.filter(({ bytes }) => isTrigger(bytes)) : [];
    const all = triggers.length > 0 ? triggers : recorded;
    const { from, to, bytes } = this.#draw.pick(this.#draw.chance(0.5) ? all : all.slice(0, Math.ceil(all.length / 4)));
    const thief = this.#draw.chance(0.3);
    const server = this.#draw.chance(0.2) ? this.#anyServer() : to;
    this.#world.inject(thief ? this.#newStranger() : from, server, bytes);
    return this.#note(`replay ${thief ? "by a thief" : "as it was"}`);
  }

  /** Who has a server's messages of before it stopped sends them again when it is back, to it and in its place. */
  #replayLife({ endpoint, name }: ServerMachine): void {
    const old = this.#world.recorded.filter(({ from, to, bytes }) => (from === endpoint || to === endpoint) && isRingRequest(bytes));
    if (old.length === 0) return;
    const all = Array.from({ length: OLD_LIFE }, (_, i) => (i % 2 === 0 ? old[old.length - 1 - this.#draw.below(Math.min(old.length, OLD_LIFE))] : this.#draw.pick(old)));
    this.#world.later(this.#draw.between(100, OLD_LIFE_MS), () => {
      for (const again of new Set(all)) if (again !== undefined) this.#world.inject(again.from, again.to, again.bytes);
      this.#note(`what passed between ${name} and others comes again`);
    });
  }

  #rogue(): boolean {
    const wanted = this.#world.clients.flatMap((client) => wantedOf(client).map((trigger) => ({ client, trigger })));
    const what = this.#rogues.act(wanted);
    return what !== null && this.#note(`a rogue ${what}`);
  }

  #newStranger(): Endpoint {
    this.#strangers += 1;
    return strangerEndpoint(this.#strangers);
  }

  #anyServer(): Endpoint {
    return this.#draw.pick([...this.#world.servers.keys()]);
  }

  /** Who has proved nothing asks for much with little, or changes what it has seen. */
  #stranger(): boolean {
    if (this.#draw.chance(0.15)) return this.#lie();
    if (this.#draw.chance(0.3)) return this.#draw.chance(0.7) ? this.#forge() : this.#forgeRecord();
    const bytes = this.#strangeBytes();
    if (bytes === null) return false;
    const from = this.#newStranger();
    const to = this.#anyServer();
    const times = this.#draw.between(1, 3);
    for (let i = 0; i < times; i += 1) this.#world.inject(from, to, bytes);
    return this.#note(`a stranger sends ${bytes.length} bytes ${times} times`);
  }

  /** Somebody on the path makes a newer trigger of one that it saw. */
  #forge(): boolean {
    const seen = this.#world.recorded.filter(({ bytes }) => isTrigger(bytes)).at(-1 - this.#draw.below(3));
    const message = seen === undefined ? null : decodeControl(seen.bytes).message;
    if (seen === undefined || message?.type !== "TRIGGER") return this.#forgeRecord();
    // A member who says that it is another.
    const other = message.keyKind === KEY_KIND.groupMember && this.#draw.chance(0.5) ? this.#draw.pick(this.#world.clients).groupCertificate : null;
    const action = this.#draw.chance(0.5) ? TRIGGER_ACTION.insert : TRIGGER_ACTION.remove;
    this.#world.inject(seen.from, seen.to, encodeControl({ ...message, action, publicKey: other ?? message.publicKey, counter: message.counter + FORGED_AHEAD }, this.#draw.bytes(8)));
    return this.#note("a trigger is forged");
  }

  /** Who has a key says that it is at somebody else's address, and makes up what only that address is told. */
  #lie(): boolean {
    const { lyingKey: key, name } = this.#client();
    const victim = this.#newStranger();
    const id = privateId(key.prefix, this.#draw.bytes(16));
    const server = responsible(inRingOrder(this.#world.talking()), bytesKey(key.prefix));
    if (server === undefined) return false;
    const trigger = { action: TRIGGER_ACTION.insert, id, target: locatorOf(victim), flags: 0, counter: LIE_COUNTER, commitment: this.#draw.bytes(16), cookie: this.#draw.bytes(COOKIE_BYTES) };
    const bytes = encodeControl(sign({ kind: "private", key }, trigger, server.node.key), this.#draw.bytes(8));
    this.#world.wire.clientSent(bytes);
    this.#world.inject(victim, server.endpoint, bytes);
    return this.#note(`${name} signs a trigger for ${endpointText(victim)}`);
  }

  /** Or of a record that it saw, with the cookie that came with it. */
  #forgeRecord(): boolean {
    const seen = this.#world.lastPut;
    const message = seen === null ? null : decodeControl(seen.bytes).message;
    if (seen === null || message?.type !== "RECORD_PUT") return false;
    const record = message.record.slice();
    const sequenceAt = 35 + (record[34] ?? 0);
    record[sequenceAt + 5] = 0xff;
    this.#world.inject(seen.from, seen.to, encodeControl({ ...message, record }, this.#draw.bytes(8)));
    return this.#note("a record is forged");
  }

  #strangeBytes(): Uint8Array | null {
    const draw = this.#draw;
    const id = this.#anyId();
    const nonce = draw.bytes(8);
    const shorten = (bytes: Uint8Array): Uint8Array => (draw.chance(0.5) ? bytes.slice(0, 16 + (bytes[4] ?? 0) * 256 + (bytes[5] ?? 0)) : bytes);
    switch (draw.below(7)) {
      case 0: return shorten(encodeControl({ type: "PING" }, nonce));
      case 1: return shorten(encodeControl({ type: "LOCATE", ringKey: id.slice(0, 16) }, nonce));
      case 2: return shorten(encodeControl({ type: "CHALLENGE_REQUEST", ringKey: id.slice(0, 16), flags: draw.below(3) }, nonce));
      case 3: return shorten(encodeControl({ type: "REFRESH", id, index: draw.below(1_024), token: draw.bytes(16), member: null }, nonce));
      case 4: {
        // Often of an id that nobody has: then there are two answers.
        const ids = [draw.chance(0.5) ? draw.bytes(32) : id];
        return concatBytes(encodeDataHeader({ flags: DATA_FLAG.cacheRequest, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: 5, nonce, ids }), draw.bytes(draw.below(ASKING_BYTES)));
      }
      case 5: return draw.bytes(draw.between(1, 300));
      default: {
        const { recorded } = this.#world;
        if (recorded.length === 0) return null;
        const bytes = draw.pick(recorded).bytes.slice();
        bytes[draw.below(bytes.length)] = draw.below(256);
        return bytes;
      }
    }
  }

  // --- servers -----------------------------------------------------------------------------------------------------

  #mayLose(): boolean {
    const { isFair, nowMs } = this.#world;
    const running = this.#world.talking().filter(({ memberSinceMs }) => memberSinceMs !== null).length;
    this.#deathsMs = this.#deathsMs.filter((atMs) => nowMs - atMs < DEATHS_MS);
    return isFair ? running > MIN_FAIR && this.#deathsMs.length < MAX_DEATHS : running > MIN_FOUL;
  }

  #victim(): ServerMachine | null {
    return this.#mayLose() ? this.#draw.pick(this.#world.talking()) : null;
  }

  #died(server: ServerMachine): void {
    this.#deathsMs.push(this.#world.nowMs);
    server.stoppedMs = this.#world.nowMs;
    this.#world.ringChanged();
  }

  #crash(): boolean {
    const server = this.#victim();
    if (server === null) return false;
    server.crash();
    this.#died(server);
    return this.#note(`${server.name} crashes`);
  }

  #silence(): boolean {
    const server = this.#victim();
    if (server === null) return false;
    server.isMute = true;
    const forMs = this.#cutMs(25_000);
    this.#world.later(forMs, () => {
      server.isMute = false;
    });
    return this.#note(`${server.name} is cut off for ${forMs} ms`);
  }

  /** Of one that is down, or in foul weather of one that runs: it comes back at once and knows nothing. */
  #restart(): boolean {
    const { isFair, nowMs } = this.#world;
    const down = [...this.#world.servers.values()].filter(({ isUp, stoppedMs }) => !isUp && (!isFair || nowMs - stoppedMs > FAIR_RETURN_MS));
    const server = !isFair && this.#draw.chance(0.4) ? this.#victim() : down.length === 0 || this.#world.talking().length >= MAX_SERVERS ? null : this.#draw.pick(down);
    if (server === null || !this.#mayStart()) return false;
    if (server.isUp) server.crash();
    this.#replayLife(server);
    this.#world.startServer(server);
    return this.#note(`${server.name} starts again`);
  }

  /** In fair weather somebody must be there to join through, and one joins at a time: two who are alone would make a ring of their own first. */
  #mayStart(): boolean {
    const running = this.#world.talking();
    return !this.#world.isFair || (running.every(({ memberSinceMs }) => memberSinceMs !== null) && running.some(({ number }) => number < FOUNDERS));
  }

  #join(): boolean {
    if (this.#world.talking().length >= MAX_SERVERS || !this.#mayStart() || this.#world.servers.size >= 200) return false;
    const server = this.#world.addServer();
    this.#world.startServer(server);
    return this.#note(`${server.name} joins`);
  }

  #leave(): boolean {
    const server = this.#victim();
    if (server === null) return false;
    this.#died(server);
    const predecessor = [...this.#world.servers.values()].find(({ node }) => server.predecessor !== null && sameBytes(node.key, server.predecessor.key));
    server.told = new Set(predecessor === undefined ? server.list : [...server.list, predecessor]);
    server.leave();
    return this.#note(`${server.name} leaves`);
  }

  #skew(): boolean {
    const machine = this.#draw.chance(0.5) ? this.#client() : this.#draw.pick([...this.#world.servers.values()]);
    machine.skew(this.#draw.between(-MAX_SKEW_MS, MAX_SKEW_MS));
    return this.#note(`the clock of ${machine.name} is wrong by ${machine.skewMs} ms`);
  }
}

const isRingRequest = (bytes: Uint8Array): boolean => bytes[0] === 0x19 && RING_REQUESTS.has(bytes[1] ?? 0);
const RING_REQUESTS: ReadonlySet<number> = new Set([CONTROL_TYPES.FIND, CONTROL_TYPES.STATE, CONTROL_TYPES.ALIVE]);

const isTrigger = (bytes: Uint8Array): boolean => bytes[0] === 0x19 && bytes[1] === CONTROL_TYPES.TRIGGER;

const numberOf = (payload: Uint8Array): string => Buffer.from(payload.subarray(0, 8)).toString("hex");

export const wantedOf = ({ triggers }: ClientMachine): Wanted[] => [...triggers.values()].filter(({ isWanted }) => isWanted);

const leadingTo = ({ steps }: Wanted): string => (steps.length === 0 ? "" : `, leading to ${steps.map(({ id }) => hex(id)).join(" ")}`);

const hex = (id: Uint8Array): string => Buffer.from(bytesKey(id).slice(0, 8), "latin1").toString("hex");
