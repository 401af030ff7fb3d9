/** A server of the ring that a test plays: it speaks through a channel of its own, and says what the test wants. */
import { decodeControl, type ControlMessage, type Locator, type RingNode } from "@i3/common";

import { ServerCounters } from "../src/counters.js";
import { Channel } from "../src/ring/channel.js";
import { admitServer, type RingMembership } from "../src/ring/credential.js";
import { randomBytesFrom, seeded } from "./ring-net.js";

export const RING_AUTHORITY = new Uint8Array(32).fill(0x41);
const random = randomBytesFrom(seeded(4_242));
const PEER_WALL_MS = 1_700_000_000_000;

export const anyMember = (authority = RING_AUTHORITY): RingMembership => admitServer(authority, random);

/** A member whose place on the ring is right for a test: servers do not choose theirs. */
export function memberWhere(holds: (nodeKey: Uint8Array) => boolean): RingMembership {
  for (let i = 0; i < 10_000; i += 1) {
    const member = anyMember();
    if (holds(member.credential.nodeKey)) return member;
  }
  throw new Error("no such place");
}

export class RingPeer {
  readonly node: RingNode;
  /** 153 bytes. */
  readonly credential: Uint8Array;
  readonly counters = new ServerCounters();
  readonly #channel: Channel;
  #out: Uint8Array[] = [];

  constructor(locator: Locator, membership = anyMember(), wallMs = PEER_WALL_MS) {
    this.node = { key: membership.credential.nodeKey, locator };
    this.credential = membership.credential.bytes;
    const transmit = (_to: Locator, bytes: Uint8Array): void => void this.#out.push(bytes);
    this.#channel = new Channel({ membership, random, wallMs: (nowMs) => wallMs + nowMs, counters: this.counters, log: () => undefined, transmit });
    this.#channel.start(0);
  }

  /** What it sends because of a datagram, and the message that it took. */
  take(nowMs: number, from: Locator, bytes: Uint8Array): { readonly message: ControlMessage | null; readonly nonce: Uint8Array; readonly sent: readonly Uint8Array[] } {
    const decoded = decodeControl(bytes);
    const message = this.#channel.receive(nowMs, from, bytes.length, decoded);
    return { message, nonce: decoded.nonce, sent: this.#drain() };
  }

  /** Meets a server, which `exchange` gives a datagram and returns what it says to it. */
  meet(nowMs: number, server: RingNode, exchange: (bytes: Uint8Array) => readonly Uint8Array[]): void {
    this.#channel.setNeighbours(nowMs, [server]);
    for (const hello of this.#drain()) for (const answer of exchange(hello)) this.take(nowMs, server.locator, answer);
  }

  /** The datagram, to a server that it has met. */
  seal(nowMs: number, to: RingNode, message: ControlMessage, nonce: Uint8Array): Uint8Array {
    this.#channel.send(nowMs, to.locator, to.key, nonce, message, Infinity);
    const [bytes, ...more] = this.#drain();
    if (bytes === undefined || more.length > 0) throw new Error(`${more.length + 1} datagrams for a ${message.type}`);
    return bytes;
  }

  #drain(): readonly Uint8Array[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
