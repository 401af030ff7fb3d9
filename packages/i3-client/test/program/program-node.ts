/** A native program by its own core on a machine of the simulated overlay (test/sim/world.ts), without a packet engine. */
import { makeLocator, type Locator } from "@i3/common";
import type { Datagram, DatagramBatch, ReferenceEngine } from "@i3/datapath";

import type { Node, World } from "../../../../test/sim/world.js";
import type { ClientEvent } from "../../src/index.js";
import type { Message } from "../../src/program/message.js";
import { ProgramCore } from "../../src/program/program-core.js";

export class ProgramNode {
  readonly core: ProgramCore;
  node: Node;
  readonly heard: Message[] = [];
  readonly events: ClientEvent[] = [];
  readonly #outbox: Datagram[] = [];

  constructor(readonly world: World, address: string, servers: readonly { readonly locator: Locator }[]) {
    this.core = new ProgramCore({ send: (datagrams) => this.#outbox.push(...datagrams) > 0, randomBytes: world.random, wallMs: world.wallMs });
    for (const { locator } of servers) this.core.client.addServer(world.nowMs, locator);
    this.node = this.#settle(address);
  }

  /** The machine has this address now, and the old one no more. */
  moveTo(address: string): void {
    const old = [...this.world.nodes].find(([, node]) => node === this.node);
    if (old !== undefined) this.world.nodes.delete(old[0]);
    this.node = this.#settle(address);
  }

  #settle(address: string): Node {
    const node = this.world.node(address);
    const engine = {
      step: (nowMs: number, { udp }: { udp: DatagramBatch | null }, _tun: unknown, udpOut: DatagramBatch) => {
        for (let i = 0; i < (udp?.count ?? 0); i += 1) if (udp !== null) this.core.handleDatagram(nowMs, sourceOf(udp, i), udp.arena.slice(i * udp.slotBytes, i * udp.slotBytes + (udp.lengths[i] ?? 0)));
        this.events.push(...this.core.client.takeEvents());
        for (const datagram of this.#outbox.splice(0, udpOut.lengths.length)) put(udpOut, datagram);
        return [];
      },
      pending: () => this.#outbox.length > 0,
    };
    Object.assign(node, { engine: engine as unknown as ReferenceEngine });
    node.core = { handleUpcalls: () => undefined, handleTimer: (nowMs) => this.core.handleTimer(nowMs), deadlineMs: () => this.core.nextDeadlineMs() };
    return node;
  }

  listen(id: Uint8Array): void {
    this.core.receivers.set(id, (message) => this.heard.push(message));
  }

  send(ids: readonly Uint8Array[], text: string): boolean {
    const isSent = this.core.send(this.world.nowMs, ids, new TextEncoder().encode(text));
    this.flush();
    return isSent;
  }

  /** What was said to the core outside of a packet goes out. */
  flush(): void {
    this.world.inject(this.node, {});
  }

  texts(): string[] {
    return this.heard.map(({ payload }) => new TextDecoder().decode(payload));
  }
}

const ADDRESS_BYTES = 18;

const sourceOf = ({ addresses }: DatagramBatch, i: number): Locator => {
  const at = i * ADDRESS_BYTES;
  return makeLocator(addresses.subarray(at, at + 16), ((addresses[at + 16] ?? 0) << 8) | (addresses[at + 17] ?? 0));
};

function put(batch: DatagramBatch, { locator, bytes }: Datagram): void {
  const i = batch.count;
  batch.arena.set(bytes, i * batch.slotBytes);
  batch.lengths[i] = bytes.length;
  batch.addresses.fill(0, i * ADDRESS_BYTES, (i + 1) * ADDRESS_BYTES);
  batch.addresses.set([0xff, 0xff, ...locator.address, locator.port >> 8, locator.port & 0xff], i * ADDRESS_BYTES + 10);
  batch.ways.fill(0);
  batch.count += 1;
}
