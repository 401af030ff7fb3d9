/**
 * Link-local resolvers (`nameserver fe80::1%eth0`, what many home routers announce): an address of the native addon has no zone, so
 * these are asked over TCP. What is longer than any UDP client takes is cut, and the program asks again over TCP itself.
 */
import type { NativeIo } from "@i3/datapath/native-io";
import { cutTo } from "../dns/short-answers.js";
import { askByTcp } from "./dns-tcp-question.js";
import { type Reply, UPSTREAM_TIMEOUT_MS } from "./dns-upstream.js";
import type { Resolver } from "./dns-upstream-resolvers.js";

const MAX_CONNECTIONS = 64;
const MAX_UDP_BYTES = 512;

export class ScopedUpstream {
  readonly #io: NativeIo;
  readonly #mark: number;
  #connections = 0;

  constructor(io: NativeIo, mark: number) {
    this.#io = io;
    this.#mark = mark;
  }

  /** False: it cannot be asked now. */
  forward(query: Uint8Array, questionEnd: number, resolver: Resolver, reply: Reply): boolean {
    if (this.#connections >= MAX_CONNECTIONS) return false;
    try {
      askByTcp({ io: this.#io, mark: this.#mark, resolver, query, questionEnd, timeoutMs: UPSTREAM_TIMEOUT_MS }, (answer) => {
        this.#connections -= 1;
        if (answer !== null) reply(cutTo(answer, MAX_UDP_BYTES));
      });
      this.#connections += 1;
      return true;
    } catch {
      return false;
    }
  }
}
