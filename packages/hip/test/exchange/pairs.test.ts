/** A second pair of ESP associations in one HIP association (docs/wire.md §9.6). */
import { describe, expect, it } from "vitest";

import { ESP_SUITE, type EspSuite } from "../../src/crypto/esp-suites.js";
import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import { ALL_TRIES_MS, RETIRE_MS } from "../../src/exchange/limits.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket } from "../../src/wire/packet.js";
import { encodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { encodeAck, encodeSeq } from "../../src/wire/parameters/sequence.js";
import { encodeEspTransform } from "../../src/wire/parameters/suites.js";
import type { ParameterContents } from "../../src/wire/tlv.js";
import { identity, keysText, Network, suites, type NetworkOptions, type Node } from "./bed.js";
import { Forger } from "./forger.js";

const { aesGcm16, aes256CbcSha256, nullSha256 } = ESP_SUITE;
const BOTH = [aesGcm16, nullSha256];

interface Options extends NetworkOptions {
  readonly rekeyAfterMs?: number;
  readonly rekeyWithDh?: boolean;
  readonly a?: readonly EspSuite[];
  readonly b?: readonly EspSuite[];
}

function established({ rekeyAfterMs = 3_600_000, rekeyWithDh = true, a: suitesA = BOTH, b: suitesB = BOTH, loss = 0, ...options }: Options = {}) {
  const network = new Network(options);
  const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n), { rekeyAfterMs, rekeyWithDh })) as [Node, Node];
  a.offer = suites(...suitesA);
  b.offer = suites(...suitesB);
  network.connect(a, b);
  network.run(1_000);
  network.loss = loss;
  return { network, a, b };
}

const addPair = (network: Network, node: Node, suite: EspSuite = nullSha256): void => node.host.addPair(network.nowMs, node.last("established").association, suite);

function expectPaired(a: Node, b: Node, suite: EspSuite = nullSha256): void {
  for (const [from, to] of [[a, b], [b, a]] as const) {
    expect(from.of("paired")).toHaveLength(1);
    expect(from.last("paired")).toMatchObject({ pair: 1, espSuite: suite, association: from.last("established").association, spiOut: to.last("paired").spiIn });
    expect(to.sas.inbound.get(from.sas.second?.spi as number)).toBe(from.sas.second?.key);
    expect(from.sas.second?.key).not.toBe(from.sas.outbound?.key);
  }
}

const parameters = (bytes: Uint8Array): number[] => decodeHipPacket(bytes).parameters.map(({ type }) => type).filter((type) => type < PARAMETER.hipMac);

describe("a second pair", () => {
  it("takes three packets, and carries data both ways beside the first", () => {
    const { network, a, b } = established();
    addPair(network, a);
    expect(network.runWithData(a, b, 1_000)).toBe(0);
    expectPaired(a, b);
    const { espInfo, seq, ack, diffieHellman, espTransform } = PARAMETER;
    expect(network.wire.slice(4).map(({ bytes }) => parameters(bytes))).toEqual([[espInfo, seq, diffieHellman, espTransform], [espInfo, seq, ack, diffieHellman], [ack]]);
    expect(a.last("inbound").espSuite).toBe(nullSha256);
    expect(JSON.stringify(a.last("inbound").keysIn)).toContain("null-hmac-sha-256");
  });

  it("of the side that answered the exchange, and an encrypted one beside a readable one", () => {
    const { network, a, b } = established({ a: [nullSha256], b: [nullSha256, aesGcm16] });
    a.offer = suites(nullSha256, aesGcm16);
    addPair(network, b, aesGcm16);
    expect(network.runWithData(a, b, 1_000)).toBe(0);
    expectPaired(a, b, aesGcm16);
  });

  it("begun by both at once is one pair", () => {
    for (const jitterMs of [0, 200]) {
      const { network, a, b } = established({ jitterMs, seed: 3 });
      addPair(network, a);
      addPair(network, b);
      expect(network.runWithData(a, b, 3_000)).toBe(0);
      expectPaired(a, b);
    }
  });

  it("begun by both at once with different suites is none", () => {
    const wanted = [nullSha256, aesGcm16, aes256CbcSha256];
    const { network, a, b } = established({ a: wanted, b: wanted });
    for (const node of [a, b]) expect(node.last("established").espSuite).toBe(nullSha256);
    addPair(network, a, aesGcm16);
    addPair(network, b, aes256CbcSha256);
    expect(network.runWithData(a, b, 2_000)).toBe(0);
    for (const node of [a, b]) expect([node.of("paired").length, node.last("pair-failed").code]).toEqual([0, "refused"]);
    addPair(network, a, aesGcm16);
    network.run(1_000);
    expectPaired(a, b, aesGcm16);
  });

  it("is refused at once by who does not want it, and the first one stays", () => {
    const { network, a, b } = established({ b: [aesGcm16] });
    addPair(network, a);
    expect(network.runWithData(a, b, 500)).toBe(0);
    expect(a.last("pair-failed")).toMatchObject({ espSuite: nullSha256, code: "refused", association: a.last("established").association });
    expect([a.of("paired").length, b.of("paired").length, b.of("inbound").length, b.host.counters.pairsRefused]).toEqual([0, 0, 0, 1]);
    b.offer = suites(...BOTH);
    addPair(network, a);
    network.run(500);
    expectPaired(a, b);
  });

  it("is given up when the peer is silent about it, and the first one stays", () => {
    const { network, a, b } = established();
    network.middlebox = ({ from, bytes }) => (from === a && bytes[2] === HIP_PACKET.update ? null : bytes);
    addPair(network, a);
    expect(network.runWithData(a, b, ALL_TRIES_MS)).toBe(0);
    expect([a.last("pair-failed").code, a.of("closed").length]).toEqual(["silent", 0]);
    network.middlebox = ({ bytes }) => bytes;
    addPair(network, a);
    network.run(1_000);
    expectPaired(a, b);
  });

  it("nothing that is sent is lost, whatever becomes of the UPDATEs", () => {
    let paired = 0;
    for (let seed = 1; seed <= 30; seed++) {
      const { network, a, b } = established({ seed, loss: 0.3, duplicates: 0.2, jitterMs: (seed % 4) * 60 });
      addPair(network, a);
      if (seed % 2 === 0) addPair(network, b);
      if (seed % 3 === 0) a.host.rekey(network.nowMs, a.last("established").association);
      const total = network.runWithData(a, b, seed % 5 === 0 ? 40 : 200) + (b.host.rekey(network.nowMs, b.last("established").association), network.runWithData(a, b, 4_000));
      network.run(2 * ALL_TRIES_MS);
      if (a.of("closed").length + b.of("closed").length + a.of("pair-failed").length + b.of("pair-failed").length > 0) continue;
      paired++;
      expect(total, `seed ${seed}`).toBe(0);
      for (const [from, to] of [[a, b], [b, a]] as const) {
        expect(to.sas.inbound.get(from.sas.second?.spi as number), `seed ${seed}`).toBe(from.sas.second?.key);
        expect(to.sas.inbound.get(from.sas.outbound?.spi as number), `seed ${seed}`).toBe(from.sas.outbound?.key);
      }
    }
    expect(paired).toBeGreaterThan(20);
  });

  for (const rekeyWithDh of [true, false]) {
    it(`both are rekeyed in time, ${rekeyWithDh ? "with new secrets" : "from their own KEYMAT"}`, () => {
      const { network, a, b } = established({ rekeyAfterMs: 60_000, rekeyWithDh });
      addPair(network, a);
      network.run(1_000);
      const keys = new Set([a.sas.outbound?.key, a.sas.second?.key]);
      expect(network.runWithData(a, b, 64_000)).toBe(0);
      expect(a.of("rekeyed").map(({ pair }) => pair).sort()).toEqual([0, 1]);
      for (const way of [a.sas.outbound, a.sas.second]) expect(keys.has(way?.key)).toBe(false);
      network.run(RETIRE_MS);
      for (const node of [a, b]) expect(node.sas.inbound.size).toBe(2);
    });
  }

  it("ends with its association", () => {
    const { network, a, b } = established();
    addPair(network, a);
    network.run(1_000);
    a.host.close(network.nowMs, a.last("established").association);
    network.run(1_000);
    for (const node of [a, b]) expect([node.of("closed").length, node.sas.inbound.size, node.sas.second]).toEqual([1, 0, null]);
  });

  it("is begun once, and not beside one of its kind", () => {
    const { network, a, b } = established();
    addPair(network, a);
    addPair(network, a);
    network.run(1_000);
    addPair(network, a);
    network.run(1_000);
    expectPaired(a, b);
    const alone = established();
    expect(() => addPair(alone.network, alone.a, aes256CbcSha256)).toThrow(RangeError);
    expect(alone.network.types().slice(4)).toEqual([]);
  });
});

describe("bad second pairs", () => {
  interface Proposal {
    readonly index?: number;
    readonly spi?: number;
    readonly transform?: readonly number[];
    readonly dh?: boolean;
    readonly id?: number;
  }

  /** A host whose words are sealed right, with an association of suite 13. */
  function forged() {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 1));
    b.offer = suites(...BOTH);
    const forger = new Forger(network, b);
    forger.callWith((all) => all);
    expect(b.of("established")).toHaveLength(1);
    const propose = ({ index = 0, spi = 5_000, transform = [nullSha256], dh = true, id = 0 }: Proposal): void => {
      const group: ParameterContents = { type: PARAMETER.diffieHellman, contents: encodeDiffieHellman(dhKeyPair(7, (bytes) => network.random.bytes(bytes))) };
      forger.say(HIP_PACKET.update, [
        { type: PARAMETER.espInfo, contents: encodeEspInfo({ keymatIndex: index, oldSpi: 0, newSpi: spi }) }, { type: PARAMETER.seq, contents: encodeSeq(id) },
        ...(dh ? [group] : []), ...(transform.length === 0 ? [] : [{ type: PARAMETER.espTransform, contents: encodeEspTransform(transform) }]),
      ]);
    };
    return { network, b, forger, propose };
  }

  it.each([
    ["another index", { index: 300 }, "spi"],
    ["a reserved SPI", { spi: 255 }, "spi"],
    ["no Diffie-Hellman value", { dh: false }, "proposal"],
    ["no suite, for nothing that was asked", { transform: [] }, "unexpected"],
  ] as const)("%s is dropped", (_, proposal, drop) => {
    const { b, propose } = forged();
    const before = b.host.counters.drops[drop];
    propose(proposal);
    expect(b.host.counters.drops[drop]).toBe(before + 1);
    expect(b.of("inbound")).toEqual([]);
    // It has changed nothing: the same id is good for a right one.
    propose({});
    expect(b.of("inbound")).toHaveLength(1);
  });

  it.each([
    ["an unknown suite", { transform: [99] }],
    ["several", { transform: [nullSha256, aesGcm16] }],
    ["one of the kind that is there", { transform: [aes256CbcSha256] }],
  ] as const)("%s is refused, and counted", (_, proposal) => {
    const { network, b, propose } = forged();
    propose(proposal);
    expect([b.host.counters.pairsRefused, b.of("inbound").length]).toEqual([1, 0]);
    expect(parameters(network.packet(HIP_PACKET.update))).toEqual([PARAMETER.espInfo, PARAMETER.ack]);
  });

  it("a third is refused, also while the second is on its way", () => {
    const { b, propose } = forged();
    propose({});
    propose({ id: 1, spi: 5_001 });
    expect([b.host.counters.pairsRefused, b.of("inbound").length]).toEqual([1, 1]);
  });

  it("one that is acknowledged without a word of it is given up", () => {
    const { network, b, forger } = forged();
    b.host.addPair(network.nowMs, b.last("established").association, nullSha256);
    forger.say(HIP_PACKET.update, [{ type: PARAMETER.ack, contents: encodeAck([0]) }]);
    network.run(2 * ALL_TRIES_MS - 1);
    expect(b.of("pair-failed")).toEqual([]);
    network.run(1);
    expect([b.last("pair-failed").code, b.of("closed").length]).toEqual(["silent", 0]);
  });

  it("one that comes again is answered again and does nothing", () => {
    const { network, a, b } = established();
    addPair(network, a);
    const first = network.packet(HIP_PACKET.update);
    network.run(1_000);
    network.deliver(b, first, a);
    expect([b.host.counters.drops.replayed, b.host.counters.repeated, b.of("inbound").length]).toEqual([1, 1, 1]);
    expectPaired(a, b);
  });

  it("its own answer sent back to it, and old answers, do nothing", () => {
    const { network, a, b } = established();
    addPair(network, a);
    network.run(1_000);
    const answer = network.wire.find(({ from, bytes }) => from === b && bytes[2] === HIP_PACKET.update)?.bytes as Uint8Array;
    network.deliver(a, answer, b);
    network.deliver(b, answer, b);
    expect(network.runWithData(a, b, 100)).toBe(0);
    expectPaired(a, b);
    expect(keysText(a.last("paired").keysOut)).toBe(a.sas.second?.key);
  });
});
