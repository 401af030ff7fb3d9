/** What an instance's proxy leaves undone (docs/anonymity.md), beside a host that does it all, in virtual time. */
import { bytesKey } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";
import { expect, it } from "vitest";

import { addHost, bookOf as bookWith, World, type Host } from "../../../../test/sim/world.js";
import { bookOf, rulesOf } from "../../src/anonymous/anonymous-names.js";

const [TARGET, HOME] = [{ name: "home.i3", via: null }, generateHostIdentity()];

function bed(isHidden: boolean): { readonly host: Host; readonly events: readonly string[]; readonly hasPublicId: boolean; readonly isReady: boolean } {
  const world = new World({ seed: "hidden" });
  const servers = world.ring(6);
  world.run(10_000);
  addHost(world, "203.0.113.9", { servers, identity: HOME, security: "esp", shortcut: true, shortcutsToStrangers: true });
  const host = addHost(world, "198.51.100.9", { servers: servers.slice(2, 3), book: bookOf(bookWith({ "home.i3": HOME }), TARGET), rules: rulesOf(TARGET), access: { default: "refuse", entries: [] }, isHidden });
  world.run(20_000);
  return { host, isReady: host.proxy.isReady(world.nowMs), events: host.node.log.map(({ event }) => event), hasPublicId: host.proxy.client.triggers(world.nowMs).some(({ id }) => bytesKey(id) === bytesKey(host.proxy.ownId)) };
}

it("it has no public id in the ring, and no near ids; the ids that it needs for a call are there", () => {
  const [hidden, other] = [bed(true), bed(false)];
  expect([hidden.hasPublicId, other.hasPublicId]).toEqual([false, true]);
  expect([hidden.events.includes("near-key"), other.events.includes("near-key")]).toEqual([false, true]);
  expect(hidden.isReady).toBe(true);
  expect(hidden.host.proxy.client.configuredServers()).toHaveLength(1);
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
