/** Requests for a challenge that the engine answers by itself (docs/datapath.md, "Challenges"). */
import { createHmac } from "node:crypto";

import { COOKIE_BYTES, encodeLocator, TRIGGER_FLAG, u64Bytes } from "@i3/common";

import type { ChallengeAnswers } from "../datapath.js";
import { RING_KEY_BYTES } from "../wire/data-header.js";
import { parseChallengeRequest, writeChallenge } from "../wire/challenge.js";
import type { Arrival } from "./arrival.js";
import { decodeEndpoint } from "./endpoints.js";
import { copyBytes, ownBuffer, requireLength } from "./octets.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";
import { RingRange } from "./ring-range.js";
import type { EngineState } from "./state.js";

export const COOKIE_SECRET_BYTES = 32;
/** So that it and the engine's clock are together below 2^53. */
const MAX_WALL_OFFSET_MS = 2 ** 52;

interface Answers {
  readonly range: RingRange;
  readonly secret: Buffer;
  readonly nodeKey: Buffer;
  readonly wallOffsetMs: number;
}

/** Throws RangeError. */
export function requireChallengeAnswers({ secret, nodeKey, wallOffsetMs }: ChallengeAnswers): void {
  requireLength("cookie secret", secret, COOKIE_SECRET_BYTES);
  requireLength("node key", nodeKey, RING_KEY_BYTES);
  if (!Number.isInteger(wallOffsetMs) || wallOffsetMs < 0 || wallOffsetMs > MAX_WALL_OFFSET_MS) throw new RangeError(`a clock that began at ${wallOffsetMs} ms`);
}

export class ChallengeRules {
  readonly #state: EngineState;
  #answers: Answers | null = null;

  constructor(state: EngineState) {
    this.#state = state;
  }

  /** Throws RangeError. */
  set(answers: ChallengeAnswers | null): void {
    let made: Answers | null = null;
    if (answers !== null) {
      requireChallengeAnswers(answers);
      const range = new RingRange();
      range.set(answers.range);
      made = { range, secret: ownBuffer(answers.secret), nodeKey: ownBuffer(answers.nodeKey), wallOffsetMs: answers.wallOffsetMs };
    }
    this.#answers?.secret.fill(0);
    this.#answers = made;
  }

  /** Whether the control datagram is a request that has been answered; everything else goes up. */
  answer({ bytes, at, length, origins, originAt }: Arrival): boolean {
    const answers = this.#answers;
    const request = answers === null ? null : parseChallengeRequest(bytes, at, length);
    if (answers === null || request === null) return false;
    const isReplica = (request.flags & TRIGGER_FLAG.replica) !== 0;
    if (answers.range.owns(bytes, request.ringKeyAt) === isReplica) return false;
    const { nowMs, udpOut, counters } = this.#state;
    const ringKey = copyBytes(bytes, request.ringKeyAt, request.ringKeyAt + RING_KEY_BYTES);
    const observed = encodeLocator(decodeEndpoint(origins, originAt));
    const madeMs = Math.floor(nowMs);
    const reply = writeChallenge(ringKey, cookieOf(answers.secret, madeMs, observed, ringKey), observed, madeMs + answers.wallOffsetMs, answers.nodeKey, bytes, at);
    if (reply.length > length) return false;
    counters.challenged++;
    const refusal = udpOut.reserve(reply.length, copyBytes(origins, originAt, originAt + ADDRESS_SLOT_BYTES), 0);
    if (refusal !== null) counters.drop(refusal);
    else udpOut.buffer.set(reply, udpOut.at);
    return true;
  }
}

/** docs/wire.md §4.1, step 2. */
function cookieOf(secret: Buffer, madeMs: number, observed: Uint8Array, ringKey: Uint8Array): Uint8Array {
  const time = u64Bytes(madeMs);
  const mac = createHmac("sha256", secret).update(time).update(Uint8Array.of(observed.length)).update(observed).update(ringKey).digest();
  return Uint8Array.of(...time, ...mac.subarray(0, COOKIE_BYTES - time.length));
}
