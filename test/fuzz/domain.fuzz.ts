/**
 * Any bytes as questions for a domain: an answer that dns-packet reads, of the question's id and of the size that was asked for, or none; never an exception. What is well-formed has the RCODE that the zone says.
 */
import { Random } from "@i3/common/testing";
import { Authority, PublishedZone } from "@i3/ip-to-i3";
import { decode, encode, type Packet } from "dns-packet";
import { expect, test } from "vitest";

import { DOMAIN, NAMES } from "../../packages/ip-to-i3/test/dns/published.js";

const seed = Number(process.env["I3_FUZZ_SEED"] ?? String(Date.now() >>> 0)) >>> 0;
const seconds = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");

const random = new Random(seed);
const below = (limit: number): number => random.below(limit);
const pick = <T>(items: readonly [T, ...T[]]): T => items[below(items.length)] ?? items[0];
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)));

const authority = new Authority({ zone: new PublishedZone(DOMAIN, NAMES), families: [4, 16], serial: 1 });
const CASES: readonly [readonly [string, number], ...(readonly [string, number])[]] = [["www.i3.example.org", 0], ["I3.Example.ORG", 0], ["a.b.shop.i3.example.org", 0], ["home.i3.example.org", 0], ["way.i3.example.org", 0], ["ns1.i3.example.org", 0], ["no.i3.example.org", 3], ["example.org", 5], [".", 5], ["xi3.example.org", 5]];
const TYPES = ["A", "AAAA", "NS", "SOA", "TXT", "ANY", "HTTPS", "PTR"] as const;

function question(name: string): Buffer {
  const options = Array.from({ length: below(3) }, () => ({ code: pick([8, 8, 10, 3, 65_001] as const), data: below(2) === 0 ? Buffer.from([0, 1, 24, 0, 203, 0, 113]) : bytes(below(24)) }));
  const additionals = below(3) === 0 ? [] : [{ type: "OPT", name: ".", udpPayloadSize: pick([0, 512, 1_232, 65_535] as const), extendedRcode: 0, ednsVersion: 0, flags: 0, options }];
  return encode({ type: "query", id: below(65_536), flags: below(2) * 0x0100, questions: [{ name, type: pick(TYPES) }], additionals } as unknown as Packet);
}

function check(message: Uint8Array): number | null {
  const transport = pick(["udp", "tcp"] as const);
  const verdict = authority.read(message, transport, below(10) === 0);
  if (verdict.kind === "drop") return null;
  const answers = verdict.kind === "answer" ? [verdict.bytes] : ([Uint8Array.of(198, 51, 100, 8), "none", null] as const).map((waypoint) => authority.answerWaypoint(verdict.question, verdict.question.family === 16 && waypoint instanceof Uint8Array ? new Uint8Array(16) : waypoint));
  for (const answer of answers) {
    const { id, type } = decode(Buffer.from(answer));
    expect([id, type]).toEqual([((message[0] ?? 0) << 8) | (message[1] ?? 0), "response"]);
    if (transport === "udp") expect(answer.length).toBeLessThanOrEqual(1_232);
  }
  return (answers[0]?.[3] ?? 0) & 0xf;
}

function mutated(message: Buffer): Buffer {
  const out = Buffer.concat([message.subarray(0, below(3) === 0 ? below(message.length + 1) : message.length), bytes(below(4) === 0 ? below(40) : 0)]);
  for (let i = below(6); i > 0 && out.length > 0; i -= 1) out[below(out.length)] = pick([0, 1, 3, 0x3f, 0xc0, 0x80, 0xff, below(256)]);
  return out;
}

test(`questions for a domain, seed ${seed}`, () => {
  console.log(`domain.fuzz: I3_FUZZ_SEED=${seed} I3_FUZZ_SECONDS=${seconds}`);
  const end = performance.now() + seconds * 1000;
  let cases = 0;
  try {
    for (; performance.now() < end; cases += 1) {
      const [name, rcode] = pick(CASES);
      const message = question(name);
      // A subnet that is malformed is a FORMERR, whatever the name is.
      expect([rcode, 0, 1]).toContain(check(message));
      check(mutated(message));
      check(bytes(below(60)));
    }
  } catch (error) {
    throw new Error(`case ${cases} of seed ${seed}`, { cause: error });
  }
  expect(cases).toBeGreaterThan(100);
});
