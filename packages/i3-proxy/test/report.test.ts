/** What SIGUSR1 shows of mappings: whose keys, how old, and where they go; nothing that is secret. Virtual time. */
import { expect, it } from "vitest";

import { formatIpText, parseProxyConfig, publicId, toHex, type ProxyRule } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { addressOf, packet4, roundTrip, rulesOf } from "./traffic.js";

const RULES: readonly ProxyRule[] = parseProxyConfig(
  '<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules><rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/><rule name=".*\\.i3" go="i3"/></rules></i3-proxy>', "i3-proxy.xml",
).rules;

it("shows HIT, suite, pairs, age of keys, role and way of a mapping, and no id", () => {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book, rules: RULES });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, rules: RULES });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  const shown = (host: Host): readonly Readonly<Record<string, unknown>>[] => host.proxy.report(world.nowMs);
  const address = formatIpText(addressOf(laptop, "home.i3"));
  expect(shown(laptop)).toEqual([{ name: "home.i3", hit: formatIpText(b.hit), state: "idle", security: "esp", address, services: ["tcp 2049 auth", "rest esp"] }]);
  expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
  world.run(7_300);
  const open = { suite: "aes-128-gcm-16", pairs: 1, keysAgeS: 7, path: "i3" };
  expect([...shown(laptop), ...shown(home)]).toMatchObject([{ hit: formatIpText(b.hit), state: "open", ...open, role: "initiator" }, { name: "laptop.i3", hit: formatIpText(a.hit), ...open, role: "responder" }]);
  world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), "a file", { protocol: 6, ports: [1_000, 2_049] }) });
  world.run(700);
  expect(shown(laptop)).toMatchObject([{ pairs: 2, keysAgeS: 8 }]);
  laptop.proxy.setups.hip?.hip.rekey(world.nowMs, 1);
  world.inject(laptop.node, {});
  world.run(2_500);
  expect([...shown(laptop), ...shown(home)]).toMatchObject([{ pairs: 2, keysAgeS: 2 }, { pairs: 2, keysAgeS: 2 }]);
  const secrets = [laptop, home].flatMap((host) => [...host.proxy.mappings.all()].flatMap(({ ownPrivateId, peer }) => [ownPrivateId, ...(peer === null ? [] : [peer.privateId])]));
  const text = JSON.stringify([shown(laptop), shown(home)]);
  expect([...secrets, publicId(a.hit), publicId(b.hit)].filter((id) => text.includes(toHex(id.subarray(0, 8))))).toEqual([]);
});

it("lists the kinds of a mapping's services, and of one with keys that the peer wanted says which kind protects it", () => {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const mixed = '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/><rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="22,8000-8080"/>';
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book, rules: rulesOf(`${mixed}<rule name=".*\\.i3" go="i3"/>`) });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book, rules: rulesOf('<rule name=".*\\.i3" go="i3" security="none"/>') });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  addressOf(laptop, "home.i3");
  expect(laptop.proxy.report(world.nowMs)).toMatchObject([{ services: ["icmp none", "tcp 22,8000-8080 auth", "rest esp"] }]);
  expect(roundTrip(world, laptop, home, "home.i3", "hello").there).not.toBe("nothing");
  const [atHome] = home.proxy.report(world.nowMs);
  expect([atHome?.["security"], atHome?.["suite"], atHome?.["services"]]).toEqual(["esp", "aes-128-gcm-16", undefined]);
  laptop.proxy.setRules(world.nowMs, rulesOf(mixed));
  expect(laptop.proxy.report(world.nowMs)).toMatchObject([{ services: ["icmp none", "tcp 22,8000-8080 auth", "rest refused"] }]);
});
