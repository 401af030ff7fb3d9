/**
 * Ids → triggers. All that can match an id share its first 128 bits and so are one group; within it the id with the longest common prefix
 * wins, and every trigger at it is served (i3 paper §2: multicast when they are equal, anycast when they are not). Of several ids with
 * equally long ones the nearest by XOR wins, which is one alone.
 *
 * A group is sorted by id. The ids with the longest common prefix are neighbours of the place where the id itself would stand.
 */
import { LIMITS, type TriggerEntry } from "../datapath.js";
import { tableFull } from "../errors.js";
import { ID_BYTES, MAX_STACK_LENGTH, RING_KEY_BYTES } from "../wire/data-header.js";
import { encodeEndpoint } from "./endpoints.js";
import { ringKey, ringKeyAt } from "./keys.js";
import { asBuffer, equalAt, ownBuffer, requireLength } from "./octets.js";

/** Where one copy goes: to an address, or on with `ids` (whole ids one after the other) in place of the head of the stack. */
export type TriggerTarget = { readonly kind: "locator"; readonly endpoint: Uint8Array } | { readonly kind: "stack"; readonly ids: Buffer };

/** The triggers of one id, in the order in which the control plane named them. */
export interface Bucket {
  readonly id: Buffer;
  readonly targets: TriggerTarget[];
}

const NO_TARGETS: readonly TriggerTarget[] = [];

export class TriggerTable {
  readonly #groups = new Map<string, { readonly buckets: readonly Bucket[]; readonly count: number }>();
  #count = 0;

  /**
   * Replaces the group of a ring key; none removes it. Throws DatapathError ERR_I3_TABLE_FULL (the old group stays), RangeError
   * when an id is not of this ring key or a stack has not 1–15 ids.
   */
  set(key: Uint8Array, triggers: readonly TriggerEntry[]): void {
    const name = ringKey(key);
    const before = this.#groups.get(name)?.count ?? 0;
    if (triggers.length > LIMITS.triggersPerRingKey) throw tableFull("trigger (one ring key)", LIMITS.triggersPerRingKey);
    if (this.#count - before + triggers.length > LIMITS.triggers) throw tableFull("trigger", LIMITS.triggers);
    const buckets = makeBuckets(key, triggers);
    this.#count += triggers.length - before;
    if (triggers.length === 0) this.#groups.delete(name);
    else this.#groups.set(name, { buckets, count: triggers.length });
  }

  /** The targets for the id of 32 bytes at `at`; none when no trigger shares 128 bits with it. */
  match(bytes: Buffer, at: number): readonly TriggerTarget[] {
    const group = this.#groups.get(ringKeyAt(bytes, at));
    return group === undefined ? NO_TARGETS : longestPrefix(group.buckets, bytes, at);
  }
}

function makeBuckets(key: Uint8Array, triggers: readonly TriggerEntry[]): readonly Bucket[] {
  const byId = new Map<string, Bucket>();
  for (const { id, target } of triggers) {
    requireTrigger(key, { id, target });
    const own = ownBuffer(id);
    const name = own.toString("latin1");
    const bucket = byId.get(name) ?? { id: own, targets: [] };
    bucket.targets.push(prepareTarget(target));
    byId.set(name, bucket);
  }
  return [...byId.values()].sort((a, b) => Buffer.compare(a.id, b.id));
}

/** Throws RangeError for an id of another ring key, and for a stack that has not 1–15 ids. */
export function requireTrigger(key: Uint8Array, { id, target }: TriggerEntry): void {
  requireLength("trigger id", id, ID_BYTES);
  if (!equalAt(id, 0, key)) throw new RangeError("trigger id of another ring key");
  if (target.kind === "locator") return;
  if (target.ids.length < 1 || target.ids.length > MAX_STACK_LENGTH) throw new RangeError(`trigger stack of ${target.ids.length}`);
  for (const stackId of target.ids) requireLength("trigger stack id", stackId, ID_BYTES);
}

function prepareTarget(target: TriggerEntry["target"]): TriggerTarget {
  if (target.kind === "locator") return { kind: "locator", endpoint: encodeEndpoint(target.locator) };
  return { kind: "stack", ids: Buffer.concat(target.ids) };
}

function longestPrefix(buckets: readonly Bucket[], bytes: Buffer, at: number): readonly TriggerTarget[] {
  const place = insertionPlace(buckets, bytes, at);
  const here = buckets[place];
  if (here !== undefined && equalAt(bytes, at, here.id)) return here.targets;
  const best = Math.max(prefixOf(buckets[place - 1], bytes, at), prefixOf(here, bytes, at));
  let from = place;
  let to = place;
  while (prefixOf(buckets[from - 1], bytes, at) === best) from--;
  while (prefixOf(buckets[to], bytes, at) === best) to++;
  let nearest = buckets[from];
  for (const bucket of buckets.slice(from + 1, to)) if (nearest !== undefined && isNearer(bucket, nearest, bytes, at)) nearest = bucket;
  return nearest?.targets ?? NO_TARGETS;
}

/** Whether the id of `a` is nearer by XOR to the one at `at` than that of `b`. */
function isNearer(a: Bucket, b: Bucket, bytes: Uint8Array, at: number): boolean {
  for (let i = RING_KEY_BYTES; i < ID_BYTES; i++) {
    const wanted = bytes[at + i] as number;
    const difference = ((a.id[i] as number) ^ wanted) - ((b.id[i] as number) ^ wanted);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The first bucket whose id is not below the one at `at`. */
function insertionPlace(buckets: readonly Bucket[], bytes: Buffer, at: number): number {
  let low = 0;
  let high = buckets.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareId(buckets[middle] as Bucket, bytes, at);
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Negative when the bucket's id is below the one at `at`. The ring key is the same for all. */
function compareId({ id }: Bucket, bytes: Uint8Array, at: number): number {
  for (let i = RING_KEY_BYTES; i < ID_BYTES; i++) {
    const difference = (id[i] as number) - (bytes[at + i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Bits that the bucket's id shares with the one at `at`; -1 when there is no bucket. */
function prefixOf(bucket: Bucket | undefined, bytes: Uint8Array, at: number): number {
  return bucket === undefined ? -1 : commonPrefixBits(bucket.id, 0, bytes, at);
}

/** Leading bits in which two ids agree, 0–256. */
export function commonPrefixBits(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = (a[aAt + i] as number) ^ (b[bAt + i] as number);
    if (difference !== 0) return i * 8 + Math.clz32(difference) - 24;
  }
  return ID_BYTES * 8;
}

/** For arguments that are whole arrays. */
export const matchId = (table: TriggerTable, id: Uint8Array): readonly TriggerTarget[] => table.match(asBuffer(id), 0);
