/** Servers and clients on one virtual network, in virtual time; the checkers look on at every input. */
import { CONTROL_TYPES, type SignedRecord } from "@i3/common";

import { ClientMachine, type ClientEvents } from "./client-machine.js";
import { Draw } from "./draw.js";
import { clientEndpoint, endpointText, isServerEndpoint, serverEndpoint, type Endpoint } from "./endpoints.js";
import type { Machine, Surroundings } from "./machine.js";
import { Network } from "./network.js";
import { PacketChecks } from "./packet-checks.js";
import { Records } from "./records.js";
import { checkInvariant, checkLists } from "./ring-checks.js";
import { RingWireChecks } from "./ring-wire.js";
import { ServerMachine, type ServerEvents } from "./server-machine.js";
import type { SteadyChecks } from "./steady-checks.js";
import { CheckFailed, Trace, type Checked } from "./trace.js";
import { WireChecks } from "./wire-checks.js";

/** Servers that all others are told of. */
export const FOUNDERS = 3;
/** Datagrams that a thief has, to send them again. */
const RECORDED = 512;
/** The ring is looked at whenever a list changes, and this often. */
const RING_CHECK_MS = 500;
/** Who runs for so long and is heard is not dead. */
const KNOWN_MS = 15_000;

export interface Recorded {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

export class World implements Surroundings, ClientEvents, ServerEvents {
  nowMs = 0;
  readonly trace = new Trace();
  readonly network: Network;
  readonly wire = new WireChecks((server, ringKey) => this.steady?.acknowledged(this, server, ringKey));
  readonly ringWire = new RingWireChecks();
  readonly records = new Records();
  readonly servers = new Map<Endpoint, ServerMachine>();
  readonly clients: ClientMachine[] = [];
  readonly recorded: Recorded[] = [];
  /** Who is at an address and no machine of ours, and what it does with what it gets. */
  readonly strangers = new Map<Endpoint, (bytes: Uint8Array) => void>();
  /** The record that was put last, with the cookie that came with it. */
  lastPut: Recorded | null = null;
  /** Since when nothing goes wrong. */
  quietMs = 0;
  /** Looks on in fair weather. */
  steady: SteadyChecks | null = null;
  /** Only now must the ring be whole at every moment: nobody is cut off, and nothing is lost. */
  isFair = false;
  /** Packets that reached a client: its name, and the number in the packet. */
  readonly arrived = new Set<string>();
  /** What was checked → how often. */
  readonly checks = new Map<Checked, number>();
  inputs = 0;
  datagrams = 0;
  readonly #seed: string;
  readonly #draw: Draw;
  readonly #packets = new PacketChecks();
  readonly #machines = new Map<Endpoint, Machine>();
  readonly #neighbours = new Map<ServerMachine, Pick<ServerMachine, "successors" | "predecessor">>();
  #checkedMs = 0;
  #later: { readonly atMs: number; readonly action: () => void }[] = [];
  #hasRingChanged = false;
  #addresses = 0;

  constructor(seed: string) {
    this.#seed = seed;
    this.#draw = new Draw(`${seed}/world`);
    this.network = new Network(seed);
  }

  get founders(): readonly Endpoint[] {
    return Array.from({ length: FOUNDERS }, (_, n) => serverEndpoint(n));
  }

  /** Servers that run and can be heard. */
  talking(): ServerMachine[] {
    return [...this.servers.values()].filter(({ isUp, isMute, isLeaving }) => isUp && !isMute && !isLeaving);
  }

  /** A server that was not there before, not started. */
  addServer(): ServerMachine {
    const taken = new Set([...this.servers.values()].map(({ place }) => place));
    const server = new ServerMachine(this.servers.size, this.#seed, this.#draw, taken, this, this);
    this.servers.set(server.endpoint, server);
    this.#machines.set(server.endpoint, server);
    return server;
  }

  startServer(server: ServerMachine): void {
    server.start(this.founders);
  }

  addClient(): ClientMachine {
    const client = new ClientMachine(this.clients.length, this.#seed, this.newAddress(), this, this);
    this.clients.push(client);
    this.#machines.set(client.endpoint, client);
    client.start(this.founders);
    return client;
  }

  newAddress(): Endpoint {
    this.#addresses += 1;
    return clientEndpoint(this.#addresses);
  }

  moveClient(client: ClientMachine, isKnown: boolean): void {
    this.#machines.delete(client.endpoint);
    const endpoint = this.newAddress();
    this.#machines.set(endpoint, client);
    client.move(endpoint, isKnown);
  }

  later(afterMs: number, action: () => void): void {
    this.#later.push({ atMs: this.nowMs + afterMs, action });
  }

  /** All that was put off happens no more. */
  forgetLater(): void {
    this.#later = [];
  }

  note(text: string): void {
    this.trace.note(this.nowMs, text);
  }

  checked(what: Checked, times = 1): void {
    this.checks.set(what, (this.checks.get(what) ?? 0) + times);
  }

  run(untilMs: number): void {
    for (;;) {
      let due: Machine | null = null;
      let dueMs = Infinity;
      for (const machine of this.#machines.values()) {
        if (machine.deadlineMs >= dueMs) continue;
        due = machine;
        dueMs = machine.deadlineMs;
      }
      let laterMs = Infinity;
      for (const { atMs } of this.#later) laterMs = Math.min(laterMs, atMs);
      const nextMs = Math.max(this.nowMs, Math.min(dueMs, laterMs, this.network.flights.firstMs));
      if (nextMs > untilMs) break;
      this.nowMs = nextMs;
      this.inputs += 1;
      const flight = this.network.arrived(nextMs);
      if (flight !== undefined) this.#deliver(flight.from, flight.to, flight.bytes);
      else if (laterMs <= nextMs) this.#runLater();
      else due?.tick();
      this.#checkRing();
      this.steady?.look(this);
    }
    this.nowMs = untilMs;
  }

  /** A datagram from whoever is at `from`, or says so. */
  inject(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.#packets.entered(bytes);
    this.#transmit(from, to, bytes);
  }

  #transmit(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    this.datagrams += 1;
    this.trace.sent(this.nowMs, from, to, bytes);
    if (this.network.send(this.nowMs, from, to, bytes, this.#packets.mayDouble(bytes))) this.#packets.doubled(bytes);
  }

  sent(machine: Machine, to: Endpoint, bytes: Uint8Array): void {
    const isServer = machine instanceof ServerMachine;
    if (isServer && !isServerEndpoint(to)) {
      this.wire.serverSent(this.nowMs, machine, to, bytes);
      this.records.serverSent(machine, bytes);
    } else if (isServer) this.ringWire.sent(machine, bytes);
    if (isServer) this.#packets.passed(bytes);
    else {
      this.wire.clientSent(bytes);
      this.#packets.entered(bytes);
    }
    if (isServerEndpoint(to)) this.#record({ from: machine.endpoint, to, bytes });
    if (machine.isMute) return;
    this.#transmit(machine.endpoint, to, bytes);
  }

  changed(machine: Machine): void {
    if (!(machine instanceof ServerMachine)) return;
    if (machine.hasLeft && machine.isUp) machine.crash();
    const { successors, predecessor } = machine;
    const known = this.#neighbours.get(machine);
    if (known?.successors === successors && known.predecessor === predecessor) return;
    this.#neighbours.set(machine, { successors, predecessor });
    this.checked("list");
    const list = checkLists(machine, this.servers);
    if (list.length === machine.list.length && list.every((server, i) => server === machine.list[i])) return;
    machine.list = list;
    this.#hasRingChanged = true;
    // Who has no list counts as no member, so the invariant says nothing of it.
    if (this.isFair && list.length === 0 && machine.memberSinceMs !== null && !machine.isLeaving) throw new CheckFailed("live-successor", `${machine.name} has lost all its successors`);
    if (list.length === 0) machine.memberSinceMs = null;
    else machine.memberSinceMs ??= this.nowMs;
  }

  /** Servers came or went. */
  ringChanged(): void {
    this.#hasRingChanged = true;
  }

  delivered(client: ClientMachine, id: Uint8Array, payload: Uint8Array): void {
    this.note(`${client.name} gets ${Buffer.from(payload.subarray(0, 8)).toString("hex")} for ${Buffer.from(id.subarray(0, 8)).toString("hex")}`);
    this.arrived.add(`${client.name} ${Buffer.from(payload.subarray(0, 8)).toString("hex")}`);
  }

  found(client: ClientMachine, ringKey: Uint8Array, record: SignedRecord | null): void {
    this.note(`${client.name} finds ${record === null ? "nothing" : `a record with sequence ${record.sequence}`}`);
    this.records.found(client.name, ringKey, record);
  }

  /** It must not go on sending to the server that has no trigger. */
  notPresent({ name, client }: ClientMachine, id: Uint8Array): void {
    this.note(`${name} hears that nobody has ${Buffer.from(id.subarray(0, 8)).toString("hex")}`);
    if (client.serverOfPath(id) !== client.firstHop()) throw new CheckFailed("stale-cache", `${name} goes on sending to a server that has no trigger`);
  }

  log(server: ServerMachine, _level: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    if (event === "responsibility") return;
    const node = typeof fields["node"] === "string" ? ` ${fields["node"]}` : "";
    this.note(`${server.name}: ${event}${node}`);
    if (event === "duplicate-key") throw new CheckFailed("duplicate-key", `${server.name} takes another for itself`);
    if (event === "node-left") this.#named(node)?.told.delete(server);
    if (event === "node-dead" && this.isFair) this.#checkDeath(server, node);
  }

  #named(node: string): ServerMachine | undefined {
    return [...this.servers.values()].find(({ endpoint }) => node.endsWith(`@${endpointText(endpoint)}`));
  }

  /** Nobody is taken for dead who lives and is heard, nor by neighbours who have not heard that he leaves: what he said before may come later. */
  #checkDeath(server: ServerMachine, node: string): void {
    const dead = this.#named(node);
    if (dead === undefined || !dead.isUp || dead.isMute || this.nowMs - dead.startedMs < KNOWN_MS) return;
    if (dead.isLeaving && !(dead.told.has(server) && this.nowMs - server.startedMs >= KNOWN_MS)) return;
    if (dead.isLeaving) throw new CheckFailed("no-farewell", `${server.name} takes ${dead.name} for dead, which has left and should have told it`);
    throw new CheckFailed("false-death", `${server.name} takes ${dead.name} for dead, which lives`);
  }

  #checkRing(): void {
    if (!this.#hasRingChanged && this.nowMs - this.#checkedMs < RING_CHECK_MS) return;
    this.#hasRingChanged = false;
    this.#checkedMs = this.nowMs;
    if (this.isFair) {
      this.checked("invariant");
      this.checked(checkInvariant(this.nowMs, this.servers.values()));
    }
    this.#checkAges();
  }

  /** Ways to ids end. */
  #checkAges(): void {
    for (const server of this.servers.values()) if (server.hasOldWay(this.nowMs)) throw new CheckFailed("old-way", `${server.name} sends by a way that it has had for more than 30 s`);
    for (const client of this.clients) if (client.hasOldWay(this.nowMs)) throw new CheckFailed("old-way", `${client.name} sends straight to a server that nobody has named for more than 30 s`);
  }

  #runLater(): void {
    const due = this.#later.filter(({ atMs }) => atMs <= this.nowMs);
    this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
    for (const { action } of due) action();
  }

  #deliver(from: Endpoint, to: Endpoint, bytes: Uint8Array): void {
    const machine = this.#machines.get(to);
    if (machine === undefined) return this.strangers.get(to)?.(bytes);
    if (!machine.isUp || machine.isMute) return;
    if (machine instanceof ServerMachine) {
      this.ringWire.got(machine, bytes);
      if (!isServerEndpoint(from)) this.wire.serverGot(this.nowMs, machine, from, bytes);
    }
    machine.receive(from, bytes);
  }

  /** What went to servers: in a full memory one in twenty takes the place of any other. */
  #record(datagram: Recorded): void {
    if (datagram.bytes[0] === 0x19 && datagram.bytes[1] === CONTROL_TYPES.RECORD_PUT) this.lastPut = datagram;
    if (this.recorded.length >= RECORDED) {
      if (!this.#draw.chance(0.05)) return;
      this.recorded.splice(this.#draw.below(RECORDED), 1);
    }
    this.recorded.push(datagram);
  }
}
