/**
 * What must hold of every datagram between a server and those who are no servers (docs/wire.md §4, §4.1), judged by the wire alone:
 *
 * - no answer is larger than the request whose nonce it has, and to an address that has not proved itself no more is sent than came from it;
 * - a trigger is taken only as its owner signed and sent it, with a cookie that this server gave to that address in the last 30 s, and with a newer counter;
 * - it is refreshed only by a token that its owner sent;
 * - who has no credential of the ring is not spoken to as a server;
 * - a packet goes to a host only by a trigger that a server has acknowledged to that address, and that has neither ended nor been removed there.
 */
import { bytesKey, CONTROL_HEADER_BYTES, decodeControl, isTriggerStack, KEY_KIND, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage } from "@i3/common";
import { readMembership } from "@i3/hip";

import { endpointText, type Endpoint } from "./endpoints.js";
import type { ServerMachine } from "./server-machine.js";
import { CheckFailed } from "./trace.js";

// Of docs/wire.md §4.1:
const COOKIE_LIFE_MS = 30_000;
const TRIGGER_LIFE_MS = 30_000;
const COUNTER_MEMORY_MS = 60_000;
/** An address that answered a challenge is proved for so long: as long as what it proved for can live. */
const PROOF_MS = COOKIE_LIFE_MS + TRIGGER_LIFE_MS;

const CONTROL = 0x19;
const DATA = 0x11;
const NONCE_AT = 8;
const DATA_ID_AT = 16;
const TYPE = { challenge: 6, trigger: 7, triggerOk: 8, refresh: 9, helloYes: 41 } as const;

interface Request {
  /** The longest that came with this nonce. */
  bytes: number;
  /** TRIGGER or REFRESH. */
  message: Uint8Array | null;
}

interface Grant {
  readonly to: Endpoint;
  /** It leads to other ids: its owner gets nothing by it. */
  readonly isStack: boolean;
  readonly atMs: number;
  readonly untilMs: number;
}

/** What a server in one life has acknowledged of an id. */
interface Said {
  counter: number;
  action: number;
  atMs: number;
  /** Where its owner is; null: removed. */
  to: Endpoint | null;
  isStack: boolean;
  isReplica: boolean;
  signature: string;
}

interface Peer {
  readonly requests: Map<string, Request>;
  /** Bytes that came less bytes that went, while it was not proved. */
  credit: number;
  provedUntilMs: number;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
const bodyOf = (bytes: Uint8Array): string => latin1(bytes.subarray(CONTROL_HEADER_BYTES));
const nonceOf = (bytes: Uint8Array): string => bytesKey(bytes.subarray(NONCE_AT, NONCE_AT + 8));

const fail = (checker: string, message: string): never => {
  throw new CheckFailed(checker, message);
};

export class WireChecks {
  /** Server, its life and the other's address → what passed between them. */
  readonly #peers = new Map<string, Peer>();
  /** Cookie → to whom it was given, by whom and when. */
  readonly #cookies = new Map<string, { readonly by: string; readonly to: Endpoint; readonly atMs: number }>();
  readonly #placed: (server: ServerMachine, ringKey: string) => void;
  /** Bodies of the triggers that owners have signed. */
  readonly #signed = new Set<string>();
  /** Ids and tokens that owners have shown. */
  readonly #tokens = new Set<string>();
  /** Nonces of those who have shown a credential that is worth nothing. */
  readonly #noMembers = new Set<string>();
  /** Ring key → id, and of a group's trigger the member → what servers granted. */
  readonly #grants = new Map<string, Map<string, Grant[]>>();
  /** Server's life, id and member → what it last said. */
  readonly #said = new Map<string, Said>();

  /** @param placed told when a server acknowledges a trigger, which is no replica, with this ring key (latin1) */
  constructor(placed: (server: ServerMachine, ringKey: string) => void) {
    this.#placed = placed;
  }

  /** A client sent this. */
  clientSent(bytes: Uint8Array): void {
    if (bytes[0] !== CONTROL) return;
    if (bytes[1] === TYPE.trigger) this.#signed.add(bodyOf(bytes));
    if (bytes[1] === TYPE.refresh) this.#tokens.add(tokenOf(decodeControl(bytes).message));
  }

  /** A HELLO with this nonce comes from somebody who is no member. */
  noMember(nonce: Uint8Array): void {
    this.#noMembers.add(bytesKey(nonce));
  }

  /** A server that hears got this from somebody who is no server. */
  serverGot(nowMs: number, server: ServerMachine, from: Endpoint, bytes: Uint8Array): void {
    const peer = this.#peer(server, from);
    peer.credit += bytes.length;
    if (bytes.length < NONCE_AT + 8) return;
    const nonce = nonceOf(bytes);
    const request = peer.requests.get(nonce);
    const message = bytes[0] === CONTROL && (bytes[1] === TYPE.trigger || bytes[1] === TYPE.refresh) ? bytes : null;
    if (request === undefined) peer.requests.set(nonce, { bytes: bytes.length, message });
    else {
      request.bytes = Math.max(request.bytes, bytes.length);
      request.message = message ?? request.message;
    }
    if (message?.[1] === TYPE.trigger && this.#hasCookie(nowMs, server, from, message)) peer.provedUntilMs = nowMs + PROOF_MS;
  }

  /** A server sends this to somebody who is no server. */
  serverSent(nowMs: number, server: ServerMachine, to: Endpoint, bytes: Uint8Array): void {
    if (bytes[0] === DATA) return this.#delivers(nowMs, server, to, bytes);
    if (bytes[0] !== CONTROL) return;
    const peer = this.#peer(server, to);
    const request = peer.requests.get(nonceOf(bytes));
    const what = `${server.name} sends ${bytes.length} bytes of control type ${bytes[1]} to ${endpointText(to)}`;
    if (request === undefined) return fail("amplification", `${what}, which did not ask`);
    if (bytes.length > request.bytes) fail("amplification", `${what}, which asked with ${request.bytes}`);
    if (bytes[1] === TYPE.helloYes && this.#noMembers.has(nonceOf(bytes))) fail("no-member", `${what}, which has no credential of this ring`);
    if (bytes[1] === TYPE.challenge || bytes[1] === TYPE.triggerOk) this.#learn(nowMs, server, to, peer, request, decodeControl(bytes).message);
    if (peer.provedUntilMs > nowMs) return;
    peer.credit -= bytes.length;
    if (peer.credit < 0) fail("amplification", `${what}, which is not proved and has sent ${-peer.credit} bytes less than it got`);
  }

  /**
   * Whether this server has in this life acknowledged a trigger with this id (bytesKey), that nobody has removed there since and whose life has not ended.
   * `to`: one that leads to this address; null: one that leads on to ids. @default any
   */
  isAcknowledged(nowMs: number, server: ServerMachine, id: string, to?: Endpoint | null): boolean {
    for (const name of this.#grants.get(id.slice(0, 16))?.keys() ?? []) {
      const said = name.startsWith(id) ? this.#said.get(`${lifeOf(server)} ${name}`) : undefined;
      if (said === undefined || said.to === null || nowMs - said.atMs > TRIGGER_LIFE_MS + 1) continue;
      if (to === undefined || (to === null ? said.isStack : !said.isStack && said.to === to)) return true;
    }
    return false;
  }

  /** How many ids are known to have been granted. */
  get ids(): number {
    let ids = 0;
    for (const group of this.#grants.values()) ids += group.size;
    return ids;
  }

  #learn(nowMs: number, server: ServerMachine, to: Endpoint, peer: Peer, request: Request, answer: ControlMessage): void {
    if (answer.type === "CHALLENGE") {
      this.#cookies.set(latin1(answer.cookie), { by: lifeOf(server), to, atMs: nowMs });
      return;
    }
    if (answer.type !== "TRIGGER_OK") return;
    const what = `${server.name} acknowledges a trigger to ${endpointText(to)}`;
    if (request.message === null) return fail("unasked-trigger", `${what}, which sent none`);
    const asked = decodeControl(request.message).message;
    const name = latin1(answer.id) + memberOf(asked);
    const key = `${lifeOf(server)} ${name}`;
    const said = this.#said.get(key);
    if (asked.type === "TRIGGER") {
      if (!this.#signed.has(bodyOf(request.message))) fail("forged-trigger", `${what} that its owner has not signed`);
      if (!this.#hasCookie(nowMs, server, to, request.message)) fail("cookie", `${what} with a cookie that it did not give it in the last 30 s`);
      const signature = latin1(asked.signature);
      const isRemembered = said !== undefined && nowMs - said.atMs < COUNTER_MEMORY_MS;
      if (isRemembered && asked.counter < said.counter) fail("old-counter", `${what} with counter ${asked.counter} after ${said.counter}`);
      if (isRemembered && asked.counter === said.counter && signature !== said.signature) fail("old-counter", `${what} with a counter that it has had`);
      this.#said.set(key, { counter: asked.counter, action: asked.action, atMs: nowMs, to: asked.action === TRIGGER_ACTION.insert ? to : null, isStack: isTriggerStack(asked.target), isReplica: (asked.flags & TRIGGER_FLAG.replica) !== 0, signature });
    } else {
      if (!this.#isGranted(nowMs, server, to, name)) return fail("refreshed-nothing", `${what} that it does not have`);
      if (!this.#tokens.has(tokenOf(asked))) fail("forged-refresh", `${what} for a token that its owner has not shown`);
      if (said !== undefined) said.atMs = nowMs;
    }
    if (answer.lifeMs > TRIGGER_LIFE_MS) fail("trigger-life", `${what} for ${answer.lifeMs} ms`);
    peer.provedUntilMs = nowMs + PROOF_MS;
    const { isStack = false, isReplica = true } = this.#said.get(key) ?? {};
    if (!isReplica && answer.action === TRIGGER_ACTION.insert) this.#placed(server, name.slice(0, 16));
    if (answer.action === TRIGGER_ACTION.insert) this.#grant(name, { to, isStack, atMs: nowMs, untilMs: nowMs + answer.lifeMs + 1 });
  }

  #grant(name: string, grant: Grant): void {
    const ringKey = name.slice(0, 16);
    const group = this.#grants.get(ringKey) ?? new Map<string, Grant[]>();
    this.#grants.set(ringKey, group);
    group.set(name, [...(group.get(name) ?? []).filter(({ untilMs }) => untilMs >= grant.atMs), grant]);
  }

  /** A packet leaves with the id that its sender named, which shares 128 bits with the trigger's. */
  #delivers(nowMs: number, server: ServerMachine, to: Endpoint, bytes: Uint8Array): void {
    for (const name of this.#grants.get(latin1(bytes.subarray(DATA_ID_AT, DATA_ID_AT + 16)))?.keys() ?? []) if (this.#isGranted(nowMs, server, to, name, false)) return;
    fail("no-trigger", `${server.name} sends a packet to ${endpointText(to)}, which has no trigger for it`);
  }

  /** What the server said itself counts, until another server has granted it anew. `isStack`: only of those that lead to ids, or do not. */
  #isGranted(nowMs: number, server: ServerMachine, to: Endpoint, name: string, isStack?: boolean): boolean {
    const said = this.#said.get(`${lifeOf(server)} ${name}`);
    const grants = this.#grants.get(name.slice(0, 16))?.get(name) ?? [];
    return grants.some((grant) => grant.to === to && (isStack === undefined || grant.isStack === isStack) && grant.untilMs >= nowMs && (said === undefined || (said.to === to ? grant.atMs >= said.atMs : grant.atMs > said.atMs)));
  }

  #hasCookie(nowMs: number, server: ServerMachine, from: Endpoint, bytes: Uint8Array): boolean {
    let message: ControlMessage;
    try {
      ({ message } = decodeControl(bytes));
    } catch {
      return false;
    }
    const given = message.type === "TRIGGER" ? this.#cookies.get(latin1(message.cookie)) : undefined;
    return given !== undefined && given.by === lifeOf(server) && given.to === from && nowMs - given.atMs <= COOKIE_LIFE_MS + 1;
  }

  #peer(server: ServerMachine, other: Endpoint): Peer {
    const key = `${lifeOf(server)} ${other}`;
    let peer = this.#peers.get(key);
    if (peer === undefined) this.#peers.set(key, (peer = { requests: new Map(), credit: 0, provedUntilMs: -Infinity }));
    return peer;
  }
}

const lifeOf = ({ number, life }: ServerMachine): string => `${number}.${life}`;

const tokenOf = (message: ControlMessage): string => (message.type === "REFRESH" ? `${message.index} ${latin1(message.id)}${latin1(message.token)}` : "");

/** Of a group's trigger, the member that asks; otherwise empty. */
function memberOf(message: ControlMessage): string {
  if (message.type === "TRIGGER") return message.keyKind === KEY_KIND.groupMember ? latin1(readMembership(message.publicKey).memberKey) : "";
  return message.type === "REFRESH" && message.member !== null ? latin1(message.member) : "";
}
