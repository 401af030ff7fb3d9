/** Any bytes as a DNS query: an answer that dns-packet can read and that repeats the question, or a forward, or a drop; never an exception. */
import { Random } from "@i3/common/testing";
import * as dnsPacket from "dns-packet";
import { expect, test } from "vitest";
import { answerQuery } from "../../packages/i3-proxy/src/dns/dns-core.js";
import { readOpt } from "../../packages/i3-proxy/src/dns/edns.js";
import { readQuestion, sameQuestion } from "../../packages/i3-proxy/src/dns/question.js";
import { testNames } from "../../packages/i3-proxy/test/dns/names.js";

const seed = Number(process.env["I3_FUZZ_SEED"] ?? String(Date.now() >>> 0)) >>> 0;
const seconds = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");

const random = new Random(seed);
const below = (limit: number): number => random.below(limit);
const pick = <T>(items: readonly [T, ...T[]]): T => items[below(items.length)] ?? items[0];
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)));

const NAMES = [
  "home.i3", "HOME.i3", "six.i3", "nobody.i3", "down.i3", "i3", ".", "www.example.com", "3.2.1.10.in-addr.arpa", "9.2.1.10.in-addr.arpa",
  "b.0.a.0.9.0.8.0.7.0.6.0.5.0.4.0.3.0.2.0.1.0.0.0.5.2.0.0.1.0.0.2.ip6.arpa", `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(57)}.i3`,
] as const;

function wellFormed(): Buffer {
  const questions = Array.from({ length: below(12) === 0 ? below(3) : 1 }, () => ({
    name: pick(NAMES),
    type: pick(["A", "AAAA", "ANY", "PTR", "TXT", "SOA", "NS", "MX"]) as dnsPacket.RecordType,
    class: pick<dnsPacket.RecordClass>(["IN", "IN", "IN", "IN", "CH", "ANY"]),
  }));
  const option = { code: pick([3, 8, 10, 11, 12, 14, 65001]), data: bytes(below(12)) };
  const opt = { type: "OPT", name: ".", udpPayloadSize: below(5000), ednsVersion: pick([0, 0, 0, 1]), flags: pick([0, 0x8000]), options: below(2) === 0 ? [] : [option] };
  return Buffer.from(
    dnsPacket.encode({ type: "query", id: below(65536), flags: below(65536) & 0x7fff, questions, additionals: below(2) === 0 ? [] : [opt as unknown as dnsPacket.OptAnswer] }),
  );
}

function mutated(packet: Buffer): Buffer {
  const out = Buffer.concat([packet.subarray(0, below(3) === 0 ? below(packet.length + 1) : packet.length), bytes(below(4) === 0 ? below(40) : 0)]);
  for (let i = below(6); i > 0 && out.length > 0; i -= 1) out[below(out.length)] = pick([0, 1, 0x3f, 0xc0, 0x0c, 0xff, below(256)]);
  return out;
}

const decoded = (packet: Buffer): dnsPacket.DecodedPacket | null => {
  try {
    return dnsPacket.decode(packet);
  } catch {
    return null;
  }
};

function check(query: Buffer): void {
  const before = Buffer.from(query);
  const verdict = answerQuery(query, testNames, pick(["udp", "tcp"]));
  expect(query).toEqual(before);
  const packet = decoded(query);
  const question = readQuestion(query);
  checkReader(packet, question);
  if (question !== null && query.readUInt16BE(4) === 1) checkOpt(query, packet, question.end);
  if (verdict.kind !== "answer") return;
  const answer = decoded(Buffer.from(verdict.bytes));
  if (answer === null) throw new Error("our own answer cannot be decoded");
  expect(answer.id).toBe(query.readUInt16BE(0));
  expect(answer.type).toBe("response");
  expect(verdict.bytes.length).toBeLessThanOrEqual(640);
  if ((answer.questions ?? []).length > 0) expect(question !== null && sameQuestion(query, question.end, verdict.bytes)).toBe(true);
  for (const record of answer.answers ?? []) expect(["A", "AAAA", "PTR"]).toContain(record.type);
}

/** The reader of the first question says what dns-packet says, for names without odd bytes and without pointers. */
function checkReader(packet: dnsPacket.DecodedPacket | null, question: ReturnType<typeof readQuestion>): void {
  const first = packet?.questions?.[0];
  if (first === undefined || question === null || question.name.includes("\\")) return;
  expect(question.name === "" ? "." : question.name).toBe(first.name.toLowerCase());
  const encoded = dnsPacket.encode({ type: "query", questions: [first] });
  if (!first.type.startsWith("UNKNOWN") && question.dnsClass === 1) expect(question.type).toBe(encoded.readUInt16BE(encoded.length - 4));
}

/** Where dns-packet finds one OPT record and our reader does too, they find the same. */
function checkOpt(query: Buffer, packet: dnsPacket.DecodedPacket | null, end: number): void {
  const ours = readOpt(query, end);
  const theirs = (packet?.additionals ?? []).filter((record) => record.type === "OPT");
  if (packet === null || ours === "malformed") return;
  expect(theirs.length).toBe(ours === null ? 0 : 1);
  const [opt] = theirs;
  if (ours !== null && opt !== undefined) expect(ours).toEqual({ udpBytes: opt.udpPayloadSize, version: opt.ednsVersion, flags: opt.flags });
}

test(`DNS queries, seed ${seed}`, () => {
  console.log(`dns.fuzz: I3_FUZZ_SEED=${seed} I3_FUZZ_SECONDS=${seconds}`);
  const end = performance.now() + seconds * 1000;
  let cases = 0;
  try {
    for (; performance.now() < end; cases += 1) check(below(8) === 0 ? bytes(below(80)) : below(2) === 0 ? wellFormed() : mutated(wellFormed()));
  } catch (error) {
    throw new Error(`case ${cases} of seed ${seed}`, { cause: error });
  }
  expect(cases).toBeGreaterThan(100);
});
