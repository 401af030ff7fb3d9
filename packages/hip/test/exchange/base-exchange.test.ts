import { generateKeyPairSync } from "node:crypto";

import { concatBytes, publicId, sameBytes, toHex } from "@i3/common";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { describe, expect, it } from "vitest";

import type { DhGroup } from "../../src/crypto/diffie-hellman.js";
import { ESP_SUITE } from "../../src/crypto/esp-suites.js";
import { I3_I1_BYTES } from "../../src/exchange/limits.js";
import { HOST_KEY_ALGORITHMS } from "../../src/identity/host-identity-field.js";
import { identityOf, withP256, type HostIdentity } from "../../src/identity/host-identity.js";
import { hitOfHi } from "../../src/identity/hit.js";
import { generateHostIdentity } from "../../src/io/generate.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, encodeHipPacket, parameter } from "../../src/wire/packet.js";
import { I3_PREFERENCE_FLAG } from "../../src/wire/parameters/i3.js";
import { identity, keysText, Network, pairMatches, suites, type Node } from "./bed.js";

const { i1, r1, i2, r2 } = HIP_PACKET;
const native = loadNativeP256();

function pair(network: Network): readonly [Node, Node] {
  return [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
}

const expectMatch = (a: Node, b: Node): void => {
  expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
};

describe("base exchange", () => {
  for (const ofA of HOST_KEY_ALGORITHMS) {
    for (const ofB of HOST_KEY_ALGORITHMS) {
      it(`${ofA} calls ${ofB}`, () => {
        const network = new Network();
        const [a, b] = [network.add("a", identity(ofA, 0)), network.add("b", identity(ofB, 1))];
        network.connect(a, b);
        network.run(1_000);
        expectMatch(a, b);
        expect([a.last("established").role, b.last("established").role]).toEqual(["initiator", "responder"]);
        expect(sameBytes(a.last("established").peer.hit, b.env.identity.hit)).toBe(true);
        expect(sameBytes(b.last("established").peer.hi, a.env.identity.hi)).toBe(true);
        expect(network.types()).toEqual([i1, r1, i2, r2]);
      });
    }
  }

  for (const algorithm of ["ecdsa-p256", "ecdsa-p384"] as const) {
    for (const p256 of [undefined, native]) {
      it(`${algorithm}, with a host that writes its key as 04 | x | y, in either role${p256 === undefined ? "" : ", by the addon"}`, () => {
        const own = identity(algorithm, 1);
        // RFC 7401 §5.2.9 leaves it open; the HIT is over the bytes as they are sent.
        const hi = concatBytes(own.hi.subarray(0, 2), Uint8Array.of(4), own.hi.subarray(2));
        const marked: HostIdentity = { ...own, hi, hit: hitOfHi(own.hitSuite, hi) };
        const network = new Network();
        const [a, b] = [network.add("a", p256 === undefined ? identity("ecdsa-p256", 0) : withP256(identity("ecdsa-p256", 0), p256)), network.add("b", marked)];
        for (const [from, to] of [[a, b], [b, a]] as const) {
          // Long enough that an I2 right behind the first exchange is not taken for a call that crossed it.
          network.connect(from, to);
          network.run(20_000);
          expectMatch(a, b);
          expect([sameBytes(a.last("established").peer.hit, marked.hit), sameBytes(a.last("established").peer.hi, hi), sameBytes(marked.hit, own.hit)]).toEqual([true, true, false]);
        }
        expect([a.of("established").length, a.last("established").role]).toEqual([2, "responder"]);
      });
    }
  }

  for (const [name, suite] of Object.entries(ESP_SUITE)) {
    it(`ESP suite ${name}`, () => {
      const network = new Network();
      const [a, b] = pair(network);
      a.offer = b.offer = suites(suite);
      network.connect(a, b);
      network.run(1_000);
      expectMatch(a, b);
      expect(a.last("established").espSuite).toBe(suite);
    });
  }

  for (const group of [3, 4, 7, 8, 9, 11] as const satisfies readonly DhGroup[]) {
    it(`group ${group}`, () => {
      const network = new Network();
      const a = network.add("a", identity("ecdsa-p256", 0), { dhGroups: [group] });
      const b = network.add("b", identity("ecdsa-p256", 1), { dhGroups: [7, 8, 9, 4, 11, 3] });
      network.connect(a, b);
      network.run(1_000);
      expectMatch(a, b);
    });
  }

  it("both directions and every exchange have keys of their own", () => {
    const network = new Network();
    const [a, b] = pair(network);
    network.connect(a, b);
    network.run(1_000);
    network.connect(a, b);
    network.run(1_000);
    const all = a.of("established").flatMap((event) => [keysText(event.keysIn), keysText(event.keysOut)]);
    expect(new Set(all).size).toBe(4);
    expect([a, b].map((node) => node.last("established").replaces)).toEqual([a.of("established")[0]?.association, b.of("established")[0]?.association]);
    expect([a.host.sizes, b.host.sizes]).toEqual([{ attempts: 0, associations: 1 }, { attempts: 0, associations: 1 }]);
  });

  it("a responder keeps nothing of I1s, however many", () => {
    const network = new Network();
    const [a, b] = pair(network);
    network.middlebox = ({ bytes }) => (bytes[2] === i1 ? null : bytes);
    network.connect(a, b);
    const packet = network.packet(i1);
    for (let n = 0; n < 5_000; n++) {
      packet.set(network.random.bytes(12), 12);
      network.deliver(b, packet, { kind: "ip", address: network.random.bytes(4) });
    }
    expect(b.host.counters.i1Answered).toBe(5_000);
    expect(b.host.sizes).toEqual({ attempts: 0, associations: 0 });
  });

  it("goes through with every second packet lost, doubled and overtaken", () => {
    let established = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const network = new Network({ seed, loss: 0.3, duplicates: 0.3, jitterMs: 200 });
      const [a, b] = pair(network);
      network.connect(a, b);
      network.run(20_000);
      if (a.of("established").length === 0) {
        expect(a.of("failed")).toHaveLength(1);
        continue;
      }
      established++;
      expect(a.of("established")).toHaveLength(1);
      expectMatch(a, b);
      expect(b.of("established")).toHaveLength(1);
    }
    expect(established).toBeGreaterThan(36);
  });

  it("fails with a reason when nobody answers", () => {
    const network = new Network({ loss: 1 });
    const [a, b] = pair(network);
    network.connect(a, b);
    network.run(15_400);
    expect(a.events).toEqual([]);
    network.run(200);
    expect(a.last("failed")).toMatchObject({ code: "silent" });
    expect(a.last("failed").reason).toMatch(/192\.0\.2\.2:10500: nothing answered the call/);
    expect(network.types()).toEqual([i1, i1, i1, i1, i1]);
    expect(a.host.sizes.attempts).toBe(0);
  });

  it("a lost R2 is sent again for the same I2, and makes no second association", () => {
    const network = new Network();
    const [a, b] = pair(network);
    let lost = 0;
    network.middlebox = ({ bytes }) => (bytes[2] === r2 && lost++ === 0 ? null : bytes);
    network.connect(a, b);
    network.run(2_000);
    expect(network.types()).toEqual([i1, r1, i2, r2, i2, r2]);
    expectMatch(a, b);
    expect([b.of("established").length, b.host.counters.repeated]).toEqual([1, 1]);
  });

  it("waits for R1, works without a limit but the puzzle's, and then waits for R2", () => {
    const network = new Network();
    const [a, b] = pair(network);
    b.host.load(network.nowMs + 6_000, 0, 0, 0.8);
    network.nowMs += 6_000;
    const call = { hit: b.env.identity.hit, path: { kind: "udp", locator: b.locator }, returnId: null } as const;
    a.host.connect(network.nowMs, call);
    const calledMs = network.nowMs;
    expect(a.host.waitsSinceMs(call)).toBe(calledMs);
    network.middlebox = ({ from, bytes }) => (from === a && bytes[2] === i2 ? null : bytes);
    const seen = new Set<number | undefined>();
    // By hand: each tick does a little of the work.
    network.run(15);
    const held = network.wire.find(({ bytes }) => bytes[2] === r1)?.bytes as Uint8Array;
    a.host.handle(network.nowMs, held, { kind: "udp", locator: b.locator });
    for (let n = 0; n < 2_000 && !network.types(a).includes(i2); n++) {
      seen.add(a.host.waitsSinceMs(call));
      a.host.tick((network.nowMs += 2));
    }
    expect([...seen]).toEqual([Infinity]);
    expect(a.host.waitsSinceMs(call)).toBe(network.nowMs);
    a.host.abandon(call);
    expect(a.host.waitsSinceMs(call)).toBeUndefined();
  });

  it("solves a puzzle in steps that are never long", () => {
    const network = new Network();
    const [a, b] = pair(network);
    b.host.load(network.nowMs + 6_000, 0, 800);
    network.nowMs += 6_000;
    network.connect(a, b);
    network.run(1_000);
    expectMatch(a, b);
    const packet = decodeHipPacket(network.packet(r1));
    expect(parameter(packet, PARAMETER.puzzle)?.contents[0]).toBe(14);
  });

  it("never answers a call to no HIT that comes straight", () => {
    const network = new Network();
    const a = network.add("a", identity("ecdsa-p256", 0));
    const b = network.add("b", identity("rsa", 1), { isOpen: () => true });
    a.host.connect(network.nowMs, { hit: null, path: { kind: "udp", locator: b.locator }, returnId: null });
    network.run(20_000);
    expect(a.last("failed").peerHit).toBeNull();
    expect(b.host.counters.drops.hit).toBe(5);
  });

  it("says what it wants and where it is, encrypted", () => {
    const network = new Network();
    const [a, b] = (["a", "b"] as const).map((name, n) => network.add(name, identity("ecdsa-p256", n), { ownPublicId: publicId(identity("ecdsa-p256", n).hit) })) as [Node, Node];
    const preferences = (flags: number) => ({ flags, own4: Uint8Array.of(10, 0, 0, 1), own6: new Uint8Array(16), peer4: Uint8Array.of(10, 0, 0, 2), peer6: new Uint8Array(16) });
    const { beetIpv6, checksumState, shortcuts } = I3_PREFERENCE_FLAG;
    a.offer = { ...a.offer, privateId: new Uint8Array(32).fill(0xa1), preferences: preferences(beetIpv6 | checksumState) };
    b.offer = { ...b.offer, privateId: new Uint8Array(32).fill(0xb1), preferences: preferences(beetIpv6 | shortcuts) };
    network.connect(a, b);
    network.run(1_000);
    expectMatch(a, b);
    expect(a.last("established")).toMatchObject({ beet: 6, checksumState: false, peerPrivateId: b.offer.privateId, peerPreferences: b.offer.preferences });
    expect(b.last("established")).toMatchObject({ beet: 6, checksumState: false, peerPrivateId: a.offer.privateId, peerPreferences: a.offer.preferences });
    for (const { bytes } of network.wire) for (const byte of ["a1", "b1"]) expect(toHex(bytes)).not.toContain(byte.repeat(8));
  });
});

describe("a call to whoever has an id", () => {
  const ID = new Uint8Array(32).fill(0x77);
  const RETURN_ID = new Uint8Array(32).fill(0x55);

  /** `a` accepts those whose HIT `accepted` says; the others answer at the id. */
  function called(others: number, accepted: (hit: Uint8Array, nodes: readonly Node[]) => string | null) {
    const network = new Network();
    const asked: string[] = [];
    const nodes: Node[] = Array.from({ length: others + 1 }, (_, n) => network.add(`${n}`, identity("ecdsa-p256", n), {
      ownPublicId: publicId(identity("ecdsa-p256", n).hit), isOpen: (id) => n > 0 && sameBytes(id, ID),
      accepts: (call, hit) => {
        asked.push(`${toHex(call.returnId as Uint8Array).slice(0, 2)} ${toHex(hit)}`);
        return accepted(hit, nodes);
      },
    }));
    const [a] = nodes as [Node, ...Node[]];
    a.ids.push(RETURN_ID);
    for (const node of nodes.slice(1)) node.ids.push(ID);
    const connect = (hit: Uint8Array | null): void => a.host.connect(network.nowMs, { hit, path: { kind: "i3", id: ID }, returnId: RETURN_ID });
    return { network, nodes, a, asked, connect };
  }

  it("is asked about once with the HIT that answered, and says what it was in the end", () => {
    const { network, nodes: [, b], a, asked, connect } = called(1, () => null);
    connect(null);
    network.run(1_000);
    expectMatch(a, b as Node);
    expect(asked).toEqual([`55 ${toHex((b as Node).env.identity.hit)}`]);
    expect(a.last("established").call).toMatchObject({ hit: null, returnId: RETURN_ID });
    expect((b as Node).last("established").call).toBeNull();
  });

  it("goes no further with a host that is not the one, and says why", () => {
    const { network, a, connect } = called(1, () => "not that one");
    connect(null);
    network.run(20_000);
    expect(new Set(network.types())).toEqual(new Set([i1, r1]));
    expect(a.last("failed")).toMatchObject({ code: "silent", peerHit: null, call: { returnId: RETURN_ID }, reason: expect.stringMatching(/not that one$/) as string });
    expect(a.host.counters.drops.hit).toBe(5);
  });

  it.each([1, 2])("finds the right one of two that answer: number %i", (right) => {
    const { network, nodes, a, connect } = called(2, (hit, all) => (sameBytes(hit, (all[right] as Node).env.identity.hit) ? null : "not that one"));
    connect(null);
    network.run(1_000);
    expectMatch(a, nodes[right] as Node);
    expect((nodes[3 - right] as Node).of("established")).toEqual([]);
  });

  it("by a HIT is not ended by another host that answers, which people hear of", () => {
    const { network, nodes: [, b], a, asked, connect } = called(1, () => "somebody else");
    network.middlebox = ({ bytes }) => (bytes[2] === i1 ? Uint8Array.from(bytes, (byte, at) => (at >= 24 && at < 40 ? 0 : byte)) : bytes);
    connect(identity("ecdsa-p256", 7).hit);
    network.run(20_000);
    expect(asked).toContain(`55 ${toHex((b as Node).env.identity.hit)}`);
    expect(new Set(network.types())).toEqual(new Set([i1, r1]));
    expect(a.last("failed")).toMatchObject({ code: "silent", reason: expect.stringMatching(/somebody else$/) as string });
  });

  it("is answered at open ids only", () => {
    const { network, nodes: [, b], connect } = called(1, () => null);
    network.middlebox = () => null;
    connect(null);
    network.deliver(b as Node, network.packet(i1), { kind: "i3", id: new Uint8Array(32).fill(0x77).fill(0x78, 16) });
    expect([(b as Node).host.counters.drops.hit, (b as Node).host.counters.i1Answered]).toEqual([1, 0]);
    network.deliver(b as Node, network.packet(i1), { kind: "i3", id: ID });
    expect((b as Node).host.counters.i1Answered).toBe(1);
  });
});

describe("over i3", () => {
  const i3Pair = (network: Network, ofA: Parameters<typeof identity>[0] = "ecdsa-p256", ofB = ofA): readonly [Node, Node] =>
    [network.add("a", identity(ofA, 0), { ownPublicId: publicId(identity(ofA, 0).hit) }), network.add("b", identity(ofB, 1), { ownPublicId: publicId(identity(ofB, 1).hit) })];

  for (const algorithm of HOST_KEY_ALGORITHMS) {
    it(`with ${algorithm}: no answer is longer than its question`, () => {
      for (const group of [7, 8, 9] as const) {
        const network = new Network();
        const [a, b] = [0, 1].map((n) => network.add(`${n}`, identity(algorithm, n), { ownPublicId: publicId(identity(algorithm, n).hit), dhGroups: [group] })) as [Node, Node];
        network.connectI3(a, b);
        network.run(1_000);
        expectMatch(a, b);
        const [call = 0, answer = 0, second = 0, last = 0] = network.wire.map(({ bytes }) => bytes.length);
        expect(call).toBe(I3_I1_BYTES);
        expect(answer).toBeLessThanOrEqual(call);
        expect(last).toBeLessThanOrEqual(second);
      }
    });
  }

  it("I2 goes to the id of the host that answered, later packets to the private ids", () => {
    const network = new Network();
    const [a, b] = i3Pair(network);
    const group = network.random.bytes(32);
    b.ids.push(group);
    b.offer = { ...b.offer, privateId: new Uint8Array(32).fill(0xb1) };
    network.connectI3(a, b, group);
    network.run(1_000);
    expectMatch(a, b);
    expect(network.wire.map(({ path }) => (path.kind === "i3" ? path.id : null))).toEqual([group, a.ids[1], b.ids[0], a.ids[1]]);
    expect(a.last("established").path).toEqual({ kind: "i3", id: b.offer.privateId });
    expect(b.last("established").path).toEqual({ kind: "i3", id: a.ids[1] });
  });

  it("answers nothing longer, and nothing without a return id", () => {
    const network = new Network();
    const [a, b] = i3Pair(network);
    network.middlebox = () => null;
    network.connect(a, b);
    const to = { kind: "i3", id: b.ids[0] as Uint8Array } as const;
    network.deliver(b, network.packet(i1), to);
    const list = parameter(decodeHipPacket(network.packet(i1)), PARAMETER.dhGroupList)?.contents as Uint8Array;
    const header = { type: i1, version: 2, controls: 0, senderHit: a.env.identity.hit, receiverHit: b.env.identity.hit };
    const call = (padding: number): Uint8Array => encodeHipPacket(header, [
      { type: PARAMETER.dhGroupList, contents: list }, { type: PARAMETER.i3ReturnId, contents: new Uint8Array(32) }, { type: PARAMETER.i3Padding, contents: new Uint8Array(padding) },
    ]);
    const { length } = b.host.responder?.r1 ?? new Uint8Array(0);
    const least = length - call(4).length + 4;
    network.deliver(b, call(least - 8), to);
    expect([b.host.counters.drops.amplification, network.types(b)]).toEqual([2, []]);
    network.deliver(b, call(least), to);
    expect([b.host.counters.drops.amplification, network.types(b)]).toEqual([2, [r1]]);
  });

  it("an R1 that names an id of somebody else is not followed", () => {
    const network = new Network();
    const a = network.add("a", identity("ecdsa-p256", 0), { ownPublicId: publicId(identity("ecdsa-p256", 0).hit) });
    const b = network.add("b", identity("ecdsa-p256", 1), { ownPublicId: network.random.bytes(32) });
    b.ids.push(publicId(b.env.identity.hit));
    network.connectI3(a, b);
    network.run(300);
    expect(network.types()).toEqual([i1, r1]);
    expect(a.host.counters.drops.hit).toBe(1);
  });

  it("with keys of RSA as they are generated, in both roles; I1 fills a path of 1,280 bytes and R1 has the sizes that limits.ts names", () => {
    const large = generateHostIdentity("rsa");
    const sizes = [identity("ecdsa-p256", 0), identity("ecdsa-p384", 0), identity("rsa", 0), large].map((own) =>
      ([7, 8, 9] as const).map((group) => new Network().add("a", own, { ownPublicId: publicId(own.hit), dhGroups: [group] }).host.responder?.r1.length));
    expect(sizes).toEqual([[424, 456, 496], [488, 520, 560], [792, 824, 864], [1_048, 1_080, 1_120]]);
    for (const roles of [[large, identity("ecdsa-p256", 0)], [identity("ecdsa-p256", 0), large]] as const) {
      const network = new Network();
      const [a, b] = roles.map((own, n) => network.add(String(n), own, { ownPublicId: publicId(own.hit) })) as [Node, Node];
      network.connectI3(a, b);
      network.run(1_000);
      expect(pairMatches(a.last("established"), b.last("established"))).toBe(true);
      expect(network.packet(r1).length).toBe(roles[1] === large ? 1_048 : 424);
    }
    expect(I3_I1_BYTES + 48 + 8 + 40).toBe(1_280);
  });

  it("a host key whose R1 is too long is an error at start that says why and what fits", () => {
    const large = identityOf(generateKeyPairSync("rsa", { modulusLength: 4_096 }).privateKey);
    const start = (): unknown => new Network().add("a", large, { ownPublicId: publicId(large.hit) });
    expect(start).toThrow(/R1 with this host key has 1304 bytes, and over i3 at most 1184 are allowed/);
    expect(start).toThrow(expect.objectContaining({ code: "ERR_I3_HIP_IDENTITY", remedy: expect.stringContaining("RSA of 2048 to 3072 bits") as unknown }) as Error);
    // Straight over UDP it may answer itself; the engine cannot.
    expect(new Network().add("a", large).host.responder).toBeNull();
    // A key of 4,096 bits takes its time.
  }, 60_000);
});
