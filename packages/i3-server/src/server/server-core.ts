/**
 * A server without I/O: joins the ring, the triggers and the packet engine. Upcalls and time go in; table entries and
 * datagrams go to the engine. Call start once, then handleUpcalls, and handleTimer at deadlineMs.
 */
import {
  bytesKey, decodeControl, encodeControl, isRingMessage, isSameFamily, locatorText, REFUSAL, ringKey, sameBytes, sameLocator, toHex, WireError,
  type ControlMessage, type DecodedControl, type Locator, type Log, type RingNode, type RingSender, type StackStep, type TriggerMessage,
} from "@i3/common";
import type { ChallengeAnswers, Datagram, Datapath, RefreshAnswers, Upcall } from "@i3/datapath";

import { Chord, type ChordOutput } from "../chord/chord.js";
import { ServerCounters, type CounterName } from "../counters.js";
import { Channel } from "../ring/channel.js";
import type { RingMembership } from "../ring/credential.js";
import { RecordCore } from "../records/record-core.js";
import type { RecordLimits } from "../records/record-store.js";
import { mayBeNamed, mayBeProven } from "../ring/named-places.js";
import { ServerPlaces } from "../ring/server-places.js";
import type { CredentialChecks, RingMac } from "../ring/ring-message.js";
import { TRIGGER_LIFE_MS } from "../triggers/constants.js";
import { TriggerCore } from "../triggers/trigger-core.js";
import type { TriggerLimits } from "../triggers/trigger-table.js";
import { DEFAULT_RECORD_LIMITS, LINGER_MS, LOCATE_ROUTE_MS, MAX_CLIENT_LOOKUPS, MAX_PROVEN_LOOKUPS, MAX_WAITING_PER_KEY, MAX_WALL_ERROR_MS, ROUTE_LIFE_MS, ROUTE_RENEW_MS } from "./constants.js";
import { LookupPlaces } from "./lookup-places.js";
import { OtherLocators } from "./other-locators.js";
import { NO_KEYS, OwnKeys, rangeText } from "./own-keys.js";
import { ProvenSources } from "./proven-sources.js";
import { RecentSenders } from "./recent-senders.js";
import { Routes } from "./routes.js";

export interface ServerCoreInit {
  /** Its key is the credential's. */
  readonly self: RingSender;
  /** Locators of configured ring members; empty for a ring of one. */
  readonly members: readonly Locator[];
  /** Of more the addresses are not known yet: setMembers tells them. @default false */
  readonly hasUnknownMembers?: boolean;
  /** Null: a ring of one for ever. */
  readonly ring: RingMembership | null;
  readonly datapath: Pick<Datapath, "setNeighbours" | "setPassOn" | "setTriggers" | "setLease" | "takeRefreshed" | "setRefreshAnswers" | "setChallengeAnswers" | "setResponsibility" | "setNextServer" | "discardRoute" | "send">;
  readonly limits: TriggerLimits;
  /** @default DEFAULT_RECORD_LIMITS */
  readonly records?: RecordLimits;
  /** `length` unpredictable bytes. */
  readonly random: (length: number) => Uint8Array;
  /** What the clock on the wall shows at `nowMs`, whole ms since 1970. */
  readonly wallMs: (nowMs: number) => number;
  readonly log: Log;
  /** @default verifyTrigger of @i3/hip */
  readonly verify?: (message: TriggerMessage, nodeKey: Uint8Array) => boolean;
  /** @default verifyStep of @i3/hip */
  readonly verifyStep?: (step: StackStep, source: Uint8Array) => boolean;
  readonly verificationsPerSourcePerSecond?: number;
  /** Of messages between servers. @default HMAC-SHA-256-128 of docs/wire.md §4.2 */
  readonly mac?: RingMac | undefined;
  /** @default credentialChecks of ring-message.ts */
  readonly credentials?: CredentialChecks | undefined;
}

/** A request that is answered when the server of its key is known. */
interface Asker {
  readonly kind: "locate" | "cache";
  readonly from: Locator;
  readonly nonce: Uint8Array;
  readonly requestBytes: number;
}

interface Waiting {
  /** Its place in the lookups. */
  readonly giveBack: () => void;
  readonly askers: Asker[];
  readonly askerPlaces: LookupPlaces;
  /** The engine holds packets for this key. */
  packets: boolean;
}

export class ServerCore {
  readonly counters = new ServerCounters();
  readonly #init: ServerCoreInit;
  readonly #chord: Chord;
  /** What passes between servers; null in a ring of one. */
  readonly #channel: Channel | null;
  /** As the channel knows them. */
  #neighbours: { readonly predecessor: RingNode | null; readonly successors: readonly RingNode[] } = { predecessor: null, successors: [] };
  readonly #keys: OwnKeys;
  readonly #triggers: TriggerCore;
  readonly #records: RecordCore;
  readonly #routes: Routes;
  readonly #senders = new RecentSenders();
  /** Ring key → who waits for its lookup. */
  readonly #waiting = new Map<string, Waiting>();
  /** Half for each: neither packets for random ids nor clients' requests take what the other needs. */
  readonly #packetPlaces = new LookupPlaces(MAX_CLIENT_LOOKUPS, MAX_PROVEN_LOOKUPS);
  readonly #requestPlaces = new LookupPlaces(MAX_CLIENT_LOOKUPS, MAX_PROVEN_LOOKUPS);
  readonly #proven = new ProvenSources();
  readonly #servers = new ServerPlaces();
  readonly #others: OtherLocators;
  #datagrams: Datagram[] = [];
  #hasLeft = false;
  /** Once we leave: who has our keys, to whom all goes that still comes here. */
  #heir: RingNode | null = null;
  /** Until then we pass packets on. */
  #lingerMs = Infinity;
  /** By which the engine answers refreshes; null: not yet. */
  #answers: RefreshAnswers | null = null;
  /** By which it answers requests for a challenge; null: not now. */
  #challenges: ChallengeAnswers | null = null;
  /** What the clock on the wall showed at 0 ms of ours, whole ms. */
  #wallOffsetMs = 0;

  constructor(init: ServerCoreInit) {
    this.#init = init;
    const { ring, self } = init;
    if (ring !== null && !sameBytes(ring.credential.nodeKey, self.key)) throw new RangeError("the node key is not the credential's");
    this.#chord = new Chord({ self, members: ring === null ? [] : init.members, hasUnknownMembers: ring !== null && init.hasUnknownMembers, random: init.random, credential: ring?.credential.bytes ?? null });
    const transmit = (locator: Locator, bytes: Uint8Array): void => void this.#datagrams.push({ locator, bytes });
    this.#channel = ring === null ? null : new Channel({ ...init, membership: ring, counters: this.counters, transmit });
    this.#others = new OtherLocators({ ...init, counters: this.counters, transmit });
    this.#routes = new Routes(init.datapath, { watch: (node) => void this.#chord.watch(node), unwatch: (node) => this.#chord.unwatch(node) });
    this.#keys = new OwnKeys({ ...init, chord: this.#chord, successor: () => this.#successor(), changed: (nowMs) => this.#triggers.ringChanged(nowMs), release: () => this.#triggers.release(), dropRoutes: (from, to) => this.#countDropped(this.#routes.dropRange(from, to)) });
    this.#triggers = new TriggerCore({ ...init, nodeKey: init.self.key, counters: this.counters, owns: (key) => this.#keys.owns(key), takesOver: (key) => this.#keys.takesOver(key), replica: (nowMs, owner) => this.#others.tell(nowMs, this.#successor(), owner), isNew: () => this.#keys.isNew, isHandingOver: (key) => this.#keys.isHandingOver(key) });
    this.#records = new RecordCore({ ...init, limits: init.records ?? DEFAULT_RECORD_LIMITS, nodeKey: self.key, counters: this.counters, owns: (key) => this.#keys.owns(key), successor: (nowMs, asker) => this.#others.tell(nowMs, this.#successor(), asker) });
  }

  #successor(): RingNode | null {
    return this.#chord.successors.find(({ key }) => !sameBytes(key, this.#init.self.key)) ?? null;
  }

  start(nowMs: number): void {
    this.#noteWall(nowMs);
    this.#channel?.start(nowMs);
    this.#chord.start(nowMs);
    this.#finish(nowMs);
  }

  handleUpcalls(nowMs: number, upcalls: readonly Upcall[]): void {
    this.#noteWall(nowMs);
    for (const upcall of upcalls) {
      const requestBytes = upcall.kind === "control" ? upcall.bytes.length : Infinity;
      this.#handleUpcall(nowMs, upcall);
      this.#drainChord(nowMs, requestBytes);
    }
    this.#finish(nowMs);
  }

  handleTimer(nowMs: number): void {
    this.#noteWall(nowMs);
    this.#channel?.handleTimer(nowMs);
    this.#chord.handleTimer(nowMs);
    this.#triggers.handleTimer(nowMs);
    this.#records.handleTimer(nowMs);
    this.#routes.expire(nowMs);
    if (nowMs >= this.#lingerMs) this.#end();
    this.#keys.handleTimer(nowMs);
    this.#finish(nowMs);
  }

  /** Next call of handleTimer, ms. */
  deadlineMs(): number {
    return Math.min(this.#chord.deadlineMs(), this.#channel?.deadlineMs() ?? Infinity, this.#triggers.deadlineMs(), this.#records.deadlineMs(), this.#routes.deadlineMs(), this.#lingerMs, this.#keys.deadlineMs());
  }

  /** The configured members' names came to mean other addresses. */
  setMembers(nowMs: number, members: readonly Locator[]): void {
    if (this.#channel !== null) this.#chord.setMembers(nowMs, members);
  }

  /** Leaves the ring; hasLeft when the neighbours were told and clients have had the time to see that we do not answer them any more. */
  leave(nowMs: number): void {
    if (this.#heir !== null) return;
    this.#heir = this.#chord.successors[0] ?? null;
    if (this.#heir !== null) this.#keys.leave();
    this.#chord.leave(nowMs);
    this.#finish(nowMs);
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** Whether a server of the ring is known to be there: one that has proven to be of it, in either family, or that such a one names. */
  isServer(nowMs: number, locator: Locator): boolean {
    return this.#servers.has(nowMs, locator);
  }

  /** As they were at the end of the last input; the same object while they are the same. */
  get neighbours(): { readonly predecessor: RingNode | null; readonly successors: readonly RingNode[] } {
    return this.#neighbours;
  }

  /** For logs and the dashboard. `requests`, `lookups`: of the ring, that wait for an answer; `waiting`: ring keys whose server is looked for. */
  inspect(): {
    readonly successors: readonly string[]; readonly predecessor: string | null; readonly sessions: number; readonly triggers: number; readonly replicas: number; readonly records: number; readonly routes: number;
    readonly requests: number; readonly lookups: number; readonly waiting: number;
  } {
    const { predecessor, successors } = this.#chord;
    const { requests, lookups } = this.#chord.inspect();
    return {
      successors: successors.map(nodeText), predecessor: predecessor === null ? null : nodeText(predecessor),
      sessions: this.#channel?.sessionCount ?? 0, triggers: this.#triggers.liveCount - this.#triggers.replicaCount, replicas: this.#triggers.replicaCount, records: this.#records.count, routes: this.#routes.size, requests, lookups, waiting: this.#waiting.size,
    };
  }

  // --- upcalls -----------------------------------------------------------------------------------------------------

  #handleUpcall(nowMs: number, upcall: Upcall): void {
    switch (upcall.kind) {
      case "control": return this.#control(nowMs, upcall.from, upcall.bytes);
      case "route-miss": return this.#routeMiss(nowMs, upcall.ringKey, upcall.from);
      case "cache-request": {
        const { id, from, nonce, shortcutOk, requestBytes } = upcall;
        const key = ringKey(id);
        this.#senders.remember(nowMs, nonce, { from, ringKey: key, requestBytes });
        const target = shortcutOk && this.#keys.owns(key) ? this.#triggers.shortcutOf(nowMs, id) : null;
        // Of the other family the sender cannot use it.
        if (target !== null && isSameFamily(target, from)) return this.#tell(from, requestBytes, { type: "SHORTCUT", id, target }, nonce, "shortcut-sent");
        return this.#answerWhenKnown(nowMs, key, { kind: "cache", from, nonce, requestBytes });
      }
      case "no-trigger": {
        // Of a server that is gone, whose replicas are not all in use yet: the next packet goes by this one.
        if (this.#triggers.serveNow(ringKey(upcall.id))) return;
        // Forwarded, and not ours: it came from where our route leads. Both routes may be of the time before the ring changed.
        if (upcall.forwarded && !this.#keys.owns(ringKey(upcall.id))) this.#wentAstray(nowMs, ringKey(upcall.id));
        const sent = this.#reply(upcall.from, upcall.requestBytes, { type: "NOT_PRESENT", id: upcall.id }, upcall.nonce);
        if (sent > 0) this.counters.count("not-present-sent");
        return;
      }
      case "astray": return this.#wentAstray(nowMs, ringKey(upcall.id));
      case "flow-setup": case "payload": case "hip": case "elsewhere": case "send-failed": case "detour": return; // only hosts have flows, inbound ids, associations, a HIP responder and a detour
    }
  }

  #control(nowMs: number, from: Locator, bytes: Uint8Array): void {
    let decoded: DecodedControl;
    try {
      decoded = decodeControl(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.counters.count("malformed");
    }
    const { message, nonce } = decoded;
    if (isRingMessage(message.type)) return this.#ringMessage(nowMs, from, bytes.length, decoded);
    switch (message.type) {
      case "PING":
        if (this.#heir !== null) return this.counters.count("leaving");
        // Whom it answers sends packets here, which could go nowhere yet.
        if (!this.#chord.isSettled) return this.counters.count("not-settled");
        this.#reply(from, bytes.length, { type: "PONG", timeMs: this.#init.wallMs(nowMs), observed: from, nodeKey: this.#init.self.key }, nonce);
        return;
      case "LOCATE":
        return this.#answerWhenKnown(nowMs, message.ringKey, { kind: "locate", from, nonce, requestBytes: bytes.length });
      case "CHALLENGE_REQUEST": case "TRIGGER": case "REFRESH": {
        const answer = this.#triggers.handle(nowMs, from, message);
        if (message.type === "TRIGGER" && answer?.type === "TRIGGER_OK") this.#proven.add(nowMs, from);
        if (answer !== null) this.#reply(from, bytes.length, answer, nonce);
        return;
      }
      case "RECORD_PUT": case "RECORD_GET": {
        const answer = this.#records.handle(nowMs, from, message);
        if (answer !== null) this.#reply(from, bytes.length, answer, nonce);
        return;
      }
      case "PONG":
        if (!this.#others.handlePong(nowMs, from, nonce, message.nodeKey)) this.counters.count("wrong-direction");
        return;
      case "NOT_PRESENT":
        return this.#passNotPresent(nowMs, from, message.id, nonce);
      default:
        this.counters.count("wrong-direction");
    }
  }

  #ringMessage(nowMs: number, from: Locator, bytes: number, decoded: DecodedControl): void {
    if (this.#channel === null) return this.counters.count("session");
    const message = this.#channel.receive(nowMs, from, bytes, decoded);
    if (message === null) return;
    this.#noteServer(nowMs, from, message.from);
    if (message.type !== "ALIVE" && message.type !== "ALIVE_YES") this.#others.heard(message.from);
    this.#chord.handleMessage(nowMs, decoded.nonce, message);
  }

  /** Of the server that packets for the id are sent on to: others may have seen the nonce. */
  #passNotPresent(nowMs: number, from: Locator, id: Uint8Array, nonce: Uint8Array): void {
    const route = this.#routes.get(nowMs, ringKey(id));
    if (route === undefined || !sameLocator(route.node.locator, from)) return this.counters.count("not-present-unknown");
    const sender = this.#senders.take(nowMs, nonce, ringKey(id));
    if (sender === undefined) return this.counters.count("not-present-unknown");
    const sent = this.#reply(sender.from, sender.creditBytes, { type: "NOT_PRESENT", id }, nonce);
    if (sent === 0) return;
    this.#senders.spend(nonce, sent);
    this.counters.count("not-present-passed");
  }

  // --- who is responsible ------------------------------------------------------------------------------------------

  #nodeOf(nowMs: number, key: Uint8Array): { readonly node: RingNode; readonly ageMs: number } | undefined {
    return this.#chord.owns(key) ? { node: this.#heir ?? this.#init.self, ageMs: 0 } : this.#routes.get(nowMs, key);
  }

  #routeMiss(nowMs: number, key: Uint8Array, from: Locator): void {
    if (this.#triggers.serveNow(key)) return this.#init.datapath.discardRoute(key);
    const known = this.#nodeOf(nowMs, key);
    if (known !== undefined) return this.#program(nowMs, key, known.node);
    if (this.#heir !== null) return this.#program(nowMs, key, this.#heir);
    const waiting = this.#lookUp(nowMs, key, this.#packetPlaces, from);
    if (waiting === null) this.#init.datapath.discardRoute(key);
    else waiting.packets = true;
  }

  /** A route is looked up anew, and good until then: anybody can make packets that seem to go astray, in anybody's name. So they all count as one source, this server. */
  #wentAstray(nowMs: number, key: Uint8Array): void {
    const route = this.#routes.get(nowMs, key);
    if (route !== undefined && route.ageMs >= LOCATE_ROUTE_MS && this.#lookUp(nowMs, key, this.#packetPlaces, null) !== null) this.counters.count("routes-astray");
  }

  #answerWhenKnown(nowMs: number, key: Uint8Array, asker: Asker): void {
    const known = this.#nodeOf(nowMs, key);
    if (known !== undefined && (asker.kind === "cache" || known.ageMs <= LOCATE_ROUTE_MS)) {
      this.#answer(nowMs, key, asker, known.node);
      if (known.ageMs >= ROUTE_RENEW_MS) this.#lookUp(nowMs, key, this.#requestPlaces, asker.from);
      return;
    }
    const waiting = this.#lookUp(nowMs, key, this.#requestPlaces, asker.from);
    if (waiting === null) return;
    if (waiting.askerPlaces.take(asker.from, this.#proven.has(nowMs, asker.from)) === null) return this.counters.count("cache-pending-full");
    waiting.askers.push(asker);
  }

  /** With a locator that the asker can reach. */
  #answer(nowMs: number, key: Uint8Array, { kind, from, nonce, requestBytes }: Asker, node: RingNode): void {
    const locator = this.#others.tell(nowMs, node, from);
    if (locator !== null) this.#nameServer(key, { kind, from, nonce, requestBytes }, { key: node.key, locator });
    else if (kind === "locate" && this.#others.of(nowMs, node, from) === "none") this.#reply(from, requestBytes, { type: "REFUSED", code: REFUSAL.otherFamily, subject: key }, nonce);
    else if (kind === "locate") this.#others.whenKnown(nowMs, node, () => this.#answer(nowMs, key, { kind, from, nonce, requestBytes }, node));
  }

  #nameServer(key: Uint8Array, { kind, from, nonce, requestBytes }: Asker, node: RingNode): void {
    if (kind === "cache") return this.#tell(from, requestBytes, { type: "CACHE", ringKey: key, node, lifeMs: ROUTE_LIFE_MS }, nonce, "cache-sent");
    if (this.#reply(from, requestBytes, { type: "LOCATED", ringKey: key, node }, nonce) > 0) this.counters.count("located");
  }

  /** What a packet with CACHE_REQUEST asked for. */
  #tell(from: Locator, requestBytes: number, message: ControlMessage, nonce: Uint8Array, counter: CounterName): void {
    const sent = this.#reply(from, requestBytes, message, nonce);
    this.#senders.spend(nonce, sent);
    if (sent > 0) this.counters.count(counter);
  }

  /** Begins or joins the lookup of a key; null when too many run, of all or for `from` (null: for this server itself). Its end comes through drainChord. */
  #lookUp(nowMs: number, key: Uint8Array, places: LookupPlaces, from: Locator | null): Waiting | null {
    const text = bytesKey(key);
    const running = this.#waiting.get(text);
    if (running !== undefined) return running;
    const giveBack = places.take(from ?? this.#init.self.locator, from === null || this.#proven.has(nowMs, from));
    if (giveBack === null || this.#chord.lookup(nowMs, new Uint8Array(key)) === null) {
      giveBack?.();
      this.counters.count("lookups-refused");
      return null;
    }
    this.counters.count("lookups");
    const waiting: Waiting = { giveBack, askers: [], askerPlaces: new LookupPlaces(MAX_WAITING_PER_KEY, MAX_WAITING_PER_KEY), packets: false };
    this.#waiting.set(text, waiting);
    return waiting;
  }

  /** A member was heard, `from` there. The seal covers where it says that it is, not where the datagram came from: it is there when the two are one. */
  #noteServer(nowMs: number, from: Locator, { key, locator, other }: RingSender): void {
    if (sameLocator(from, locator)) {
      this.#proven.add(nowMs, from);
      if (mayBeProven(from, this.#ownLocators())) this.#servers.note(nowMs, key, from);
    } else {
      this.#noteNamed(nowMs, key, from);
      this.#noteNamed(nowMs, key, locator);
    }
    this.#noteNamed(nowMs, key, other);
  }

  /** What a member says of another server, or of a place of its own: it could be anybody's address. */
  #noteNamed(nowMs: number, nodeKey: Uint8Array, locator: Locator | undefined): void {
    if (locator !== undefined && mayBeNamed(locator, this.#ownLocators())) this.#servers.noteNamed(nowMs, nodeKey, locator);
  }

  #ownLocators(): readonly Locator[] {
    const { locator, other } = this.#init.self;
    return other === undefined ? [locator] : [locator, other];
  }

  #lookedUp(nowMs: number, key: Uint8Array, node: RingNode | null): void {
    const text = bytesKey(key);
    const waiting = this.#waiting.get(text);
    this.#waiting.delete(text);
    if (waiting === undefined) return;
    waiting.giveBack();
    const isSelf = node !== null && bytesKey(node.key) === bytesKey(this.#init.self.key);
    if (node !== null) this.#noteNamed(nowMs, node.key, node.locator);
    if (node === null || (isSelf && !this.#chord.owns(key))) {
      this.counters.count("lookups-failed");
      if (waiting.packets) this.#init.datapath.discardRoute(key);
      return;
    }
    if (!isSelf) this.#routes.set(nowMs, key, node, false);
    if (waiting.packets) this.#program(nowMs, key, node);
    for (const asker of waiting.askers) this.#answer(nowMs, key, asker, node);
  }

  /** Sends the packets that wait for a key to its server. What is ours the engine took up when it became ours. */
  #program(nowMs: number, key: Uint8Array, node: RingNode): void {
    const isSelf = bytesKey(node.key) === bytesKey(this.#init.self.key);
    const [successor] = this.#chord.successors;
    if (isSelf && this.#keys.isNew && successor !== undefined) return this.#program(nowMs, key, successor);
    if (isSelf || !this.#routes.set(nowMs, key, node, true)) this.#init.datapath.discardRoute(key);
  }

  #dropRoutesOf(node: RingNode | undefined): void {
    if (node !== undefined) this.#countDropped(this.#routes.dropNode(node.key));
  }

  #countDropped(routes: number): void {
    for (let left = routes; left > 0; left -= 1) this.counters.count("routes-dropped");
  }

  // --- what the ring wants -----------------------------------------------------------------------------------------

  #finish(nowMs: number): void {
    this.#drainChord(nowMs, Infinity);
    this.#meetNeighbours(nowMs);
    this.#triggers.serveSome(nowMs);
    this.#keys.follow(nowMs);
    this.#sayWhoAnswers(nowMs);
    this.#sayHowToChallenge(nowMs);
    this.#flush();
  }

  /** The engine answers refreshes as the trigger core would. */
  #sayWhoAnswers(nowMs: number): void {
    const [replica, other] = this.#others.both(nowMs, this.#successor());
    const range = this.#keys.answered;
    const [oldReplica = null, oldOther = null] = this.#answers?.replicas ?? [];
    if (this.#answers?.range === range && oldReplica === replica && oldOther === other) return;
    this.#answers = { range, replicas: [replica, other].filter((locator) => locator !== null), lifeMs: TRIGGER_LIFE_MS };
    this.#init.datapath.setRefreshAnswers(this.#answers);
  }

  /** The engine challenges as the trigger core would; in states that are rare and short it leaves that to us. */
  #sayHowToChallenge(nowMs: number): void {
    const range = this.#answers?.range ?? NO_KEYS;
    const secret = this.#triggers.cookieSecret(nowMs);
    const [old, wallOffsetMs] = [this.#challenges, this.#wallOffsetMs];
    const isOff = range === NO_KEYS || wallOffsetMs < 0;
    if (isOff ? old === null : old?.range === range && old.secret === secret && old.wallOffsetMs === wallOffsetMs) return;
    this.#challenges = isOff ? null : { range, secret, nodeKey: this.#init.self.key, wallOffsetMs };
    this.#init.datapath.setChallengeAnswers(this.#challenges);
  }

  /** At the beginning of an input, when `nowMs` is fresh. Clocks are read one after the other: what that moves is not followed. */
  #noteWall(nowMs: number): void {
    const offsetMs = this.#init.wallMs(nowMs) - Math.floor(nowMs);
    if (Math.abs(offsetMs - this.#wallOffsetMs) > MAX_WALL_ERROR_MS) this.#wallOffsetMs = offsetMs;
  }

  #meetNeighbours(nowMs: number): void {
    const { predecessor, successors } = this.#chord;
    if (predecessor === this.#neighbours.predecessor && successors === this.#neighbours.successors) return;
    this.#neighbours = { predecessor, successors };
    if (this.#hasLeft || this.#channel === null) return;
    const nodes = predecessor === null ? successors : [predecessor, ...successors];
    this.#channel.setNeighbours(nowMs, nodes);
    const others = nodes.filter(({ key }) => !sameBytes(key, this.#init.self.key));
    this.#init.datapath.setNeighbours([...new Map(others.map(({ locator }) => [locatorText(locator), locator])).values()]);
  }

  #drainChord(nowMs: number, requestBytes: number): void {
    for (let output = this.#chord.pollOutput(); output !== undefined; output = this.#chord.pollOutput()) {
      this.#handleChord(nowMs, output, requestBytes);
    }
  }

  #handleChord(nowMs: number, output: ChordOutput, requestBytes: number): void {
    const { log } = this.#init;
    switch (output.kind) {
      case "send": return this.#channel?.send(nowMs, output.to, output.toKey, output.nonce, output.message, requestBytes, output.shown);
      case "responsibility":
        this.#keys.setRange(nowMs, output.range);
        return log("debug", "responsibility", rangeText(output.range));
      case "found": return this.#lookedUp(nowMs, output.key, output.node);
      case "not-found": return this.#lookedUp(nowMs, output.key, null);
      case "gone":
        if (sameBytes(this.#neighbours.successors[0]?.key ?? NOBODY, output.node.key)) this.#keys.hurry(nowMs);
        this.#dropRoutesOf(output.node);
        return log("info", output.left ? "node-left" : "node-dead", { node: nodeText(output.node) });
      case "back":
        return log("info", "node-back", { node: nodeText(output.node) });
      case "joined":
        this.#keys.joined(nowMs);
        return log("info", "joined", { through: nodeText(output.through) });
      case "alone":
        return log("warn", "alone", { message: "no ring member answers, or none lets this server in; serving alone and trying on", remedy: `Check the members' addresses and ports, and that they reach this server at ${locatorText(this.#init.self.locator)}: behind a NAT name the public address with <advertise>. When this server has a credential of another ring, they name it in their logs: foreign-ring.` });
      case "duplicate-key":
        return log("error", "duplicate-key", { from: locatorText(output.locator), message: "another server has this server's key", remedy: "Admit each server on its own, with: i3-server ring admit." });
      case "left":
        if (this.#heir === null) this.#end();
        else this.#lingerMs = nowMs + LINGER_MS;
        return log("info", "left-ring", {});
    }
  }

  #end(): void {
    this.#lingerMs = Infinity;
    this.#hasLeft = true;
    this.#channel?.close();
  }

  /** Bytes sent: 0 when the answer would be larger than what it answers. */
  #reply(to: Locator, requestBytes: number, message: ControlMessage, nonce: Uint8Array): number {
    const bytes = encodeControl(message, nonce);
    if (bytes.length > requestBytes) {
      this.counters.count("amplification");
      return 0;
    }
    this.#datagrams.push({ locator: to, bytes });
    return bytes.length;
  }

  #flush(): void {
    if (this.#datagrams.length === 0) return;
    const datagrams = this.#datagrams;
    this.#datagrams = [];
    this.#init.datapath.send(datagrams);
  }
}

const NOBODY = new Uint8Array(0);

const nodeText = (node: RingNode): string => `${toHex(node.key).slice(0, 8)}@${locatorText(node.locator)}`;
