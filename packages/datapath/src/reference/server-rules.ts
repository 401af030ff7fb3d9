/**
 * What a server does with a data packet (docs/wire.md §3 "At a server", docs/datapath.md "Server rules").
 *
 *     not ours, no trigger ─► next server, FORWARDED set          ours, no trigger ─► dropped, `no-trigger`
 *     trigger ─► one copy per longest match ─► address: sent, stack unchanged
 *                                        └► stack: takes the place of id[0], and again from the top (a hop)
 *
 * Everything leaves with the traffic class that it came with.
 */
import { sameBytes } from "@i3/common";

import { LIMITS, type DropReason } from "../datapath.js";
import { DATA_FLAG, DATA_OFFSET, HOP_LIMIT, ID_BYTES, MAX_STACK_LENGTH, NONCE_BYTES, dataHeaderBytes } from "../wire/data-header.js";
import type { Arrival } from "./arrival.js";
import { decodeEndpoint } from "./endpoints.js";
import { keyBytes, ringKeyAt } from "./keys.js";
import type { WaitingDatagram } from "./next-servers.js";
import { asBuffer, copyBytes, u8 } from "./octets.js";
import { sourceKeyAt } from "./source-shares.js";
import type { EngineState } from "./state.js";
import { ADDRESS_SLOT_BYTES } from "./step.js";
import type { TriggerTarget } from "./trigger-table.js";

/**
 * One packet or copy under way. The datagram itself is never changed: `head` (whole ids) stands in place of its id[0] once a
 * trigger with a stack was met, so the payload is copied once, when the copy leaves.
 */
interface Work extends Omit<Arrival, "ways" | "wayAt"> {
  readonly head: Buffer | null;
  readonly hopLimit: number;
  readonly copyBudget: number;
  /** From id to id at this server. */
  readonly hops: number;
}

export class ServerRules {
  readonly #state: EngineState;

  constructor(state: EngineState) {
    this.#state = state;
  }

  /** A data packet whose header was parsed. A hop limit above what senders put in is cut: it only makes floods cheaper. */
  serve({ bytes, at, length, origins, originAt, trafficClass }: Arrival): void {
    const hopLimit = Math.min(u8(bytes, at + DATA_OFFSET.hopLimit), HOP_LIMIT);
    const copyBudget = u8(bytes, at + DATA_OFFSET.copyBudget);
    // Spelt out: a copy by `...` that then grows makes every later copy slow.
    this.#route({ bytes, at, length, origins, originAt, trafficClass, head: null, hopLimit, copyBudget, hops: 0 });
  }

  /** The packets that wait for a ring key are looked at again, as the tables now are. */
  resume(key: string): void {
    for (const waiting of this.#state.waitingRoutes.take(key)) this.#resumeOne(waiting);
  }

  #resumeOne({ bytes, from, trafficClass, replaced }: WaitingDatagram): void {
    if (!this.#state.range.serves) return this.#state.counters.drop("no-route");
    const head = replaced ? bytes.subarray(DATA_OFFSET.ids, dataHeaderBytes(1)) : null;
    const hopLimit = u8(bytes, DATA_OFFSET.hopLimit);
    const copyBudget = u8(bytes, DATA_OFFSET.copyBudget);
    this.#route({ bytes, at: 0, length: bytes.length, origins: from, originAt: 0, trafficClass, head, hopLimit, copyBudget, hops: 0 });
  }

  #route(work: Work): void {
    if (this.#isServedHere(idBytes(work), idAt(work))) this.#match(work);
    else this.#sendOn(work);
  }

  /** Ours, or held from the time when it was: until its owner has registered with the server that took over (docs/wire.md §3, "At a server"). */
  #isServedHere(id: Buffer, at: number): boolean {
    return this.#state.range.owns(id, at) || this.#state.triggers.match(id, at).length > 0;
  }

  #match(work: Work): void {
    const targets = distinct(this.#state.triggers.match(idBytes(work), idAt(work)));
    if (targets.length === 0) return this.#noTrigger(work);
    if (work.hopLimit <= 1) return this.#state.counters.drop("hop-limit");
    this.#cacheRequest(work);
    if (targets.length === 1) return this.#copy(work, targets[0] as TriggerTarget, work.copyBudget);
    const share = Math.floor(work.copyBudget / targets.length);
    const remainder = work.copyBudget - share * targets.length;
    // Those that the copy budget does not allow cost nothing.
    const allowed = Math.min(targets.length, work.copyBudget);
    const sent = allowed === 0 ? 0 : 1 + this.#paid(work, allowed - 1);
    this.#state.counters.drop("copy-budget", targets.length - allowed);
    this.#state.counters.drop("rate", allowed - sent);
    targets.slice(0, sent).forEach((target, i) => this.#copy(work, target, i < remainder ? share + 1 : share));
  }

  /** How many of so many copies beyond the first, or further hops, the source may still make. */
  #paid(work: Work, wanted: number): number {
    return this.#state.copyRates.take(this.#state.nowMs, sourceKeyAt(work.origins, work.originAt), wanted);
  }

  #copy(work: Work, target: TriggerTarget, copyBudget: number): void {
    if (copyBudget === 0) return this.#state.counters.drop("copy-budget");
    const hopLimit = work.hopLimit - 1;
    if (target.kind === "locator") return this.#emit({ ...work, hopLimit, copyBudget }, target.endpoint, flagsOf(work));
    const head = work.head === null ? target.ids : Buffer.concat([target.ids, work.head.subarray(ID_BYTES)]);
    const copy = { ...work, hopLimit, copyBudget, head, hops: work.hops + 1 };
    if (stackLength(copy) > MAX_STACK_LENGTH) return this.#state.counters.drop("malformed");
    if (copy.hops > LIMITS.freeHops && this.#paid(copy, 1) === 0) return this.#state.counters.drop("rate");
    if (this.#isServedHere(head, 0)) this.#match(copy);
    else this.#send(copy);
  }

  /** To the server whose key it is; that takes one off the hop limit. */
  #sendOn(work: Work): void {
    if (work.hopLimit <= 1) return this.#astray(work);
    this.#send({ ...work, hopLimit: work.hopLimit - 1 });
  }

  #send(work: Work): void {
    const key = ringKeyAt(idBytes(work), idAt(work));
    const { passOn } = this.#state;
    if (passOn !== null && isOfServer(work) && sameEndpoint(work, passOn.from)) return this.#emit(work, passOn.to, flagsOf(work));
    const endpoint = this.#state.nextServers.lookup(key);
    if (endpoint === null) return this.#wait(key, work);
    // Two servers, each of which takes the other for responsible while the ring changes: neither has a trigger. A stack may well lead back.
    // From who has the triggers it would not have come: they are further on, and that one passes on what comes from us.
    const isPassedBack = passOn !== null && sameBytes(passOn.to, endpoint);
    if (isOfServer(work) && sameEndpoint(work, endpoint) && !isPassedBack) return this.#noTrigger(work);
    this.#cacheRequest(work);
    this.#emit(work, endpoint, flagsOf(work) | DATA_FLAG.forwarded);
  }

  /** Kept with the hop limit it had before {@link #sendOn}, through which it comes again. */
  #wait(key: string, work: Work): void {
    const make = (): WaitingDatagram => ({
      bytes: this.#materialise({ ...work, hopLimit: work.hopLimit + 1 }),
      from: Buffer.from(work.origins.subarray(work.originAt, work.originAt + ADDRESS_SLOT_BYTES)),
      trafficClass: work.trafficClass,
      replaced: work.head !== null,
    });
    const { waitingRoutes, upcalls, counters, nowMs } = this.#state;
    const source = sourceKeyAt(work.origins, work.originAt);
    // Asked even when the packet then finds no room: otherwise a key could wait for ever behind other keys' packets.
    if (waitingRoutes.mayOpen(key, source)) {
      if (!upcalls.allowRouteMiss(nowMs, source)) return counters.drop("rate");
      waitingRoutes.open(key, source);
      upcalls.push({ kind: "route-miss", ringKey: keyBytes(key), from: decodeEndpoint(work.origins, work.originAt) });
    }
    if (!waitingRoutes.push(key, source, sentBytes(work), make)) counters.drop("queue-full");
  }

  #materialise(work: Work): Buffer {
    const out = Buffer.alloc(sentBytes(work));
    writePacket(work, out, 0, flagsOf(work));
    return out;
  }

  #emit(work: Work, endpoint: Uint8Array, flags: number): void {
    const { udpOut, counters } = this.#state;
    const refusal: DropReason | null = udpOut.reserve(sentBytes(work), endpoint, work.trafficClass);
    if (refusal !== null) return counters.drop(refusal);
    writePacket(work, udpOut.buffer, udpOut.at, flags);
  }

  #noTrigger(work: Work): void {
    const { upcalls, counters, nowMs } = this.#state;
    counters.drop("no-trigger");
    // A head that this server put in is not the sender's to know: a receiver's stack stays private.
    if (work.head !== null) return;
    if (!upcalls.allowNotice("no-trigger", nowMs, work.bytes, idAt(work), work.origins, work.originAt)) return;
    const id = copyBytes(work.bytes, idAt(work), idAt(work) + ID_BYTES);
    upcalls.push({ kind: "no-trigger", id, ...senderOf(work), forwarded: (flagsOf(work) & DATA_FLAG.forwarded) !== 0 });
  }

  /** The ways of several servers lead in a circle. A stack, or who has sent few hops, may well end so: that is no circle. */
  #astray(work: Work): void {
    const { upcalls, counters, nowMs } = this.#state;
    counters.drop("hop-limit");
    if (!isOfServer(work) || !upcalls.allowNotice("astray", nowMs, work.bytes, idAt(work), work.origins, work.originAt)) return;
    upcalls.push({ kind: "astray", id: copyBytes(work.bytes, idAt(work), idAt(work) + ID_BYTES), from: decodeEndpoint(work.origins, work.originAt) });
  }

  #cacheRequest(work: Work): void {
    const asked = (flagsOf(work) & (DATA_FLAG.cacheRequest | DATA_FLAG.forwarded)) === DATA_FLAG.cacheRequest;
    if (!asked || work.head !== null) return;
    const { upcalls, nowMs } = this.#state;
    if (!upcalls.allowNotice("cache-request", nowMs, work.bytes, idAt(work), work.origins, work.originAt)) return;
    const id = copyBytes(work.bytes, idAt(work), idAt(work) + ID_BYTES);
    upcalls.push({ kind: "cache-request", id, ...senderOf(work), shortcutOk: (flagsOf(work) & DATA_FLAG.shortcutOk) !== 0 });
  }
}

/** One copy for each address and each stack: a second one would be the same packet. */
function distinct(targets: readonly TriggerTarget[]): readonly TriggerTarget[] {
  if (targets.length < 2) return targets;
  const seen = new Set<string>();
  return targets.filter((target) => {
    const key = `${target.kind} ${asBuffer(target.kind === "locator" ? target.endpoint : target.ids).toString("latin1")}`;
    return !seen.has(key) && seen.add(key);
  });
}
/** Another server has sent it on, and no trigger of ours has changed where it goes. */
const isOfServer = (work: Work): boolean => work.head === null && (flagsOf(work) & DATA_FLAG.forwarded) !== 0;
/** The packet came from there. */
const sameEndpoint = (work: Work, endpoint: Uint8Array): boolean =>
  asBuffer(endpoint).equals(work.origins.subarray(work.originAt, work.originAt + ADDRESS_SLOT_BYTES));
const idBytes = (work: Work): Buffer => work.head ?? work.bytes;
const idAt = (work: Work): number => (work.head === null ? work.at + DATA_OFFSET.ids : 0);
const flagsOf = (work: Work): number => u8(work.bytes, work.at + DATA_OFFSET.flags);
const headIds = (work: Work): number => (work.head === null ? 1 : work.head.length / ID_BYTES);
const stackLength = (work: Work): number => u8(work.bytes, work.at + DATA_OFFSET.stackLength) - 1 + headIds(work);
const sentBytes = (work: Work): number => work.length + (headIds(work) - 1) * ID_BYTES;

function senderOf(work: Work): { from: ReturnType<typeof decodeEndpoint>; nonce: Uint8Array; requestBytes: number } {
  const nonceAt = work.at + DATA_OFFSET.nonce;
  const nonce = copyBytes(work.bytes, nonceAt, nonceAt + NONCE_BYTES);
  return { from: decodeEndpoint(work.origins, work.originAt), nonce, requestBytes: work.length };
}

/** The packet as it leaves: the head in place of id[0], all else as it came but for the three fields. */
function writePacket(work: Work, into: Buffer, to: number, flags: number): void {
  const { bytes, at, length, head } = work;
  if (head === null) {
    bytes.copy(into, to, at, at + length);
  } else {
    bytes.copy(into, to, at, at + DATA_OFFSET.ids);
    head.copy(into, to + DATA_OFFSET.ids);
    bytes.copy(into, to + DATA_OFFSET.ids + head.length, at + dataHeaderBytes(1), at + length);
    into[to + DATA_OFFSET.stackLength] = stackLength(work);
  }
  into[to + DATA_OFFSET.flags] = flags;
  into[to + DATA_OFFSET.hopLimit] = work.hopLimit;
  into[to + DATA_OFFSET.copyBudget] = work.copyBudget;
}
