import { describe, expect, it } from "vitest";

import { ESP_SUITE } from "../../src/crypto/esp-suites.js";
import { ALL_TRIES_MS, MAX_UPDATES_AHEAD, RETIRE_MS } from "../../src/exchange/limits.js";
import { UpdateIds } from "../../src/exchange/update-ids.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { identity, keysText, Network, pairMatches, suites, type NetworkOptions, type Node } from "./bed.js";

const { update } = HIP_PACKET;

interface Options extends NetworkOptions {
  readonly rekeyWithDh?: boolean;
  readonly rekeyAfterMs?: number;
}

function established({ rekeyWithDh = true, rekeyAfterMs = 3_600_000, loss = 0, ...options }: Options = {}): { readonly network: Network; readonly a: Node; readonly b: Node } {
  const network = new Network(options);
  const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n), { rekeyWithDh, rekeyAfterMs })) as [Node, Node];
  network.connect(a, b);
  network.run(1_000);
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  network.loss = loss;
  return { network, a, b };
}

const rekey = (network: Network, node: Node): void => node.host.rekey(network.nowMs, node.last("established").association);

/** What each sends with after its last rekey is what the other takes. */
function expectRekeyed(a: Node, b: Node, times: number): void {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    expect(from.of("rekeyed")).toHaveLength(times);
    expect(to.sas.inbound.get(from.last("rekeyed").spiOut)).toBe(keysText(from.last("rekeyed").keysOut));
    expect(from.last("rekeyed").spiOut).toBe(to.last("rekeyed").spiIn);
  }
}

const parameters = (bytes: Uint8Array): number[] => decodeHipPacket(bytes).parameters.map(({ type }) => type);

describe("rekey", () => {
  for (const rekeyWithDh of [true, false]) {
    const name = rekeyWithDh ? "with a new secret" : "from the old KEYMAT";
    const dh = rekeyWithDh ? [PARAMETER.diffieHellman] : [];

    it(`${name}: three packets, new keys both ways, the old ones retired later`, () => {
      const { network, a, b } = established({ rekeyWithDh });
      const first = new Set([a, b].flatMap((node) => [keysText(node.last("established").keysIn), node.last("established").spiIn]));
      rekey(network, a);
      expect(network.runWithData(a, b, 1_000)).toBe(0);
      expectRekeyed(a, b, 1);
      const [one, two, three] = network.wire.slice(4).map(({ bytes }) => parameters(bytes).filter((type) => type < PARAMETER.hipMac));
      expect([one, two, three]).toEqual([
        [PARAMETER.espInfo, PARAMETER.seq, ...dh], [PARAMETER.espInfo, PARAMETER.seq, PARAMETER.ack, ...dh], [PARAMETER.ack],
      ]);
      expect(network.types().slice(4)).toEqual([update, update, update]);
      for (const node of [a, b]) {
        for (const value of [keysText(node.last("inbound").keysIn), node.last("inbound").spiIn]) expect(first.has(value)).toBe(false);
        expect(node.sas.inbound.size).toBe(2);
        expect(node.of("retired")).toEqual([]);
      }
      network.run(RETIRE_MS);
      for (const node of [a, b]) expect([node.last("retired").spiIn, node.sas.inbound.size]).toEqual([node.last("established").spiIn, 1]);
    });

    it(`${name}: by the responder, and again and again`, () => {
      const { network, a, b } = established({ rekeyWithDh });
      const keys = new Set<string>();
      for (let times = 1; times <= 8; times++) {
        rekey(network, times % 2 === 0 ? a : b);
        expect(network.runWithData(a, b, 500)).toBe(0);
        expectRekeyed(a, b, times);
        for (const node of [a, b]) keys.add(keysText(node.last("inbound").keysIn));
      }
      expect(keys.size).toBe(16);
    });

    it(`${name}: by both at once`, () => {
      const { network, a, b } = established({ rekeyWithDh });
      rekey(network, a);
      rekey(network, b);
      expect(network.runWithData(a, b, 1_000)).toBe(0);
      expectRekeyed(a, b, 1);
    });

    it(`${name}: nothing that is sent is lost, whatever becomes of the UPDATEs`, () => {
      let rekeyed = 0;
      for (let seed = 1; seed <= 40; seed++) {
        const { network, a, b } = established({ seed, rekeyWithDh, loss: 0.35, duplicates: 0.2, jitterMs: (seed % 4) * 60 });
        rekey(network, a);
        const lost = network.runWithData(a, b, seed % 3 === 0 ? 3 : 60);
        rekey(network, b);
        const total = lost + network.runWithData(a, b, 4_000);
        network.run(ALL_TRIES_MS);
        if (a.of("closed").length > 0 || b.of("closed").length > 0) continue;
        rekeyed++;
        expect(total, `seed ${seed}`).toBe(0);
        expectRekeyed(a, b, a.of("rekeyed").length);
        expect(a.of("rekeyed").length).toBeGreaterThan(0);
      }
      expect(rekeyed).toBeGreaterThan(30);
    });
  }

  it("one side with a new secret, the other without, both at once", () => {
    const network = new Network();
    const a = network.add("a", identity("ecdsa-p256", 0), { rekeyWithDh: true });
    const b = network.add("b", identity("ecdsa-p256", 1), { rekeyWithDh: false });
    network.connect(a, b);
    network.run(1_000);
    for (let times = 1; times <= 3; times++) {
      rekey(network, a);
      rekey(network, b);
      expect(network.runWithData(a, b, 1_000)).toBe(0);
      expectRekeyed(a, b, times);
    }
  });

  for (const [name, suite] of Object.entries(ESP_SUITE)) {
    it(`of ${name}`, () => {
      const network = new Network();
      const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("rsa", 1))];
      a.offer = b.offer = suites(suite);
      network.connect(a, b);
      network.run(1_000);
      rekey(network, b);
      expect(network.runWithData(a, b, 500)).toBe(0);
      expectRekeyed(a, b, 1);
    });
  }

  it("begins by itself in time, by the caller alone", () => {
    const { network, a, b } = established({ rekeyAfterMs: 60_000 });
    network.run(60_000);
    expectRekeyed(a, b, 1);
    expect(network.types(b).filter((type) => type === update)).toHaveLength(1);
    network.run(60_000);
    expectRekeyed(a, b, 2);
  });

  it("takes a new secret when the old KEYMAT comes to its end", () => {
    const { network, a, b } = established({ rekeyWithDh: false });
    let withDh = 0;
    for (let times = 1; times <= 400; times++) {
      rekey(network, a);
      // No sooner: the peer takes one rekey a second.
      network.run(1_000);
      if (parameters(network.packet(update)).length > 4) throw new Error("not an ACK");
      if (network.wire.slice(-3).some(({ bytes }) => parameter(decodeHipPacket(bytes), PARAMETER.diffieHellman) !== undefined)) withDh++;
    }
    network.run(1_000);
    expectRekeyed(a, b, 400);
    expect(withDh).toBe(1);
  });

  it("a peer that answers no more is given up", () => {
    const { network, a, b } = established({});
    network.loss = 1;
    rekey(network, a);
    network.run(ALL_TRIES_MS);
    expect(a.last("closed")).toMatchObject({ code: "silent" });
    network.run(ALL_TRIES_MS);
    expect([a.host.sizes.associations, b.host.sizes.associations]).toEqual([0, 1]);
  });
});

describe("bad UPDATEs", () => {
  it("one that comes again is answered again and does nothing, also after further rekeys", () => {
    const { network, a, b } = established();
    rekey(network, a);
    network.run(1_000);
    const first = network.wire.find(({ bytes }) => bytes[2] === update)?.bytes as Uint8Array;
    network.deliver(b, first, a);
    expect([b.host.counters.drops.replayed, b.host.counters.repeated]).toEqual([1, 1]);
    network.deliver(b, first, a);
    expect(b.host.counters.repeated).toBe(1);
    rekey(network, b);
    network.run(1_000);
    network.deliver(b, first, a);
    expect([b.host.counters.drops.replayed, b.host.counters.repeated]).toEqual([3, 1]);
    expectRekeyed(a, b, 2);
    expect(network.runWithData(a, b, 100)).toBe(0);
  });

  it("of an association that another one replaced", () => {
    const { network, a, b } = established();
    rekey(network, a);
    const old = network.packet(update);
    network.connect(a, b);
    network.run(2_000);
    expect(a.of("established")).toHaveLength(2);
    const before = b.host.counters.drops.mac;
    network.deliver(b, old, a);
    expect(b.host.counters.drops.mac).toBe(before + 1);
    expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
  });

  it("an ACK of nothing is dropped before its signature is looked at", () => {
    const { network, a, b } = established();
    rekey(network, a);
    network.run(1_000);
    network.deliver(b, network.packet(update), a);
    expect(b.host.counters.drops.unexpected).toBe(1);
  });
});

describe("UpdateIds", () => {
  it("takes each id once, in any order within a window", () => {
    const ids = new UpdateIds();
    expect(ids.classify(0xffff_ffff)).toBe("outside");
    expect(ids.classify(MAX_UPDATES_AHEAD)).toBe("outside");
    for (const id of [0, 2, 1, 3]) {
      expect(ids.classify(id)).toBe("new");
      ids.add(id);
      expect(ids.classify(id)).toBe("done");
    }
    ids.add(30);
    expect([ids.classify(4), ids.classify(30 + MAX_UPDATES_AHEAD), ids.classify(31 + MAX_UPDATES_AHEAD)]).toEqual(["new", "new", "outside"]);
    for (let id = 31; id < 200; id++) ids.add(id);
    expect([ids.classify(199), ids.classify(4), ids.classify(0)]).toEqual(["done", "outside", "outside"]);
  });

  it("goes round", () => {
    const ids = new UpdateIds(2 ** 32 - 40);
    expect(ids.classify(2 ** 32 - 41)).toBe("outside");
    for (let n = -40; n < 8; n++) if (n !== -2) ids.add(n >>> 0);
    expect([8, 7, 0, -1, -2, -24, -25].map((n) => ids.classify(n >>> 0))).toEqual(["new", "done", "done", "done", "new", "done", "outside"]);
  });
});
