/** What everybody's resolvers hear of the domain. */
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { describe, expect, it } from "vitest";

import { Authority, type AuthorityVerdict, type WaypointQuestion } from "../../src/dns/authority.js";
import { PublishedZone } from "../../src/dns/published-zone.js";
import { DOMAIN, NAMES } from "./published.js";

const authority = new Authority({ zone: new PublishedZone(DOMAIN, NAMES), families: [4], serial: 7 });
const FLAGS = { aa: 0x0400, tc: 0x0200, rd: 0x0100, ra: 0x0080 };

type Asked = Partial<Packet> & { readonly class?: string };
const question = (name: string, type = "A", { class: dnsClass = "IN", ...more }: Asked = {}): Buffer =>
  encode({ type: "query", id: 77, questions: [{ name, type, class: dnsClass } as unknown as NonNullable<Packet["questions"]>[number]], ...more });
const opt = (more: object = {}): Asked => ({ additionals: [{ type: "OPT", name: ".", udpPayloadSize: 4_096, extendedRcode: 0, ednsVersion: 0, flags: 0, options: [], ...more } as never] });
const subnet = (...bytes: number[]): Asked => opt({ options: [{ code: 8, data: Buffer.from(bytes) }] });

function answered(verdict: AuthorityVerdict): DecodedPacket & { readonly rcode: number; readonly flags: number } {
  if (verdict.kind !== "answer") throw new Error(verdict.kind);
  const packet = decode(Buffer.from(verdict.bytes));
  return { ...packet, flags: packet.flags ?? 0, rcode: (packet.flags ?? 0) & 0xf };
}
const ask = (name: string, type?: string, more?: Asked, transport: "udp" | "tcp" = "udp") => answered(authority.read(question(name, type, more), transport));
const data = ({ answers = [] }: DecodedPacket): unknown[] => answers.map((one) => ("data" in one ? one.data : null));

function waypointOf(message: Uint8Array): WaypointQuestion {
  const verdict = authority.read(message, "udp");
  if (verdict.kind !== "waypoint") throw new Error(verdict.kind);
  return verdict.question;
}

describe("names without a waypoint", () => {
  it.each([["www.i3.example.org"], ["a.shop.i3.example.org"], ["a.b.shop.i3.example.org"], ["i3.example.org"]])("%s has this machine's addresses", (name) => {
    const four = ask(name);
    expect([four.rcode, four.flags & (FLAGS.aa | FLAGS.ra), data(four), data(ask(name, "AAAA"))]).toEqual([0, FLAGS.aa, ["192.0.2.5"], ["2001:db8::5"]]);
    expect(four.authorities).toEqual([]);
  });

  it("the server has its own, and stands beside the delegation", () => {
    expect(data(ask("ns1.i3.example.org"))).toEqual(["192.0.2.53"]);
    const { answers, additionals } = ask("i3.example.org", "NS");
    expect([answers?.[0], additionals?.map((one) => ("data" in one ? one.data : null))]).toMatchObject([{ type: "NS", data: "ns1.i3.example.org" }, ["192.0.2.53", "2001:db8::53"]]);
    expect(ask("i3.example.org", "SOA").answers?.[0]).toMatchObject({ type: "SOA", data: { mname: "ns1.i3.example.org", rname: "hostmaster.i3.example.org", serial: 7, minimum: 60 } });
  });

  it("keeps the case of a question, its id and RD, and says nothing of recursion", () => {
    const packet = ask("WwW.I3.eXaMpLe.oRg", "A", { flags: FLAGS.rd });
    expect([packet.id, packet.questions?.[0]?.name, packet.answers?.[0]?.name, packet.flags]).toEqual([77, "WwW.I3.eXaMpLe.oRg", "WwW.I3.eXaMpLe.oRg", FLAGS.aa | FLAGS.rd]);
  });
});

describe("what is not there", () => {
  it.each([
    ["a name", "nothing.i3.example.org", "A", 3], ["below a name", "x.www.i3.example.org", "A", 3], ["another type", "www.i3.example.org", "TXT", 0], ["hints of addresses", "www.i3.example.org", "HTTPS", 0],
    ["the parent of a wildcard", "shop.i3.example.org", "A", 0], ["an empty non-terminal", "way.i3.example.org", "A", 0], ["a family without waypoints", "home.i3.example.org", "AAAA", 0], ["NS of a name", "www.i3.example.org", "NS", 0],
  ] as const)("%s: the SOA says for how long", (_, name, type, rcode) => {
    const packet = ask(name, type);
    expect([packet.rcode, packet.answers, packet.flags & FLAGS.aa]).toEqual([rcode, [], FLAGS.aa]);
    expect(packet.authorities).toMatchObject([{ type: "SOA", name: "i3.example.org", ttl: 60 }]);
  });

  it.each([
    ["of another domain", "else.example.net", "A", {}], ["above the domain", "example.org", "NS", {}], ["that ends alike", "xi3.example.org", "A", {}], ["of another class", "www.i3.example.org", "TXT", { class: "CH" }],
    ["of all records", "i3.example.org", "AXFR", {}], ["of changes", "i3.example.org", "IXFR", {}],
  ] as const)("a question %s is refused", (_, name, type, more) => {
    expect(ask(name, type, more, "tcp")).toMatchObject({ rcode: 5, answers: [], authorities: [] });
  });
});

describe("messages", () => {
  it("ANY has one small record (RFC 8482), and only where the name is", () => {
    expect(ask("www.i3.example.org", "ANY").answers).toMatchObject([{ type: "HINFO", data: { cpu: "RFC8482" } }]);
    expect(ask("nothing.i3.example.org", "ANY").rcode).toBe(3);
  });

  it.each([["NOTIFY", 4], ["UPDATE", 5], ["DSO", 6]])("%s is not implemented", (_, opcode) => {
    const message = question("i3.example.org", "SOA");
    message[2] = opcode << 3;
    expect(answered(authority.read(message, "udp"))).toMatchObject({ rcode: 4, questions: [], opcode: expect.anything() as unknown });
  });

  it("answers and what is too short are not answered", () => {
    const message = question("i3.example.org");
    message[2] = 0x80;
    expect(authority.read(message, "udp").kind).toBe("drop");
    expect(authority.read(message.subarray(0, 11), "udp").kind).toBe("drop");
  });

  it("malformed ones, of two questions, of two OPTs, of no text or too long, are a FORMERR of a header", () => {
    const two = question("www.i3.example.org", "A", { questions: [{ type: "A", name: "a" }, { type: "A", name: "b" }] });
    const twice = question("www.i3.example.org", "A", { additionals: [...(opt().additionals ?? []), ...(opt().additionals ?? [])] });
    const odd = question("www.i3.example.org");
    odd[13] = 0xff;
    for (const message of [question("a.i3.example.org").subarray(0, 20), two, twice, odd, Buffer.concat([question("www.i3.example.org"), Buffer.alloc(5_000)])]) {
      const verdict = authority.read(message, "tcp");
      expect([answered(verdict).rcode, verdict.kind === "answer" && verdict.bytes.length]).toEqual([1, 12]);
    }
  });

  it("EDNS: our size, no other version, and none where none was asked for", () => {
    expect(ask("www.i3.example.org", "A", opt()).additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1_232 }]);
    expect(ask("www.i3.example.org").additionals).toEqual([]);
    const version = ask("www.i3.example.org", "A", opt({ ednsVersion: 1 }));
    expect([version.rcode, version.additionals?.[0]]).toMatchObject([0, { extendedRcode: 1 }]);
  });

  it("what is longer than asked for is cut, and whole by TCP", () => {
    const many = Array.from({ length: 8 }, (_, i) => ({ kind: "ipv6" as const, text: `2001:db8::${i + 1}`, bytes: Uint8Array.from({ length: 16 }, (__, k) => (k === 15 ? i + 1 : [0x20, 0x01, 0x0d, 0xb8][k] ?? 0)) }));
    const long = new Authority({ zone: new PublishedZone({ ...DOMAIN, addresses: many }, NAMES), families: [], serial: 1 });
    const name = `${"a".repeat(60)}.${"b".repeat(60)}.shop.i3.example.org`;
    const cut = answered(long.read(question(name, "AAAA"), "udp"));
    expect([cut.flags & FLAGS.tc, cut.answers]).toEqual([FLAGS.tc, []]);
    expect(answered(long.read(question(name, "AAAA"), "tcp")).answers).toHaveLength(8);
    expect(answered(long.read(question(name, "AAAA", opt({ udpPayloadSize: 65_535 })), "udp")).flags & FLAGS.tc).toBe(FLAGS.tc);
  });

  it("an asker that asks too much is sent to TCP, by less than it said", () => {
    const message = question("www.i3.example.org");
    const verdict = authority.read(message, "udp", true);
    expect([answered(verdict).flags & FLAGS.tc, verdict.kind === "answer" && verdict.bytes.length]).toEqual([FLAGS.tc, message.length]);
    // Nor does it get a waypoint.
    expect(authority.read(question("home.i3.example.org"), "udp", true).kind).toBe("answer");
  });
});

describe("names with a waypoint", () => {
  it("are asked about further, and answered with TTL 0", () => {
    const asked = waypointOf(question("HOME.i3.example.org", "A", { flags: FLAGS.rd }));
    expect(asked).toMatchObject({ family: 4, site: null, published: { to: "home.i3" } });
    expect(waypointOf(question("a.b.deep.way.i3.example.org")).published.to).toBe("deep.i3");
    const packet = decode(Buffer.from(authority.answerWaypoint(asked, Uint8Array.of(198, 51, 100, 8))));
    expect(packet).toMatchObject({ flags: FLAGS.aa | FLAGS.rd, answers: [{ type: "A", name: "HOME.i3.example.org", ttl: 0, data: "198.51.100.8" }], authorities: [] });
    expect((decode(Buffer.from(authority.answerWaypoint(asked, null))).flags ?? 0) & 0xf).toBe(2);
    expect(decode(Buffer.from(authority.answerWaypoint(asked, "none")))).toMatchObject({ answers: [], authorities: [{ type: "SOA" }] });
  });

  it("are for the site that the resolver says, which the answer repeats", () => {
    const asked = waypointOf(question("home.i3.example.org", "A", subnet(0, 1, 24, 0, 203, 0, 113)));
    expect(asked.site).toEqual({ address: Uint8Array.of(203, 0, 113, 0), bits: 24 });
    const options = (bytes: Uint8Array): unknown => decode(Buffer.from(bytes)).additionals?.[0];
    expect(options(authority.answerWaypoint(asked, Uint8Array.of(198, 51, 100, 8)))).toMatchObject({ options: [{ code: 8, sourcePrefixLength: 24, scopePrefixLength: 24, ip: "203.0.113.0" }] });
    const fixed = authority.read(question("www.i3.example.org", "A", subnet(0, 1, 24, 0, 203, 0, 113)), "udp");
    expect(fixed.kind === "answer" && options(fixed.bytes)).toMatchObject({ options: [{ code: 8, scopePrefixLength: 0 }] });
  });

  it.each([
    ["a wide subnet", [0, 1, 16, 0, 203, 0], null], ["one address", [0, 1, 32, 0, 203, 0, 113, 9], { address: Uint8Array.of(203, 0, 113, 0), bits: 24 }], ["nobody", [0, 1, 0, 0], null],
    ["IPv6", [0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1], { address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), bits: 56 }],
  ])("may be for %s", (_, bytes, site) => {
    expect(waypointOf(question("home.i3.example.org", "A", subnet(...bytes))).site).toEqual(site);
  });

  it.each([[[0, 3, 0, 0]], [[0, 1, 24, 1, 203, 0, 113]], [[0, 1, 33, 0, 1, 2, 3, 4, 5]], [[0, 1, 24, 0, 203, 0]], [[0, 1, 20, 0, 203, 0, 113]], [[0, 1]]])("a subnet %j is a FORMERR", (bytes) => {
    expect(ask("home.i3.example.org", "A", subnet(...bytes)).rcode).toBe(1);
  });
});
