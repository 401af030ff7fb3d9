/** Networks behind gateways, whole proxies and engines in virtual time: which prefixes are behind whose mapping, and who is asked for names. Routes are not there. */
import { describe, expect, it } from "vitest";

import { bytesKey, parseIpText, parseProxyConfig, type ProxyConfig } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../../test/sim/world.js";
import { answerQuery } from "../../src/dns/dns-core.js";
import { ownQuery } from "../../src/gateways/gateway-messages.js";
import { GatewayNetworks, takenBy } from "../../src/gateways/gateway-networks.js";
import type { GatewayPlace } from "../../src/gateways/gateways.js";
import type { Mapping } from "../../src/mappings/mapping.js";
import { packet4, packet6, textOf } from "../traffic.js";

const ip = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
const OVER_I3 = '<rule name=".*\\.lan" go="direct"/><rule name=".*\\.i3" go="i3"/>';
const configOf = (rules: string): ProxyConfig => parseProxyConfig(`<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules>${rules}${OVER_I3}</rules></i3-proxy>`, "x.xml");
const rule = (address: string, via: string, more = ""): string => `<rule address="${address}" go="gateway" via="${via}" ${more}/>`;

interface Bed {
  readonly world: World;
  readonly laptop: Host;
  readonly exit: Host;
  readonly office: Host;
}

function bed(rules: string): Bed {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptop, exit, office] = [generateHostIdentity(), generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": laptop, "exit.i3": exit, "office.i3": office });
  const config = configOf(rules);
  const [first, ...others] = [laptop, exit, office].map((identity, i) => addHost(world, `198.51.100.${i + 1}`, { servers: ring, identity, book, rules: config.rules, ...(i === 0 ? { addressRules: config.addressRules, lifetimeMs: 20_000 } : {}) }));
  const hosts = [first, ...others] as [Host, Host, Host];
  world.run(10_000, () => hosts.every(({ proxy }) => proxy.isReady(world.nowMs)));
  world.run(1_000);
  // What comes is passed on.
  for (const { proxy } of hosts.slice(1)) proxy.names.resolve("laptop.i3");
  return { world, laptop: hosts[0], exit: hosts[1], office: hosts[2] };
}

/** Which gateway a packet gets to; the first makes the keys, and what comes before the gateway passes it on is lost. */
function arrivesAt({ world, laptop, exit, office }: Bed, to: string, text: string): string {
  const address = ip(to);
  const isThere = (i: number): boolean => [exit, office].some(({ node }) => node.received.some((packet) => new TextDecoder().decode(packet).endsWith(`${text}${i}`)));
  for (let i = 0; i < 3 && !isThere(i - 1); i += 1) {
    world.inject(laptop.node, { tun: address.length === 4 ? packet4(laptop.proxy.own4, address, `${text}${i}`) : packet6(laptop.proxy.own6, address, `${text}${i}`) });
    world.run(2_500, () => isThere(i));
    for (const { proxy } of [exit, office]) for (const mapping of proxy.mappings.all()) if (mapping.state === "open") proxy.setForwarding(mapping, true);
  }
  return [["exit", exit], ["office", office]].flatMap(([name, host]) => ((host as Host).node.received.some((packet) => new TextDecoder().decode(packet).includes(text)) ? [name as string] : [])).join();
}

describe("networks behind gateways", () => {
  it("are led to by the longest prefix, in both families, and everything else by the way out; the source is the virtual address", () => {
    const at = bed(rule("0.0.0.0/0 ::/0", "exit.i3") + rule("192.168.5.0/24", "office.i3"));
    expect([arrivesAt(at, "203.0.113.10", "four"), arrivesAt(at, "2001:db8::10", "six"), arrivesAt(at, "192.168.5.10", "office"), arrivesAt(at, "192.168.6.10", "beside")]).toEqual(["exit", "exit", "office", "exit"]);
    // An answer is taken from the gateway that the address is behind, and from no other.
    const client = at.exit.node.received.find((packet) => textOf(packet).startsWith("four"))?.slice(12, 16) as Uint8Array;
    const ofOffice = at.office.node.received.find((packet) => textOf(packet).startsWith("office"))?.slice(12, 16) as Uint8Array;
    at.world.inject(at.exit.node, { tun: packet4(ip("203.0.113.10"), client, "its answer") });
    at.world.inject(at.exit.node, { tun: packet4(ip("192.168.5.10"), client, "in the office's name") });
    at.world.inject(at.office.node, { tun: packet4(ip("203.0.113.10"), ofOffice, "in the other's name") });
    at.world.run(2_000);
    expect(at.laptop.node.received.map(textOf).filter((text) => text.includes("answer") || text.includes("name"))).toEqual(["its answer"]);
  });

  it("follow live rules and the book, and their gateways' mappings outlive disuse", () => {
    const at = bed(rule("192.168.5.0/24", "office.i3"));
    const { world, laptop, office } = at;
    world.run(25_000);
    expect([...laptop.proxy.mappings.all()].map(({ name }) => name)).toEqual(["office.i3"]);
    expect(arrivesAt(at, "192.168.5.10", "still there")).toBe("office");
    laptop.proxy.setBook(bookOf({ "office.i3": at.exit.identity }));
    expect(arrivesAt(at, "192.168.5.10", "another host")).toBe("exit");
    const { rules, addressRules } = configOf(rule("192.168.7.0/24", "office.i3"));
    laptop.proxy.setRules(world.nowMs, rules, addressRules);
    expect([arrivesAt(at, "192.168.5.10", "no more"), arrivesAt(at, "192.168.7.10", "instead")]).toEqual(["", "exit"]);
    laptop.proxy.setBook(bookOf({ "laptop.i3": office.identity }));
    expect(arrivesAt(at, "192.168.7.10", "nobody's")).toBe("");
  });

  it("never lead to virtual addresses that nobody has, nor to what is behind a gateway that nobody knows", () => {
    const at = bed(rule("0.0.0.0/0 ::/0", "exit.i3") + rule("192.168.5.0/24", "nobody.i3") + rule("10.20.0.0/16", "office.i3"));
    const { exit, world, laptop } = at;
    expect([arrivesAt(at, "203.0.113.10", "web"), arrivesAt(at, "10.20.0.1", "office"), arrivesAt(at, "10.99.99.99", "ended"), arrivesAt(at, "2001:20::9", "hit"), arrivesAt(at, "fd99::9", "server"), arrivesAt(at, "192.168.5.10", "nobody")]).toEqual(["exit", "office", "", "", "", ""]);
    // Nor is the gateway heard in their names.
    const client = exit.node.received.find((packet) => textOf(packet).startsWith("web"))?.slice(12, 16) as Uint8Array;
    world.inject(exit.node, { tun: packet4(ip("203.0.113.10"), client, "its own") });
    world.inject(exit.node, { tun: packet4(ip("10.99.99.99"), client, "in another's name") });
    world.run(2_000);
    expect(laptop.node.received.map(textOf).filter((text) => text.includes("own") || text.includes("name"))).toEqual(["its own"]);
  });

  it("keep their addresses from names, but for networks as large as the virtual range", () => {
    const { addressRules } = configOf(rule("10.0.0.0/8 10.1.0.0/16 fd00:5::/64 ::/0", "office.i3"));
    expect(["10.1.2.3", "10.2.2.3", "fd00:5::1", "fd00:6::1"].map((text) => takenBy(addressRules, 8, ip(text)))).toEqual([true, false, true, false]);
  });
});

describe("names under a way out for everything", () => {
  const asked = ({ laptop }: Bed, name: string, dnsClass = 1): string => {
    const query = ownQuery(name, 4)?.query.slice() as Uint8Array;
    query[query.length - 1] = dnsClass;
    const verdict = answerQuery(query, laptop.proxy.names);
    return verdict.kind === "gateway" ? String(verdict.via) : verdict.kind === "answer" ? `rcode ${(verdict.bytes[3] ?? 0) & 0xf}` : verdict.kind;
  };

  it("are asked at its gateway, whatever the class; those of rules, of hosts and of our suffix are not", () => {
    const at = bed(rule("0.0.0.0/0", "exit.i3") + '<rule name=".*\\.corp" go="gateway" via="office.i3"/>' + '<rule name=".*\\.example\\.net" go="i3"/>');
    expect(["web.example", "a.corp", "unknown.example.net", "10.2.0.192.in-addr.arpa", "printer.lan", "exit.i3", "nobody.i3"].map((name) => asked(at, name))).toEqual(["exit.i3", "office.i3", "exit.i3", "exit.i3", "forward", "rcode 0", "rcode 3"]);
    expect([asked(at, "web.example", 3), asked(at, "web.example", 255), asked(at, "printer.lan", 3)]).toEqual(["rcode 5", "rcode 5", "forward"]);
    const { rules, addressRules } = configOf(rule("192.168.5.0/24", "exit.i3"));
    at.laptop.proxy.setRules(at.world.nowMs, rules, addressRules);
    expect([asked(at, "web.example"), asked(at, "web.example", 3), asked(at, "exit.i3", 3), asked(at, "nobody.i3", 255)]).toEqual(["forward", "forward", "rcode 5", "rcode 5"]);
  });
});

describe("a gateway that is down", () => {
  function networks(rules: string) {
    const { addressRules } = configOf(rules);
    const mapping = { local4: ip("10.1.1.1"), local6: null, state: "idle" } as unknown as Mapping;
    const behind: string[] = [];
    const [log, calls]: [string[], string[]] = [[], []];
    let changes = 0;
    let place: GatewayPlace | "nowhere" = { mapping, address: mapping.local4, local: mapping.local4 };
    const made = new GatewayNetworks({
      range: { network: ip("10.0.0.0"), prefixBits: 8 }, locate: () => place, datapath: { setBehind: (address, bits, flow) => void behind.push(`${address.join(".")}/${bits} ${flow === null ? "gone" : flow.every((byte) => byte === 0) ? "refused" : bytesKey(flow) === bytesKey(mapping.local4) ? "there" : "elsewhere"}`) },
      changed: () => (changes += 1), call: (via) => void calls.push(via), log: (_, event) => void log.push(event),
    }, addressRules);
    made.refresh(0);
    return { made, mapping, behind, log, calls, changes: () => changes, lose: () => (place = "nowhere") };
  }

  it('goes direct where the rule says so, is called again, and comes back; "refuse" stays as it is', () => {
    const { made, mapping, log, calls, changes } = networks(rule("0.0.0.0/0", "exit.i3", 'when-down="direct"') + rule("192.168.5.0/24", "exit.i3"));
    mapping.state = "refused";
    made.handleTimer(1_000);
    expect([made.ways.map(({ isDown }) => isDown), made.exit, changes()]).toEqual([[true, false], null, 1]);
    for (const nowMs of [2_000, 6_000, 6_001, 11_000]) made.handleTimer(nowMs);
    expect(calls).toEqual(["exit.i3", "exit.i3"]);
    mapping.state = "open";
    made.handleTimer(11_500);
    expect([made.ways.map(({ isDown }) => isDown), made.exit, changes(), log]).toEqual([[false, false], "exit.i3", 2, ["gateway-down", "gateway-up"]]);
  });

  it("is one whose name leads to no host, too", () => {
    const { made, log, lose } = networks(rule("0.0.0.0/0", "exit.i3", 'when-down="direct"'));
    lose();
    made.refresh(0);
    made.handleTimer(1);
    expect([made.exit, made.ways.map(({ isDown }) => isDown), log]).toEqual([null, [true], ["gateway-down"]]);
  });

  it("whose name leads nowhere any more, or whose mapping ends, has nothing behind it, nor has a shorter prefix what was there", () => {
    const { made, mapping, behind, lose } = networks(rule("192.168.5.0/24", "exit.i3"));
    expect(behind).toEqual(["192.168.5.0/24 there"]);
    made.forget(mapping);
    made.handleTimer(1);
    lose();
    made.refresh(10_000);
    expect(behind).toEqual(["192.168.5.0/24 there", "192.168.5.0/24 refused", "192.168.5.0/24 there", "192.168.5.0/24 refused"]);
    expect(made.ways).toHaveLength(1);
  });
});
