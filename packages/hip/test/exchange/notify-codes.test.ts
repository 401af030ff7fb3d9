/** What is said to who sent an I2, R1, UPDATE or CLOSE that is not taken, and the key of a peer that is known already. */
import { concatBytes, publicId } from "@i3/common";
import { describe, expect, it } from "vitest";

import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import type { HipEnvironment } from "../../src/exchange/events.js";
import { NOTIFIES_PER_SECOND } from "../../src/exchange/limits.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { notifiedHash } from "../../src/exchange/seal.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, decodeHipPacketLeniently, parameter } from "../../src/wire/packet.js";
import { encodeDhGroupList, encodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { encodeHostId } from "../../src/wire/parameters/host-id.js";
import { decodeNotification, NOTIFY_CODE, notifyName, type NotifyName } from "../../src/wire/parameters/notification.js";
import { encodeSolution } from "../../src/wire/parameters/puzzle.js";
import { encodeSeq } from "../../src/wire/parameters/sequence.js";
import { encodeEspTransform, encodeHipCipher, encodeHitSuiteList, encodeTransportFormatList } from "../../src/wire/parameters/suites.js";
import type { ParameterContents } from "../../src/wire/tlv.js";
import { identity, Network, pairMatches, type Node } from "./bed.js";
import { Forger, replaced, resigned, without, type CallOptions, type Change } from "./forger.js";

const { notify, r1, update, close } = HIP_PACKET;
/** Critical, and nobody's. */
const UNKNOWN = 601;
const same: Change = (all) => all;

/** The codes of the NOTIFYs that a node sent. */
const saidBy = (network: Network, node: Node): readonly string[] => network.wire.filter(({ from, bytes }) => from === node && bytes[2] === notify)
  .map(({ bytes }) => notifyName(decodeNotification(parameter(decodeHipPacket(bytes), PARAMETER.notification)?.contents as Uint8Array).code));

interface Row {
  readonly what: string;
  readonly says: NotifyName | null;
  readonly change?: Change;
  readonly options?: CallOptions;
  readonly responder?: Partial<HipEnvironment>;
}

const somebodyElse = identity("ecdsa-p256", 1);
const inside = (contents: Uint8Array): CallOptions => ({ inside: [{ type: PARAMETER.hostId, contents }] });

const ROWS: readonly Row[] = [
  { what: "a host that the access list does not name", says: "BLOCKED_BY_POLICY", responder: { admits: () => false } },
  { what: "a key that the access list does not name", says: "BLOCKED_BY_POLICY", responder: { admits: (_, key) => key === undefined } },
  { what: "no room for another peer", says: "RESPONDER_BUSY_PLEASE_RETRY", responder: { offerFor: () => null } },
  { what: "a group that R1 did not have", says: "INVALID_DH_CHOSEN", change: replaced(PARAMETER.diffieHellman, encodeDiffieHellman(dhKeyPair(8, (n) => new Uint8Array(n).fill(3)))) },
  { what: "a point that is not on the curve", says: "INVALID_DH_CHOSEN", change: replaced(PARAMETER.diffieHellman, encodeDiffieHellman({ group: 7, publicValue: new Uint8Array(64).fill(3) })) },
  { what: "the cipher NULL", says: "INVALID_HIP_CIPHER_CHOSEN", change: replaced(PARAMETER.hipCipher, encodeHipCipher([1])) },
  { what: "another transport", says: "NO_ESP_PROPOSAL_CHOSEN", change: replaced(PARAMETER.transportFormatList, encodeTransportFormatList([2_050])) },
  { what: "an ESP suite that is not wanted", says: "INVALID_ESP_TRANSFORM_CHOSEN", change: replaced(PARAMETER.espTransform, encodeEspTransform([7])) },
  { what: "an SPI that is reserved", says: "INVALID_SYNTAX", change: replaced(PARAMETER.espInfo, encodeEspInfo({ keymatIndex: 160, oldSpi: 0, newSpi: 255 })) },
  { what: "no ESP_INFO", says: "INVALID_SYNTAX", change: without(PARAMETER.espInfo) },
  { what: "ENCRYPTED of noise", says: "ENCRYPTION_FAILED", options: { inside: [] } },
  { what: "a HOST_ID of somebody else", says: "INVALID_HIT", options: inside(hostIdOf(somebodyElse)) },
  { what: "a HOST_ID of no algorithm that is known", says: "INVALID_HIT", options: inside(encodeHostId({ algorithm: 13, hi: new Uint8Array(32), domainId: null })) },
  { what: "the signature of another key", says: "AUTHENTICATION_FAILED", options: { signer: somebodyElse } },
  { what: "a critical parameter that is not known", says: "UNSUPPORTED_CRITICAL_PARAMETER_TYPE", change: replaced(UNKNOWN, new Uint8Array(4)) },
  { what: "one inside ENCRYPTED", says: "UNSUPPORTED_CRITICAL_PARAMETER_TYPE", options: { inside: [{ type: UNKNOWN, contents: new Uint8Array(4) }, { type: PARAMETER.hostId, contents: hostIdOf(identity("ecdsa-p256", 7)) }] } },
  // Who has not paid for it hears nothing.
  { what: "another puzzle", says: null, change: replaced(PARAMETER.solution, encodeSolution({ difficulty: 0, opaque: new Uint8Array(2), random: new Uint8Array(48), solution: new Uint8Array(48) })) },
  { what: "no SOLUTION", says: null, change: without(PARAMETER.solution) },
  { what: "no SOLUTION and a critical parameter that is not known", says: null, change: (all) => replaced(UNKNOWN, new Uint8Array(4))(without(PARAMETER.solution)(all)) },
  // Nothing is wrong with the form, and it may be a host that knows more than we do.
  { what: "a KEYMAT index among the HIP keys", says: null, change: replaced(PARAMETER.espInfo, encodeEspInfo({ keymatIndex: 32, oldSpi: 0, newSpi: 300 })) },
];

describe("an I2 with", () => {
  it.each(ROWS)("$what: $says", ({ says, change = same, options = {}, responder = {} }) => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 2), responder);
    new Forger(network, b).callWith(change, options);
    expect([saidBy(network, b), b.of("established").length, b.host.sizes.associations]).toEqual([says === null ? [] : [says], 0, 0]);
    expect(b.host.counters.notifySent).toBe(says === null ? 0 : 1);
  });

  it("a wrong MAC: HIP_MAC_FAILED", () => {
    const network = new Network();
    const [a, b] = [network.add("a", identity("ecdsa-p256", 0)), network.add("b", identity("ecdsa-p256", 1))];
    // The last byte of TRANSPORT_FORMAT_LIST's padding: nobody reads it, and the MAC covers it.
    network.middlebox = ({ bytes }) => {
      const found = bytes[2] === HIP_PACKET.i2 ? decodeHipPacket(bytes).parameters.find(({ type }) => type === PARAMETER.espTransform) : undefined;
      return found === undefined ? bytes : bytes.map((byte, at) => (at === found.offset - 1 ? byte ^ 1 : byte));
    };
    network.connect(a, b);
    network.run(45);
    expect([saidBy(network, b), b.of("established")]).toEqual([["HIP_MAC_FAILED"], []]);
  });

  it("a critical parameter that is not known hears its type, and then which I2 was meant", () => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 2));
    let i2: Uint8Array | undefined;
    const forger = new Forger(network, b);
    forger.send = (bytes) => {
      i2 = bytes;
      network.deliver(b, bytes, forger.path);
    };
    forger.callWith(replaced(UNKNOWN, new Uint8Array(4)));
    const { data } = decodeNotification(parameter(decodeHipPacket(network.packet(notify)), PARAMETER.notification)?.contents as Uint8Array);
    expect(data).toEqual(concatBytes(Uint8Array.of(UNKNOWN >> 8, UNKNOWN & 0xff), notifiedHash(decodeHipPacketLeniently(i2 as Uint8Array))));
  });

  it("codes of other failures are never sent: I1 is answered by R1 whatever it lists, and a HIT of another suite proves nothing", () => {
    const ours = new Set([...ROWS.map(({ says }) => says), ...R1_ROWS.map(({ says }) => says), "HIP_MAC_FAILED"]);
    const never = (Object.keys(NOTIFY_CODE) as NotifyName[]).filter((name) => !ours.has(name));
    expect(never).toEqual([
      "UNSUPPORTED_HIT_SUITE", "CHECKSUM_FAILED", "LOCATOR_TYPE_UNSUPPORTED", "NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER", "CONNECTIVITY_CHECKS_FAILED", "MESSAGE_NOT_RELAYED",
      "I2_ACKNOWLEDGEMENT",
    ]);
  });
});

interface R1Row {
  readonly what: string;
  readonly says: NotifyName;
  readonly change: Change;
  readonly why: RegExp;
}

const R1_ROWS: readonly R1Row[] = [
  { what: "a critical parameter that is not known", says: "UNSUPPORTED_CRITICAL_PARAMETER_TYPE", change: replaced(UNKNOWN, new Uint8Array(4)), why: /critical parameter 601 is not known$/ },
  { what: "groups that we do not have", says: "NO_DH_PROPOSAL_CHOSEN", change: replaced(PARAMETER.dhGroupList, encodeDhGroupList([1, 2])), why: /the peer has 1, 2$/ },
  { what: "ciphers that we do not take", says: "NO_HIP_PROPOSAL_CHOSEN", change: replaced(PARAMETER.hipCipher, encodeHipCipher([1])), why: /no common HIP cipher$/ },
  { what: "HIT suites without ours", says: "NO_HIP_PROPOSAL_CHOSEN", change: replaced(PARAMETER.hitSuiteList, encodeHitSuiteList([1])), why: /does not take host keys like ours/ },
  { what: "ESP suites that we do not want", says: "NO_ESP_PROPOSAL_CHOSEN", change: replaced(PARAMETER.espTransform, encodeEspTransform([7])), why: /no common ESP suite: the peer has 7 \(readable, authenticated\)$/ },
  { what: "another transport", says: "NO_ESP_PROPOSAL_CHOSEN", change: replaced(PARAMETER.transportFormatList, encodeTransportFormatList([2_050])), why: /does not speak ESP$/ },
];

describe("an R1 with", () => {
  /** A call whose R1s are changed on their way. */
  function calledBack(treat: (bytes: Uint8Array) => Uint8Array, isOverI3 = false): { readonly network: Network; readonly a: Node; readonly b: Node } {
    const network = new Network();
    const [a, b] = [0, 1].map((n) => network.add("ab"[n] as string, identity("ecdsa-p256", n), { ownPublicId: isOverI3 ? publicId(identity("ecdsa-p256", n).hit) : null })) as [Node, Node];
    network.middlebox = ({ bytes }) => (bytes[2] === r1 ? treat(bytes) : bytes);
    if (isOverI3) network.connectI3(a, b);
    else network.connect(a, b);
    return { network, a, b };
  }
  const own = identity("ecdsa-p256", 1);

  it.each(R1_ROWS)("$what ends the call at once, and its host hears $says", ({ says, change, why }) => {
    for (const isOverI3 of [false, true]) {
      const { network, a, b } = calledBack(resigned(own, change), isOverI3);
      network.run(45);
      expect([saidBy(network, a), a.of("failed").map(({ code }) => code), b.host.counters.notifyReceived]).toEqual([[says], ["incompatible"], 1]);
      expect(a.last("failed").reason).toMatch(why);
      const [said, about] = [network.packet(notify), network.wire.findLast(({ bytes }) => bytes[2] === r1)?.bytes] as [Uint8Array, Uint8Array];
      expect(said.length).toBeLessThanOrEqual(about.length);
    }
  });

  it.each(R1_ROWS)("$what that its host did not sign is answered with nothing", ({ change }) => {
    const { network, a } = calledBack(resigned(identity("ecdsa-p256", 3), change));
    network.run(20_000);
    expect([saidBy(network, a), a.of("failed").map(({ code }) => code)]).toEqual([[], ["silent"]]);
  });

  it("a critical parameter that is not known, where nobody called, is answered with nothing", () => {
    const { network, a, b } = calledBack(resigned(own, replaced(UNKNOWN, new Uint8Array(4))));
    network.run(45);
    network.deliver(a, resigned(own, replaced(UNKNOWN, new Uint8Array(4)))(network.packet(r1)), b);
    expect([saidBy(network, a).length, a.host.counters.drops.unexpected]).toEqual([1, 1]);
  });
});

describe("a packet of an association with a critical parameter that is not known", () => {
  const unknown = { type: UNKNOWN, contents: new Uint8Array(4) };
  const rows: readonly (readonly [string, number, ParameterContents[]])[] = [
    ["UPDATE", update, [{ type: PARAMETER.seq, contents: encodeSeq(0) }, unknown]],
    ["CLOSE", close, [unknown, { type: PARAMETER.echoRequestSigned, contents: new Uint8Array(16) }]],
  ];

  function associated(): { readonly network: Network; readonly b: Node; readonly forger: Forger } {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 2));
    const forger = new Forger(network, b);
    forger.callWith(same);
    return { network, b, forger };
  }

  it.each(rows)("%s changes nothing, and the peer hears it where it is known to be", (_, type, parameters) => {
    const { network, b, forger } = associated();
    const { path } = forger;
    Object.assign(forger, { path: { kind: "ip", address: Uint8Array.of(203, 0, 113, 9) } });
    forger.say(type, parameters);
    expect([saidBy(network, b), network.wire.at(-1)?.path, b.host.counters.drops.malformed, b.of("closed")]).toEqual([["UNSUPPORTED_CRITICAL_PARAMETER_TYPE"], path, 1, []]);
  });

  it.each(rows)("%s that another key signed is answered with nothing", (_, type, parameters) => {
    const { network, b, forger } = associated();
    forger.say(type, parameters, identity("ecdsa-p256", 3));
    expect([saidBy(network, b), b.host.counters.drops.signature]).toEqual([[], 1]);
  });

  it("is answered 20 times a second at most", () => {
    const { network, b, forger } = associated();
    for (let n = 0; n < 100; n++) forger.say(...(rows[1]?.slice(1) as [number, ParameterContents[]]));
    expect(saidBy(network, b).length).toBe(NOTIFIES_PER_SECOND);
  });
});

describe("a peer whose key is known from its association", () => {
  it("is the same key object behind a fresh exchange, and another peer's is not", () => {
    const network = new Network();
    const [a, b, c] = [0, 1, 2].map((n) => network.add("abc"[n] as string, identity("ecdsa-p256", n))) as [Node, Node, Node];
    for (const caller of [a, a, c]) {
      network.connect(caller, b);
      network.run(1_000);
      expect(pairMatches(caller.last("established"), b.last("established"))).toBe(true);
    }
    const [first, second, other] = b.of("established").map(({ peer }) => peer);
    expect([second === first, other === first]).toEqual([true, false]);
  });

  const rows: readonly (readonly [string, NotifyName, Change, CallOptions])[] = [
    ["another host's key", "INVALID_HIT", same, inside(hostIdOf(somebodyElse))],
    ["its own bytes under another algorithm", "INVALID_SYNTAX", same, inside(encodeHostId({ algorithm: 5, hi: identity("ecdsa-p256", 7).hi, domainId: null }))],
    ["another key's signature", "AUTHENTICATION_FAILED", same, { signer: somebodyElse }],
  ];
  it.each(rows)("has to prove it again: with %s it is refused, and its association lives", (_, says, change, options) => {
    const network = new Network();
    const b = network.add("b", identity("ecdsa-p256", 2));
    const forger = new Forger(network, b);
    forger.callWith(same);
    const before = b.last("established").association;
    forger.callWith(change, options);
    expect([saidBy(network, b), b.of("established").length, b.host.sizes.associations, b.last("established").association]).toEqual([[says], 1, 1, before]);
    forger.callWith(same);
    expect(b.of("established").map(({ replaces }) => replaces)).toEqual([null, before]);
  });
});
