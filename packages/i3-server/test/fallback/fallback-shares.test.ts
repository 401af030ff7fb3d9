/** How hosts that have only TCP share a server, and what its address may have at others (docs/wire.md §10), in virtual time. */
import { encodeControl, encodeDetourFrame, encodeRecordFields, encodeServerList, KEY_KIND, makeLocator, RECORD_KIND, sameLocator, TRIGGER_ACTION, type ControlMessage, type Locator } from "@i3/common";
import { DATA_FLAG, DATA_OFFSET, encodeDataHeader } from "@i3/datapath";
import { beforeEach, describe, expect, it } from "vitest";

import { FallbackCore, type FallbackConnection } from "../../src/fallback/fallback-core.js";
import {
  ASKED_MS, HANDSHAKES_BURST, HANDSHAKES_LATELY_MS, IDLE_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_NETWORK, MAX_CONNECTIONS_PER_SOURCE, MAX_WAITING_BYTES, NETWORK_LOOKUPS_BURST, RECORD_PLACE_MS, RECORD_PLACES, SEEN_KEY_MS, TO_ALL_PER_SECOND, TO_HOST_BURST, TO_HOST_PER_SECOND, TO_HOST_UNIT_BYTES,
  TRIGGER_PLACE_MS, TRIGGER_PLACES, UNUSED_MS,
} from "../../src/fallback/limits.js";

const at = (a: number, b: number, c: number, d: number, port = 5_610): Locator => makeLocator(Uint8Array.of(a, b, c, d), port);
/** In 2001:db8:network::/48. */
const at6 = (network: number, site: number): Locator => makeLocator(Uint8Array.of(0x20, 1, 0xd, 0xb8, network >> 8, network & 0xff, 0, site, 0, 0, 0, 0, 0, 0, 0, 1), 9);
/** One network each. */
const from = (i: number): Locator => at(10, i >> 16, (i >> 8) & 0xff, i & 0xff);
const SELF = at(192, 0, 2, 1);
const MEMBERS = [at(192, 0, 2, 2), at(192, 0, 2, 3)] as const;
const [MEMBER, OTHER] = MEMBERS;
const NONCE = new Uint8Array(8);
const numbered = (length: number, i: number): Uint8Array => new Uint8Array(length).fill(i >> 16, 0, 1).fill(i >> 8, 1, 2).fill(i, 2, 3);
const data = (key = 0, flags = 0): Uint8Array => encodeDataHeader({ flags, hopLimit: 16, copyBudget: 255, payloadKind: 1, nonce: NONCE, ids: [numbered(32, key)] });
const control = (message: ControlMessage): Uint8Array => encodeControl(message, NONCE);
const PING = control({ type: "PING" });
const trigger = (i: number, member?: number): Uint8Array => control({
  type: "TRIGGER", action: TRIGGER_ACTION.insert, id: numbered(32, i), target: SELF, flags: 0, counter: 1, commitment: new Uint8Array(16), cookie: new Uint8Array(24), signature: new Uint8Array(64),
  ...(member === undefined ? { keyKind: KEY_KIND.ed25519, publicKey: new Uint8Array(32) } : { keyKind: KEY_KIND.groupMember, publicKey: new Uint8Array(136).fill(member, 32, 64) }),
});
const refresh = (i: number, member: Uint8Array | null = null): Uint8Array => control({ type: "REFRESH", id: numbered(32, i), index: 1, token: new Uint8Array(16), member });
const frame = (locator: Locator, bytes: Uint8Array): Uint8Array => encodeDetourFrame({ locator, bytes });

let core: FallbackCore;
let nowMs: number;
beforeEach(() => {
  nowMs = 10_000;
  core = new FallbackCore({ self: SELF, isServer: (_, locator) => MEMBERS.some((member) => sameLocator(locator, member)) });
});

function open(source: Locator, onDisplaced?: () => void): FallbackConnection {
  const connection = core.admit(nowMs, source, onDisplaced);
  if (connection === null) throw new Error("refused");
  connection.opened(nowMs);
  return connection;
}

/** A server says that it has a trigger of the host's. */
function triggered(host: FallbackConnection): void {
  host.fromHost(nowMs, frame(MEMBER, PING));
  host.fromRing(nowMs, MEMBER, control({ type: "TRIGGER_OK", action: TRIGGER_ACTION.insert, id: new Uint8Array(32), lifeMs: 30_000, replica: null }), 0);
}

const passes = (host: FallbackConnection, to: Locator, bytes: Uint8Array): boolean => host.fromHost(nowMs, frame(to, bytes)) !== null;

describe("a newcomer where there is no place", () => {
  /** Opens them slowly, one after the other; says which were displaced. */
  function fill(sources: readonly Locator[]): { readonly hosts: readonly FallbackConnection[]; readonly displaced: number[] } {
    const displaced: number[] = [];
    const hosts = sources.map((source, i) => {
      nowMs += 20;
      return open(source, () => displaced.push(i));
    });
    return { hosts, displaced };
  }

  it("has that of the youngest of the network, and in it of the source, that has most; of those without a trigger first", () => {
    // One network at its bound, with a source that has more than the others; the others have one connection each.
    const greedy = Array.from({ length: MAX_CONNECTIONS_PER_NETWORK }, (_, i) => at6(1, i < 10 ? 0 : i));
    const sources = [...Array.from({ length: MAX_CONNECTIONS - greedy.length }, (_, i) => from(i)), ...Array.from(greedy, (one) => one)];
    const first = sources.length - greedy.length;
    const displaced: number[] = [];
    const hosts = sources.map((source, i) => {
      nowMs += i < first ? 20 : 300;
      return open(source, () => displaced.push(i));
    });
    // All have triggers but one of that source, which is not its youngest.
    hosts.forEach((host, i) => i !== first + 4 && triggered(host));
    for (let i = 0; i < 3; i += 1) open(at(198, 51, 100, i));
    expect(displaced.map((i) => i - first)).toEqual([4, 9, 8]);
    expect([core.size, hosts[first + 9]?.fromHost(nowMs, frame(SELF, PING))]).toEqual([MAX_CONNECTIONS, null]);
    expect(core.counters).toMatchObject({ displaced: 3, refused: 0 });
  });

  it("has none when the others have no more, until one has had no trigger for long", () => {
    const { hosts, displaced } = fill(Array.from({ length: MAX_CONNECTIONS }, (_, i) => from(i)));
    hosts.forEach((host, i) => i !== 7 && triggered(host));
    const newcomer = at(198, 51, 100, 1);
    nowMs += UNUSED_MS - 20 * (MAX_CONNECTIONS - 7) - 1;
    hosts.forEach((host, i) => i !== 7 && triggered(host));
    expect([core.admit(nowMs, newcomer), displaced]).toEqual([null, []]);
    nowMs += 21;
    expect([core.admit(nowMs, newcomer) !== null, displaced]).toEqual([true, [7]]);
    expect(core.admit(nowMs, newcomer)).toBeNull();
  });

  it("finds its own source full of those that have had no trigger for long, and has one of their places", () => {
    const nat = at(198, 51, 100, 1);
    nowMs += 1_000;
    const hosts = Array.from({ length: MAX_CONNECTIONS_PER_SOURCE }, () => {
      nowMs += 500;
      return open(nat);
    });
    // They ask, so that they are not idle, and have no triggers.
    for (let i = 0; i < 3; i += 1) {
      nowMs += UNUSED_MS / 3;
      for (const host of hosts) host.fromHost(nowMs, frame(SELF, PING));
    }
    triggered(hosts[31] as FallbackConnection);
    expect(hosts.some((host) => host.isOver(nowMs))).toBe(false);
    for (let i = 0; i < MAX_CONNECTIONS_PER_SOURCE; i += 1) {
      expect(core.admit(nowMs, nat) !== null).toBe(i < MAX_CONNECTIONS_PER_SOURCE - 1);
      nowMs += 500;
    }
    expect([hosts[31]?.fromHost(nowMs, frame(SELF, PING)) !== null, core.counters.displaced]).toEqual([true, MAX_CONNECTIONS_PER_SOURCE - 1]);
  });

  it("is put off no trigger by answers to what the host did not ask, nor by a stranger's", () => {
    const { hosts } = fill([from(0), from(1)]);
    const [unasked, forged] = hosts as [FallbackConnection, FallbackConnection];
    const ok = control({ type: "TRIGGER_OK", action: TRIGGER_ACTION.insert, id: new Uint8Array(32), lifeMs: 30_000, replica: null });
    unasked.fromRing(nowMs, MEMBER, ok, 0);
    forged.fromHost(nowMs, frame(MEMBER, PING));
    forged.fromRing(nowMs, at(203, 0, 113, 1), ok, 0);
    expect([unasked.hasTrigger, forged.hasTrigger]).toEqual([false, false]);
    triggered(forged);
    expect(forged.hasTrigger).toBe(true);
  });
});

describe("handshakes", () => {
  it("of a network that has had few lately come first, however many others take all", () => {
    const greedy = Array.from({ length: 100 }, (_, i) => from(i));
    let refused = 0;
    for (let ms = 0; ms < 80_000; ms += 100) {
      nowMs += 100;
      // Each connects again and again, and closes what it has.
      greedy.forEach((source, i) => (ms / 100 + i) % 5 === 0 && core.admit(nowMs, source)?.closed());
      if (ms < HANDSHAKES_LATELY_MS || ms % 1_000 !== 500) continue;
      const one = core.admit(nowMs, at(198, 51, (ms - 500) / 1_000, 1));
      if (one === null) refused += 1;
      one?.closed();
    }
    expect(refused).toBe(0);
    expect(core.counters.connections).toBeGreaterThan(HANDSHAKES_BURST + 45 * 80);
  });
});

describe("control and data of few that say little", () => {
  it("go on, however many networks say all that they may", () => {
    const greedy = Array.from({ length: 20 }, (_, i) => {
      nowMs += 1_000;
      return [open(from(i)), open(from(i))];
    }).flat();
    const modest = open(at(198, 51, 100, 1));
    nowMs += 5_000;
    let sent = 0;
    for (let ms = 0; ms < 3_000; ms += 50) {
      nowMs += 50;
      for (const bytes of [PING, data()]) for (const host of greedy) for (let i = 0; i < 100 && host.restMs(nowMs) === 0; i += 1) passes(host, SELF, bytes);
      for (const bytes of [PING, data()]) if (modest.restMs(nowMs) === 0 && passes(modest, SELF, bytes)) sent += 1;
    }
    expect(sent).toBe(120);
  });

  it("go on within one network", () => {
    const greedy = Array.from({ length: 15 }, () => {
      nowMs += 1_000;
      return open(from(1));
    });
    const modest = open(from(1));
    nowMs += 5_000;
    let sent = 0;
    for (let ms = 0; ms < 3_000; ms += 500) {
      nowMs += 500;
      for (const host of greedy) for (let i = 0; i < 100; i += 1) passes(host, SELF, PING);
      if (passes(modest, SELF, PING)) sent += 1;
    }
    expect(sent).toBe(6);
  });
});

describe("triggers of hosts, which are one source elsewhere", () => {
  /** So many, as fast as control goes. */
  function insert(host: FallbackConnection, to: Locator, count: number, first = 0): number {
    let taken = 0;
    for (let i = 0; i < count; i += 1) {
      nowMs += 20;
      if (passes(host, to, trigger(first + i))) taken += 1;
    }
    return taken;
  }

  it("are half of its network's for one host, at each server, and others of that network have of the rest", () => {
    const [one, other] = [open(from(1)), open(from(1))];
    expect(insert(one, MEMBER, 400)).toBe(TRIGGER_PLACES.perNetwork / 2);
    expect(core.counters.full).toBe(400 - TRIGGER_PLACES.perNetwork / 2);
    // What it has it may say again, and elsewhere it has as many.
    expect([insert(one, MEMBER, 100), insert(one, OTHER, 100)]).toEqual([100, 100]);
    expect(insert(other, MEMBER, 400, 1_000)).toBe(TRIGGER_PLACES.perNetwork / 4);
    // Nor has it more for coming anew.
    one.closed();
    expect(insert(open(from(1)), MEMBER, 100, 2_000)).toBe(TRIGGER_PLACES.perNetwork / 8);
  });

  it("leave places for those of other networks, however many there are", () => {
    const greedy = Array.from({ length: 24 }, (_, i) => {
      nowMs += 100;
      return open(from(i >> 1));
    });
    for (let i = 0; i < 1_000; i += 1) {
      nowMs += 25;
      greedy.forEach((host, n) => passes(host, MEMBER, trigger(1_000 * n + (i % 500))));
    }
    expect(core.counters.full).toBeGreaterThan(1_000);
    expect(insert(open(at(198, 51, 100, 1)), MEMBER, 100, 100_000)).toBe(100);
  });

  it("count for as long as a server keeps anything of them: refreshed ones too", () => {
    const host = open(from(1));
    const mine = TRIGGER_PLACES.perNetwork / 2;
    insert(host, MEMBER, mine);
    nowMs += TRIGGER_PLACE_MS / 2;
    for (let i = 0; i < mine / 2; i += 1) {
      nowMs += 20;
      passes(host, MEMBER, refresh(i));
    }
    expect(insert(host, MEMBER, 10, 1_000)).toBe(0);
    nowMs += TRIGGER_PLACE_MS / 2;
    expect(insert(host, MEMBER, 400, 2_000)).toBe(mine / 2);
    // Of what is not there nothing is kept.
    const other = open(from(2));
    for (let i = 0; i < mine; i += 1) {
      nowMs += 20;
      passes(other, MEMBER, refresh(10_000 + i));
    }
    expect(insert(other, MEMBER, 400, 20_000)).toBe(mine);
  });

  it("are one for each member of a group", () => {
    const host = open(from(1));
    let taken = 0;
    for (let i = 0; i < 300; i += 1) {
      nowMs += 20;
      if (passes(host, MEMBER, trigger(i >> 7, i & 127))) taken += 1;
    }
    expect(taken).toBe(TRIGGER_PLACES.perNetwork / 2);
    expect(passes(host, MEMBER, refresh(0, new Uint8Array(32).fill(1)))).toBe(true);
  });

  it("and records are few, and the same one is one", () => {
    const host = open(from(1));
    const record = (i: number): Uint8Array => control({ type: "RECORD_PUT", flags: 0, cookie: new Uint8Array(24), record: Uint8Array.from([...encodeRecordFields({ kind: RECORD_KIND.serverList, signer: numbered(32, i), label: "", sequence: 1, notAfterS: 1, value: encodeServerList([{ key: new Uint8Array(16), locator: SELF }]) }), ...new Uint8Array(64)]) });
    const put = (first: number, count: number): number => Array.from({ length: count }, (_, i) => {
      nowMs += 20;
      return passes(host, MEMBER, record(first + i));
    }).filter((isPassed) => isPassed).length;
    const most = RECORD_PLACES.perNetwork / 2;
    expect([put(0, 40), put(0, most), put(100, 10)]).toEqual([most, most, 0]);
    nowMs += RECORD_PLACE_MS;
    host.opened(nowMs);
    expect(put(100, 40)).toBe(most);
  });
});

describe("what is looked up for hosts", () => {
  it("is so much of one network, half of it at once for one host: ring keys that are new, and LOCATE", () => {
    const [one, near, far] = [open(from(1)), open(from(1)), open(from(2))];
    const first = (host: FallbackConnection, keys: number): number => Array.from({ length: keys }, (_, i) => passes(host, MEMBER, data(i))).filter((isPassed) => isPassed).length;
    expect(first(one, 1_000)).toBe(NETWORK_LOOKUPS_BURST / 2);
    expect(core.counters.rate).toBe(1_000 - NETWORK_LOOKUPS_BURST / 2);
    // What it has found goes on.
    expect(first(one, NETWORK_LOOKUPS_BURST / 2)).toBe(NETWORK_LOOKUPS_BURST / 2);
    const locate = control({ type: "LOCATE", ringKey: new Uint8Array(16) });
    expect([passes(one, MEMBER, locate), passes(near, MEMBER, locate), passes(far, MEMBER, locate)]).toEqual([false, true, true]);
    expect([first(near, 40), first(far, 40)]).toEqual([40, 40]);
    // Lookups end, and so do the ways that they have found.
    nowMs += SEEN_KEY_MS;
    expect(first(one, 1_000)).toBe(NETWORK_LOOKUPS_BURST / 2);
  });

  it("is asked for so often, and packets go on without the question", () => {
    const host = open(from(1));
    const asking = data(1, DATA_FLAG.cacheRequest | DATA_FLAG.shortcutOk);
    const asked = (count: number): number => Array.from({ length: count }, () => host.fromHost(nowMs, frame(MEMBER, asking))).filter((sent) => sent !== null && ((sent.bytes[DATA_OFFSET.flags] ?? 0) & DATA_FLAG.cacheRequest) !== 0).length;
    // Others in the same moment are answered by nobody.
    expect(asked(1_000)).toBe(1_000);
    for (let key = 2; key < 1_000; key += 1) passes(host, MEMBER, data(key));
    nowMs += ASKED_MS;
    for (let key = 2_000; key < 3_000; key += 1) passes(host, MEMBER, data(key));
    const before = core.counters.fromHosts;
    expect([asked(100), core.counters.fromHosts - before, core.counters.unasked]).toEqual([0, 100, 100]);
    expect(host.fromHost(nowMs, frame(MEMBER, asking))).toEqual({ locator: MEMBER, bytes: data(1, DATA_FLAG.shortcutOk) });
    expect(asking[DATA_OFFSET.flags]).toBe(DATA_FLAG.cacheRequest | DATA_FLAG.shortcutOk);
  });
});

describe("what servers send to a host", () => {
  const come = (host: FallbackConnection, count: number, bytes = data()): number => Array.from({ length: count }, () => host.fromRing(nowMs, MEMBER, bytes, 0)).filter((message) => message !== null).length;

  it("goes on at a rate, and what is as much again beyond floods it: it has another port", () => {
    const host = open(from(1));
    expect(come(host, TO_HOST_BURST + 100)).toBe(TO_HOST_BURST);
    expect([core.counters.rate, host.isFlooded]).toEqual([100, false]);
    nowMs += 1_000;
    expect(come(host, 2 * TO_HOST_PER_SECOND)).toBe(TO_HOST_PER_SECOND);
    expect(host.isFlooded).toBe(false);
    come(host, 2 * TO_HOST_BURST);
    expect([host.isFlooded, come(host, 1), host.moved(nowMs), host.isFlooded]).toEqual([true, 0, true, false]);
    nowMs += 1_000;
    expect(come(host, 100)).toBe(100);
  });

  it("counts for more when it is long, and when the host takes nothing", () => {
    const [long, deaf] = [open(from(1)), open(from(2))];
    const bytes = new Uint8Array(3 * TO_HOST_UNIT_BYTES + 1);
    bytes.set(data());
    expect(come(long, TO_HOST_BURST, bytes)).toBe(TO_HOST_BURST / 4);
    for (let i = 0; i < TO_HOST_BURST; i += 1) deaf.fromRing(nowMs, MEMBER, data(), MAX_WAITING_BYTES);
    expect([deaf.isFlooded, core.counters.queueFull]).toEqual([false, TO_HOST_BURST]);
    deaf.fromRing(nowMs, MEMBER, data(), MAX_WAITING_BYTES);
    expect(deaf.isFlooded).toBe(true);
  });

  it("goes on to those to whom little is sent, however much others get", () => {
    const greedy = Array.from({ length: 30 }, (_, i) => {
      nowMs += 1_000;
      return open(from(i >> 1));
    });
    const modest = open(at(198, 51, 100, 1));
    const near = open(from(0));
    let [got, passed] = [0, 0];
    for (let ms = 0; ms < 2_000; ms += 50) {
      nowMs += 50;
      for (const host of greedy) {
        passed += come(host, 1_000);
        if (host.isFlooded) host.moved(nowMs);
      }
      for (const host of [modest, near]) got += come(host, 10);
    }
    expect([got, modest.isFlooded, near.isFlooded]).toEqual([800, false, false]);
    expect(passed).toBeLessThan(3 * TO_ALL_PER_SECOND);
    expect(core.counters.flooded).toBeGreaterThan(0);
  });
});

it("a host with a trigger is not idle for it alone", () => {
  const host = open(from(1));
  triggered(host);
  nowMs += IDLE_MS;
  expect(host.isOver(nowMs)).toBe(true);
});
