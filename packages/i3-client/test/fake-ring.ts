/**
 * A scripted ring around one client, in virtual time: servers that follow docs/wire.md §4.1 unless a test tells them otherwise,
 * a delay, and a filter that loses datagrams. After every turn it checks that the client's next deadline lies in the future.
 */
import {
  bytesKey, decodeControl, encodeControl, isSameFamily, isTriggerStack, locatorKey, makeLocator, REFUSAL, ringKey, sameBytes, sameLocator, toHex, TRIGGER_FLAG, type ControlMessage, type Locator, type TriggerMessage,
} from "@i3/common";
import { classifyDatagram } from "@i3/datapath";
import { keyOwnsId, refreshStep, verifyTrigger } from "@i3/hip";

import { I3Client, type ClientEvent } from "../src/index.js";

export const WALL_START_MS = 1_800_000_000_000;
export const CLIENT = makeLocator(Uint8Array.of(198, 51, 100, 1), 5610);
export const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

/** Deterministic, different each time. */
export function countingBytes(): (length: number) => Uint8Array {
  let counter = 0;
  return (length) => {
    counter += 1;
    const out = new Uint8Array(length);
    for (let i = 0, state = counter; i < length; i++) {
      state = (Math.imul(state, 0x9e3779b1) ^ (state >>> 13)) + i;
      out[i] = state >>> 16;
    }
    new DataView(out.buffer).setUint32(0, counter);
    return out;
  };
}

interface Stored {
  counter: number;
  token: Uint8Array;
  index: number;
  endMs: number;
  readonly target: Locator;
}

export class FakeServer {
  readonly locator: Locator;
  readonly key: Uint8Array;
  /** Where clients of IPv6 reach it. */
  other: Locator | null = null;
  down = false;
  /** Nothing arrives there. */
  isDeafAt: (at: Locator) => boolean = () => false;
  /** One way, ms. */
  delayMs = 10;
  clockAheadMs = 0;
  lifeMs = 30_000;
  /** The server that it names for replicas. */
  replicaAt: Locator | null = null;
  /** What it does instead: a message, null for silence, undefined for what it always does. */
  script: (message: ControlMessage) => ControlMessage | null | undefined = () => undefined;
  readonly stored = new Map<string, Stored>();
  readonly heard: { readonly atMs: number; readonly message: ControlMessage }[] = [];

  constructor(readonly ring: FakeRing, readonly number: number) {
    this.locator = makeLocator(Uint8Array.of(192, 0, 2, number), 5610);
    this.key = filled(16, number);
  }

  has(id: Uint8Array): boolean {
    return (this.stored.get(bytesKey(id))?.endMs ?? 0) > this.ring.nowMs;
  }

  /** It has a trigger at this id that leads there. */
  leads(id: Uint8Array, to: Locator): boolean {
    const stored = this.stored.get(bytesKey(id));
    return stored !== undefined && this.has(id) && sameLocator(stored.target, to);
  }

  count(type: ControlMessage["type"]): number {
    return this.heard.filter(({ message }) => message.type === type).length;
  }

  /** As clients of one family reach it. */
  towards(at: Locator): Locator | null {
    return isSameFamily(this.locator, at) ? this.locator : this.other;
  }

  /** `at`: its locator that was asked. */
  answer(message: ControlMessage, at: Locator, from = this.ring.clientAt): ControlMessage | null {
    this.heard.push({ atMs: this.ring.nowMs, message });
    const scripted = this.script(message);
    if (scripted !== undefined) return scripted;
    switch (message.type) {
      case "PING": return { type: "PONG", timeMs: Math.floor(WALL_START_MS + this.ring.nowMs) + this.clockAheadMs, observed: from, nodeKey: this.key };
      case "LOCATE": {
        const owner = this.ring.ownerOf(message.ringKey);
        const locator = owner.towards(at);
        if (locator === null) return { type: "REFUSED", code: REFUSAL.otherFamily, subject: message.ringKey };
        return { type: "LOCATED", ringKey: message.ringKey, node: { key: owner.key, locator } };
      }
      case "CHALLENGE_REQUEST": return this.challenge(message.ringKey, from);
      case "TRIGGER": return this.#trigger(message, from);
      case "REFRESH": return this.#refresh(message, from);
      default: throw new Error(`a server got ${message.type}`);
    }
  }

  challenge(key: Uint8Array, observed = CLIENT): ControlMessage {
    return { type: "CHALLENGE", ringKey: key, cookie: filled(24, this.number), observed, timeMs: WALL_START_MS, nodeKey: this.key };
  }

  #trigger(message: TriggerMessage, from: Locator): ControlMessage {
    const refused = (code: number): ControlMessage => ({ type: "REFUSED", code, subject: message.id });
    const isReplica = (message.flags & TRIGGER_FLAG.replica) !== 0;
    if ((this.ring.ownerOf(ringKey(message.id)) === this) === isReplica) return refused(isReplica ? 10 : 1);
    if (!sameBytes(message.cookie, filled(24, this.number))) return refused(2);
    if (!isTriggerStack(message.target) && !sameLocator(message.target, from)) return refused(8);
    if (!keyOwnsId(message.keyKind, message.publicKey, message.id)) return refused(5);
    const old = this.stored.get(bytesKey(message.id));
    if (old !== undefined && message.counter <= old.counter) return refused(4);
    if (!verifyTrigger(message, this.key)) return refused(3);
    const life = message.action === 1 ? this.lifeMs : 0;
    this.stored.set(bytesKey(message.id), { counter: message.counter, token: message.commitment, index: 0, endMs: this.ring.nowMs + life, target: from });
    return { type: "TRIGGER_OK", action: message.action, id: message.id, lifeMs: life, replica: isReplica ? null : this.replicaAt };
  }

  #refresh({ id, index, token }: Extract<ControlMessage, { type: "REFRESH" }>, from: Locator): ControlMessage {
    const stored = this.stored.get(bytesKey(id));
    const isOwner = this.ring.ownerOf(ringKey(id)) === this;
    if (!isOwner && stored === undefined) return { type: "REFUSED", code: 1, subject: id };
    if (stored === undefined || !this.has(id) || !sameLocator(stored.target, from)) return this.challenge(ringKey(id), from);
    let value = token;
    for (let i = stored.index; i < index; i++) value = refreshStep(value);
    if (index <= stored.index || !sameBytes(value, stored.token)) return this.challenge(ringKey(id), from);
    Object.assign(stored, { index, token, endMs: this.ring.nowMs + this.lifeMs });
    return { type: "TRIGGER_OK", action: 1, id, lifeMs: this.lifeMs, replica: isOwner ? this.replicaAt : null };
  }
}

interface Flight {
  readonly atMs: number;
  readonly order: number;
  readonly from: Locator;
  readonly to: Locator;
  readonly bytes: Uint8Array;
}

export class FakeRing {
  nowMs = 0;
  /** What the wall clock of the client is ahead of the servers'. */
  wallAheadMs = 0;
  /** As its NAT has it. What goes to where it was before is lost. */
  clientAt = CLIENT;
  readonly client: I3Client;
  readonly servers: FakeServer[];
  readonly events: (ClientEvent & { readonly atMs: number })[] = [];
  readonly nextServers = new Map<string, Locator>();
  defaultServer: Locator | null = null;
  /** Addresses that the engine was told to know, as often as it was. */
  readonly knownSources: string[] = [];
  /** Datagrams so far, both ways. */
  sent = 0;
  /** Whether a datagram, counted from 0, is lost. */
  loses: (n: number) => boolean = () => false;
  owner: FakeServer | null = null;
  /** Whether what leaves by an interface is lost; 0: by the one that the system chooses. */
  isDeadEnd: (interfaceIndex: number, to: Locator) => boolean = () => false;
  /** For who listens where the client is. */
  leaves: (to: Locator, bytes: Uint8Array) => void = () => undefined;
  /** For who listens where a server is. */
  overhears: (message: ControlMessage, nonce: Uint8Array) => void = () => undefined;
  readonly #flights: Flight[] = [];
  #order = 0;
  #uplink = 0;

  constructor(servers: number) {
    this.servers = Array.from({ length: servers }, (_, i) => new FakeServer(this, i + 1));
    this.client = new I3Client({
      randomBytes: countingBytes(),
      wallMs: () => WALL_START_MS + this.nowMs + this.wallAheadMs,
      datapath: {
        send: (datagrams) => {
          for (const { locator, bytes } of datagrams) this.leaves(locator, bytes);
          for (const { locator, bytes } of datagrams) if (!this.isDeadEnd(locator.interfaceIndex ?? this.#uplink, locator)) this.#fly(this.clientAt, locator, bytes, this.#at(locator)?.delayMs ?? 10);
        },
        setNextServer: (key, locator) => void (locator === null ? this.nextServers.delete(bytesKey(key)) : this.nextServers.set(bytesKey(key), locator)),
        setDefaultServer: (locator) => void (this.defaultServer = locator),
        setUplink: (interfaceIndex) => void (this.#uplink = interfaceIndex),
        setKnownSource: (address, isKnown) => void (isKnown ? this.knownSources.push(toHex(address)) : this.knownSources.splice(this.knownSources.indexOf(toHex(address)), 1)),
      },
    });
    for (const server of this.servers) this.client.addServer(0, server.locator);
  }

  /** A server that the client was not told of. */
  addStranger(): FakeServer {
    const server = new FakeServer(this, this.servers.length + 1);
    this.servers.push(server);
    return server;
  }

  server(number: number): FakeServer {
    const server = this.servers[number - 1];
    if (server === undefined) throw new RangeError(`server ${number}`);
    return server;
  }

  ownerOf(_key: Uint8Array): FakeServer {
    return this.owner ?? this.server(this.servers.length);
  }

  /** To the client, from anybody. */
  inject(from: Locator, message: ControlMessage, nonce: Uint8Array): void {
    this.client.handleControl(this.nowMs, from, encodeControl(message, nonce));
    this.#collect();
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (let turns = 0; ; turns++) {
      if (turns > 20_000 + forMs * 10) throw new Error("the client is busy");
      const flight = this.#flights[0];
      const atMs = Math.min(flight?.atMs ?? Infinity, Math.max(this.client.nextDeadlineMs(), this.nowMs));
      if (atMs > endMs) break;
      this.nowMs = atMs;
      if (flight !== undefined && flight.atMs <= atMs) this.#arrive(this.#flights.shift() as Flight);
      else {
        this.client.handleTimer(atMs);
        if (!(this.client.nextDeadlineMs() > atMs)) throw new Error(`the deadline ${this.client.nextDeadlineMs()} is over at ${atMs}`);
      }
      this.#collect();
    }
    this.nowMs = endMs;
  }

  /** Runs until something holds; returns how long that took. */
  until(what: () => boolean, limitMs: number): number {
    const startMs = this.nowMs;
    while (!what()) {
      if (this.nowMs - startMs >= limitMs) throw new Error(`not within ${limitMs} ms`);
      this.run(10);
    }
    return this.nowMs - startMs;
  }

  live(id: Uint8Array): boolean {
    return this.client.triggers(this.nowMs).some((trigger) => trigger.live && sameBytes(trigger.id, id));
  }

  kinds(): string[] {
    return this.events.map((event) => event.kind);
  }

  #at(locator: Locator): FakeServer | undefined {
    return this.servers.find((server) => [server.locator, server.other].some((at) => at !== null && locatorKey(at) === locatorKey(locator)));
  }

  #fly(from: Locator, to: Locator, bytes: Uint8Array, delayMs: number): void {
    if (classifyDatagram(bytes[0] ?? 0, bytes.length) !== "control") throw new Error("not a control message");
    const isLost = this.loses(this.sent);
    this.sent += 1;
    if (isLost) return;
    this.#flights.push({ atMs: this.nowMs + delayMs, order: this.#order++, from, to, bytes: bytes.slice() });
    this.#flights.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
  }

  #arrive({ from, to, bytes }: Flight): void {
    if (sameLocator(to, this.clientAt)) {
      this.client.handleControl(this.nowMs, from, bytes);
      return;
    }
    const server = this.#at(to);
    if (server === undefined || server.down || server.isDeafAt(to)) return;
    const { message, nonce } = decodeControl(bytes);
    this.overhears(message, nonce);
    const answer = server.answer(message, to, from);
    if (answer === null) return;
    const encoded = encodeControl(answer, nonce);
    if (encoded.length > bytes.length) throw new Error(`${answer.type} is larger than ${message.type}`);
    this.#fly(to, from, encoded, server.delayMs);
  }

  #collect(): void {
    for (const event of this.client.takeEvents()) this.events.push({ ...event, atMs: this.nowMs });
  }
}
