/**
 * Link-local resolvers (`nameserver fe80::1%eth0`, what many home routers announce): an address of the native addon has no zone, so
 * these are asked over TCP. What is longer than any UDP client takes is cut, and the program asks again over TCP itself.
 */
import { connectMarkedTcp } from "@i3/datapath/io";
import type { NativeIo } from "@i3/datapath/native-io";
import { sameQuestion } from "../dns/question.js";
import { dnsFrame, DnsFrameReader } from "./dns-port-frames.js";
import { type Reply, UPSTREAM_TIMEOUT_MS } from "./dns-upstream.js";
import { type Resolver, resolverText } from "./dns-upstream-resolvers.js";

const MAX_CONNECTIONS = 64;
const MAX_UDP_BYTES = 512;
const FLAG_TRUNCATED = 0x02;

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
    const head = query.slice(0, questionEnd);
    try {
      const socket = connectMarkedTcp(this.#io, { address: resolverText(resolver), port: resolver.port, mark: this.#mark });
      const reader = new DnsFrameReader();
      this.#connections += 1;
      socket.setTimeout(UPSTREAM_TIMEOUT_MS, () => socket.destroy());
      socket.on("data", (chunk: Buffer) => {
        for (const answer of reader.push(chunk)) {
          if (answer.length < head.length || answer[0] !== head[0] || answer[1] !== head[1] || !sameQuestion(head, head.length, answer)) continue;
          reply(answer.length <= MAX_UDP_BYTES ? answer : truncated(answer, head.length));
          socket.destroy();
        }
      });
      socket.on("error", () => undefined);
      socket.on("close", () => (this.#connections -= 1));
      socket.write(dnsFrame(query));
      return true;
    } catch {
      return false;
    }
  }
}

/** Header and question of an answer, with TC and no records. */
function truncated(answer: Uint8Array, questionEnd: number): Uint8Array {
  const out = answer.slice(0, questionEnd);
  out[2] = (out[2] ?? 0) | FLAG_TRUNCATED;
  out.fill(0, 6, 12);
  return out;
}
