/** A ring of one server on a UDP port of loopback, in this process: the server's core on the reference engine. */
import { randomBytes } from "node:crypto";

import { makeLocator } from "@i3/common";
import { openEngine, type RunningEngine } from "@i3/datapath";
import { ServerCore } from "@i3/i3-server";

export class LoopbackServer {
  readonly address: string;
  readonly core: ServerCore;
  readonly #engine: RunningEngine;
  #timer: NodeJS.Timeout | undefined;

  private constructor(engine: RunningEngine, perSource: number, triggers: number) {
    const { port } = engine.udp;
    const self = { key: new Uint8Array(16).fill(1), locator: makeLocator(Uint8Array.of(127, 0, 0, 1), port) };
    this.address = `127.0.0.1:${port}`;
    this.#engine = engine;
    this.core = new ServerCore({
      self, ring: null, members: [], datapath: engine.datapath, limits: { triggers, perSource },
      random: (length) => new Uint8Array(randomBytes(length)), wallMs: () => Date.now(), log: () => undefined,
    });
    this.run((core, nowMs) => core.start(nowMs));
  }

  static async open(perSource = 100, triggers = 1_000): Promise<LoopbackServer> {
    const started: { server: LoopbackServer | null } = { server: null };
    const engine = await openEngine({
      kind: "reference", udp: { address: "127.0.0.1", port: 0, mark: 0 }, clock: { nowMs: () => performance.now() },
      onUpcalls: (upcalls) => started.server?.run((core, nowMs) => core.handleUpcalls(nowMs, upcalls)),
      onFailure: (error) => {
        throw error;
      },
    });
    started.server = new LoopbackServer(engine, perSource, triggers);
    return started.server;
  }

  run(work: (core: ServerCore, nowMs: number) => void): void {
    work(this.core, performance.now());
    this.#engine.settle();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.run((core, nowMs) => core.handleTimer(nowMs)), Math.min(1_000, Math.max(0, Math.ceil(this.core.deadlineMs() - performance.now()))));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#engine.close();
  }
}
