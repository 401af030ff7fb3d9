/** Whom a server makes a neighbour in its packet engine, which hears it apart from all others. */
import { makeLocator } from "@i3/common";
import { expect, it } from "vitest";

import { anyMember, RingPeer } from "./ring-peer.js";
import { ServerBench } from "./server-bench.js";

it("the engine knows a server's neighbours on the ring, as they come and go", () => {
  const bench = new ServerBench({ ring: anyMember() });
  expect(bench.engine.neighbours).toEqual([]);
  const peer = new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000));
  bench.meet(peer);
  expect(bench.engine.neighbours).toEqual([]); // who has a session is none yet
  bench.ring(peer, { type: "NOTIFY", from: peer.node });
  expect(bench.core.neighbours).toMatchObject({ predecessor: peer.node });
  expect(bench.engine.neighbours).toEqual([peer.node.locator]);
  bench.ring(peer, { type: "LEAVING", from: peer.node, predecessor: null, successors: [bench.self] });
  expect(bench.engine.neighbours).toEqual([]);
});

it("a server that is alone for ever has none", () => {
  expect(new ServerBench().engine.neighbours).toEqual([]);
});
