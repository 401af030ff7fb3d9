/**
 * Addresses of the ring's own servers, while a gateway is the way out for everything, or a rule sends their names to one: no question of the system's gets past our redirect then, and the gateway is only found by the ring. The resolvers of the
 * network where the machine is are asked, past the TUN, for these names alone. What only /etc/hosts knows is left to the system.
 */
import { randomInt } from "node:crypto";

import { formatIpText } from "@i3/common";
import type { NativeIo } from "@i3/datapath/native-io";

import { readRecords } from "../dns/records.js";
import { ownQuery } from "../gateways/gateway-messages.js";
import { UdpUpstream } from "./dns-upstream.js";
import type { Resolver } from "./dns-upstream-resolvers.js";
import { ScopedUpstream } from "./dns-upstream-scoped.js";
import { systemLookup } from "./server-names.js";

// RFC 1035, 3596:
const BYTES_OF_TYPE: Readonly<Record<number, number>> = { 1: 4, 28: 16 };
/** Ours: then the next resolver is asked. */
const SILENT_MS = 2_000;

/** Of the answer section, whatever names CNAMEs lead to. Null: it cannot be read. */
export function addressesOfAnswer(answer: Uint8Array, questionEnd: number): readonly string[] | null {
  const records = readRecords(answer, questionEnd);
  if (records === null) return null;
  return records.flatMap(({ section, type, dataAt, end }) => (section === "answer" && BYTES_OF_TYPE[type] === end - dataAt ? [formatIpText(answer.subarray(dataAt, end))] : []));
}

/** Both families. Rejects when no resolver knows an address, and neither does the system. */
export async function markedLookup(io: NativeIo, mark: number, resolvers: readonly Resolver[], name: string): Promise<readonly string[]> {
  const upstream = new UdpUpstream({ io, mark });
  const scoped = new ScopedUpstream(io, mark);
  try {
    for (const resolver of resolvers) {
      const found = (await Promise.all(([4, 16] as const).map((family) => ask(resolver.zone === null ? upstream : scoped, resolver, name, family)))).flat();
      if (found.length > 0) return found;
    }
  } finally {
    upstream.close();
  }
  return await systemLookup(name);
}

function ask(upstream: Pick<UdpUpstream, "forward">, resolver: Resolver, name: string, family: 4 | 16): Promise<readonly string[]> {
  const own = ownQuery(name.toLowerCase(), family);
  if (own === null) return Promise.resolve([]);
  const { query, question } = own;
  new DataView(query.buffer, query.byteOffset).setUint16(0, randomInt(0x1_0000));
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve([]), SILENT_MS);
    const done = (found: readonly string[]): void => {
      clearTimeout(timer);
      resolve(found);
    };
    if (!upstream.forward(query, question.end, resolver, (answer) => done(addressesOfAnswer(answer, question.end) ?? []))) done([]);
  });
}
