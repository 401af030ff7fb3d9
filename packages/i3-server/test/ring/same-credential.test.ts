/** Two servers with one credential: both are told, and who only recorded something tells nobody anything. */
import { describe, expect, it } from "vitest";

import { ChannelNet, THIEF } from "./channel-net.js";

const KEY = new Uint8Array(16).fill(9);

describe("the same credential on two servers", () => {
  it("is an error in the logs of both when one calls the other, and neither hears the other", () => {
    const net = new ChannelNet();
    const one = net.add();
    const two = net.addMember(one.membership);
    for (let i = 0; i < 3; i += 1) {
      two.sendAt(one.locator, { type: "FIND", from: two.node, ringKey: KEY });
      net.run(2_000);
    }
    for (const [server, from] of [[two, "10.1.0.1:4000"], [one, "10.1.0.2:4000"]] as const) {
      expect(server.logged).toEqual([{ event: "duplicate-key", fields: expect.objectContaining({ from, remedy: expect.stringMatching(/set up last.*ring admit/) as string }) as object }]);
    }
    expect(one.heard).toEqual([]);
    // Each of the three calls: HELLO, HELLO_YES, and the word that it is one too.
    expect(net.sent("HELLO_YES")).toHaveLength(6);
  });

  it("is an error in the logs of both when a third one hears them, and where", () => {
    const net = new ChannelNet();
    const [one, third] = [net.add(), net.add()];
    const two = net.addMember(one.membership);
    for (let i = 0; i < 20; i += 1) {
      for (const server of [one, two]) server.notify(third);
      net.run(1_000);
    }
    for (const server of [one, two]) expect(server.logged).toEqual([{ event: "duplicate-key", fields: expect.objectContaining({ heardBy: "10.1.0.2:4000" }) as object }]);
    expect(third.logged).toEqual([]);
  });

  it("is not said by a server that starts again with its clock set back, and is heard with what it had said before", () => {
    const net = new ChannelNet();
    const [one, other] = net.pair();
    const before = net.sent("NOTIFY");
    for (let i = 0; i < 5; i += 1) {
      one.clockErrorMs -= 3_600_000;
      one.start();
      one.notify(other);
      net.run(1_000);
      for (const { bytes } of before) other.take({ from: one.locator, bytes });
      net.run(1_000);
    }
    expect([...one.logged, ...other.logged]).toEqual([]);
  });

  it("is not believed from a recorded word of a life before", () => {
    const net = new ChannelNet();
    const one = net.add();
    const two = net.addMember(one.membership);
    two.sendAt(one.locator, { type: "FIND", from: two.node, ringKey: KEY });
    net.run(1_000);
    const recorded = [...net.wire];
    one.start();
    one.logged.length = 0;
    for (const { bytes } of recorded) one.take({ from: two.locator, bytes });
    expect(one.logged).toEqual([]);
  });

  it("is not claimed by who calls itself, or by who recorded a HELLO", () => {
    const net = new ChannelNet();
    const [one, other] = [net.add(), net.add()];
    one.sendAt(one.locator, { type: "FIND", from: one.node, ringKey: KEY });
    one.notify(other);
    net.run(3_000);
    const since = net.wire.length;
    for (const { bytes } of net.sent("HELLO")) one.take({ from: THIEF, bytes });
    for (const { bytes } of net.wire.slice(since)) one.take({ from: THIEF, bytes });
    expect(one.logged).toEqual([]);
  });
});
