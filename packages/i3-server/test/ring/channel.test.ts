/** What passes between servers: for the pair only, each message once, and who is no member changes nothing. */
import { describe, expect, it } from "vitest";

import { decodeControl, makeLocator, type ControlMessage, type ControlType } from "@i3/common";

import { CALLS } from "../../src/ring/constants.js";
import { admitServer } from "../../src/ring/credential.js";
import { againOf, bare, ChannelNet, type ChannelNode, type Datagram, DELAY_MS, OTHER_AUTHORITY, THIEF, typeOf, WALL_MS } from "./channel-net.js";

const KEY = new Uint8Array(16).fill(9);

const messagesOf = ({ node }: ChannelNode): readonly ControlMessage[] => [
  { type: "NOTIFY", from: node }, { type: "LEAVING", from: node, predecessor: null, successors: [] }, { type: "FIND", from: node, ringKey: KEY }, { type: "STATE", from: node },
];

/** What a peer hears, of what is sent after `since`, from who recorded everything. */
function replay(net: ChannelNet, target: ChannelNode, recorded: readonly Datagram[]): void {
  const heard = target.heard.length;
  for (const { bytes } of recorded) {
    target.take({ from: THIEF, bytes });
    net.run(1);
  }
  expect(target.heard.slice(heard)).toEqual([]);
}

const towards = (net: ChannelNet, target: ChannelNode, since = 0): Datagram[] =>
  net.wire.slice(since).filter(({ to, bytes }) => to === target.locator && !typeOf({ bytes }).startsWith("HELLO"));

describe("a message to a server that was not met", () => {
  it("waits for one HELLO and its answer, and later ones do not", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    a.notify(b);
    net.run(3 * DELAY_MS);
    expect(net.wire.map(typeOf)).toEqual(["HELLO", "HELLO_YES", "NOTIFY"]);
    expect(b.heard).toEqual([{ type: "NOTIFY", from: a.node }]);
    a.notify(b);
    b.send(a, { type: "STATE", from: b.node });
    net.run(DELAY_MS);
    expect(b.heard).toHaveLength(2);
    net.run(3 * DELAY_MS);
    expect(a.heard).toEqual([{ type: "STATE", from: b.node }]);
  });

  it("may be for whoever is at a locator, and for somebody else there some time later", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    a.sendAt(b.locator, { type: "FIND", from: a.node, ringKey: KEY });
    net.run(100);
    a.sendAt(b.locator, { type: "FIND", from: a.node, ringKey: KEY });
    net.run(100);
    expect(net.wire.map(typeOf)).toEqual(["HELLO", "HELLO_YES", "FIND", "FIND"]);
    const other = net.add();
    other.notify(a);
    net.run(200);
    net.nodes.splice(net.nodes.indexOf(b), 1);
    const moved = net.addMember(other.membership);
    Object.assign(moved, { locator: b.locator });
    net.run(10_000);
    a.sendAt(b.locator, { type: "FIND", from: a.node, ringKey: KEY });
    net.run(100);
    expect(moved.heard.at(-1)?.type).toBe("FIND");
  });

  it("is heard when both call after the sender's restart, one of them twice at once", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    a.start();
    b.notify(a);
    b.sendAt(a.locator, { type: "NOTIFY", from: b.node });
    net.run(DELAY_MS + 1);
    a.notify(b);
    net.run(2_000);
    expect(net.sent("HELLO").filter(({ to }) => to === a.locator).length).toBeGreaterThanOrEqual(2);
    expect(b.heard.filter(({ type }) => type === "NOTIFY")).toHaveLength(2); // that of pair() too
    a.notify(b);
    net.run(100);
    expect(b.heard.filter(({ type }) => type === "NOTIFY")).toHaveLength(3);
  });

  it("HELLO is said again like a request, and given up with what waited", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.up = false;
    a.notify(b);
    net.run(5_000);
    expect(net.wire.map(({ atMs }) => atMs)).toEqual([0, 250, 500, 750, 1_000, 1_250]);
    expect(new Set(net.wire.map(({ bytes }) => Buffer.from(bytes).toString("hex"))).size).toBe(1);
    expect(a.counters.get("waiting-dropped")).toBe(1);
    expect(a.channel.deadlineMs()).toBe(Infinity);
  });

  it("four wait for one server, for 64 servers, and what is more is dropped and counted; a copy does not count twice", () => {
    const net = new ChannelNet();
    const a = net.add();
    const nobody = (i: number) => ({ key: new Uint8Array(16).fill(i), locator: ChannelNet.locatorOf(500 + i) });
    const nonce = net.bytes(8);
    for (let i = 0; i < 6; i += 1) a.channel.send(0, nobody(1).locator, nobody(1).key, nonce, { type: "NOTIFY", from: a.node }, Infinity);
    expect(a.counters.get("waiting-dropped")).toBe(0);
    for (let i = 0; i < 6; i += 1) a.channel.send(0, nobody(1).locator, nobody(1).key, net.bytes(8), { type: "NOTIFY", from: a.node }, Infinity);
    expect(a.counters.get("waiting-dropped")).toBe(3);
    for (let i = 2; i < 100; i += 1) a.channel.send(0, nobody(i).locator, nobody(i).key, net.bytes(8), { type: "NOTIFY", from: a.node }, Infinity);
    expect(net.wire).toHaveLength(CALLS.own.atOnce);
    expect([a.counters.get("waiting-dropped"), a.counters.get("calls-refused")]).toEqual([3, 99 - CALLS.own.atOnce]);
  });

  it("an answer never waits: who asked has a session", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    a.send(b, { type: "ALIVE_YES", from: a.node });
    expect(net.wire).toEqual([]);
    expect(a.counters.get("session")).toBe(1);
  });

  it("neighbours are met before there is anything to say", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    a.channel.setNeighbours(0, [b.node]);
    net.run(100);
    const since = net.wire.length;
    a.notify(b);
    net.run(100);
    expect(net.wire.slice(since).map(typeOf)).toEqual(["NOTIFY"]);
    expect(b.heard).toHaveLength(1);
  });
});

describe("a message", () => {
  it("with any byte changed, to another server or back to its sender is not heard", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const third = net.add();
    third.notify(b);
    net.run(100);
    net.passes = () => false;
    const since = net.wire.length;
    a.notify(b);
    const { bytes } = net.wire[since] as Datagram;
    const heard = b.heard.length;
    for (let i = 0; i < bytes.length; i += 1) {
      const changed = bytes.map((byte, at) => (at === i ? byte ^ 1 : byte));
      try {
        expect(b.take({ from: a.locator, bytes: changed }), `byte ${i}`).toBeNull();
      } catch (error) {
        expect((error as { readonly code?: string }).code, `byte ${i}`).toBe("ERR_I3_WIRE");
      }
    }
    for (const other of [a, third]) expect(other.take({ from: a.locator, bytes })).toBeNull();
    expect(b.take({ from: a.locator, bytes: bare({ type: "NOTIFY", from: a.node }, net.bytes(8)) })).toBeNull();
    expect(b.heard).toHaveLength(heard);
    expect(b.take({ from: THIEF, bytes }), "unchanged, from anywhere").toEqual({ type: "NOTIFY", from: a.node });
    expect(b.counters.get("mac")).toBeGreaterThan(bytes.length / 2);
  });

  it("of a member in another's name is not heard: who speaks has to have the key of that place", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const liar = net.add();
    liar.notify(b);
    net.run(100);
    const heard = b.heard.length;
    for (const from of [a.node, b.node, { key: KEY, locator: liar.locator }]) liar.send(b, { type: "NOTIFY", from });
    net.run(1_000);
    expect(b.heard).toHaveLength(heard);
  });

  it("is taken once, in any order, up to 64 late", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    net.passes = () => false;
    const since = net.wire.length;
    for (let i = 0; i < 100; i += 1) a.notify(b);
    const sent = net.wire.slice(since);
    const heard = b.heard.length;
    for (const datagram of [...sent.slice(36)].reverse()) b.take(datagram);
    expect(b.heard).toHaveLength(heard + 64);
    for (const datagram of sent) b.take(datagram);
    expect(b.heard).toHaveLength(heard + 64);
    expect(b.counters.get("replay")).toBe(100);
  });
});

describe("recorded messages change nothing", () => {
  const recorded = (): { net: ChannelNet; a: ChannelNode; b: ChannelNode; tape: Datagram[]; undelivered: Datagram[] } => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    for (const message of messagesOf(a)) a.send(b, message);
    net.run(100);
    net.passes = () => false;
    const since = net.wire.length;
    for (const message of messagesOf(a)) a.send(b, message);
    net.passes = () => true;
    const undelivered = net.wire.slice(since);
    expect(undelivered).toHaveLength(4);
    return { net, a, b, tape: towards(net, b).filter((datagram) => !undelivered.includes(datagram)), undelivered };
  };
  const all = ({ tape, undelivered }: { readonly tape: Datagram[]; readonly undelivered: Datagram[] }): Datagram[] => [...tape, ...undelivered];

  it("in the same epoch", () => {
    const { net, b, tape } = recorded();
    replay(net, b, tape);
    expect(b.counters.get("replay")).toBe(tape.length);
  });

  it("after the receiver's restart, whether it has met the sender again or not", () => {
    const tapes = recorded();
    const { net, a, b } = tapes;
    net.run(500);
    b.start();
    replay(net, b, all(tapes));
    a.notify(b);
    net.run(1_000);
    a.notify(b);
    net.run(100);
    expect(b.heard.at(-1)).toEqual({ type: "NOTIFY", from: a.node });
    replay(net, b, all(tapes));
  });

  it("after the receiver's restart, while a HELLO in the sender's name is answered", () => {
    const tapes = recorded();
    const { net, b } = tapes;
    const hello = net.sent("HELLO")[0] as Datagram;
    b.start();
    b.take({ from: THIEF, bytes: hello.bytes });
    replay(net, b, all(tapes));
  });

  it("after the sender's restart", () => {
    const tapes = recorded();
    const { net, a, b } = tapes;
    net.run(500);
    a.start();
    replay(net, b, tapes.tape);
    a.notify(b);
    net.run(100);
    replay(net, b, all(tapes));
  });

  it("after the sender's restart: it is told to say HELLO again, in case it does not know of it", () => {
    const { net, a, b, tape } = recorded();
    net.run(500);
    a.start();
    a.notify(b);
    net.run(100);
    const seen = net.wire.length;
    replay(net, b, tape);
    expect(net.sent("HELLO_AGAIN", seen)).toHaveLength(tape.length);
  });

  it("after both restarted, the receiver with a clock that was set back to the very same time", () => {
    const tapes = recorded();
    const { net, a, b } = tapes;
    for (const restart of [[b], [a, b], [b]]) {
      net.run(2_000);
      b.clockErrorMs = -net.nowMs;
      for (const node of restart) node.start();
      replay(net, b, all(tapes));
      b.take({ from: THIEF, bytes: (net.sent("HELLO")[0] as Datagram).bytes });
      replay(net, b, all(tapes));
      for (let i = 0; i < 10; i += 1) {
        a.notify(b);
        net.run(250);
      }
      expect(b.heard.at(-1)?.type).toBe("NOTIFY");
      replay(net, b, all(tapes));
    }
  });

  it("after two runs of the receiver that heard of the same earlier one, whose clock was ahead", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.clockErrorMs = 3_600_000;
    b.start();
    a.notify(b);
    net.run(1_000);
    const ahead = towards(net, b);
    b.clockErrorMs = 0;
    b.start();
    for (let i = 0; i < 4; i += 1) {
      a.notify(b);
      net.run(250);
    }
    const heard = b.heard.length;
    expect(heard).toBeGreaterThan(1);
    const after = towards(net, b).filter((datagram) => !ahead.includes(datagram));
    b.start();
    b.take({ from: THIEF, bytes: (net.sent("HELLO")[0] as Datagram).bytes });
    replay(net, b, ahead);
    replay(net, b, after);
    expect(b.heard).toHaveLength(heard);
  });

  it("after the receiver came back in the very same epoch", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.epochBits = Uint8Array.of(1, 2);
    b.start();
    for (const message of messagesOf(a)) a.send(b, message);
    net.run(1_000);
    expect(b.heard).toHaveLength(4);
    const tape = towards(net, b);
    b.clockErrorMs = -net.nowMs;
    b.start();
    for (let i = 0; i < 4; i += 1) {
      a.notify(b);
      net.run(250);
    }
    expect(b.heard.length).toBeGreaterThan(4);
    expect(b.counters.get("epoch")).toBe(1);
    replay(net, b, tape);
  });

  it("after the receiver has forgotten the session for others'", () => {
    const tapes = recorded();
    const { net, a, b } = tapes;
    b.maxSessions = 2;
    b.start();
    net.run(10);
    for (let i = 0; i < 8; i += 1) {
      a.notify(b);
      net.run(250);
    }
    expect(b.heard.at(-1)?.from).toEqual(a.node);
    for (const other of [net.add(), net.add()]) {
      other.notify(b);
      net.run(200);
    }
    expect(b.counters.get("sessions-dropped")).toBe(1);
    b.take({ from: THIEF, bytes: (net.sent("HELLO")[0] as Datagram).bytes });
    replay(net, b, towards(net, b));
    const heard = b.heard.length;
    a.notify(b);
    net.run(400);
    a.notify(b);
    net.run(100);
    expect(b.heard.length).toBeGreaterThan(heard);
  });
});

describe("a restart", () => {
  /** ms until `b` hears `a`, which says something every 250 ms, as requests do. */
  function untilHeard(net: ChannelNet, a: ChannelNode, b: ChannelNode): number {
    const heard = b.heard.length;
    for (let ms = 0; ms < 10_000; ms += 10) {
      if (b.heard.length > heard) return ms;
      if (ms % 250 === 0) a.notify(b);
      net.run(10);
    }
    return Infinity;
  }

  it.each([0, -3_600_000, 3_600_000])("costs who speaks to it one repetition, with the clock %i ms off", (clockErrorMs) => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    b.clockErrorMs = clockErrorMs;
    b.start();
    expect(untilHeard(net, a, b)).toBeLessThan(clockErrorMs < 0 ? 600 : 300);
    expect(untilHeard(net, b, a)).toBeLessThan(100);
  });

  it.each([0, -3_600_000, 3_600_000])("costs itself one HELLO, with the clock %i ms off", (clockErrorMs) => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    b.clockErrorMs = clockErrorMs;
    b.start();
    expect(untilHeard(net, b, a)).toBeLessThan(100);
    expect(untilHeard(net, a, b)).toBeLessThan(100);
  });

  it("of both, with clocks that jump to and fro, ends in a session again", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    for (const [errorA, errorB] of [[-1_000, -5_000], [5_000_000, -900_000], [-2_000_000, 0], [0, 0]] as const) {
      [a.clockErrorMs, b.clockErrorMs] = [errorA, errorB];
      a.start();
      b.start();
      expect(untilHeard(net, a, b)).toBeLessThan(1_000);
      expect(untilHeard(net, b, a)).toBeLessThan(1_000);
    }
  });
});

describe("who is no member", () => {
  it("with another authority's credential is not answered, is counted, and is named in the log once", () => {
    const net = new ChannelNet();
    const [a, stranger] = [net.add(), net.add(OTHER_AUTHORITY)];
    for (let i = 0; i < 3; i += 1) {
      stranger.notify(a);
      a.notify(stranger);
      net.run(2_000);
    }
    expect([a.heard, stranger.heard]).toEqual([[], []]);
    expect(new Set(net.wire.map(typeOf))).toEqual(new Set(["HELLO"]));
    expect(a.counters.get("foreign-ring")).toBe(18);
    expect(a.logged).toEqual([{ event: "foreign-ring", fields: expect.objectContaining({ from: "10.1.0.2:4000", remedy: expect.stringMatching(/ring admit/) as string }) as object }]);
  });

  it("whose credential has ended never gets in, and one that ends on the way is heard no more", () => {
    const net = new ChannelNet();
    const [a, late] = [net.add(), net.add(undefined, WALL_MS / 1_000 + 60)];
    late.notify(a);
    net.run(59_000);
    late.notify(a);
    net.run(900);
    expect(a.heard).toHaveLength(2);
    net.run(100);
    for (let i = 0; i < 4; i += 1) {
      late.notify(a);
      net.run(2_000);
    }
    late.start();
    late.notify(a);
    a.notify(late);
    net.run(2_000);
    expect(a.heard).toHaveLength(2);
    expect(late.heard).toEqual([]);
    expect(a.counters.get("credential-ended")).toBeGreaterThan(4);
    expect(a.logged.map(({ event }) => event)).toEqual(["credential-ended"]);
    expect(late.logged.map(({ event }) => event)).toContain("own-credential-ended");
  });

  it("shows another's credential: its HELLO is answered and changes no session, its HELLO_YES and messages are worth nothing", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const forged = net.addMember({ credential: a.membership.credential, privateKey: net.bytes(32) });
    forged.send(b, { type: "LEAVING", from: a.node, predecessor: null, successors: [] });
    net.run(3_000);
    expect(b.heard.map(({ type }) => type)).toEqual(["NOTIFY"]);
    expect(forged.counters.get("mac")).toBeGreaterThan(0); // it cannot even read the answer
    const since = net.wire.length;
    a.notify(b);
    b.notify(a);
    net.run(100);
    expect(net.wire.slice(since).map(typeOf)).toEqual(["NOTIFY", "NOTIFY"]);
    expect([a.heard.length, b.heard.length]).toEqual([2, 2]);
  });

  it("signs a credential itself in the authority's name: counted, nothing is answered", () => {
    const net = new ChannelNet();
    const b = net.add();
    const own = admitServer(OTHER_AUTHORITY, net.bytes).credential.bytes;
    const shown = Uint8Array.from([...b.membership.credential.bytes.subarray(0, 33), ...own.subarray(33)]);
    b.take({ from: THIEF, bytes: bare({ type: "HELLO", credential: shown }, net.bytes(8)) });
    expect(net.wire).toEqual([]);
    expect(b.counters.get("credential")).toBe(1);
  });

  it("answers HELLO in the place of who was called: at most four signatures are checked for each", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    b.up = false;
    a.notify(b);
    const { nonce } = decodeControl((net.wire[0] as Datagram).bytes);
    for (let i = 0; i < 50; i += 1) {
      const shown = Uint8Array.from([...a.membership.credential.bytes.subarray(0, 33), ...net.bytes(48), ...new Uint8Array(8), ...net.bytes(64)]);
      const bytes = Uint8Array.from([...bare({ type: "HELLO_YES", credential: shown }, nonce), ...net.bytes(40).fill(0)]);
      bytes[2] = 1;
      a.take({ from: b.locator, bytes });
    }
    expect([a.counters.get("credential"), a.counters.get("hello-rate")]).toEqual([4, 46]);
    b.up = true;
    net.run(400);
    expect(b.heard).toHaveLength(1);
  });

  it("says HELLO_AGAIN: of a message that was sent, two HELLOs and then one a second; of others nothing", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const since = net.wire.length;
    a.take({ from: b.locator, bytes: bare({ type: "HELLO_AGAIN", counter: 1 }, net.bytes(8)) });
    expect(net.wire.length).toBe(since);
    a.notify(b);
    const again = againOf(net.wire.at(-1) as Datagram);
    for (let ms = 0; ms < 5_000; ms += 100) {
      a.take({ from: THIEF, bytes: again });
      net.run(100);
    }
    expect(net.sent("HELLO", since)).toHaveLength(1);
    for (let ms = 0; ms < 10_000; ms += 100) {
      a.notify(b);
      a.take({ from: b.locator, bytes: againOf(net.wire.at(-1) as Datagram) });
      net.run(100);
    }
    expect(net.sent("HELLO", since).length).toBeLessThanOrEqual(13);
    expect(b.heard).toHaveLength(102);
    expect(b.counters.get("replay") + b.counters.get("epoch") + b.counters.get("mac")).toBe(0);
  });

  it("floods with HELLOs: ten a second of one source and 200 of all are looked at, and who is known is answered and heard", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const credentials = Array.from({ length: 300 }, () => admitServer(OTHER_AUTHORITY, net.bytes).credential.bytes)
      .map((bytes) => Uint8Array.from([...b.membership.credential.bytes.subarray(0, 33), ...bytes.subarray(33)]));
    for (const shown of credentials) b.take({ from: THIEF, bytes: bare({ type: "HELLO", credential: shown }, net.bytes(8)) });
    expect([b.counters.get("credential"), b.counters.get("hello-rate")]).toEqual([10, 290]);
    for (const [i, shown] of credentials.entries()) {
      b.take({ from: makeLocator(Uint8Array.of(203, 0, i >> 8, i & 0xff), 1), bytes: bare({ type: "HELLO", credential: shown }, net.bytes(8)) });
    }
    expect([b.counters.get("credential"), b.counters.get("hello-rate")]).toEqual([200, 400]);
    const heard = b.heard.length;
    a.start();
    a.notify(b);
    b.take(net.wire.at(-1) as Datagram);
    expect(typeOf(net.wire.at(-1) as Datagram), "no budget is left, and none is needed").toBe("HELLO_YES");
    net.run(100);
    expect(b.heard).toHaveLength(heard + 1);
    net.run(1_000);
    const newcomer = net.add();
    newcomer.notify(b);
    net.run(100);
    expect(b.heard).toHaveLength(heard + 2);
  });
});

describe("no answer is larger than what it answers", () => {
  it("HELLO_YES and HELLO_AGAIN, whatever is cut from the request", () => {
    const net = new ChannelNet();
    const [a, b] = [net.add(), net.add()];
    const hello = bare({ type: "HELLO", credential: a.membership.credential.bytes }, net.bytes(8));
    let answered = 0;
    for (let length = 172; length <= hello.length; length += 1) {
      const since = net.wire.length;
      b.take({ from: THIEF, bytes: hello.subarray(0, length) });
      for (const { bytes, to } of net.wire.slice(since)) {
        expect(to).toEqual(THIEF);
        expect(bytes.length).toBeLessThanOrEqual(length);
        answered += 1;
      }
    }
    expect(answered).toBeGreaterThan(0);
    expect(b.counters.get("amplification")).toBeGreaterThan(0);
    a.notify(b);
    net.run(100);
    const last = net.wire.at(-1) as Datagram;
    b.start();
    const since = net.wire.length;
    b.take(last);
    expect(net.wire.slice(since).map(({ bytes, to }) => [typeOf({ bytes }), to, bytes.length <= last.bytes.length])).toEqual([["HELLO_AGAIN", a.locator, true]]);
  });

  it("answers between servers, and a question may be as long as it is", () => {
    const net = new ChannelNet();
    const [a, b] = net.pair();
    const since = net.wire.length;
    b.send(a, { type: "FOUND", from: b.node, final: true, node: b.node }, 100);
    expect(net.wire.length).toBe(since);
    expect(b.counters.get("amplification")).toBe(1);
    b.send(a, { type: "FOUND", from: b.node, final: true, node: b.node }, 144);
    b.send(a, { type: "STATE", from: b.node }, 100);
    expect(net.wire.slice(since).map(typeOf)).toEqual<ControlType[]>(["FOUND", "STATE"]);
  });
});
