/** When keys of packets are replaced, and that no packet is lost by it: two proxies, a ring of three, real cores and engines, virtual time. */
import { describe, expect, it } from "vitest";

import { parseProxyConfig, type ProxyRule, type Security } from "@i3/common";
import type { OutboundAssociation } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { REKEY_AFTER_PACKETS } from "../src/setup/hip-ways.js";
import { addressOf, packet4, roundTrip, textOf } from "./traffic.js";

const STEP_MS = 50;

/** Two machines that know each other's keys, with an association between them. `prepare` is called before it is made. */
function pair({ security = "esp", rules, rekeyAfterMs, prepare }: { readonly security?: Security; readonly rules?: readonly ProxyRule[]; readonly rekeyAfterMs?: number; readonly prepare?: (laptop: Host) => void }) {
  const world = new World();
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopIdentity, homeIdentity] = [generateHostIdentity(), generateHostIdentity()];
  const all = { servers: ring, book: bookOf({ "laptop.i3": laptopIdentity, "home.i3": homeIdentity }), ...(rules === undefined ? { security } : { rules }), ...(rekeyAfterMs !== undefined && { rekeyAfterMs }) };
  const laptop = addHost(world, "198.51.100.1", { ...all, identity: laptopIdentity });
  const home = addHost(world, "198.51.100.2", { ...all, identity: homeIdentity });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  prepare?.(laptop);
  expect(roundTrip(world, laptop, home, "home.i3", "hello").back).not.toBe("nothing");
  return { world, laptop, home };
}

const rekeys = (host: Host): number => host.proxy.setups.hip?.counters.rekeyed ?? 0;

/** Both send a packet every {@link STEP_MS} for so long: each must come once, in order, and no packet be taken for one again or for nobody's. */
function expectNothingLost(world: World, laptop: Host, home: Host, forMs: number): void {
  const [sent, before] = [[] as string[], [laptop, home].map((host) => host.node.received.length)];
  for (let atMs = 0; atMs < forMs; atMs += STEP_MS) {
    const text = `n${sent.length}`;
    sent.push(text);
    for (const [from, name] of [[laptop, "home.i3"], [home, "laptop.i3"]] as const) world.inject(from.node, { tun: packet4(from.proxy.own4, addressOf(from, name), text) });
    world.run(STEP_MS);
  }
  world.run(1_000);
  for (const [i, host] of [laptop, home].entries()) {
    expect(host.node.received.slice(before[i]).map(textOf)).toEqual(sent);
    expect(host.node.engine.counters().drops).toMatchObject({ replay: 0, "unknown-spi": 0, integrity: 0, sequence: 0 });
  }
}

describe("keys that are old", () => {
  it.each(["esp", "auth"] as const)("are replaced again and again after the time that is configured, without losing a packet (%s)", (security) => {
    const { world, laptop, home } = pair({ security, rekeyAfterMs: 7_000 });
    expectNothingLost(world, laptop, home, 60_000);
    expect([rekeys(laptop), rekeys(home)]).toEqual([8, 8]);
  });
});

describe("keys with which much was sent", () => {
  /** The first association that the laptop sends with goes on from this number. */
  const startingAt = (firstSequence: bigint) => (laptop: Host): void => {
    const { engine } = laptop.node;
    const set = engine.setOutboundAssociation.bind(engine);
    let isFirst = true;
    engine.setOutboundAssociation = (name, association) => {
      set(name, association === null || !isFirst ? association : { ...association, firstSequence });
      isFirst = false;
    };
  };

  it("are replaced once half of what 32 bits count is used up, without losing a packet", () => {
    const { world, laptop, home } = pair({ prepare: startingAt(REKEY_AFTER_PACKETS - 20n) });
    expect(laptop.node.engine.nextSequence(1)).toBe(REKEY_AFTER_PACKETS - 19n);
    world.run(10_000);
    expect(rekeys(laptop)).toBe(0);
    expectNothingLost(world, laptop, home, 10_000);
    expect([rekeys(laptop), rekeys(home)]).toEqual([1, 1]);
    expect(laptop.node.engine.nextSequence(1)).toBeLessThan(1_000n);
  });

  it("are replaced when they are those of a second pair, too", () => {
    const rules = parseProxyConfig(
      `<i3-proxy version="1"><identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers><rules>
      <rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/><rule name=".*\\.i3" go="i3"/></rules></i3-proxy>`, "i3-proxy.xml",
    ).rules;
    const names: number[] = [];
    const { world, laptop, home } = pair({ rules, prepare: ({ node: { engine } }) => {
      const set = engine.setOutboundAssociation.bind(engine);
      engine.setOutboundAssociation = (name, association) => {
        const isSecond = name >= 0x8000_0000 && association !== null;
        if (isSecond) names.push(name);
        set(name, isSecond && names.length === 1 ? { ...association, firstSequence: REKEY_AFTER_PACKETS - 3n } : association);
      };
    } });
    const send = (text: string): void => world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), text, { protocol: 6, ports: [1_000, 2_049] }) });
    for (let n = 0; n < 3; n++) {
      send(`few ${n}`);
      world.run(3_000);
    }
    expect([names.length, rekeys(laptop)]).toEqual([1, 0]);
    for (let n = 0; n < 10; n++) send(`more ${n}`);
    world.run(5_000);
    expect(names.length).toBe(2);
    expect(laptop.node.engine.nextSequence(names[1] as number)).toBeLessThan(1_000n);
    send("with new keys");
    world.run(1_000);
    expect(home.node.received.map(textOf).some((text) => text.includes("with new keys"))).toBe(true);
  });

  it("are never used beyond the last number, and are replaced then too", () => {
    const kept: OutboundAssociation[] = [];
    const { world, laptop, home } = pair({ prepare: ({ node: { engine } }) => {
      const set = engine.setOutboundAssociation.bind(engine);
      engine.setOutboundAssociation = (name, association) => {
        if (association !== null) kept.push(structuredClone(association));
        set(name, association);
      };
    } });
    laptop.node.engine.setOutboundAssociation(1, { ...(kept[0] as OutboundAssociation), firstSequence: (1n << 64n) - 1n });
    const send = (text: string): void => world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "home.i3"), text) });
    world.wire.length = 0;
    send("the last");
    send("one too many");
    expect(world.wire).toHaveLength(1);
    expect(laptop.node.engine.nextSequence(1)).toBe(1n << 64n);
    expect(laptop.node.engine.counters().drops.sequence).toBe(1);
    world.run(3_000);
    send("with new keys");
    world.run(1_000);
    expect(home.node.received.map(textOf)).toContain("with new keys");
    expect(rekeys(laptop)).toBe(1);
  });
});
