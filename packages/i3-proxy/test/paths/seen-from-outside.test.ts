/** Where servers say that this host is, one of which may lie: what of it peers are told, and how soon. */
import { beforeEach, describe, expect, it } from "vitest";

import { decodeControl, makeLocator, parseIpText, sameLocator, type Locator } from "@i3/common";
import { Random } from "@i3/common/testing";
import type { Datagram } from "@i3/datapath";

import { OwnLocators } from "../../src/paths/own-locators.js";
import { SeenFromOutside } from "../../src/paths/seen-from-outside.js";

const at = (text: string, port = 5_610): Locator => makeLocator(parseIpText(text) as Uint8Array, port);
const [A, B, C, D] = [at("192.0.2.1"), at("192.0.2.2"), at("192.0.2.3"), at("192.0.2.4")];
const [OLD, NEW, VICTIM] = ["198.51.100.6", "198.51.100.7", "203.0.113.9"];

let own: OwnLocators;
let seen: SeenFromOutside;
let servers: readonly Locator[];
let sent: Datagram[];
let told: (readonly string[])[];
let nowMs: number;
beforeEach(() => {
  const random = new Random(1);
  own = new OwnLocators(5_610, { network: Uint8Array.of(10, 0, 0, 0), prefixBits: 8 });
  [servers, sent, told, nowMs] = [[A, B], [], [], 0];
  place("192.168.1.10");
  seen = new SeenFromOutside({ datapath: { send: (datagrams) => void sent.push(...datagrams) }, randomBytes: (length) => random.bytes(length), own, servers: () => servers, isWanted: () => true, onNews: () => void told.push(outside()) });
  seen.look(0);
});

const place = (...addresses: readonly string[]): void => void own.setPlaces([{ interfaceIndex: 2, family: 4, addresses: addresses.map((address) => parseIpText(address) as Uint8Array), gateway: null, prefixes: null }]);
const text = ({ address, port }: Locator): string => `${address.join(".")}:${port}`;
const outside = (): readonly string[] => own.locators.filter(({ kind }) => kind === "server").map(({ locator }) => text(locator));
const asked = (): readonly Locator[] => sent.map(({ locator }) => locator);

/** A server answers the oldest question to it. */
function answers(server: Locator, address: string, port = 40_000): boolean {
  const i = sent.findIndex(({ locator }) => sameLocator(makeLocator(locator.address, locator.port), server));
  const [question] = i < 0 ? [] : sent.splice(i, 1);
  if (question === undefined) throw new Error("not asked");
  return seen.handle(nowMs, server, decodeControl(question.bytes).nonce, { type: "PONG", timeMs: 0, observed: at(address, port), nodeKey: new Uint8Array(16) });
}

/** A round of questions at that time, if one is due. */
function ask(ms: number): void {
  nowMs = ms;
  if (seen.nextDeadlineMs() <= nowMs) seen.handleTimer(nowMs);
}

/** All that a server says from now on, in rounds of its own. */
function round(says: readonly (readonly [server: Locator, address: string, port?: number])[]): void {
  sent.length = 0;
  nowMs += 20_000;
  seen.look(nowMs);
  seen.handleTimer(nowMs);
  for (const [server, address, port] of says) answers(server, address, port);
}

describe("servers", () => {
  it("are asked again after 20 s when one has answered, otherwise after a second, four times", () => {
    const questionsAt = (ms: number): number => {
      ask(ms);
      return sent.splice(0).length;
    };
    ask(0);
    answers(A, OLD);
    sent.length = 0;
    expect([1_000, 19_999, 20_000, 21_000, 22_000, 23_000, 24_000, 42_999, 43_000].map(questionsAt)).toEqual([0, 0, 2, 2, 2, 2, 0, 0, 2]);
  });

  it("are asked at once when something has changed, whatever answers come late", () => {
    ask(0);
    nowMs = 100;
    seen.look(nowMs);
    answers(A, OLD);
    sent.length = 0;
    ask(100);
    expect(sent).toHaveLength(2);
  });
});

describe("an address that one server says", () => {
  it("is told while no other has answered, at once", () => {
    ask(0);
    answers(A, OLD);
    expect([outside(), told]).toEqual([[`${OLD}:40000`], [[`${OLD}:40000`]]]);
  });

  it("is told with that of another, whatever the ports", () => {
    ask(0);
    answers(A, OLD, 1);
    answers(B, OLD, 2);
    expect(outside()).toEqual([`${OLD}:1`, `${OLD}:2`]);
  });

  it("is not told when another says differently, nor what that one says, until a third agrees, who is asked at once", () => {
    servers = [A, B, C, D];
    ask(0);
    expect(asked()).toHaveLength(2);
    answers(A, VICTIM);
    answers(B, OLD);
    expect([outside(), told.at(-1)]).toEqual([[], []]);
    ask(0);
    expect(asked().map(text)).toEqual([A, B, C, D].map(text));
    answers(C, OLD);
    expect([outside(), told.at(-1)]).toEqual([[`${OLD}:40000`], [`${OLD}:40000`]]);
    for (const [server, address] of [[A, VICTIM], [B, OLD], [D, OLD]] as const) answers(server, address);
    expect(outside()).not.toContain(`${VICTIM}:40000`);
  });

  it.each([[A, B], [B, A]])("is not told when it is another than two said, whichever of them says it, and takes nothing away while a third is there", (liar, honest) => {
    servers = [A, B, C, D];
    round([[A, OLD], [B, OLD]]);
    round([[liar, VICTIM], [honest, OLD]]);
    for (let i = 0; i < 10; i += 1) {
      expect(outside()).toEqual([`${OLD}:40000`]);
      round([[honest, OLD], [liar, `203.0.113.${i}`], [C, OLD]]);
    }
    expect(told.flat().every((one) => one === `${OLD}:40000`)).toBe(true);
  });

  it.each([[VICTIM, OLD], [OLD, NEW]])("holds against another for a minute after two said it: who goes on to say it (%s, %s) keeps nothing else back, nor peers there", (first, second) => {
    servers = [A, B];
    round([[A, OLD], [B, OLD]]);
    for (const expected of [[`${OLD}:40000`], [`${OLD}:40000`], [], [], []]) {
      round([[A, first], [B, second]]);
      expect(outside()).toEqual(expected);
    }
    servers = [A, B, C];
    round([[A, first], [B, second], [C, second]]);
    expect(outside()).toEqual([`${second}:40000`]);
    expect(told.flat()).not.toContain(`${VICTIM}:40000`);
  });

  it("is not told when another sees this host without a NAT; one of its own network sees it so, and is not heard", () => {
    place("198.51.100.20");
    round([[A, "198.51.100.20", 5_610], [B, VICTIM]]);
    expect(outside()).toEqual([]);
    place("192.168.1.20");
    round([[A, "192.168.1.20"], [B, OLD]]);
    expect(outside()).toEqual([`${OLD}:40000`]);
  });

  it("counts once, whatever ports the server has", () => {
    const other = at("192.0.2.1", 5_611);
    servers = [A, other];
    round([[A, VICTIM], [other, VICTIM]]);
    servers = [B, A, other];
    round([[B, OLD], [A, VICTIM]]);
    round([[B, OLD], [A, VICTIM], [other, VICTIM]]);
    expect(outside()).toEqual([]);
  });

  it("is told alone again when the other has not answered for a minute", () => {
    round([[A, OLD], [B, VICTIM]]);
    for (const _ of [20, 40]) {
      round([[A, OLD]]);
      expect(outside()).toEqual([]);
    }
    round([[A, OLD]]);
    expect(outside()).toEqual([`${OLD}:40000`]);
    // What the silent one said is not told because it is old.
    expect(told.flat()).not.toContain(`${VICTIM}:40000`);
  });

  it("is told beside another that two say as well, without an end of news: a NAT has several", () => {
    servers = [A, B, C, D];
    round([[A, OLD], [B, NEW]]);
    const says = [[A, OLD], [B, NEW], [C, OLD], [D, NEW]] as const;
    round(says);
    expect(outside()).toEqual([`${OLD}:40000`, `${NEW}:40000`]);
    const { length } = told;
    for (let i = 0; i < 2; i += 1) round(says.slice(0, 2));
    expect([[...outside()].sort(), told.length]).toEqual([[`${OLD}:40000`, `${NEW}:40000`], length]);
  });

  it("is believed for what two said only while one of them goes on to say it", () => {
    round([[A, OLD], [B, OLD]]);
    for (const told of [OLD, OLD, NEW, NEW]) {
      round([[A, NEW]]);
      expect(outside()).toEqual([`${told}:40000`]);
    }
    round([[A, NEW], [B, OLD]]);
    expect(outside()).toEqual([]);
  });

  it("replaces what all others said more than a minute before", () => {
    round([[A, OLD], [B, OLD]]);
    servers = [C];
    nowMs += 60_000;
    round([[C, NEW]]);
    expect(outside()).toEqual([`${NEW}:40000`]);
  });

  it.each(["127.0.0.1", "224.0.0.251", "255.255.255.255", "0.1.2.3", "169.254.7.7", "10.1.2.3", "::1", "ff02::1", "fe80::1", "2001:20::1"])("is refused and counted when it is %s, and is no answer", (address) => {
    ask(0);
    expect(answers(A, address)).toBe(true);
    answers(B, OLD);
    expect([outside(), own.refused, told.length]).toEqual([[`${OLD}:40000`], 1, 1]);
  });
});

describe("a host that moves", () => {
  it("tells its new address within a round trip, and the old one until then", () => {
    round([[A, OLD], [B, OLD]]);
    sent.length = 0;
    // A NAT has another address: the server that hears of it first starts a round.
    nowMs += 1_000;
    seen.look(nowMs);
    ask(nowMs);
    answers(A, NEW);
    expect(outside()).toEqual([`${OLD}:40000`]);
    sent.length = 0;
    ask(nowMs);
    expect(asked().map(text)).toEqual([A, B].map(text));
    answers(B, NEW);
    expect(outside()).toEqual([`${NEW}:40000`]);
    expect(told.at(-1)).toEqual([`${NEW}:40000`]);
  });

  it("tells another port at once", () => {
    round([[A, OLD], [B, OLD]]);
    nowMs += 1_000;
    seen.look(nowMs);
    ask(nowMs);
    answers(A, OLD, 41_000);
    expect(outside()).toEqual([`${OLD}:40000`, `${OLD}:41000`]);
  });

  it("with one server tells its new address at once", () => {
    servers = [A];
    round([[A, OLD]]);
    round([[A, NEW]]);
    expect(outside()).toEqual([`${NEW}:40000`]);
  });

  it("is asked each second at most, and told five times a second, when two servers take turns, with another port each time", () => {
    let [questions, ports] = [0, 0];
    const turns = new Map<string, number>();
    for (let ms = 0; ms < 20_000; ms += 10) {
      ask(ms);
      for (const server of sent.map(({ locator }) => makeLocator(locator.address, locator.port))) {
        questions += 1;
        const turn = (turns.get(text(server)) ?? (sameLocator(server, A) ? 0 : 1)) + 1;
        turns.set(text(server), turn);
        answers(server, turn % 2 === 0 ? VICTIM : OLD, 1 + (ports += 1));
      }
    }
    expect(questions).toBeLessThanOrEqual(4 * (20 + 3));
    expect(told.length).toBeLessThanOrEqual(5 * 20 + 4);
  });

  it("does not count when the answer is older than five seconds", () => {
    ask(0);
    const first = sent.find(({ locator }) => sameLocator(makeLocator(locator.address, locator.port), A));
    nowMs = 5_001;
    seen.handle(nowMs, A, decodeControl((first as Datagram).bytes).nonce, { type: "PONG", timeMs: 0, observed: at(OLD), nodeKey: new Uint8Array(16) });
    expect(outside()).toEqual([]);
  });

  it("is asked no faster for ever by servers that do not agree", () => {
    let questions = 0;
    for (let ms = 0; ms < 20_000; ms += 10) {
      ask(ms);
      for (const server of sent.map(({ locator }) => makeLocator(locator.address, locator.port))) {
        questions += 1;
        answers(server, sameLocator(server, A) ? VICTIM : OLD);
      }
    }
    expect(questions).toBeLessThanOrEqual(2 * (20 + 1));
  });
});
