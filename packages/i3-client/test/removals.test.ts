/**
 * Removal by strangers, and of one member of a group by another (docs/wire.md §4.1): many tries of each kind at every server, beside packets and refreshes of
 * those they are aimed at and of a bystander. What got through, and what it cost. Real cores and engines in virtual time.
 */
import {
  CONTROL_FIRST_BYTE, decodeControl, encodeControl, groupId, privateId, ringKey, sameBytes, sameLocator, TRIGGER_ACTION, TRIGGER_FLAG,
  type ControlMessage, type Locator, type TriggerMessage,
} from "@i3/common";
import { certifyMember, signTrigger, triggerKeyFromSeed, type TriggerKey, type TriggerSigner } from "@i3/hip";
import type { ServerCore } from "@i3/i3-server";
import { describe, expect, it } from "vitest";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const SERVERS = 4;
/** Tries of each kind at each server. */
const ROUNDS = 50;
const ROUND_MS = 400;
/** Packets before and after; those after go on for longer than a trigger lives without a refresh. */
const CALM = 20;
const AFTER_MS = 2_000;
const TRIES = SERVERS * ROUNDS;
const END_S = 1_900_000_000;
const keyOf = (seed: number): TriggerKey => triggerKeyFromSeed(filled(32, seed));
const coreOf = (node: Node): ServerCore => node.core as ServerCore;

/** In words. */
const said = (answer: ControlMessage | null): string => (answer === null ? "silence" : answer.type === "REFUSED" ? `REFUSED ${answer.code}` : answer.type);

interface Attempt {
  readonly from: Locator;
  readonly message: ControlMessage;
}

/** A server, the flags that a trigger for the id has there, and what it gives an address to sign; for another's the attacker reads it on its way there. */
interface Place {
  readonly server: Node;
  readonly flags: number;
  readonly given: (to: Locator) => { readonly cookie: Uint8Array; readonly nodeKey: Uint8Array };
}

class Scene {
  readonly world: World;
  readonly servers: Node[];
  readonly attacker: Program;
  readonly sender: Program;
  #serial = 0;

  constructor(seed: string) {
    this.world = new World({ seed });
    this.servers = this.world.ring(SERVERS);
    this.world.run(12_000);
    [this.attacker, this.sender] = [this.program(66), this.program(2)];
  }

  program(n: number): Program {
    return new Program(this.world, `198.51.100.${n}`, this.servers);
  }

  /** What a server answers at once; null: nothing. */
  ask(server: Node, { from, message }: Attempt): ControlMessage | null {
    const nonce = filled(8, 0xee);
    new DataView(nonce.buffer).setUint32(0, (this.#serial += 1));
    const seen = this.world.wire.length;
    this.world.inject(server, { udp: { from, bytes: encodeControl(message, nonce) } });
    const answer = this.world.wire.slice(seen).find(({ to, bytes }) => sameLocator(to, from) && bytes[0] === CONTROL_FIRST_BYTE && sameBytes(bytes.subarray(8, 16), nonce));
    return answer === undefined ? null : decodeControl(answer.bytes).message;
  }

  places(id: Uint8Array): readonly Place[] {
    const request = (server: Node, from: Locator, flags: number): ControlMessage | null => this.ask(server, { from, message: { type: "CHALLENGE_REQUEST", ringKey: ringKey(id), flags } });
    return this.servers.map((server) => {
      const flags = said(request(server, this.attacker.node.locator, 0)) === "CHALLENGE" ? 0 : TRIGGER_FLAG.replica;
      return { server, flags, given: (to) => {
        const answer = request(server, to, flags);
        if (answer?.type !== "CHALLENGE") throw new Error(`${said(answer)} instead of a CHALLENGE`);
        return answer;
      } };
    });
  }

  counted(name: "removed" | "inserted" | "expired" | "rate" | "signature"): number {
    for (const node of this.servers) coreOf(node).handleTimer(this.world.nowMs);
    return this.servers.reduce((sum, node) => sum + coreOf(node).counters.get(name), 0);
  }

  /** The newest TRIGGERs of a program with that action, one for each server that it went to. */
  taped(by: Program, action: number): readonly TriggerMessage[] {
    const newest = new Map<string, TriggerMessage>();
    for (const { from, to, bytes } of this.world.wire) {
      if (bytes[0] !== CONTROL_FIRST_BYTE || !sameLocator(from, by.node.locator)) continue;
      const { message } = decodeControl(bytes);
      if (message.type === "TRIGGER" && message.action === action) newest.set(String(to.address), message);
    }
    return [...newest.values()];
  }

  /** REFRESHes of a program since then, and those of them that no server took. */
  refreshes(by: Program, sinceMs: number): { readonly asked: number; readonly lost: number } {
    const control = this.world.wire.filter(({ atMs, bytes }) => atMs >= sinceMs && bytes[0] === CONTROL_FIRST_BYTE).map((sent) => ({ ...sent, ...decodeControl(sent.bytes) }));
    const asked = control.filter(({ atMs, from, message }) => message.type === "REFRESH" && sameLocator(from, by.node.locator) && atMs < this.world.nowMs - 100);
    const isTaken = (nonce: Uint8Array): boolean => control.some((sent) => sent.message.type === "TRIGGER_OK" && sameLocator(sent.to, by.node.locator) && sameBytes(sent.nonce, nonce));
    return { asked: asked.length, lost: asked.filter(({ nonce }) => !isTaken(nonce)).length };
  }

  /**
   * Packets to ids before, during and after tries of all kinds. `answers`: kind → answer → how often; `removed`: as the servers count it; `inserted`: owners who had to begin anew;
   * `lost`: packets that a receiver did not hear, of all phases.
   */
  attack(id: Uint8Array, receivers: readonly { readonly program: Program; readonly id: Uint8Array }[], attempts: (place: Place, round: number) => Readonly<Record<string, readonly Attempt[]>>) {
    const { world } = this;
    const sinceMs = world.nowMs;
    const [eventsBefore, places, ids] = [receivers.map(({ program }) => program.events.length), this.places(id), [...new Map(receivers.map((each) => [String(each.id), each.id])).values()]];
    const counts = ["removed", "inserted", "expired", "rate", "signature"] as const;
    const before = counts.map((name) => this.counted(name));
    const answers: Record<string, Record<string, number>> = {};
    const sent: string[] = [];
    const say = (what: string, forMs: number): void => {
      sent.push(what);
      for (const to of ids) this.sender.say(to, what);
      world.run(forMs);
    };
    for (let n = 0; n < CALM; n += 1) say(`before ${n}`, ROUND_MS);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const place of places) {
        for (const [kind, each] of Object.entries(attempts(place, round))) {
          for (const attempt of each) {
            const word = said(this.ask(place.server, attempt));
            const of = (answers[kind] ??= {});
            of[word] = (of[word] ?? 0) + 1;
          }
        }
      }
      say(`during ${round}`, ROUND_MS);
    }
    for (let n = 0; n < CALM; n += 1) say(`after ${n}`, AFTER_MS);
    const [removed, inserted, expired, rate, signature] = counts.map((name, i) => this.counted(name) - (before[i] as number)) as [number, number, number, number, number];
    const of = receivers.map(({ program }, i) => {
      const texts = program.texts();
      return {
        lost: sent.filter((text) => !texts.includes(text)).length, twice: texts.length - new Set(texts).size, refreshes: this.refreshes(program, sinceMs),
        troubles: program.events.slice(eventsBefore[i]).filter(({ kind }) => kind === "trigger-lost" || kind === "trigger-replaced" || kind === "trigger-refused").length,
      };
    });
    return { answers, removed, inserted, expired, rate, signature, sent: sent.length, of };
  }
}

const tell = (what: string, { answers, removed, sent, signature, of }: ReturnType<Scene["attack"]>): void =>
  void process.stdout.write(`    ${what}: ${JSON.stringify(answers)}; removed ${removed}; ${signature} signatures checked in vain; of ${sent} packets lost: ${of.map(({ lost }) => lost).join(", ")}; of refreshes: ${of.map(({ refreshes: { asked, lost } }) => `${lost} of ${asked}`).join(", ")}\n`);

/** Of each who was aimed at, or stood by. */
const UNHURT = { lost: 0, twice: 0, troubles: 0 };

describe("removal by a stranger", () => {
  it("removes nothing, by whatever he has, and costs nobody a packet or a refresh", () => {
    const scene = new Scene("removal by strangers");
    const { world, attacker } = scene;
    const [owner, bystander] = [scene.program(1), scene.program(3)];
    const [key, others, strangers] = [keyOf(5), keyOf(6), keyOf(66)];
    const [id, othersId] = [privateId(key.prefix, filled(16, 1)), privateId(others.prefix, filled(16, 1))];
    owner.listen(id);
    bystander.listen(othersId);
    owner.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    bystander.client.insertTrigger(world.nowMs, othersId, { kind: "private", key: others });
    world.run(1_000);
    owner.client.removeTrigger(world.nowMs, id);
    world.run(1_000);
    owner.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    world.run(1_000);
    const [removals, inserts] = [scene.taped(owner, TRIGGER_ACTION.remove), scene.taped(owner, TRIGGER_ACTION.insert)];
    expect([removals.length, inserts.length]).toEqual([2, 2]);

    const outcome = scene.attack(id, [{ program: owner, id }, { program: bystander, id: othersId }], ({ flags, given }, round) => {
      const [he, she] = [attacker.node.locator, owner.node.locator];
      const [his, hers] = [given(he), given(she)];
      const removal = { action: TRIGGER_ACTION.remove, id, target: he, flags, counter: 2 ** 50 + round, commitment: filled(16, 0), cookie: his.cookie } as const;
      const signed = (change: Partial<typeof removal> = {}): TriggerMessage => signTrigger({ kind: "private", key: strangers }, { ...removal, ...change }, his.nodeKey);
      const asHers = (message: TriggerMessage): TriggerMessage => ({ ...message, publicKey: key.publicKey });
      return {
        "own key": [{ from: he, message: signed() }],
        "stolen public key": [{ from: he, message: asHers(signed()) }],
        "stolen cookie": [{ from: he, message: asHers(signed({ cookie: hers.cookie })) }],
        "stolen cookie and address": [{ from: she, message: asHers(signed({ cookie: hers.cookie, target: she })) }],
        replay: removals.map((message) => ({ from: she, message })),
        "replay from elsewhere": removals.map((message) => ({ from: he, message })),
        "replay with a new cookie": removals.map((message) => ({ from: he, message: { ...message, flags, target: he, cookie: his.cookie, counter: removal.counter } })),
        "replay with a new cookie of hers": removals.map((message) => ({ from: she, message: { ...message, flags, cookie: hers.cookie, counter: removal.counter } })),
        "insert made a removal": inserts.map((message) => ({ from: she, message: { ...message, flags, action: TRIGGER_ACTION.remove, cookie: hers.cookie, counter: removal.counter } })),
      };
    });
    tell(`${TRIES} of each kind`, outcome);
    const { replay, ...rest } = outcome.answers;
    expect(rest).toEqual({
      "own key": { "REFUSED 5": TRIES }, "stolen public key": { "REFUSED 3": TRIES }, "stolen cookie": { "REFUSED 2": TRIES }, "stolen cookie and address": { "REFUSED 3": TRIES },
      // Those for the replica's server are no removals at the responsible one, and the other way round.
      "replay from elsewhere": { "REFUSED 1": 3 * ROUNDS, "REFUSED 2": TRIES, "REFUSED 10": ROUNDS },
      "replay with a new cookie": { "REFUSED 3": 2 * TRIES }, "replay with a new cookie of hers": { "REFUSED 3": 2 * TRIES }, "insert made a removal": { "REFUSED 3": 2 * TRIES },
    });
    expect(Object.values(replay ?? {}).reduce((sum, n) => sum + n, 0)).toBe(2 * TRIES);
    expect(replay).toEqual({ "REFUSED 1": 3 * ROUNDS, "REFUSED 2": 2 * ROUNDS, "REFUSED 4": 2 * ROUNDS, "REFUSED 10": ROUNDS });
    expect({ removed: outcome.removed, inserted: outcome.inserted, expired: outcome.expired, rate: outcome.rate }).toEqual({ removed: 0, inserted: 0, expired: 0, rate: 0 });
    for (const each of outcome.of) {
      expect(each).toMatchObject(UNHURT);
      expect(each.refreshes.asked).toBeGreaterThan(20);
      expect(each.refreshes.lost).toBe(0);
    }
  }, 60_000);
});

describe("a member of a group", () => {
  it("removes no other, by whatever it has, and costs nobody a packet or a refresh", () => {
    const scene = new Scene("removal by members");
    const { world, attacker } = scene;
    const [ann, carol] = [scene.program(1), scene.program(3)];
    const [group, foreign, annsKey, carolsKey, bobsKey] = [keyOf(9), keyOf(10), keyOf(11), keyOf(12), keyOf(13)];
    const id = groupId(group.publicKey, filled(16, 0));
    const certificate = (member: TriggerKey, by = group): Uint8Array => certifyMember(by, member.publicKey, END_S);
    for (const [program, key] of [[ann, annsKey], [carol, carolsKey]] as const) {
      program.listen(id);
      program.client.joinGroup(world.nowMs, id, certificate(key), key);
    }
    world.run(1_000);
    ann.client.leaveGroup(world.nowMs, id);
    world.run(1_000);
    ann.client.joinGroup(world.nowMs, id, certificate(annsKey), annsKey);
    world.run(1_000);
    const [removals, inserts] = [scene.taped(ann, TRIGGER_ACTION.remove), scene.taped(ann, TRIGGER_ACTION.insert)];
    expect([removals.length, inserts.length]).toEqual([2, 2]);

    const outcome = scene.attack(id, [{ program: ann, id }, { program: carol, id }], ({ flags, given }, round) => {
      const [bob, she] = [attacker.node.locator, ann.node.locator];
      const [his, hers] = [given(bob), given(she)];
      const removal = { action: TRIGGER_ACTION.remove, id, target: bob, flags, counter: 2 ** 50 + round, commitment: filled(16, 0), cookie: his.cookie } as const;
      const signed = (signer: TriggerSigner, change: Partial<typeof removal> = {}): TriggerMessage => signTrigger(signer, { ...removal, ...change }, his.nodeKey);
      const bobs: TriggerSigner = { kind: "member", certificate: certificate(bobsKey), key: bobsKey };
      const asAnn: TriggerSigner = { kind: "member", certificate: certificate(annsKey), key: bobsKey };
      const ofHisMaking = Uint8Array.from([...group.publicKey, ...certificate(annsKey, bobsKey).subarray(32)]);
      return {
        "his own trigger, that is not there": [{ from: bob, message: signed(bobs) }],
        "the other's certificate": [{ from: bob, message: signed(asAnn) }],
        "the other's certificate, cookie and address": [{ from: she, message: signed(asAnn, { cookie: hers.cookie, target: she }) }],
        "his signature under the other's certificate": [{ from: bob, message: { ...signed(bobs), publicKey: certificate(annsKey) } }],
        "a certificate for the other, of his making": [{ from: bob, message: signed({ kind: "member", certificate: ofHisMaking, key: bobsKey }) }],
        "a certificate for the other, of another group": [{ from: bob, message: signed({ kind: "member", certificate: certificate(annsKey, foreign), key: bobsKey }) }],
        "the group's key as one of a single host": [{ from: bob, message: signed({ kind: "private", key: { ...bobsKey, publicKey: group.publicKey } }) }],
        replay: removals.map((message) => ({ from: she, message })),
        "replay with a new cookie": removals.map((message) => ({ from: bob, message: { ...message, flags, target: bob, cookie: his.cookie, counter: removal.counter } })),
        "insert made a removal": inserts.map((message) => ({ from: she, message: { ...message, flags, action: TRIGGER_ACTION.remove, cookie: hers.cookie, counter: removal.counter } })),
      };
    });
    tell(`${TRIES} of each kind`, outcome);
    expect(outcome.answers).toEqual({
      "his own trigger, that is not there": { TRIGGER_OK: TRIES },
      "the other's certificate": { "REFUSED 3": TRIES }, "the other's certificate, cookie and address": { "REFUSED 3": TRIES }, "his signature under the other's certificate": { "REFUSED 3": TRIES },
      "a certificate for the other, of his making": { "REFUSED 3": TRIES }, "a certificate for the other, of another group": { "REFUSED 5": TRIES }, "the group's key as one of a single host": { "REFUSED 5": TRIES },
      replay: { "REFUSED 1": 3 * ROUNDS, "REFUSED 2": 2 * ROUNDS, "REFUSED 4": 2 * ROUNDS, "REFUSED 10": ROUNDS },
      "replay with a new cookie": { "REFUSED 3": 2 * TRIES }, "insert made a removal": { "REFUSED 3": 2 * TRIES },
    });
    // His own alone.
    expect({ removed: outcome.removed, inserted: outcome.inserted, expired: outcome.expired, rate: outcome.rate }).toEqual({ removed: TRIES, inserted: 0, expired: 0, rate: 0 });
    for (const each of outcome.of) {
      expect(each).toMatchObject(UNHURT);
      expect(each.refreshes.asked).toBeGreaterThan(20);
      expect(each.refreshes.lost).toBe(0);
    }
  }, 60_000);
});
