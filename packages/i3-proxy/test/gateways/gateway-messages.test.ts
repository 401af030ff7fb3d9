import { encodeVirtualOption, formatIpText, parseIpText, VIRTUAL_OPTION, type AddressRange, type VirtualOption } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { describe, expect, it } from "vitest";

import { answerQuery, type GatewayQuestion, type NameSource } from "../../src/dns/dns-core.js";
import { readQuestion } from "../../src/dns/question.js";
import { cutTo, failureOf } from "../../src/dns/short-answers.js";
import { isAnswerTo, ownQuery, readAnswer, takesOption, withOption, type GatewayQuery } from "../../src/gateways/gateway-messages.js";

type Records = NonNullable<Packet["answers"]>;
type Option = { readonly code: number; readonly data: Uint8Array };

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const OPTION: VirtualOption = { tries: 3, range: RANGE };
const OURS: Option = { code: VIRTUAL_OPTION, data: encodeVirtualOption(OPTION) };
const EDE: Option = { code: 15, data: Uint8Array.of(0, 17, 110, 111) };
const COOKIE: Option = { code: 10, data: new Uint8Array(8).fill(7) };
const NAME = "Www.Corp.example";

const opt = (options: readonly Option[], more: { udpPayloadSize?: number; extendedRcode?: number; flags?: number; ednsVersion?: number } = {}): Records[number] =>
  ({ type: "OPT", name: ".", udpPayloadSize: 1_232, extendedRcode: 0, ednsVersion: 0, flags: 0, ...more, options: options.map(({ code, data }) => ({ code, data: Buffer.from(data) })) }) as never;
const message = (type: string, additionals: Records = [], name = NAME): Uint8Array => Uint8Array.from(encode({ type: "query", id: 0x1234, flags: 0x0110, questions: [{ type: type as "A", name }], additionals }));
function queryOf(bytes: Uint8Array): GatewayQuery {
  const question = readQuestion(bytes);
  if (question === null) throw new Error("no question");
  return { query: bytes, question };
}
const a = (data: string, name = NAME): Records[number] => ({ type: "A", name, ttl: 300, data });
const aaaa = (data: string): Records[number] => ({ type: "AAAA", name: NAME.toLowerCase(), ttl: 300, data });
const SOA: Records[number] = { type: "SOA", name: "corp.example", ttl: 60, data: { mname: "ns.corp.example", rname: "root.corp.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 } };
/** Of a gateway, to a question that went out with id 0x5678. */
const reply = (type: string, parts: Partial<Packet> & { readonly rcode?: number }, name = NAME): Uint8Array => {
  const { rcode = 0, flags = 0, ...packet } = parts;
  return Uint8Array.from(encode({ type: "response", id: 0x5678, flags: 0x01a0 | flags | rcode, questions: [{ type: type as "A", name }], additionals: [opt([OURS])], ...packet }));
};
const decoded = (bytes: Uint8Array): DecodedPacket => decode(Buffer.from(bytes));
const optOf = (bytes: Uint8Array): Record<string, unknown> | undefined => decoded(bytes).additionals?.find(({ type }) => type === "OPT") as never;

describe("a question to a gateway", () => {
  it.each([
    ["without EDNS", [], []],
    ["with EDNS, DO and a cookie", [opt([COOKIE], { flags: 0x8000, udpPayloadSize: 4_096 })], [COOKIE]],
    ["with EDNS behind another record", [a("192.0.2.1", "x.example"), opt([])], []],
    ["with EDNS before another record", [opt([COOKIE]), a("192.0.2.1", "x.example")], [COOKIE]],
  ] as const)("is the program's, with the option and its own id: %s", (_, additionals, options) => {
    const query = queryOf(message("MX", [...additionals]));
    expect(takesOption(query.query, query.question.end)).toBe(true);
    const sent = withOption(query, 0x5678, OPTION);
    const packet = decoded(sent);
    expect([packet.id, packet.flags, packet.questions]).toEqual([0x5678, 0x0110, [{ name: NAME, type: "MX", class: "IN" }]]);
    expect((optOf(sent)?.["options"] as Option[]).map(({ code, data }) => [code, Uint8Array.from(data)])).toEqual([...options, OURS].map(({ code, data }) => [code, data]));
    if (additionals.length > 0) expect(optOf(sent)).toMatchObject({ udpPayloadSize: (optOf(query.query) as { udpPayloadSize: number }).udpPayloadSize, flags: optOf(query.query)?.["flags"] });
    expect(packet.additionals).toHaveLength(Math.max(1, additionals.length));
  });

  const names: NameSource = { resolve: () => "elsewhere", reverse: (address) => (formatIpText(address) === "10.1.2.3" ? "www.corp.example" : null), gatewayOf: (name) => (name.endsWith(".corp.example") || name.endsWith(".10.in-addr.arpa") ? "office.i3" : null) };
  const verdictOf = (bytes: Uint8Array): string => {
    const verdict = answerQuery(bytes, names);
    if (verdict.kind === "answer") return `rcode ${String(((optOf(verdict.bytes)?.["extendedRcode"] as number | undefined) ?? 0) * 16 + ((decoded(verdict.bytes).flags ?? 0) & 0xf))}`;
    return verdict.kind === "gateway" ? `${verdict.via} ${verdict.limit}` : verdict.kind;
  };
  it.each([
    ["any type", message("TYPE4711".replace("TYPE4711", "SRV")), "office.i3 512"],
    ["HTTPS", message("UNKNOWN_65"), "office.i3 512"],
    ["with EDNS", message("A", [opt([], { udpPayloadSize: 4_096 })]), "office.i3 4096"],
    ["a name of the direct way", message("A", [], "www.example"), "forward"],
    ["the reverse of a server's address", message("PTR", [], "3.2.1.10.in-addr.arpa"), "rcode 0"],
    ["a reverse name that a rule is for", message("PTR", [], "4.2.1.10.in-addr.arpa"), "office.i3 512"],
    ["with our option", message("A", [opt([OURS])]), "rcode 1"],
    ["with our option behind another one", message("A", [opt([COOKIE, OURS])]), "rcode 1"],
    ["with two OPT records", message("A", [opt([]), opt([])]), "rcode 1"],
    ["with bytes behind it", Uint8Array.from([...message("A"), 0]), "rcode 1"],
    ["cut off", message("A", [opt([COOKIE])]).slice(0, -1), "rcode 1"],
    ["of an EDNS version that is not known", message("A", [opt([], { ednsVersion: 1 })]), "rcode 16"],
  ])("what becomes of one %s", (_, bytes, expected) => {
    expect(verdictOf(bytes)).toBe(expected);
  });
});

describe("an answer to a question", () => {
  const sent = withOption(queryOf(message("A")), 0x5678, OPTION);
  const end = queryOf(sent).question.end;
  const whole = reply("A", { answers: [a("10.1.2.3")] });
  it.each([
    ["with all of it", whole, true],
    ["with another id", Uint8Array.from([0, ...whole.slice(1)]), false],
    ["in other letters", reply("A", { answers: [a("10.1.2.3")] }, NAME.toLowerCase()), false],
    ["of another name", reply("A", {}, "Vvw.Corp.example"), false],
    ["of another type", reply("AAAA", {}), false],
    ["that is a question", sent, false],
    ["that is a NOTIFY", reply("A", { flags: 0x2000 }), false],
    ["with two questions", Uint8Array.from([...whole.slice(0, 5), 2, ...whole.slice(6)]), false],
    ["cut off in its question", whole.slice(0, end - 1), false],
    ["that refuses what it could not read", Uint8Array.of(0x56, 0x78, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0), true],
    ["that has neither question nor error", Uint8Array.of(0x56, 0x78, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0), false],
  ])("is one %s: %#", (_, answer, expected) => {
    expect(isAnswerTo(sent, end, answer)).toBe(expected);
  });
});

describe("what the program gets", () => {
  const plain = queryOf(message("A"));
  const edns = queryOf(message("A", [opt([COOKIE])]));

  it("is the answer with the program's id, no option of ours, no OPT it did not send, TTL 0 and no AD", () => {
    const read = readAnswer(plain, reply("A", { answers: [a("10.1.2.3"), a("10.1.2.4")], additionals: [opt([EDE, OURS])] }), OPTION);
    if (typeof read === "string") throw new Error(read);
    expect(read.addresses.map(formatIpText)).toEqual(["10.1.2.3", "10.1.2.4"]);
    expect(decoded(read.bytes)).toMatchObject({ id: 0x1234, flags: 0x0180, questions: [{ name: NAME }], answers: [{ ttl: 0, data: "10.1.2.3" }, { ttl: 0, data: "10.1.2.4" }], additionals: [] });
  });

  it("keeps RCODE, EDE and SOA, and the additional section has nothing else", () => {
    const read = readAnswer(edns, reply("A", { rcode: 3, authorities: [SOA], additionals: [{ type: "TXT", name: "x.example", data: "t" }, opt([OURS, EDE]), { type: "TXT", name: "y.example", data: "t" }] }), OPTION);
    if (typeof read === "string") throw new Error(read);
    expect(decoded(read.bytes)).toMatchObject({ rcode: "NXDOMAIN", authorities: [SOA] });
    expect(decoded(read.bytes).additionals).toHaveLength(1);
    expect((optOf(read.bytes)?.["options"] as Option[]).map(({ code }) => code)).toEqual([EDE.code]);
  });

  it.each(["MX", "TXT", "SRV", "CNAME", "NS"])("passes records of other types as they are: %s", (type) => {
    const data = { MX: { preference: 5, exchange: "mail.corp.example" }, SRV: { priority: 1, weight: 2, port: 3, target: "a.corp.example" }, TXT: [Buffer.from("hello")], CNAME: "b.corp.example", NS: "ns.corp.example" }[type];
    const records = [{ type, name: NAME, ttl: 300, data }] as never as Records;
    const read = readAnswer(queryOf(message(type)), reply(type, { answers: records }), OPTION);
    if (typeof read === "string") throw new Error(read);
    expect(decoded(read.bytes).answers).toMatchObject([{ type, ttl: 300, data }]);
  });

  it("addresses of both families where all was asked for", () => {
    const read = readAnswer(queryOf(message("ANY")), reply("ANY", { answers: [a("10.1.2.3"), aaaa("fd01::1")] }), OPTION);
    expect(typeof read === "string" ? read : read.addresses.map(formatIpText)).toEqual(["10.1.2.3", "fd01::1"]);
  });

  it.each([
    ["of another name", "A", { answers: [a("10.1.2.3", "home.i3")] }, "foreign"],
    ["of the other family", "A", { answers: [aaaa("fd01::1")] }, "foreign"],
    ["beside a type that has none", "MX", { answers: [a("10.1.2.3")] }, "foreign"],
    ["in the authority section", "A", { authorities: [a("10.1.2.3")] }, "foreign"],
    ["in the additional section", "A", { additionals: [opt([OURS]), a("10.1.2.3")] }, "foreign"],
    ["without the option", "A", { answers: [a("10.1.2.3")], additionals: [opt([])] }, "foreign"],
    ["without OPT", "A", { answers: [a("192.0.2.1")], additionals: [] }, "foreign"],
    ["with the option of another try", "A", { answers: [a("10.1.2.3")], additionals: [opt([{ ...OURS, data: encodeVirtualOption({ tries: 4, range: RANGE }) }])] }, "foreign"],
    ["with the option of another range", "A", { answers: [a("10.1.2.3")], additionals: [opt([{ ...OURS, data: encodeVirtualOption({ tries: 3, range: { ...RANGE, prefixBits: 9 } }) }])] }, "foreign"],
    ["as hints", "UNKNOWN_65", { answers: [{ type: "UNKNOWN_65", name: NAME, data: Buffer.of(0, 1, 0) } as never] }, "foreign"],
    ["as hints for another type", "A", { answers: [{ type: "UNKNOWN_64", name: NAME, data: Buffer.of(0, 1, 0) } as never] }, "foreign"],
    ["by an alias, which a resolver here would follow", "A", { answers: [{ type: "CNAME", name: NAME, data: "localhost" }] }, "foreign"],
    ["beside an alias", "AAAA", { answers: [{ type: "CNAME", name: NAME, data: "home.i3" }, aaaa("fd01::1")] }, "foreign"],
    ["by an alias of a whole tree", "ANY", { answers: [{ type: "DNAME", name: "corp.example", data: "i3" }] }, "foreign"],
    ["with two OPT records", "A", { additionals: [opt([OURS]), opt([OURS])] }, "malformed"],
    ["with an RCODE that the program could not read", "A", { additionals: [opt([OURS], { extendedRcode: 1 })] }, "malformed"],
  ] as const)("is nothing when addresses come %s", (_, type, parts, expected) => {
    expect(readAnswer(queryOf(message(type)), reply(type, parts as never), OPTION)).toBe(expected);
  });

  it("says that it was cut, and what is too long is cut here", () => {
    const cut = readAnswer(plain, reply("A", { flags: 0x0200 }), OPTION);
    expect(cut).toMatchObject({ isCut: true, addresses: [] });
    const long = reply("TXT", { answers: Array.from({ length: 9 }, () => ({ type: "TXT", name: NAME, data: "x".repeat(200) })) });
    expect(cutTo(long, long.length)).toBe(long);
    expect(decoded(cutTo(long, 512))).toMatchObject({ flag_tc: true, rcode: "NOERROR", questions: [{ name: NAME }], answers: [], additionals: [] });
    expect(decoded(failureOf(plain.query, plain.question.end))).toMatchObject({ id: 0x1234, rcode: "SERVFAIL", questions: [{ name: NAME }], flag_rd: true, flag_cd: true });
  });

  it("of any bytes is an answer that can be sent, or a fault; every cut of a good one is malformed", () => {
    const random = new Random(Number(process.env["I3_FUZZ_SEED"] ?? "1"));
    const good = [reply("A", { answers: [a("10.1.2.3")], authorities: [SOA], additionals: [opt([EDE, OURS])] }), reply("MX", { rcode: 3, authorities: [SOA] })];
    for (const [i, query] of [edns, queryOf(message("MX"))].entries()) {
      const whole = good[i] as Uint8Array;
      for (let length = query.question.end; length < whole.length; length += 1) expect(readAnswer(query, whole.subarray(0, length), OPTION)).toBe("malformed");
      for (let round = 0; round < 20_000; round += 1) {
        const bytes = mutated(random, whole, [0, 1, 12, 28, 41, 65, 0xc0, 0xff]);
        if (!isAnswerTo(whole, query.question.end, bytes)) continue;
        const read = readAnswer(query, bytes, OPTION);
        if (typeof read !== "string") expect([read.bytes.length <= bytes.length + query.query.length, read.bytes[0], read.bytes[1]]).toEqual([true, 0x12, 0x34]);
      }
    }
  });
});

it("our own questions are those that a program would ask", () => {
  const own = ownQuery("www.corp.example", 16) as GatewayQuery;
  expect(decoded(own.query)).toMatchObject({ flag_rd: true, questions: [{ name: "www.corp.example", type: "AAAA", class: "IN" }] });
  expect(own.question).toMatchObject({ name: "www.corp.example" } satisfies Partial<GatewayQuestion["question"]>);
  for (const name of ["x".repeat(64), "a\\032b.corp", `${"x.".repeat(130)}y`, ""]) expect(ownQuery(name, 4)?.question.name ?? "").toBe("");
});
