/** What a server lets pass between hosts that have only TCP and the ring (docs/wire.md §10), in virtual time. */
import { encodeControl, encodeDetourFrame, makeLocator, sameLocator, TRIGGER_ACTION, type ControlMessage, type Locator } from "@i3/common";
import { encodeDataHeader } from "@i3/datapath";
import { beforeEach, describe, expect, it } from "vitest";

import { FallbackCore, type FallbackConnection } from "../../src/fallback/fallback-core.js";
import { ALL_CONTROL_PER_SECOND, ALL_MESSAGES_PER_SECOND, BYTES_BURST, BYTES_PER_SECOND, CONTROL_BURST, DATAGRAMS_BURST, DATAGRAMS_PER_SECOND, FULL_BYTES, HANDSHAKE_MS, HANDSHAKES_BURST, HANDSHAKES_PER_NETWORK_BURST, HANDSHAKES_PER_SOURCE_BURST, IDLE_MS, LEAST_REST_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_NETWORK, MAX_CONNECTIONS_PER_SOURCE, MAX_HANDSHAKE_BYTES, MAX_MALFORMED, MAX_NAMED_SERVERS, MAX_NONCES, MAX_OWED_MS, MAX_PINGS, MAX_WAITING_BYTES, NETWORK_BYTES_PER_SECOND, NETWORK_MESSAGES_PER_SECOND, PORTS_BURST, PORTS_PER_SECOND, STRANGERS_BURST, STRANGERS_PER_SECOND } from "../../src/fallback/limits.js";

const at = (a: number, b: number, c: number, d: number, port = 5_610): Locator => makeLocator(Uint8Array.of(a, b, c, d), port);
const at6 = (...groups: readonly number[]): Locator => makeLocator(Uint8Array.from(Array.from({ length: 8 }, (_, i) => groups[i] ?? 0).flatMap((group) => [group >> 8, group & 0xff])), 9);
const SELF = at(192, 0, 2, 1);
const MEMBER = at(192, 0, 2, 2);
const STRANGER = at(203, 0, 113, 1);
const NONCE = new Uint8Array(8);
const KEY = new Uint8Array(16);
const DATA = encodeDataHeader({ flags: 1, hopLimit: 16, copyBudget: 255, payloadKind: 1, nonce: new Uint8Array(8), ids: [new Uint8Array(32)] });
const control = (message: ControlMessage): Uint8Array => encodeControl(message, NONCE);
const PING = control({ type: "PING" });
const frame = (locator: Locator, bytes: Uint8Array): Uint8Array => encodeDetourFrame({ locator, bytes });

let core: FallbackCore;
let nowMs: number;
beforeEach(() => {
  nowMs = 10_000;
  core = new FallbackCore({ self: SELF, isServer: (_, locator) => sameLocator(locator, MEMBER) });
});

function open(from: Locator = at(198, 51, 100, 1)): FallbackConnection {
  const connection = core.admit(nowMs, from);
  if (connection === null) throw new Error("refused");
  connection.opened(nowMs);
  return connection;
}

/** That has asked with the nonce of all answers here, by control and data. */
function asking(): FallbackConnection {
  const host = open();
  for (const bytes of [PING, DATA]) if (host.fromHost(nowMs, frame(MEMBER, bytes)) === null) throw new Error("refused");
  return host;
}

describe("connections", () => {
  it("of one source are few: an IPv4 address, or an IPv6 /64", () => {
    const taken = (from: (i: number) => Locator): number => Array.from({ length: 100 }, (_, i) => {
      // Slowly, so that no rate matters.
      nowMs += 1_000;
      return core.admit(nowMs, from(i));
    }).filter((connection) => connection !== null).length;
    expect(taken((i) => at(198, 51, 100, 1, 1_000 + i))).toBe(MAX_CONNECTIONS_PER_SOURCE);
    expect(taken((i) => at6(0x2001, 0xdb8, 0, 0, i, 7))).toBe(MAX_CONNECTIONS_PER_SOURCE);
    expect(taken((i) => at6(0x2001, 0xdb8, i + 1))).toBe(100);
    expect(core.counters).toMatchObject({ connections: 100 + 2 * MAX_CONNECTIONS_PER_SOURCE, refused: 200 - 2 * MAX_CONNECTIONS_PER_SOURCE });
  });

  it("of one IPv6 /48 are few, whichever of its /64s they come from, and come at a rate", () => {
    const all = Array.from({ length: 100 }, (_, i) => core.admit(nowMs, at6(0x2001, 0xdb8, 0, i)));
    expect(all.filter((one) => one !== null).length).toBe(HANDSHAKES_PER_NETWORK_BURST);
    const more = Array.from({ length: 100 }, (_, i) => {
      nowMs += 1_000;
      return core.admit(nowMs, at6(0x2001, 0xdb8, 0, 100 + i));
    });
    expect(more.filter((one) => one !== null).length).toBe(MAX_CONNECTIONS_PER_NETWORK - HANDSHAKES_PER_NETWORK_BURST);
    more[0]?.closed();
    expect(core.admit(nowMs, at6(0x2001, 0xdb8, 0, 7))).not.toBeNull();
    expect(core.admit(nowMs, at6(0x2001, 0xdb8, 0, 7))).toBeNull();
    expect(core.admit(nowMs, at6(0x2001, 0xdb8, 1, 7))).not.toBeNull();
  });

  it("come at a rate, of one source and of all", () => {
    const burst = (from: (i: number) => Locator, count: number): number => Array.from({ length: count }, (_, i) => core.admit(nowMs, from(i))).filter((connection) => connection !== null).length;
    expect(burst(() => at(198, 51, 100, 1), 30)).toBe(HANDSHAKES_PER_SOURCE_BURST);
    nowMs += 1_000;
    expect(burst(() => at(198, 51, 100, 1), 30)).toBe(2);
    nowMs += 60_000;
    expect(burst((i) => at(198, 51, i >> 8, i & 0xff), 1_000)).toBe(HANDSHAKES_BURST);
    nowMs += 1_000;
    expect(burst((i) => at(198, 52, i >> 8, i & 0xff), 1_000)).toBe(50);
  });

  it("are bounded in all, and one that ends makes room, once", () => {
    const taken: FallbackConnection[] = [];
    for (let i = 0; taken.length < MAX_CONNECTIONS; i += 1) {
      nowMs += 20;
      taken.push(open(at(10, i >> 8, i & 0xff, 1)));
    }
    nowMs += 1_000;
    expect(core.admit(nowMs, at(198, 51, 100, 1))).toBeNull();
    taken[0]?.closed();
    taken[0]?.closed();
    expect(core.admit(nowMs, at(198, 51, 100, 1))).not.toBeNull();
    expect(core.admit(nowMs, at(198, 51, 100, 2))).toBeNull();
    expect(core.size).toBe(MAX_CONNECTIONS);
  });

  it("end when they are no WebSocket in time, and when nothing is heard by one", () => {
    const slow = core.admit(nowMs, at(198, 51, 100, 1)) as FallbackConnection;
    expect(slow.fromHost(nowMs, frame(SELF, PING))).toBeNull();
    expect([slow.isOver(nowMs + HANDSHAKE_MS - 1), slow.isOver(nowMs + HANDSHAKE_MS)]).toEqual([false, true]);
    const idle = open();
    nowMs += IDLE_MS - 1;
    expect(idle.isOver(nowMs)).toBe(false);
    idle.fromHost(nowMs, frame(SELF, PING));
    // What comes for it keeps nothing open, nor does what goes nowhere.
    nowMs += IDLE_MS - 1;
    idle.fromRing(nowMs, SELF, DATA, 0);
    for (const message of [new Uint8Array(1), frame(STRANGER, DATA)]) idle.fromHost(nowMs, message);
    expect([idle.isOver(nowMs), idle.isOver(nowMs + 1)]).toEqual([false, true]);
    idle.closed();
    expect(idle.isOver(nowMs + 1)).toBe(false);
    expect(core.counters).toMatchObject({ slow: 1, idle: 1 });
    expect([idle.fromHost(nowMs, frame(SELF, PING)), idle.fromRing(nowMs, SELF, DATA, 0)]).toEqual([null, null]);
  });
});

describe("what a host sends", () => {
  it("goes to this server and to others of the ring, as it is", () => {
    const host = open();
    for (const to of [SELF, MEMBER]) for (const bytes of [DATA, PING]) expect(host.fromHost(nowMs, frame(to, bytes))).toEqual({ locator: to, bytes });
    expect(core.counters).toMatchObject({ fromHosts: 4, strangers: 0, malformed: 0 });
  });

  it.each<readonly [string, Locator]>([
    ["strangers", STRANGER], ["another port of a server's", at(192, 0, 2, 2, 53)], ["another port of ours", at(192, 0, 2, 1, 22)], ["loopback", at(127, 0, 0, 1)], ["multicast", at(224, 0, 0, 1)], ["broadcast", at(255, 255, 255, 255)], ["nobody", at6(0, 0, 0, 0, 0, 0, 0, 1)],
  ])("never goes to %s", (_, to) => {
    expect(open().fromHost(nowMs, frame(to, DATA))).toBeNull();
    expect(core.counters).toMatchObject({ strangers: 1, fromHosts: 0 });
  });

  it.each<readonly [string, Uint8Array]>([
    ["nothing", new Uint8Array()], ["no datagram", frame(SELF, new Uint8Array())], ["a locator of no length", Uint8Array.of(0, 0x11)], ["a locator of another length", Uint8Array.of(7, 1, 2, 3, 4, 5, 6, 7, 0x11)], ["port 0", Uint8Array.of(6, 192, 0, 2, 1, 0, 0, 0x11)],
    ["a locator that is cut off", Uint8Array.of(18, 1, 2, 3)], ["more than a datagram", frame(SELF, new Uint8Array(70_000).fill(0x11))], ["ESP", frame(SELF, Uint8Array.of(0x20, 1))], ["HIP", frame(SELF, new Uint8Array(60))], ["another version", frame(SELF, Uint8Array.of(0x12))],
    ["data without its id", frame(SELF, DATA.subarray(0, -1))], ["data of no ids, as a question of DNS is", frame(SELF, DATA.with(4, 0))], ["data of too many ids", frame(SELF, new Uint8Array(1_000).fill(0x11))],
    ["what only servers say", frame(MEMBER, Uint8Array.of(0x19, 40, 0, 0))],
  ])("is dropped when it is %s", (_, message) => {
    expect(open().fromHost(nowMs, message)).toBeNull();
    expect(core.counters).toMatchObject({ malformed: 1, fromHosts: 0 });
  });

  it("goes at a rate: control of one host and of all, and everything of one host", () => {
    const passed = (host: FallbackConnection, bytes: Uint8Array, count: number): number => Array.from({ length: count }, () => host.fromHost(nowMs, frame(SELF, bytes))).filter((sent) => sent !== null).length;
    const host = open();
    expect(passed(host, PING, 1_000)).toBe(CONTROL_BURST);
    // Control that was too much has cost as much as data.
    expect(passed(host, DATA, 10_000)).toBe(DATAGRAMS_BURST - 1_000);
    expect(core.counters.rate).toBe(11_000 - DATAGRAMS_BURST + 1_000 - CONTROL_BURST);
    const others = Array.from({ length: 10 }, (_, i) => open(at(10, 0, 0, i)));
    expect(others.reduce((sum, other) => sum + passed(other, PING, 1_000), 0)).toBe(ALL_CONTROL_PER_SECOND - CONTROL_BURST);
  });
});

describe("hosts of one network that say all that they may", () => {
  /** So many at one address. */
  const hosts = (count: number, from = at(198, 51, 100, 1)): readonly FallbackConnection[] => Array.from({ length: count }, () => {
    nowMs += 1_000;
    return open(from);
  });

  /** Each says these 20 times a second, and as often more of the last as it may. */
  const runs = (many: readonly FallbackConnection[], forMs: number, messages: readonly Uint8Array[], besides: () => void = () => undefined): void => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += 50) {
      for (const host of many) {
        for (const message of messages) if (host.restMs(nowMs) === 0) host.fromHost(nowMs, message);
        for (let i = 0; i < DATAGRAMS_PER_SECOND / 20 && host.restMs(nowMs) === 0; i += 1) host.fromHost(nowMs, messages.at(-1) as Uint8Array);
      }
      besides();
    }
  };

  /** Says a little each time; how much of it went on. */
  const behaving = (host: FallbackConnection, data = 2): { sent: number; readonly say: () => void } => {
    const counted = { sent: 0, say: () => {
      for (const bytes of [PING, ...Array.from({ length: data }, () => DATA)]) if (host.restMs(nowMs) === 0 && host.fromHost(nowMs, frame(SELF, bytes)) !== null) counted.sent += 1;
    } };
    return counted;
  };

  it("take nothing of another's control and data", () => {
    const [many, other] = [hosts(MAX_CONNECTIONS_PER_SOURCE), behaving(open(at(198, 51, 100, 2)))];
    runs(many, 5_000, [frame(SELF, PING), frame(SELF, DATA)], other.say);
    expect(other.sent).toBe(300);
    // They had what is theirs.
    expect(core.counters.fromHosts).toBeGreaterThan(25_000);
  });

  it("are looked at only so often together, whatever they say, and one that says little is heard, there and elsewhere", () => {
    const [many, near, far] = [hosts(MAX_CONNECTIONS_PER_SOURCE - 1), behaving(open()), behaving(open(at(198, 51, 100, 2)))];
    runs(many, 5_000, [frame(STRANGER, DATA)], () => [near, far].forEach(({ say }) => say()));
    expect([near.sent, far.sent]).toEqual([300, 300]);
    expect(core.counters.strangers).toBeLessThanOrEqual(6 * NETWORK_MESSAGES_PER_SECOND);
    // Nor do they lose it: it is theirs.
    expect(core.counters.strangers).toBeGreaterThan(4 * NETWORK_MESSAGES_PER_SECOND);
  });

  it("and so are those of all networks", () => {
    const many = Array.from({ length: 10 }, (_, i) => hosts(4, at(198, 51, 101, i))).flat();
    // More than one of so many hosts has, but not more than one of so many networks; those that have gone do not count.
    const other = behaving(open(at(198, 51, 100, 2)), 40);
    for (let i = 0; i < 500; i += 1) {
      nowMs += 100;
      open(at(10, i >> 8, i & 0xff, 1)).closed();
    }
    runs(many, 3_000, [frame(STRANGER, DATA)], other.say);
    expect(other.sent).toBe(60 * 41);
    expect(core.counters.strangers).toBeLessThanOrEqual(4 * ALL_MESSAGES_PER_SECOND);
    expect(core.counters.strangers).toBeGreaterThan(2 * ALL_MESSAGES_PER_SECOND);
  });

  it("and are read so much, and those who wrote more than their part pay for it", () => {
    const many = hosts(4);
    const [greedy, other] = [many.slice(0, 3), behaving(many[3] as FallbackConnection)];
    let bytes = 0;
    for (const endMs = nowMs + 5_000; nowMs < endMs; nowMs += 50) {
      for (const host of greedy) {
        for (let i = 0; i < BYTES_PER_SECOND / 20 && host.restMs(nowMs) === 0; i += 65_536, bytes += 65_536) host.heard(nowMs, 65_536);
      }
      other.say();
    }
    expect(other.sent).toBe(300);
    expect(bytes).toBeLessThanOrEqual(6 * NETWORK_BYTES_PER_SECOND + 4 * 65_536);
    expect(bytes).toBeGreaterThan(4 * NETWORK_BYTES_PER_SECOND);
  });

  it("rest for what they said beyond, each itself, and for a minute at most", () => {
    const [one, ...others] = hosts(4) as [FallbackConnection, ...FallbackConnection[]];
    runs([one, ...others], 3_000, [frame(STRANGER, DATA)]);
    for (const host of [one, ...others]) while (host.restMs(nowMs) === 0) host.fromHost(nowMs, frame(STRANGER, DATA));
    const say = (): void => {
      for (let i = 0; i < 10 * DATAGRAMS_BURST; i += 1) one.fromHost(nowMs, frame(STRANGER, DATA));
    };
    say();
    expect(one.restMs(nowMs)).toBeGreaterThan(2_000);
    expect(Math.max(...others.map((host) => host.restMs(nowMs)))).toBeLessThan(100);
    for (let i = 0; i < 5; i += 1) {
      nowMs += 2_000;
      say();
    }
    expect(one.restMs(nowMs)).toBeLessThanOrEqual(MAX_OWED_MS + LEAST_REST_MS);
  });

  it("pay for each piece of TLS that was read whole, however many they are and however small their parts", () => {
    // 16 KiB of frames of 20 bytes.
    const piece = 819;
    const many = Array.from({ length: 32 }, (_, i) => hosts(MAX_CONNECTIONS_PER_SOURCE, at(198, 51, 101, i))).flat();
    expect(many.length).toBe(MAX_CONNECTIONS);
    const nextMs = many.map(() => nowMs);
    const message = frame(STRANGER, DATA);
    const [sinceMs, forMs] = [nowMs, 60_000];
    for (; nowMs < sinceMs + forMs; nowMs += 100) {
      many.forEach((host, i) => {
        if ((nextMs[i] ?? 0) > nowMs) return;
        for (let n = 0; n < piece; n += 1) host.fromHost(nowMs, message);
        nextMs[i] = nowMs + host.restMs(nowMs);
      });
    }
    // Besides what each says before it has to rest.
    const looked = core.counters.strangers + core.counters.rate - piece * many.length;
    expect(looked / (forMs / 1_000)).toBeLessThan(ALL_MESSAGES_PER_SECOND);
  });
});

describe("a host that says too much", () => {
  const say = (host: FallbackConnection, message: Uint8Array, count: number): void => {
    for (let i = 0; i < count; i += 1) host.fromHost(nowMs, message);
  };

  it("is looked at only so often, also when it speaks to strangers", () => {
    say(open(), frame(STRANGER, DATA), 2 * DATAGRAMS_BURST);
    expect(core.counters).toMatchObject({ strangers: DATAGRAMS_BURST, rate: DATAGRAMS_BURST });
  });

  it("has as many long messages as their bytes would fill packets", () => {
    const long = new Uint8Array(60_000);
    long.set(DATA);
    say(open(), frame(SELF, long), 2 * DATAGRAMS_BURST);
    expect(core.counters.fromHosts).toBe(Math.ceil(DATAGRAMS_BURST / Math.ceil((60_000 + 7) / FULL_BYTES)));
  });

  it("is read no more until it has paid for all that it said, what was dropped too", () => {
    const host = open();
    say(host, frame(SELF, DATA), DATAGRAMS_BURST - 1);
    expect(host.restMs(nowMs)).toBe(0);
    say(host, frame(SELF, DATA), 1);
    expect(host.restMs(nowMs)).toBe(LEAST_REST_MS);
    say(host, new Uint8Array(1), 500);
    expect(host.restMs(nowMs)).toBe(LEAST_REST_MS + 100);
    // Not for ever, whatever it has said.
    say(host, frame(SELF, DATA), 100 * DATAGRAMS_BURST);
    const restMs = host.restMs(nowMs);
    expect(restMs).toBe(LEAST_REST_MS + 1_000);
    nowMs += restMs;
    expect(host.restMs(nowMs)).toBe(0);
    const before = core.counters.fromHosts;
    say(host, frame(SELF, DATA), DATAGRAMS_BURST);
    expect(core.counters.fromHosts - before).toBe((DATAGRAMS_PER_SECOND * LEAST_REST_MS) / 1_000);
  });

  it("is read no more when its connection has taken more bytes than its messages need", () => {
    const one = open();
    one.heard(nowMs, BYTES_BURST - 1);
    expect(one.restMs(nowMs)).toBe(0);
    one.heard(nowMs, 1 + BYTES_PER_SECOND / 100);
    expect(one.restMs(nowMs)).toBe(LEAST_REST_MS + 10);
    // Full messages, each in a TLS record and a frame of its own.
    expect(DATAGRAMS_PER_SECOND * (FULL_BYTES + 29 + 8)).toBeLessThan(BYTES_PER_SECOND);
  });

  it("is over when it goes on while nothing is read of it, or before it is a WebSocket: these bytes are no messages", () => {
    const [host, early] = [open(), core.admit(nowMs, at(198, 51, 100, 2)) as FallbackConnection];
    host.heard(nowMs, 2 * BYTES_BURST - 1);
    early.heard(nowMs, MAX_HANDSHAKE_BYTES);
    expect([host.isMisused, early.isMisused]).toEqual([false, false]);
    for (const one of [host, early]) for (let i = 0; i < 2; i += 1) one.heard(nowMs, 1);
    expect([host.isMisused, early.isMisused]).toEqual([true, true]);
    expect(core.counters.misused).toBe(2);
  });

  it("is over after so many messages that are malformed, counted once, and not after strangers", () => {
    const [host, other] = [open(), open()];
    say(other, frame(STRANGER, DATA), 2 * MAX_MALFORMED);
    say(host, new Uint8Array(1), MAX_MALFORMED - 1);
    expect([host.isMisused, host.fromHost(nowMs, frame(SELF, DATA)) !== null]).toEqual([false, true]);
    say(host, new Uint8Array(1), 100);
    expect([host.isMisused, host.fromHost(nowMs, frame(SELF, DATA)), other.isMisused]).toEqual([true, null, false]);
    expect(core.counters).toMatchObject({ malformed: MAX_MALFORMED, misused: 1 });
  });

  it("is over after so many PINGs of WebSockets, which no proxy sends, counted once", () => {
    const host = open();
    for (let i = 0; i < MAX_PINGS; i += 1) host.pinged(nowMs);
    expect([host.isMisused, host.fromHost(nowMs, frame(SELF, DATA)) !== null]).toEqual([false, true]);
    for (let i = 0; i < 3_000; i += 1) host.pinged(nowMs);
    expect([host.isMisused, core.counters.misused, host.restMs(nowMs)]).toEqual([true, 1, 0]);
  });
});

describe("what comes for a host", () => {
  it("comes from servers of the ring alone", () => {
    const host = open();
    expect(host.fromRing(nowMs, MEMBER, DATA, 0)).toEqual(frame(MEMBER, DATA));
    expect(host.fromRing(nowMs, STRANGER, DATA, 0)).toBeNull();
    for (const bytes of [new Uint8Array(), DATA.with(4, 0), Uint8Array.of(0x20, 1)]) expect(host.fromRing(nowMs, MEMBER, bytes, 0)).toBeNull();
    expect(core.counters).toMatchObject({ toHosts: 1, strangers: 1, malformed: 3 });
  });

  it.each<readonly [string, Locator, Uint8Array]>([["strangers", STRANGER, DATA], ["servers, malformed", MEMBER, DATA.with(4, 0)]])("at more than a rate from %s, gives it another port, and has its WebSocket closed when that comes to nothing", (_, from, bytes) => {
    const host = open();
    const come = (count: number): void => {
      for (let i = 0; i < count; i += 1) host.fromRing(nowMs, from, bytes, 0);
    };
    come(STRANGERS_BURST);
    nowMs += 1_000;
    come(STRANGERS_PER_SECOND);
    expect([host.isFlooded, host.fromRing(nowMs, MEMBER, DATA, 0) !== null]).toEqual([false, true]);
    come(10);
    expect([host.isFlooded, host.fromRing(nowMs, MEMBER, DATA, 0)]).toEqual([true, null]);
    expect(core.counters).toMatchObject({ moved: 0, flooded: 0, strangers: from === STRANGER ? STRANGERS_BURST + STRANGERS_PER_SECOND + 1 : 0 });
    for (let i = 0; i < PORTS_BURST; i += 1) {
      expect([host.isFlooded, host.moved(nowMs), host.isFlooded, host.fromRing(nowMs, MEMBER, DATA, 0) !== null]).toEqual([true, true, false, true]);
      come(STRANGERS_BURST);
      expect(host.isFlooded).toBe(false);
      come(1);
    }
    expect([host.moved(nowMs), host.isFlooded]).toEqual([false, true]);
    expect(core.counters).toMatchObject({ moved: PORTS_BURST, flooded: 1 });
    nowMs += 1_000 / PORTS_PER_SECOND;
    expect([host.moved(nowMs), host.isFlooded]).toEqual([true, false]);
  });

  it("is dropped while too much waits", () => {
    const host = open();
    expect(host.fromRing(nowMs, MEMBER, DATA, MAX_WAITING_BYTES - DATA.length)).not.toBeNull();
    expect(host.fromRing(nowMs, MEMBER, DATA, MAX_WAITING_BYTES - DATA.length + 1)).toBeNull();
    expect(core.counters.queueFull).toBe(1);
  });

  it.each<readonly [string, ControlMessage]>([
    ["LOCATED", { type: "LOCATED", ringKey: KEY, node: { key: KEY, locator: STRANGER } }], ["CACHE", { type: "CACHE", ringKey: KEY, node: { key: KEY, locator: STRANGER }, lifeMs: 30_000 }],
    ["TRIGGER_OK", { type: "TRIGGER_OK", action: TRIGGER_ACTION.insert, id: new Uint8Array(32), lifeMs: 30_000, replica: STRANGER }], ["RECORD_IS", { type: "RECORD_IS", ringKey: KEY, record: null, successor: STRANGER }],
  ])("may name another server of the ring (%s), to whom this host alone may send then, and who may send to it", (_, message) => {
    const [host, other] = [asking(), asking()];
    host.fromRing(nowMs, STRANGER, control(message), 0);
    expect(host.fromHost(nowMs, frame(STRANGER, DATA))).toBeNull();
    host.fromRing(nowMs, MEMBER, control(message), 0);
    expect(host.fromHost(nowMs, frame(STRANGER, DATA))).toEqual({ locator: STRANGER, bytes: DATA });
    expect(host.fromRing(nowMs, STRANGER, DATA, 0)).toEqual(frame(STRANGER, DATA));
    expect(other.fromHost(nowMs, frame(STRANGER, DATA))).toBeNull();
  });

  it("names nobody when it answers nothing that this host has asked, or a question of the other kind", () => {
    const located: ControlMessage = { type: "LOCATED", ringKey: KEY, node: { key: KEY, locator: STRANGER } };
    const cache: ControlMessage = { ...located, type: "CACHE", lifeMs: 30_000 };
    const isNamed = (host: FallbackConnection, message: ControlMessage, nonce = NONCE): boolean => {
      expect(host.fromRing(nowMs, MEMBER, encodeControl(message, nonce), 0)).not.toBeNull();
      return host.fromHost(nowMs, frame(STRANGER, PING)) !== null;
    };
    const [none, byControl, data, unasked] = [open(), open(), open(), open()];
    expect([isNamed(none, located), isNamed(none, cache)]).toEqual([false, false]);
    // What went nowhere has asked nobody.
    none.fromHost(nowMs, frame(STRANGER, PING));
    expect(isNamed(none, located)).toBe(false);
    byControl.fromHost(nowMs, frame(SELF, PING));
    expect([isNamed(byControl, cache), isNamed(byControl, located, NONCE.with(7, 1)), isNamed(byControl, located)]).toEqual([false, false, true]);
    data.fromHost(nowMs, frame(SELF, DATA));
    expect([isNamed(data, located), isNamed(data, cache)]).toEqual([false, true]);
    unasked.fromHost(nowMs, frame(SELF, DATA.with(1, 0)));
    expect(isNamed(unasked, cache)).toBe(false);
  });

  it("answers the last questions alone, those asked again among them", () => {
    const host = open();
    const nonce = (i: number): Uint8Array => NONCE.with(0, i >> 8).with(1, i & 0xff);
    const data = (i: number): Uint8Array => Uint8Array.from([...DATA.subarray(0, 8), ...nonce(i), ...DATA.subarray(16)]);
    for (let i = 0; i < MAX_NONCES; i += 1) host.fromHost(nowMs, frame(SELF, data(i)));
    for (const i of [0, MAX_NONCES]) host.fromHost(nowMs, frame(SELF, data(i)));
    const isNamed = [0, 1, 2, MAX_NONCES].map((i) => {
      const named = at(198, 18, 7, i & 0xff, 5_610 + i);
      host.fromRing(nowMs, MEMBER, encodeControl({ type: "CACHE", ringKey: KEY, node: { key: KEY, locator: named }, lifeMs: 30_000 }, nonce(i)), 0);
      return host.fromHost(nowMs, frame(named, DATA)) !== null;
    });
    expect(isNamed).toEqual([true, false, true, true]);
  });

  it("names nobody by what leads to hosts, or is no message", () => {
    const host = asking();
    host.fromRing(nowMs, MEMBER, control({ type: "SHORTCUT", id: new Uint8Array(32), target: STRANGER }), 0);
    host.fromRing(nowMs, MEMBER, Uint8Array.of(0x19, 4, 9), 0);
    expect(host.fromHost(nowMs, frame(STRANGER, DATA))).toBeNull();
  });

  it("names nobody by one that was only named itself", () => {
    const host = asking();
    const located = (locator: Locator): Uint8Array => control({ type: "LOCATED", ringKey: KEY, node: { key: KEY, locator } });
    host.fromRing(nowMs, MEMBER, located(STRANGER), 0);
    expect(host.fromRing(nowMs, STRANGER, located(at(203, 0, 113, 2)), 0)).not.toBeNull();
    expect(host.fromHost(nowMs, frame(at(203, 0, 113, 2), DATA))).toBeNull();
    expect(host.fromHost(nowMs, frame(STRANGER, DATA))).not.toBeNull();
  });

  it.each<readonly [string, Locator]>([
    ["this machine", at(127, 0, 0, 1)], ["a network of this machine's", at(10, 0, 0, 53)], ["one behind its provider's NAT", at(100, 64, 0, 1)], ["its link", at(169, 254, 169, 254)], ["another port of its address", at(192, 0, 2, 1, 22)],
    ["this machine by IPv6", at6(0, 0, 0, 0, 0, 0, 0, 1)], ["a network of its own by IPv6", at6(0xfd00, 1)], ["its link by IPv6", at6(0xfe80, 0, 0, 0, 0, 0, 0, 1)], ["many", at6(0xff02, 0, 0, 0, 0, 0, 0, 1)],
  ])("never names %s", (_, named) => {
    const host = asking();
    host.fromRing(nowMs, MEMBER, control({ type: "LOCATED", ringKey: KEY, node: { key: KEY, locator: named } }), 0);
    expect(host.fromHost(nowMs, frame(named, DATA))).toBeNull();
    expect(core.counters.strangers).toBe(1);
  });

  it("names so many at a time", () => {
    const host = asking();
    const named = (i: number): Locator => at(198, 18, i >> 8, i & 0xff);
    for (let i = 0; i <= MAX_NAMED_SERVERS; i += 1) host.fromRing(nowMs, MEMBER, control({ type: "LOCATED", ringKey: KEY, node: { key: KEY, locator: named(i) } }), 0);
    expect([0, 1, MAX_NAMED_SERVERS].map((i) => host.fromHost(nowMs, frame(named(i), DATA)) !== null)).toEqual([false, true, true]);
  });

  it("names others in place of those that were spoken to, or heard of, longest ago", () => {
    const host = asking();
    const named = (i: number): Locator => at(198, 18, i >> 8, i & 0xff);
    const name = (i: number): unknown => host.fromRing(nowMs, MEMBER, control({ type: "LOCATED", ringKey: KEY, node: { key: KEY, locator: named(i) } }), 0);
    for (let i = 0; i < MAX_NAMED_SERVERS; i += 1) name(i);
    host.fromHost(nowMs, frame(named(0), DATA));
    host.fromRing(nowMs, named(1), DATA, 0);
    for (let i = 0; i < 2; i += 1) name(MAX_NAMED_SERVERS + i);
    expect([0, 1, 2, 3, 4].map((i) => host.fromHost(nowMs, frame(named(i), DATA)) !== null)).toEqual([true, true, false, false, true]);
  });
});
