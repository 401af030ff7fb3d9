/** One key on two machines is told of; a move, a restart, or a server that has forgotten all is not taken for that. Virtual time. */
import { describe, expect, it } from "vitest";

import { formatIpText, locatorKey, makeLocator } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, World, type Host, type HostOptions } from "../../../test/sim/world.js";

const ALONE_MS = 30_000;

function bed(options: Partial<HostOptions> = {}) {
  const world = new World();
  const [server] = world.ring(1);
  world.run(5_000);
  const identity = generateHostIdentity();
  const add = (address: string, more: Partial<HostOptions> = {}): Host => {
    const host = addHost(world, address, { servers: server === undefined ? [] : [server], identity, ...options, ...more });
    world.run(ALONE_MS);
    return host;
  };
  return { world, server, identity, add };
}

const told = ({ node }: Host): readonly unknown[] => node.log.filter(({ event }) => event === "same-key-elsewhere").map(({ fields }) => fields);

describe("a key on two machines", () => {
  it.each([["the same clock", 0], ["an hour between their clocks", 3_600_000]])("with %s is told of at both, once in ten minutes", (_, clockErrorMs) => {
    const { world, identity, add } = bed();
    const hosts = [add("198.51.100.1"), add("198.51.100.2", { clockErrorMs })] as const;
    world.run(30_000);
    const line = { hit: formatIpText(identity.hit), why: expect.any(String) as unknown, remedy: expect.stringContaining("--identity") as unknown };
    expect(hosts.map(told)).toEqual([[line], [line]]);
    world.run(500_000);
    expect(hosts.map((host) => told(host).length)).toEqual([1, 1]);
    world.run(120_000);
    expect(hosts.map((host) => told(host).length)).toEqual([2, 2]);
  }, 30_000);
});

describe("one machine", () => {
  it("that moves, or whose NAT gives it other ports all the time, is not told so", () => {
    const { world, add } = bed();
    const host = add("198.51.100.1");
    for (let n = 0; n < 8; n += 1) {
      world.nodes.delete(locatorKey(host.node.locator));
      Object.assign(host.node, { locator: makeLocator(Uint8Array.of(198, 51, 100, n + 10), 5610), natPort: 40_000 + n });
      world.nodes.set(locatorKey(host.node.locator), host.node);
      world.run(6_000);
    }
    expect(told(host)).toEqual([]);
  });

  it("that is started anew, without a word before, or on another machine that takes its place, is not told so", () => {
    const { world, add } = bed();
    const hosts: Host[] = [];
    for (const address of ["198.51.100.1", "198.51.100.1", "198.51.100.7"]) {
      for (const host of hosts) world.nodes.delete(locatorKey(host.node.locator));
      hosts.push(add(address));
    }
    expect(hosts.map(told)).toEqual([[], [], []]);
  });

  it("is not told so by servers that restart and know nothing of it", () => {
    const { world, server, add } = bed();
    const host = add("198.51.100.1");
    for (let n = 0; n < 4; n += 1) {
      world.nodes.delete(locatorKey(server?.locator ?? host.node.locator));
      world.server(1);
      world.run(ALONE_MS);
    }
    expect([told(host), host.proxy.isReady(world.nowMs)]).toEqual([[], true]);
  });
});
