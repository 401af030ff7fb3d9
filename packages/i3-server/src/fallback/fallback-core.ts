/**
 * What passes between hosts that have only TCP and the ring, without I/O (docs/wire.md §10): who may connect, and what goes on.
 *
 *     host ══ WebSocket ══► fromHost ──► a UDP socket of its own ──► a server of the ring
 *     host ◄══ WebSocket ══ fromRing ◄── the same socket         ◄── a server of the ring
 *
 * Nothing goes to, or comes from, anybody but servers: those of the ring, and those that these (not those that they name) name to the host when it asks.
 */
import {
  bytesKey, CONTROL_FIRST_BYTE, decodeControl, decodeDetourFrame, encodeDetourFrame, KeyedBuckets, locatorKey, NONCE_BYTES, sameLocator, TokenBucket, WireError, type ControlMessage, type DetourFrame, type Locator,
} from "@i3/common";
import { DATA_FIRST_BYTE, DATA_FLAG, DATA_OFFSET, isBetweenServers, parseDataHeader } from "@i3/datapath";

import { remember } from "../remember.js";
import { mayBeNamed } from "../ring/named-places.js";
import { networkOf, sourceOf } from "../triggers/source-rate.js";
import { Allowance, CommonAllowance, Part } from "./allowance.js";
import {
  ALL_BYTES_PER_SECOND, ALL_CONTROL_PER_SECOND, ALL_DATAGRAMS_PER_SECOND, ALL_MESSAGES_PER_SECOND, BYTES_BURST, BYTES_PER_SECOND, CONTROL_BURST, CONTROL_PER_SECOND, DATAGRAMS_BURST, DATAGRAMS_PER_SECOND, FULL_BYTES, HANDSHAKE_MS, HANDSHAKES_BURST, HANDSHAKES_PER_NETWORK_BURST,
  HANDSHAKES_PER_NETWORK_PER_SECOND, HANDSHAKES_PER_SECOND, HANDSHAKES_PER_SOURCE_BURST, HANDSHAKES_PER_SOURCE_PER_SECOND, IDLE_MS, LEAST_REST_MS, MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_NETWORK, MAX_CONNECTIONS_PER_SOURCE, MAX_HANDSHAKE_BYTES, MAX_MALFORMED, MAX_NAMED_SERVERS, MAX_NONCES, MAX_PINGS, MAX_RATED_SOURCES, MAX_WAITING_BYTES, NETWORK_BYTES_PER_SECOND, NETWORK_MESSAGES_PER_SECOND, NETWORK_SHARE,
  PORTS_BURST, PORTS_PER_SECOND, STRANGERS_BURST, STRANGERS_PER_SECOND,
} from "./limits.js";

export interface FallbackCounters {
  /** Connections that were taken, and those that were not: there are too many. */
  connections: number;
  refused: number;
  /** No WebSocket in time, or nothing on one that went on for too long. */
  slow: number;
  idle: number;
  /** Datagrams that went on, by direction. */
  fromHosts: number;
  toHosts: number;
  /** Messages that are no frame, or hold what no host says. */
  malformed: number;
  /** Connections that were closed: for too many of these, for PINGs of WebSockets, or for bytes that are no messages. */
  misused: number;
  /** To or from somebody who is no server of the ring. */
  strangers: number;
  /** Hosts that were given another port, for too much came to theirs from these. */
  moved: number;
  /** WebSockets that were closed, for that came to nothing. */
  flooded: number;
  rate: number;
  /** How often nothing was read of a host for a moment, since it said too much. */
  rests: number;
  /** More waits for a host than it takes. */
  queueFull: number;
  /** The system did not send. */
  ioErrors: number;
}

export interface FallbackInit {
  /** This server. */
  readonly self: Locator;
  /** Where it is for clients of the other family. */
  readonly other?: Locator | undefined;
  /** Whether a server of the ring is there. */
  readonly isServer: (nowMs: number, locator: Locator) => boolean;
}

export class FallbackCore {
  readonly counters: FallbackCounters = { connections: 0, refused: 0, slow: 0, idle: 0, fromHosts: 0, toHosts: 0, malformed: 0, misused: 0, strangers: 0, moved: 0, flooded: 0, rate: 0, rests: 0, queueFull: 0, ioErrors: 0 };
  readonly #init: FallbackInit;
  readonly #own: readonly Locator[];
  readonly #ofSources = new Admitted(MAX_CONNECTIONS_PER_SOURCE, HANDSHAKES_PER_SOURCE_PER_SECOND, HANDSHAKES_PER_SOURCE_BURST);
  readonly #ofNetworks = new Admitted(MAX_CONNECTIONS_PER_NETWORK, HANDSHAKES_PER_NETWORK_PER_SECOND, HANDSHAKES_PER_NETWORK_BURST);
  #count = 0;
  readonly #handshakes = new TokenBucket(HANDSHAKES_PER_SECOND, HANDSHAKES_BURST);
  readonly #datagrams = new Shared(ALL_DATAGRAMS_PER_SECOND);
  readonly #control = new Shared(ALL_CONTROL_PER_SECOND);
  /** Those that have connections. */
  readonly #networks = new Map<string, Network>();
  readonly #messages = new CommonAllowance(ALL_MESSAGES_PER_SECOND, LEAST_REST_MS);
  readonly #bytes = new CommonAllowance(ALL_BYTES_PER_SECOND, LEAST_REST_MS);

  constructor(init: FallbackInit) {
    this.#init = init;
    this.#own = init.other === undefined ? [init.self] : [init.self, init.other];
  }

  /** Connections that are open. */
  get size(): number {
    return this.#count;
  }

  /** A TCP connection from there, which is to be closed at once, without a word, when this is null. */
  admit(nowMs: number, from: Locator): FallbackConnection | null {
    const [source, network] = [sourceOf(from), networkOf(from)];
    const hasRoom = this.#count < MAX_CONNECTIONS && this.#ofSources.hasRoom(source) && this.#ofNetworks.hasRoom(network);
    if (!hasRoom || !this.#ofSources.mayCome(nowMs, source) || !this.#ofNetworks.mayCome(nowMs, network) || !this.#handshakes.take(nowMs)) {
      this.counters.refused += 1;
      return null;
    }
    this.#count += 1;
    this.#ofSources.add(source, 1);
    this.#ofNetworks.add(network, 1);
    this.counters.connections += 1;
    const common = this.#join(network);
    const [ofNetwork, ofAll] = [() => 1 / common.connections, () => 1 / (common.connections * this.#networks.size)];
    const { isServer } = this.#init;
    return new FallbackConnection(nowMs, {
      counters: this.counters, datagrams: this.#datagrams, control: this.#control, network, own: this.#own,
      messages: [new Part(nowMs, common.messages, ofNetwork), new Part(nowMs, this.#messages, ofAll)], bytes: [new Part(nowMs, common.bytes, ofNetwork), new Part(nowMs, this.#bytes, ofAll)],
      isServer: (atMs, locator) => this.#own.some((own) => sameLocator(locator, own)) || isServer(atMs, locator), onClosed: () => this.#release(source, network),
    });
  }

  #join(network: string): Network {
    const joined = this.#networks.get(network) ?? new Network();
    this.#networks.set(network, joined);
    joined.connections += 1;
    return joined;
  }

  #release(source: string, network: string): void {
    this.#count -= 1;
    this.#ofSources.add(source, -1);
    this.#ofNetworks.add(network, -1);
    const left = this.#networks.get(network);
    if (left !== undefined && (left.connections -= 1) === 0) this.#networks.delete(network);
  }
}

/** How many connections each source, or each network, has, and how fast new ones come. */
class Admitted {
  readonly #counts = new Map<string, number>();
  readonly #rates: KeyedBuckets;

  constructor(
    private readonly limit: number,
    perSecond: number,
    burst: number,
  ) {
    this.#rates = new KeyedBuckets({ perSecond, burst, maxKeys: MAX_RATED_SOURCES });
  }

  hasRoom(key: string): boolean {
    return (this.#counts.get(key) ?? 0) < this.limit;
  }

  mayCome(nowMs: number, key: string): boolean {
    return this.#rates.take(nowMs, key);
  }

  add(key: string, by: 1 | -1): void {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

/** What the hosts of one network may say together. */
class Network {
  connections = 0;
  readonly messages = new CommonAllowance(NETWORK_MESSAGES_PER_SECOND, LEAST_REST_MS);
  readonly bytes = new CommonAllowance(NETWORK_BYTES_PER_SECOND, LEAST_REST_MS);
}

/** A rate for all, of which no network has more than its part. */
class Shared {
  readonly #all: TokenBucket;
  readonly #networks: KeyedBuckets;

  constructor(perSecond: number) {
    this.#all = new TokenBucket(perSecond, perSecond);
    this.#networks = new KeyedBuckets({ perSecond: perSecond * NETWORK_SHARE, burst: perSecond * NETWORK_SHARE, maxKeys: MAX_RATED_SOURCES });
  }

  take(nowMs: number, network: string): boolean {
    return this.#networks.take(nowMs, network) && this.#all.take(nowMs);
  }
}

interface Shares {
  readonly counters: FallbackCounters;
  readonly datagrams: Shared;
  readonly control: Shared;
  readonly network: string;
  readonly own: readonly Locator[];
  /** Of its network and of all. */
  readonly messages: readonly Part[];
  readonly bytes: readonly Part[];
  readonly isServer: (nowMs: number, locator: Locator) => boolean;
  readonly onClosed: () => void;
}

export class FallbackConnection {
  readonly #shares: Shares;
  /** Its own, and those that others have too. */
  readonly #messages: readonly (Allowance | Part)[];
  readonly #bytes: readonly (Allowance | Part)[];
  readonly #ownMessages = new Allowance(DATAGRAMS_PER_SECOND, DATAGRAMS_BURST, LEAST_REST_MS);
  readonly #ownBytes = new Allowance(BYTES_PER_SECOND, BYTES_BURST, LEAST_REST_MS);
  #handshakeBytes = 0;
  /** To the port that it has now. */
  #ofStrangers = new TokenBucket(STRANGERS_PER_SECOND, STRANGERS_BURST);
  readonly #ports = new TokenBucket(PORTS_PER_SECOND, PORTS_BURST);
  readonly #control = new TokenBucket(CONTROL_PER_SECOND, CONTROL_BURST);
  /** Named to this host by servers, by locator; those that were heard of or spoken to longest ago first. */
  readonly #named = new Map<string, true>();
  /** Nonces of its requests, and of its packets that asked for CACHE: only answers to these name anybody. */
  readonly #asked = { control: new Map<string, true>(), data: new Map<string, true>() };
  #isOpen = false;
  #isClosed = false;
  #isFlooded = false;
  #isMisused = false;
  #malformed = 0;
  #pings = 0;
  #endMs: number;

  constructor(nowMs: number, shares: Shares) {
    this.#shares = shares;
    this.#messages = [this.#ownMessages, ...shares.messages];
    this.#bytes = [this.#ownBytes, ...shares.bytes];
    this.#endMs = nowMs + HANDSHAKE_MS;
  }

  /** It is a WebSocket now. */
  opened(nowMs: number): void {
    this.#isOpen = true;
    this.#endMs = nowMs + IDLE_MS;
  }

  /** Its place is free again; twice is no error. */
  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#shares.onClosed();
  }

  /** When {@link isOver} may be true first. */
  deadlineMs(): number {
    return this.#endMs;
  }

  /** Whether it is to be closed, for it has taken too long; counted. */
  isOver(nowMs: number): boolean {
    if (this.#isClosed || nowMs < this.#endMs) return false;
    this.#shares.counters[this.#isOpen ? "idle" : "slow"] += 1;
    return true;
  }

  /** Whether it is to be closed, for no host says so much that is no frame, so many PINGs, or goes on while nothing is read of it. */
  get isMisused(): boolean {
    return this.#isMisused;
  }

  /** Whether it needs another port, for so much comes to this one from strangers that it is better closed. Nothing passes by it until {@link moved}. */
  get isFlooded(): boolean {
    return this.#isFlooded;
  }

  /** It is given another port. False: it has had too many, and its WebSocket is to be closed. */
  moved(nowMs: number): boolean {
    const { counters } = this.#shares;
    const mayMove = this.#ports.take(nowMs);
    counters[mayMove ? "moved" : "flooded"] += 1;
    if (!mayMove) return false;
    this.#isFlooded = false;
    this.#ofStrangers = new TokenBucket(STRANGERS_PER_SECOND, STRANGERS_BURST);
    return true;
  }

  /** So many bytes have come by its TCP connection, whatever they are: to be told with each message, and now and then. */
  heard(nowMs: number, bytes: number): void {
    for (const each of this.#bytes) each.spend(nowMs, bytes);
    if (!this.#isOpen) this.#handshakeBytes += bytes;
    if (this.#handshakeBytes > MAX_HANDSHAKE_BYTES || this.#ownBytes.isOverdrawn) this.#misuse();
  }

  /** A PING or PONG of WebSockets, which nobody answers and no proxy sends. */
  pinged(nowMs: number): void {
    if (this.#isClosed || this.#isMisused) return;
    this.#maySay(nowMs, 1);
    this.#pings += 1;
    if (this.#pings > MAX_PINGS) this.#misuse();
  }

  /** For how long, in ms, nothing is to be read from the host; 0: it may go on. */
  restMs(nowMs: number): number {
    let restMs = 0;
    for (const allowances of [this.#messages, this.#bytes]) for (const each of allowances) restMs = Math.max(restMs, each.restMs(nowMs));
    return restMs;
  }

  /** What is beyond its own is no other's matter: it is not looked at. What is beyond its part of the network's is owed of all hosts' too: many networks may say more than these. */
  #maySay(nowMs: number, messages: number): boolean {
    if (!this.#ownMessages.spend(nowMs, messages)) return false;
    let isCovered = true;
    for (const part of this.#shares.messages) isCovered = part.spend(nowMs, messages, isCovered) && isCovered;
    return isCovered;
  }

  #misuse(): void {
    if (!this.#isMisused) this.#shares.counters.misused += 1;
    this.#isMisused = true;
  }

  /** A message of the host: the datagram that leaves by its socket, and where to; null: none does. */
  fromHost(nowMs: number, message: Uint8Array): DetourFrame | null {
    const { counters } = this.#shares;
    if (!this.#isOpen || this.#isClosed || this.isMisused) return null;
    // First, and whatever it holds: to look at it costs as much as to send it.
    if (!this.#maySay(nowMs, packetsOf(message.length))) {
      counters.rate += 1;
      return null;
    }
    const frame = this.#frameOf(message);
    if (frame === null) return null;
    if (!this.#knows(nowMs, frame.locator)) {
      counters.strangers += 1;
      return null;
    }
    if (!this.#mayPass(nowMs, frame.bytes)) {
      counters.rate += 1;
      return null;
    }
    // Nothing else keeps it open.
    this.#endMs = nowMs + IDLE_MS;
    counters.fromHosts += 1;
    this.#noteQuestion(frame.bytes);
    return frame;
  }

  /**
   * A datagram that came to the host's socket: the message for the host; null: there is none.
   * @param waitingBytes what waits to be sent to it
   */
  fromRing(nowMs: number, from: Locator, bytes: Uint8Array, waitingBytes: number): Uint8Array | null {
    const { counters } = this.#shares;
    if (!this.#isOpen || this.#isClosed) return null;
    if (this.#isFlooded) return null;
    if (!this.#knows(nowMs, from)) this.#refuse(nowMs, "strangers");
    else if (!isControl(bytes) && !isData(bytes)) this.#refuse(nowMs, "malformed");
    else if (waitingBytes + bytes.length > MAX_WAITING_BYTES) counters.queueFull += 1;
    else {
      if (isControl(bytes)) this.#learn(nowMs, from, bytes);
      counters.toHosts += 1;
      return encodeDetourFrame({ locator: from, bytes });
    }
    return null;
  }

  /** What came to the host's socket. */
  #refuse(nowMs: number, why: "strangers" | "malformed"): void {
    const { counters } = this.#shares;
    counters[why] += 1;
    if (this.#ofStrangers.take(nowMs)) return;
    this.#isFlooded = true;
  }

  #frameOf(message: Uint8Array): DetourFrame | null {
    try {
      const frame = decodeDetourFrame(message);
      // What only servers say to each other would come from this server's address.
      if (isData(frame.bytes) || (isControl(frame.bytes) && !isBetweenServers(frame.bytes[1] ?? 0, frame.bytes.length))) return frame;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
    const { counters } = this.#shares;
    counters.malformed += 1;
    this.#malformed += 1;
    if (this.#malformed >= MAX_MALFORMED) this.#misuse();
    return null;
  }

  #mayPass(nowMs: number, bytes: Uint8Array): boolean {
    const { control, datagrams, network } = this.#shares;
    if (isControl(bytes) && !(this.#control.take(nowMs) && control.take(nowMs, network))) return false;
    for (let left = packetsOf(bytes.length); left > 0; left -= 1) if (!datagrams.take(nowMs, network)) return false;
    return true;
  }

  #knows(nowMs: number, locator: Locator): boolean {
    if (this.#shares.isServer(nowMs, locator)) return true;
    const key = locatorKey(locator);
    if (!this.#named.has(key)) return false;
    remember(this.#named, key, true, MAX_NAMED_SERVERS);
    return true;
  }

  #noteQuestion(bytes: Uint8Array): void {
    const isQuestion = isControl(bytes) || ((bytes[DATA_OFFSET.flags] ?? 0) & DATA_FLAG.cacheRequest) !== 0;
    if (isQuestion) remember(this.#asked[isControl(bytes) ? "control" : "data"], bytesKey(nonceOf(bytes)), true, MAX_NONCES);
  }

  /**
   * Servers that are asked send a host to others of the ring. Unasked anybody could, in a server's name; and those that were only named do not: one that is no
   * server could name whom it likes.
   */
  #learn(nowMs: number, from: Locator, bytes: Uint8Array): void {
    if (!this.#shares.isServer(nowMs, from)) return;
    try {
      const { message, nonce } = decodeControl(bytes);
      const named = serverNamedBy(message);
      if (named === null || !this.#asked[message.type === "CACHE" ? "data" : "control"].has(bytesKey(nonce))) return;
      if (mayBeNamed(named, this.#shares.own)) remember(this.#named, locatorKey(named), true, MAX_NAMED_SERVERS);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }
}

/** Of data and control, which have it at the same place. */
const nonceOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(DATA_OFFSET.nonce, DATA_OFFSET.nonce + NONCE_BYTES);

/** One for each packet of usual size that begins. */
const packetsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / FULL_BYTES));

const isControl = (bytes: Uint8Array): boolean => bytes[0] === CONTROL_FIRST_BYTE;

/** With a header that is whole: its first byte alone could be anybody's protocol. */
const isData = (bytes: Uint8Array): boolean => bytes[0] === DATA_FIRST_BYTE && parseDataHeader(bytes, 0, bytes.length) > 0;

function serverNamedBy(message: ControlMessage): Locator | null {
  switch (message.type) {
    case "LOCATED": case "CACHE": return message.node.locator;
    case "TRIGGER_OK": return message.replica;
    case "RECORD_OK": case "RECORD_IS": return message.successor;
    default: return null;
  }
}
