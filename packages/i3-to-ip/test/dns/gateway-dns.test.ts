import { formatIpText, parseIpText, toHex, type AddressRange } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { describe, expect, it } from "vitest";

import { decodeVirtualOption, encodeVirtualOption, GatewayDns, serverAddress, VIRTUAL_OPTION, type GatewayQuestion, type RefusalReason, type ResolverAnswer } from "../../src/index.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const CLIENT = ip("2001:22::7");
const EDE = 15;

interface Seen {
  readonly leased: string[];
  readonly refused: [name: string, addresses: readonly string[], why: RefusalReason][];
}
interface World extends Seen {
  readonly dns: GatewayDns;
}

function world({ ipv6 = true, translates = false, most = 100, may = () => true, own = [] }: { ipv6?: boolean; translates?: boolean; most?: number; may?: (name: string, real: string, reach: string) => boolean; own?: readonly string[] } = {}): World {
  const seen: Seen = { leased: [], refused: [] };
  const dns = new GatewayDns({
    hasIpv6: () => ipv6, translates: () => translates, isOwn: (address) => own.includes(formatIpText(address)),
    mayReach: (client, name, real, reach) => client === CLIENT && may(name, formatIpText(real), reach),
    lead: (_client, name, real, option, bytes) => {
      const virtual = serverAddress({ hit: ip("2001:22::1"), secret: new Uint8Array(32) }, real, option, bytes);
      if (seen.leased.length >= most) return null;
      seen.leased.push(`${name} ${formatIpText(real)} ${formatIpText(virtual)}`);
      return virtual;
    },
    onRefused: (_client, name, addresses, why) => void seen.refused.push([name, addresses, why]),
  });
  return { ...seen, dns };
}

const OPTION = Buffer.from(encodeVirtualOption({ tries: 0, range: RANGE }));
const opt = (options: readonly { code: number; data: Buffer }[], size = 1_232): NonNullable<Packet["additionals"]>[number] =>
  ({ type: "OPT", name: ".", udpPayloadSize: size, extendedRcode: 0, ednsVersion: 0, flags: 0, options }) as never;
const query = (type: string, name = "Wiki.corp.example", additionals: Packet["additionals"] = [opt([{ code: VIRTUAL_OPTION, data: OPTION }])]): Uint8Array =>
  encode({ type: "query", id: 4_711, flags: 0x0100, questions: [{ type: type as "A", name }], additionals });
const resolved = (rcode: number, answers: Packet["answers"] = [], authorities: Packet["authorities"] = []): ResolverAnswer => decode(encode({ type: "response", flags: rcode, answers, authorities }));
const a = (data: string): NonNullable<Packet["answers"]>[number] => ({ type: "A", name: "wiki.corp.example", ttl: 300, data });
const aaaa = (data: string): NonNullable<Packet["answers"]>[number] => ({ type: "AAAA", name: "wiki.corp.example", ttl: 300, data });
const SOA = { type: "SOA", name: "corp.example", ttl: 60, data: { mname: "ns.corp.example", rname: "root.corp.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 } } as const;

function questionOf({ dns }: World, type: string, transport: "udp" | "tcp" = "udp"): GatewayQuestion {
  const verdict = dns.read(query(type), transport);
  if (verdict.kind !== "ask") throw new Error(verdict.kind);
  return verdict.question;
}
const ask = (at: World, type: string, answers: readonly ResolverAnswer[], transport: "udp" | "tcp" = "udp"): DecodedPacket => decode(Buffer.from(at.dns.answer(CLIENT, questionOf(at, type, transport), answers)));
function answered({ dns }: World, message: Uint8Array): DecodedPacket {
  const verdict = dns.read(message, "udp");
  if (verdict.kind !== "answer") throw new Error(verdict.kind);
  return decode(Buffer.from(verdict.bytes));
}
const rcode = ({ flags = 0 }: DecodedPacket): number => flags & 0xf;
const addresses = ({ answers = [] }: DecodedPacket): readonly unknown[] => answers.map((record) => (record as { data: unknown }).data);
const optionsOf = ({ additionals = [] }: DecodedPacket): Map<number, Buffer | undefined> => new Map(additionals.flatMap((record) => (record.type === "OPT" ? record.options.map((option) => [option.code as number, option.data] as const) : [])));

describe("a name that the access list allows", () => {
  it("has virtual addresses in the place of its servers', with TTL 0 and the letters that were asked for", () => {
    const at = world();
    const question = questionOf(at, "A");
    expect([question.name, question.types]).toEqual(["wiki.corp.example", ["A", "AAAA"]]);
    const reply = ask(at, "A", [resolved(0, [a("192.168.5.9"), { type: "CNAME", name: "wiki.corp.example", data: "www.corp.example" }, a("192.168.5.10"), a("192.168.5.9")]), resolved(0)]);
    expect([rcode(reply), reply.id, reply.questions?.[0]?.name]).toEqual([0, 4_711, "Wiki.corp.example"]);
    expect(addresses(reply)).toEqual(at.leased.map((line) => line.split(" ")[2]));
    expect(at.leased.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["wiki.corp.example 192.168.5.9", "wiki.corp.example 192.168.5.10"]);
    expect(reply.answers?.map((record) => ("ttl" in record ? record.ttl : NaN))).toEqual([0, 0]);
    expect(toHex(optionsOf(reply).get(VIRTUAL_OPTION) ?? new Uint8Array())).toBe(toHex(OPTION));
  });

  it("has those of the family that was asked for; of ANY both", () => {
    const both = [resolved(0, [a("192.168.5.9")]), resolved(0, [aaaa("fd00::9")])];
    expect(addresses(ask(world(), "AAAA", both))).toEqual([expect.stringMatching(/^fd/)]);
    expect(addresses(ask(world(), "A", both))).toEqual([expect.stringMatching(/^10\./)]);
    expect(addresses(ask(world(), "ANY", both))).toHaveLength(2);
    expect(addresses(ask(world({ ipv6: false }), "AAAA", both))).toEqual([]);
  });

  it("that has only the other family has addresses of the one that was asked for, where the gateway translates", () => {
    const [none, six, four] = [resolved(0, [], [SOA]), resolved(0, [aaaa("2001:db8::9")]), resolved(0, [a("192.168.5.9")])];
    const at = world({ translates: true });
    const reply = ask(at, "A", [none, six]);
    expect([addresses(reply), reply.authorities]).toEqual([[expect.stringMatching(/^10\./)], []]);
    expect(addresses(ask(at, "AAAA", [four, none]))).toEqual([expect.stringMatching(/^fd/)]);
    expect(at.leased.map((line) => line.split(" ")[1])).toEqual(["2001:db8::9", "192.168.5.9"]);
    // What it has of the family is enough; what cannot be reached from here is not had.
    expect(addresses(ask(at, "A", [four, resolved(0, [aaaa("2001:db8::9"), aaaa("2001:db8::a")])]))).toHaveLength(1);
    expect(addresses(ask(world({ translates: true, ipv6: false }), "AAAA", [four, six]))).toHaveLength(1);
    expect(addresses(ask(world({ translates: true, ipv6: false }), "A", [none, six]))).toEqual([]);
  });

  it("is not translated for what was refused, failed, or asked of both, nor where the gateway does not", () => {
    const [none, six] = [resolved(0, [], [SOA]), resolved(0, [aaaa("2001:db8::9")])];
    expect(addresses(ask(world(), "A", [none, six]))).toEqual([]);
    const refused = ask(world({ translates: true, may: (_, real) => real.includes(":") }), "A", [resolved(0, [a("192.168.5.9")]), six]);
    expect([rcode(refused), addresses(refused)]).toEqual([5, []]);
    expect(rcode(ask(world({ translates: true, may: () => false }), "A", [none, six]))).toBe(5);
    const noName = ask(world({ translates: true }), "A", [resolved(3, [], [SOA]), six]);
    expect([rcode(noName), addresses(noName), noName.authorities?.length]).toEqual([3, [], 1]);
    for (const failed of [null, resolved(2)]) expect(rcode(ask(world(), "A", [failed, six]))).toBe(2);
    expect(addresses(ask(world({ translates: true }), "ANY", [none, six]))).toEqual([expect.stringMatching(/^fd/)]);
  });

  it("is translated when the family that was asked for fails, and not told to have nothing when the other one fails", () => {
    const [none, six] = [resolved(0, [], [SOA]), resolved(0, [aaaa("2001:db8::9")])];
    for (const failed of [null, resolved(2), resolved(5)]) {
      const at = world({ translates: true });
      const reply = ask(at, "A", [failed, six]);
      expect([rcode(reply), addresses(reply)]).toEqual([0, [expect.stringMatching(/^10\./)]]);
      // Neither has anything: what the one that was asked for says.
      for (const other of [null, none, resolved(2)]) expect(rcode(ask(at, "A", [failed, other]))).toBe(failed === null ? 2 : rcode(failed));
      expect(rcode(ask(world({ translates: true, ipv6: false }), "A", [failed, six]))).toBe(failed === null ? 2 : rcode(failed));
      for (const [type, answers] of [["A", [none, failed]], ["AAAA", [failed, none]]] as const) {
        const unsure = ask(at, type, answers);
        expect([rcode(unsure), unsure.authorities]).toEqual([2, []]);
        // Without translation, or without a way there, nothing more could be said.
        expect(rcode(ask(world(), type, answers))).toBe(0);
        expect(rcode(ask(world({ translates: true, ipv6: false }), type, answers))).toBe(type === "A" ? 0 : 2);
      }
    }
    expect(rcode(ask(world({ translates: true }), "A", [none, resolved(2, [aaaa("2001:db8::9")])]))).toBe(2);
    expect(rcode(ask(world({ translates: true }), "A", [none, resolved(3, [], [SOA])]))).toBe(0);
  });

  it("has addresses of the type that was asked for alone", () => {
    const mixed = resolved(0, [aaaa("2001:db8::7"), a("192.168.5.7")]);
    for (const translates of [false, true]) {
      const at = world({ translates });
      for (const [type, real] of [["A", "192.168.5.7"], ["AAAA", "2001:db8::7"]] as const) {
        expect(addresses(ask(at, type, [mixed, mixed]))).toHaveLength(1);
        expect(at.leased.map((line) => line.split(" ")[1]).at(-1)).toBe(real);
      }
      expect(addresses(ask(at, "ANY", [mixed, mixed]))).toHaveLength(2);
    }
    expect(addresses(ask(world(), "A", [resolved(0, [aaaa("2001:db8::7")]), resolved(0)]))).toEqual([]);
  });

  it("has what else the resolver says of it, but for addresses past the virtual ones", () => {
    const mx = { type: "MX", name: "corp.example", ttl: 60, data: { preference: 1, exchange: "mail.corp.example" } } as const;
    const at = world();
    expect(questionOf(at, "MX").types).toEqual(["MX"]);
    expect(ask(at, "MX", [resolved(0, [mx])]).answers).toMatchObject([{ type: "MX", ttl: 60 }]);
    for (const type of ["HTTPS", "SVCB"]) {
      const reply = answered(at, query(type === "HTTPS" ? "UNKNOWN_65" : "UNKNOWN_64"));
      expect([rcode(reply), reply.answers]).toEqual([0, []]);
    }
  });

  it("has the resolver's errors", () => {
    for (const error of [1, 2, 3, 5]) {
      const reply = ask(world(), "A", [resolved(error, [], [SOA]), resolved(0)]);
      expect([rcode(reply), addresses(reply), reply.authorities?.length]).toEqual([error, [], 1]);
    }
    // Of the family that was asked for.
    expect(rcode(ask(world(), "A", [resolved(0, [a("1.1.1.1")]), resolved(2)]))).toBe(0);
    expect(rcode(ask(world(), "A", [null, resolved(0)]))).toBe(2);
    const none = ask(world(), "A", [resolved(0, [], [SOA]), resolved(0)]);
    expect([rcode(none), none.authorities?.length]).toEqual([0, 1]);
  });

  it("has the first eight servers, and over UDP no more than fits", () => {
    const many = resolved(0, Array.from({ length: 20 }, (_, i) => a(`192.0.2.${i}`)));
    expect(addresses(ask(world(), "A", [many, resolved(0)]))).toHaveLength(8);
    const texts = resolved(0, Array.from({ length: 20 }, () => ({ type: "TXT", name: "wiki.corp.example", ttl: 1, data: "x".repeat(200) })));
    const cut = ask(world(), "TXT", [texts]);
    expect([cut.answers, cut.flag_tc]).toEqual([[], true]);
    expect(ask(world(), "TXT", [texts], "tcp").answers).toHaveLength(20);
  });
});

describe("nobody is led", () => {
  it("to the gateway itself, to its link, or to what another address is embedded in", () => {
    const at = world({ own: ["203.0.113.5"] });
    const reply = ask(at, "A", [resolved(0, [a("127.0.0.1"), a("169.254.169.254"), a("203.0.113.5"), a("0.0.0.0")]), resolved(0)]);
    expect([rcode(reply), addresses(reply), optionsOf(reply).get(EDE)]).toEqual([5, [], Buffer.of(0, 17)]);
    expect(at.refused).toEqual([["wiki.corp.example", ["127.0.0.1", "169.254.169.254", "203.0.113.5", "0.0.0.0"], "own"]]);
    expect(at.leased).toEqual([]);
    expect(rcode(ask(at, "AAAA", [resolved(0), resolved(0, [aaaa("::1"), aaaa("::ffff:10.0.0.1"), aaaa("2001:20::5")])]))).toBe(5);
    // The others of a name are led to.
    expect(addresses(ask(at, "A", [resolved(0, [a("127.0.0.1"), a("1.1.1.1")]), resolved(0)]))).toHaveLength(1);
  });

  it("to what the access list does not have", () => {
    const at = world({ may: (name, real, reach) => name === "wiki.corp.example" && (reach === "internet" || real === "192.168.5.9") });
    expect(addresses(ask(at, "A", [resolved(0, [a("192.168.5.9"), a("192.168.5.10"), a("1.1.1.1")]), resolved(0)]))).toHaveLength(2);
    expect(at.refused).toEqual([["wiki.corp.example", ["192.168.5.10"], "access"]]);
    const reply = ask(world({ may: () => false }), "A", [resolved(0, [a("1.1.1.1")]), resolved(0)]);
    expect([rcode(reply), optionsOf(reply).get(EDE)]).toEqual([5, Buffer.of(0, 15)]);
  });

  it("beyond the bound of servers", () => {
    const at = world({ most: 1 });
    expect(addresses(ask(at, "A", [resolved(0, [a("1.1.1.1")]), resolved(0)]))).toHaveLength(1);
    expect(rcode(ask(at, "A", [resolved(0, [a("1.1.1.2")]), resolved(0)]))).toBe(2);
    expect(at.refused.map(([, , why]) => why)).toEqual(["full"]);
  });

  it("who does not ask for virtual addresses, or asks in another shape", () => {
    const at = world();
    expect(rcode(answered(at, query("A", "wiki.corp.example", [])))).toBe(5);
    expect(rcode(answered(at, query("A", "wiki.corp.example", [opt([])])))).toBe(5);
    for (const data of [Buffer.alloc(0), Buffer.of(2, 0, 8, 10, 0, 0, 0), Buffer.of(1, 8, 8, 10, 0, 0, 0), Buffer.of(1, 0, 7, 10, 0, 0, 0), Buffer.of(1, 0, 25, 10, 0, 0, 0), Buffer.of(1, 0, 8, 10, 1, 0, 0), Buffer.of(1, 0, 8, 10, 0, 0, 0, 0)]) {
      expect(decodeVirtualOption(data)).toBeNull();
      expect(rcode(answered(at, query("A", "wiki.corp.example", [opt([{ code: VIRTUAL_OPTION, data }])])))).toBe(1);
    }
    expect(decodeVirtualOption(OPTION)).toEqual({ tries: 0, range: RANGE });
  });
});

describe("what is no question", () => {
  it("is refused, or dropped", () => {
    const { dns } = world();
    const good = query("A");
    const changed = (at: number, value: number): Uint8Array => Uint8Array.from(good, (byte, i) => (i === at ? value : byte));
    expect(dns.read(good.subarray(0, 11), "udp")).toEqual({ kind: "drop" });
    expect(dns.read(changed(2, 0x81), "udp")).toEqual({ kind: "drop" });
    const code = (message: Uint8Array): number | string => {
      const verdict = dns.read(message, "udp");
      return verdict.kind === "answer" ? (verdict.bytes[3] ?? 0) & 0xf : verdict.kind;
    };
    expect(code(changed(2, 0x28))).toBe(4);
    expect(code(changed(5, 0))).toBe(1);
    expect(code(changed(5, 2))).toBe(1);
    expect(code(changed(12, 0xff))).toBe(1);
    // A name that is no text.
    expect(code(changed(13, 0xff))).toBe(1);
    expect(code(query("A", "wiki.corp.example", [opt([{ code: VIRTUAL_OPTION, data: OPTION }]), opt([])]))).toBe(1);
  });

  it("never throws, whatever the bytes are, and its answers fit", () => {
    const random = new Random(20_261_123);
    const at = world();
    let [asked, refused] = [0, 0];
    for (let i = 0; i < 20_000; i += 1) {
      const type = random.pick(["A", "AAAA", "ANY", "MX", "UNKNOWN_65"]);
      const message = random.below(4) === 0 ? random.bytes(random.below(80)) : mutated(random, query(type), [0, 1, 0xc0, 0xff]);
      const verdict = at.dns.read(message, random.pick(["udp", "tcp"]));
      if (verdict.kind === "answer") expect(verdict.bytes.length).toBeLessThanOrEqual(Math.max(512, message.length + 40));
      if (verdict.kind === "answer") refused += 1;
      if (verdict.kind !== "ask") continue;
      asked += 1;
      const answers = verdict.question.types.map(() => random.pick([null, resolved(random.below(6)), resolved(0, [a("192.0.2.1"), aaaa("2001:db8::1"), { type: "TXT", name: "x", data: "y" }])]));
      expect(at.dns.answer(CLIENT, verdict.question, answers).length).toBeGreaterThanOrEqual(12);
    }
    expect(Math.min(asked, refused)).toBeGreaterThan(500);
  });
});
