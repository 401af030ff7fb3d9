/**
 * Between servers: any bytes as a credential or as a file of a ring give a value or a clear refusal; and somebody who sees, drops, delays, repeats, changes
 * and forges datagrams, with the credential of a member that has gone bad, is never heard in another's name, makes nothing be heard twice, gets no answer that is
 * larger than what he sent, and stops nobody for longer than he goes on. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { CONTROL_TYPES, decodeControl, encodeControl, makeLocator, sameBytes, sameLocator, toHex, WireError } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { admitServer, isSigned, readCredential } from "@i3/i3-server";
import { expect, it } from "vitest";

import { authorityFromText, authorityOf, authorityToText, membershipFromText, membershipToText, RingFileProblem } from "../../packages/i3-server/src/ring/ring-files.js";
import { AUTHORITY, ChannelNet, type ChannelNode, type Datagram, OTHER_AUTHORITY } from "../../packages/i3-server/test/ring/channel-net.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const TURNS_PER_WORLD = 150;
const THIEF = makeLocator(Uint8Array.of(198, 51, 100, 9), 5_000);
const LIKELY = [...Buffer.from("# \t\r\n0123456789abcdefABCDEF-kiyp"), 0, 0x7f, 0xff];
const WORDS = ["i3 ring authority 1", "i3 ring credential 1", "i3 ring credential 9", "public-key", "private-key", "credential", "__proto__", "constructor", "00", "ff".repeat(32)];

/** Value, or null for a refusal of the right kind; anything else is thrown on. */
function orRefused<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError || (error instanceof RingFileProblem && error.message.length < 200)) return null;
    throw error;
  }
}

it(`files of a ring, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  console.log(`ring file fuzz: I3_FUZZ_SEED=${SEED}`);
  const random = new Random(SEED);
  const member = admitServer(AUTHORITY, (length) => random.bytes(length));
  const texts = [membershipToText(member), authorityToText(authorityOf(AUTHORITY))];
  const endMs = performance.now() + (SECONDS * 1_000) / 2;
  let cases = 0;
  let read = 0;
  for (; performance.now() < endMs || cases < 200; cases += 1) {
    const lines = random.pick(texts).split("\n");
    const changed = random.below(2) === 0 ? Buffer.from(mutated(random, Buffer.from(lines.join("\n")), LIKELY)).toString() : lines.toSpliced(random.below(lines.length), random.below(2), `${random.pick(WORDS)} ${random.pick(WORDS)}`).join("\n");
    const found = orRefused(() => membershipFromText(changed));
    if (found !== null) {
      read += 1;
      // Five bits of an X25519 key mean nothing (RFC 7748 §5), so the key may look different and be the same.
      expect(found.credential, JSON.stringify(changed)).toEqual(member.credential);
    }
    const authority = orRefused(() => authorityFromText(changed));
    if (authority !== null) expect(authority, JSON.stringify(changed)).toEqual(authorityOf(AUTHORITY));
    const bytes = random.below(4) === 0 ? random.bytes(random.below(200)) : mutated(random, member.credential.bytes, LIKELY);
    const credential = orRefused(() => readCredential(bytes));
    if (credential !== null && isSigned(credential)) expect(credential.bytes).toEqual(member.credential.bytes);
  }
  console.log(`ring file fuzz: ${cases} files, ${read} read`);
  expect(read).toBeGreaterThan(0);
});

class World {
  readonly net: ChannelNet;
  readonly honest: ChannelNode[];
  readonly bad: ChannelNode;
  /** Unique keys of honest FINDs and ROUTEs, by who sent which to whom. */
  readonly said = new Map<string, { readonly from: ChannelNode; readonly to: ChannelNode }>();
  /** ROUTED that were sent to each; none is heard twice. */
  readonly answers = new Map<ChannelNode, number>();
  readonly #heard = new Map<ChannelNode, number>();
  readonly #once = new Set<string>();

  constructor(readonly random: Random, seed: number) {
    this.net = new ChannelNet(seed);
    this.honest = [this.net.add(), this.net.add(), this.net.add()];
    this.bad = this.net.add();
    this.net.passes = () => this.random.below(10) > 0;
  }

  /** One asks through a second, and a third answers, whom it may never have met. */
  answerTo(asker: ChannelNode): void {
    const [friend, owner] = this.honest.filter((node) => node !== asker) as [ChannelNode, ChannelNode];
    const nonce = this.net.bytes(8);
    const ringKey = this.net.bytes(16);
    const credential = asker.membership.credential.bytes;
    this.said.set(toHex(ringKey), { from: asker, to: friend });
    asker.channel.send(this.net.nowMs, friend.locator, friend.node.key, nonce, { type: "ROUTE", from: asker.node, ringKey, asker: asker.node, last: false, hops: 1, credential }, Infinity);
    const sent = { type: "ROUTED", from: owner.node, hops: 1, credential: null } as const;
    owner.channel.send(this.net.nowMs, asker.locator, asker.node.key, nonce, sent, Infinity, credential);
    this.answers.set(asker, (this.answers.get(asker) ?? 0) + 1);
  }

  say(from: ChannelNode, to: ChannelNode): string {
    const ringKey = this.net.bytes(16);
    this.said.set(toHex(ringKey), { from, to });
    from.send(to, { type: "FIND", from: from.node, ringKey });
    return toHex(ringKey);
  }

  turn(): void {
    const { random, net } = this;
    const target = random.pick(this.honest);
    const seen = net.wire.length === 0 ? null : random.pick(net.wire.slice(-400));
    switch (random.below(14)) {
      case 0: case 1: case 2: this.say(target, random.pick(this.honest.filter((node) => node !== target))); break;
      case 3: net.run(random.below(400)); break;
      case 4: if (seen !== null) this.attack(target, seen.bytes); break;
      case 5: case 6: if (seen !== null) this.attack(target, mutated(random, seen.bytes, LIKELY)); break;
      case 7: this.attack(target, encodeControl({ type: random.below(2) === 0 ? "HELLO" : "HELLO_YES", credential: this.#anyCredential() }, seen?.bytes.slice(8, 16) ?? net.bytes(8))); break;
      case 8: this.attack(target, Uint8Array.from([0x19, random.pick(Object.values(CONTROL_TYPES)), random.below(2), 0, 0, random.below(60), 0, 0, ...random.bytes(random.below(300))])); break;
      case 9: this.bad.send(target, random.pick([{ type: "NOTIFY", from: random.pick(this.honest).node }, { type: "LEAVING", from: this.bad.node, predecessor: null, successors: [] }])); break;
      case 10: if (seen !== null) this.attack(target, encodeControl({ type: "HELLO_AGAIN", counter: random.below(20) }, seen.bytes.slice(8, 16))); break;
      case 11: case 12: this.answerTo(target); break;
      default:
        if (random.below(6) > 0) break;
        target.clockErrorMs = random.pick([0, -net.nowMs, -86_400_000, 86_400_000, random.below(10_000) - 5_000]);
        target.start();
    }
    net.run(random.below(30));
    this.check();
  }

  #anyCredential(): Uint8Array {
    const { random, net } = this;
    const bytes = random.pick(net.nodes).membership.credential.bytes;
    return random.below(3) === 0 ? admitServer(random.pick([AUTHORITY, OTHER_AUTHORITY]), net.bytes).credential.bytes : random.below(2) === 0 ? bytes : Uint8Array.from(bytes, (byte) => (random.below(40) === 0 ? random.below(256) : byte));
  }

  attack(target: ChannelNode, bytes: Uint8Array): void {
    const since = this.net.wire.length;
    if (orRefused(() => decodeControl(bytes)) !== null) target.take({ from: THIEF, bytes });
    const answers = this.net.wire.slice(since).filter(({ to }: Datagram) => sameLocator(to, THIEF));
    for (const answer of answers) expect(answer.bytes.length).toBeLessThanOrEqual(bytes.length);
    expect(answers.length).toBeLessThanOrEqual(1);
  }

  check(): void {
    for (const node of this.honest) {
      for (const message of node.heard.slice(this.#heard.get(node) ?? 0)) {
        const speaker = this.net.nodes.find(({ node: { key } }) => sameBytes(key, message.from.key));
        if (speaker === this.bad) continue;
        if (message.type === "ROUTED" && this.#mayHearAnswer(node)) continue;
        if (message.type !== "FIND" && message.type !== "ROUTE") throw new Error(`${message.type} that nobody said`);
        const key = toHex(message.ringKey);
        expect(this.said.get(key)).toEqual({ from: speaker, to: node });
        expect(this.#once.has(key), "heard twice").toBe(false);
        this.#once.add(key);
      }
      this.#heard.set(node, node.heard.length);
    }
  }

  /** Fewer than were sent to it. */
  #mayHearAnswer(node: ChannelNode): boolean {
    const left = this.answers.get(node) ?? 0;
    this.answers.set(node, left - 1);
    return left > 0;
  }

  /** Once the attack is over everybody hears everybody within what chord gives a request, and a second for the last HELLO_AGAIN. */
  settle(): void {
    this.net.passes = () => true;
    for (const from of this.honest) {
      for (const to of this.honest) {
        if (from === to) continue;
        const heard = to.heard.length;
        for (let i = 0; i < 12 && to.heard.length === heard; i += 1) {
          this.say(from, to);
          this.net.run(250);
        }
        expect(to.heard.length, "nobody is kept apart").toBeGreaterThan(heard);
        this.check();
      }
    }
  }
}

it(`channels under attack, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  console.log(`channel fuzz: I3_FUZZ_SEED=${SEED}`);
  const endMs = performance.now() + (SECONDS * 1_000) / 2;
  let worlds = 0;
  let heard = 0;
  while (worlds === 0 || performance.now() < endMs) {
    const world = new World(new Random((SEED + worlds) >>> 0), (SEED + worlds) >>> 0);
    try {
      for (let turn = 0; turn < TURNS_PER_WORLD; turn += 1) world.turn();
      world.settle();
    } catch (error) {
      throw new Error(`world ${worlds} of seed ${SEED}`, { cause: error });
    }
    worlds += 1;
    heard += world.honest.reduce((sum, node) => sum + node.heard.length, 0);
  }
  console.log(`channel fuzz: ${worlds * TURNS_PER_WORLD} turns, ${heard} messages heard`);
  expect(heard).toBeGreaterThan(0);
});
