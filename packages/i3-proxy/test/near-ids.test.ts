import { expect, it } from "vitest";

import { bytesKey, locatorText, ringKey } from "@i3/common";
import { generateHostIdentity, generateTriggerKey, type TriggerKey } from "@i3/hip";

import { addHost, bookOf, World, type Host, type HostOptions, type Node } from "../../../test/sim/world.js";

const own = generateHostIdentity();
const peers = Object.fromEntries([1, 2, 3].map((n) => [`p${n}.i3`, generateHostIdentity()]));

interface Bed {
  readonly world: World;
  readonly near: Node;
  readonly servers: readonly Node[];
  readonly laptop: Host;
}

/** Six servers, of which the third is near the laptop and the others are not. */
function bed(options: Partial<HostOptions> = { privateId: "own" }): Bed {
  const world = new World({ seed: "near", delayBetweenMs: (from, to) => (from[0] === 192 && to[0] === 192 ? 5 : from[3] === 3 || to[3] === 3 ? 2 : 60) });
  const servers = world.ring(6);
  world.run(10_000);
  return { world, near: servers[2] as Node, servers, laptop: addHost(world, "198.51.100.9", { servers, identity: own, book: bookOf(peers), ...options }) };
}

/** The servers of the ids that peers who were asked for get. */
function serversOf({ world, laptop }: Bed): string[] {
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

// By default peers share one key.

/** A first key whose ids do not belong to the near server: found by asking, as the client does. */
function farKey(): TriggerKey {
  for (;;) {
    const key = generateTriggerKey();
    const made = bed({ sharedKey: key });
    made.world.run(2_000);
    if (serverOfKey(made, key) !== locatorText(made.near.locator)) return key;
  }
}

/** Where the trigger of a key is; none: it has none. */
function serverOfKey({ world, laptop }: Bed, key: TriggerKey): string {
  const trigger = laptop.proxy.client.triggers(world.nowMs).find(({ id }) => bytesKey(ringKey(id)) === bytesKey(key.prefix));
  return trigger?.live === true && trigger.server !== null ? locatorText(trigger.server) : "none";
}

/** The private id that a peer is given; the name is asked for now. */
function idFor({ laptop }: Bed, name: string): Uint8Array {
  laptop.proxy.names.resolve(name);
  laptop.proxy.installFresh();
  return [...laptop.proxy.mappings.all()].find((mapping) => mapping.name === name)?.ownPrivateId ?? new Uint8Array(32);
}

it("peers that share a key get ids at the near server as soon as one was found; those from before keep theirs, and their trigger, as long as they live, also over a restart", () => {
  const sharedKey = farKey();
  let kept: readonly TriggerKey[] = [];
  const options = { sharedKey, lifetimeMs: 60_000, keepNearerKeys: (keys: readonly TriggerKey[]) => void (kept = keys) };
  const made = bed(options);
  const { world, near, laptop, servers } = made;
  world.run(500);
  const early = idFor(made, "p1.i3");
  expect(bytesKey(ringKey(early)), "nobody waits for a near one").toBe(bytesKey(sharedKey.prefix));
  world.run(15_000);
  const late = idFor(made, "p2.i3");
  const [nearer] = kept;
  if (nearer === undefined) throw new Error("no nearer key");
  expect(kept).toHaveLength(1);
  expect(bytesKey(ringKey(late))).toBe(bytesKey(nearer.prefix));
  expect(serverOfKey(made, nearer)).toBe(locatorText(near.locator));
  expect([...laptop.proxy.mappings.all()].find(({ name }) => name === "p1.i3")?.ownPrivateId).toEqual(early);
  expect(serverOfKey(made, sharedKey), "that of the living mapping").not.toBe("none");

  const restored = [...laptop.proxy.mappings.all()];
  laptop.node.down = true;
  const again: Bed = { world, near, servers, laptop: addHost(world, "198.51.100.9", { ...options, servers, identity: own, book: bookOf(peers), nearerKeys: kept, restored, lastOwn4: laptop.proxy.own4 }) };
  world.run(3_000);
  expect([serverOfKey(again, sharedKey) === "none", serverOfKey(again, nearer)]).toEqual([false, locatorText(near.locator)]);
  expect(bytesKey(ringKey(idFor(again, "p3.i3")))).toBe(bytesKey(nearer.prefix));
  for (let s = 0; s < 70; s += 10) {
    world.run(10_000);
    for (const mapping of again.laptop.proxy.mappings.all()) if (mapping.name === "p3.i3") mapping.lastUseMs = world.wallMs();
  }
  expect([...again.laptop.proxy.mappings.all()].map(({ name }) => name)).toEqual(["p3.i3"]);
  expect([serverOfKey(again, sharedKey), serverOfKey(again, nearer)], "nobody has an id of the first any more").toEqual(["none", locatorText(near.locator)]);
  expect(kept).toHaveLength(1);
}, 60_000);

it("peers that share a key get ids at a near server again after the host has moved; those from before keep theirs", () => {
  let nearAddress = 3;
  const world = new World({ seed: "near", delayBetweenMs: (from, to) => (from[0] === 192 && to[0] === 192 ? 5 : from[3] === nearAddress || to[3] === nearAddress ? 2 : 60) });
  const servers = world.ring(6);
  world.run(10_000);
  let kept: readonly TriggerKey[] = [];
  const made: Bed = { world, near: servers[2] as Node, servers, laptop: addHost(world, "198.51.100.9", { servers, identity: own, book: bookOf(peers), keepNearerKeys: (keys) => void (kept = keys) }) };
  world.run(20_000);
  const before = idFor(made, "p1.i3");
  const serverOf = (id: Uint8Array): string => {
    const trigger = made.laptop.proxy.client.triggers(world.nowMs).find((each) => bytesKey(ringKey(each.id)) === bytesKey(ringKey(id)));
    return trigger?.live === true && trigger.server !== null ? locatorText(trigger.server) : "none";
  };
  expect(serverOf(before)).toBe(locatorText(made.near.locator));
  nearAddress = 5;
  const { client } = made.laptop.proxy;
  client.renewTriggers(world.nowMs);
  world.run(180_000);
  const after = idFor(made, "p2.i3");
  expect(serverOf(after)).toBe(locatorText((servers[4] as Node).locator));
  expect(serverOf(before), "the living mapping's").toBe(locatorText(made.near.locator));
  expect([...made.laptop.proxy.mappings.all()].find(({ name }) => name === "p1.i3")?.ownPrivateId).toEqual(before);
  expect(bytesKey(kept.at(-1)?.prefix ?? new Uint8Array(0))).toBe(bytesKey(ringKey(after)));
}, 60_000);

it("a key that is near enough stays", () => {
  let changes = 0;
  const world = new World({ seed: "equal" });
  const servers = world.ring(4);
  world.run(10_000);
  const laptop = addHost(world, "198.51.100.9", { servers, identity: own, book: bookOf(peers), keepNearerKeys: () => void (changes += 1) });
  world.run(20_000);
  expect(laptop.node.log.some(({ event }) => event === "near-key")).toBe(true);
  expect([changes, laptop.proxy.client.triggers(world.nowMs).length]).toEqual([0, 2]);
});
