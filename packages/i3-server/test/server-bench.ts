/** One server core with an engine that only notes what it is told, and a client that writes real datagrams to it. */
import {
  decodeControl, encodeControl, makeLocator, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage, type ControlType, type Locator, type RingNode, type TriggerMessage,
} from "@i3/common";
import type { ChallengeAnswers, PassOn, Datagram, Lease, RefreshAnswers, Refreshed, Responsibility, TriggerEntry, Upcall } from "@i3/datapath";
import { generateTriggerKey, refreshChain, signTrigger, type TriggerKey, type TriggerSigner } from "@i3/hip";

import { ServerCore, type ServerCoreInit } from "../src/server/server-core.js";
import { randomBytesFrom, seeded } from "./ring-net.js";
import type { RingPeer } from "./ring-peer.js";

export class NotingEngine {
  readonly triggers = new Map<string, readonly TriggerEntry[]>();
  readonly nextServers = new Map<string, Locator>();
  readonly discarded: Uint8Array[] = [];
  passOn: PassOn | null = null;
  responsibility: Responsibility | null = null;
  sent: Datagram[] = [];
  /** Thrown by the next setTriggers. */
  triggersFail: Error | null = null;

  setTriggers(ringKey: Uint8Array, triggers: readonly TriggerEntry[]): void {
    if (this.triggersFail !== null) throw this.triggersFail;
    if (triggers.length === 0) this.triggers.delete(Buffer.from(ringKey).toString("hex"));
    else this.triggers.set(Buffer.from(ringKey).toString("hex"), triggers);
  }
  readonly leases = new Map<string, Lease>();
  answers: RefreshAnswers | null = null;
  /** What it tells next. */
  refreshed: Refreshed[] = [];
  setLease(id: Uint8Array, lease: Lease | null): void {
    if (lease === null) this.leases.delete(Buffer.from(id).toString("hex"));
    else this.leases.set(Buffer.from(id).toString("hex"), lease);
  }
  setRefreshAnswers(answers: RefreshAnswers | null): void {
    this.answers = answers;
  }
  challenges: ChallengeAnswers | null = null;
  neighbours: readonly Locator[] = [];
  setNeighbours(locators: readonly Locator[]): void {
    this.neighbours = locators;
  }

  setPassOn(passOn: PassOn | null): void {
    this.passOn = passOn;
  }

  setChallengeAnswers(answers: ChallengeAnswers | null): void {
    this.challenges = answers;
  }
  takeRefreshed(): readonly Refreshed[] {
    return this.refreshed.splice(0);
  }
  setResponsibility(range: Responsibility): void {
    this.responsibility = range;
  }
  setNextServer(ringKey: Uint8Array, locator: Locator | null): void {
    if (locator === null) this.nextServers.delete(Buffer.from(ringKey).toString("hex"));
    else this.nextServers.set(Buffer.from(ringKey).toString("hex"), locator);
  }
  discardRoute(ringKey: Uint8Array): void {
    this.discarded.push(ringKey);
  }
  send(datagrams: readonly Datagram[]): void {
    this.sent.push(...datagrams);
  }
  take(): Datagram[] {
    const { sent } = this;
    this.sent = [];
    return sent;
  }
}

export const WALL_MS = 1_700_000_000_000;
export const CLIENT = makeLocator(Uint8Array.of(192, 0, 2, 1), 5_000);
export const THIEF = makeLocator(Uint8Array.of(198, 51, 100, 9), 5_000);
export const NONCE = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
/** For signing tests once: making keys takes longer than using them. */
export const KEY: TriggerKey = generateTriggerKey();
export const OTHER_KEY: TriggerKey = generateTriggerKey();

export const idOf = (key: TriggerKey, suffix = 1): Uint8Array => Uint8Array.from([...key.prefix, ...new Uint8Array(16).fill(suffix)]);

export class ServerBench {
  nowMs = 1_000;
  readonly engine = new NotingEngine();
  readonly core: ServerCore;
  readonly self: RingNode;
  readonly logged: string[] = [];

  constructor(init: Partial<ServerCoreInit> = {}) {
    const random = randomBytesFrom(seeded(42));
    this.self = init.self ?? { key: init.ring?.credential.nodeKey ?? random(16), locator: makeLocator(Uint8Array.of(10, 0, 0, 1), 4_000) };
    this.core = new ServerCore({
      self: this.self, members: [], ring: null, datapath: this.engine, limits: { triggers: 10_000, perSource: 100 }, random,
      wallMs: (nowMs) => WALL_MS + Math.floor(nowMs), log: (_level, event) => this.logged.push(event), ...init,
    });
    this.core.start(this.nowMs);
  }

  upcall(upcall: Upcall): Datagram[] {
    this.core.handleUpcalls(this.nowMs, [upcall]);
    return this.engine.take();
  }

  sendBytes(bytes: Uint8Array, from: Locator = CLIENT): Datagram[] {
    return this.upcall({ kind: "control", from, bytes });
  }

  /** From another server of the ring, which meets this one first. */
  ring(peer: RingPeer, message: ControlMessage, nonce: Uint8Array = NONCE): Datagram[] {
    this.meet(peer);
    return this.sendBytes(peer.seal(this.nowMs, this.self, message, nonce), peer.node.locator);
  }

  meet(peer: RingPeer): void {
    peer.meet(this.nowMs, this.self, (bytes) => ServerBench.prototype.upcall.call(this, { kind: "control", from: peer.node.locator, bytes }).map((datagram) => datagram.bytes));
  }

  send(message: ControlMessage, from: Locator = CLIENT): Datagram[] {
    return this.sendBytes(encodeControl(message, NONCE), from);
  }

  /** The one answer, decoded; null when there is none. */
  ask(message: ControlMessage, from: Locator = CLIENT): ControlMessage | null {
    const answers = this.send(message, from);
    if (answers.length > 1) throw new Error(`${answers.length} answers`);
    const [answer] = answers;
    return answer === undefined ? null : decodeControl(answer.bytes).message;
  }

  answer<T extends ControlType>(type: T, message: ControlMessage, from: Locator = CLIENT): Extract<ControlMessage, { type: T }> {
    const answer = this.ask(message, from);
    if (answer?.type !== type) throw new Error(`${JSON.stringify(answer)} instead of ${type}`);
    return answer as Extract<ControlMessage, { type: T }>;
  }

  cookie(id: Uint8Array, from: Locator = CLIENT, flags = 0): Uint8Array {
    return this.answer("CHALLENGE", { type: "CHALLENGE_REQUEST", ringKey: id.slice(0, 16), flags }, from).cookie;
  }

  /** A signed TRIGGER with a fresh cookie; `change` is signed too. */
  trigger(change: Partial<TriggerMessage> & { readonly signer?: TriggerSigner; readonly from?: Locator; readonly nodeKey?: Uint8Array } = {}): TriggerMessage {
    const { signer = { kind: "private", key: KEY }, from = CLIENT, nodeKey = this.self.key, ...fields } = change;
    const id = fields.id ?? idOf(KEY);
    const unsigned = {
      action: TRIGGER_ACTION.insert, id, target: from, flags: 0, counter: 1, commitment: CHAIN.at(-1) as Uint8Array,
      cookie: fields.cookie ?? this.cookie(id, from, (fields.flags ?? 0) & TRIGGER_FLAG.replica), ...fields,
    };
    return signTrigger(signer, unsigned, nodeKey);
  }

  /** Who gets packets for an id now. */
  targets(id: Uint8Array = idOf(KEY)): Locator[] {
    const entries = this.engine.triggers.get(Buffer.from(id.slice(0, 16)).toString("hex")) ?? [];
    return entries.filter((entry) => Buffer.from(entry.id).equals(id)).flatMap(({ target }) => (target.kind === "locator" ? [target.locator] : []));
  }

  advance(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    while (this.core.deadlineMs() <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.core.deadlineMs());
      this.core.handleTimer(this.nowMs);
    }
    this.nowMs = endMs;
  }
}

export const CHAIN = refreshChain(new Uint8Array(16).fill(9));
/** The value shown with refresh number `index`. */
export const tokenAt = (index: number): Uint8Array => CHAIN[CHAIN.length - 1 - index] as Uint8Array;
