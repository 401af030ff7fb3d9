/** Which waypoint is whose, when it may be claimed, and by whom. */
import { describe, expect, it } from "vitest";

import { published } from "../dns/published.js";
import { servicesByHost } from "../../src/waypoints/services.js";
import { Tenures } from "../../src/waypoints/tenures.js";
import { Windows } from "../../src/waypoints/windows.js";

const [W1, W2] = [Uint8Array.of(198, 51, 100, 8), Uint8Array.of(198, 51, 100, 9)];
const [V1, V2, V3] = [1, 2, 3].map((i) => Uint8Array.of(10, 0, 0, i)) as [Uint8Array, Uint8Array, Uint8Array];
const REST_MS = 60_000;

function make(uses: Map<Uint8Array, number> = new Map(), hosts = ["a", "b", "c"], vacated: Uint8Array[] = []): Tenures {
  const tenures = new Tenures({ waypoints: [W1, W2], restMs: REST_MS, lastUse: (virtual) => uses.get(virtual), vacated: (virtual) => void vacated.push(virtual) });
  tenures.setHosts(0, new Set(hosts));
  return tenures;
}

describe("as many waypoints as hosts", () => {
  it("each host keeps its own, however long it is not asked for", () => {
    const tenures = make(new Map(), ["a", "b"]);
    expect([tenures.give(0, "b", V2)?.waypoint, tenures.give(0, "a", V1)?.waypoint]).toEqual([W1, W2]);
    expect([tenures.give(1e9, "a", V1)?.waypoint, tenures.give(1e9, "b", V2)?.waypoint, tenures.isEnough(1e9)]).toEqual([W2, W1, true]);
  });

  it("are not enough until one that was of a host that is published no more has rested; its flows end at once", () => {
    const vacated: Uint8Array[] = [];
    const tenures = make(new Map(), ["a", "b"], vacated);
    tenures.give(0, "a", V1);
    tenures.give(0, "b", V2);
    tenures.setHosts(1_000, new Set(["b", "c"]));
    expect([tenures.isEnough(2_000), tenures.give(2_000, "c", V3), vacated]).toEqual([false, null, [V1]]);
    expect([tenures.isEnough(60_999), tenures.isEnough(61_000)]).toEqual([false, true]);
    expect([...tenures.all()].map(({ virtual }) => virtual)).toEqual([null, V2]);
    expect(tenures.give(61_000, "c", V3)?.waypoint).toBe(W1);
    expect(tenures.isEnough(1e9)).toBe(true);
  });
});

describe("fewer waypoints than hosts", () => {
  it("one that was not used for the time of rest is another's", () => {
    const vacated: Uint8Array[] = [];
    const tenures = make(new Map(), ["a", "b", "c"], vacated);
    expect(tenures.isEnough(1e9)).toBe(false);
    tenures.give(0, "a", V1);
    tenures.give(1_000, "b", V2);
    expect(tenures.give(59_999, "c", V3)).toBeNull();
    expect(vacated).toEqual([]);
    expect([tenures.give(60_000, "c", V3)?.waypoint, vacated]).toEqual([W1, [V1]]);
    expect(tenures.give(60_500, "a", V1)).toBeNull();
    expect(tenures.give(61_000, "a", V1)?.waypoint).toBe(W2);
    expect(tenures.counters).toEqual({ given: 4, full: 2 });
  });

  it("neither is one that packets go by, nor one that is asked for", () => {
    const uses = new Map([[V1, 50_000]]);
    const tenures = make(uses);
    tenures.give(0, "a", V1);
    tenures.give(0, "b", V2);
    tenures.give(40_000, "b", V2);
    expect(tenures.give(99_999, "c", V3)).toBeNull();
    uses.set(V1, 99_000);
    expect(tenures.give(100_000, "c", V3)?.waypoint).toBe(W2);
  });

  it("nor one of an earlier run, nor one whose address was given back just now", () => {
    const tenures = make();
    tenures.restore(0, W1, "a");
    tenures.restore(0, Uint8Array.of(1, 2, 3, 4), "b");
    tenures.give(0, "b", V2);
    tenures.release(30_000, V2);
    expect([...tenures.all()].map(({ host, virtual }) => [host, virtual])).toEqual([["a", null], ["b", null]]);
    expect(tenures.give(59_000, "c", V3)).toBeNull();
    expect(tenures.give(60_000, "c", V3)?.waypoint).toBe(W1);
    expect(tenures.give(89_000, "a", V1)).toBeNull();
    expect(tenures.give(90_000, "a", V1)?.waypoint).toBe(W2);
  });
});

describe("windows", () => {
  const site = { address: Uint8Array.of(203, 0, 113, 0), bits: 24 };

  it("are open for a claim at least, and told again only when less would be left", () => {
    const windows = new Windows(1_000);
    expect(windows.open(0, W1, null)).toEqual({ waypoint: W1, site: null, forMs: 1_500 });
    expect([windows.open(500, W1, null), windows.open(501, W1, null)?.forMs]).toEqual([null, 1_500]);
    expect([windows.open(501, W2, null)?.waypoint, windows.open(501, W1, site)?.site]).toEqual([W2, site]);
    expect([windows.open(900, W1, site), windows.open(1_800, W1, site)?.site]).toEqual([null, site]);
  });

  it("are for anybody where the site says nothing of the waypoint's family, or too many are remembered", () => {
    const windows = new Windows(1_000);
    expect(windows.open(0, W1, { address: new Uint8Array(16), bits: 56 })?.site).toBeNull();
    for (let i = 0; i < 5_000; i += 1) windows.open(1, W1, { address: Uint8Array.of(1, i >> 8, i & 0xff, 0), bits: 24 });
    expect(windows.open(2, W2, site)?.site).toBeNull();
    expect(windows.open(10_000, W2, site)?.site).toEqual(site);
  });
});

it("what is reached of a host is what all of its names publish, each port once", () => {
  const tcp = (...ports: readonly [number, number][]) => ({ protocol: "tcp" as const, ports: ports.map(([first, last]) => ({ first, last })) });
  const services = servicesByHost([
    published("a.x.y", { waypoint: [tcp([22, 22], [80, 90]), { protocol: "ping", ports: [] }] }), published("b.x.y", { waypoint: [tcp([85, 100], [1, 2]), { protocol: "udp", ports: [{ first: 53, last: 53 }] }] }), published("c.x.y"), published("d.x.y", { to: "other.i3", waypoint: [tcp([3, 3], [4, 5])] }),
  ]);
  expect(Object.fromEntries(services)).toEqual({
    "home.i3": [tcp([1, 2], [22, 22], [80, 100]), { protocol: "udp", ports: [{ first: 53, last: 53 }] }, { protocol: "ping", ports: [] }], "other.i3": [tcp([3, 5])],
  });
});
