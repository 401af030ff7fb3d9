/** A native program on a machine of its own in the simulated overlay (test/sim/world.ts): a client, its engine, and what came for its ids. */
import { bytesKey, locatorText, type Locator } from "@i3/common";
import { encodeDataHeader, HOP_LIMIT, COPY_BUDGET, PAYLOAD_KIND, type Upcall } from "@i3/datapath";

import type { Node, World } from "../../../test/sim/world.js";
import { I3Client, type ClientEvent } from "../src/index.js";

const MIN_CHARACTERS = 64;

export class Program {
  readonly node: Node;
  readonly client: I3Client;
  readonly events: (ClientEvent & { readonly atMs: number })[] = [];
  /** Hears, but does nothing by itself. */
  isAsleep = false;
  readonly heard: { readonly atMs: number; readonly id: Uint8Array; readonly text: string }[] = [];

  /** `port`: of one that shares its address. */
  constructor(readonly world: World, address: string, servers: readonly { readonly locator: Locator }[], port?: number) {
    this.node = world.node(address, port);
    this.client = new I3Client({ datapath: this.node.engine, randomBytes: world.random, wallMs: world.wallMs });
    for (const { locator } of servers) this.client.addServer(world.nowMs, locator);
    this.node.core = {
      handleUpcalls: (nowMs, upcalls) => this.#upcalls(nowMs, upcalls),
      handleTimer: (nowMs) => {
        this.client.handleTimer(nowMs);
        this.#collect();
      },
      deadlineMs: () => (this.isAsleep ? Infinity : this.client.nextDeadlineMs()),
    };
  }

  /** Takes what comes for an id. */
  listen(id: Uint8Array): void {
    this.node.engine.setInbound(id, { action: "upcall" });
  }

  /** By the first-hop server, or by an open path. Long enough for a CACHE in answer. */
  say(id: Uint8Array, text: string): void {
    const datagram = this.client.packetTo(id, PAYLOAD_KIND.native, new TextEncoder().encode(text.padEnd(MIN_CHARACTERS)));
    if (datagram !== null) this.#send(datagram.locator, datagram.bytes);
  }

  /** Along a stack of the sender's own. */
  sayAlong(ids: readonly Uint8Array[], text: string): void {
    const server = this.client.firstHop();
    if (server === null) return;
    const header = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: PAYLOAD_KIND.native, nonce: this.world.random(8), ids });
    this.#send(server, Uint8Array.from([...header, ...new TextEncoder().encode(text)]));
  }

  texts(): string[] {
    return this.heard.map(({ text }) => text);
  }

  isLive(id: Uint8Array): boolean {
    return this.client.triggers(this.world.nowMs).some((trigger) => trigger.live && bytesKey(trigger.id) === bytesKey(id));
  }

  /** Where its trigger is. */
  serverOf(id: Uint8Array): string {
    const server = this.client.triggers(this.world.nowMs).find((trigger) => bytesKey(trigger.id) === bytesKey(id))?.server;
    return server === undefined || server === null ? "nowhere" : locatorText(server);
  }

  #send(locator: Locator, bytes: Uint8Array): void {
    this.node.engine.send([{ locator, bytes }]);
    this.world.inject(this.node, {});
  }

  #upcalls(nowMs: number, upcalls: readonly Upcall[]): void {
    for (const upcall of upcalls) {
      if (upcall.kind === "control") this.client.handleControl(nowMs, upcall.from, upcall.bytes);
      else if (upcall.kind === "payload") this.heard.push({ atMs: nowMs, id: upcall.id, text: new TextDecoder().decode(upcall.payload).trimEnd() });
    }
    this.#collect();
  }

  #collect(): void {
    for (const event of this.client.takeEvents()) this.events.push({ ...event, atMs: this.world.nowMs });
  }
}
