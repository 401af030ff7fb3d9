import * as dnsPacket from "dns-packet";
import { describe, expect, test } from "vitest";
import { type DnsVerdict, answerQuery } from "../../src/dns/dns-core.js";
import { readQuestion } from "../../src/dns/question.js";
import { HOME_V6, testNames } from "./names.js";

const HOME_V6_TEXT = "2001:25:1:203:405:607:809:a0b";
const HOME_V6_REVERSE = "b.0.a.0.9.0.8.0.7.0.6.0.5.0.4.0.3.0.2.0.1.0.0.0.5.2.0.0.1.0.0.2.ip6.arpa";

interface QueryOptions {
  readonly class?: dnsPacket.RecordClass;
  readonly flags?: number;
  readonly additionals?: dnsPacket.Packet["additionals"];
}

function queryBytes(name: string, type: string, options: QueryOptions = {}): Uint8Array {
  const packet = dnsPacket.encode({
    type: "query",
    id: 0x1234,
    flags: options.flags ?? dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type: type as dnsPacket.RecordType, class: options.class ?? "IN" }],
    ...(options.additionals === undefined ? {} : { additionals: options.additionals }),
  });
  return new Uint8Array(packet);
}

const opt = (udpPayloadSize: number, ednsVersion = 0, flags = 0): dnsPacket.OptAnswer =>
  ({ type: "OPT", name: ".", udpPayloadSize, extendedRcode: 0, ednsVersion, flags, flag_do: flags !== 0, options: [] });

function answered(verdict: DnsVerdict): dnsPacket.DecodedPacket {
  if (verdict.kind !== "answer") throw new Error(`not answered: ${verdict.kind}`);
  return dnsPacket.decode(Buffer.from(verdict.bytes));
}

/** Answer in short: rcode, then `TYPE data` of the answers, then `soa` of an owner. */
function inShort(verdict: DnsVerdict): string {
  if (verdict.kind !== "answer") return verdict.kind === "drop" ? `drop ${verdict.reason}` : "forward";
  const packet = answered(verdict) as dnsPacket.DecodedPacket & { rcode: string };
  const answers = (packet.answers ?? []).map((record) => `${record.type} ${"data" in record ? JSON.stringify(record.data).replaceAll(`"`, "") : ""}`);
  const authorities = (packet.authorities ?? []).map((record) => `${record.type} of ${record.name}`);
  return [packet.rcode, ...answers, ...authorities].join(", ");
}

describe("answers", () => {
  test.each([
    ["home.i3", "A", "NOERROR, A 10.1.2.3"],
    ["HoMe.I3", "A", "NOERROR, A 10.1.2.3"],
    ["home.i3", "AAAA", `NOERROR, AAAA ${HOME_V6_TEXT}`],
    ["home.i3", "ANY", `NOERROR, A 10.1.2.3, AAAA ${HOME_V6_TEXT}`],
    ["home.i3", "TXT", "NOERROR, SOA of i3"],
    ["home.i3", "MX", "NOERROR, SOA of i3"],
    ["six.i3", "A", "NOERROR, SOA of i3"],
    ["i3", "NS", "NOERROR, SOA of i3"],
    ["nobody.i3", "A", "NXDOMAIN, SOA of i3"],
    ["a.nobody.i3", "A", "NXDOMAIN, SOA of nobody.i3"],
    ["down.i3", "A", "SERVFAIL"],
    ["www.example.com", "A", "forward"],
    ["i3.example.com", "A", "forward"],
    [".", "NS", "forward"],
    ["3.2.1.10.in-addr.arpa", "PTR", "NOERROR, PTR home.i3"],
    ["3.2.1.10.IN-ADDR.arpa", "PTR", "NOERROR, PTR home.i3"],
    ["3.2.1.10.in-addr.arpa", "A", "NOERROR, SOA of 2.1.10.in-addr.arpa"],
    ["4.2.1.10.in-addr.arpa", "PTR", "forward"],
    ["2.1.10.in-addr.arpa", "NS", "forward"],
    ["03.2.1.10.in-addr.arpa", "PTR", "forward"],
    ["259.2.1.10.in-addr.arpa", "PTR", "forward"],
    [HOME_V6_REVERSE, "PTR", "NOERROR, PTR home.i3"],
    [`c${HOME_V6_REVERSE.slice(1)}`, "PTR", `NXDOMAIN, SOA of ${HOME_V6_REVERSE.slice(2)}`],
    ["2.0.0.1.0.0.2.ip6.arpa", "NS", "NOERROR, SOA of 0.0.1.0.0.2.ip6.arpa"],
    ["3.0.0.1.0.0.2.ip6.arpa", "NS", "forward"],
    ["8.b.d.0.1.0.0.2.ip6.arpa", "NS", "forward"],
  ])("%s %s → %s", (name, type, expected) => {
    expect(inShort(answerQuery(queryBytes(name, type), testNames))).toBe(expected);
  });

  test.each([64, 65])("type %i (SVCB, HTTPS) of a name of ours: it exists, there is no data", (type) => {
    const query = queryBytes("home.i3", "A");
    query[query.length - 3] = type;
    expect(inShort(answerQuery(query, testNames))).toBe("NOERROR, SOA of i3");
  });

  test("everything has a time to live of 0, the SOA's minimum too", () => {
    const positive = answered(answerQuery(queryBytes("home.i3", "ANY"), testNames));
    expect((positive.answers ?? []).map((record) => "ttl" in record && record.ttl)).toEqual([0, 0]);
    const negative = answered(answerQuery(queryBytes("nobody.i3", "A"), testNames));
    expect(negative.authorities).toMatchObject([{ ttl: 0, data: { mname: "i3", rname: "nobody.invalid", minimum: 0 } }]);
  });

  test("id, letter case, opcode, RD and CD are the query's; QR, AA and RA are set", () => {
    const packet = answered(answerQuery(queryBytes("HoMe.i3", "A", { flags: 0x0110 }), testNames));
    expect(packet).toMatchObject({ id: 0x1234, type: "response", flag_aa: true, flag_rd: true, flag_ra: true, flag_cd: true, flag_ad: false, flag_tc: false });
    expect(packet.questions).toMatchObject([{ name: "HoMe.i3", type: "A", class: "IN" }]);
    expect(answered(answerQuery(queryBytes("home.i3", "A", { flags: 0 }), testNames)).flag_rd).toBe(false);
  });

  test.each(["CH", "ANY", "HS"] as const)("class %s is not ours", (dnsClass) => {
    expect(answerQuery(queryBytes("home.i3", "A", { class: dnsClass }), testNames).kind).toBe("forward");
  });
});

describe("anonymous names and addresses", () => {
  const names = { ...testNames, isAnonymous: (name: string) => name === "forum.example", hides: ([first]: Uint8Array) => first === 198 };

  test("are asked of nobody else, in any class, and addresses have no name", () => {
    expect(["forum.example", "example"].map((name) => answerQuery(queryBytes(name, "A"), names).kind)).toEqual(["gateway", "forward"]);
    expect(["forum.example", "1.4.18.198.in-addr.arpa"].map((name) => inShort(answerQuery(queryBytes(name, "ANY", { class: "CH" }), names)))).toEqual(["REFUSED", "REFUSED"]);
    expect(inShort(answerQuery(queryBytes("1.4.18.198.in-addr.arpa", "PTR"), names))).toMatch(/^NXDOMAIN/);
    expect(inShort(answerQuery(queryBytes("1.4.18.199.in-addr.arpa", "PTR"), names))).toBe("forward");
  });
});

describe("EDNS", () => {
  const additionals = (packet: dnsPacket.DecodedPacket): unknown => packet.additionals;

  test("no OPT, no OPT", () => {
    expect(additionals(answered(answerQuery(queryBytes("home.i3", "A"), testNames)))).toEqual([]);
  });

  test("OPT is answered with our size, version 0, the DO bit and no options", () => {
    const cookie = { ...opt(4096, 0, 0x8000), options: [{ code: 10, data: Buffer.from("0102030405060708", "hex") }] } as unknown as dnsPacket.OptAnswer;
    const packet = answered(answerQuery(queryBytes("home.i3", "A", { additionals: [cookie] }), testNames));
    expect(additionals(packet)).toMatchObject([{ type: "OPT", name: ".", udpPayloadSize: 1232, ednsVersion: 0, extendedRcode: 0, flag_do: true, options: [] }]);
  });

  test("another version is answered with BADVERS", () => {
    const packet = answered(answerQuery(queryBytes("home.i3", "A", { additionals: [opt(1232, 1)] }), testNames));
    expect(packet.answers).toEqual([]);
    expect(additionals(packet)).toMatchObject([{ extendedRcode: 1, ednsVersion: 0 }]);
  });

  test("two OPT records are malformed", () => {
    expect(inShort(answerQuery(queryBytes("home.i3", "A", { additionals: [opt(1232), opt(1232)] }), testNames))).toBe("FORMERR");
  });

  test("what is not ours is not looked into", () => {
    expect(answerQuery(queryBytes("example.com", "A", { additionals: [opt(1232), opt(1232)] }), testNames).kind).toBe("forward");
  });
});

describe("length", () => {
  const longLabel = "x".repeat(63);
  const longPointer = `${longLabel}.${longLabel}.${longLabel}.${"y".repeat(50)}.i3`;
  const names = { ...testNames, reverse: () => longPointer };
  const question = HOME_V6_REVERSE;

  test("an answer that fits 512 bytes goes whole", () => {
    expect(inShort(answerQuery(queryBytes(question, "PTR"), names))).toBe(`NOERROR, PTR ${longPointer}`);
  });

  test("no answer of ours can be longer than 512 bytes with names as long as they may be", () => {
    const verdict = answerQuery(queryBytes(question, "PTR", { additionals: [opt(512)] }), names);
    expect(verdict.kind === "answer" && verdict.bytes.length).toBeLessThanOrEqual(512);
    const nxDomain = answerQuery(queryBytes(`${longLabel}.${longLabel}.${longLabel}.${"y".repeat(50)}.i3`, "A", { additionals: [opt(10)] }), testNames);
    expect(nxDomain.kind === "answer" && nxDomain.bytes.length).toBeLessThanOrEqual(512);
  });
});

describe("bad input", () => {
  const whole = queryBytes("home.i3", "A");
  const changed = (offset: number, ...bytes: number[]): Uint8Array => {
    const copy = whole.slice();
    copy.set(bytes, offset);
    return copy;
  };

  test.each([
    ["nothing", new Uint8Array(0), "drop short"],
    ["half a header", whole.subarray(0, 11), "drop short"],
    ["a response", changed(2, 0x80), "drop response"],
    ["no question", changed(4, 0, 0), "FORMERR"],
    ["no question, operation DSO", changed(2, 0x30, 0, 0, 0), "NOTIMP"],
    ["two questions", changed(4, 0, 2), "FORMERR"],
    ["a question without end", whole.subarray(0, whole.length - 1), "FORMERR"],
    ["a pointer as the question", changed(12, 0xc0, 0x0c), "FORMERR"],
    ["a label type of RFC 2673", changed(12, 0x41), "FORMERR"],
    ["additional records that are not there", changed(10, 0, 1), "FORMERR"],
    ["operation UPDATE for a name of ours", changed(2, 0x28), "NOTIMP"],
    ["a name of another alphabet", changed(13, 0xff, 0x20), "NXDOMAIN, SOA of i3"],
    ["a label longer than the packet", changed(17, 0x2e), "FORMERR"],
  ])("%s", (_, query, expected) => {
    expect(inShort(answerQuery(query, testNames))).toBe(expected);
  });

  test("operation UPDATE for other names goes on", () => {
    expect(answerQuery(queryBytes("example.com", "SOA", { flags: 0x2800 }), testNames).kind).toBe("forward");
  });

  test("every truncation of a query gives a drop or FORMERR", () => {
    for (let length = 0; length < whole.length; length += 1) {
      expect(inShort(answerQuery(whole.subarray(0, length), testNames))).toBe(length < 12 ? "drop short" : "FORMERR");
    }
  });

  test("a label with a dot in it is not two labels", () => {
    const query = queryBytes("homexi3", "A");
    query[17] = 0x2e;
    expect(readQuestion(query)?.name).toBe("home\\046i3");
    expect(answerQuery(query, testNames).kind).toBe("forward");
  });

  test("asking does not change the query or what was answered before", () => {
    const first = answerQuery(whole, testNames);
    const copy = first.kind === "answer" ? first.bytes.slice() : null;
    answerQuery(queryBytes("nobody.i3", "A"), testNames);
    expect(first.kind === "answer" && first.bytes).toEqual(copy);
    expect(whole).toEqual(queryBytes("home.i3", "A"));
    expect(HOME_V6[1]).toBe(1);
  });
});
