/** Channels of servers in one process and in virtual time, joined by a wire that is recorded and can be cut. */
import { CONTROL_TYPES, decodeControl, encodeControl, makeLocator, sameLocator, type ControlMessage, type ControlType, type Locator, type RingNode } from "@i3/common";

import type { RingMessage } from "../../src/chord/chord.js";
import { ServerCounters } from "../../src/counters.js";
import { Channel } from "../../src/ring/channel.js";
import { admitServer, type RingMembership } from "../../src/ring/credential.js";
import { trailerOf } from "../../src/ring/ring-message.js";
import { randomBytesFrom, seeded } from "../ring-net.js";

export const WALL_MS = 1_800_000_000_000;
export const DELAY_MS = 10;
export const AUTHORITY = new Uint8Array(32).fill(1);
export const OTHER_AUTHORITY = new Uint8Array(32).fill(2);

export interface Datagram {
  readonly atMs: number;
  readonly from: Locator;
  readonly to: Locator;
  readonly bytes: Uint8Array;
}

export const typeOf = ({ bytes }: Pick<Datagram, "bytes">): ControlType =>
  (Object.keys(CONTROL_TYPES) as ControlType[]).find((type) => CONTROL_TYPES[type] === bytes[1]) as ControlType;

export class ChannelNode {
  channel!: Channel;
  counters = new ServerCounters();
  readonly heard: RingMessage[] = [];
  readonly logged: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
  /** What its clock is wrong by. */
  clockErrorMs = 0;
  up = true;
  maxSessions: number | undefined = undefined;
  /** The random part of its epochs; null: random. */
  epochBits: Uint8Array | null = null;

  constructor(readonly net: ChannelNet, readonly locator: Locator, readonly membership: RingMembership) {
    this.start();
  }

  get node(): RingNode {
    return { key: this.membership.credential.nodeKey, locator: this.locator };
  }

  /** For the first time, or again: nothing of before is known. */
  start(): void {
    const { net } = this;
    this.counters = new ServerCounters();
    this.up = true;
    this.channel = new Channel({
      membership: this.membership, random: (length) => (length === 2 ? this.epochBits : null) ?? net.bytes(length), wallMs: (nowMs) => WALL_MS + nowMs + this.clockErrorMs, counters: this.counters,
      log: (_level, event, fields) => this.logged.push({ event, fields }), transmit: (to, bytes) => net.transmit(this.locator, to, bytes),
      ...(this.maxSessions !== undefined && { maxSessions: this.maxSessions }),
    });
    this.channel.start(net.nowMs);
  }

  send(to: ChannelNode, message: ControlMessage, maxBytes = Infinity): void {
    this.channel.send(this.net.nowMs, to.locator, to.node.key, this.net.bytes(8), message, maxBytes);
  }

  /** To whoever is there. */
  sendAt(to: Locator, message: ControlMessage): void {
    this.channel.send(this.net.nowMs, to, null, this.net.bytes(8), message, Infinity);
  }

  notify(to: ChannelNode): void {
    this.send(to, { type: "NOTIFY", from: this.node });
  }

  /** What the channel did with a datagram: the message, or null. */
  take({ from, bytes }: Pick<Datagram, "from" | "bytes">): RingMessage | null {
    const message = this.channel.receive(this.net.nowMs, from, bytes.length, decodeControl(bytes));
    if (message !== null) this.heard.push(message);
    return message;
  }
}

export class ChannelNet {
  nowMs = 0;
  readonly bytes: (length: number) => Uint8Array;
  readonly nodes: ChannelNode[] = [];
  /** Everything that was sent. */
  readonly wire: Datagram[] = [];
  /** Whether a datagram arrives. */
  passes: (datagram: Datagram) => boolean = () => true;
  #flights: Datagram[] = [];

  constructor(seed = 1) {
    this.bytes = randomBytesFrom(seeded(seed));
  }

  static locatorOf(index: number): Locator {
    return makeLocator(Uint8Array.of(10, 1, index >> 8, index & 0xff), 4_000);
  }

  add(authority = AUTHORITY, notAfterS = 0): ChannelNode {
    return this.addMember(admitServer(authority, this.bytes, notAfterS));
  }

  addMember(membership: RingMembership): ChannelNode {
    const node = new ChannelNode(this, ChannelNet.locatorOf(this.nodes.length + 1), membership);
    this.nodes.push(node);
    return node;
  }

  /** Two that have heard each other. */
  pair(): readonly [ChannelNode, ChannelNode] {
    const [a, b] = [this.add(), this.add()];
    a.notify(b);
    this.run(500);
    b.notify(a);
    this.run(500);
    return [a, b];
  }

  transmit(from: Locator, to: Locator, bytes: Uint8Array): void {
    const datagram = { atMs: this.nowMs, from, to, bytes: new Uint8Array(bytes) };
    this.wire.push(datagram);
    if (this.passes(datagram)) this.#flights.push(datagram);
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (;;) {
      const flightMs = (this.#flights[0]?.atMs ?? Infinity) + DELAY_MS;
      const up = this.nodes.filter((node) => node.up);
      const nextMs = Math.max(this.nowMs, Math.min(flightMs, ...up.map(({ channel }) => channel.deadlineMs())));
      if (nextMs > endMs) break;
      this.nowMs = nextMs;
      if (flightMs <= nextMs) this.#land(this.#flights.shift() as Datagram);
      else for (const { channel } of up) if (channel.deadlineMs() <= nextMs) channel.handleTimer(nextMs);
    }
    this.nowMs = endMs;
  }

  #land(datagram: Datagram): void {
    const target = this.nodes.find(({ locator, up }) => up && sameLocator(locator, datagram.to));
    target?.take(datagram);
  }

  /** What was sent since a place in {@link wire}, by type. */
  sent(type: ControlType, since = 0): Datagram[] {
    return this.wire.slice(since).filter((datagram) => typeOf(datagram) === type);
  }
}

export const bare = (message: ControlMessage, nonce: Uint8Array): Uint8Array => encodeControl(message, nonce);

/** Who records everything, and plays it again. */
export const THIEF = makeLocator(Uint8Array.of(198, 51, 100, 9), 5_000);

/** What a receiver that cannot take a message says, or who saw it. */
export function againOf({ bytes }: Datagram): Uint8Array {
  const decoded = decodeControl(bytes);
  return bare({ type: "HELLO_AGAIN", counter: trailerOf(decoded)?.counter ?? 0 }, decoded.nonce);
}
