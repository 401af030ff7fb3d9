/** A host in the World (world.ts) that runs the i3 client alone. */
import { I3Client, type ClientEvent } from "@i3/i3-client";

import type { Node, World } from "./world.js";

export class BareClient {
  readonly node: Node;
  readonly client: I3Client;
  readonly events: ClientEvent[] = [];

  constructor(world: World, address: string, servers: readonly Node[]) {
    const node = world.node(address);
    const client = new I3Client({ datapath: node.engine, randomBytes: world.random, wallMs: () => world.wallMs() });
    this.node = node;
    this.client = client;
    node.core = {
      handleUpcalls: (nowMs, upcalls) => {
        for (const upcall of upcalls) if (upcall.kind === "control") client.handleControl(nowMs, upcall.from, upcall.bytes);
        this.events.push(...client.takeEvents());
      },
      handleTimer: (nowMs) => {
        client.handleTimer(nowMs);
        this.events.push(...client.takeEvents());
      },
      deadlineMs: () => client.nextDeadlineMs(),
    };
    for (const server of servers) client.addServer(world.nowMs, server.locator);
  }

  /** The last event of a kind. */
  last<K extends ClientEvent["kind"]>(kind: K): Extract<ClientEvent, { kind: K }> | undefined {
    return this.events.findLast((event): event is Extract<ClientEvent, { kind: K }> => event.kind === kind);
  }
}
