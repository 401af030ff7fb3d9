/**
 * One direction of an emulated link, without I/O, clock or randomness of its own.
 *
 *     input ─▶ rewriting ─▶ cut? ─▶ loss ─▶ burst loss ─▶ token bucket with bounded queue ─▶ delay + jitter (+ reordering) ─▶ duplication ─▶ poll
 *
 * Every packet draws one number from each of the generators whether it is needed or not: changing one parameter leaves the fate
 * that the others decide as it was, for the same seed and the same packets.
 */
import { DueQueue } from "./due-queue.js";
import { changeImpairment, PLAIN_WIRE, type FullImpairment, type Impairment } from "./impairment.js";
import { rewriteAddresses } from "./payload-rewrite.js";
import { SeededRandom } from "./seeded-random.js";

export interface PathStats {
  readonly received: number;
  readonly delivered: number;
  readonly lost: number;
  readonly burstLost: number;
  /** Found the queue before the bottleneck full. */
  readonly queueDropped: number;
  readonly cutDropped: number;
  /** Found IN_FLIGHT_MAX packets on their way. */
  readonly overflowDropped: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Had an address in the payload replaced. */
  readonly rewritten: number;
}

export interface PollResult {
  /** Packets that arrive now, in order. */
  readonly packets: Uint8Array[];
  /** When to poll again, or undefined when nothing is on its way. */
  readonly deadlineMs: number | undefined;
}

/** 100 MB of full-size packets: 100 ms at 8 Gbit/s. */
const IN_FLIGHT_MAX = 65_536;
const QUEUE_MS = 100;
const QUEUE_BYTES_MIN = 65_536;

export class EmulatedPath {
  #impairment: FullImpairment = PLAIN_WIRE;
  readonly #loss: SeededRandom;
  readonly #burstChange: SeededRandom;
  readonly #burstLoss: SeededRandom;
  readonly #jitter: SeededRandom;
  readonly #reorder: SeededRandom;
  readonly #duplicate: SeededRandom;
  readonly #inFlight = new DueQueue();
  readonly #bottleneck = new Bottleneck();
  readonly #stats = {
    received: 0, delivered: 0, lost: 0, burstLost: 0, queueDropped: 0, cutDropped: 0, overflowDropped: 0, duplicated: 0, reordered: 0, rewritten: 0,
  };
  #isBadSpell = false;
  #lastDueMs = -Infinity;

  /** `seed`: 32 bits. Throws ERR_I3_NETNS_PLAN for impossible parameters. */
  constructor(impairment: Impairment, seed: number) {
    this.#loss = new SeededRandom(seed, "loss");
    this.#burstChange = new SeededRandom(seed, "burst change");
    this.#burstLoss = new SeededRandom(seed, "burst loss");
    this.#jitter = new SeededRandom(seed, "jitter");
    this.#reorder = new SeededRandom(seed, "reorder");
    this.#duplicate = new SeededRandom(seed, "duplicate");
    this.set(impairment);
  }

  get stats(): PathStats {
    return { ...this.#stats };
  }

  /** Packets on their way. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Changes parameters for packets to come; those on their way keep theirs, unless the path is cut. */
  set(change: Impairment): void {
    this.#impairment = changeImpairment(this.#impairment, change);
    if (!this.#impairment.isCut) return;
    this.#stats.cutDropped += this.#inFlight.size;
    this.#inFlight.clear();
    this.#bottleneck.clear();
    this.#lastDueMs = -Infinity;
  }

  /** Takes a packet, which the caller no longer touches. `nowMs` never goes back. */
  input(nowMs: number, received: Uint8Array): void {
    const how = this.#impairment;
    this.#stats.received++;
    const packet = how.rewriteAddresses === null ? received : rewriteAddresses(received, how.rewriteAddresses);
    if (packet !== received) this.#stats.rewritten++;
    const isLost = isHit(this.#loss, how.lossPercent);
    const isBurstLost = this.#drawBurstLoss();
    const jitterMs = this.#jitter.next() * how.jitterMs;
    const isReordered = isHit(this.#reorder, how.reorderPercent);
    const isDuplicated = isHit(this.#duplicate, how.duplicatePercent);

    if (how.isCut) return this.#drop("cutDropped");
    if (isLost) return this.#drop("lost");
    if (isBurstLost) return this.#drop("burstLost");
    if (this.#inFlight.size + (isDuplicated ? 2 : 1) > IN_FLIGHT_MAX) return this.#drop("overflowDropped");
    const departureMs = this.#bottleneck.pass(nowMs, packet.length, how);
    if (departureMs === undefined) return this.#drop("queueDropped");

    const dueMs = this.#due(departureMs + how.delayMs + jitterMs, isReordered);
    this.#inFlight.push(dueMs, packet);
    if (!isDuplicated) return;
    this.#stats.duplicated++;
    this.#inFlight.push(dueMs, packet);
  }

  /** The packets that are due at `nowMs`, and when the next ones will be. */
  poll(nowMs: number): PollResult {
    const packets: Uint8Array[] = [];
    for (let packet = this.#inFlight.popDue(nowMs); packet !== undefined; packet = this.#inFlight.popDue(nowMs)) packets.push(packet);
    this.#stats.delivered += packets.length;
    return { packets, deadlineMs: this.#inFlight.firstDueMs };
  }

  #drop(reason: "lost" | "burstLost" | "queueDropped" | "cutDropped" | "overflowDropped"): void {
    this.#stats[reason]++;
  }

  /** Gilbert–Elliott: the state changes before the packet meets it. */
  #drawBurstLoss(): boolean {
    const { burstStartPercent, burstEndPercent, burstLossPercent } = this.#impairment;
    const changes = isHit(this.#burstChange, this.#isBadSpell ? burstEndPercent : burstStartPercent);
    if (changes) this.#isBadSpell = !this.#isBadSpell;
    return isHit(this.#burstLoss, burstLossPercent) && this.#isBadSpell;
  }

  /** Jitter must not overtake; a reordered packet is held back without holding up those behind it. */
  #due(aloneMs: number, isReordered: boolean): number {
    const dueMs = Math.max(aloneMs, this.#lastDueMs);
    if (isReordered) {
      this.#stats.reordered++;
      return dueMs + this.#impairment.reorderMs;
    }
    this.#lastDueMs = dueMs;
    return dueMs;
  }
}

/**
 * Token bucket as an arrival-time calculation (GCRA, ITU-T I.371): `#fullAtMs` is when the bucket would be full again, so at time t
 * it holds burst − (fullAt − t) · rate. A packet leaves when the bucket holds its length, and never before the one ahead of it.
 */
class Bottleneck {
  #fullAtMs = -Infinity;
  #lastDepartureMs = -Infinity;
  /** Packets that have not left at the time of the last call, oldest at `#head`. */
  #waiting: { departureMs: number; bytes: number }[] = [];
  #head = 0;
  #waitingBytes = 0;

  /** When a packet that comes at `nowMs` leaves, or undefined when the queue has no room. */
  pass(nowMs: number, bytes: number, how: FullImpairment): number | undefined {
    if (how.rateKbit === 0) return Math.max(nowMs, this.#lastDepartureMs);
    const bytesPerMs = how.rateKbit / 8;
    this.#forgetDeparted(nowMs);
    const readyMs = this.#fullAtMs - (how.burstBytes - bytes) / bytesPerMs;
    const departureMs = Math.max(nowMs, readyMs, this.#lastDepartureMs);
    if (departureMs > nowMs) {
      const queueBytes = how.queueBytes || Math.max(QUEUE_BYTES_MIN, QUEUE_MS * bytesPerMs);
      if (this.#waitingBytes + bytes > queueBytes) return undefined;
      this.#waiting.push({ departureMs, bytes });
      this.#waitingBytes += bytes;
    }
    this.#fullAtMs = Math.max(this.#fullAtMs, departureMs) + bytes / bytesPerMs;
    this.#lastDepartureMs = departureMs;
    return departureMs;
  }

  clear(): void {
    this.#waiting = [];
    this.#head = 0;
    this.#waitingBytes = 0;
    this.#fullAtMs = -Infinity;
    this.#lastDepartureMs = -Infinity;
  }

  #forgetDeparted(nowMs: number): void {
    for (let first = this.#waiting[this.#head]; first !== undefined && first.departureMs <= nowMs; first = this.#waiting[this.#head]) {
      this.#waitingBytes -= first.bytes;
      this.#head++;
    }
    if (this.#head > 1_000 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
  }
}

function isHit(random: SeededRandom, percent: number): boolean {
  return random.next() * 100 < percent;
}
