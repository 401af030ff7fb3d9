/**
 * Many tries of each kind of forged message at every server, beside packets and refreshes of those they are aimed at and of bystanders: what got through, and
 * what it cost. Real cores and engines in virtual time.
 */
import { bytesKey, CONTROL_FIRST_BYTE, decodeControl, encodeControl, privateId, ringKey, sameBytes, sameLocator, TRIGGER_ACTION, TRIGGER_FLAG, type ControlMessage, type Locator, type TriggerMessage } from "@i3/common";
import { triggerKeyFromSeed, type TriggerKey } from "@i3/hip";
import type { ServerCore } from "@i3/i3-server";

import { World, type Node } from "../../../test/sim/world.js";
import { filled } from "./fake-ring.js";
import { Program } from "./program.js";

const SERVERS = 4;
/** Tries of each kind at each server. */
export const ROUNDS = 50;
const ROUND_MS = 400;
/** Packets before and after; those after go on for longer than a trigger lives without a refresh. */
const CALM = 20;
const AFTER_MS = 2_000;
export const TRIES = SERVERS * ROUNDS;
export const keyOf = (seed: number): TriggerKey => triggerKeyFromSeed(filled(32, seed));
const coreOf = (node: Node): ServerCore => node.core as ServerCore;

/** In words. */
const said = (answer: ControlMessage | null): string => (answer === null ? "silence" : answer.type === "REFUSED" ? `REFUSED ${answer.code}` : answer.type);

export interface Attempt {
  readonly from: Locator;
  readonly message: ControlMessage;
}

/** A server, the flags that a trigger for the id has there, and what it gives an address to sign; for another's the attacker reads it on its way there. */
interface Place {
  readonly server: Node;
  readonly flags: number;
  readonly given: (to: Locator) => { readonly cookie: Uint8Array; readonly nodeKey: Uint8Array };
}

/** REFRESHes of a program since then, and those of them that no server took. */
export function refreshesOf({ world, node }: Program, sinceMs: number): { readonly asked: number; readonly lost: number } {
  const control = world.wire.filter(({ atMs, from, to, bytes }) => atMs >= sinceMs && bytes[0] === CONTROL_FIRST_BYTE && (sameLocator(from, node.locator) || sameLocator(to, node.locator))).map((sent) => ({ ...sent, ...decodeControl(sent.bytes) }));
  const asked = control.filter(({ atMs, from, message }) => message.type === "REFRESH" && sameLocator(from, node.locator) && atMs < world.nowMs - 100);
  const taken = new Set(control.filter(({ to, message }) => message.type === "TRIGGER_OK" && sameLocator(to, node.locator)).map(({ nonce }) => bytesKey(nonce)));
  return { asked: asked.length, lost: asked.filter(({ nonce }) => !taken.has(bytesKey(nonce))).length };
}

export class AttackScene {
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

  /** One with a trigger of its own. */
  owner(n: number, key: TriggerKey): { readonly program: Program; readonly id: Uint8Array } {
    const [program, id] = [this.program(n), privateId(key.prefix, filled(16, 1))];
    program.listen(id);
    program.client.insertTrigger(this.world.nowMs, id, { kind: "private", key });
    return { program, id };
  }

  /** One who has inserted a trigger, removed it and inserted it again, the newest of these messages to each server, and a bystander. */
  ownerOnTape(key: TriggerKey) {
    const { world } = this;
    const [{ program: owner, id }, bystander] = [this.owner(1, key), this.owner(3, keyOf(6))];
    world.run(1_000);
    owner.client.removeTrigger(world.nowMs, id);
    world.run(1_000);
    owner.client.insertTrigger(world.nowMs, id, { kind: "private", key });
    world.run(1_000);
    return { owner, id, bystander, removals: this.taped(owner, TRIGGER_ACTION.remove), inserts: this.taped(owner, TRIGGER_ACTION.insert) };
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
        lost: sent.filter((text) => !texts.includes(text)).length, twice: texts.length - new Set(texts).size, refreshes: refreshesOf(program, sinceMs),
        troubles: program.events.slice(eventsBefore[i]).filter(({ kind }) => kind === "trigger-lost" || kind === "trigger-replaced" || kind === "trigger-refused").length,
      };
    });
    return { answers, removed, inserted, expired, rate, signature, sent: sent.length, of };
  }
}

export const tell = (what: string, { answers, removed, sent, signature, of }: ReturnType<AttackScene["attack"]>): void =>
  void process.stdout.write(`    ${what}: ${JSON.stringify(answers)}; removed ${removed}; ${signature} signatures checked in vain; of ${sent} packets lost: ${of.map(({ lost }) => lost).join(", ")}; of refreshes: ${of.map(({ refreshes: { asked, lost } }) => `${lost} of ${asked}`).join(", ")}\n`);

/** Of each who was aimed at, or stood by. */
export const UNHURT = { lost: 0, twice: 0, troubles: 0 };
