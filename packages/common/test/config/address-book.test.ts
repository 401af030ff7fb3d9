import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_ADDRESS_BOOK, parseAddressBook, parseIpv6Text, renderAddressBook, type BookEntry } from "../../src/index.js";
import { book } from "./bad-documents.js";

const HIT = parseIpv6Text("2001:22::abcd") ?? new Uint8Array();
const ID = new Uint8Array(32).fill(0xab);

const label = fc.stringMatching(/^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/);
const name = fc
  .tuple(fc.array(label, { minLength: 1, maxLength: 3 }), fc.stringMatching(/^[a-z]{1,10}$/))
  .map(([labels, last]) => [...labels, last].join("."));
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const hit = bytes(12).map((tail) => Uint8Array.of(0x20, 0x01, 0x00, 0x22, ...tail));
/** What people write, and all that XML gives a meaning to. */
const note = fc
  .string({ unit: fc.oneof(fc.constantFrom(..."&<>\"';#]- a"), fc.string({ unit: "binary", minLength: 1, maxLength: 1 })), maxLength: 100 })
  .filter((text) => !/[\p{Control}\p{Surrogate}\u2028\u2029\ufffe\uffff]/u.test(text));
const who = fc.oneof(hit.map((value) => ({ hit: value })), bytes(32).map((value) => ({ id: value })));
const entry = fc
  .tuple(name, who, fc.option(note, { nil: undefined }))
  .map(([host, key, remark]) => ({ name: host, ...key, ...(remark !== undefined && { note: remark }) }));

describe("address book", () => {
  const text = book(
    '<host name="Home.I3" hit="2001:22::ABCD" note="mine"/>',
    `<host name="also.home.i3" hit="2001:22::abcd"/>`,
    `<host name="printer.i3" id="${"AB".repeat(32)}"/>`,
  );
  const parsed = parseAddressBook(text, "b.xml");
  const [home, also, printer] = parsed.entries;

  it("has its entries in order", () => {
    expect(parsed.entries).toEqual<BookEntry[]>([
      { name: "home.i3", hit: HIT, note: "mine", line: 2 },
      { name: "also.home.i3", hit: HIT, line: 3 },
      { name: "printer.i3", id: ID, line: 4 },
    ]);
    expect([parsed, parsed.entries, ...parsed.entries].every(Object.isFrozen)).toBe(true);
  });

  it.each([
    ["home.i3", home],
    ["HOME.i3.", home],
    ["also.home.i3", also],
    ["printer.i3", printer],
    ["i3", undefined],
    ["", undefined],
    ["home.i3..", undefined],
    ["__proto__", undefined],
  ])("looks up %j", (name, found) => {
    expect(parsed.lookup(name)).toBe(found);
  });

  it("finds the first name of a hit or an id", () => {
    expect(parsed.reverse(HIT)).toBe(home);
    expect(parsed.reverse(ID)).toBe(printer);
    expect(parsed.reverse(new Uint8Array(16))).toBeUndefined();
    expect(parsed.reverse(new Uint8Array())).toBeUndefined();
  });

  it("knows the address of a host by any of its names", () => {
    const host = (name: string, more = "") => `<host name="${name}" hit="2001:22::abcd" ${more}/>`;
    const at = 'address="192.0.2.1" port="10500"';
    const addressed = { protocol: "udp", address: Uint8Array.of(192, 0, 2, 1), port: 10_500 };
    for (const lines of [[host("a.i3"), host("b.i3", at)], [host("a.i3", at), host("b.i3")], [host("a.i3", at), host("b.i3", 'address="192.0.2.1" protocol="udp"')]]) {
      const found = parseAddressBook(book(...lines), "b.xml");
      expect(found.addressOf(HIT)).toEqual(addressed);
      expect(found.reverse(HIT)?.name).toBe("a.i3");
    }
    expect(parsed.addressOf(HIT)).toBeUndefined();
  });

  it("may be empty", () => {
    expect(parseAddressBook('<address-book version="1"/>', "b.xml").entries).toEqual([]);
    expect(EMPTY_ADDRESS_BOOK.lookup("home.i3")).toBeUndefined();
    expect(EMPTY_ADDRESS_BOOK.reverse(HIT)).toBeUndefined();
  });

  it("reads the example", () => {
    const example = parseAddressBook(readFileSync(new URL("../../../../deploy/examples/address-book.xml", import.meta.url)), "b.xml");
    expect(example.entries.map((host) => host.name)).toEqual(["home.i3", "nas.home.i3", "printer.office.i3", "hip.example.net", "old.example.net"]);
    expect(example.lookup("home.i3")?.note).toBe("the box under the stairs");
  });

  it("reads back what it writes", () => {
    const entries = fc.uniqueArray(entry, { selector: (host) => host.name, maxLength: 20 });
    fc.assert(
      fc.property(entries, (hosts) => {
        const read = parseAddressBook(renderAddressBook(hosts), "b.xml");
        expect(read.entries.map(({ line, ...host }) => host)).toEqual(hosts);
        expect(read.entries.map(({ line }) => line)).toEqual(hosts.map((_, i) => i + 3));
        expect(renderAddressBook(read.entries)).toBe(renderAddressBook(hosts));
      }),
    );
  });

  it.each([
    [[{ name: "home", hit: HIT }], 'address book: /address-book/host[1]/@name: "home" has too few labels'],
    [[{ name: 'a"/>.i3', hit: HIT }], "is not a DNS name"],
    [[{ name: "a.i3", hit: new Uint8Array(16) }], 'host[1]/@hit: "::" is outside of 2001:20::/28'],
    [[{ name: "a.i3", id: new Uint8Array(31) }], "has 62 digits"],
    [[{ name: "a.i3" }], "has 0 digits"],
    [[{ name: "a.i3", id: ID, note: "a\nb" }], 'host[1]/@note: "a\\nb" has control characters'],
    [[{ name: "a.i3", id: ID, note: "\ud800" }], "has control characters"],
    [[{ name: "a.i3", id: ID, note: "\uffff" }], "has control characters"],
    [
      [{ name: "a.i3", hit: HIT, at: { protocol: "ip" as const, address: new Uint8Array(4).fill(9) } }, { name: "b.i3", hit: HIT, at: { protocol: "ip" as const, address: new Uint8Array(4).fill(8) } }],
      "host[2]/@address: another than the same hit has before; expected one address, protocol and port for all names of a host",
    ],
    [[{ name: "a.i3", id: ID }, { name: "A.i3", id: ID }], 'host[2]/@name: "A.i3" is given twice; expected every name once'],
  ])("does not write what it could not read: %j", (entries, message) => {
    expect(() => renderAddressBook(entries)).toThrow(message);
  });

  it("of 100,000 entries is read in seconds", () => {
    const hosts = Array.from({ length: 100_000 }, (_, i) => {
      const id = new Uint8Array(32);
      new DataView(id.buffer).setUint32(0, i);
      return { name: `host-${i}.example.i3`, id };
    });
    const large = parseAddressBook(Buffer.from(renderAddressBook(hosts)), "b.xml");
    expect(large.entries).toHaveLength(100_000);
    expect(large.lookup("host-99999.example.i3")?.line).toBe(100_002);
    expect(large.reverse(hosts[77_777]?.id ?? ID)?.name).toBe("host-77777.example.i3");
  }, 60_000);
});
