/** What an instance's proxy leaves undone (docs/anonymity.md), beside a host that does it all, in virtual time. */
import { bytesKey } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";
import { expect, it } from "vitest";

import { addHost, bookOf as bookWith, World, type Host } from "../../../../test/sim/world.js";
import { bookOf, rulesOf } from "../../src/anonymous/anonymous-names.js";

const [TARGET, HOME] = [{ name: "home.i3", via: null }, generateHostIdentity()];

const hasPublicId = (world: World, { proxy }: Host): boolean => proxy.client.triggers(world.nowMs).some(({ id }) => bytesKey(id) === bytesKey(proxy.ownId));
const hasNearKeys = ({ node }: Host): boolean => node.log.some(({ event }) => event === "near-key");

it("it has no public id in the ring, and no near ids; the ids that it needs for a call are there", () => {
  const world = new World({ seed: "hidden" });
  const servers = world.ring(3);
  world.run(3_000);
  const options = { servers: servers.slice(1, 2), book: bookOf(bookWith({ "home.i3": HOME }), TARGET), rules: rulesOf(TARGET), access: { default: "refuse", entries: [] } } as const;
  const [hidden, other] = [addHost(world, "198.51.100.9", { ...options, isHidden: true }), addHost(world, "198.51.100.10", options)];
  world.run(6_000, () => hasNearKeys(other));
  expect([hasPublicId(world, hidden), hasPublicId(world, other)]).toEqual([false, true]);
  expect([hasNearKeys(hidden), hasNearKeys(other)]).toEqual([false, true]);
  expect([hidden.proxy.isReady(world.nowMs), hidden.proxy.client.configuredServers().length]).toEqual([true, 1]);
});

it("names that ask for anonymity have no other way: a rule for that makes them somebody else's affair, any other does not matter", () => {
  const world = new World({ seed: "names" });
  const any = { pattern: { source: ".*", expression: /^.*$/i }, line: 1 } as const;
  const names = (...rules: NonNullable<Parameters<typeof addHost>[2]["rules"]>): readonly unknown[] => {
    const { proxy } = addHost(world, "198.51.100.9", { servers: [], book: bookWith({ "home.relay.i3": HOME }), rules });
    return ["home.relay.i3", "site.example.anon.i3"].flatMap((name) => [proxy.names.resolve(name), proxy.names.gatewayOf?.(name)]);
  };
  expect(names({ ...any, go: "direct" })).toEqual(["unknown", null, "unknown", null]);
  expect(names({ ...any, go: "gateway", via: "x.i3" })).toEqual(["unknown", null, "unknown", null]);
  expect(names(...rulesOf({ name: "home.relay.i3", via: null }))).toEqual(["unknown", null, "unknown", null]);
  expect(names({ ...any, go: "anonymous", via: undefined })).toEqual(["unavailable", null, "unavailable", null]);
});
