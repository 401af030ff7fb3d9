import { bytesKey, formatIpText, inRange, parseIpText, type AddressRange } from "@i3/common";
import { Random } from "@i3/common/testing";
import { describe, expect, it } from "vitest";

import { reachOf, serverAddress } from "../../src/index.js";
import { INSIDE_RANGE, Translations } from "../../src/nat/translations.js";
import { LedClients, type Called, type Led } from "../../src/policy/led-clients.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const HIT = ip("2001:22::1");
const KEY = { hit: HIT, secret: new Uint8Array(32).fill(7) };
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const [SERVER4, SERVER6] = [ip("192.168.5.9"), ip("2001:db8::9")];
/** Of clients at the gateway. */
const at = (n: number): readonly Uint8Array[] => [Uint8Array.of(10, 7, 7, n), Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0x20 : i === 15 ? n : 0))];
const ledTo = (...called: readonly Called[]): Led => ({ hit: HIT, real: SERVER4, called, names: ["n"], askedMs: 0 });

interface World {
  readonly translations: Translations;
  /** `client from` → `to`. */
  readonly engine: Map<string, string>;
  readonly calls: string[];
}
function world({ isOn = true, range = INSIDE_RANGE, key = KEY } = {}): World {
  const [engine, calls] = [new Map<string, string>(), [] as string[]];
  const set = (client: Uint8Array, from: Uint8Array, to: Uint8Array | null): void => {
    const [flow, key] = [formatIpText(client), `${formatIpText(client)} ${formatIpText(from)}`];
    expect(client.length, "of the family of what is sent to").toBe(from.length);
    calls.push(`${to === null ? "-" : "+"}${key}`);
    if (to === null) return expect(engine.delete(key), "only what is there is removed").toBe(true);
    const others = [...engine].filter(([other, inside]) => other.startsWith(`${flow} `) && inside === bytesKey(to));
    expect([others, from.length === to.length], "one from for each to of a client").toEqual([[], false]);
    engine.set(key, bytesKey(to));
  };
  return { engine, calls, translations: new Translations({ isOn, key, range, set }) };
}
function calledFor({ translations }: World, virtual: string, real: Uint8Array): Called {
  const called = translations.calledFor(ip(virtual), real);
  if (called === null) throw new Error("none");
  return called;
}

describe("what the TUN has for a server", () => {
  it("of the family that the client asks in is what the client has", () => {
    const of = world({ isOn: false });
    const virtual = ip("10.1.2.3");
    expect(calledFor(of, "10.1.2.3", SERVER4)).toEqual({ virtual, inside: virtual });
    of.translations.tell(at(1), ledTo({ virtual, inside: virtual }));
    expect([of.engine.size, of.translations.takes({ virtual, inside: virtual }), of.translations.takes({ virtual, inside: SERVER6 })]).toEqual([0, true, false]);
  });

  it("of the other family is an address of that, which no host has: in the gateway's prefix, or of a reserved range", () => {
    const of = world();
    const [six, four] = [calledFor(of, "10.1.2.3", SERVER6), calledFor(of, "fd00::7", SERVER4)];
    expect([six.inside.length, six.inside[0], four.inside.length, inRange(INSIDE_RANGE, four.inside)]).toEqual([16, 0xfd, 4, true]);
    expect(calledFor(of, "10.1.2.3", SERVER6)).toEqual(six);
    expect(reachOf(four.inside)).toBe("nowhere");
    const other = world({ key: { hit: HIT, secret: new Uint8Array(32).fill(8) } });
    expect([calledFor(other, "10.1.2.3", SERVER6), calledFor(other, "fd00::7", SERVER4)], "known by the secret alone").not.toContainEqual(expect.objectContaining({ inside: four.inside }));
  });

  it("is nothing where the gateway does not translate, and not what an earlier run took of the virtual range", () => {
    expect(world({ isOn: false }).translations.calledFor(ip("10.1.2.3"), SERVER6)).toBeNull();
    const { translations } = world();
    expect([translations.takes({ virtual: ip("fd00::7"), inside: ip("10.1.2.3") }), translations.takes({ virtual: ip("fd00::7"), inside: ip("240.1.2.3") })]).toEqual([false, true]);
  });
});

describe("the engine", () => {
  it("is told once, at the client's address of each family, and again where something differs", () => {
    const of = world();
    const [six, four] = [calledFor(of, "10.1.2.3", SERVER6), calledFor(of, "fd00::7", SERVER4)];
    for (let i = 0; i < 3; i += 1) for (const one of [six, four]) of.translations.tell(at(1), ledTo(one));
    expect([of.calls.length, of.translations.size]).toEqual([2, 2]);
    of.translations.tell(at(1), ledTo({ virtual: six.virtual, inside: ip("fd00::99") }));
    expect([of.calls.length, of.translations.size, [...of.engine.values()].includes(bytesKey(ip("fd00::99")))]).toEqual([3, 2, true]);
    of.translations.forget(at(1), ledTo(six));
    of.translations.forget(at(1), ledTo(six));
    expect([of.engine.size, of.translations.size]).toEqual([1, 1]);
    // A client whose peer has no IPv6 address here.
    of.translations.tell(at(1).slice(0, 1), ledTo(calledFor(of, "fd00::8", SERVER4)));
    expect(of.engine.size).toBe(1);
  });

  it("forgets a client's addresses that are nobody's, and hears of the next ones", () => {
    const of = world();
    const both = ledTo(calledFor(of, "10.1.2.3", SERVER6), calledFor(of, "fd00::7", SERVER4));
    for (const client of [at(1), at(2)]) of.translations.tell(client, both);
    for (const address of at(1)) of.translations.release(address);
    for (const address of at(1)) of.translations.release(address);
    expect([...of.engine.keys()].map((key) => key.split(" ")[0])).toEqual(at(2).map(formatIpText));
    of.translations.tell(at(3), both);
    expect([of.engine.size, of.translations.size]).toEqual([4, 4]);
  });
});

describe("a client that is hostile", () => {
  it("is in nobody's way: whatever addresses it has occupied, another one is led to the server at the first try, and translated", () => {
    const of = world();
    const led = new LedClients(10_000);
    const [hostile, other] = [ip("2001:22::bad"), ip("2001:22::7")];
    const tries = Array.from({ length: 8 }, (_, i) => serverAddress(KEY, SERVER6, { range: RANGE, tries: i }, 4));
    const inside = calledFor(of, [...(tries[0] ?? [])].join("."), SERVER6).inside;
    // All tries of the server: plain, as those of servers that hash to them in a range of its own; translated, to others; and what the TUN has for it.
    for (const [i, virtual] of [...tries, inside].entries()) {
      const real = virtual.length === 4 ? (i % 2 === 0 ? Uint8Array.of(192, 0, 2, i) : Uint8Array.from({ length: 16 }, (_, at16) => (at16 === 15 ? i : 0x20))) : Uint8Array.from({ length: 16 }, () => 9);
      const called = calledFor(of, virtual.length === 4 ? [...virtual].join(".") : "fd00::1", real);
      const found = led.lead(0, hostile, real, virtual.length === 4 ? called : { virtual, inside: virtual }, "evil");
      expect(found).toMatchObject({ led: { hit: hostile } });
      if (typeof found !== "string") of.translations.tell(at(66), found.led);
    }
    const [virtual = SERVER4] = tries;
    const found = led.lead(1, other, SERVER6, calledFor(of, [...virtual].join("."), SERVER6), "bank");
    if (typeof found === "string") throw new Error(found);
    of.translations.tell(at(1), found.led);
    expect(of.engine.get(`${formatIpText(at(1)[0] ?? SERVER4)} ${formatIpText(virtual)}`)).toBe(bytesKey(inside));
  });
});

it("what the engine has is what clients call their servers, whoever comes and goes in whatever order", () => {
  const random = new Random(7);
  // So narrow that addresses meet.
  const range: AddressRange = { network: ip("10.9.9.0"), prefixBits: 26 };
  const of = world({ range });
  const led = new LedClients(60);
  const here = new Map<string, readonly Uint8Array[]>();
  const keyOf = (hit: Uint8Array): string => bytesKey(hit);
  let [made, taken, next] = [0, 0, 1];
  for (let nowMs = 0; nowMs < 3_000; nowMs += 1) {
    const hit = Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? random.below(6) : 0x20));
    if (random.below(20) === 0) {
      for (const address of here.get(keyOf(hit)) ?? []) of.translations.release(address);
      here.delete(keyOf(hit));
    }
    if (!here.has(keyOf(hit))) {
      here.set(keyOf(hit), at((next += 1) % 250));
      for (const one of led.of(hit)) of.translations.tell(here.get(keyOf(hit)) ?? [], one);
    }
    const n = random.below(40);
    const real = n % 2 === 0 ? Uint8Array.of(192, 0, 2, n) : Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 0x20));
    const virtual = serverAddress(KEY, real, { range, tries: random.below(8) }, random.below(2) === 0 ? 4 : 16);
    const called = led.calledBy(hit, real, virtual) ?? of.translations.calledFor(virtual, real);
    const found = called === null ? "taken" : led.lead(nowMs * 1_000, hit, real, called, "n");
    if (typeof found === "string") taken += 1;
    else {
      made += 1;
      for (const gone of found.gone) of.translations.forget(here.get(keyOf(gone.hit)) ?? [], gone);
      of.translations.tell(here.get(keyOf(hit)) ?? [], found.led);
    }
    if (random.below(10) === 0) {
      for (const one of [...led.all()].slice(0, 3)) {
        led.remove(one);
        of.translations.forget(here.get(keyOf(one.hit)) ?? [], one);
      }
    }
    const wanted = [...led.all()].flatMap((one) => one.called.filter(({ virtual: from, inside }) => from.length !== inside.length).flatMap(({ virtual: from, inside }) =>
      (here.get(keyOf(one.hit)) ?? []).filter(({ length }) => length === from.length).map((client) => [`${formatIpText(client)} ${formatIpText(from)}`, bytesKey(inside)] as const)));
    expect(new Map(wanted)).toEqual(of.engine);
    expect(of.translations.size).toBe(of.engine.size);
  }
  expect([made > 500, taken > 20]).toEqual([true, true]);
});
