/**
 * What members of the ring and strangers may say to a server core, well-formed and false: keys just beside its own and its neighbours', addresses that are nobody's, answers to its own
 * questions, with small tables. No core throws, the engine is told nothing that it refuses, and a minute after the last word no lookup and no packet waits. Mutated
 * bytes: server.fuzz.ts. Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { randomInt } from "node:crypto";

import { CONTROL_FIRST_BYTE, encodeControl, locatorKey, makeLocator, WireError, type ControlMessage, type Locator, type RingNode } from "@i3/common";
import type { Datagram } from "@i3/datapath";
import { expect, it } from "vitest";

import { ReferenceEngine } from "../../packages/datapath/src/reference/engine.js";
import { minusOne, plusPowerOfTwo } from "../../packages/i3-server/src/chord/ring-key.js";
import { randomBytesFrom, seeded } from "../../packages/i3-server/test/ring-net.js";
import { anyMember, RingPeer } from "../../packages/i3-server/test/ring-peer.js";
import { CLIENT, NONCE, ServerBench, THIEF } from "../../packages/i3-server/test/server-bench.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
const TURNS_PER_WORLD = 1_000;
const QUIET_MS = 60_000;
const MAX_NONCES = 40;
const LIMITS = { triggers: 50, perSource: 20, claimsPerName: 2 };
const RECORD_LIMITS = { records: 5, perSource: 2 };
/** The engine refuses what it cannot do by throwing. */
const TOLD_TO_ENGINE = ["setPassOn", "setNextServer", "setResponsibility", "setTriggers", "setLease"] as const;

class World {
  readonly random: () => number;
  readonly bytes: (length: number) => Uint8Array;
  readonly bench: ServerBench;
  readonly peers: readonly RingPeer[];
  readonly keys: readonly Uint8Array[];
  readonly locators: readonly Locator[];
  /** Of datagrams of the server's: its questions, among others. */
  readonly nonces: Uint8Array[] = [NONCE];

  constructor(seed: number) {
    this.random = seeded(seed);
    this.bytes = randomBytesFrom(this.random);
    const members = seed % 2 === 0 ? [] : [makeLocator(Uint8Array.of(10, 0, 0, 2), 4_000)];
    this.bench = new ServerBench({ ring: anyMember(), random: this.bytes, members, records: RECORD_LIMITS, limits: LIMITS });
    this.#alsoTellEngine();
    this.peers = Array.from({ length: 4 }, (_, i) => new RingPeer(makeLocator(Uint8Array.of(10, 0, 0, 2 + i), 4_000)));
    const own = this.bench.self.key;
    const nodes = [this.bench.self, ...this.peers.map(({ node }) => node)];
    this.keys = [minusOne(own), plusPowerOfTwo(own, 0), plusPowerOfTwo(own, 127), ...nodes.map(({ key }) => key), new Uint8Array(16)];
    const strange = [makeLocator(new Uint8Array(16), 1), makeLocator(Uint8Array.of(255, 255, 255, 255), 9), makeLocator(Uint8Array.of(0x20, 1, ...new Uint8Array(14)), 65_535), makeLocator(new Uint8Array(4), 1)];
    this.locators = [...nodes.map(({ locator }) => locator), ...strange];
  }

  #alsoTellEngine(): void {
    const real = new ReferenceEngine();
    const engine = this.bench.engine as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name of TOLD_TO_ENGINE) {
      const note = engine[name]?.bind(this.bench.engine);
      const tell = (real[name] as (...args: unknown[]) => unknown).bind(real);
      engine[name] = (...args) => {
        tell(...args);
        return note?.(...args);
      };
    }
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  key(): Uint8Array {
    return this.random() < 0.3 ? this.bytes(16) : this.pick(this.keys);
  }

  id(): Uint8Array {
    return Uint8Array.from([...this.key(), ...this.bytes(16)]);
  }

  node(): RingNode {
    return this.random() < 0.5 ? this.pick(this.peers).node : { key: this.key(), locator: this.pick(this.locators) };
  }

  /** A credential that is not signed, or of a peer, or none. */
  shown(): Uint8Array | null {
    return this.pick([null, this.bytes(153), this.pick(this.peers).credential]);
  }

  ofMember(from: RingNode): ControlMessage {
    const predecessor = this.random() < 0.3 ? null : this.node();
    const successors = Array.from({ length: this.below(9) }, () => this.node());
    const type = this.pick(["FIND", "FOUND", "STATE", "STATE_IS", "NOTIFY", "ALIVE", "ALIVE_YES", "LEAVING", "ROUTE", "ROUTED"] as const);
    switch (type) {
      case "FIND": return { type, from, ringKey: this.key() };
      case "FOUND": return { type, from, final: this.random() < 0.5, node: this.node() };
      case "STATE": case "NOTIFY": case "ALIVE": case "ALIVE_YES": return { type, from };
      case "STATE_IS": return { type, from, pending: this.random() < 0.2, predecessor, successors };
      case "LEAVING": return { type, from, predecessor, successors };
      case "ROUTE": return { type, from, ringKey: this.key(), asker: this.node(), last: this.random() < 0.5, hops: this.below(50), credential: this.shown() };
      case "ROUTED": return { type, from, hops: 3, credential: this.shown() };
    }
  }

  ofStranger(): ControlMessage {
    const type = this.pick(["LOCATE", "CHALLENGE_REQUEST", "REFRESH", "NOT_PRESENT", "HELLO_AGAIN", "HELLO", "RECORD_GET", "RECORD_PUT"] as const);
    switch (type) {
      case "LOCATE": return { type, ringKey: this.key() };
      case "CHALLENGE_REQUEST": return { type, ringKey: this.key(), flags: this.below(5) };
      case "REFRESH": return { type, id: this.bytes(32), index: 7, token: this.bytes(16), member: null };
      case "NOT_PRESENT": return { type, id: this.bytes(32) };
      case "HELLO_AGAIN": return { type, counter: 1 };
      case "HELLO": return { type, credential: this.bytes(153) };
      case "RECORD_GET": return { type, flags: 1, ringKey: this.key() };
      case "RECORD_PUT": return { type, flags: 0, cookie: this.bytes(24), record: this.bytes(400) };
    }
  }

  turn(): void {
    const kind = this.random();
    if (kind < 0.6) this.#memberSpeaks(this.pick(this.peers));
    else if (kind < 0.75) this.#strangerSpeaks();
    else if (kind < 0.9) this.#engineSpeaks();
    else this.bench.advance(this.pick([1, 20, 300, 1_500]));
    this.nonces.splice(0, this.nonces.length - MAX_NONCES);
  }

  #memberSpeaks(peer: RingPeer): void {
    this.bench.meet(peer);
    const sealed = this.#sealed(peer);
    if (sealed === null) return;
    for (const datagram of this.bench.sendBytes(sealed, peer.node.locator)) this.#heardBy(datagram);
  }

  /** Null for a message that has no form, as of a locator that no datagram may name. */
  #sealed(peer: RingPeer): Uint8Array | null {
    const message = this.ofMember(peer.node);
    try {
      return peer.seal(this.bench.nowMs, this.bench.self, message, this.random() < 0.7 ? this.pick(this.nonces) : this.bytes(8));
    } catch (error) {
      if (error instanceof WireError) return null;
      throw error;
    }
  }

  /** A peer that the server calls answers, mostly. */
  #heardBy({ bytes, locator }: Datagram): void {
    if (bytes[0] === CONTROL_FIRST_BYTE && bytes.length > 16) this.nonces.push(bytes.slice(8, 16));
    const peer = this.peers.find(({ node }) => locatorKey(node.locator) === locatorKey(locator));
    if (peer === undefined || this.random() > 0.7) return;
    for (const answer of peer.take(this.bench.nowMs, this.bench.self.locator, bytes).sent) {
      for (const sent of this.bench.sendBytes(answer, peer.node.locator)) this.nonces.push(sent.bytes.slice(8, 16));
    }
  }

  #strangerSpeaks(): void {
    const bytes = encodeControl(this.ofStranger(), this.pick(this.nonces));
    if (this.random() < 0.3) bytes[16 + this.below(bytes.length - 16)] = this.below(256);
    this.bench.sendBytes(bytes, this.pick([CLIENT, THIEF, ...this.locators]));
  }

  #engineSpeaks(): void {
    const [id, from, nonce, requestBytes] = [this.id(), this.pick([CLIENT, THIEF]), NONCE, 100];
    this.bench.upcall(this.pick([
      { kind: "route-miss", ringKey: this.key(), from },
      { kind: "astray", id, from },
      { kind: "no-trigger", id, from, nonce, requestBytes, forwarded: this.random() < 0.5 },
      { kind: "cache-request", id, from, nonce, requestBytes, shortcutOk: true },
    ] as const));
  }
}

it(`server between members, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  console.log(`server-ring fuzz: I3_FUZZ_SEED=${SEED}`);
  const endMs = performance.now() + SECONDS * 1_000;
  let worlds = 0;
  for (; worlds === 0 || performance.now() < endMs; worlds += 1) {
    const world = new World((SEED + worlds) >>> 0);
    for (let turn = 0; turn < TURNS_PER_WORLD; turn += 1) world.turn();
    world.bench.advance(QUIET_MS);
    const { lookups, waiting } = world.bench.core.inspect();
    expect({ lookups: lookups < 10, waiting }, `${lookups} lookups`).toEqual({ lookups: true, waiting: 0 });
  }
  console.log(`server-ring fuzz: ${worlds * TURNS_PER_WORLD} turns`);
});
