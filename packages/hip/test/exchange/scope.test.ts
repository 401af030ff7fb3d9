import { describe, expect, it } from "vitest";

import { newHipCounters } from "../../src/exchange/counters.js";
import { NOTIFIES_PER_SECOND } from "../../src/exchange/limits.js";
import { TokenBucket } from "@i3/common";

import { Scope } from "../../src/exchange/scope.js";
import { headerOf } from "../../src/exchange/seal.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, encodeHipPacket, HIP_HEADER_BYTES } from "../../src/wire/packet.js";
import { NOTIFY_CODE } from "../../src/wire/parameters/notification.js";
import { identity, Network } from "./bed.js";

describe("TokenBucket", () => {
  it("holds a second's worth and fills in time", () => {
    const bucket = new TokenBucket(10, 10);
    const taken = (nowMs: number): number => Array.from({ length: 20 }, () => bucket.take(nowMs)).filter(Boolean).length;
    expect([taken(0), taken(99), taken(300), taken(100_000)]).toEqual([10, 0, 3, 10]);
  });
});

describe("Scope", () => {
  it("sends no NOTIFY longer than what it answers, and few", () => {
    const network = new Network();
    const a = network.add("a");
    const scope = new Scope(a.env, newHipCounters());
    const notify = (bytes: number): void => {
      const padding = { type: PARAMETER.i3Padding, contents: new Uint8Array(bytes - HIP_HEADER_BYTES - 4) };
      const i2 = decodeHipPacket(encodeHipPacket(headerOf(HIP_PACKET.i2, identity("ecdsa-p256", 1).hit, a.env.identity.hit), [padding]));
      scope.notify(0, { kind: "ip", address: new Uint8Array(4) }, i2, { code: NOTIFY_CODE.INVALID_HIT, data: new Uint8Array(0) });
    };
    notify(2_000);
    const { length } = network.packet(HIP_PACKET.notify);
    notify(length - 8);
    expect(network.wire).toHaveLength(1);
    for (let n = 0; n < 100; n++) notify(length);
    expect(network.wire).toHaveLength(NOTIFIES_PER_SECOND - 1);
  });

  it("gives no SPI that is in use or reserved, and gives up on a source that has no other", () => {
    const spis = [300, 300, 301, 5];
    const scope = new Scope(new Network().add("a", identity(), { newSpi: () => spis.shift() ?? 300 }).env, newHipCounters());
    expect([scope.takeSpi(), scope.takeSpi()]).toEqual([300, 301]);
    expect(() => scope.takeSpi()).toThrow("SPI 5");
    expect(() => scope.takeSpi()).toThrow(/all in use/);
    scope.freeSpi(300);
    expect(scope.takeSpi()).toBe(300);
  });
});
