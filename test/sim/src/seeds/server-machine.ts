/** A server of the ring: a real ServerCore on a reference engine. */
import { bytesKey, type RingNode } from "@i3/common";
import { ReferenceEngine, type TriggerEntry } from "@i3/datapath";
import { admitServer, ServerCore, type RingMembership } from "@i3/i3-server";

import { Draw } from "./draw.js";
import { locatorOf, serverEndpoint, type Endpoint } from "./endpoints.js";
import { Machine, type Surroundings } from "./machine.js";
import { credentials, verify, verifyStep } from "./known-signatures.js";
import { quickMac } from "./quick-mac.js";

const WALL_START_MS = 1_800_000_000_000;
/** Ours: credentials are drawn from so many, which are made once a process, as are the keys of their pairs: each costs as much as many messages. */
const MEMBERSHIPS = 128;
const LIMITS = { triggers: 10_000, perSource: 1_000, claimsPerName: 4 };

/** Ways to ids are kept for 30 s (docs/wire.md §5). */
const ROUTE_LIFE_MS = 30_000;
/** 2001-09-09, s since 1970. */
const LONG_AGO_S = 1_000_000_000;

const memberships: RingMembership[] = [];
const strange = new Map<StrangeKind, Uint8Array>();

export type StrangeKind = "foreign" | "unsigned" | "ended";

/** A credential that does not make anybody a member: of another authority, changed, or ended long ago. */
export function strangeCredential(kind: StrangeKind): Uint8Array {
  let bytes = strange.get(kind);
  if (bytes === undefined) {
    const authority = kind === "foreign" ? new Draw("another authority").bytes(32) : new Draw("memberships").bytes(32);
    bytes = admitServer(authority, new Draw(`${kind} membership`).bytes, kind === "ended" ? LONG_AGO_S : 0).credential.bytes.slice();
    if (kind === "unsigned") bytes.set(new Draw("no signature").bytes(64), bytes.length - 64);
    strange.set(kind, bytes);
  }
  return bytes;
}

/** Number `n` of one ring, 0 to MEMBERSHIPS - 1; always the same. */
function membership(n: number): RingMembership {
  const draw = new Draw("memberships");
  const authority = draw.bytes(32);
  return (memberships[n] ??= admitServer(authority, new Draw(`membership ${n}`).bytes));
}

export interface ServerEvents {
  log(server: ServerMachine, level: string, event: string, fields: Readonly<Record<string, unknown>>): void;
}

export class ServerMachine extends Machine {
  protected core: ServerCore | null = null;
  readonly membership: RingMembership;
  readonly node: RingNode;
  /** Its node key, one byte a character: their order is that of the ring. */
  readonly key: string;
  /** Its successors, as they were checked last. */
  list: readonly ServerMachine[] = [];
  /** Ring key (latin1) → what its engine has. */
  readonly table = new Map<string, readonly TriggerEntry[]>();
  /** Ring key (latin1) → since when its engine has the way to it, the oldest first. */
  readonly #waysMs = new Map<string, number>();
  /** Counts its starts. */
  life = 0;
  startedMs = 0;
  stoppedMs = -Infinity;
  /** When it stopped without leaving first. */
  crashedMs = -Infinity;
  /** Those whom it tells when it leaves, and who have not yet said that it has. */
  told = new Set<ServerMachine>();
  isLeaving = false;
  /** That it was started with. */
  members: readonly Endpoint[] = [];
  /** Since when it has successors; null: it has none. */
  memberSinceMs: number | null = null;
  readonly #random: Draw;
  readonly #events: ServerEvents;

  constructor(readonly number: number, seed: string, draw: Draw, taken: ReadonlySet<number>, surroundings: Surroundings, events: ServerEvents) {
    super(`server ${number}`, serverEndpoint(number), surroundings);
    let place = draw.below(MEMBERSHIPS);
    while (taken.has(place)) place = draw.below(MEMBERSHIPS);
    this.place = place;
    this.membership = membership(place);
    this.node = { key: this.membership.credential.nodeKey, locator: locatorOf(this.endpoint) };
    this.key = bytesKey(this.node.key);
    this.#random = new Draw(`${seed}/${this.name}`);
    this.#events = events;
  }

  /** Which of the memberships it has. */
  readonly place: number;

  /** With empty memory. `members`: those that it is told of. */
  start(members: readonly Endpoint[]): void {
    const { nowMs } = this.surroundings;
    const engine = new ReferenceEngine();
    this.engine = engine;
    this.table.clear();
    this.#waysMs.clear();
    this.life += 1;
    this.startedMs = nowMs;
    this.isUp = true;
    this.isMute = false;
    this.isLeaving = false;
    this.memberSinceMs = null;
    this.members = members;
    this.core = new ServerCore({
      self: this.node, members: members.map(locatorOf), ring: this.membership,
      datapath: {
        setTriggers: (key, entries) => {
          engine.setTriggers(key, entries);
          const text = Buffer.from(key).toString("latin1");
          if (entries.length === 0) this.table.delete(text);
          else this.table.set(text, entries);
        },
        setLease: (id, lease) => engine.setLease(id, lease),
        setRefreshAnswers: (answers) => engine.setRefreshAnswers(answers),
        setChallengeAnswers: (answers) => engine.setChallengeAnswers(answers),
        setPassOn: (passOn) => engine.setPassOn(passOn),
        setNeighbours: (locators) => engine.setNeighbours(locators),
        takeRefreshed: () => engine.takeRefreshed(),
        setResponsibility: (range) => engine.setResponsibility(range),
        setNextServer: (key, locator) => {
          engine.setNextServer(key, locator);
          const text = Buffer.from(key).toString("latin1");
          this.#waysMs.delete(text);
          if (locator !== null) this.#waysMs.set(text, this.surroundings.nowMs);
        },
        discardRoute: (key) => engine.discardRoute(key),
        send: (datagrams) => engine.send(datagrams),
      },
      limits: LIMITS, random: this.#random.bytes, verify, verifyStep, mac: quickMac, credentials, wallMs: (atMs) => Math.floor(WALL_START_MS + atMs + this.skewMs),
      log: (level, event, fields) => this.#events.log(this, level, event, fields),
    });
    this.core.start(nowMs);
    this.step(null);
  }

  crash(): void {
    if (!this.isLeaving) this.crashedMs = this.surroundings.nowMs;
    this.stop();
    this.core = null;
    this.memberSinceMs = null;
    this.stoppedMs = this.surroundings.nowMs;
  }

  leave(): void {
    this.isLeaving = true;
    this.core?.leave(this.surroundings.nowMs);
    this.step(null);
  }

  /** Whether packets go by a way that should have been forgotten. */
  hasOldWay(nowMs: number): boolean {
    const [oldestMs = Infinity] = this.#waysMs.values();
    return this.isUp && nowMs - oldestMs > ROUTE_LIFE_MS + 1;
  }

  /** It is in the ring, and can be heard. */
  get isMember(): boolean {
    return this.isUp && !this.isMute && !this.isLeaving && this.memberSinceMs !== null;
  }

  get hasLeft(): boolean {
    return this.core?.hasLeft === true;
  }

  get predecessor(): RingNode | null {
    return this.core?.neighbours.predecessor ?? null;
  }

  get successors(): readonly RingNode[] {
    return this.core?.neighbours.successors ?? [];
  }

  /** Sizes of what it keeps. */
  inspect(): ReturnType<ServerCore["inspect"]> | null {
    return this.core?.inspect() ?? null;
  }

  counters(): Readonly<Partial<Record<string, number>>> {
    return this.core?.counters.snapshot() ?? {};
  }
}
