/**
 * Private ids at near servers (paper §4.2): keys are drawn, 12 at least and 32 at most, until the server of the ids of one is hardly farther than
 * the nearest that is known; the best of them is taken. It happens beside everything else: whoever needs an id before one is ready
 * uses any key.
 */
import { bytesKey, encodeControl, NONCE_BYTES, sameBytes, sameLocator, type ControlMessage, type Locator } from "@i3/common";
import { triggerKeyFromSeed, type TriggerKey } from "@i3/hip";

import type { ClientEnvironment, ClientEvent } from "./environment.js";
import type { ServerStatus } from "./servers.js";

// Ours:
/** Of the paper's "until": on average one key in as many as there are servers falls to a given one. */
const MAX_DRAWS = 32;
/** Before that many, none is taken: the draws are also how servers that nobody has named are met. */
const MIN_DRAWS = 12;
const DRAW_MS = 50;
/** After the last draw, answers to LOCATE and PING are waited for. */
const LAST_ANSWERS_MS = 2_000;
/** Near enough: within this of the nearest server. */
const NEAR_FACTOR = 1.5;
const NEAR_MS = 2;
/** Nothing could be measured: tried again after this. */
const AGAIN_MS = 60_000;
const MAX_READY = 16;
const SEED_BYTES = 32;

interface Candidate {
  readonly key: TriggerKey;
  readonly nonce: string;
  readonly asked: Locator;
  server: Locator | null;
}

/** A key whose ids live at a near server. */
export interface NearKey {
  readonly key: TriggerKey;
  readonly server: Locator;
  /** To that server, when it was chosen. */
  readonly rttMs: number;
}

export interface NearIdsOwner {
  emit(event: ClientEvent): void;
  firstHop(): Locator | null;
  servers(): readonly ServerStatus[];
  /** Is to be measured. */
  learn(locator: Locator): void;
}

export class NearIds {
  readonly #environment: ClientEnvironment;
  readonly #owner: NearIdsOwner;
  readonly #ready: NearKey[] = [];
  #wanted = 0;
  /** Of the search that runs. */
  #candidates: Candidate[] = [];
  #draws = 0;
  #nextMs = Infinity;

  constructor(environment: ClientEnvironment, owner: NearIdsOwner) {
    this.#environment = environment;
    this.#owner = owner;
  }

  /** How many keys are to be ready, at most 16. */
  want(nowMs: number, count: number): void {
    this.#wanted = Math.min(count, MAX_READY);
    if (this.#ready.length < this.#wanted && this.#nextMs === Infinity) this.#nextMs = nowMs;
  }

  /** One that is ready, for this caller alone; null: none is yet. */
  take(nowMs: number): NearKey | null {
    const key = this.#ready.shift() ?? null;
    this.want(nowMs, this.#wanted);
    return key;
  }

  /** False when nobody asked. */
  handle(nowMs: number, from: Locator, nonce: Uint8Array, message: ControlMessage): boolean {
    const text = bytesKey(nonce);
    const candidate = this.#candidates.find((drawn) => drawn.nonce === text && sameLocator(drawn.asked, from));
    if (candidate === undefined || message.type !== "LOCATED" || candidate.server !== null || !sameBytes(message.ringKey, candidate.key.prefix)) return false;
    candidate.server = message.node.locator;
    if (this.#rttMs(candidate) === Infinity) this.#owner.learn(candidate.server);
    this.#choose(nowMs, false);
    return true;
  }

  handleTimer(nowMs: number): void {
    if (nowMs < this.#nextMs) return;
    const firstHop = this.#owner.firstHop();
    if (firstHop === null) {
      this.#nextMs = nowMs + LAST_ANSWERS_MS;
      return;
    }
    if (this.#choose(nowMs, this.#draws >= MAX_DRAWS)) return;
    this.#draw(nowMs, firstHop);
  }

  nextDeadlineMs(): number {
    return this.#nextMs;
  }

  #draw(nowMs: number, firstHop: Locator): void {
    const { randomBytes, datapath } = this.#environment;
    const key = triggerKeyFromSeed(randomBytes(SEED_BYTES));
    const nonce = randomBytes(NONCE_BYTES);
    this.#candidates.push({ key, nonce: bytesKey(nonce), asked: firstHop, server: null });
    this.#draws += 1;
    this.#nextMs = nowMs + (this.#draws < MAX_DRAWS ? DRAW_MS : LAST_ANSWERS_MS);
    datapath.send([{ locator: firstHop, bytes: encodeControl({ type: "LOCATE", ringKey: key.prefix }, nonce) }]);
  }

  /** Takes the nearest candidate when it is near enough, or as it is when that was the `last` chance. Returns whether the search has ended. */
  #choose(nowMs: number, last: boolean): boolean {
    const [best, rttMs] = this.#nearest();
    const known = this.#owner.servers().filter(({ liveness }) => liveness === "alive");
    const nearestMs = Math.min(Infinity, ...known.map((server) => server.rttMs));
    const isNear = this.#draws >= MIN_DRAWS && rttMs <= nearestMs * NEAR_FACTOR + NEAR_MS && rttMs !== Infinity;
    if (!isNear && !last) return false;
    this.#candidates = [];
    this.#draws = 0;
    if (best !== null && best.server !== null && rttMs !== Infinity) {
      this.#ready.push({ key: best.key, server: best.server, rttMs });
      this.#owner.emit({ kind: "near-key", server: best.server, rttMs });
    }
    const pauseMs = rttMs === Infinity ? AGAIN_MS : DRAW_MS;
    this.#nextMs = this.#ready.length < this.#wanted ? nowMs + pauseMs : Infinity;
    return true;
  }

  #nearest(): readonly [Candidate | null, number] {
    let nearest: Candidate | null = null;
    let nearestMs = Infinity;
    for (const candidate of this.#candidates) {
      const rttMs = this.#rttMs(candidate);
      if (rttMs < nearestMs) [nearest, nearestMs] = [candidate, rttMs];
    }
    return [nearest, nearestMs];
  }

  #rttMs({ server }: Candidate): number {
    const status = server === null ? undefined : this.#owner.servers().find(({ locator }) => sameLocator(locator, server));
    return status?.liveness === "alive" ? status.rttMs : Infinity;
  }
}
