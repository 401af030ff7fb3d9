/** A host: a real I3Client on a reference engine, and the triggers that its user wants. */
import { bytesKey, privateId } from "@i3/common";
import { ReferenceEngine, type Upcall } from "@i3/datapath";
import { refreshChain, triggerKeyFromSeed, type TriggerKey } from "@i3/hip";
import { I3Client } from "@i3/i3-client";

import { Draw } from "./draw.js";
import { endpointOfLocator, locatorOf, type Endpoint } from "./endpoints.js";
import { sign } from "./known-signatures.js";
import { Machine, type Core, type Surroundings } from "./machine.js";

const WALL_START_MS = 1_800_000_000_000;
const NATIVE_PAYLOAD = 5;
/** Keys are drawn from so many, which are made once a process. */
const KEYS = 64;

const keys: TriggerKey[] = [];
const keyNumber = (n: number): TriggerKey => (keys[n] ??= triggerKeyFromSeed(new Draw(`trigger key ${n}`).bytes(32)));

/** A chain takes 1,024 hashes, so there are so many a process; a secret picks one. */
const CHAINS = 32;
const chains: (readonly Uint8Array[])[] = [];
const chainOf = (secret: Uint8Array): readonly Uint8Array[] => {
  const n = (secret[0] ?? 0) % CHAINS;
  return (chains[n] ??= refreshChain(new Draw(`chain ${n}`).bytes(16)));
};

/** A trigger that its user wants, or wanted. */
export interface Wanted {
  readonly id: Uint8Array;
  readonly key: TriggerKey;
  isWanted: boolean;
}

export interface ClientEvents {
  delivered(client: ClientMachine, id: Uint8Array, payload: Uint8Array): void;
}

export class ClientMachine extends Machine {
  protected core: Core | null = null;
  /** By id (bytesKey), in the order of insertion. */
  readonly triggers = new Map<string, Wanted>();
  #client: I3Client | null = null;
  readonly #keys: readonly TriggerKey[];
  readonly #random: Draw;
  readonly #events: ClientEvents;

  constructor(number: number, seed: string, endpoint: Endpoint, surroundings: Surroundings, events: ClientEvents) {
    super(`client ${number}`, endpoint, surroundings);
    this.#random = new Draw(`${seed}/${this.name}`);
    // Of different clients never the same: who has the key owns the ids.
    this.#keys = [0, 1, 2].map((i) => keyNumber((number * 3 + i) % KEYS));
    this.#events = events;
  }

  get client(): I3Client {
    if (this.#client === null) throw new Error(`${this.name} does not run`);
    return this.#client;
  }

  /** With empty memory, but the triggers that are wanted. */
  start(servers: readonly Endpoint[]): void {
    const { nowMs } = this.surroundings;
    const engine = new ReferenceEngine();
    const client = new I3Client({ datapath: engine, randomBytes: this.#random.bytes, refreshChain: chainOf, signTrigger: sign, wallMs: () => Math.floor(WALL_START_MS + this.surroundings.nowMs + this.skewMs) });
    this.engine = engine;
    this.#client = client;
    this.isUp = true;
    this.core = {
      handleUpcalls: (atMs, upcalls) => this.#upcalls(client, atMs, upcalls),
      handleTimer: (atMs) => {
        client.handleTimer(atMs);
        client.takeEvents();
      },
      deadlineMs: () => client.nextDeadlineMs(),
    };
    for (const server of servers) client.addServer(nowMs, locatorOf(server));
    for (const wanted of this.triggers.values()) if (wanted.isWanted) this.#want(wanted);
    this.step(null);
  }

  crash(): void {
    this.stop();
    this.core = null;
    this.#client = null;
  }

  /** A new id of one of its keys; several ids share a prefix. */
  insert(): Wanted {
    const key = this.#random.pick(this.#keys);
    const wanted: Wanted = { id: privateId(key.prefix, this.#random.bytes(16)), key, isWanted: true };
    this.triggers.set(bytesKey(wanted.id), wanted);
    this.#want(wanted);
    this.step(null);
    return wanted;
  }

  remove(wanted: Wanted): void {
    wanted.isWanted = false;
    this.engine.setInbound(wanted.id, null);
    this.client.removeTrigger(this.surroundings.nowMs, wanted.id);
    this.step(null);
  }

  /** It is at another address from now on; `isKnown`: and knows. */
  move(endpoint: Endpoint, isKnown: boolean): void {
    this.endpoint = endpoint;
    if (isKnown) this.client.renewTriggers(this.surroundings.nowMs);
    this.step(null);
  }

  /** Sends one packet to an id; `opens`: keeps a path to it. False when it knows no server. */
  send(id: Uint8Array, payload: Uint8Array, opens: boolean): boolean {
    if (opens) this.client.openPath(id);
    const datagram = this.client.packetTo(id, NATIVE_PAYLOAD, payload);
    if (datagram !== null) this.engine.send([datagram]);
    this.step(null);
    return datagram !== null;
  }

  /** The server that has a trigger, as far as the client knows; null: it is not live. */
  serverOf(id: Uint8Array): Endpoint | null {
    const key = bytesKey(id);
    const status = this.client.triggers(this.surroundings.nowMs).find((trigger) => bytesKey(trigger.id) === key);
    return status?.live === true && status.server !== null ? endpointOfLocator(status.server) : null;
  }

  #want({ id, key }: Wanted): void {
    this.engine.setInbound(id, { action: "upcall" });
    this.client.insertTrigger(this.surroundings.nowMs, id, { kind: "private", key });
  }

  #upcalls(client: I3Client, nowMs: number, upcalls: readonly Upcall[]): void {
    for (const upcall of upcalls) {
      if (upcall.kind === "control") client.handleControl(nowMs, upcall.from, upcall.bytes);
      else if (upcall.kind === "payload") this.#events.delivered(this, upcall.id, upcall.payload);
    }
    client.takeEvents();
  }
}
