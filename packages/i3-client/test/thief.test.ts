/**
 * A thief of every message seen on the wire (docs/wire.md §4.1, §4.2, §4.3): real cores in virtual time. He holds the whole tape of a client's life,
 * and plays it back from his own address and from those of others, as it was and changed, to the one it was for and to the others.
 */
import {
  CONTROL_FIRST_BYTE, decodeControl, decodeRecord, encodeControl, locatorKey, privateId, RECORD_KIND, recordKey, sameBytes, sameLocator, toHex, WireError,
  type ControlMessage, type Locator,
} from "@i3/common";
import { classifyDatagram } from "@i3/datapath";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";
import { ServerCore } from "@i3/i3-server";
import { beforeAll, describe, expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { keyOf, refreshesOf } from "./attack-scene.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const DAY_S = 86_400;
const HIT = Uint8Array.from([0x20, 0x01, 0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
const BODY_AT = 16;
/** The whole tape so often beside traffic, for eight refreshes of each trigger. */
const PASSES = 5;
const PLAY_MS = 40_000;
/** What a server did to its triggers; records are looked at themselves. */
const EFFECTS = ["inserted", "replicas-inserted", "removed", "refreshed"] as const;

const coreOf = (node: Node): ServerCore => node.core as ServerCore;
const isControl = (bytes: Uint8Array): boolean => bytes[0] === CONTROL_FIRST_BYTE;

/** A client, its receiver of everything, and the thief, on a ring of four whose tables are looked at. */
class Scene {
  readonly world = new World({ seed: "thief" });
  readonly servers: Node[] = [];
  readonly owner: Program;
  readonly sender: Program;
  readonly thief: Program;
  readonly key = triggerKeyFromSeed(filled(32, 5));
  readonly id = privateId(this.key.prefix, filled(16, 1));
  readonly memberships = [1, 2, 3, 4].map(() => this.world.membership());
  readonly recordSigner = triggerKeyFromSeed(filled(32, 6));
  readonly #signed: Uint8Array[] = [];
  /** Where each server's engine leads packets for the id, as it was told last. */
  readonly #targets = new Map<string, readonly Locator[]>();

  constructor() {
    for (const n of [1, 2, 3, 4]) this.startServer(n);
    this.world.run(12_000);
    [this.owner, this.sender, this.thief] = [1, 2, 66].map((n) => new Program(this.world, `198.51.100.${n}`, this.servers)) as [Program, Program, Program];
    this.owner.listen(this.id);
    this.thief.listen(this.id);
    this.world.run(2_000);
  }

  /** Also again: with the same credential, and nothing else of before. */
  startServer(n: number): void {
    const node = this.world.server(n, n === 1 ? this.servers.slice(1, 2) : this.servers.slice(0, 1), this.memberships[n - 1]);
    this.#targets.delete(locatorKey(node.locator));
    const setTriggers = node.engine.setTriggers.bind(node.engine);
    node.engine.setTriggers = (ringKey, triggers) => {
      if (sameBytes(ringKey, this.key.prefix)) this.#targets.set(locatorKey(node.locator), triggers.flatMap(({ target }) => (target.kind === "locator" ? [target.locator] : [])));
      setTriggers(ringKey, triggers);
    };
    this.servers[n - 1] = node;
  }

  /** A record of the owner's. */
  record(sequence: number): Uint8Array {
    const { bytes } = signRecord(this.recordSigner, { kind: RECORD_KIND.name, label: "box", sequence, notAfterS: Math.floor(this.world.wallMs() / 1_000) + DAY_S, value: HIT });
    this.#signed.push(bytes);
    return bytes;
  }

  targets(): readonly Locator[] {
    return [...this.#targets.values()].flat();
  }

  /** All that the servers did so far, by their engines too. */
  effects(): number {
    for (const node of this.servers) coreOf(node).handleTimer(this.world.nowMs);
    return this.servers.reduce((sum, node) => sum + EFFECTS.reduce((of, name) => of + coreOf(node).counters.get(name), 0), 0);
  }

  /** Servers that have a record for the owner's key which the owner has not signed. A copy of his own anybody may put anywhere (thief-records.test.ts). */
  strangeRecords(): number {
    const signed = this.#signed.map((bytes) => toHex(bytes));
    return this.servers.filter((node) => {
      const seen = this.world.wire.length;
      this.world.inject(node, { udp: { from: this.sender.node.locator, bytes: encodeControl({ type: "RECORD_GET", flags: 1, ringKey: recordKey(decodeRecord(this.#signed[0] as Uint8Array)) }, filled(8, 2)) } });
      const answer = this.world.wire.slice(seen).map((sent) => readable(sent.bytes)?.message).find((heard) => heard?.type === "RECORD_IS");
      if (answer?.type !== "RECORD_IS") throw new Error("no answer to RECORD_GET");
      return answer.record !== null && !signed.includes(toHex(answer.record));
    }).length;
  }

  ringText(): string {
    return this.servers.map((node) => JSON.stringify([coreOf(node).inspect().predecessor, coreOf(node).inspect().successors])).join("\n");
  }
}

interface Taped {
  readonly from: Locator;
  readonly to: Locator;
  readonly bytes: Uint8Array;
}

const withBytes = (taped: Taped, at: number, change: number): Taped => {
  const bytes = taped.bytes.slice();
  bytes[at] = (bytes[at] ?? 0) ^ change;
  return { ...taped, bytes };
};

/** The same message with a field changed, as one who has no key can. */
function changed(taped: Taped, thief: Locator, cookie: Uint8Array): readonly Taped[] {
  const variants: Taped[] = [withBytes(taped, 9, 0xff)]; // the nonce, of control; of data a byte of the header
  if (!isControl(taped.bytes)) return variants;
  let message: ControlMessage;
  let nonce: Uint8Array;
  try {
    ({ message, nonce } = decodeControl(taped.bytes));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return variants;
  }
  const put = (other: ControlMessage): number => variants.push({ ...taped, bytes: encodeControl(other, nonce) });
  if (message.type === "TRIGGER") {
    put({ ...message, target: thief });
    put({ ...message, counter: message.counter + 1_000_000 });
    put({ ...message, cookie });
    put({ ...message, target: thief, cookie, counter: message.counter + 1_000_000 });
    put({ ...message, action: message.action === 1 ? 2 : 1, cookie, counter: message.counter + 1_000_000 });
    put({ ...message, flags: message.flags ^ 2, cookie });
  } else if (message.type === "REFRESH") {
    put({ ...message, index: message.index + 1 });
    put({ ...message, index: message.index + 2, token: filled(16, 0) });
  } else if (message.type === "RECORD_PUT") {
    const record = message.record.slice();
    record[record.length - 70] = (record[record.length - 70] ?? 0) ^ 1; // the value
    put({ ...message, record });
    put({ ...message, record, cookie });
    put({ ...message, cookie });
  } else if (message.type !== "PING") {
    variants.push(withBytes(taped, taped.bytes.length - 1, 1), withBytes(taped, taped.bytes.length - 20, 1));
  }
  return variants;
}

describe("a thief of every message seen on the wire", () => {
  const scene = new Scene();
  const { world, owner, sender, thief, servers, id } = scene;
  let tape: readonly Taped[] = [];

  /** All of a tape, to whom it was for and to all others, by the addresses of thief, sender and the others. What that changed by itself, at once. `between`: after each of the tape. */
  function play(from: readonly Taped[], between: () => void = () => undefined): { readonly played: number; readonly effects: number; readonly strange: number; readonly ring: boolean } {
    const ring = scene.ringText();
    const everybody = [...servers, owner.node, sender.node];
    let [played, effects] = [0, 0];
    for (const original of from) {
      const before = scene.effects();
      for (const to of everybody) {
        for (const taped of [original, ...changed(original, thief.node.locator, cookieFor(original, to))]) {
          for (const by of [thief.node.locator, taped.from]) {
            world.inject(to, { udp: { from: by, bytes: taped.bytes } });
            played += 1;
          }
        }
      }
      effects += scene.effects() - before;
      between();
    }
    return { played, effects, strange: scene.strangeRecords(), ring: scene.ringText() === ring };
  }

  /** A server's, for what is in a message. Only a thief's own address gets him one; those for triggers are no good for records. */
  function cookieFor({ bytes }: Taped, server: Node): Uint8Array {
    const message = isControl(bytes) ? readable(bytes)?.message : undefined;
    if (!(server.core instanceof ServerCore) || (message?.type !== "TRIGGER" && message?.type !== "RECORD_PUT")) return filled(24, 0);
    const request: ControlMessage = message.type === "RECORD_PUT" ? { ...message, cookie: filled(24, 0) } : { type: "CHALLENGE_REQUEST", ringKey: message.id.slice(0, 16), flags: message.flags };
    const seen = world.wire.length;
    world.inject(server, { udp: { from: thief.node.locator, bytes: encodeControl(request, filled(8, 1)) } });
    const answer = world.wire.slice(seen).map((sent) => readable(sent.bytes)?.message).find((heard) => heard?.type === "CHALLENGE");
    return answer?.type === "CHALLENGE" ? answer.cookie : filled(24, 0);
  }

  const tapeSince = (from: number): readonly Taped[] => world.wire.slice(from).map(({ from: by, to, bytes }) => ({ from: by, to, bytes }));
  /** What came to the thief for the id. */
  const taken = (): number => thief.heard.length;

  const say = (text: string): boolean => {
    const before = owner.heard.length;
    sender.say(id, text);
    world.run(500);
    return owner.heard.length > before && owner.heard.at(-1)?.text === text;
  };

  beforeAll(() => {
    const from = world.wire.length;
    owner.client.insertTrigger(world.nowMs, id, { kind: "private", key: scene.key });
    owner.client.keepRecord(world.nowMs, scene.record(7));
    sender.client.openPath(id);
    world.run(1_000);
    for (let n = 0; n < 20; n++) {
      sender.say(id, `life ${n}`);
      owner.say(privateId(filled(16, 0x55), filled(16, 1)), "to nobody");
      world.run(500);
    }
    tape = thinned(tapeSince(from));
  }, 60_000);

  it("has a tape with all that there is", () => {
    const types = new Set(tape.map(({ bytes }) => kindOf(bytes)));
    for (const type of ["PING", "PONG", "LOCATE", "LOCATED", "CHALLENGE_REQUEST", "CHALLENGE", "TRIGGER", "TRIGGER_OK", "REFRESH", "RECORD_PUT", "RECORD_OK", "CACHE", "STATE", "STATE_IS", "NOT_PRESENT", "data"]) expect(types).toContain(type);
    expect(scene.targets()).toEqual([owner.node.locator]);
    expect(owner.texts()).toHaveLength(20);
  });

  it("changes nothing at the moment", () => {
    const { played, effects, strange, ring } = play(tape);
    process.stdout.write(`    ${played} datagrams played\n`);
    expect({ effects, strange, ring, targets: scene.targets() }).toEqual({ effects: 0, strange: 0, ring: true, targets: [owner.node.locator] });
    world.run(1_000);
    expect([say("still there"), taken(), scene.targets()]).toEqual([true, 0, [owner.node.locator]]);
  }, 120_000);

  it("costs bystanders, one of them behind his own address, no packet and no refresh", () => {
    const bystanders = ([["198.51.100.3", undefined, 7], ["198.51.100.66", 40_001, 8]] as const).map(([address, port, seed]) => {
      const [program, key] = [new Program(world, address, servers, port), keyOf(seed)];
      const id = privateId(key.prefix, filled(16, 1));
      program.listen(id);
      world.run(2_000);
      program.client.insertTrigger(world.nowMs, id, { kind: "private", key });
      return { program, id };
    });
    world.run(1_000);
    const sinceMs = world.nowMs;
    const said: string[] = [];
    const { played, effects } = play(Array<typeof tape>(PASSES).fill(tape).flat(), () => {
      said.push(`beside him ${said.length}`);
      for (const { program } of bystanders) for (const { id: to } of bystanders) program.say(to, said.at(-1) ?? "");
      world.run(PLAY_MS / (PASSES * tape.length));
    });
    const tookMs = world.nowMs - sinceMs;
    world.run(1_000);
    const outcome = bystanders.map(({ program }) => {
      const texts = program.texts();
      return { lost: 2 * said.length - texts.length + (said.length - new Set(texts).size), refreshes: refreshesOf(program, sinceMs), troubles: program.events.filter(({ kind }) => kind === "trigger-lost" || kind === "trigger-replaced").length };
    });
    process.stdout.write(`    ${played} datagrams played in ${Math.round(tookMs / 1_000)} s; of ${2 * said.length} packets to each bystander lost: ${outcome.map(({ lost }) => lost).join(", ")}; of refreshes: ${outcome.map(({ refreshes: { asked, lost } }) => `${lost} of ${asked}`).join(", ")}\n`);
    expect(effects).toBe(0);
    for (const { lost, refreshes, troubles } of outcome) {
      expect({ lost, missed: refreshes.lost, troubles }).toEqual({ lost: 0, missed: 0, troubles: 0 });
      expect(refreshes.asked).toBeGreaterThan(10);
    }
    for (const { program, id: own } of bystanders) program.client.removeTrigger(world.nowMs, own);
    world.run(1_000);
  }, 240_000);

  it("changes nothing by what he plays before it arrives", () => {
    for (let slice = 0; slice < 1_200; slice++) {
      const from = world.wire.length;
      world.run(5);
      const before = scene.effects();
      for (const original of tapeSince(from).filter(({ bytes }) => isRenewal(bytes))) {
        for (const to of servers) {
          for (const taped of [original, ...changed(original, thief.node.locator, cookieFor(original, to))]) {
            world.inject(to, { udp: { from: thief.node.locator, bytes: taped.bytes } });
            // What the owner says, to whom he says it, in his name, does what he asked, only sooner: the nonce is nobody's.
            const isOwners = sameLocator(to.locator, taped.to) && sameBytes(taped.bytes.subarray(BODY_AT), original.bytes.subarray(BODY_AT));
            if (!isOwners) world.inject(to, { udp: { from: taped.from, bytes: taped.bytes } });
          }
        }
      }
      expect(scene.effects() - before).toBe(0);
    }
    expect([say("still there"), taken(), scene.targets()]).toEqual([true, 0, [owner.node.locator]]);
  }, 120_000);

  it("changes nothing 30 s later", () => {
    world.run(31_000);
    const { effects, strange, ring } = play(tape);
    world.run(1_000);
    expect({ effects, strange, ring, targets: scene.targets(), arrives: say("30 s later"), taken: taken() }).toEqual({ effects: 0, strange: 0, ring: true, targets: [owner.node.locator], arrives: true, taken: 0 });
  }, 120_000);

  it("puts no older record in the place of a newer, nor another", () => {
    owner.client.keepRecord(world.nowMs, scene.record(8));
    world.run(2_000);
    play(tape.filter(({ bytes }) => readable(bytes)?.message.type === "RECORD_PUT"));
    thief.client.findRecord(world.nowMs, recordKey(decodeRecord(scene.record(8))));
    world.run(5_000);
    const found = thief.events.find((event) => event.kind === "record");
    expect(found?.kind === "record" ? found.record?.sequence : null).toBe(8);
  }, 120_000);

  it("makes no trigger after the owner has removed it", () => {
    const from = world.wire.length;
    owner.client.renewTriggers(world.nowMs);
    world.inject(owner.node, {});
    world.run(1_000);
    owner.client.removeTrigger(world.nowMs, id);
    world.run(1_000);
    expect(scene.targets()).toEqual([]);
    const fresh = thinned(tapeSince(from));
    for (const laterMs of [0, 10_000, 25_000, 40_000]) {
      world.run(laterMs);
      const { effects, strange } = play([...fresh, ...tape]);
      expect({ effects, strange, made: scene.targets() }).toEqual({ effects: 0, strange: 0, made: [] });
    }
  }, 240_000);

  it("makes no trigger, and no place in the ring, after a restart of the servers", () => {
    for (const n of [2, 3, 4, 1]) {
      scene.startServer(n);
      world.run(12_000);
    }
    const { effects, strange, ring } = play(tape);
    expect({ effects, strange, ring, made: scene.targets() }).toEqual({ effects: 0, strange: 0, ring: true, made: [] });
    world.run(2_000);
    expect(scene.targets()).toEqual([]);
  }, 240_000);
});

function readable(bytes: Uint8Array): ReturnType<typeof decodeControl> | null {
  try {
    return decodeControl(bytes);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}

const kindOf = (bytes: Uint8Array): string => (isControl(bytes) ? readable(bytes)?.message.type ?? "?" : classifyDatagram(bytes[0] ?? 0, bytes.length));

/** All that servers take of clients; of the rest two of each kind between any two. */
function thinned(tape: readonly Taped[]): readonly Taped[] {
  const seen = new Map<string, number>();
  return tape.filter(({ from, to, bytes }) => {
    const kind = `${kindOf(bytes)} ${locatorKey(from)} ${locatorKey(to)}`;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    return isRenewal(bytes) || (seen.get(kind) ?? 0) <= 2;
  });
}

/** Something that a server takes of a client. */
function isRenewal(bytes: Uint8Array): boolean {
  const type = isControl(bytes) ? readable(bytes)?.message.type : undefined;
  return type === "TRIGGER" || type === "REFRESH" || type === "RECORD_PUT";
}
