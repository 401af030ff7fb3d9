/** A native program's connection to the overlay: the program core on a UDP socket and a timer. Made by connect.ts. */
import { KeyObject, randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";

import { bytesKey, groupId, locatorText, MAX_TRIGGER_STACK, publicId, ringKey, sameBytes, SUFFIX_BYTES, type Locator } from "@i3/common";
import { DATA_FIRST_BYTE } from "@i3/datapath";
import { canProveShortcut, readMembership, signStep, verifyMembership, type HostIdentity, type TriggerKey, type TriggerSigner } from "@i3/hip";

import type { ClientEvent } from "../environment.js";
import { ClientError, refusalError, usageError } from "../errors.js";
import { readId, readPayload, readStack, shortId, shown, type Id, type Payload } from "../program/arguments.js";
import { listConsents, makeConsent, readConsents } from "../program/consent.js";
import { anycastIdOf, Group, type Preference } from "../program/group.js";
import { readMessage, type Message } from "../program/message.js";
import { checkEvent, MAX_TIMEOUT_MS, readFlag, readOptions, readText, readTimeout } from "../program/options.js";
import { OwnKeys, TRIGGERS_PER_KEY } from "../program/own-keys.js";
import { ProgramCore, type ProgramCounters } from "../program/program-core.js";
import type { Receiver } from "../program/receivers.js";
import { ProgramTrigger, type Trigger } from "../program/trigger.js";
import { Turns } from "../program/turns.js";
import { watchAddresses } from "./address-watch.js";
import { openDatagrams, type Datagrams } from "./datagrams.js";
import { ListedServers } from "./listed-servers.js";

/** Triggers of one connection, 128 of one key ({@link OwnKeys}); a server takes 4,096 of one source unless configured otherwise. */
const MAX_TRIGGERS = 1_024;
const DEFAULT_INSERT_MS = 10_000;
/** Insertions under way at once: one costs some ms of processor time here and as much there, and more of them would only be repeated. */
const INSERTIONS_AT_ONCE = 32;
/** Longest search for a near server, which takes 1 to 4 s. */
const DEFAULT_NEAR_MS = 10_000;
/** Longest wait for the servers to take triggers out. */
const CLOSE_MS = 1_000;
/** How long what we sign for ourselves is good: we can always sign anew. */
const OWN_SIGNATURE_MS = 10 * 365 * 86_400_000;

export interface InsertOptions {
  /** Services that what is sent to the id passes first, in this order: their consents for it, at most 3. What comes out of the last of them arrives here. No id that leads elsewhere should be of the same key (README.md). */
  readonly via?: readonly Uint8Array[];
  /** Leads on to these ids, by their consents for it, at most 4, and nothing arrives here. No id that leads elsewhere should be of the same key (README.md). */
  readonly to?: readonly Uint8Array[];
  /** Senders who allow it too are told this machine's address, and send straight to it (docs/wire.md §5.1). Not with `via` or `to`, nor for a host with an RSA key. @default false: the address stays private */
  readonly shortcut?: boolean;
  /** Whose id it is, when it is a host's public id. @default the connection's key */
  readonly identity?: HostIdentity;
  /** How long to wait for a server to take it, ms. @default 10,000 */
  readonly timeoutMs?: number;
}

export interface JoinOptions {
  /** To be chosen by anycast: what this member is good for, the most important first. Left out: multicast, every member gets all. */
  readonly preference?: Preference;
  /** Leads on to these ids, by their consents for the group's id ({@link Group.consent}), at most 4, and nothing arrives here: a branch of a multicast tree. Not with `preference` or `shortcut`. */
  readonly to?: readonly Uint8Array[];
  /** As of {@link InsertOptions}; for the one member that anycast chooses. */
  readonly shortcut?: boolean;
  /** As of {@link InsertOptions}. */
  readonly timeoutMs?: number;
}

export interface ConnectionEvents {
  /** The server that packets without a better way go to now, as `192.0.2.1:5610`; null: none answers, and nothing can be sent. */
  server: [address: string | null];
  /** Nobody has a trigger for an id that was sent to. Not everybody hears so: docs/wire.md §3. */
  "not-present": [id: Uint8Array];
  /** A signed list of so many servers is used from now on; null: there is one that cannot be used, and why. */
  "server-list": [servers: number | null, why: string | null];
  /** The machine has other addresses than before, or servers see it elsewhere; its triggers are being moved. */
  moved: [];
  /** Another program has this connection's key, mostly a `stateDir` that is in use twice, and takes the trigger at this id again and again: what is sent there reaches now this one, now the other. Once in ten minutes for each id. */
  "same-key-elsewhere": [id: Uint8Array];
}

const EVENTS = Object.keys({ server: 1, "not-present": 1, "server-list": 1, moved: 1, "same-key-elsewhere": 1 } satisfies Record<keyof ConnectionEvents, 1>);

export interface ConnectionCounters extends ProgramCounters {
  /** Sends that the system did not take, and datagrams that came faster than they were read. */
  readonly socket: number;
  /** Control messages that answered nothing we had asked. */
  readonly unexpected: number;
  /** Addresses for packets to go straight to that were told and not taken: it cannot be one host's, or who is there has not proven to hold the id. */
  readonly shortcutsFailed: number;
  /** Senders who were not shown that we hold an id, since too many asked; they go on over the servers. */
  readonly proofsRefused: number;
}

export interface KnownServer {
  /** `192.0.2.1:5610`. */
  readonly address: string;
  readonly alive: boolean;
  /** Smoothed round trip, ms; Infinity before the first answer. */
  readonly rttMs: number;
}

type Insertion = (core: ProgramCore, nowMs: number) => void;

/** @internal A signed list of servers, and where a copy of it is kept. */
export interface ListSettings {
  readonly key: Uint8Array;
  readonly file: string | undefined;
  readonly label: string;
  readonly copyFile: string | undefined;
}

/** @internal */
export interface ConnectionSettings {
  readonly servers: readonly Locator[];
  readonly list: ListSettings | undefined;
  readonly key: TriggerKey;
  readonly address: string;
  readonly port: number;
}

/** A program on the overlay. All methods but `close` throw ClientError ERR_I3_CLOSED once it is closed, and ERR_I3_USAGE for arguments that cannot be right. */
export class I3Connection extends EventEmitter<ConnectionEvents> {
  /** Of the connection's key, 32 bytes: what a group's founder admits, {@link Group.admit}. */
  readonly publicKey: Uint8Array;
  readonly #key: TriggerKey;
  readonly #keys: OwnKeys;
  readonly #turns = new Turns(INSERTIONS_AT_ONCE);
  #nearKeyReady: (isFound: boolean) => void = () => undefined;
  #nearSearch: Promise<boolean> | null = null;
  readonly #core: ProgramCore;
  /** By each id of theirs. */
  readonly #triggers = new Map<string, ProgramTrigger>();
  /** Group and preference → the trigger of our membership. */
  readonly #memberships = new Map<string, ProgramTrigger>();
  /** Those that lead away. */
  readonly #chains = new WeakSet<ProgramTrigger>();
  readonly #watch: { close(): void };
  readonly #list: ListedServers | null;
  /** @internal Why the last list was not used. */
  listProblem: string | null = null;
  #listNews: ConnectionEvents["server-list"] | null = null;
  #socket: Datagrams | null = null;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  #closing: Promise<void> | null = null;
  #isClosed = false;
  #settled: () => void = () => undefined;

  private constructor({ key, servers, list }: ConnectionSettings) {
    super();
    (this as unknown as EventEmitter).on("newListener", (event: string | symbol) => checkEvent(event, EVENTS));
    this.#key = key;
    this.#keys = new OwnKeys(key, freshBytes);
    this.publicKey = key.publicKey;
    this.#core = new ProgramCore({ send: (datagrams) => this.#socket?.send(datagrams) ?? false, randomBytes: freshBytes, wallMs: () => Date.now() });
    this.#watch = watchAddresses(() => this.#move());
    for (const locator of servers) this.#core.client.addServer(performance.now(), locator);
    this.#list = list === undefined ? null : this.#listed(list);
    if (this.#list !== null) this.#core.client.setListedServers(performance.now(), this.#list.read());
  }

  #listed({ copyFile, ...config }: ListSettings): ListedServers {
    return new ListedServers({
      config: { ...config, publish: false }, copyFile, wallMs: () => Date.now(), run: (work) => this.#run((core, nowMs) => work(core.client, nowMs)),
      log: (level, _event, { servers, file, why }) => {
        this.listProblem = level === "info" ? null : `${typeof file === "string" ? `${file} ` : ""}${String(why)}`;
        this.#listNews = [level === "info" ? Number(servers) : null, this.listProblem];
        this.emit("server-list", ...this.#listNews);
      },
    });
  }

  /** @internal Use `connect`. */
  static async open(settings: ConnectionSettings): Promise<I3Connection> {
    const connection = new I3Connection(settings);
    try {
      connection.#socket = await openDatagrams(settings.address, settings.port, (from, bytes) => connection.#arrived(from, bytes));
    } catch (error) {
      connection.#watch.close();
      throw error;
    }
    connection.#run((core, nowMs) => core.handleTimer(nowMs));
    connection.#list?.start();
    return connection;
  }

  /** @internal What became of the list before anybody could listen. */
  tellList(): void {
    if (this.#listNews !== null && this.#closing === null) this.emit("server-list", ...this.#listNews);
  }

  /** @internal Resolves when a server has answered. */
  answered(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(new ClientError("ERR_I3_NO_SERVER", "no server has answered")), timeoutMs);
      const done = (error?: ClientError): void => {
        clearTimeout(timer);
        this.off("server", onServer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onServer = (address: string | null): void => {
        if (address !== null) done();
      };
      this.on("server", onServer);
      if (this.#core.client.firstHop() !== null) done();
    });
  }

  /**
   * A private id of this connection, 32 bytes, not yet inserted. Without a label another one each time; with a label always the same, as long as
   * the key is the same (`stateDir`), and 128 of those can be inserted at a time. Nobody can guess it who was not told.
   */
  id(label?: string): Uint8Array {
    return label === undefined ? this.#keys.draw() : this.#keys.labelled(readText("the label", label));
  }

  /**
   * A private id as of {@link id}, at a server near this machine (paper §4.2): what is sent to it makes no detour. The first call looks for one, 1 to 4 s
   * (keys are drawn until the server of one is hardly farther than the nearest); later ones have it at once, but for one in a hundred, for which another
   * key is looked for, as far as the first ids are in use. When none is found in `timeoutMs` it is any id, and the next call looks again. Other keys each time the program starts.
   */
  async nearId(options: { /** ms. @default 10,000 */ readonly timeoutMs?: number } = {}): Promise<Uint8Array> {
    const { timeoutMs = DEFAULT_NEAR_MS } = readOptions("nearId", options, ["timeoutMs"]);
    readTimeout(timeoutMs);
    if (this.#closing !== null) throw closedError();
    const endMs = performance.now() + timeoutMs;
    for (let id = this.#keys.drawNear(); ; id = this.#keys.drawNear()) {
      if (id !== null) return id;
      if (this.#closing !== null) return this.id();
      const isFound = await (this.#nearSearch ??= this.#findNear(endMs - performance.now()).finally(() => (this.#nearSearch = null)));
      if (!isFound) return this.id();
    }
  }

  /** Resolves with whether there is another near key. */
  async #findNear(timeoutMs: number): Promise<boolean> {
    if (this.#takeNearKey()) return true;
    this.#run((core, nowMs) => core.client.wantNearKeys(nowMs, 1));
    return new Promise<boolean>((resolve) => {
      const done = (isFound: boolean): void => {
        clearTimeout(timer);
        this.#nearKeyReady = () => undefined;
        resolve(isFound);
      };
      const timer = setTimeout(() => done(false), timeoutMs);
      this.#nearKeyReady = done;
    });
  }

  /** One that is ready; no other is looked for then. */
  #takeNearKey(): boolean {
    const { client } = this.#core;
    client.wantNearKeys(performance.now(), 0);
    const near = client.takeNearKey(performance.now());
    if (near !== null) this.#keys.addNear(near.key);
    return near !== null;
  }

  /**
   * Inserts a trigger and keeps it alive, whatever server dies and wherever this machine moves, until `remove()` or `close()`. Resolves when a
   * server has it: what is sent to `trigger.id` from then on arrives.
   *
   * Called again for an id with `via` or `to`, before the consents end, it goes on with the later ones, under the same trigger.
   *
   * @param id of {@link id} or {@link nearId}, or the public id of `identity`. @default a new one
   * Rejects with ERR_I3_USAGE (not an id of this key, or inserted already), ERR_I3_NOT_INSERTED, ERR_I3_REFUSED, ERR_I3_FULL, ERR_I3_CLOSED; it is not kept then.
   */
  async insert(id: Id = this.id(), options: InsertOptions = {}): Promise<Trigger> {
    const { via = [], to = [], identity, shortcut = false, timeoutMs = DEFAULT_INSERT_MS } = readOptions("insert", options, ["via", "to", "shortcut", "identity", "timeoutMs"]);
    const own = readId(id);
    listConsents("via", via);
    listConsents("to", to);
    readFlag("shortcut", shortcut);
    readTimeout(timeoutMs);
    if (identity !== undefined && !isIdentity(identity)) throw usageError(`identity is ${shown(identity)}`, "Name what readHostKey(file) gives: a host's key with its private half.");
    const signer: Extract<TriggerSigner, { kind: "host" | "private" }> = identity === undefined ? { kind: "private", key: this.#keys.keyOf(own) ?? this.#key } : { kind: "host", identity };
    if (!sameBytes(ringKey(own), signer.kind === "host" ? ringKey(publicId(signer.identity.hit)) : signer.key.prefix)) {
      throw usageError(`${shortId(own)} is not an id of this connection's keys`, "Insert an id that connection.id() has made; for a host's public id name its identity. With a stateDir or a key it is the same after a restart.");
    }
    if (via.length > 0 && to.length > 0) throw usageError("both via and to are named", "Leave one out: via leads here in the end, to does not.");
    if (shortcut && (via.length + to.length > 0 || !canProveShortcut(signer))) throw usageError("no shortcut can lead to this trigger", "Leave out shortcut: via and to lead elsewhere, and of an RSA key there is no proof for it.");
    if (to.length > 0) return this.#insertChain(own, signer, to, timeoutMs);
    if (via.length > 0) return this.#insertVia(own, signer, via, timeoutMs);
    const trigger = this.#add(own, [own]);
    this.#listen(trigger, (receiver) => this.#core.receivers.set(own, receiver), own, (message) => trigger.deliver(message));
    return this.#untilLive(trigger, timeoutMs, (core, nowMs) => core.client.insertTrigger(nowMs, own, signer, { shortcut }), true);
  }

  async #insertChain(own: Uint8Array, signer: Exclude<TriggerSigner, { kind: "name" }>, to: readonly Uint8Array[], timeoutMs: number): Promise<Trigger> {
    const steps = readConsents(to, own, MAX_TRIGGER_STACK);
    const insert: Insertion = (core, nowMs) => core.client.insertStack(nowMs, own, signer, steps);
    const old = this.#triggers.get(bytesKey(own));
    if (old !== undefined && this.#chains.has(old)) return this.#untilLive(old, timeoutMs, insert, false);
    const trigger = this.#add(own, [own]);
    this.#chains.add(trigger);
    return this.#untilLive(trigger, timeoutMs, insert, true);
  }

  /** The stack ends in an id of ours that only the services are told, of a key that nothing else is of. */
  async #insertVia(own: Uint8Array, signer: Exclude<TriggerSigner, { kind: "name" }>, via: readonly Uint8Array[], timeoutMs: number): Promise<Trigger> {
    const old = this.#triggers.get(bytesKey(own));
    const oldInner = old?.parts[1];
    const inner = oldInner ?? this.#keys.drawInner();
    const innerSigner = { kind: "private", key: this.#keys.keyOf(inner) ?? this.#key } as const;
    const steps = [...readConsents(via, own, MAX_TRIGGER_STACK - 1), signStep(innerSigner, own, inner, secondsOf(Date.now() + OWN_SIGNATURE_MS))];
    const insert: Insertion = (core, nowMs) => {
      core.client.insertTrigger(nowMs, inner, innerSigner);
      core.client.insertStack(nowMs, own, signer, steps);
    };
    if (old !== undefined && oldInner !== undefined) return this.#untilLive(old, timeoutMs, insert, false);
    const trigger = this.#add(own, [own, inner]);
    this.#listen(trigger, (receiver) => this.#core.receivers.set(inner, receiver), inner, (message) => trigger.deliver({ ...message, id: own }));
    return this.#untilLive(trigger, timeoutMs, insert, true);
  }

  /**
   * Joins a group: by its key, or by the certificate (136 bytes) that its founder has made of this connection's `publicKey`. Without a preference
   * what is sent to `group.id` arrives, as at all members (multicast); with one, what {@link anycast} chooses this member for.
   * Called again with a later certificate, before the first ends, it goes on with that, under the same trigger; so does a branch (`to`), with later consents too. A
   * connection is a member once, with or without `to`: another branch of the same group needs another connection. Resolves and rejects as {@link insert}.
   */
  async join(group: Group | Uint8Array, options: JoinOptions = {}): Promise<Trigger> {
    const { preference, to = [], shortcut = false, timeoutMs = DEFAULT_INSERT_MS } = readOptions("join", options, ["preference", "to", "shortcut", "timeoutMs"]);
    listConsents("to", to);
    readFlag("shortcut", shortcut);
    readTimeout(timeoutMs);
    const certificate = group instanceof Group ? group.admit(this.publicKey, new Date(Date.now() + OWN_SIGNATURE_MS)) : group;
    const multicastId = this.#groupOf(certificate);
    if (to.length > 0) {
      if (preference !== undefined || shortcut) throw usageError("a branch has no preference and no shortcut", "Leave it out: what comes for the group goes on to other ids.");
      return this.#insertChain(multicastId, { kind: "member", certificate, key: this.#key }, to, timeoutMs);
    }
    const id = preference === undefined ? multicastId : anycastIdOf(multicastId, preference, freshBytes);
    const membership = membershipKey(multicastId, preference);
    const old = this.#memberships.get(membership);
    if (old !== undefined) return this.#untilLive(old, timeoutMs, (core, nowMs) => core.client.joinGroup(nowMs, old.id, certificate, this.#key, { shortcut }), false);
    const trigger = this.#add(id, [id]);
    this.#listen(trigger, (receiver) => {
      if (preference === undefined) this.#core.receivers.set(id, receiver);
      else if (!this.#core.receivers.setAnycast(id, receiver)) {
        this.#forget(trigger);
        throw usageError("this connection is a member of the group already, with another preference", "Leave the first with remove(), or open another connection.");
      }
    }, id, (message) => trigger.deliver(message));
    this.#memberships.set(membership, trigger);
    trigger.once("removed", () => this.#memberships.delete(membership));
    return this.#untilLive(trigger, timeoutMs, (core, nowMs) => core.client.joinGroup(nowMs, id, certificate, this.#key, { shortcut }), true);
  }

  #groupOf(certificate: Uint8Array): Uint8Array {
    if (!(certificate instanceof Uint8Array) || !verifyMembership(certificate)) {
      throw usageError(certificate instanceof Uint8Array ? "the certificate does not hold" : `the group or certificate is ${shown(certificate)}`, "Name a Group, or a certificate: it is the 136 bytes that the group's founder gets of group.admit(connection.publicKey, notAfter).");
    }
    const { groupKey, memberKey } = readMembership(certificate);
    if (!sameBytes(memberKey, this.publicKey)) throw usageError("the certificate is for another member", "The founder admits this connection's publicKey; with a stateDir or a key that is the same after a restart.");
    return groupId(groupKey, new Uint8Array(SUFFIX_BYTES));
  }

  /**
   * Sends one packet to an id, or along a stack of up to 15: to the first, whose program makes something of it and {@link forward}s it to the next. As
   * with UDP it may be lost, come twice, or out of order, and nobody acknowledges it. Returns false, and counts it, when it was
   * not sent: no server answers now (`noServer`), or so many packets wait for the system that it takes no more (`socket`): go on in a later turn of the event loop.
   * Throws ERR_I3_TOO_LARGE beyond `maxPayloadBytes` (1,184 bytes for one id).
   *
   * `shortcut`: from when the first host is known to allow it too, and can be reached, the packet goes straight there, and shows it this machine's address.
   */
  send(to: Id | readonly Id[], payload: Payload, options: { readonly shortcut?: boolean } = {}): boolean {
    const { shortcut = false } = readOptions("send", options, ["shortcut"]);
    readFlag("shortcut", shortcut);
    const ids = readStack(to);
    const bytes = readPayload(payload, ids.length);
    return this.#send((core, nowMs) => core.send(nowMs, ids, bytes, { shortcut }));
  }

  /**
   * To the one member of an anycast group whose preference has the longest beginning in common with ours; among equals by lot, with unequal shares (README.md). `group`: it, or any id of it.
   * Otherwise as {@link send}.
   */
  anycast(group: Group | Id, payload: Payload, options: { readonly preference?: Preference } = {}): boolean {
    const { preference = "" } = readOptions("anycast", options, ["preference"]);
    const id = anycastIdOf(group instanceof Group ? group.id : readId(group, "the group's id"), preference, freshBytes);
    return this.send(id, payload);
  }

  /** What a service does with what it has made of a message: sends it to the next id of the message's stack, within the message's limits. As {@link send}; throws ERR_I3_USAGE when nothing is left on the stack. */
  forward(message: Message, payload?: Payload): boolean {
    readMessage(message);
    if (message.stack.length === 0) throw usageError("the message ends here: its stack is empty", "Answer with send() to an id that the payload names.");
    const bytes = readPayload(payload ?? message.payload, message.stack.length);
    return this.#send((core, nowMs) => core.forward(nowMs, message, bytes));
  }

  /**
   * A service's consent, in bytes for the other to use as `via` or `to`: until `notAfter`, triggers at `source`, another's id, may lead through
   * `through`, an id of this connection. Nobody's id is put on another's path without it.
   */
  consent(through: Id, source: Id, notAfter: Date): Uint8Array {
    const id = readId(through, "the own id");
    const key = this.#keys.keyOf(id);
    if (key === undefined) throw usageError(`${shortId(id)} is not an id of this connection's keys`, "Consent to what leads through ids of connection.id().");
    return makeConsent({ kind: "private", key }, id, source, notAfter);
  }

  /** The server that packets without a better way go to now, as of the event `server`; null: none answers. */
  server(): string | null {
    const server = this.#core.client.firstHop();
    return server === null ? null : locatorText(server);
  }

  /** The servers that are known, in no order. */
  servers(): readonly KnownServer[] {
    return this.#core.client.servers().map(({ locator, liveness, rttMs }) => ({ address: locatorText(locator), alive: liveness === "alive", rttMs }));
  }

  counters(): ConnectionCounters {
    const { malformed, unexpected } = this.#core.client.counters;
    const { failed, proofsRefused } = this.#core.client.shortcutCounters;
    const { ioError, tooBig } = this.#socket?.drops ?? { ioError: 0, tooBig: 0 };
    return { ...this.#core.counters, malformed: this.#core.counters.malformed + malformed, unexpected, shortcutsFailed: failed, proofsRefused, socket: ioError + tooBig };
  }

  /** Takes all triggers out of the ring, at most 1 s, and frees socket and timer: nothing keeps the process then. Twice is no error. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#watch.close();
    for (const trigger of new Set(this.#triggers.values())) trigger.remove();
    const { client } = this.#core;
    if (client.firstHop() !== null && client.triggers(performance.now()).length > 0) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, CLOSE_MS);
        this.#settled = () => {
          if (client.triggers(performance.now()).length > 0) return;
          clearTimeout(limit);
          resolve();
        };
      });
    }
    this.#isClosed = true;
    this.#list?.close();
    this.#nearKeyReady(false);
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  /** A handle for a trigger of these parts. */
  #add(id: Uint8Array, parts: readonly Uint8Array[]): ProgramTrigger {
    if (this.#closing !== null) throw closedError();
    if (parts.some((part) => this.#triggers.has(bytesKey(part)))) throw usageError(`there is a trigger at ${shortId(id)} already`, "Remove the first with remove(), or insert another id.");
    if (this.#triggers.size + parts.length > MAX_TRIGGERS) throw new ClientError("ERR_I3_FULL", `more than ${MAX_TRIGGERS} triggers of one connection`, { remedy: "Remove some that are no longer used, or open another connection." });
    parts.forEach((part, i) => {
      if (this.#keys.take(part)) return;
      parts.slice(0, i).forEach((taken) => this.#keys.free(taken));
      throw new ClientError("ERR_I3_FULL", `more than ${TRIGGERS_PER_KEY} triggers at ids that begin as ${shortId(part)}, of one key: no server takes more`, {
        remedy: "Remove some of them, or insert ids of connection.id() without a label: those are of several keys. Ids with a label are all of one.",
      });
    });
    const trigger = new ProgramTrigger(id, parts, (removed) => this.#forget(removed));
    for (const part of parts) this.#triggers.set(bytesKey(part), trigger);
    return trigger;
  }

  /** `set` says for what the receiver is; it is taken away with the trigger. */
  #listen(trigger: ProgramTrigger, set: (receiver: Receiver<Message>) => void, id: Uint8Array, receiver: Receiver<Message>): void {
    set(receiver);
    trigger.once("removed", () => this.#core.receivers.delete(id, receiver));
  }

  /** `isNew`: it is not kept when this fails. */
  #untilLive(trigger: ProgramTrigger, timeoutMs: number, insert: Insertion, isNew: boolean): Promise<Trigger> {
    return new Promise((resolve, reject) => {
      let isSettled = false;
      let giveBack = (): void => undefined;
      const timer = setTimeout(() => fail(new ClientError("ERR_I3_NOT_INSERTED", `no server has taken the trigger at ${shortId(trigger.id)} within ${timeoutMs} ms`, {
        remedy: "See servers() of the connection for which of them answer; a ring that has just started, or lost a server, may need some seconds.",
      })), timeoutMs);
      const settle = (): void => {
        isSettled = true;
        clearTimeout(timer);
        trigger.off("live", onLive).off("refused", fail).off("removed", onRemoved);
        giveBack();
      };
      const onLive = (): void => {
        settle();
        resolve(trigger);
      };
      const fail = (error: ClientError): void => {
        settle();
        if (isNew) trigger.remove();
        reject(error);
      };
      const onRemoved = (): void => fail(closedError());
      trigger.on("live", onLive).on("refused", fail).on("removed", onRemoved);
      giveBack = this.#turns.take(() => {
        try {
          this.#run(insert);
          if (!isNew && trigger.live) onLive();
        } catch (cause) {
          fail(usageError("no server would take the trigger", "Look at its key, certificate and consents.", cause));
        }
      });
      if (isSettled) giveBack();
    });
  }

  #forget(trigger: ProgramTrigger): void {
    for (const part of trigger.parts) {
      this.#triggers.delete(bytesKey(part));
      this.#keys.free(part);
    }
    if (!this.#isClosed) this.#run((core, nowMs) => trigger.parts.forEach((part) => core.client.removeTrigger(nowMs, part)));
  }

  #arrived(from: Locator, bytes: Uint8Array): void {
    if (this.#isClosed) return;
    // Of the core a message changes nothing.
    if (bytes[0] === DATA_FIRST_BYTE) this.#core.handleDatagram(performance.now(), from, bytes);
    else this.#run((core, nowMs) => core.handleDatagram(nowMs, from, bytes));
  }

  #send(act: (core: ProgramCore, nowMs: number) => boolean): boolean {
    if (this.#isClosed) throw closedError();
    const isSent = act(this.#core, performance.now());
    if (this.#core.sendDeadlineMs() < this.#timerAtMs) this.#setTimer();
    return isSent;
  }

  #move(): void {
    this.#run((core, nowMs) => core.client.renewTriggers(nowMs));
    this.emit("moved");
  }

  /** Everything that touches the core; what follows from it is told, and the timer is set, even when a listener throws. */
  #run<T>(act: (core: ProgramCore, nowMs: number) => T): T {
    if (this.#isClosed) throw closedError();
    try {
      return act(this.#core, performance.now());
    } finally {
      this.#setTimer();
      for (const event of this.#core.client.takeEvents()) this.#tell(event);
      this.#settled();
    }
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = this.#core.nextDeadlineMs();
    const waitMs = this.#timerAtMs - performance.now();
    this.#timer = waitMs === Infinity ? undefined : setTimeout(() => this.#run((core, nowMs) => core.handleTimer(nowMs)), Math.min(Math.max(0, Math.ceil(waitMs)), MAX_TIMEOUT_MS));
  }

  #tell(event: ClientEvent): void {
    switch (event.kind) {
      case "first-hop": return void this.emit("server", event.server === null ? null : locatorText(event.server));
      case "moved": return void this.emit("moved");
      case "trigger-live": return this.#triggers.get(bytesKey(event.id))?.setLive(event.id);
      case "trigger-lost": return this.#triggers.get(bytesKey(event.id))?.setLost(event.id, event.why);
      case "trigger-refused": return this.#triggers.get(bytesKey(event.id))?.setRefused(refusalError(shortId(event.id), event.code));
      case "trigger-replaced": return void (this.#triggers.get(bytesKey(event.id))?.replacements.add(performance.now()) === true && this.emit("same-key-elsewhere", event.id));
      case "not-present": return void this.emit("not-present", event.id);
      case "near-key": return this.#takeNearKey() ? this.#nearKeyReady(true) : undefined;
      case "record": return this.#list?.handleRecord(event);
      default:
    }
  }
}

const membershipKey = (multicastId: Uint8Array, preference: Preference | undefined): string =>
  `${bytesKey(multicastId)}${preference === undefined ? "" : `/${bytesKey(typeof preference === "string" ? new TextEncoder().encode(preference) : preference)}`}`;

const isIdentity = (identity: Partial<HostIdentity> | null): boolean => identity?.hit instanceof Uint8Array && identity.privateKey instanceof KeyObject;

const freshBytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
const secondsOf = (ms: number): number => Math.floor(ms / 1_000);
const closedError = (): ClientError => new ClientError("ERR_I3_CLOSED", "the connection is closed", { remedy: "Open another one with connect()." });
