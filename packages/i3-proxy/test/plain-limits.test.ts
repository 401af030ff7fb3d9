/** What somebody in cleartext can make a host do: bounded (docs/wire.md §6). Virtual time. */
import { expect, it } from "vitest";

import { concatBytes, publicId } from "@i3/common";
import { encodeDataHeader, PAYLOAD_KIND } from "@i3/datapath";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import type { Mapping } from "../src/mappings/mapping.js";
import { decodeSetup, encodeConfirm, encodeInit, splitSetup } from "../src/setup/messages.js";
import { addressOf, packet4, textOf } from "./traffic.js";

const mappingAt = (host: Host, peer: Host): Mapping => host.proxy.mappings.byPeer(publicId(peer.identity.hit)) as Mapping;
const zero = new Uint8Array(16);

function bed() {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(2);
  world.run(3_000);
  const [a, b] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": a, "home.i3": b });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: a, book });
  const home = addHost(world, "198.51.100.2", { servers: ring, identity: b, book });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && home.proxy.isReady(world.nowMs));
  const inject = (host: Host, payload: Uint8Array, id: Uint8Array, kind: number): void => {
    const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: kind, nonce: world.random(8), ids: [id] });
    world.inject(host.node, { udp: { from: [...world.nodes.values()][0]?.locator as never, bytes: concatBytes(header, payload) } });
  };
  return { world, laptop, home, inject };
}

// Otherwise two services that answer each other's answers would do so for ever.
it("a peer whose private id is one of ours is refused", () => {
  const { world, home, inject } = bed();
  const stranger = generateHostIdentity();
  const init = (counter: number, callerPrivateId: Uint8Array, own4: Uint8Array, peer4: Uint8Array): Uint8Array => encodeInit({ calleeId: home.proxy.ownId, callerPrivateId, counter, own4, peer4, own6: zero, peer6: zero }, stranger);
  inject(home, init(1, world.random(32), Uint8Array.of(10, 1, 1, 1), home.proxy.own4), home.proxy.ownId, PAYLOAD_KIND.setUp);
  const mapping = home.proxy.mappings.byPeer(publicId(stranger.hit)) as Mapping;
  inject(home, init(2, mapping.ownPrivateId, home.proxy.own4, mapping.local4), home.proxy.ownId, PAYLOAD_KIND.setUp);
  world.run(500);
  world.inject(home.node, { tun: packet4(home.proxy.own4, mapping.local4, "an answer") });
  world.run(1_000);
  expect(home.node.received.map(textOf)).not.toContain("an answer");
});

it("forged CONFIRMs cost no more signature checks than the budget", () => {
  const { world, laptop, home, inject } = bed();
  const to = addressOf(laptop, "home.i3");
  home.node.down = true;
  world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, "hello") });
  world.run(100);
  const mapping = mappingAt(laptop, home);
  const confirm = encodeConfirm({ callerId: laptop.proxy.ownId, callerPrivateId: mapping.ownPrivateId, calleePrivateId: world.random(32), counter: mapping.callCounter, own4: home.proxy.own4, peer4: laptop.proxy.own4, own6: zero, peer6: zero }, home.identity);
  for (let n = 0; n < 2_000; n += 1) {
    confirm.set(world.random(32), confirm.length - 32);
    inject(laptop, confirm, mapping.ownPrivateId, PAYLOAD_KIND.setUp);
  }
  expect(laptop.proxy.setups.plain.counters.rate).toBeGreaterThan(1_700);
});

it("the same INITs again and again cost no more signatures than their budget", () => {
  const { world, home } = bed();
  const header = encodeDataHeader({ flags: 0, hopLimit: 16, copyBudget: 64, payloadKind: PAYLOAD_KIND.setUp, nonce: world.random(8), ids: [home.proxy.ownId] });
  const from = [...world.nodes.values()][0]?.locator as never;
  const inits = Array.from({ length: 200 }, () => concatBytes(header, encodeInit({ calleeId: home.proxy.ownId, callerPrivateId: world.random(32), counter: 1, own4: Uint8Array.of(10, 1, 1, 1), peer4: home.proxy.own4, own6: zero, peer6: zero }, generateHostIdentity())));
  for (const bytes of inits) {
    world.inject(home.node, { udp: { from, bytes } });
    world.run(5);
  }
  world.run(1_000);
  world.wire.length = 0;
  for (let n = 0; n < 10; n += 1) {
    for (const bytes of inits) world.inject(home.node, { udp: { from, bytes } });
    world.run(100);
  }
  const isConfirm = (bytes: Uint8Array): boolean => bytes[0] === 0x11 && bytes[5] === PAYLOAD_KIND.setUp && decodeSetup(splitSetup(bytes.subarray(48)).message).type === "CONFIRM";
  const confirms = world.wire.filter((datagram) => datagram.from.address[0] === 198 && isConfirm(datagram.bytes)).length;
  // What was saved, and what a second gives.
  expect([confirms > 0, confirms <= 400, home.proxy.setups.plain.counters.rate > 0]).toEqual([true, true, true]);
});
