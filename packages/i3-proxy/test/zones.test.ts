/** Names of zones: found in the ring, moved, contradicted by pins and books. Real cores and engines in virtual time. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorKey, publicId, RECORD_KIND, virtualAddress, type ProxyRule, type SignedRecord, type ZoneConfig } from "@i3/common";
import { generateHostIdentity, signRecord, triggerKeyFromSeed, type HostIdentity, type TriggerKey } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions, type Node } from "../../../test/sim/world.js";
import { Pins } from "../src/policy/pins.js";
import { addressOf, roundTrip, rulesOf } from "./traffic.js";

const NAME = "home.corp.i3";
const RANGE = { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 };
const CORP = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const STRANGER = triggerKeyFromSeed(new Uint8Array(32).fill(2));
const ZONES: readonly ZoneConfig[] = [{ suffix: "corp.i3", key: CORP.publicKey, records: [] }];
const BOOK_RULES = rulesOf('<rule name=".*\\.i3" go="i3"/>');
const FIRST_USE = rulesOf('<rule name=".*\\.corp\\.i3" go="i3" trust="first-use"/><rule name=".*\\.i3" go="i3"/>');

interface Bed {
  readonly world: World;
  readonly ring: readonly Node[];
  readonly laptop: Host;
  add(address: string, options?: Partial<HostOptions>): Host;
  /** Keeps in the ring that the name is this host. */
  publish(by: Host, who: HostIdentity, sequence: number, options?: { readonly key?: TriggerKey; readonly lifeS?: number; readonly label?: string }): SignedRecord;
}

function bed(options: Partial<HostOptions> = {}): Bed {
  const world = new World();
  const ring = world.ring(3);
  world.run(10_000);
  const add = (address: string, more: Partial<HostOptions> = {}): Host => {
    const host = addHost(world, address, { servers: ring, rules: BOOK_RULES, zones: ZONES, ...more });
    world.run(20_000, () => host.proxy.isReady(world.nowMs));
    expect(host.proxy.isReady(world.nowMs)).toBe(true);
    return host;
  };
  const publish: Bed["publish"] = (by, who, sequence, { key = CORP, lifeS = 86_400, label = "home" } = {}) => {
    const record = signRecord(key, { kind: RECORD_KIND.name, label, sequence, notAfterS: Math.ceil(world.wallMs() / 1_000) + lifeS, value: who.hit });
    by.proxy.client.keepRecord(world.nowMs, record.bytes);
    world.run(2_000);
    return record;
  };
  return { world, ring, laptop: add("198.51.100.1", options), add, publish };
}

const logged = (host: Host, event: string): readonly Readonly<Record<string, unknown>>[] => host.node.log.filter((line) => line.event === event).map(({ fields }) => fields);
/** What a program is told in the end. */
function ask({ world }: Pick<Bed, "world">, host: Host, name = NAME): unknown {
  const first = host.proxy.names.resolve(name);
  if (first !== "looking") return first;
  let isKnown = false;
  host.proxy.names.whenKnown?.(name, () => void (isKnown = true));
  world.run(20_000, () => isKnown);
  return host.proxy.names.resolve(name);
}
const addresses = (identity: HostIdentity) => ({ v4: virtualAddress(RANGE, publicId(identity.hit)), v6: identity.hit });
const pinned = (identity: HostIdentity): Pins => {
  const pins = new Pins();
  pins.add(NAME, identity.hit, Date.UTC(2026, 0, 31));
  return pins;
};
const silence = ({ world, ring }: Bed): void => ring.forEach((node) => world.nodes.delete(locatorKey(node.locator)));

describe("a name that its zone has", () => {
  it("is reached by an empty address book, and the host is known by that name", () => {
    const at = bed();
    const home = at.add("198.51.100.2");
    at.publish(home, home.identity, 1);
    expect(at.laptop.proxy.names.resolve(NAME)).toBe("looking");
    const beganMs = at.world.nowMs;
    expect(ask(at, at.laptop)).toEqual(addresses(home.identity));
    expect(at.world.nowMs - beganMs).toBeLessThan(200);
    expect(roundTrip(at.world, at.laptop, home, NAME, "hello").back).not.toBe("nothing");
    expect(at.laptop.proxy.names.reverse(addressOf(at.laptop, NAME))).toBe(NAME);
    // The host that it is knows itself by it too.
    expect(ask(at, home)).toEqual({ v4: home.proxy.own4, v6: home.identity.hit });
    expect([home.proxy.mappings.size, logged(at.laptop, "zone-name")]).toEqual([1, [{ name: NAME, hit: formatIpText(home.identity.hit) }]]);
  });

  it("gives its name to a host that has called before, with the rules for that name", () => {
    const rules = rulesOf('<rule name="home\\.corp\\.i3" go="i3" protocol="tcp"/><rule name=".*\\.i3" go="i3"/>');
    const at = bed({ rules });
    const home = at.add("198.51.100.2", { book: bookOf({ "laptop.i3": at.laptop.identity }) });
    expect(roundTrip(at.world, home, at.laptop, "laptop.i3", "hello").back).not.toBe("nothing");
    const mapping = at.laptop.proxy.mappings.byPeer(publicId(home.identity.hit));
    expect([mapping?.name, mapping?.policy.services.length]).toEqual([null, 0]);
    at.publish(home, home.identity, 1);
    expect(ask(at, at.laptop)).toEqual(addresses(home.identity));
    expect([mapping?.name, mapping?.policy.services.length, at.laptop.proxy.mappings.size]).toEqual([NAME, 1, 1]);
  });

  it("that is signed again for another host leads there, and what lived under the old one ends", () => {
    const at = bed();
    const [home, other] = [at.add("198.51.100.2"), at.add("198.51.100.3")];
    // What is known from before a restart is asked for again at once.
    const laptop = at.add("198.51.100.4", { zoneRecords: [at.publish(home, home.identity, 1)] });
    at.publish(other, other.identity, 2);
    expect(laptop.proxy.names.resolve(NAME)).toEqual(addresses(home.identity));
    expect(laptop.proxy.mappings.byPeer(publicId(home.identity.hit))?.name).toBe(NAME);
    at.world.run(2_000);
    expect(ask(at, laptop)).toEqual(addresses(other.identity));
    expect(laptop.proxy.mappings.byPeer(publicId(home.identity.hit))).toBeUndefined();
    expect(logged(laptop, "name-in-zone")).toEqual([{ name: NAME, why: "its zone gives it another key now", remedy: "Its programs have to connect again." }]);
    expect(roundTrip(at.world, laptop, other, NAME, "new").back).not.toBe("nothing");
  });

  it("that ends resolves no more; what is connected stays, without the name", () => {
    const at = bed();
    const home = at.add("198.51.100.2");
    at.publish(home, home.identity, 1, { lifeS: 20 });
    ask(at, at.laptop);
    expect(roundTrip(at.world, at.laptop, home, NAME, "hello").back).not.toBe("nothing");
    at.world.run(22_000);
    expect(at.laptop.proxy.mappings.byPeer(publicId(home.identity.hit))?.name).toBeNull();
    expect(ask(at, at.laptop)).toBe("unknown");
    expect(logged(at.laptop, "zone-name-ended")).toHaveLength(1);
  });

  it("is found after a restart while the ring is away, and no older record then", () => {
    const at = bed();
    const home = at.add("198.51.100.2");
    at.publish(home, home.identity, 7);
    ask(at, at.laptop);
    const kept = at.laptop.proxy.zones.records();
    expect(kept).toHaveLength(1);
    const thief = at.add("198.51.100.4");
    // A ring that has forgotten the newer record, and to which a thief has brought an older one.
    const other = bed({ zoneRecords: kept });
    other.publish(other.add("198.51.100.4"), thief.identity, 6);
    expect(ask(other, other.laptop)).toEqual(addresses(home.identity));
    other.world.run(10_000);
    expect(ask(other, other.laptop)).toEqual(addresses(home.identity));
    const fresh = other.add("198.51.100.5");
    expect(ask(other, fresh)).toEqual(addresses(thief.identity));
    silence(other);
    const later = addHost(other.world, "198.51.100.6", { servers: other.ring, rules: BOOK_RULES, zones: ZONES, zoneRecords: kept });
    expect(later.proxy.names.resolve(NAME)).toEqual(addresses(home.identity));
  });

  it("is that of the address book, where that has it, before and after", () => {
    const [inBook, inZone] = [generateHostIdentity(), generateHostIdentity()];
    const at = bed({ book: bookOf({ [NAME]: inBook }) });
    at.publish(at.laptop, inZone, 1);
    expect([ask(at, at.laptop), at.laptop.proxy.zones.size]).toEqual([addresses(inBook), 0]);
    const later = at.add("198.51.100.3");
    expect(ask(at, later)).toEqual(addresses(inZone));
    later.proxy.setBook(bookOf({ [NAME]: inBook }));
    expect(ask(at, later)).toEqual(addresses(inBook));
    expect([later.proxy.mappings.byPeer(publicId(inZone.hit)), logged(later, "name-in-book").length]).toEqual([undefined, 1]);
  });

  it("has the strongest protection of all names that the host has here", () => {
    const rules = rulesOf('<rule name="nas\\.i3" go="i3" security="auth"/><rule name="home\\.corp\\.i3" go="i3" security="none"/>');
    const home = generateHostIdentity();
    const at = bed({ rules, book: bookOf({ "nas.i3": home }) });
    at.publish(at.laptop, home, 1);
    ask(at, at.laptop);
    expect(at.laptop.proxy.mappings.byPeer(publicId(home.hit))?.policy.rest).toBe("auth");
    expect(logged(at.laptop, "names-differ")).toHaveLength(1);
  });
});

describe("a name that its zone does not have", () => {
  it("does not exist, in our suffix; elsewhere the ordinary resolver is asked", () => {
    const zones = [...ZONES, { suffix: "corp.example", key: STRANGER.publicKey, records: [] }];
    const at = bed({ zones, rules: rulesOf('<rule name=".*" go="i3"/>') });
    expect([ask(at, at.laptop), ask(at, at.laptop, "home.corp.example")]).toEqual(["unknown", "elsewhere"]);
  });

  it("is not looked for where no rule sends it over i3", () => {
    const at = bed({ rules: rulesOf('<rule name="home\\.corp\\.i3" go="direct"/>') });
    expect([at.laptop.proxy.names.resolve(NAME), at.laptop.proxy.names.resolve("a.corp.i3"), at.laptop.proxy.zones.counters.absent]).toEqual(["elsewhere", "unknown", 0]);
  });

  it.each([["a stranger's key", { key: STRANGER }], ["another label", { label: "hom" }]])("does not get one by a record of %s", (_, options) => {
    const at = bed();
    at.publish(at.laptop, generateHostIdentity(), 1, options);
    expect([ask(at, at.laptop), at.laptop.proxy.zones.size]).toEqual(["unknown", 0]);
  });

  it("cannot be had while the ring is silent, and is found when it is back", () => {
    const at = bed();
    const home = at.add("198.51.100.2");
    at.publish(home, home.identity, 1);
    for (const node of at.ring) node.down = true;
    expect(ask(at, at.laptop)).toBe("unavailable");
    for (const node of at.ring) node.down = false;
    at.world.run(20_000);
    expect(ask(at, at.laptop)).toEqual(addresses(home.identity));
  });
});

describe("a name that the rules trust on first use", () => {
  const claimed = (at: Bed): string => (at.laptop.proxy.names.resolve(NAME), at.laptop.proxy.mappings.byAddress(addressOf(at.laptop, NAME))?.isNameOnly === true ? "claim" : "key");

  it("is claimed when its zone does not have it, and is the zone's when it does", () => {
    const at = bed({ rules: FIRST_USE });
    ask(at, at.laptop);
    expect(claimed(at)).toBe("claim");
    const home = at.add("198.51.100.2");
    at.publish(home, home.identity, 1);
    at.world.run(12_000);
    expect(ask(at, at.laptop)).toEqual(addresses(home.identity));
    expect([claimed(at), logged(at.laptop, "name-in-zone")]).toEqual(["key", [{ name: NAME, why: "its zone says which host it is now" }]]);
  });

  it("is the pinned host while the zone says nothing else, and while nobody answers", () => {
    const host = generateHostIdentity();
    const at = bed({ rules: FIRST_USE, pins: pinned(host) });
    expect(ask(at, at.laptop)).toEqual(addresses(host));
    for (const node of at.ring) node.down = true;
    at.world.run(30_000);
    expect(ask(at, at.laptop)).toEqual(addresses(host));
    // It does not wait again for what nobody answers.
    at.world.run(10_000);
    expect(at.laptop.proxy.names.resolve(NAME)).toEqual(addresses(host));
  });

  it("is nobody while pin and zone differ, which the log says once; what lives under the pin goes on", () => {
    const at = bed({ rules: FIRST_USE });
    const home = at.add("198.51.100.2");
    const pins = pinned(home.identity);
    const laptop = at.add("198.51.100.3", { rules: FIRST_USE, pins });
    ask(at, laptop);
    expect(roundTrip(at.world, laptop, home, NAME, "before").back).not.toBe("nothing");
    const other = generateHostIdentity();
    at.publish(at.laptop, other, 1);
    at.world.run(12_000);
    expect([ask(at, laptop), ask(at, laptop)]).toEqual(["unavailable", "unavailable"]);
    expect(logged(laptop, "zone-conflict")).toMatchObject([{ name: NAME, pinned: formatIpText(home.identity.hit), zone: formatIpText(other.hit), remedy: expect.stringContaining("delete the line") as unknown }]);
    expect(laptop.proxy.mappings.byPeer(publicId(home.identity.hit))?.name).toBe(NAME);
    expect(laptop.proxy.mappings.byPeer(publicId(other.hit))).toBeUndefined();
    // The user decides.
    laptop.proxy.setBook(bookOf({ [NAME]: other }));
    expect(ask(at, laptop)).toEqual(addresses(other));
  });

  it("is the zone's when the pin says the same", () => {
    const host = generateHostIdentity();
    const at = bed({ rules: FIRST_USE, pins: pinned(host) });
    at.publish(at.laptop, host, 1);
    expect(ask(at, at.laptop)).toEqual(addresses(host));
    expect([at.laptop.proxy.zones.size, logged(at.laptop, "zone-conflict")]).toEqual([1, []]);
  });
});

it("a host without zones looks for nothing", () => {
  const rules: readonly ProxyRule[] = BOOK_RULES;
  const at = bed({ zones: [], rules });
  expect([at.laptop.proxy.names.resolve(NAME), at.laptop.proxy.zones.counters]).toEqual(["unknown", { found: 0, absent: 0, noAnswer: 0, unusable: 0, refused: 0, forgotten: 0 }]);
});
