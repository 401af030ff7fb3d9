/**
 * The records of triggers, packed: a million of them as objects would be 3 KB each and work for every garbage collection. A slot has a number,
 * which is used again when its record is gone.
 *
 *      0  counter 8 | end 8 | last 8            doubles
 *     24  list before 4 | list next 4 | sibling next 4 | index 4
 *     40  id 32 | commitment 16 | token 16 | address 16 | port 2 | length of the address 1 | flags 1
 */
import type { Locator } from "@i3/common";

import type { TriggerRecord } from "./trigger-table.js";

const SLOT_BYTES = 128;
const DOUBLE = { counter: 0, endMs: 1, lastMs: 2 } as const;
const WORD = { before: 6, next: 7, sibling: 8, index: 9 } as const;
const BYTE = { id: 40, commitment: 72, token: 88, address: 104, port: 120, addressLength: 122, flags: 123 } as const;
const FLAG = { live: 1, claim: 2, replica: 4, shortcut: 8 } as const;
const ID_BYTES = 32;
const TOKEN_BYTES = 16;
const RING_KEY_BYTES = 16;
/** Slots are allocated so many at a time. */
const CHUNK_BITS = 8;
const CHUNK_SLOTS = 1 << CHUNK_BITS;
const DOUBLES = SLOT_BYTES / 8;
const WORDS = SLOT_BYTES / 4;

/** In the place of a slot's number: none. */
export const NO_SLOT = -1;

interface Chunk {
  readonly doubles: Float64Array;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

/** A list through slots, of which each is in one at most. */
export interface SlotList {
  first: number;
  last: number;
}

export class TriggerSlots {
  readonly #chunks: Chunk[] = [];
  /** Seldom there, and of any length: by slot. */
  readonly #stacks = new Map<number, readonly Uint8Array[]>();
  readonly #members = new Map<number, Uint8Array>();
  #free = NO_SLOT;

  /** A slot with this record, in no list and with no sibling. The bytes are copied, but for those of stack and member. */
  add(record: TriggerRecord): number {
    if (this.#free === NO_SLOT) this.#grow();
    const slot = this.#free;
    const { doubles, words, bytes } = this.#chunk(slot);
    const at = slot & (CHUNK_SLOTS - 1);
    this.#free = words[at * WORDS + WORD.next] as number;
    doubles[at * DOUBLES + DOUBLE.counter] = record.counter;
    doubles[at * DOUBLES + DOUBLE.endMs] = record.endMs;
    doubles[at * DOUBLES + DOUBLE.lastMs] = record.lastMs;
    words.fill(NO_SLOT, at * WORDS + WORD.before, at * WORDS + WORD.index);
    words[at * WORDS + WORD.index] = record.index;
    const byteAt = at * SLOT_BYTES;
    bytes.set(record.id, byteAt + BYTE.id);
    bytes.set(record.commitment, byteAt + BYTE.commitment);
    bytes.set(record.token, byteAt + BYTE.token);
    const { address, port } = record.target;
    bytes.set(address, byteAt + BYTE.address);
    bytes[byteAt + BYTE.port] = port >> 8;
    bytes[byteAt + BYTE.port + 1] = port & 0xff;
    bytes[byteAt + BYTE.addressLength] = address.length;
    bytes[byteAt + BYTE.flags] = (record.live ? FLAG.live : 0) | (record.isClaim ? FLAG.claim : 0) | (record.isReplica ? FLAG.replica : 0) | (record.shortcut ? FLAG.shortcut : 0);
    if (record.stack !== null) this.#stacks.set(slot, record.stack);
    if (record.member !== null) this.#members.set(slot, record.member);
    return slot;
  }

  /** It is in no list any more. */
  free(slot: number): void {
    this.#stacks.delete(slot);
    this.#members.delete(slot);
    this.#setWord(slot, WORD.next, this.#free);
    this.#free = slot;
  }

  /** Everything, in bytes of its own. */
  read(slot: number): TriggerRecord {
    const { doubles, words, bytes } = this.#chunk(slot);
    const at = slot & (CHUNK_SLOTS - 1);
    const byteAt = at * SLOT_BYTES;
    const flags = bytes[byteAt + BYTE.flags] as number;
    return {
      id: this.id(slot),
      live: (flags & FLAG.live) !== 0,
      target: this.target(slot),
      stack: this.stack(slot),
      counter: doubles[at * DOUBLES + DOUBLE.counter] as number,
      commitment: bytes.slice(byteAt + BYTE.commitment, byteAt + BYTE.commitment + TOKEN_BYTES),
      token: bytes.slice(byteAt + BYTE.token, byteAt + BYTE.token + TOKEN_BYTES),
      index: words[at * WORDS + WORD.index] as number,
      endMs: doubles[at * DOUBLES + DOUBLE.endMs] as number,
      isClaim: (flags & FLAG.claim) !== 0,
      member: this.#members.get(slot) ?? null,
      lastMs: doubles[at * DOUBLES + DOUBLE.lastMs] as number,
      isReplica: (flags & FLAG.replica) !== 0,
      shortcut: (flags & FLAG.shortcut) !== 0,
    };
  }

  id(slot: number): Uint8Array {
    const at = (slot & (CHUNK_SLOTS - 1)) * SLOT_BYTES + BYTE.id;
    return this.#chunk(slot).bytes.slice(at, at + ID_BYTES);
  }

  /** 16 bytes: a view, good until the slot is free. */
  ringKey(slot: number): Uint8Array {
    const at = (slot & (CHUNK_SLOTS - 1)) * SLOT_BYTES + BYTE.id;
    return this.#chunk(slot).bytes.subarray(at, at + RING_KEY_BYTES);
  }

  target(slot: number): Locator {
    const { bytes } = this.#chunk(slot);
    const at = (slot & (CHUNK_SLOTS - 1)) * SLOT_BYTES;
    const length = bytes[at + BYTE.addressLength] as number;
    return { address: bytes.slice(at + BYTE.address, at + BYTE.address + length), port: ((bytes[at + BYTE.port] as number) << 8) | (bytes[at + BYTE.port + 1] as number) };
  }

  stack(slot: number): readonly Uint8Array[] | null {
    return this.#stacks.get(slot) ?? null;
  }

  isLive(slot: number): boolean {
    return (this.#flags(slot) & FLAG.live) !== 0;
  }

  isClaim(slot: number): boolean {
    return (this.#flags(slot) & FLAG.claim) !== 0;
  }

  isReplica(slot: number): boolean {
    return (this.#flags(slot) & FLAG.replica) !== 0;
  }

  allowsShortcut(slot: number): boolean {
    return (this.#flags(slot) & FLAG.shortcut) !== 0;
  }

  /** Others may have triggers of the same ring key, and packets go to several: of a group, or a claim. */
  isShared(slot: number): boolean {
    return this.#members.has(slot) || this.isClaim(slot);
  }

  endMs(slot: number): number {
    return this.#chunk(slot).doubles[(slot & (CHUNK_SLOTS - 1)) * DOUBLES + DOUBLE.endMs] as number;
  }

  refresh(slot: number, index: number, token: Uint8Array, endMs: number): void {
    const { doubles, words, bytes } = this.#chunk(slot);
    const at = slot & (CHUNK_SLOTS - 1);
    words[at * WORDS + WORD.index] = index;
    bytes.set(token, at * SLOT_BYTES + BYTE.token);
    doubles[at * DOUBLES + DOUBLE.endMs] = endMs;
  }

  /** The next of those with its ring key. */
  sibling(slot: number): number {
    return this.#word(slot, WORD.sibling);
  }

  setSibling(slot: number, sibling: number): void {
    this.#setWord(slot, WORD.sibling, sibling);
  }

  /** The one behind it in its list. */
  next(slot: number): number {
    return this.#word(slot, WORD.next);
  }

  append(list: SlotList, slot: number): void {
    this.#setWord(slot, WORD.before, list.last);
    this.#setWord(slot, WORD.next, NO_SLOT);
    if (list.last === NO_SLOT) list.first = slot;
    else this.#setWord(list.last, WORD.next, slot);
    list.last = slot;
  }

  remove(list: SlotList, slot: number): void {
    const before = this.#word(slot, WORD.before);
    const next = this.next(slot);
    if (before === NO_SLOT) list.first = next;
    else this.#setWord(before, WORD.next, next);
    if (next === NO_SLOT) list.last = before;
    else this.#setWord(next, WORD.before, before);
  }

  #grow(): void {
    const first = this.#chunks.length << CHUNK_BITS;
    const buffer = new ArrayBuffer(CHUNK_SLOTS * SLOT_BYTES);
    const words = new Int32Array(buffer);
    this.#chunks.push({ doubles: new Float64Array(buffer), words, bytes: new Uint8Array(buffer) });
    for (let i = 0; i < CHUNK_SLOTS; i += 1) words[i * WORDS + WORD.next] = i + 1 < CHUNK_SLOTS ? first + i + 1 : NO_SLOT;
    this.#free = first;
  }

  #chunk(slot: number): Chunk {
    return this.#chunks[slot >> CHUNK_BITS] as Chunk;
  }

  #flags(slot: number): number {
    return this.#chunk(slot).bytes[(slot & (CHUNK_SLOTS - 1)) * SLOT_BYTES + BYTE.flags] as number;
  }

  #word(slot: number, field: number): number {
    return this.#chunk(slot).words[(slot & (CHUNK_SLOTS - 1)) * WORDS + field] as number;
  }

  #setWord(slot: number, field: number, value: number): void {
    this.#chunk(slot).words[(slot & (CHUNK_SLOTS - 1)) * WORDS + field] = value;
  }
}
