/** Refreshes of triggers that the engine answers by itself (docs/datapath.md, "Refreshes"). */
import { domainHash, encodeLocator } from "@i3/common";

import { LIMITS, type Lease, type RefreshAnswers, type Refreshed } from "../datapath.js";
import { tableFull } from "../errors.js";
import { ID_BYTES } from "../wire/data-header.js";
import { parseRefresh, REFRESH_TOKEN_BYTES, writeTriggerOk } from "../wire/refresh.js";
import type { Arrival } from "./arrival.js";
import { decodeEndpoint, encodeEndpoint } from "./endpoints.js";
import { copyBytes, equalAt, ownBuffer, requireLength } from "./octets.js";
import { RingRange } from "./ring-range.js";
import type { EngineState } from "./state.js";

const MAX_LIFE_MS = 65_535;
const MAX_INDEX = 65_535;

interface KeptLease {
  readonly id: Buffer;
  /** As an endpoint. */
  readonly owner: Uint8Array;
  readonly isReplica: boolean;
  token: Buffer;
  index: number;
  endMs: number;
  /** Since the control plane was last told. */
  times: number;
  atMs: number;
}

interface Answers {
  readonly range: RingRange;
  /** Encoded, of IPv4 and of IPv6; empty: none. */
  readonly replicas: readonly [Uint8Array, Uint8Array];
  readonly lifeMs: number;
}

/** Throws RangeError for a lease that no refresh could be for. */
export function requireLease(id: Uint8Array, lease: Lease | null): void {
  requireLength("id", id, ID_BYTES);
  if (lease === null) return;
  requireLength("refresh token", lease.token, REFRESH_TOKEN_BYTES);
  if (!Number.isInteger(lease.index) || lease.index < 0 || lease.index > MAX_INDEX) throw new RangeError(`refresh index ${lease.index}`);
  if (!Number.isFinite(lease.endMs)) throw new RangeError(`a lease until ${lease.endMs}`);
}

/** Throws RangeError. */
export function requireAnswers(answers: RefreshAnswers): void {
  const { lifeMs } = answers;
  if (!Number.isInteger(lifeMs) || lifeMs < 1 || lifeMs > MAX_LIFE_MS) throw new RangeError(`a life of ${lifeMs} ms`);
  if (replicasOf(answers).filter((replica) => replica !== null).length < answers.replicas.length) throw new RangeError("two replicas of one family");
}

const isIpv4 = (endpoint: Uint8Array): boolean => decodeEndpoint(endpoint, 0).address.length === 4;

/** The one of IPv4 and the one of IPv6, as endpoints. Throws RangeError. */
export function replicasOf({ replicas }: RefreshAnswers): readonly [Uint8Array | null, Uint8Array | null] {
  const endpoints = replicas.map(encodeEndpoint);
  return [endpoints.find(isIpv4) ?? null, endpoints.find((endpoint) => !isIpv4(endpoint)) ?? null];
}

const encodeReplica = (endpoint: Uint8Array | null): Uint8Array => (endpoint === null ? new Uint8Array(0) : encodeLocator(decodeEndpoint(endpoint, 0)));

export class RefreshRules {
  readonly #state: EngineState;
  readonly #leases = new Map<string, KeptLease>();
  /** Those that the control plane has to be told of, the one refreshed last at the end. */
  readonly #refreshed = new Map<string, KeptLease>();
  #answers: Answers | null = null;

  constructor(state: EngineState) {
    this.#state = state;
  }

  /** Throws RangeError, and DatapathError when there is no room. */
  setLease(id: Uint8Array, lease: Lease | null): void {
    requireLease(id, lease);
    const own = ownBuffer(id);
    const name = own.toString("latin1");
    const owner = lease === null ? null : encodeEndpoint(lease.owner);
    if (owner !== null && !this.#leases.has(name) && this.#leases.size >= LIMITS.triggers) throw tableFull("lease", LIMITS.triggers);
    this.#refreshed.delete(name);
    if (lease === null || owner === null) this.#leases.delete(name);
    else this.#leases.set(name, { id: own, owner, isReplica: lease.isReplica, token: ownBuffer(lease.token), index: lease.index, endMs: lease.endMs, times: 0, atMs: 0 });
  }

  /** Throws RangeError. */
  setAnswers(answers: RefreshAnswers | null): void {
    if (answers === null) return void (this.#answers = null);
    requireAnswers(answers);
    const range = new RingRange();
    range.set(answers.range);
    const [ipv4, ipv6] = replicasOf(answers);
    this.#answers = { range, replicas: [encodeReplica(ipv4), encodeReplica(ipv6)], lifeMs: answers.lifeMs };
  }

  take(): readonly Refreshed[] {
    const told = [...this.#refreshed.values()].slice(0, LIMITS.refreshedPerBatch);
    return told.map((lease) => {
      const { id, token, index, atMs, times } = lease;
      this.#refreshed.delete(id.toString("latin1"));
      lease.times = 0;
      return { id: new Uint8Array(id), token: new Uint8Array(token), index, atMs, times };
    });
  }

  /** Whether the control datagram is a refresh that has been answered; everything else goes up. */
  answer({ bytes, at, length, origins, originAt }: Arrival): boolean {
    const answers = this.#answers;
    const refresh = answers === null ? null : parseRefresh(bytes, at, length);
    if (answers === null || refresh === null) return false;
    const lease = this.#leases.get(bytes.toString("latin1", refresh.idAt, refresh.idAt + ID_BYTES));
    if (lease === undefined || !equalAt(origins, originAt, lease.owner)) return false;
    const { nowMs, udpOut, counters } = this.#state;
    if (nowMs >= lease.endMs - LIMITS.leaseMarginMs) return false;
    if (!lease.isReplica && !answers.range.owns(lease.id, 0)) return false;
    const token = copyBytes(bytes, refresh.tokenAt, refresh.tokenAt + REFRESH_TOKEN_BYTES);
    const endMs = nowMs + answers.lifeMs;
    const replica = answers.replicas[isIpv4(lease.owner) ? 0 : 1];
    const reply = writeTriggerOk(lease.id, Math.floor(endMs - nowMs), lease.isReplica ? new Uint8Array(0) : replica, bytes, at);
    if (reply.length > length || !leadsTo(token, refresh.index - lease.index, lease.token)) return false;
    this.#refresh(lease, refresh.index, token, endMs);
    const refusal = udpOut.reserve(reply.length, lease.owner, 0);
    if (refusal !== null) counters.drop(refusal);
    else udpOut.buffer.set(reply, udpOut.at);
    return true;
  }

  #refresh(lease: KeptLease, index: number, token: Uint8Array, endMs: number): void {
    const { nowMs, counters } = this.#state;
    const name = lease.id.toString("latin1");
    Object.assign(lease, { index, token: ownBuffer(token), endMs, atMs: nowMs, times: lease.times + 1 });
    this.#refreshed.delete(name);
    this.#refreshed.set(name, lease);
    counters.refreshed++;
  }
}

/** Whether so many hashes make `last` of `token`. */
function leadsTo(token: Uint8Array, steps: number, last: Uint8Array): boolean {
  if (steps < 1 || steps > LIMITS.refreshSkip) return false;
  let value = token;
  for (let i = 0; i < steps; i++) value = domainHash("refresh", value).subarray(0, REFRESH_TOKEN_BYTES);
  return equalAt(value, 0, last);
}
