/** A host: a real I3Client on a reference engine, and the triggers that its user wants. */
import { bytesKey, concatBytes, CONTROL_TYPES, decodeControl, decodeServerList, privateId, RECORD_KIND, type SignedRecord, type StackStep } from "@i3/common";
import { COPY_BUDGET, encodeDataHeader, HOP_LIMIT, ReferenceEngine, type Upcall } from "@i3/datapath";
import { refreshChain, signStep, triggerKeyFromSeed, type StepSigner, type TriggerKey } from "@i3/hip";
import { I3Client } from "@i3/i3-client";

import { Draw } from "./draw.js";
import { endpointOfLocator, locatorOf, type Endpoint } from "./endpoints.js";
import { certificateOf, FAR_S, groupKey, type GroupId } from "./groups.js";
import { sign } from "./known-signatures.js";
import { Machine, type Core, type Surroundings } from "./machine.js";
import type { ServerMachine } from "./server-machine.js";

const WALL_START_MS = 1_800_000_000_000;
const NATIVE_PAYLOAD = 5;
/** Keys are drawn from so many, which are made once a process. */
const KEYS = 64;

const keys: TriggerKey[] = [];
const keyNumber = (n: number): TriggerKey => (keys[n] ??= triggerKeyFromSeed(new Draw(`trigger key ${n}`).bytes(32)));

/** A server is sent to straight for 30 s after it was named, and who asks for another word asks once a second (i3-client, sender-paths.ts). */
const CACHE_LIFE_MS = 31_500;

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
  /** Its owner's; of a group's trigger the member's. */
  readonly key: TriggerKey;
  /** Whoever may let others lead to it. */
  readonly agrees: StepSigner;
  /** Of a group's trigger. */
  readonly certificate: Uint8Array | null;
  /** Where it leads; none: to the client itself. */
  readonly steps: readonly StackStep[];
  isWanted: boolean;
}

export interface ClientEvents {
  delivered(client: ClientMachine, id: Uint8Array, payload: Uint8Array): void;
  /** What it looked for; null: nothing was found. */
  found(client: ClientMachine, ringKey: Uint8Array, record: SignedRecord | null): void;
  /** It was told that nobody has this id. */
  notPresent(client: ClientMachine, id: Uint8Array): void;
}

export class ClientMachine extends Machine {
  protected core: Core | null = null;
  /** By id (bytesKey), in the order of insertion. */
  readonly triggers = new Map<string, Wanted>();
  /** Where it is and was: nobody else ever is there. */
  readonly addresses: Set<Endpoint>;
  /** When it was started, moved or skewed last, ms. */
  disturbedMs = 0;
  /** When it was started last with a clock that is behind the counters it gave before, ms: it has to find out which ones servers take. */
  recountedMs = 0;
  #lastCounter = 0;
  /** Ring key (latin1) → when the server that its packets go to was named last, of those that they go to straight. */
  readonly #namedMs = new Map<string, number>();
  #client: I3Client | null = null;
  readonly #keys: readonly TriggerKey[];
  readonly #random: Draw;
  readonly #events: ClientEvents;

  constructor(number: number, seed: string, endpoint: Endpoint, surroundings: Surroundings, events: ClientEvents) {
    super(`client ${number}`, endpoint, surroundings);
    this.addresses = new Set([endpoint]);
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
    const setNextServer = engine.setNextServer.bind(engine);
    this.#namedMs.clear();
    this.disturbedMs = nowMs;
    const wallMs = (): number => Math.floor(WALL_START_MS + this.surroundings.nowMs + this.skewMs);
    if (wallMs() <= this.#lastCounter) this.recountedMs = nowMs;
    const signTrigger: typeof sign = (signer, trigger, nodeKey) => {
      // i3-client tries with the highest number of all whether a stack has its place in a datagram.
      if (trigger.counter !== Number.MAX_SAFE_INTEGER) this.#lastCounter = Math.max(this.#lastCounter, trigger.counter);
      return sign(signer, trigger, nodeKey);
    };
    engine.setNextServer = (key, locator) => {
      setNextServer(key, locator);
      if (locator === null) this.#namedMs.delete(bytesKey(key));
      else this.#namedMs.set(bytesKey(key), this.surroundings.nowMs);
    };
    const client = new I3Client({ datapath: engine, randomBytes: this.#random.bytes, refreshChain: chainOf, signTrigger, wallMs });
    this.engine = engine;
    this.#client = client;
    this.isUp = true;
    this.core = {
      handleUpcalls: (atMs, upcalls) => this.#upcalls(client, atMs, upcalls),
      handleTimer: (atMs) => {
        client.handleTimer(atMs);
        this.#takeEvents(client);
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

  /** A new id of one of its keys, several of which share a prefix; `next`: it leads on to these, otherwise to the client. */
  insert(next: readonly Wanted[]): Wanted {
    const key = this.#random.pick(this.#keys);
    return this.#add({ id: privateId(key.prefix, this.#random.bytes(16)), key, agrees: { kind: "private", key }, certificate: null, next });
  }

  /** Becomes a member at a group's id; null when it is one there. */
  join({ group, id }: GroupId, next: readonly Wanted[]): Wanted | null {
    if (this.triggers.get(bytesKey(id))?.isWanted === true) return null;
    const [key] = this.#keys as [TriggerKey];
    return this.#add({ id, key, agrees: { kind: "group", key: groupKey(group) }, certificate: certificateOf(group, key), next });
  }

  #add({ next, ...trigger }: Pick<Wanted, "id" | "key" | "agrees" | "certificate"> & { readonly next: readonly Wanted[] }): Wanted {
    const steps = next.map(({ agrees, id }) => signStep(agrees, trigger.id, id, FAR_S));
    const wanted: Wanted = { ...trigger, steps, isWanted: true };
    this.triggers.set(bytesKey(wanted.id), wanted);
    this.#want(wanted);
    this.step(null);
    return wanted;
  }

  /** A trigger that leads on leads to these now. */
  redirect({ id, key, agrees, certificate }: Wanted, next: readonly Wanted[]): void {
    this.#add({ id, key, agrees, certificate, next });
  }

  /** One of its keys. */
  get lyingKey(): TriggerKey {
    return this.#keys[2] as TriggerKey;
  }

  /** Of the first group, by its first key. */
  get groupCertificate(): Uint8Array {
    return certificateOf(0, this.#keys[0] as TriggerKey);
  }

  remove(wanted: Wanted): void {
    wanted.isWanted = false;
    this.engine.setInbound(wanted.id, null);
    this.client.removeTrigger(this.surroundings.nowMs, wanted.id);
    this.step(null);
  }

  override receive(from: Endpoint, bytes: Uint8Array): void {
    if (bytes[0] === 0x19 && (bytes[1] === CONTROL_TYPES.CACHE || bytes[1] === CONTROL_TYPES.LOCATED)) {
      const { message } = decodeControl(bytes);
      const key = message.type === "CACHE" || message.type === "LOCATED" ? bytesKey(message.ringKey) : "";
      if (this.#namedMs.has(key)) this.#namedMs.set(key, this.surroundings.nowMs);
    }
    super.receive(from, bytes);
  }

  /** Whether packets go to a server that nobody has named for long. */
  hasOldWay(nowMs: number): boolean {
    for (const namedMs of this.#namedMs.values()) if (nowMs - namedMs > CACHE_LIFE_MS) return true;
    return false;
  }

  /** It is at another address from now on; `isKnown`: and knows. */
  move(endpoint: Endpoint, isKnown: boolean): void {
    this.disturbedMs = this.surroundings.nowMs;
    this.endpoint = endpoint;
    this.addresses.add(endpoint);
    if (isKnown) this.client.renewTriggers(this.surroundings.nowMs);
    this.step(null);
  }

  override skew(skewMs: number): void {
    super.skew(skewMs);
    this.disturbedMs = this.surroundings.nowMs;
  }

  /** Whether it knows one of these servers. */
  knows(servers: readonly ServerMachine[]): boolean {
    const known = new Set(this.client.servers().map(({ locator }) => endpointOfLocator(locator)));
    return servers.some(({ endpoint }) => known.has(endpoint));
  }

  /** Sends one packet to an id; `opens`: keeps a path to it. False when it knows no server. */
  send(id: Uint8Array, payload: Uint8Array, opens: boolean): boolean {
    if (opens) this.client.openPath(id);
    const datagram = this.client.packetTo(id, NATIVE_PAYLOAD, payload);
    if (datagram !== null) this.engine.send([datagram]);
    this.step(null);
    return datagram !== null;
  }

  /** Sends one packet through several ids. False when it knows no server. */
  sendStack(ids: readonly Uint8Array[], payload: Uint8Array): boolean {
    const [first] = ids;
    const server = first === undefined ? null : this.client.serverOfPath(first);
    if (server === null) return false;
    const header = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: NATIVE_PAYLOAD, nonce: this.#random.bytes(8), ids });
    this.engine.send([{ locator: server, bytes: concatBytes(header, payload) }]);
    this.step(null);
    return true;
  }

  /** Keeps a record in the ring, its own or another's. */
  keep(record: SignedRecord): void {
    this.client.keepRecord(this.surroundings.nowMs, record.bytes);
    this.step(null);
  }

  find(ringKey: Uint8Array): void {
    this.client.findRecord(this.surroundings.nowMs, ringKey);
    this.step(null);
  }

  /** The key of its own records. */
  get recordKey(): TriggerKey {
    return this.#keys[1] as TriggerKey;
  }

  /** The server that has a trigger, as far as the client knows; null: it is not live. */
  serverOf(id: Uint8Array): Endpoint | null {
    const key = bytesKey(id);
    const status = this.client.triggers(this.surroundings.nowMs).find((trigger) => bytesKey(trigger.id) === key);
    return status?.live === true && status.server !== null ? endpointOfLocator(status.server) : null;
  }

  #want({ id, key, certificate, steps }: Wanted): void {
    const { nowMs } = this.surroundings;
    if (steps.length > 0) return this.client.insertStack(nowMs, id, certificate === null ? { kind: "private", key } : { kind: "member", certificate, key }, steps);
    this.engine.setInbound(id, { action: "upcall" });
    if (certificate === null) this.client.insertTrigger(nowMs, id, { kind: "private", key });
    else this.client.joinGroup(nowMs, id, certificate, key);
  }

  #takeEvents(client: I3Client): void {
    for (const event of client.takeEvents()) {
      if (event.kind === "record") {
        if (event.record?.kind === RECORD_KIND.serverList) client.setListedServers(this.surroundings.nowMs, decodeServerList(event.record.value).map(({ locator }) => locator));
        this.#events.found(this, event.ringKey, event.record);
      } else if (event.kind === "not-present") this.#events.notPresent(this, event.id);
    }
  }

  #upcalls(client: I3Client, nowMs: number, upcalls: readonly Upcall[]): void {
    for (const upcall of upcalls) {
      if (upcall.kind === "control") client.handleControl(nowMs, upcall.from, upcall.bytes);
      else if (upcall.kind === "payload") this.#events.delivered(this, upcall.id, upcall.payload);
    }
    this.#takeEvents(client);
  }
}
