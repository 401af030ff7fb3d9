/**
 * What passes between hosts that have only TCP and the ring, without I/O (docs/wire.md §10): who may connect, and what goes on.
 *
 *     host ══ WebSocket ══► fromHost ──► a UDP socket of its own ──► a server of the ring
 *     host ◄══ WebSocket ══ fromRing ◄── the same socket         ◄── a server of the ring
 *
 * Nothing goes to, or comes from, anybody but servers: those of the ring, and those that these (not those that they name) name to the host when it asks.
 */
import {
  bytesKey, CONTROL_FIRST_BYTE, CONTROL_TYPES, decodeControl, decodeDetourFrame, encodeDetourFrame, locatorKey, NONCE_BYTES, remember, sameLocator, TokenBucket, WireError, type ControlMessage, type DetourFrame, type Locator,
} from "@i3/common";
import { DATA_FIRST_BYTE, DATA_FLAG, DATA_OFFSET, isBetweenServers, parseDataHeader } from "@i3/datapath";

import { mayBeNamed } from "../ring/named-places.js";
import { networkOf, sourceOf } from "../triggers/source-rate.js";
import { Allowance, CommonAllowance, Part } from "./allowance.js";
import { FairRate, FairShares } from "./fair-rate.js";
import { FarPlaces, FarShares, type FarRefusal } from "./far-shares.js";
import {
  ALL_BYTES_PER_SECOND, ALL_CONTROL_PER_SECOND, ALL_DATAGRAMS_PER_SECOND, ALL_MESSAGES_PER_SECOND, BYTES_BURST, BYTES_PER_SECOND, CONTROL_BURST, CONTROL_PER_SECOND, DATAGRAMS_BURST, DATAGRAMS_PER_SECOND, FULL_BYTES, HANDSHAKE_MS, HANDSHAKES_BURST, HANDSHAKES_LATELY_MS, HANDSHAKES_PER_NETWORK_BURST,
  HANDSHAKES_PER_NETWORK_PER_SECOND, HANDSHAKES_PER_SECOND, HANDSHAKES_PER_SOURCE_BURST, HANDSHAKES_PER_SOURCE_PER_SECOND, IDLE_MS, LEAST_REST_MS, LOOKUPS_BURST, LOOKUPS_PER_SECOND, MAX_CONNECTIONS,
  MAX_CONNECTIONS_PER_NETWORK, MAX_CONNECTIONS_PER_SOURCE, MAX_HANDSHAKE_BYTES, MAX_MALFORMED, MAX_NAMED_SERVERS, MAX_NONCES, MAX_PINGS, MAX_RATED_SOURCES, MAX_WAITING_BYTES,
  PORTS_BURST, PORTS_PER_SECOND, STRANGERS_BURST, STRANGERS_PER_SECOND, TO_ALL_PER_SECOND, TO_HOST_BURST, TO_HOST_PER_SECOND, TO_HOST_UNIT_BYTES, UNUSED_MS,
} from "./limits.js";
import { Admitted, Capped, Network, takeDivided, type DividedShare, type Rates } from "./networks.js";

export interface FallbackCounters {
  /** Connections that were taken, and those that were not: there are too many. */
  connections: number;
  refused: number;
  /** Those that made room for others. */
  displaced: number;
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
  /** TRIGGERs and RECORD_PUTs that did not go on: there are too many of its host's, or of all, where they should be kept. */
  full: number;
  /** CACHE_REQUESTs that were taken from their packets, which went on. */
  unasked: number;
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
  readonly counters: FallbackCounters = { connections: 0, refused: 0, displaced: 0, slow: 0, idle: 0, fromHosts: 0, toHosts: 0, malformed: 0, misused: 0, strangers: 0, moved: 0, flooded: 0, rate: 0, full: 0, unasked: 0, rests: 0, queueFull: 0, ioErrors: 0 };
  readonly #init: FallbackInit;
  readonly #own: readonly Locator[];
  readonly #ofSources = new Admitted(MAX_CONNECTIONS_PER_SOURCE, HANDSHAKES_PER_SOURCE_PER_SECOND, HANDSHAKES_PER_SOURCE_BURST);
  readonly #ofNetworks = new Admitted(MAX_CONNECTIONS_PER_NETWORK, HANDSHAKES_PER_NETWORK_PER_SECOND, HANDSHAKES_PER_NETWORK_BURST);
  /** Those that are open, the oldest first. */
  readonly #places = new Map<FallbackConnection, Place>();
  #lastHost = 0;
  readonly #handshakes = new FairRate(HANDSHAKES_PER_SECOND, HANDSHAKES_BURST, HANDSHAKES_LATELY_MS);
  readonly #datagrams = new Capped(ALL_DATAGRAMS_PER_SECOND);
  readonly #control = new Capped(ALL_CONTROL_PER_SECOND);
  /** Those that have connections. */
  readonly #networks = new Map<string, Network>();
  /** Those that had, as they were: coming anew wins nothing. */
  readonly #past = new Map<string, Network>();
  readonly #messages = new CommonAllowance(ALL_MESSAGES_PER_SECOND, LEAST_REST_MS);
  readonly #bytes = new CommonAllowance(ALL_BYTES_PER_SECOND, LEAST_REST_MS);
  readonly #rates: Rates = { lookups: new FairRate(LOOKUPS_PER_SECOND, LOOKUPS_BURST), toHosts: new FairRate(TO_ALL_PER_SECOND, TO_ALL_PER_SECOND), excess: new FairRate(TO_ALL_PER_SECOND, TO_ALL_PER_SECOND) };
  readonly #far = new FarPlaces();

  constructor(init: FallbackInit) {
    this.#init = init;
    this.#own = init.other === undefined ? [init.self] : [init.self, init.other];
  }

  /** Connections that are open. */
  get size(): number {
    return this.#places.size;
  }

  /**
   * A TCP connection from there, which is to be closed at once, without a word, when this is null.
   * @param onDisplaced it has made room for another, its place is another's: it is to be closed
   */
  admit(nowMs: number, from: Locator, onDisplaced: () => void = () => undefined): FallbackConnection | null {
    const [source, name] = [sourceOf(from), networkOf(from)];
    const network = this.#networks.get(name) ?? this.#past.get(name) ?? new Network();
    const room = this.#ofSources.mayCome(nowMs, source) && this.#ofNetworks.mayCome(nowMs, name) ? this.#roomFor(nowMs, source, name) : null;
    if (room === null || !this.#handshakes.has(nowMs, network.handshakes)) {
      this.counters.refused += 1;
      return null;
    }
    if (room !== "free") this.#displace(room);
    this.#handshakes.take(nowMs, network.handshakes);
    this.#join(source, name, network);
    this.counters.connections += 1;
    const connection = this.#connect(nowMs, source, name, network);
    this.#places.set(connection, { source, network: name, onDisplaced });
    return connection;
  }

  #connect(nowMs: number, source: string, name: string, network: Network): FallbackConnection {
    const [ofNetwork, ofAll] = [() => 1 / network.connections, () => 1 / (network.connections * this.#networks.size)];
    const divided = (kind: "control" | "datagrams"): DividedShare => {
      const capped = kind === "control" ? this.#control : this.#datagrams;
      return { capped, network: name, parts: [new Part(nowMs, network[kind], ofNetwork, 1), new Part(nowMs, capped.common, ofAll, 1)] };
    };
    const fair = (kind: keyof Rates): FairShares => new FairShares(network.rates[kind], this.#rates[kind], () => network.connections);
    const { isServer } = this.#init;
    this.#lastHost += 1;
    const connection: FallbackConnection = new FallbackConnection(nowMs, {
      counters: this.counters, datagrams: divided("datagrams"), control: divided("control"), own: this.#own,
      messages: [new Part(nowMs, network.messages, ofNetwork), new Part(nowMs, this.#messages, ofAll)], bytes: [new Part(nowMs, network.bytes, ofNetwork), new Part(nowMs, this.#bytes, ofAll)],
      far: new FarShares({ host: this.#lastHost, network: name }, this.#far, fair("lookups")), toHost: fair("toHosts"), excess: fair("excess"),
      isServer: (atMs, locator) => this.#own.some((own) => sameLocator(locator, own)) || isServer(atMs, locator), onClosed: () => this.#release(connection, source, name),
    });
    return connection;
  }

  /** Null: none, and nobody who should make room. */
  #roomFor(nowMs: number, source: string, network: string): FallbackConnection | "free" | null {
    const isSourceFull = !this.#ofSources.hasRoom(source);
    const isNetworkFull = !this.#ofNetworks.hasRoom(network);
    if (!isSourceFull && !isNetworkFull && this.size < MAX_CONNECTIONS) return "free";
    let [last, lastRank]: [FallbackConnection | null, readonly number[]] = [null, []];
    for (const [connection, place] of this.#places) {
      if ((isSourceFull && place.source !== source) || (isNetworkFull && place.network !== network)) continue;
      const isUnused = connection.isUnused(nowMs);
      if (!isUnused && !this.#hasMore(place, source, network)) continue;
      const rank = [isUnused ? 1 : 0, this.#ofNetworks.count(place.network), this.#ofSources.count(place.source), connection.hasTrigger ? 0 : 1];
      // Of equals the youngest.
      if (last === null || compare(rank, lastRank) >= 0) [last, lastRank] = [connection, rank];
    }
    return last;
  }

  /** Whether the network of another, or its source in the same network, has more than the newcomer's would with its place. */
  #hasMore(other: Place, source: string, network: string): boolean {
    if (other.network !== network) return this.#ofNetworks.count(other.network) > this.#ofNetworks.count(network) + 1;
    return other.source !== source && this.#ofSources.count(other.source) > this.#ofSources.count(source) + 1;
  }

  #displace(connection: FallbackConnection): void {
    const place = this.#places.get(connection);
    connection.closed();
    this.counters.displaced += 1;
    place?.onDisplaced();
  }

  #join(source: string, name: string, network: Network): void {
    this.#ofSources.add(source, 1);
    this.#ofNetworks.add(name, 1);
    this.#past.delete(name);
    this.#networks.set(name, network);
    network.connections += 1;
  }

  #release(connection: FallbackConnection, source: string, name: string): void {
    this.#places.delete(connection);
    this.#ofSources.add(source, -1);
    this.#ofNetworks.add(name, -1);
    const left = this.#networks.get(name);
    if (left === undefined || (left.connections -= 1) > 0) return;
    this.#networks.delete(name);
    remember(this.#past, name, left, MAX_RATED_SOURCES);
  }
}

interface Place {
  readonly source: string;
  readonly network: string;
  readonly onDisplaced: () => void;
}

/** The first difference counts. */
function compare(a: readonly number[], b: readonly number[]): number {
  for (const [i, one] of a.entries()) if (one !== b[i]) return one - (b[i] ?? 0);
  return 0;
}

interface Shares {
  readonly counters: FallbackCounters;
  readonly datagrams: DividedShare;
  readonly control: DividedShare;
  readonly own: readonly Locator[];
  /** Of its network and of all. */
  readonly messages: readonly Part[];
  readonly bytes: readonly Part[];
  readonly far: FarShares;
  readonly toHost: FairShares;
  readonly excess: FairShares;
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
  readonly #toHost = new TokenBucket(TO_HOST_PER_SECOND, TO_HOST_BURST);
  /** Of what could not go on of it. */
  #excess = new TokenBucket(TO_HOST_PER_SECOND, TO_HOST_BURST);
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
  /** When it came, or a server said last that it has a trigger. */
  #usedMs: number;
  #hasTrigger = false;

  constructor(nowMs: number, shares: Shares) {
    this.#shares = shares;
    this.#messages = [this.#ownMessages, ...shares.messages];
    this.#bytes = [this.#ownBytes, ...shares.bytes];
    this.#endMs = nowMs + HANDSHAKE_MS;
    this.#usedMs = nowMs;
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

  /** Whether a server has ever said that it has a trigger. */
  get hasTrigger(): boolean {
    return this.#hasTrigger;
  }

  /** Whether no server has said for long that it has a trigger. */
  isUnused(nowMs: number): boolean {
    return this.#isOpen && nowMs >= this.#usedMs + UNUSED_MS;
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
    this.#excess = new TokenBucket(TO_HOST_PER_SECOND, TO_HOST_BURST);
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
    const refusal = this.#refusalOf(nowMs, frame);
    if (refusal !== null) counters[refusal] += 1;
    if (refusal !== null && refusal !== "unasked") return null;
    // Nothing else keeps it open.
    this.#endMs = nowMs + IDLE_MS;
    counters.fromHosts += 1;
    const passed = refusal === "unasked" ? { ...frame, bytes: withoutQuestion(frame.bytes) } : frame;
    this.#noteQuestion(passed.bytes);
    return passed;
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
    else if (waitingBytes + bytes.length > MAX_WAITING_BYTES) this.#dropExcess(nowMs, "queueFull", bytes);
    else if (!this.#mayCome(nowMs, bytes)) this.#dropExcess(nowMs, "rate", bytes);
    else {
      if (isControl(bytes)) this.#learn(nowMs, from, bytes);
      counters.toHosts += 1;
      return encodeDetourFrame({ locator: from, bytes });
    }
    return null;
  }

  #mayCome(nowMs: number, bytes: Uint8Array): boolean {
    return takeUnits(nowMs, this.#toHost, bytes) && this.#shares.toHost.take(nowMs, unitsOf(bytes));
  }

  /** What servers send beyond what the host may have, or takes. */
  #dropExcess(nowMs: number, why: "queueFull" | "rate", bytes: Uint8Array): void {
    this.#shares.counters[why] += 1;
    if (!takeUnits(nowMs, this.#excess, bytes) || !this.#shares.excess.take(nowMs, unitsOf(bytes))) this.#isFlooded = true;
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

  #refusalOf(nowMs: number, { locator, bytes }: DetourFrame): FarRefusal | null {
    const { control, datagrams, far } = this.#shares;
    if (isControl(bytes) && !(this.#control.take(nowMs) && takeDivided(nowMs, control, 1))) return "rate";
    if (!takeDivided(nowMs, datagrams, packetsOf(bytes.length))) return "rate";
    return isControl(bytes) ? far.control(nowMs, locator, bytes) : far.data(nowMs, locator, bytes);
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
    const mayName = this.#shares.isServer(nowMs, from);
    if (!mayName && bytes[1] !== CONTROL_TYPES.TRIGGER_OK) return;
    try {
      const { message, nonce } = decodeControl(bytes);
      if (!this.#asked[message.type === "CACHE" ? "data" : "control"].has(bytesKey(nonce))) return;
      if (message.type === "TRIGGER_OK") [this.#hasTrigger, this.#usedMs] = [true, nowMs];
      const named = mayName ? serverNamedBy(message) : null;
      if (named !== null && mayBeNamed(named, this.#shares.own)) remember(this.#named, locatorKey(named), true, MAX_NAMED_SERVERS);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }
}

/** Of data and control, which have it at the same place. */
const nonceOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(DATA_OFFSET.nonce, DATA_OFFSET.nonce + NONCE_BYTES);

/** One for each packet of usual size that begins. */
const packetsOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / FULL_BYTES));

/** Of what comes to a host. */
const unitsOf = (bytes: Uint8Array): number => Math.max(1, Math.ceil(bytes.length / TO_HOST_UNIT_BYTES));

function takeUnits(nowMs: number, bucket: TokenBucket, bytes: Uint8Array): boolean {
  for (let left = unitsOf(bytes); left > 0; left -= 1) if (!bucket.take(nowMs)) return false;
  return true;
}

/** A copy of data that asks for no CACHE. */
const withoutQuestion = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes).fill((bytes[DATA_OFFSET.flags] ?? 0) & ~DATA_FLAG.cacheRequest, DATA_OFFSET.flags, DATA_OFFSET.flags + 1);

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
