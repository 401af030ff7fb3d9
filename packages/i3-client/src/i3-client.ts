/**
 * The i3 client as a core: triggers, server choice by round-trip time, caches (docs/wire.md §4.1, §5; paper §2). Daemons feed it
 * the engine's control upcalls and a timer, and drain its events. No I/O, clock or randomness of its own.
 *
 * After every call: `takeEvents()`, then arm the timer for `nextDeadlineMs()`.
 */
import {
  concatBytes, COOKIE_BYTES, decodeControl, encodeControl, isSameFamily, KEY_KIND, MAX_TRIGGER_STACK, NONCE_BYTES, Pace, sameBytes, TRIGGER_ACTION, WireError,
  type ControlMessage, type DecodedControl, type Locator, type SignedRecord, type StackStep,
} from "@i3/common";
import type { Datagram } from "@i3/datapath";
import { canProveShortcut, keyOwnsId, readMembership, signTrigger, stepOwnsId, verifyStep, type TriggerKey, type TriggerSigner } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import { plausibly } from "./named-places.js";
import { NearIds, type NearKey } from "./near-ids.js";
import { Records } from "./records.js";
import { SenderPaths, WHOLE_LIMITS, type PacketLimits } from "./sender-paths.js";
import { isTooShort, ShortcutAnswers } from "./shortcut-answers.js";
import { Shortcuts } from "./shortcuts.js";
import { Servers, type ServerClock, type ServerStatus } from "./servers.js";
import { TriggerKeeper, type TriggerStatus } from "./trigger-keeper.js";
import { Uplinks, type UplinkCounters, type UplinkPlace } from "./uplinks.js";

// Ours: servers see the same move one after the other.
const MOVED_EVERY_MS = 500;
/** As HIP tells peers of changes. */
const RENEW_EVERY_MS = 200;
/** One change of a machine comes in parts: the address, its route, the other family's. */
const RENEW_AT_ONCE = 3;

export interface ClientCounters {
  /** Datagrams that are not control messages. */
  malformed: number;
  /** Control messages that answer nothing we asked. */
  unexpected: number;
}

export interface ShortcutCounters {
  /** Told addresses that are not used: nobody there has proven to hold the id, or it cannot be one host's. */
  failed: number;
  /** How often a sender was not shown that we hold an id, since too many asked. */
  proofsRefused: number;
}

export interface InsertTriggerOptions {
  /** Senders who allow it too are told our address, and send straight to us (docs/wire.md §5.1). @default false */
  readonly shortcut?: boolean;
}

export interface PathOptions {
  /** If the receiver allows it too: our packets go straight there, and show it our address. @default false */
  readonly shortcut?: boolean;
}

export class I3Client {
  readonly counters: ClientCounters = { malformed: 0, unexpected: 0 };
  readonly shortcutCounters: ShortcutCounters = { failed: 0, proofsRefused: 0 };
  readonly #servers: Servers;
  readonly #triggers: TriggerKeeper;
  readonly #paths: SenderPaths;
  readonly #shortcuts: Shortcuts;
  readonly #shortcutAnswers: ShortcutAnswers;
  readonly #records: Records;
  readonly #nearIds: NearIds;
  readonly #uplinks: Uplinks;
  readonly #sign: typeof signTrigger;
  readonly #events: ClientEvent[] = [];
  readonly #renewing = new Pace(RENEW_EVERY_MS, RENEW_AT_ONCE);
  /** Those that are being signed too. */
  #renewsAsked = false;
  /** Of questions to all servers that have triggers of ours; and of what is told. */
  readonly #asking = new Pace(MOVED_EVERY_MS);
  readonly #moving = new Pace(MOVED_EVERY_MS);
  #movedBy: Locator | null = null;
  #isDetoured = false;
  #nowMs = 0;
  #firstHop: Locator | null = null;

  constructor(environment: ClientEnvironment) {
    this.#sign = environment.signTrigger ?? signTrigger;
    const owner = {
      emit: (event: ClientEvent) => {
        this.#events.push(event);
        if (event.kind === "not-present") this.#shortcuts.notPresent(event.id);
        else if (event.kind === "path-changed") this.#shortcuts.pathChanged(event.id);
      },
      firstHop: () => this.#servers.firstHop(),
      servers: () => this.#servers.listFamily(),
      leaveFamily: () => this.#servers.leaveFamily(this.#nowMs),
      isTrusted: (locator: Locator) => this.#servers.isTrusted(locator),
      witness: (besides: readonly Locator[]) => this.#servers.witness(besides),
      answers: (nowMs: number, locator: Locator) => this.#servers.answers(nowMs, locator),
      learn: (locator: Locator) => {
        this.#servers.add(this.#nowMs, locator, false);
        this.#servers.hurry(locator);
      },
    };
    this.#triggers = new TriggerKeeper(environment, owner);
    this.#paths = new SenderPaths(environment, { ...owner, isAskedApart: (id) => this.#shortcuts.asksFor(id) });
    this.#shortcuts = new Shortcuts(environment, {
      ...owner, serverOf: (id) => this.#paths.serverOf(id), named: (nowMs, id, server) => this.#paths.named(nowMs, id, server), onFailed: () => void (this.shortcutCounters.failed += 1),
    });
    this.#shortcutAnswers = new ShortcutAnswers(environment, (id) => this.#triggers.shortcutAt(id), () => void (this.shortcutCounters.proofsRefused += 1));
    this.#records = new Records(environment, owner);
    this.#nearIds = new NearIds(environment, owner);
    this.#servers = new Servers(environment, (locator) => this.#triggers.isNeeded(locator) || this.#paths.isNeeded(locator), (locator) => this.#paths.isCarriedBy(locator));
    this.#uplinks = new Uplinks(environment, {
      servers: () => this.#servers.nearestFirst(), isDetoured: () => this.#isDetoured, isSilent: () => this.#servers.isSilent || this.#isDetoured, roundTripMs: () => this.#servers.roundTripMs(),
      heard: (nowMs, server) => {
        this.#servers.heard(nowMs);
        if (this.#isDetoured) this.#events.push({ kind: "udp", server });
      },
      changed: (nowMs, interfaceIndex, why, leads) => {
        this.#servers.askAnew(nowMs, leads);
        this.#settle(nowMs);
        // Answers to what is under way go to the interface that was left.
        this.renewTriggers(nowMs, true);
        this.#events.push({ kind: "uplink", interfaceIndex, why });
      },
    });
  }

  addServer(nowMs: number, locator: Locator): void {
    this.#servers.add(nowMs, locator, true);
  }

  /** The servers of a signed list: as good as configured ones, until they are in the next list no more. */
  setListedServers(nowMs: number, locators: readonly Locator[]): void {
    this.#servers.setListed(nowMs, locators);
  }

  /** A trigger from `id` to this host, kept alive until {@link removeTrigger}. Called again with another `shortcut` it is signed anew. Throws RangeError for a shortcut to a name, or with an RSA key; as of all that keep a trigger, ClientError ERR_I3_FULL beyond 65,536. */
  insertTrigger(nowMs: number, id: Uint8Array, signer: TriggerSigner, { shortcut = false }: InsertTriggerOptions = {}): void {
    if (shortcut && !canProveShortcut(signer)) throw new RangeError("no shortcuts to names, nor with RSA keys");
    this.#triggers.insert(nowMs, id, signer, [], shortcut);
  }

  /**
   * A trigger of a group (docs/wire.md §2) from `id` to this host, beside those of its other members; kept until {@link leaveGroup}. Called again
   * with a later certificate (136 bytes, certifyMember of @i3/hip) it goes on under that one. Packets come with the id that they were sent to, which
   * for anycast is another one: take them by that id (setInbound), or lead them on to a private id ({@link insertStack}). Throws RangeError unless all three belong together.
   */
  joinGroup(nowMs: number, id: Uint8Array, certificate: Uint8Array, key: TriggerKey, { shortcut = false }: InsertTriggerOptions = {}): void {
    if (!keyOwnsId(KEY_KIND.groupMember, certificate, id)) throw new RangeError("not a certificate of the group that the id is of");
    if (!sameBytes(readMembership(certificate).memberKey, key.publicKey)) throw new RangeError("a certificate for another member's key");
    this.#triggers.insert(nowMs, id, { kind: "member", certificate: certificate.slice(), key }, [], shortcut);
  }

  leaveGroup(nowMs: number, id: Uint8Array): void {
    this.#triggers.remove(nowMs, id);
  }

  /**
   * A trigger from `id` on to other ids: what comes for `id` goes to the first step's, with the others behind it. Of each id the key has agreed
   * (signStep of @i3/hip); called again with later steps it goes on with those. Kept until {@link removeTrigger}. Throws RangeError for steps
   * that a server would refuse, and when there are more than 4 or their keys are too long for one datagram.
   */
  insertStack(nowMs: number, id: Uint8Array, signer: Exclude<TriggerSigner, { kind: "name" }>, steps: readonly StackStep[]): void {
    if (steps.length < 1 || steps.length > MAX_TRIGGER_STACK) throw new RangeError(`a stack of ${steps.length} ids`);
    const strange = steps.findIndex((step) => !stepOwnsId(step) || !verifyStep(step, id));
    if (strange >= 0) throw new RangeError(`step ${strange + 1} is not signed for this id by the key of its own`);
    if (!fitsDatagram(this.#sign, id, signer, steps)) throw new RangeError("keys and signatures of the steps are longer than a control datagram");
    this.#triggers.insert(nowMs, id, signer, [...steps]);
  }

  removeTrigger(nowMs: number, id: Uint8Array): void {
    this.#triggers.remove(nowMs, id);
  }

  /**
   * Our address may have changed: every trigger is signed again with the new one, five times a second at most.
   * @param isAskedAgain also those that are being signed: servers answer to where we are no more
   */
  renewTriggers(nowMs: number, isAskedAgain = false): void {
    this.#renewing.wish();
    this.#renewsAsked ||= isAskedAgain;
    this.#renew(nowMs);
  }

  #renew(nowMs: number): void {
    if (!this.#renewing.take(nowMs)) return;
    this.#triggers.renewAll(nowMs, this.#renewsAsked);
    this.#renewsAsked = false;
    this.#shortcuts.moved();
  }

  /** The interfaces by which this host sends, those that the system prefers first: servers are sought by all of them when none answers. @default none, the system chooses alone */
  setUplinks(nowMs: number, places: readonly UplinkPlace[]): void {
    this.#uplinks.setPlaces(nowMs, places);
  }

  /** Servers answer by TCP from now on (docs/wire.md §10), or do not: an interface by which they answer over UDP is sought meanwhile. */
  setDetoured(nowMs: number, isDetoured: boolean): void {
    this.#isDetoured = isDetoured;
    this.#uplinks.look(nowMs);
  }

  /** Packets go by UDP again, and this server has answered so: those of the other family have by TCP, which says nothing of UDP, and count as dead. */
  leftDetour(nowMs: number, answered: Locator): void {
    this.#servers.askAnew(nowMs, (locator) => isSameFamily(locator, answered));
    this.#settle(nowMs);
  }

  get uplinkCounters(): UplinkCounters {
    return this.#uplinks.counters;
  }

  /** Keeps a signed record (docs/wire.md §4.3) in the ring until its end. A newer one takes the place of an older. Throws WireError, and RangeError beyond 64. */
  keepRecord(nowMs: number, bytes: Uint8Array): SignedRecord {
    return this.#records.keep(nowMs, bytes);
  }

  /** The record of this ring key (16 bytes, `recordKey`) is put no more, and ends by itself within the hour. */
  dropRecord(ringKey: Uint8Array): void {
    this.#records.drop(ringKey);
  }

  /** Ends in an event `record`. `leastSequence`: what is older is no answer. Throws RangeError beyond 64 at a time. */
  findRecord(nowMs: number, ringKey: Uint8Array, leastSequence = 0): void {
    this.#records.find(nowMs, ringKey, leastSequence);
  }

  /** Keeps `count` keys (at most 16) ready whose private ids live at near servers: LOCATE and PING find them, in the background (paper §4.2). */
  wantNearKeys(nowMs: number, count: number): void {
    this.#nearIds.want(nowMs, count);
  }

  /** One of them, for this caller alone; null: none is ready, and any key will do. */
  takeNearKey(nowMs: number): NearKey | null {
    return this.#nearIds.take(nowMs);
  }

  /** `shortcut`: as {@link allowShortcut}. */
  openPath(id: Uint8Array, { shortcut = false }: PathOptions = {}): boolean {
    if (!this.#paths.open(id)) return false;
    if (shortcut) this.#shortcuts.allow(id, true);
    return true;
  }

  closePath(id: Uint8Array): void {
    this.#paths.close(id);
    if (!this.#paths.isOpen(id)) this.#shortcuts.close(id);
  }

  /** Whether packets of {@link packetTo} on an open path may go straight to the receiver, if that allows it too; of 256 paths at a time. Without it they go over i3 from the next one on. */
  allowShortcut(id: Uint8Array, isAllowed: boolean): void {
    if (this.#paths.isOpen(id)) this.#shortcuts.allow(id, isAllowed);
  }

  /** Where packets on an open path go straight now; null: over i3. */
  shortcutOf(id: Uint8Array): Locator | null {
    return this.#shortcuts.targetOf(id);
  }

  /** Of {@link nextDeadlineMs}, what {@link allowShortcut} can bring forward. */
  shortcutDeadlineMs(): number {
    return this.#shortcuts.nextDeadlineMs();
  }

  /** The data header (docs/wire.md §3) for packets to an open path; new after each `path-changed`. */
  pathHeader(id: Uint8Array, payloadKind: number): Uint8Array {
    return this.#paths.header(id, payloadKind);
  }

  /** One packet of ours to an id, on its path if that is open, straight if that has a shortcut, otherwise by the first-hop server; null: there is none now. */
  packetTo(id: Uint8Array, payloadKind: number, payload: Uint8Array): Datagram | null {
    return this.packetAlong([id], payloadKind, payload);
  }

  /** The same along a stack of 1 to 15 ids (paper §2): to the first, and from there, with the others, to where its host sends it on. */
  packetAlong(ids: readonly Uint8Array[], payloadKind: number, payload: Uint8Array, limits: PacketLimits = WHOLE_LIMITS): Datagram | null {
    const [head] = ids;
    if (head === undefined) throw new RangeError("a stack of no ids");
    const locator = this.shortcutOf(head) ?? this.serverOfPath(head);
    return locator === null ? null : { locator, bytes: concatBytes(this.#paths.headerOnce(ids, payloadKind, limits), payload) };
  }

  setPathActive(id: Uint8Array, active: boolean): void {
    this.#paths.setActive(id, active);
    this.#shortcuts.setActive(id, active);
  }

  /** The server that packets to an id go to now. */
  serverOfPath(id: Uint8Array): Locator | null {
    return this.#paths.serverOf(id) ?? this.#servers.firstHop();
  }

  firstHop(): Locator | null {
    return this.#servers.firstHop();
  }

  /** Of the configured servers that are not dead, against ours. */
  clocks(): readonly ServerClock[] {
    return this.#servers.clocks();
  }

  servers(): readonly ServerStatus[] {
    return this.#servers.list();
  }

  /** Those that are configured or listed. */
  configuredServers(): readonly Locator[] {
    return this.#servers.configured();
  }

  /** To the nearest server that lives, ms; Infinity: none does. */
  roundTripMs(): number {
    return this.#servers.roundTripMs();
  }

  triggers(nowMs: number): readonly TriggerStatus[] {
    return this.#triggers.list(nowMs);
  }

  /** Any bytes that begin like a control message. */
  handleControl(nowMs: number, from: Locator, bytes: Uint8Array): void {
    const decoded = this.decode(bytes);
    if (decoded !== null) this.handleDecoded(nowMs, from, decoded);
  }

  /** Null: it is none, or its answer could be longer than it is; counted. For an owner who has messages of its own, and gives the others to {@link handleDecoded}. */
  decode(bytes: Uint8Array): DecodedControl | null {
    try {
      const decoded = decodeControl(bytes);
      if (!isTooShort(decoded.message, bytes.length)) return decoded;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
    this.counters.malformed += 1;
    return null;
  }

  /**
   * False: it answers nothing that was asked of this server.
   * @param cameByTcp it came by TCP (docs/wire.md §10), so it tells of no interface
   */
  handleDecoded(nowMs: number, from: Locator, { message, nonce }: DecodedControl, cameByTcp = false): boolean {
    this.#nowMs = nowMs;
    const said = plausibly(message, from);
    const handled = said !== null && this.#handle(nowMs, from, nonce, said, cameByTcp);
    if (!handled) this.counters.unexpected += 1;
    this.#settle(nowMs);
    return handled;
  }

  #handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage, cameByTcp: boolean): boolean {
    if (message.type === "PONG") return (!cameByTcp && this.#uplinks.handlePong(nowMs, from, nonce)) || this.#servers.handlePong(nowMs, from, nonce, message) || this.#triggers.handlePong(nowMs, from, nonce);
    return [this.#triggers, this.#paths, this.#shortcuts, this.#shortcutAnswers, this.#records, this.#nearIds].some((part) => part.handle(nowMs, from, nonce, message));
  }

  handleTimer(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#servers.handleTimer(nowMs);
    this.#uplinks.handleTimer(nowMs);
    this.#settle(nowMs);
    this.#renew(nowMs);
    this.#triggers.handleTimer(nowMs);
    this.#paths.handleTimer(nowMs);
    this.#shortcuts.handleTimer(nowMs);
    this.#records.handleTimer(nowMs);
    this.#nearIds.handleTimer(nowMs);
    // A path that has lost its server goes by another now, which is asked more often than before.
    if (this.#servers.nextDeadlineMs() <= nowMs) this.#servers.handleTimer(nowMs);
  }

  /** On the clock of `nowMs`. */
  nextDeadlineMs(): number {
    return Math.min(this.#servers.nextDeadlineMs(), this.#uplinks.nextDeadlineMs(), this.#triggers.nextDeadlineMs(), this.#paths.nextDeadlineMs(), this.#shortcuts.nextDeadlineMs(), this.#records.nextDeadlineMs(), this.#nearIds.nextDeadlineMs(), this.#asking.dueMs(), this.#moving.dueMs(), this.#renewing.dueMs());
  }

  takeEvents(): readonly ClientEvent[] {
    return this.#events.splice(0);
  }

  /** Where servers see us. When one sees us elsewhere than before, the others that have triggers of ours are asked at once. */
  #look(nowMs: number): void {
    for (const observation of this.#servers.takeObserved()) {
      this.#triggers.seen(observation);
      if (observation.isOther) this.#asking.wish();
    }
    for (const server of this.#triggers.signAstray(nowMs)) {
      this.#movedBy = server;
      this.#moving.wish();
    }
    if (this.#asking.take(nowMs)) for (const server of this.#triggers.servers()) {
      this.#servers.add(nowMs, server, false);
      this.#servers.ask(nowMs, server);
    }
    if (this.#movedBy === null || !this.#moving.take(nowMs)) return;
    this.#shortcuts.moved();
    this.#events.push({ kind: "moved", server: this.#movedBy });
  }

  /** Lets triggers and paths react to servers that came or went. */
  #settle(nowMs: number): void {
    this.#uplinks.look(nowMs);
    for (const locator of this.#servers.takeDied()) {
      this.#triggers.serverDied(nowMs, locator);
      this.#paths.serverDied(locator);
    }
    for (const locator of this.#servers.takeAnswered()) this.#paths.serverAnswered(nowMs, locator);
    this.#look(nowMs);
    const firstHop = this.#servers.firstHop();
    if (firstHop === this.#firstHop) return;
    this.#firstHop = firstHop;
    if (firstHop !== null) this.#triggers.firstHopChanged(nowMs);
    this.#events.push({ kind: "first-hop", server: firstHop });
  }
}

function fitsDatagram(sign: typeof signTrigger, id: Uint8Array, signer: TriggerSigner, steps: readonly StackStep[]): boolean {
  const trigger = { action: TRIGGER_ACTION.insert, id, target: { steps }, flags: 0xffff, counter: Number.MAX_SAFE_INTEGER, commitment: new Uint8Array(16), cookie: new Uint8Array(COOKIE_BYTES) };
  try {
    encodeControl(sign(signer, trigger, new Uint8Array(16)), new Uint8Array(NONCE_BYTES));
    return true;
  } catch (error) {
    if (error instanceof WireError) return false;
    throw error;
  }
}
