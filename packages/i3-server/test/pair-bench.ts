/** A {@link ServerBench} with a ring of two, or three, of which the test plays the others. */
import { decodeControl, isRingMessage, makeLocator, sameLocator, type ControlMessage, type RingNode } from "@i3/common";
import type { Datagram, Upcall } from "@i3/datapath";

import type { ServerCoreInit } from "../src/index.js";
import { anyMember, RingPeer } from "./ring-peer.js";
import { ServerBench } from "./server-bench.js";

export const MEMBER = makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000);
export const RING = anyMember();

/** A server that has one neighbour, which the test plays. */
export class PairBench extends ServerBench {
  readonly played: RingPeer;
  isPeerSilent = false;
  /** A second neighbour, between the server and the first, when it is there. */
  newcomer: RingPeer | null = null;

  /** `joins`: through the neighbour, its configured member; otherwise it was there first, and the neighbour has joined. */
  constructor(init: Partial<ServerCoreInit> = {}, joins = false) {
    super({ ring: RING, ...(joins && { members: [MEMBER] }), ...init });
    this.played = new RingPeer(MEMBER);
    if (!joins) this.ring(this.played, { type: "NOTIFY", from: this.peer });
    this.playPeer();
  }

  get peer(): RingNode {
    return this.played.node;
  }

  /** What the server sends for others than its neighbour, which is played. */
  override upcall(upcall: Upcall): Datagram[] {
    return this.playPeer(super.upcall(upcall));
  }

  /** Answers what the server asks its neighbour until it asks no more; returns what else it sent. */
  playPeer(first: readonly Datagram[] = []): Datagram[] {
    const others: Datagram[] = [];
    for (let sent = [...first, ...this.engine.take()]; sent.length > 0; sent = this.engine.take()) {
      for (const datagram of sent) {
        const peer = this.newcomer !== null && sameLocator(datagram.locator, this.newcomer.node.locator) ? this.newcomer : this.played;
        if (!isRingMessage(decodeControl(datagram.bytes).message.type)) others.push(datagram);
        else if (!this.isPeerSilent) for (const bytes of this.#answers(peer, datagram)) this.core.handleUpcalls(this.nowMs, [{ kind: "control", from: peer.node.locator, bytes }]);
      }
    }
    return others;
  }

  #answers(peer: RingPeer, { bytes }: Datagram): readonly Uint8Array[] {
    const { message, nonce, sent } = peer.take(this.nowMs, this.self.locator, bytes);
    const answer = message === null ? null : this.#answer(message, peer);
    return answer === null ? sent : [...sent, peer.seal(this.nowMs, this.self, answer, nonce)];
  }

  #answer(message: ControlMessage, { node: from }: RingPeer): ControlMessage | null {
    const { newcomer, peer, self } = this;
    const [predecessor, successors] = from === newcomer?.node ? [self, [peer, self]] : [newcomer?.node ?? self, [self]];
    if (message.type === "STATE") return { type: "STATE_IS", from, pending: false, predecessor, successors };
    if (message.type === "FIND") return { type: "FOUND", from, final: true, node: from };
    return message.type === "ALIVE" ? { type: "ALIVE_YES", from } : null;
  }

  /** An id of the neighbour's. */
  foreignId(suffix = 1): Uint8Array {
    return Uint8Array.from([...this.peer.key, ...new Uint8Array(16).fill(suffix)]);
  }

  /** Runs on with the neighbour alive. */
  live(durationMs: number): void {
    for (let left = durationMs; left > 0; left -= 100) {
      this.advance(100);
      this.playPeer();
    }
  }
}
