/** A lookup is answered at once also by a server that has never met the asker: both show their credentials (docs/wire.md §4.2). */
import { describe, expect, it } from "vitest";

import { decodeControl, sameLocator, type RingNode } from "@i3/common";

import { STRANGERS_PER_SECOND } from "../../src/ring/constants.js";
import { admitServer, type RingMembership } from "../../src/ring/credential.js";
import { privateKeyOf } from "../../src/ring/raw-keys.js";
import { pairKeyOf, sealRingMessage } from "../../src/ring/ring-message.js";
import { AUTHORITY, ChannelNet, OTHER_AUTHORITY, THIEF, typeOf, WALL_MS, type ChannelNode, type Datagram } from "./channel-net.js";

const KEY = new Uint8Array(16).fill(9);
const NONCE = new Uint8Array(8).fill(4);

/** `asker` has a friend, through whom it asks; `owner` has met neither. */
function strangers(): { readonly net: ChannelNet; readonly asker: ChannelNode; readonly owner: ChannelNode; readonly since: number } {
  const net = new ChannelNet();
  const [asker, friend] = net.pair();
  const owner = net.add();
  const credential = asker.membership.credential.bytes;
  asker.channel.send(net.nowMs, friend.locator, friend.node.key, NONCE, { type: "ROUTE", from: asker.node, ringKey: KEY, asker: asker.node, last: false, hops: 1, credential }, Infinity);
  return { net, asker, owner, since: net.wire.length };
}

const answer = (net: ChannelNet, owner: ChannelNode, asker: RingNode, shown: Uint8Array | null, maxBytes = Infinity, nonce = NONCE): void =>
  owner.channel.send(net.nowMs, asker.locator, asker.key, nonce, { type: "ROUTED", from: owner.node, hops: 3, credential: null }, maxBytes, shown);

const heardOf = ({ heard }: ChannelNode): readonly string[] => heard.map(({ type }) => type).filter((type) => type === "ROUTED");

describe("an answer to who was never met", () => {
  it("is one datagram, and is taken", () => {
    const { net, asker, owner, since } = strangers();
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    net.run(11);
    expect(heardOf(asker)).toEqual(["ROUTED"]);
    net.run(5_000);
    expect(net.wire.slice(since).filter(({ to, from }) => sameLocator(from, owner.locator) || sameLocator(to, owner.locator)).map(typeOf)).toEqual(["ROUTED"]);
    expect([owner.channel.sessionCount, asker.channel.sessionCount]).toEqual([0, 1]);
  });

  it("goes the usual way to who has a session", () => {
    const { net, asker, owner } = strangers();
    for (const [from, to] of [[asker, owner], [owner, asker]] as const) {
      from.notify(to);
      net.run(100);
    }
    const since = net.wire.length;
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    net.run(11);
    const [routed] = net.sent("ROUTED", since) as [Datagram];
    expect(decodeControl(routed.bytes).message).toMatchObject({ credential: null });
    expect(heardOf(asker)).toEqual(["ROUTED"]);
  });

  it("is taken once, and in no other's place", () => {
    const { net, asker, owner, since } = strangers();
    const other = net.add();
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    const [routed] = net.sent("ROUTED", since) as [Datagram];
    net.run(100);
    expect([asker, other].map((node) => [net.nowMs, net.nowMs + 1_000].map(() => node.take(routed)))).toEqual([[null, null], [null, null]]);
    asker.notify(owner);
    net.run(100);
    expect([asker.take(routed), heardOf(asker).length, heardOf(other).length]).toEqual([null, 1, 0]);
  });

  it("of which any byte is changed is not taken, and the true one is, behind it", () => {
    const { net, asker, owner, since } = strangers();
    net.passes = () => false;
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    const [routed] = net.sent("ROUTED", since) as [Datagram];
    let taken = 0;
    for (let at = 0; at < routed.bytes.length; at += 1) {
      const bytes = new Uint8Array(routed.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ 0x01;
      net.nowMs += 1_000 / STRANGERS_PER_SECOND; // so that none is refused because of those before it
      try {
        if (asker.take({ from: THIEF, bytes }) !== null) taken += 1;
      } catch {
        continue; // not even a message
      }
    }
    expect(taken).toBe(0);
    expect(asker.take(routed)?.type).toBe("ROUTED");
  });

  it.each([
    ["a member", AUTHORITY, 0, {}, "ROUTED", null],
    ["a nonce that the asker has not made", AUTHORITY, 0, { nonce: new Uint8Array(8).fill(5) }, undefined, "session"],
    ["one whose credential is of another ring", OTHER_AUTHORITY, 0, {}, undefined, "credential"],
    ["one whose credential has ended", AUTHORITY, WALL_MS / 1_000 - 1, {}, undefined, "credential-ended"],
    ["one who shows another's credential", AUTHORITY, 0, { key: new Uint8Array(16).fill(7) }, undefined, "credential"],
    ["one who names a run of the asker's", AUTHORITY, 0, { receiverEpoch: 1 }, undefined, "epoch"],
  ] as const)("of %s: taken or not, and counted", (_name, authority, notAfterS, fields, taken, counted) => {
    const { net, asker } = strangers();
    const member = admitServer(authority, net.bytes, notAfterS);
    expect(asker.take({ from: THIEF, bytes: sealedBy(member, asker, fields) })?.type).toBe(taken);
    expect(counted === null ? 1 : asker.counters.get(counted)).toBe(1);
  });

  it.each([
    ["none is shown", () => null, "session"],
    ["another's is shown", (net: ChannelNet) => net.add().membership.credential.bytes, "credential"],
    ["one of another ring is shown", (net: ChannelNet) => admitServer(OTHER_AUTHORITY, net.bytes).credential.bytes, "credential"],
    ["an unsigned one is shown", (_net: ChannelNet, asker: ChannelNode) => changed(asker.membership.credential.bytes, 152), "credential"],
    ["what is shown is none", () => new Uint8Array(153), "credential"],
  ] as const)("is not sent when %s", (_name, shown, counted) => {
    const { net, asker, owner } = strangers();
    const credential = shown(net, asker);
    const since = net.wire.length;
    answer(net, owner, asker.node, credential);
    net.run(5_000);
    expect([net.wire.slice(since).filter(({ from }) => sameLocator(from, owner.locator)).length, owner.counters.get(counted)]).toEqual([0, 1]);
  });

  it("is not sent when it would be longer than what it answers", () => {
    const { net, asker, owner, since } = strangers();
    answer(net, owner, asker.node, asker.membership.credential.bytes, 200);
    expect([net.sent("ROUTED", since).length, owner.counters.get("amplification")]).toEqual([0, 1]);
  });

  it("costs a signature for so many strangers a second, and who is known by then is answered all the same", () => {
    const { net, asker, owner } = strangers();
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    const many = Array.from({ length: 2 * STRANGERS_PER_SECOND }, () => admitServer(AUTHORITY, net.bytes).credential);
    const since = net.wire.length;
    for (const { nodeKey, bytes } of many) answer(net, owner, { key: nodeKey, locator: THIEF }, bytes);
    expect([net.sent("ROUTED", since).length, owner.counters.get("hello-rate")]).toEqual([STRANGERS_PER_SECOND - 1, STRANGERS_PER_SECOND + 1]);
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    expect(net.sent("ROUTED", since).length).toBe(STRANGERS_PER_SECOND);
  });

  it("leaves no session behind that another could speak in", () => {
    const { net, asker, owner, since } = strangers();
    answer(net, owner, asker.node, asker.membership.credential.bytes);
    net.run(100);
    const [routed] = net.sent("ROUTED", since) as [Datagram];
    owner.start(); // and its clock is where it was
    net.run(100);
    for (const node of [asker, owner]) node.take(routed);
    asker.notify(owner);
    owner.notify(asker);
    net.run(500);
    expect([heardOf(asker).length, owner.heard.map(({ type }) => type), asker.heard.map(({ type }) => type).filter((type) => type === "NOTIFY").length]).toEqual([1, ["NOTIFY"], 2]);
  });
});

interface Fields {
  readonly nonce?: Uint8Array;
  readonly key?: Uint8Array;
  readonly receiverEpoch?: number;
}

/** ROUTED as somebody with this key would seal it. */
function sealedBy({ credential, privateKey }: RingMembership, asker: ChannelNode, { nonce = NONCE, key = credential.nodeKey, receiverEpoch = 0 }: Fields): Uint8Array {
  const pairKey = pairKeyOf(privateKeyOf("x25519", privateKey), credential, asker.membership.credential) as Uint8Array;
  const message = { type: "ROUTED", from: { key, locator: THIEF }, hops: 3, credential: credential.bytes } as const;
  return sealRingMessage(message, nonce, { pairKey, sender: credential.nodeKey, receiver: asker.node.key }, { senderEpoch: 1, receiverEpoch, counter: 1 });
}

function changed(bytes: Uint8Array, at: number): Uint8Array {
  const out = new Uint8Array(bytes);
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
}
