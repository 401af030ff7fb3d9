/** Bad input to the ways past i3 of a host: what peers and strangers say of places, and what that makes this host send. */
import { describe, expect, it } from "vitest";

import { encodeControl, decodeControl, makeLocator, parseIpText, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";
import type { Datagram } from "@i3/datapath";
import type { PathMessage, PeerLocator } from "@i3/hip";

import { AssociationPaths } from "../../src/paths/association-paths.js";
import { OwnLocators } from "../../src/paths/own-locators.js";

const SPI_IN = 0x3000_0001;
const at = (text: string, port = 5_610): Locator => makeLocator(parseIpText(text) as Uint8Array, port);
const said = (...locators: readonly Locator[]): readonly PeerLocator[] => locators.map((locator) => ({ kind: "host", priority: 0xff03_0000, locator }));

function bench() {
  const sent: Datagram[] = [];
  const told: number[] = [];
  const random = new Random(1);
  const own = new OwnLocators(5_610, { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 });
  const place = (address: string): void => void own.setPlaces([{ interfaceIndex: 2, family: 4, addresses: [parseIpText(address) as Uint8Array], gateway: null, prefixes: null }, { interfaceIndex: 2, family: 6, addresses: [parseIpText("2001:db8::2") as Uint8Array], gateway: null, prefixes: null }]);
  place("198.51.100.2");
  const paths = new AssociationPaths({
    datapath: { send: (datagrams) => void sent.push(...datagrams) }, randomBytes: (length) => random.bytes(length), own, range: { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 },
    tell: (nowMs) => void told.push(nowMs), heardBytes: () => 0, sentBytes: () => 0, mostBytes: () => 1_500, onChoice: () => undefined,
  });
  const open = (association: number, { nowMs = 0, peer = `peer ${association}`, isStranger = false } = {}): void => paths.open(nowMs, { association, peer, isStranger, spiIn: SPI_IN + association, spiOut: 0x4000_0001, keys: { in: new Uint8Array(32).fill(1), out: new Uint8Array(32).fill(2) } });
  open(0);
  const run = (fromMs: number, toMs: number): void => {
    for (let nowMs = fromMs; nowMs < toMs; nowMs += 10) if (paths.nextDeadlineMs() <= nowMs) paths.handleTimer(nowMs);
  };
  const to = (text: string): number => sent.filter(({ locator }) => makeLocator(locator.address, 1).address.join() === at(text).address.join()).length;
  return { sent, told, own, place, paths, open, run, to };
}

describe("candidates of a peer", () => {
  it.each([
    "127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.251", "255.255.255.255", "ff02::1", "169.254.7.7", "fe80::1", "10.1.2.3", "2001:20::1", "2001:2f:ffff::1", "240.0.0.1",
  ])("that name %s make this host send nothing, and are counted", (address) => {
    const { paths, sent, run } = bench();
    paths.handleLocators(0, 0, said(at(address)));
    run(0, 20_000);
    expect(sent).toEqual([]);
    expect(paths.counters.refused).toBe(1);
  });

  it.each(["198.51.100.77", "2001:db8::77", "2001:30::1", "192.168.1.10", "9.255.255.255", "11.0.0.0"])("that name %s are checked", (address) => {
    const { paths, to, run } = bench();
    paths.handleLocators(0, 0, said(at(address)));
    run(0, 3_000);
    expect(to(address)).toBe(6);
  });

  it("of a hundred associations that all name one victim: 48 checks at once, and one a second", () => {
    const { paths, open, to, run } = bench();
    for (let association = 1; association < 100; association += 1) open(association);
    for (let association = 0; association < 100; association += 1) paths.handleLocators(0, association, said(...Array.from({ length: 16 }, (_, i) => at("203.0.113.9", 1_000 + i))));
    run(0, 60_000);
    expect(to("203.0.113.9")).toBeGreaterThanOrEqual(48);
    expect(to("203.0.113.9")).toBeLessThanOrEqual(48 + 60);
    expect(paths.counters.saved).toBeGreaterThan(1_000);
  });

  it.each<[string, (i: number) => { readonly peer: string; readonly isStranger: boolean }, number]>([
    ["of one peer that makes its keys anew twice a second, 64 and 16 a second", () => ({ peer: "peer 0", isStranger: false }), 64 + 160],
    ["of strangers with ever new keys, half of what there is", (i) => ({ peer: `stranger ${i}`, isStranger: true }), 200 + 500],
  ])("%s, wherever they go", (_, who, most) => {
    const { paths, open, sent, run } = bench();
    for (let i = 0; i < 20; i += 1) {
      for (let n = 0; n < 10; n += 1) {
        const association = n === 0 ? 0 : i * 10 + n;
        open(association, { nowMs: i * 500, ...who(i * 10 + n) });
        paths.handleLocators(i * 500, association, said(...Array.from({ length: 16 }, (__, j) => at(`203.${i}.${n}.${j + 1}`))));
      }
      run(i * 500, (i + 1) * 500);
    }
    expect(sent.length).toBeGreaterThan(most * 0.9);
    expect(sent.length).toBeLessThanOrEqual(most);
  });
});

describe("what strangers send", () => {
  it("for an SPI that nobody has, or with a wrong MAC, has no answer and changes nothing", () => {
    const { paths, sent } = bench();
    const from = at("203.0.113.9");
    const nonce = new Uint8Array(8).fill(0xff);
    for (const spi of [SPI_IN, SPI_IN + 7]) {
      const decoded = decodeControl(encodeControl({ type: "CHECK", spi, flags: 1 }, nonce, () => new Uint8Array(16)));
      paths.handleMessage(0, from, decoded, decoded.message as PathMessage);
      const bare = decodeControl(encodeControl({ type: "CHECKED", spi, observed: from }, nonce));
      paths.handleMessage(0, from, bare, bare.message as PathMessage);
    }
    expect(sent).toEqual([]);
    expect(paths.choice(0).kind).toBe("relay");
    expect([paths.counters.refused, paths.counters.strange]).toEqual([2, 2]);
  });
});

it("a thousand changes of address in a minute: each is told, and checks stay within the budget", () => {
  const { paths, place, told, sent, run } = bench();
  paths.handleLocators(0, 0, said(at("198.51.100.77")));
  for (let i = 0; i < 1_000; i += 1) {
    place(`198.51.${100 + (i % 100)}.${3 + (i % 200)}`);
    paths.handleOwn(i * 60);
    run(i * 60, (i + 1) * 60);
  }
  // HIP lets out at most five a second of these.
  expect(told).toHaveLength(1_001);
  expect(sent.length).toBeLessThanOrEqual(48 + 60 + 1);
});

it("an association that is over is known no more", () => {
  const { paths, sent } = bench();
  paths.close(0);
  const decoded = decodeControl(encodeControl({ type: "CHECK", spi: SPI_IN, flags: 0 }, new Uint8Array(8), () => new Uint8Array(16)));
  paths.handleMessage(0, at("203.0.113.9"), decoded, decoded.message as PathMessage);
  expect([sent.length, paths.counters.strange, paths.counters.open]).toEqual([0, 1, 0]);
});
