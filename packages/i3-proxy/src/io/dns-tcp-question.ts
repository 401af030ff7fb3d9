/** One question to a resolver over TCP, past our own redirect. */
import { connectMarkedTcp } from "@i3/datapath/io";
import type { NativeIo } from "@i3/datapath/native-io";
import { sameQuestion } from "../dns/question.js";
import { dnsFrame, DnsFrameReader } from "./dns-port-frames.js";
import { type Resolver, resolverText } from "./dns-upstream-resolvers.js";

export interface TcpQuestion {
  readonly io: NativeIo;
  readonly mark: number;
  readonly resolver: Resolver;
  readonly query: Uint8Array;
  /** Header and question of the query. */
  readonly questionEnd: number;
  /** Of silence. */
  readonly timeoutMs: number;
}

/** Calls `done` once, when the connection is closed: with what has the id and the question of the query, or null. Throws as connectMarkedTcp. */
export function askByTcp({ io, mark, resolver, query, questionEnd, timeoutMs }: TcpQuestion, done: (answer: Uint8Array | null) => void): void {
  const socket = connectMarkedTcp(io, { address: resolverText(resolver), port: resolver.port, mark });
  const head = query.slice(0, questionEnd);
  const reader = new DnsFrameReader();
  let found: Uint8Array | null = null;
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    for (const answer of reader.push(chunk)) {
      if (answer.length < head.length || answer[0] !== head[0] || answer[1] !== head[1] || !sameQuestion(head, head.length, answer)) continue;
      found ??= answer;
      socket.destroy();
    }
  });
  socket.on("error", () => undefined);
  socket.on("close", () => done(found));
  socket.write(dnsFrame(query));
}
