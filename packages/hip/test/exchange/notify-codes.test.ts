/** What a responder says to an I2 that it does not take, and the key of a peer that it knows already. */
import { describe, expect, it } from "vitest";

import { dhKeyPair } from "../../src/crypto/diffie-hellman.js";
import type { HipEnvironment } from "../../src/exchange/events.js";
import { hostIdOf } from "../../src/exchange/r1-pool.js";
import { HIP_PACKET, PARAMETER } from "../../src/wire/numbers.js";
import { decodeHipPacket, parameter } from "../../src/wire/packet.js";
import { encodeDiffieHellman } from "../../src/wire/parameters/diffie-hellman.js";
import { encodeEspInfo } from "../../src/wire/parameters/esp-info.js";
import { encodeHostId } from "../../src/wire/parameters/host-id.js";
import { decodeNotification, NOTIFY_CODE, notifyName, type NotifyName } from "../../src/wire/parameters/notification.js";
import { encodeSolution } from "../../src/wire/parameters/puzzle.js";
import { encodeEspTransform, encodeHipCipher, encodeTransportFormatList } from "../../src/wire/parameters/suites.js";
import { identity, Network, pairMatches, type Node } from "./bed.js";
import { Forger, replaced, without, type CallOptions, type Change } from "./forger.js";

const { notify } = HIP_PACKET;
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
  // Who has not paid for it hears nothing.
  { what: "another puzzle", says: null, change: replaced(PARAMETER.solution, encodeSolution({ difficulty: 0, opaque: new Uint8Array(2), random: new Uint8Array(48), solution: new Uint8Array(48) })) },
  { what: "no SOLUTION", says: null, change: without(PARAMETER.solution) },
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

  it("codes of other failures are never sent: R1 answers any group list, and nothing else is answered", () => {
    const ours = new Set([...ROWS.map(({ says }) => says), "HIP_MAC_FAILED"]);
    const never = (Object.keys(NOTIFY_CODE) as NotifyName[]).filter((name) => !ours.has(name));
    expect(never).toEqual([
      "UNSUPPORTED_CRITICAL_PARAMETER_TYPE", "NO_DH_PROPOSAL_CHOSEN", "NO_HIP_PROPOSAL_CHOSEN", "UNSUPPORTED_HIT_SUITE", "CHECKSUM_FAILED", "LOCATOR_TYPE_UNSUPPORTED",
      "NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER", "CONNECTIVITY_CHECKS_FAILED", "MESSAGE_NOT_RELAYED", "I2_ACKNOWLEDGEMENT",
    ]);
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
