import { describe, expect, it } from "vitest";
import { LIMITS, type Responsibility, type TriggerEntry } from "../../src/datapath.js";
import { MAX_NOTICES } from "../../src/reference/rate-limits.js";
import { MAX_WAITING_ROUTES } from "../../src/reference/next-servers.js";
import { COPY_BUDGET, DATA_FLAG, HOP_LIMIT } from "../../src/wire/data-header.js";
import { Harness, NONCE, dataPacket, locator } from "./harness.js";
import { bytes, concat, data, makeId } from "./packets.js";

const SENDER = locator("192.0.2.9", 777);
const NEXT = locator("198.51.100.7");
const HOME = [1, 2, 3].map((i) => locator(`203.0.113.${i}`));
const ID = makeId(0x50, 1);
const OTHER = makeId(0x90, 1);
const key = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const to = (id: Uint8Array, i: number): TriggerEntry => ({ id, target: { kind: "locator", locator: HOME[i] ?? NEXT } });
const chain = (id: Uint8Array, ...ids: readonly Uint8Array[]): TriggerEntry => ({ id, target: { kind: "stack", ids } });
const OURS: Responsibility = { kind: "range", from: key(0x40), to: key(0x60) };

function server(...triggers: readonly TriggerEntry[]): Harness {
  const harness = new Harness({ slots: 512, slotBytes: 2_048 });
  harness.engine.setResponsibility(OURS);
  const keys = new Set(triggers.map(({ id }) => id[0] ?? 0));
  for (const byte of keys) harness.engine.setTriggers(key(byte), triggers.filter(({ id }) => id[0] === byte));
  return harness;
}

describe("responsible", () => {
  it("sends to the address with the stack unchanged, one off the hop limit, all else as it came", () => {
    const harness = server(to(makeId(0x50), 0));
    const sent = dataPacket({ ids: [ID, OTHER], flags: 0xfa, payloadKind: 99 }, data(5));
    sent[6] = 7;
    const expected = Uint8Array.from(sent);
    expected[2] = 15;
    expect(harness.fromUdp(SENDER, sent)).toEqual({ tun: [], udp: [{ to: HOME[0], bytes: expected }], upcalls: [], drops: {} });
  });

  it("serves all of equal longest prefix, splitting the copy budget as evenly as it goes", () => {
    const harness = server(to(ID, 0), to(ID, 1), to(ID, 2));
    const { udp } = harness.fromUdp(SENDER, dataPacket({ ids: [ID], copyBudget: 11 }));
    expect(udp.map((datagram) => [datagram.to, datagram.bytes[3]])).toEqual([[HOME[0], 4], [HOME[1], 4], [HOME[2], 3]]);
  });

  it("does not send copies without budget", () => {
    const harness = server(to(ID, 0), to(ID, 1), to(ID, 2));
    const { udp, drops } = harness.fromUdp(SENDER, dataPacket({ ids: [ID], copyBudget: 2 }));
    expect(udp.map((datagram) => [datagram.to, datagram.bytes[3]])).toEqual([[HOME[0], 1], [HOME[1], 1]]);
    expect(drops).toEqual({ "copy-budget": 1 });
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID], copyBudget: 0 })).drops).toEqual({ "copy-budget": 3 });
  });

  it.each([[0, false], [1, false], [2, true]] as const)("hop limit %i: sent %s", (hopLimit, sent) => {
    const { udp, drops } = server(to(ID, 0)).fromUdp(SENDER, dataPacket({ ids: [ID], hopLimit }));
    expect(udp.map((datagram) => datagram.bytes[2])).toEqual(sent ? [hopLimit - 1] : []);
    expect(drops).toEqual(sent ? {} : { "hop-limit": 1 });
  });

  it("cuts a hop limit above what senders use", () => {
    const { udp } = server(to(ID, 0)).fromUdp(SENDER, dataPacket({ ids: [ID], hopLimit: 255, copyBudget: 255 }));
    expect(udp[0]?.bytes.subarray(2, 4)).toEqual(bytes(15, 255));
  });

  it("the inbound table comes first", () => {
    const harness = server(to(ID, 0));
    harness.engine.setInbound(ID, { action: "upcall" });
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID] })).upcalls[0]?.kind).toBe("payload");
  });
});

describe("stack targets", () => {
  const [A, B, C] = [makeId(0x51), makeId(0x52), makeId(0x53)];

  it("take the place of the head and are looked up again, one off the hop limit each time", () => {
    const harness = server(chain(ID, A, B), chain(A, C), to(C, 0));
    const { udp } = harness.fromUdp(SENDER, dataPacket({ ids: [ID, OTHER] }, data(9)));
    expect(udp).toEqual([{ to: HOME[0], bytes: dataPacket({ ids: [C, B, OTHER], hopLimit: 13 }, data(9)) }]);
  });

  it("are sent on when the new head is another server's", () => {
    const harness = server(chain(ID, OTHER, A));
    harness.engine.setNextServer(key(0x90), NEXT);
    const { udp, upcalls } = harness.fromUdp(SENDER, dataPacket({ ids: [ID], flags: DATA_FLAG.cacheRequest }, data(9)));
    expect(udp).toEqual([{ to: NEXT, bytes: dataPacket({ ids: [OTHER, A], hopLimit: 15, flags: 5 }, data(9)) }]);
    // The cache answer is about the id that the sender used, never about what it stands for.
    expect(upcalls).toEqual([{ kind: "cache-request", id: ID, from: SENDER, nonce: NONCE, shortcutOk: false, requestBytes: 57 }]);
  });

  it("one copy each, of which some end here and some go on", () => {
    const harness = server(to(ID, 0), chain(ID, A), chain(ID, OTHER), to(A, 1));
    harness.engine.setNextServer(key(0x90), NEXT);
    const { udp } = harness.fromUdp(SENDER, dataPacket({ ids: [ID] }));
    expect(udp.map((datagram) => [datagram.to, datagram.bytes[2], datagram.bytes[3]])).toEqual([[HOME[0], 15, 85], [HOME[1], 14, 85], [NEXT, 15, 85]]);
  });

  it("equal ones are one, with all of the copy budget; of others each is its own", () => {
    const members = [chain(ID, A), chain(ID, A), chain(ID, A, B), chain(ID, B, A), chain(ID, A), chain(ID, A, B)];
    const harness = server(to(A, 0), to(B, 1), ...members.filter((_, i) => i < 2));
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID] })).udp.map(({ bytes: [, , , copyBudget] }) => copyBudget)).toEqual([COPY_BUDGET]);
    const more = server(to(A, 0), to(B, 1), ...members);
    expect(more.fromUdp(SENDER, dataPacket({ ids: [ID] })).udp.map(({ to: at, bytes: packet }) => [at, packet[3], packet[4]])).toEqual([[HOME[0], 85, 1], [HOME[0], 85, 2], [HOME[1], 85, 2]]);
  });

  it("more than fifteen ids are malformed", () => {
    const ids = Array.from({ length: 15 }, (_, i) => makeId(0x90, i));
    const harness = server(chain(ID, ...ids));
    harness.engine.setNextServer(key(0x90), NEXT);
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID] })).udp[0]?.bytes[4]).toBe(15);
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID, A] }))).toEqual({ tun: [], udp: [], upcalls: [], drops: { malformed: 1 } });
  });

  it("loops end through the hop limit, and multiply no more than the copy budget", () => {
    const loop = server(chain(ID, A), chain(A, ID));
    expect(loop.fromUdp(SENDER, dataPacket({ ids: [ID] }))).toEqual({ tun: [], udp: [], upcalls: [], drops: { "hop-limit": 1 } });
    const bomb = server(chain(ID, A), chain(ID, B), chain(A, ID), chain(B, ID), to(ID, 0));
    const { udp, drops } = bomb.fromUdp(SENDER, dataPacket({ ids: [ID], hopLimit: 255, copyBudget: 255 }));
    expect(udp.length).toBeGreaterThan(0);
    expect(udp.length + (drops["hop-limit"] ?? 0)).toBeLessThanOrEqual(COPY_BUDGET);
  });

  it("four hops of a copy are free; without tokens of its source it goes no further, and is dropped", () => {
    // From id to id: 0, 1 … 5 and to an address; and a loop.
    const ids = Array.from({ length: 6 }, (_, i) => makeId(0x54, i));
    const harness = server(chain(A, B), chain(B, A), ...ids.map((id, i) => (i === 5 ? to(id, 0) : chain(id, ids[i + 1] ?? ID))));
    const led = (hops: number, from = SENDER) => harness.fromUdp(from, dataPacket({ ids: [ids[5 - hops] ?? ID] }));
    const paid = HOP_LIMIT - 1 - LIMITS.freeHops;
    const whole = Math.floor(LIMITS.copiesPerSourceBurst / paid);
    expect(harness.fromUdp(SENDER, ...Array.from({ length: whole }, () => dataPacket({ ids: [A] }))).drops).toEqual({ "hop-limit": whole });
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [A] })).drops).toEqual({ rate: 1 });
    expect([4, 5, 0, 1, 2, 3].map((hops) => led(hops).udp.length)).toEqual([1, 0, 1, 1, 1, 1]);
    expect(led(5).drops).toEqual({ rate: 1 });
    expect(led(5, HOME[2]).udp).toEqual([{ to: HOME[0], bytes: dataPacket({ ids: [ids[5] ?? ID], hopLimit: 10 }) }]);
    harness.nowMs += 1;
    const more = Array.from({ length: LIMITS.copiesPerSourcePerSecond / 1_000 }, () => dataPacket({ ids: [ids[0] ?? ID] }));
    expect(harness.fromUdp(SENDER, ...more).udp).toHaveLength(more.length);
    expect([led(5).drops, led(4).udp.length]).toEqual([{ rate: 1 }, 1]);
  });

  it("a group whose members all lead in circles takes its source's tokens, and ends with them", () => {
    const members = Array.from({ length: 112 }, (_, i) => [makeId(0x55, i), makeId(0x56, i)] as const);
    const bomb = server(...members.flatMap(([x, y]) => [chain(ID, x), chain(x, y), chain(y, x)]));
    const cost = members.length - 1 + members.length * (HOP_LIMIT - 1 - LIMITS.freeHops);
    const whole = Math.floor(LIMITS.copiesPerSourceBurst / cost);
    for (let i = 0; i < whole; i++) expect(bomb.fromUdp(SENDER, dataPacket({ ids: [ID] }))).toEqual({ tun: [], udp: [], upcalls: [], drops: { "hop-limit": members.length } });
    const left = LIMITS.copiesPerSourceBurst - whole * cost - (members.length - 1);
    const ended = Math.floor(left / (HOP_LIMIT - 1 - LIMITS.freeHops));
    expect(bomb.fromUdp(SENDER, dataPacket({ ids: [ID] })).drops).toEqual({ "hop-limit": ended, rate: members.length - ended });
    expect(bomb.fromUdp(SENDER, dataPacket({ ids: [ID] })).drops).toEqual({ rate: members.length });
    expect(bomb.fromUdp(HOME[2] ?? SENDER, dataPacket({ ids: [ID] })).drops).toEqual({ "hop-limit": members.length });
  });

  it("a chain that ends in nothing tells nobody of it", () => {
    const harness = server(chain(ID, A));
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [ID] }))).toEqual({ tun: [], udp: [], upcalls: [], drops: { "no-trigger": 1 } });
  });
});

describe("no trigger", () => {
  const sent = dataPacket({ ids: [ID] }, data(9));

  it("is told with what the answer needs", () => {
    const upcall = { kind: "no-trigger", id: ID, from: SENDER, nonce: NONCE, forwarded: false, requestBytes: 57 };
    const harness = server();
    expect(harness.fromUdp(SENDER, sent)).toEqual({ tun: [], udp: [], upcalls: [upcall], drops: { "no-trigger": 1 } });
    const [forwarded] = harness.fromUdp(NEXT, dataPacket({ ids: [ID], flags: DATA_FLAG.forwarded })).upcalls;
    expect(forwarded).toMatchObject({ from: NEXT, forwarded: true, requestBytes: 48 });
  });

  it("once per ring key and source in 100 ms", () => {
    const harness = server();
    const asks = (from = SENDER, packet = sent): number => harness.fromUdp(from, packet, packet).upcalls.length;
    expect(asks()).toBe(1);
    harness.nowMs = 1_099;
    expect(asks()).toBe(0);
    expect(asks(SENDER, dataPacket({ ids: [makeId(0x50, 2)] }))).toBe(0);
    expect(asks(SENDER, dataPacket({ ids: [makeId(0x51)] }))).toBe(1);
    expect(asks(locator("192.0.2.9", 778))).toBe(1);
    harness.nowMs = 1_100;
    expect(asks()).toBe(1);
    harness.nowMs = 1_150;
    expect(asks()).toBe(0);
    harness.nowMs = 1_200;
    expect(asks()).toBe(1);
    // Whatever the moment at which the engine forgets older ones.
    for (let offset = 0; offset < 200; offset += 10) {
      harness.nowMs = 2_000 + offset * 20;
      expect(asks(locator("192.0.2.10"))).toBe(1);
      harness.nowMs += 90;
      expect(asks(locator("192.0.2.11", 1 + offset))).toBe(1);
      harness.nowMs += 20;
      expect(asks(locator("192.0.2.11", 1 + offset))).toBe(0);
    }
  });

  it("remembers a bounded number", () => {
    const harness = new Harness({ slots: 1, slotBytes: 100 });
    harness.engine.setResponsibility({ kind: "all" });
    let told = 0;
    for (let block = 0; block < 100; block++) {
      const ids = Array.from({ length: 200 }, (_, i) => concat(bytes(block, i), new Uint8Array(30)));
      told += harness.fromUdp(locator(`10.0.0.${block}`), ...ids.map((id) => dataPacket({ ids: [id] }))).upcalls.length;
    }
    expect(told).toBe(MAX_NOTICES);
  });
});

describe("cache requests", () => {
  const sent = (id: Uint8Array, flags: number): Uint8Array => dataPacket({ ids: [id], flags });

  it("are told when the packet went on, in both cases, unless a server sent it", () => {
    const harness = server(to(ID, 0));
    harness.engine.setNextServer(key(0x90), NEXT);
    for (const id of [ID, OTHER]) {
      const upcall = { kind: "cache-request", id, from: SENDER, nonce: NONCE, shortcutOk: false, requestBytes: 48 };
      expect(harness.fromUdp(SENDER, sent(id, 5)).upcalls).toEqual([]);
      expect(harness.fromUdp(SENDER, sent(id, 1)).upcalls).toEqual([upcall]);
      expect(harness.fromUdp(SENDER, sent(id, 1)).upcalls).toEqual([]);
      harness.nowMs += 100;
      expect(harness.fromUdp(SENDER, sent(id, 1)).upcalls).toEqual([upcall]);
    }
  });

  it("say whether a shortcut is allowed", () => {
    const [upcall] = server(to(ID, 0)).fromUdp(SENDER, sent(ID, DATA_FLAG.cacheRequest | DATA_FLAG.shortcutOk)).upcalls;
    expect(upcall).toMatchObject({ kind: "cache-request", id: ID, shortcutOk: true });
    expect(server(to(ID, 0)).fromUdp(SENDER, sent(ID, DATA_FLAG.shortcutOk)).upcalls).toEqual([]);
  });

  it("not when it was dropped", () => {
    const kinds = server().fromUdp(SENDER, sent(ID, 1)).upcalls.map(({ kind }) => kind);
    expect(kinds).toEqual(["no-trigger"]);
    expect(server(to(ID, 0)).fromUdp(SENDER, dataPacket({ ids: [ID], flags: 1, hopLimit: 1 })).upcalls).toEqual([]);
  });
});

describe("not responsible", () => {
  it("sends on with FORWARDED and one off the hop limit, forwarded packets too", () => {
    const harness = server();
    harness.engine.setNextServer(key(0x90), NEXT);
    for (const flags of [0x80, 0x84]) {
      const { udp, upcalls } = harness.fromUdp(SENDER, dataPacket({ ids: [OTHER, ID], flags, copyBudget: 0 }, data(3)));
      expect(udp).toEqual([{ to: NEXT, bytes: dataPacket({ ids: [OTHER, ID], flags: 0x84, hopLimit: 15, copyBudget: 0 }, data(3)) }]);
      expect(upcalls).toEqual([]);
    }
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [OTHER], hopLimit: 1 })).drops).toEqual({ "hop-limit": 1 });
  });

  it("tells of a forwarded packet whose hops end here, once in 100 ms, but of none that a sender or a stack may have made so", () => {
    const harness = server(chain(ID, OTHER));
    harness.engine.setNextServer(key(0x90), NEXT);
    const last = (flags: number, id = OTHER, hopLimit = 1) => harness.fromUdp(SENDER, dataPacket({ ids: [id], flags, hopLimit }));
    expect(last(DATA_FLAG.forwarded)).toEqual({ tun: [], udp: [], upcalls: [{ kind: "astray", id: OTHER, from: SENDER }], drops: { "hop-limit": 1 } });
    expect(last(DATA_FLAG.forwarded).upcalls).toEqual([]);
    harness.nowMs += 100;
    expect(last(0).upcalls).toEqual([]);
    expect(last(DATA_FLAG.forwarded, ID).upcalls).toEqual([]);
    expect(last(DATA_FLAG.forwarded).upcalls).toHaveLength(1);
  });

  it("passes on from one server to another what it would send elsewhere, and nothing else", () => {
    const harness = server(to(ID, 0));
    const [before, behind] = [locator("192.0.2.50"), locator("192.0.2.60")];
    harness.engine.setNextServer(key(0x90), NEXT);
    harness.engine.setPassOn({ from: before, to: behind });
    const went = (from: typeof before, id: Uint8Array, flags = DATA_FLAG.forwarded as number) => harness.fromUdp(from, dataPacket({ ids: [id], flags })).udp.map((datagram) => datagram.to);
    expect([went(before, OTHER), went(before, makeId(0x91, 1)), went(before, ID)]).toEqual([[behind], [behind], [HOME[0]]]);
    expect([went(before, OTHER, 0), went(SENDER, OTHER)]).toEqual([[NEXT], [NEXT]]);
    expect(harness.fromUdp(before, dataPacket({ ids: [makeId(0x55, 1)], flags: DATA_FLAG.forwarded })).drops).toEqual({ "no-trigger": 1 });
    expect(harness.fromUdp(before, dataPacket({ ids: [OTHER], flags: DATA_FLAG.forwarded, hopLimit: 5 })).udp[0]?.bytes.subarray(1, 4)).toEqual(bytes(4, 4, COPY_BUDGET));
    harness.engine.setPassOn(null);
    expect(went(before, OTHER)).toEqual([NEXT]);
  });

  it("asks once for a route, keeps 32 packets, and sends them in order when it comes", () => {
    const harness = server();
    const many = Array.from({ length: 40 }, (_, i) => dataPacket({ ids: [OTHER], flags: 1 }, data(i)));
    const { upcalls, drops, udp } = harness.fromUdp(SENDER, ...many);
    expect([upcalls, drops, udp]).toEqual([[{ kind: "route-miss", ringKey: key(0x90), from: SENDER }], { "queue-full": 8 }, []]);
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [OTHER], hopLimit: 1 })).drops).toEqual({ "hop-limit": 1 });
    harness.engine.setNextServer(key(0x90), null);
    expect(harness.engine.queuedPackets()).toBe(32);
    harness.engine.setNextServer(key(0x90), NEXT);
    const after = harness.step();
    expect(after.udp.map((datagram) => datagram.bytes)).toEqual(
      Array.from({ length: 32 }, (_, i) => dataPacket({ ids: [OTHER], flags: 5, hopLimit: 15 }, data(i))),
    );
    expect(after.upcalls.map(({ kind }) => kind)).toEqual(["cache-request"]);
    expect(harness.engine.queuedPackets()).toBe(0);
  });

  it("discardRoute drops what waits, and the next packet asks again", () => {
    const harness = server();
    harness.fromUdp(SENDER, dataPacket({ ids: [OTHER] }), dataPacket({ ids: [OTHER] }));
    harness.engine.discardRoute(key(0x90));
    harness.engine.discardRoute(key(0x91));
    expect(harness.engine.counters().drops["no-route"]).toBe(2);
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [OTHER] })).upcalls).toHaveLength(1);
  });

  it("a default server, a new range or the end of serving end the waiting", () => {
    const waiting = (): Harness => {
      const harness = server();
      harness.fromUdp(SENDER, dataPacket({ ids: [OTHER] }));
      return harness;
    };
    const withDefault = waiting();
    withDefault.engine.setDefaultServer(NEXT);
    expect(withDefault.step().udp[0]?.to).toEqual(NEXT);
    const ours = waiting();
    ours.engine.setResponsibility({ kind: "range", from: key(0x40), to: key(0x50) });
    expect(ours.step().udp).toEqual([]);
    ours.engine.setTriggers(OTHER.subarray(0, 16), [to(OTHER, 0)]);
    ours.engine.setResponsibility({ kind: "all" });
    expect(ours.step().udp).toEqual([{ to: HOME[0], bytes: dataPacket({ ids: [OTHER], hopLimit: 15 }) }]);
    const host = waiting();
    host.engine.setResponsibility({ kind: "none" });
    expect([host.step().udp, host.engine.counters().drops["no-route"], host.engine.queuedPackets()]).toEqual([[], 1, 0]);
  });

  it("a trigger from the time when the key was ours is served until it expires", () => {
    const harness = server(to(OTHER, 0));
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [OTHER] }))).toMatchObject({ udp: [{ to: HOME[0] }], upcalls: [] });
  });

  it("a packet is not sent back to the server that forwarded it", () => {
    const harness = server();
    harness.engine.setNextServer(key(0x90), NEXT);
    expect(harness.fromUdp(NEXT, dataPacket({ ids: [OTHER], flags: 4 }))).toMatchObject({ udp: [], upcalls: [{ kind: "no-trigger", from: NEXT, forwarded: true }] });
    expect(harness.engine.counters().drops["no-trigger"]).toBe(1);
  });

  it("but its copy goes there, at once or after it has waited, when a stack leads there", () => {
    const harness = server(chain(ID, OTHER));
    harness.engine.setNextServer(key(0x90), NEXT);
    const there = [{ to: NEXT, bytes: dataPacket({ ids: [OTHER], flags: 4, hopLimit: 15 }) }];
    expect(harness.fromUdp(NEXT, dataPacket({ ids: [ID], flags: 4 }))).toMatchObject({ udp: there, drops: {} });
    const waiting = server(chain(ID, OTHER));
    waiting.fromUdp(NEXT, dataPacket({ ids: [ID], flags: 4 }));
    waiting.engine.setNextServer(key(0x90), NEXT);
    expect(waiting.step()).toMatchObject({ udp: there, drops: {} });
  });

  it("a replaced stack that waited stays hidden from the sender and loses one hop in all", () => {
    const harness = server(chain(ID, OTHER));
    harness.fromUdp(SENDER, dataPacket({ ids: [ID], flags: 1 }, data(4)));
    harness.engine.setNextServer(key(0x90), NEXT);
    const { udp, upcalls } = harness.step();
    expect(udp).toEqual([{ to: NEXT, bytes: dataPacket({ ids: [OTHER], flags: 5, hopLimit: 15 }, data(4)) }]);
    expect(upcalls).toEqual([]);
    const turned = server(chain(ID, OTHER));
    turned.fromUdp(SENDER, dataPacket({ ids: [ID], flags: 1 }));
    turned.engine.setResponsibility({ kind: "all" });
    expect(turned.step().upcalls).toEqual([]);
    expect(turned.engine.counters().drops["no-trigger"]).toBe(1);
  });

  it("a bounded number of keys wait", () => {
    const harness = new Harness({ slots: 1, slotBytes: 100 });
    harness.engine.setResponsibility({ kind: "range", from: key(1), to: key(2) });
    let asked = 0;
    for (let i = 0; i < 20; i++) {
      const many = Array.from({ length: 250 }, (_, j) => dataPacket({ ids: [concat(bytes(0xee, i, j), new Uint8Array(29))] }));
      asked += harness.fromUdp(locator(`10.0.0.${i}`), ...many).upcalls.length;
    }
    expect(asked).toBe(MAX_WAITING_ROUTES);
    expect(harness.engine.counters().drops["queue-full"]).toBe(5_000 - MAX_WAITING_ROUTES);
  });
});

describe("range of ring keys", () => {
  const range = (from: number, to: number): Responsibility => ({ kind: "range", from: key(from), to: key(to) });
  it.each<readonly [string, Responsibility, readonly number[], readonly number[]]>([
    ["(40, 60]", range(0x40, 0x60), [0x41, 0x60], [0x40, 0x61, 0, 0xff]],
    ["(e0, 20] wraps", range(0xe0, 0x20), [0xe1, 0xff, 0, 0x20], [0xe0, 0x21, 0x80]],
    ["(40, 40] is everything", range(0x40, 0x40), [0, 0x3f, 0x40, 0x41, 0xff], []],
    ["all", { kind: "all" }, [0, 0x80, 0xff], []],
  ])("%s", (_, responsibility, ours, others) => {
    const harness = server();
    harness.engine.setResponsibility(responsibility);
    for (const byte of [...ours, ...others]) {
      const [upcall] = harness.fromUdp(SENDER, dataPacket({ ids: [makeId(byte)] })).upcalls;
      expect([byte, upcall?.kind]).toEqual([byte, ours.includes(byte) ? "no-trigger" : "route-miss"]);
    }
  });

  it("compares all 128 bits and copies the ends", () => {
    const harness = server();
    const from = key(0x40);
    const end = key(0x50);
    harness.engine.setResponsibility({ kind: "range", from, to: end });
    from.fill(0);
    end.fill(0xff);
    const id = makeId(0x50);
    id[15] = 0x51;
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [id] })).upcalls[0]?.kind).toBe("route-miss");
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [makeId(0x50)] })).upcalls[0]?.kind).toBe("no-trigger");
    expect(harness.fromUdp(SENDER, dataPacket({ ids: [makeId(0x40)] })).upcalls[0]?.kind).toBe("route-miss");
  });

  it("a host has none", () => {
    expect(new Harness().fromUdp(SENDER, dataPacket({})).drops).toEqual({ "unknown-id": 1 });
  });
});
