/** A client of a gateway, whole proxies and engines in virtual time: what its names lead to, and what becomes of it. The DNS between is not there: the gateway's answers are given to the core. */
import { describe, expect, it } from "vitest";

import { bytesKey, concatBytes, formatIpText, parseIpText, serverPrefix6, type ProxyRule } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../../test/sim/world.js";
import { answerQuery } from "../../src/dns/dns-core.js";
import { ownQuery } from "../../src/gateways/gateway-messages.js";
import type { GatewayPlace } from "../../src/gateways/gateways.js";
import { addressOf, packet4, packet6, roundTrip, rulesOf, textOf } from "../traffic.js";

const RULES = '<rule name=".*\\.corp" go="gateway" via="office.i3"/><rule name=".*\\.lab" go="gateway" via="lab.i3"/><rule name=".*\\.i3" go="i3"/>';
const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const SERVER = ip("10.77.1.2");

function bed(rules: readonly ProxyRule[] = rulesOf(RULES), isTaken: (address: Uint8Array) => boolean = () => false) {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopIdentity, officeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": laptopIdentity, "office.i3": officeIdentity });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopIdentity, book, rules, isTaken, lifetimeMs: 100_000 });
  const office = addHost(world, "198.51.100.2", { servers: ring, identity: officeIdentity, book, rules: rulesOf('<rule name=".*\\.i3" go="i3"/>') });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && office.proxy.isReady(world.nowMs));
  world.run(1_000);
  return { world, laptop, office };
}
type Bed = ReturnType<typeof bed>;

function placeOf({ world, laptop }: Bed, via = "office.i3"): GatewayPlace {
  const place = laptop.proxy.gateways.locate(world.nowMs, via);
  if (typeof place === "string") throw new Error(place);
  laptop.proxy.installFresh();
  return place;
}
const learn = (at: Bed, name: string, addresses: readonly Uint8Array[], tries = 0): string => at.laptop.proxy.gateways.learn(at.world.nowMs, "office.i3", placeOf(at), name, addresses, tries);
const logged = ({ node }: Host, event: string): readonly Readonly<Record<string, unknown>>[] => node.log.filter((line) => line.event === event).map(({ fields }) => fields);
/** Opens the way between the two, for both families. */
function open(at: Bed): void {
  expect(roundTrip(at.world, at.laptop, at.office, "office.i3", "hello").back).not.toBe("nothing");
  for (const flow of [[...at.office.proxy.mappings.all()][0]?.local4, [...at.office.proxy.mappings.all()][0]?.local6]) if (flow) at.office.node.engine.setForwarding(flow, true);
}
/** Whether a packet of the laptop's gets to the office, whole. */
function arrives({ world, laptop, office }: Bed, packet: Uint8Array, text: string): boolean {
  world.inject(laptop.node, { tun: packet });
  world.run(3_000, () => office.node.received.some((one) => new TextDecoder().decode(one).endsWith(text)));
  return office.node.received.some((one) => new TextDecoder().decode(one).endsWith(text) && bytesKey(one).includes(bytesKey(packet.length > 40 && packet[0] === 0x60 ? packet.subarray(24, 40) : packet.subarray(16, 20))));
}

describe("a server behind a gateway", () => {
  it("is reached at its virtual address, in either family, and answers from there", () => {
    const at = bed();
    const server6 = concatBytes(serverPrefix6(at.office.identity.hit), ip("::9").subarray(8));
    open(at);
    expect(arrives(at, packet4(at.laptop.proxy.own4, SERVER, "too early"), "too early")).toBe(false);
    expect(learn(at, "www.corp", [SERVER, server6])).toBe("ok");
    expect(arrives(at, packet4(at.laptop.proxy.own4, SERVER, "by four"), "by four")).toBe(true);
    expect(arrives(at, packet6(at.laptop.proxy.own6, server6, "by six"), "by six")).toBe(true);
    const arrived = at.office.node.received.find((packet) => textOf(packet) === "by four") as Uint8Array;
    at.world.inject(at.office.node, { tun: packet4(SERVER, arrived.slice(12, 16), "its answer") });
    at.world.run(3_000);
    expect(at.laptop.node.received.some((packet) => textOf(packet) === "its answer" && bytesKey(packet.slice(12, 16)) === bytesKey(SERVER))).toBe(true);
  });

  it("has the name that was asked last as its reverse name, is shown, and ends with its gateway's mapping", () => {
    const at = bed();
    learn(at, "a.corp", [SERVER]);
    learn(at, "www.corp", [SERVER]);
    const { gateways, names } = at.laptop.proxy;
    gateways.countQuestion("office.i3");
    gateways.countFailure("office.i3", "silent");
    expect([names.reverse(SERVER), names.reverse(ip("10.77.1.3"))]).toEqual(["www.corp", null]);
    expect(gateways.report()).toEqual([{ via: "office.i3", servers: 1, questions: 1, answers: 0, ignored: 0, failures: { silent: 1 } }]);
    expect(JSON.stringify(gateways.report())).not.toContain(formatIpText(SERVER));
    // Nobody uses either for longer than mappings live.
    at.world.run(120_000);
    expect([at.laptop.proxy.mappings.size, gateways.servers.size, at.laptop.proxy.isGiven(SERVER), names.reverse(SERVER)]).toEqual([0, 0, false, null]);
    expect(learn(at, "www.corp", [SERVER])).toBe("ok");
  });

  it("is asked for again while a connection to it goes on, and lives as long as that", () => {
    const at = bed();
    open(at);
    const { servers } = at.laptop.proxy.gateways;
    servers.restore(at.world.nowMs, placeOf(at).mapping, SERVER, [["www.corp", "office.i3"]]);
    at.world.run(11_000);
    expect(at.laptop.askedAgain).toEqual([]);
    expect(arrives(at, packet4(at.laptop.proxy.own4, SERVER, "in use"), "in use")).toBe(true);
    at.world.run(11_000);
    expect(at.laptop.askedAgain).toEqual(["www.corp 4"]);
    at.world.run(60_000);
    at.world.inject(at.laptop.node, { tun: packet4(at.laptop.proxy.own4, SERVER, "still") });
    at.world.run(60_000);
    expect(servers.has(SERVER)).toBe(true);
  });
});

describe("what a gateway may not", () => {
  it.each(["127.0.0.1", "192.168.1.1", "2001:db8::1"])("name addresses that are not its to give, such as %s; the log says so once a minute", (text) => {
    const at = bed();
    for (let i = 0; i < 3; i += 1) expect(learn(at, "evil.corp", [SERVER, ip(text)])).toBe("foreign");
    expect(at.laptop.proxy.gateways.servers.size).toBe(0);
    expect(logged(at.laptop, "gateway-answer")).toMatchObject([{ via: "office.i3", name: "evil.corp", addresses: [formatIpText(SERVER), text] }]);
  });

  it("have addresses of ours, of hosts, of another gateway's servers, or of the machine: asked again to the seventh try, then told of", () => {
    const at = bed(undefined, (address) => formatIpText(address) === "10.66.0.1");
    const { own4 } = at.laptop.proxy;
    for (const taken of [own4, addressOf(at.laptop, "office.i3"), ip("10.66.0.1")]) {
      expect([0, 6, 7].map((tries) => learn(at, "evil.corp", [taken], tries))).toEqual(["again", "again", "taken"]);
    }
    expect(logged(at.laptop, "gateway-answer")).toHaveLength(1);
    expect(roundTrip(at.world, at.laptop, at.office, "office.i3", "as before").back).not.toBe("nothing");
  });

  it("answer after its mapping has ended", () => {
    const at = bed();
    const place = placeOf(at);
    at.world.run(120_000);
    expect(at.laptop.proxy.gateways.learn(at.world.nowMs, "office.i3", place, "www.corp", [SERVER], 0)).toBe("unreachable");
    expect(at.laptop.proxy.gateways.servers.size).toBe(0);
  });

  it.each([["none", '<rule name="x" go="direct"/>'], ["another gateway", RULES.replace('via="office.i3"', 'via="lab.i3"')]])("answer for a name whose rule leads to %s by then", (_, rules) => {
    const at = bed();
    const place = placeOf(at);
    at.laptop.proxy.setRules(at.world.nowMs, rulesOf(`${rules.includes("lab") ? "" : '<rule name=".*\\.i3" go="i3"/>'}${rules}`));
    expect(at.laptop.proxy.gateways.learn(at.world.nowMs, "office.i3", place, "www.corp", [SERVER], 0)).not.toBe("ok");
    expect([at.laptop.proxy.gateways.servers.size, at.laptop.proxy.isGiven(SERVER)]).toEqual([0, false]);
  });
});

describe("names", () => {
  it.each([["lab.i3", "nobody"], ["laptop.i3", "own"]])("whose gateway is no host's, or this one, fail, and the log says so once a minute: %s", (via) => {
    const at = bed();
    for (let i = 0; i < 3; i += 1) expect(at.laptop.proxy.gateways.locate(at.world.nowMs, via)).toBe("nowhere");
    expect(logged(at.laptop, "gateway-nowhere")).toMatchObject([{ via }]);
    at.world.run(61_000);
    at.laptop.proxy.gateways.locate(at.world.nowMs, via);
    expect(logged(at.laptop, "gateway-nowhere")).toHaveLength(2);
  });

  it("go to the gateway of their rule, by any letters, and nobody else's do", () => {
    const { laptop } = bed();
    const verdict = (name: string): string => {
      const found = answerQuery(ownQuery(name, 4)?.query ?? new Uint8Array(), laptop.proxy.names);
      return found.kind === "gateway" ? (found.via ?? "anonymous") : found.kind;
    };
    expect(["www.corp", "a.lab", "office.i3", "www.example"].map(verdict)).toEqual(["office.i3", "lab.i3", "answer", "forward"]);
    expect([laptop.proxy.names.gatewayOf?.("WWW.Corp"), laptop.proxy.names.resolve("www.corp")]).toEqual(["office.i3", "unavailable"]);
  });

  it("whose rule is gone, or names another gateway, lose their servers; the same host by another name keeps them", () => {
    const at = bed();
    const { proxy } = at.laptop;
    const set = (rules: string): void => proxy.setRules(at.world.nowMs, rulesOf(rules));
    learn(at, "www.corp", [SERVER]);
    learn(at, "mail.corp", [ip("10.77.1.3")]);
    set(`<rule name="mail\\.corp" go="direct"/>${RULES}`);
    expect([proxy.gateways.servers.has(SERVER), proxy.gateways.servers.has(ip("10.77.1.3"))]).toEqual([true, false]);
    proxy.setBook(bookOf({ "office.i3": at.office.identity, "hq.i3": at.office.identity }));
    set(RULES.replace('via="office.i3"', 'via="hq.i3"'));
    expect(proxy.gateways.servers.has(SERVER)).toBe(true);
    set(RULES.replace('via="office.i3"', 'via="lab.i3"'));
    expect([proxy.gateways.servers.size, proxy.isGiven(SERVER)]).toEqual([0, false]);
  });
});

it("a server whose address something real of the machine has now is gone", () => {
  let isReal = false;
  const at = bed(undefined, (address) => isReal && bytesKey(address) === bytesKey(SERVER));
  learn(at, "www.corp", [SERVER]);
  isReal = true;
  at.laptop.proxy.dropOverlapping(at.world.nowMs);
  expect([at.laptop.proxy.gateways.servers.size, logged(at.laptop, "mapping-lost")]).toMatchObject([0, [{ name: "www.corp" }]]);
});
