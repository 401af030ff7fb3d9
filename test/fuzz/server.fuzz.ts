/**
 * Random bytes and mutated control messages into the server core, from strangers and from a member gone mad: nothing throws, no
 * answer is larger than its request or goes to a stranger who did not ask, no trigger ever leads to the thief, and what the
 * server sends can be decoded. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { expect, it } from "vitest";

import {
  CONTROL_TYPES, decodeControl, encodeControl, groupId, isRingMessage, makeLocator, recordKey, sameBytes, sameLocator, type ControlMessage, type Locator, type RingNode, type SignedRecord,
} from "@i3/common";
import { certifyMember, generateTriggerKey, signStep, type TriggerSigner } from "@i3/hip";
import { admitServer } from "@i3/i3-server";

import { hitOf, nameRecord } from "../../packages/i3-server/test/records/some-records.js";
import { randomBytesFrom, seeded } from "../../packages/i3-server/test/ring-net.js";
import { RING_AUTHORITY, RingPeer } from "../../packages/i3-server/test/ring-peer.js";
import { CHAIN, CLIENT, idOf, KEY, ServerBench, THIEF, tokenAt } from "../../packages/i3-server/test/server-bench.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32));
const TURNS_PER_WORLD = 400;
const GROUP = generateTriggerKey();
const MEMBER = ((key) => ({ kind: "member", certificate: certifyMember(GROUP, key.publicKey, 2_000_000_000), key }))(generateTriggerKey()) satisfies TriggerSigner;
const STEP = signStep({ kind: "private", key: GROUP }, idOf(KEY), idOf(GROUP), 2_000_000_000);
const GROUP_ID = groupId(GROUP.publicKey, new Uint8Array(16));
const REQUEST_ANSWERS: ReadonlySet<string> = new Set(["PONG", "LOCATED", "CHALLENGE", "TRIGGER_OK", "REFUSED", "FOUND", "STATE_IS", "ALIVE_YES", "CACHE", "SHORTCUT", "NOT_PRESENT", "HELLO_YES", "HELLO_AGAIN", "RECORD_OK", "RECORD_IS"]);

const RECORDS = [1, 2, 3].map((sequence) => nameRecord({ sequence, value: hitOf(sequence) }));
const RECORD_KEY = recordKey(nameRecord());

class World {
  readonly random: () => number;
  readonly bytes: (length: number) => Uint8Array;
  readonly bench: ServerBench;
  readonly peers: RingPeer[];

  constructor(seed: number) {
    this.random = seeded(seed);
    this.bytes = randomBytesFrom(this.random);
    const member = () => admitServer(RING_AUTHORITY, this.bytes);
    this.bench = new ServerBench({ ring: member(), random: this.bytes, members: [makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000)] });
    this.peers = Array.from({ length: 6 }, (_, i) => new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2 + i), 4_000), member()));
    this.bench.advance(2_500);
    for (const peer of this.peers) this.bench.meet(peer);
    this.bench.engine.take();
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  shown(): Uint8Array | null {
    return this.pick([null, this.bytes(153), admitServer(RING_AUTHORITY, this.bytes).credential.bytes, this.pick(this.peers).credential]);
  }

  node(): RingNode {
    return this.random() < 0.1 ? this.bench.self : this.pick(this.peers).node;
  }

  key(): Uint8Array {
    return this.random() < 0.5 ? idOf(KEY).slice(0, 16) : this.bytes(16);
  }

  /** `from` of a peer, which lies now and then. */
  message(peer: RingNode): ControlMessage {
    const [from, node, ringKey] = [this.random() < 0.9 ? peer : this.node(), this.node(), this.key()];
    const id = this.random() < 0.5 ? idOf(KEY, this.below(3)) : this.bytes(32);
    const successors = Array.from({ length: this.below(12) }, () => this.node());
    const predecessor = this.random() < 0.3 ? null : this.node();
    const type = this.pick(Object.keys(CONTROL_TYPES) as ControlMessage["type"][]);
    switch (type) {
      case "PING": return { type };
      case "PONG": return { type, timeMs: this.below(1e9), observed: THIEF, nodeKey: ringKey };
      case "LOCATE": return { type, ringKey };
      case "CHALLENGE_REQUEST": return { type, ringKey, flags: this.below(4) };
      case "LOCATED": return { type, ringKey, node };
      case "CHALLENGE": return { type, ringKey, cookie: this.bytes(24), observed: THIEF, timeMs: 1, nodeKey: ringKey };
      case "TRIGGER":
        if (this.random() < 0.3) return this.bench.trigger({ signer: MEMBER, counter: this.below(50), id: GROUP_ID, action: this.random() < 0.8 ? 1 : 2, cookie: this.cookie(GROUP_ID) });
        if (this.random() < 0.3) return this.bench.trigger({ counter: this.below(50), target: { steps: [STEP] }, cookie: this.cookie() });
        return this.bench.trigger({ counter: this.below(50), id: idOf(KEY, this.below(3)), flags: this.below(2), action: this.random() < 0.8 ? 1 : 2, cookie: this.cookie() });
      case "TRIGGER_OK": return { type, action: 1, id, lifeMs: 1, replica: null };
      case "REFRESH": {
        const index = this.below(70);
        return { type, id, index, token: this.random() < 0.5 ? tokenAt(index) : (CHAIN[this.below(CHAIN.length)] as Uint8Array), member: this.random() < 0.8 ? null : MEMBER.key.publicKey };
      }
      case "REFUSED": return { type, code: this.below(10), subject: id };
      case "NOT_PRESENT": return { type, id };
      case "CACHE": return { type, ringKey, node, lifeMs: this.below(3_600_000) };
      case "SHORTCUT": return { type, id, target: THIEF };
      case "PROVE": case "PROBE": return { type, id };
      case "PROOF": return { type, id, token: ringKey, keyKind: 2, publicKey: this.bytes(32), signature: this.bytes(64) };
      case "PROBED": return { type, id, token: ringKey };
      case "CHECK": return { type, spi: this.below(2 ** 32), flags: this.below(4) };
      case "CHECKED": return { type, spi: this.below(2 ** 32), observed: THIEF };
      case "FIND": return { type, from, ringKey };
      case "FOUND": return { type, from, final: this.random() < 0.5, node };
      case "ROUTE": return { type, from, ringKey, asker: this.random() < 0.5 ? from : node, last: this.random() < 0.5, hops: this.below(60), credential: this.shown() };
      case "ROUTED": return { type, from, hops: this.below(60), credential: this.shown() };
      case "STATE": case "NOTIFY": case "ALIVE": case "ALIVE_YES": return { type, from };
      case "STATE_IS": return { type, from, pending: this.random() < 0.2, predecessor, successors };
      case "LEAVING": return { type, from, predecessor, successors };
      case "HELLO": case "HELLO_YES": return { type, credential: this.shown() ?? this.bytes(153) };
      case "HELLO_AGAIN": return { type, counter: this.below(20) };
      case "RECORD_PUT": return { type, flags: this.below(3), cookie: this.recordCookie(), record: this.record() };
      case "RECORD_GET": return { type, flags: this.below(3), ringKey: this.random() < 0.5 ? RECORD_KEY : ringKey };
      case "RECORD_OK": return { type, ringKey, sequence: this.below(10), lifeMs: 1, successor: null };
      case "RECORD_IS": return { type, ringKey, record: null, successor: THIEF };
    }
  }

  /** The client's, from this server if it is responsible. */
  cookie(id = idOf(KEY)): Uint8Array {
    const sent = this.bench.send({ type: "CHALLENGE_REQUEST", ringKey: id.slice(0, 16), flags: 0 }).map(({ bytes }) => decodeControl(bytes).message);
    return sent.find((message) => message.type === "CHALLENGE")?.cookie ?? this.bytes(24);
  }

  record(): Uint8Array {
    const bytes = this.random() < 0.8 ? this.pick(RECORDS).bytes : this.bytes(133 + this.below(867));
    return this.random() < 0.7 ? bytes : this.mutated(Uint8Array.from([...bytes, ...this.bytes(20)])).slice(0, 1_000);
  }

  /** The client's, for a copy: that is taken for any key. */
  recordCookie(): Uint8Array {
    const put = { type: "RECORD_PUT", flags: 1, cookie: this.bytes(24), record: (RECORDS[0] as SignedRecord).bytes } as const;
    const sent = this.bench.send(put).map(({ bytes }) => decodeControl(bytes).message);
    return sent.find((message) => message.type === "CHALLENGE")?.cookie ?? this.bytes(24);
  }

  mutated(bytes: Uint8Array): Uint8Array {
    const out = new Uint8Array(bytes);
    for (let i = this.below(4); i >= 0; i -= 1) out[this.below(out.length)] = this.below(256);
    return this.random() < 0.3 ? out.subarray(0, this.below(out.length + 1)) : out;
  }

  /** From the honest client, whole; from the thief, anything. */
  turn(): void {
    const nonce = this.bytes(8);
    const kind = this.random();
    if (kind < 0.15) return this.check(this.bytes(this.below(200)), THIEF);
    if (kind < 0.25) return this.upcall(nonce);
    if (kind < 0.3) return this.bench.advance(this.below(3_000));
    const peer = this.pick(this.peers);
    const message = this.message(peer.node);
    if (!isRingMessage(message.type) || message.type.startsWith("HELLO")) {
      const honest = encodeControl(message, nonce);
      return this.random() < 0.3 ? this.check(honest, CLIENT) : this.check(this.mutated(honest), THIEF);
    }
    const answersAQuestion = this.#pendingNonce !== null && this.random() < 0.5;
    const sealed = peer.seal(this.bench.nowMs, this.bench.self, message, answersAQuestion ? (this.#pendingNonce as Uint8Array) : nonce);
    this.check(this.random() < 0.7 ? sealed : this.mutated(sealed), THIEF);
  }

  #pendingNonce: Uint8Array | null = null;

  upcall(nonce: Uint8Array): void {
    const [ringKey, requestBytes, from] = [this.key(), this.below(200), THIEF];
    const id = Uint8Array.from([...ringKey, ...this.bytes(16)]);
    const sent = this.bench.upcall(this.pick([
      { kind: "route-miss", ringKey, from },
      { kind: "cache-request", id, from, nonce, shortcutOk: this.random() < 0.5, requestBytes },
      { kind: "no-trigger", id, from, nonce, forwarded: this.random() < 0.5, requestBytes },
    ] as const));
    for (const datagram of sent) this.inspect(datagram, requestBytes, from, nonce);
  }

  check(request: Uint8Array, from: Locator): void {
    const nonce = request.subarray(8, 16);
    for (const datagram of this.bench.sendBytes(request, from)) this.inspect(datagram, request.length, from, nonce);
    if (this.below(10) === 0) this.#checkRecord();
    for (const entries of this.bench.engine.triggers.values()) {
      for (const { target } of entries) expect(target).toEqual(target.kind === "locator" ? { kind: "locator", locator: CLIENT } : { kind: "stack", ids: [STEP.id] });
    }
  }

  #checkRecord(): void {
    const sent = this.bench.send({ type: "RECORD_GET", flags: 1, ringKey: RECORD_KEY }).map(({ bytes }) => decodeControl(bytes).message);
    const held = sent.find((message) => message.type === "RECORD_IS")?.record ?? null;
    if (held !== null) expect(RECORDS.some(({ bytes }) => sameBytes(bytes, held)), "a record that nobody signed").toBe(true);
  }

  /** A peer that the server calls answers. */
  #calledBack(peer: RingPeer, hello: Uint8Array): void {
    for (const bytes of peer.take(this.bench.nowMs, this.bench.self.locator, hello).sent) this.bench.core.handleUpcalls(this.bench.nowMs, [{ kind: "control", from: THIEF, bytes }]);
  }

  inspect({ locator, bytes }: { readonly locator: Locator; readonly bytes: Uint8Array }, requestBytes: number, from: Locator, nonce: Uint8Array): void {
    const decoded = decodeControl(bytes);
    const { type } = decoded.message;
    const isOfRing = isRingMessage(type) && type !== "HELLO_YES" && type !== "HELLO_AGAIN";
    if (isOfRing) {
      const peer = this.peers.find(({ node }) => sameLocator(node.locator, locator));
      if (peer === undefined) throw new Error(`${type} to nobody`);
      if (type === "HELLO") this.#calledBack(peer, bytes);
      else if (!REQUEST_ANSWERS.has(type)) this.#pendingNonce = decoded.nonce;
    }
    if (!REQUEST_ANSWERS.has(type)) return;
    if (decoded.message.type === "SHORTCUT") expect(decoded.message.target).toEqual(CLIENT);
    if (sameBytes(decoded.nonce, nonce)) expect(bytes.length, type).toBeLessThanOrEqual(requestBytes);
    else expect(["LOCATED", "CACHE"], `${type} to nobody's question`).toContain(type);
    if (!isOfRing && sameBytes(decoded.nonce, nonce)) expect(locator).toEqual(type === "NOT_PRESENT" ? locator : from);
  }
}

it(`server, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  console.log(`server fuzz: I3_FUZZ_SEED=${SEED}`);
  const endMs = performance.now() + SECONDS * 1_000;
  let worlds = 0;
  let inserted = 0;
  let put = 0;
  let told = 0;
  while (worlds === 0 || performance.now() < endMs) {
    const world = new World((SEED + worlds) >>> 0);
    for (let turn = 0; turn < TURNS_PER_WORLD; turn += 1) world.turn();
    worlds += 1;
    inserted += world.bench.core.counters.get("inserted");
    put += world.bench.core.counters.get("records-put");
    told += world.bench.core.counters.get("shortcut-sent");
  }
  console.log(`server fuzz: ${worlds * TURNS_PER_WORLD} turns, ${inserted} triggers inserted, ${put} records put, ${told} shortcuts told`);
  if (worlds >= 10) expect(Math.min(inserted, put), "the honest client gets nothing done").toBeGreaterThan(0);
  if (worlds >= 100) expect(told, "nobody is told a shortcut").toBeGreaterThan(0);
});
