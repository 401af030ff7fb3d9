import { bytesKey, inRange, parseIpText, type AddressRange } from "@i3/common";
import { Random } from "@i3/common/testing";
import { describe, expect, it } from "vitest";

import { serverAddress } from "../../src/index.js";
import { Translations } from "../../src/nat/translations.js";
import { LedClients } from "../../src/policy/led-clients.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const HIT = ip("2001:22::1");
const RANGE: AddressRange = { network: ip("10.0.0.0"), prefixBits: 8 };
const [SERVER4, SERVER6] = [ip("192.168.5.9"), ip("2001:db8::9")];

function world({ isOn = true, range = RANGE, given = [] as Uint8Array[] } = {}): { readonly translations: Translations; readonly engine: Map<string, string> } {
  const engine = new Map<string, string>();
  const set = (from: Uint8Array, to: Uint8Array | null): void => {
    if (to === null) return expect(engine.delete(bytesKey(from)), "only what is there is removed").toBe(true);
    expect([engine.has(bytesKey(from)), [...engine.values()].includes(bytesKey(to)), from.length === to.length], "one from for each to").toEqual([false, false, false]);
    engine.set(bytesKey(from), bytesKey(to));
  };
  return { engine, translations: new Translations({ isOn, hit: HIT, range, isGiven: (address) => given.some((one) => bytesKey(one) === bytesKey(address)), set }) };
}

describe("what the TUN has for a server", () => {
  it("of the family that the client asks in is what the client has", () => {
    const { translations, engine } = world({ isOn: false });
    const virtual = ip("10.1.2.3");
    expect(translations.calledFor(virtual, SERVER4)).toEqual({ virtual, inside: virtual });
    translations.added({ virtual, inside: virtual });
    expect(engine.size).toBe(0);
  });

  it("of the other family is an address of that: in the gateway's prefix, or in its range", () => {
    const { translations, engine } = world();
    const six = translations.calledFor(ip("10.1.2.3"), SERVER6);
    const four = translations.calledFor(ip("fd00::7"), SERVER4);
    expect([six?.inside.length, six?.inside[0], four?.inside.length, inRange(RANGE, four?.inside ?? SERVER4)]).toEqual([16, 0xfd, 4, true]);
    if (six === null || four === null) throw new Error("none");
    for (const one of [six, six, four]) translations.added(one);
    expect([translations.size, engine.size, translations.calledFor(six.virtual, SERVER6)?.inside]).toEqual([2, 2, six.inside]);
    for (const one of [six, four]) translations.removed(one);
    expect(engine.size).toBe(1);
    translations.removed(six);
    expect([translations.size, engine.size]).toEqual([0, 0]);
  });

  it("is nothing where the gateway does not translate, and never an address that somebody has", () => {
    expect(world({ isOn: false }).translations.calledFor(ip("10.1.2.3"), SERVER6)).toBeNull();
    const first = world().translations.calledFor(ip("fd00::7"), SERVER4)?.inside ?? SERVER4;
    const second = world({ given: [first] }).translations.calledFor(ip("fd00::7"), SERVER4)?.inside;
    expect([second?.length, second]).toEqual([4, expect.not.objectContaining(first)]);
  });

  it("is not what a client calls a server of that family, nor the other way round", () => {
    const { translations } = world();
    const six = translations.calledFor(ip("10.1.2.3"), SERVER6);
    if (six === null) throw new Error("none");
    translations.added(six);
    for (const taken of [six.virtual, six.inside]) expect(translations.takes({ virtual: taken, inside: taken })).toBe(false);
    const [plain, other] = [ip("10.4.4.4"), ip("10.4.4.5")];
    translations.added({ virtual: plain, inside: plain });
    expect(translations.calledFor(plain, SERVER6)).toBeNull();
    expect(translations.takes({ virtual: other, inside: six.inside })).toBe(false);
    translations.removed({ virtual: plain, inside: plain });
    expect(translations.calledFor(plain, SERVER6)).not.toBeNull();
  });

  it("is one for all clients, whoever comes and goes in whatever order", () => {
    const random = new Random(7);
    // So narrow that addresses meet.
    const range: AddressRange = { network: ip("10.9.9.0"), prefixBits: 26 };
    const { translations, engine } = world({ range });
    const led = new LedClients(60, translations);
    let [made, taken] = [0, 0];
    for (let nowMs = 0; nowMs < 3_000; nowMs += 1) {
      const hit = Uint8Array.from({ length: 16 }, () => random.below(4) === 0 ? 1 : 0);
      const n = random.below(40);
      const real = n % 2 === 0 ? Uint8Array.of(192, 0, 2, n) : Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? n : 0x20));
      const virtual = serverAddress(HIT, real, { range, tries: random.below(8) }, random.below(2) === 0 ? 4 : 16);
      const called = led.calledBy(hit, real, virtual) ?? translations.calledFor(virtual, real);
      const found = called === null ? "taken" : led.lead(nowMs * 1_000, hit, real, called, "n");
      if (typeof found === "string") taken += 1;
      else made += 1;
      if (random.below(10) === 0) for (const one of [...led.all()].slice(0, 3)) led.remove(one);
      const all = [...led.all()].flatMap((one) => one.called);
      const [plain, translated] = [all.filter((one) => one.virtual === one.inside || bytesKey(one.virtual) === bytesKey(one.inside)), all.filter((one) => one.virtual.length !== one.inside.length)];
      const used = new Set([...engine.keys(), ...engine.values()]);
      expect(plain.some(({ virtual: one }) => used.has(bytesKey(one)))).toBe(false);
      expect(new Map(translated.map((one) => [bytesKey(one.virtual), bytesKey(one.inside)]))).toEqual(engine);
    }
    expect([made > 500, taken > 100]).toEqual([true, true]);
  });
});
