import { expect, it } from "vitest";

import { locatorText } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host, type Node } from "../../../test/sim/world.js";

const own = generateHostIdentity();
const peers = Object.fromEntries([1, 2, 3].map((n) => [`p${n}.i3`, generateHostIdentity()]));

/** Six servers, of which the third is near the laptop and the others are not. */
function bed(): { readonly world: World; readonly near: Node; readonly laptop: Host } {
  const world = new World({ seed: "near", delayBetweenMs: (from, to) => (from[0] === 192 && to[0] === 192 ? 5 : from[3] === 3 || to[3] === 3 ? 2 : 60) });
  const servers = world.ring(6);
  world.run(10_000);
  return { world, near: servers[2] as Node, laptop: addHost(world, "198.51.100.9", { servers, identity: own, book: bookOf(peers), privateId: "own" }) };
}

/** The servers of the ids that peers who were asked for get. */
function serversOf({ world, laptop }: ReturnType<typeof bed>): string[] {
  const ids = Object.keys(peers).map((name) => {
    laptop.proxy.names.resolve(name);
    laptop.proxy.installFresh();
    return [...laptop.proxy.mappings.all()].find((mapping) => mapping.name === name)?.ownPrivateId ?? new Uint8Array(32);
  });
  world.run(3_000);
  const triggers = laptop.proxy.client.triggers(world.nowMs);
  return ids.map((id) => {
    const trigger = triggers.find((kept) => Buffer.from(kept.id).equals(id));
    return trigger?.live === true && trigger.server !== null ? locatorText(trigger.server) : "none";
  });
}

it("peers with ids of their own get them at the near server, once it has been found", () => {
  const made = bed();
  made.world.run(15_000);
  expect(serversOf(made)).toEqual(Object.keys(peers).map(() => locatorText(made.near.locator)));
});

it("peers that are called before that do not wait: they get any id", () => {
  const made = bed();
  made.world.run(1_000);
  const servers = serversOf(made);
  expect(servers).not.toContain("none");
  expect(servers.some((server) => server !== locatorText(made.near.locator))).toBe(true);
});
