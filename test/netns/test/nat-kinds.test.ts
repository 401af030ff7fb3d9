/** Nine NATs and a firewall side by side: what RFC 5780's tests say of each from inside, and what those tests do not see. */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { behaviourOf, DEPENDENCES, NAT_KINDS, NetnsError, Topology, type Host, type Nat, type NatKind } from "../src/index.js";
import { behaviourSeenFrom, openFour, type FourSockets } from "./rfc5780.js";
import { UdpPeer } from "./udp-peer.js";

const NINE = DEPENDENCES.flatMap((mapping) => DEPENDENCES.map((filtering) => ({ mapping, filtering })));

interface Home {
  readonly nat: Nat;
  readonly host: Host;
  readonly neighbour: Host;
}

let topology: Topology;
let servers: FourSockets;
let stranger: UdpPeer;
const homes = new Map<string, Home>();

beforeAll(async () => {
  topology = await Topology.create({ seed: 1 });
  const core = topology.router("core");
  const [s1, s2, s3] = [1, 2, 3].map((n) => {
    const server = topology.host(`s${n}`);
    topology.link(core, server, { subnet: `192.0.2.${4 * n}/30` });
    return server;
  }) as [Host, Host, Host];
  const home = (name: string, number: number, options: Parameters<Topology["nat"]>[1], inside: string): void => {
    const nat = topology.nat(name, options);
    topology.link(core, nat, { subnet: `198.51.100.${4 * number}/30` });
    const [host, neighbour] = [topology.host(`h-${name}`), topology.host(`n-${name}`)];
    topology.lan(`lan${number}`, { subnet: inside, gateway: nat, members: [host, neighbour] });
    homes.set(name, { nat, host, neighbour });
  };
  NINE.forEach(({ mapping, filtering }, i) => home(`${mapping}-${filtering}`, i + 1, { mapping, filtering, hairpin: filtering === "apd" }, `192.168.${i + 1}.0/24`));
  home("none", 10, { kind: "none" }, "203.0.113.0/24");
  await topology.up();
  servers = await openFour(s1, s2);
  stranger = await UdpPeer.open(s3, 7000);
}, 120_000);

afterAll(() => topology.close());

function homeOf(name: string): Home {
  onTestFailed(async () => console.log(await topology.diagnose()));
  const found = homes.get(name);
  if (found === undefined) throw new Error(`no home ${name}`);
  return found;
}

test.each([...NINE, NAT_KINDS.none])("mapping $mapping, filtering $filtering: a host behind it measures just that", async ({ mapping, filtering }) => {
  const { host, neighbour } = homeOf(mapping === "none" ? "none" : `${mapping}-${filtering}`);
  expect(await behaviourSeenFrom(host, servers)).toEqual({ mapping, filtering });
  expect(await behaviourSeenFrom(neighbour, servers)).toEqual({ mapping, filtering });
});

describe.each(NINE)("mapping $mapping, filtering $filtering", ({ mapping, filtering }) => {
  const name = `${mapping}-${filtering}`;

  test("nobody gets in where nothing is mapped, and a peer's early packet changes nothing", async () => {
    const { host, nat } = homeOf(name);
    await stranger.send({ address: nat.address4, port: 6000 }, `early-${name}`);
    const socket = await UdpPeer.open(host, 6000);
    const mapped = await socket.mappedBy(stranger);
    expect(socket.hasReceived(`early-${name}`)).toBe(false);
    expect(await socket.mappedBy(stranger)).toEqual(mapped);
    if (mapping === "ei") expect(mapped.port).toBe(6000);
  });

  test("two hosts of one source port have mappings of their own", async () => {
    const { host, neighbour } = homeOf(name);
    const [a, b] = [await UdpPeer.open(host, 6001), await UdpPeer.open(neighbour, 6001)];
    const [first, second] = [await a.mappedBy(servers.primary), await b.mappedBy(servers.primary)];
    expect(first.port).not.toBe(second.port);
    await servers.primary.send(first, "to-a");
    await servers.primary.send(second, "to-b");
    await a.received("to-a");
    await b.received("to-b");
  });
});

test.each(["ad-ei", "apd-ei", "apd-ad"])("%s: a packet through somebody else's mapping keeps its source, and the answer takes the mapping of its own destination", async (name) => {
  const { host } = homeOf(name);
  const socket = await UdpPeer.open(host);
  const first = await socket.mappedBy(servers.primary);
  const second = await socket.mappedBy(name === "apd-ad" ? servers.otherPort : servers.otherAddress);
  const own = name === "apd-ad" ? servers.otherPort : stranger;
  const back = name === "apd-ad" ? second : await socket.mappedBy(own);
  const { address, port } = own.endpoint;
  for (const [i, mapped] of [first, second].entries()) {
    await own.send(mapped, `echo-${name}-${i}`);
    await socket.received(`echo-${name}-${i}`);
    const [, fromAddress, fromPort] = await own.line(new RegExp(`^got (\\S+) (\\d+) seen ${address} ${port} echo-${name}-${i}$`));
    expect({ address: fromAddress, port: Number(fromPort) }).toEqual(back);
  }
});

test("full-cone: the mapping is still its owner's after a stranger was answered", async () => {
  const { host } = homeOf("ei-ei");
  const socket = await UdpPeer.open(host, 6002);
  const mapped = await socket.mappedBy(servers.primary);
  await stranger.send(mapped, "echo-hello");
  await stranger.received(`seen ${stranger.endpoint.address} ${stranger.port} echo-hello`);
  expect(await socket.mappedBy(stranger)).toEqual(mapped);
});

test("a firewall shows the inside address, and lets in only who was sent to", async () => {
  const { host } = homeOf("none");
  const socket = await UdpPeer.open(host, 6003);
  await stranger.send({ address: host.address4, port: 6003 }, "unasked");
  expect(await socket.mappedBy(servers.primary)).toEqual({ address: host.address4, port: 6003 });
  expect(socket.hasReceived("unasked")).toBe(false);
});

describe("hairpinning (RFC 4787 REQ-9)", () => {
  test.each(DEPENDENCES)("mapping %s: a neighbour comes in through the outside address, seen as from outside, and is answered", async (mapping) => {
    const { host, neighbour, nat } = homeOf(`${mapping}-apd`);
    const [a, b] = [await UdpPeer.open(host), await UdpPeer.open(neighbour)];
    const [atA, atB] = [await a.mappedBy(servers.primary), await b.mappedBy(servers.primary)];
    await b.send(atA, "hello-a");
    const [, address, port] = await a.line(/^got (\S+) (\d+) hello-a$/);
    expect(address).toBe(nat.address4);
    if (mapping === "ei") expect(Number(port)).toBe(atB.port);
    await a.send({ address: nat.address4, port: Number(port) }, "hello-b");
    const [, , answeredFrom] = await b.line(/^got (\S+) (\d+) hello-b$/);
    if (mapping === "ei") expect(Number(answeredFrom)).toBe(atA.port);
  });

  test("is an option: without it nothing comes back in", async () => {
    const { host, neighbour } = homeOf("ei-ei");
    const [a, b] = [await UdpPeer.open(host), await UdpPeer.open(neighbour)];
    await b.send(await a.mappedBy(servers.primary), "turned-back");
    await a.mappedBy(servers.primary);
    expect(a.hasReceived("turned-back")).toBe(false);
  });
});

describe("names", () => {
  test("stand for a mapping and a filtering, each of which may be given instead", () => {
    expect(behaviourOf({})).toEqual({ mapping: "ei", filtering: "apd" });
    expect(behaviourOf({ kind: "address-restricted" })).toEqual({ mapping: "ei", filtering: "ad" });
    expect(behaviourOf({ kind: "symmetric", filtering: "ei" })).toEqual({ mapping: "apd", filtering: "ei" });
    expect(behaviourOf({ mapping: "ad" })).toEqual({ mapping: "ad", filtering: "apd" });
  });

  test.each([{ kind: "cone" as NatKind }, { mapping: "x" as "ei" }, { kind: "none" as const, filtering: "ei" as const }])("%j is refused", (options) => {
    expect(() => behaviourOf(options)).toThrow(NetnsError);
  });
});
