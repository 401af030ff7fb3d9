/**
 * Names of zones (paper §3.2, "Global Resolution"; docs/policy.md, "Zones"): looked for in the ring as records that the zone's key has signed, remembered until
 * their end, and asked for again in the background. Without I/O. Who has the last word about a name, book, zone or pin, is for policy/name-trust.ts.
 *
 *     unknown ──asked──► looking ──found──► known ──10 minutes──► known, looking ──► known
 *                           │                  └──its end──► over: its sequence is remembered, so that no older record comes back
 *                           └──absent, no answer──► not looked for again for some seconds
 */
import { bytesKey, formatIpText, normalName, recordKey, RECORD_KIND, sameBytes, type Log, type SignedRecord, type ZoneConfig } from "@i3/common";
import { RecordProblem, type RecordEvent } from "@i3/i3-client";

import { checkNameRecord, zoneLabel } from "./name-record.js";

// Ours:
/** Names that are remembered, those that are over too. */
export const MAX_ZONE_NAMES = 4_096;
/** Searches at a time: the client has room for 64 records that are looked for, and a list of servers is one. */
const MAX_SEARCHES = 48;
const MAX_UNFOUND = 1_024;
/** A record in use is asked for again when the last answer is this old. */
const AGAIN_MS = 600_000;
/** When nobody answered. */
const AGAIN_SOON_MS = 60_000;
/** How long a name that is in no record is not looked for again; and one about which nobody answered. */
const ABSENT_MS = 10_000;
const UNANSWERED_MS = 2_000;

export interface ZoneNamesEnvironment {
  readonly zones: readonly Pick<ZoneConfig, "suffix" | "key">[];
  /** Of an earlier run, those used longest ago first. */
  readonly restored: readonly SignedRecord[];
  /** Begins a search, which ends in {@link ZoneNames.handleRecord}. Throws RangeError when there are too many. */
  readonly find: (nowMs: number, ringKey: Uint8Array, leastSequence: number) => void;
  readonly wallMs: () => number;
  /** A name stands for another host than before; null: for none. HITs. */
  readonly onChange: (name: string, before: Uint8Array | null, now: Uint8Array | null) => void;
  /** There are others of {@link ZoneNames.records}, to be written. */
  readonly onKept: () => void;
  readonly log: Log;
}

/** A name and what its zone says of it. */
export interface ZoneEntry {
  readonly name: string;
  /** 16 bytes. */
  readonly hit: Uint8Array;
  readonly suffix: string;
}

export interface ZoneCounters {
  /** Searches that ended so. */
  found: number;
  absent: number;
  noAnswer: number;
  /** Records that are signed and in their place, and cannot be used. */
  unusable: number;
  /** Names that were not looked for, since too many others were. */
  refused: number;
  /** Names that made room for others. */
  forgotten: number;
}

interface Known {
  readonly entry: ZoneEntry;
  readonly record: SignedRecord;
  /** Of the last answer about it; -Infinity: of an earlier run. */
  askedMs: number;
  isOver: boolean;
}

interface Place {
  readonly zone: Pick<ZoneConfig, "suffix" | "key">;
  readonly label: string;
}

interface Search extends Place {
  readonly name: string;
  readonly waiting: Set<() => void>;
}

export class ZoneNames {
  readonly counters: ZoneCounters = { found: 0, absent: 0, noAnswer: 0, unusable: 0, refused: 0, forgotten: 0 };
  readonly #env: ZoneNamesEnvironment;
  /** Longest suffix first. */
  readonly #zones: readonly Pick<ZoneConfig, "suffix" | "key">[];
  /** By name, the one used longest ago first. */
  readonly #known = new Map<string, Known>();
  /** Names that are not over, by HIT. */
  readonly #byHit = new Map<string, Set<string>>();
  /** By ring key, and the ring keys by name. */
  readonly #searches = new Map<string, Search>();
  readonly #searched = new Map<string, string>();
  /** Names that were not found, the oldest first, and until when that is believed. */
  readonly #unfound = new Map<string, { readonly why: "absent" | "unavailable"; readonly untilMs: number }>();
  #nowMs = 0;

  constructor(environment: ZoneNamesEnvironment) {
    this.#env = environment;
    this.#zones = [...environment.zones].sort((a, b) => b.suffix.length - a.suffix.length);
    for (const record of environment.restored) this.#restore(record);
  }

  /** How many names are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /** What is to be kept over a restart, those used longest ago first. */
  records(): readonly SignedRecord[] {
    return Array.from(this.#known.values(), ({ record }) => record);
  }

  /** What a name stands for, as far as is known; nothing is looked for. */
  lookup(name: string): ZoneEntry | undefined {
    if (this.#known.size === 0) return undefined;
    const known = this.#known.get(normalName(name) ?? "");
    return known === undefined || this.#isOver(known) ? undefined : known.entry;
  }

  /** Names of a host. */
  namesOf(hit: Uint8Array): readonly string[] {
    return this.#byHit.size === 0 ? [] : [...(this.#byHit.get(bytesKey(hit)) ?? [])].filter((name) => this.lookup(name) !== undefined);
  }

  /** HITs of all names. */
  *hits(): Iterable<Uint8Array> {
    for (const known of this.#known.values()) if (!this.#isOver(known)) yield known.entry.hit;
  }

  /**
   * As {@link lookup} for a program that asks; looks in the ring when that is needed. outside: it is in no zone; unavailable: nobody could be asked.
   * `looking`: {@link whenKnown} tells when to ask again.
   */
  resolve(name: string): ZoneEntry | "looking" | "absent" | "unavailable" | "outside" {
    const place = this.#placeOf(name);
    if (place === undefined) return "outside";
    if (place.label === "") return "absent";
    const known = this.#known.get(name);
    if (known !== undefined && !this.#isOver(known)) {
      this.#known.delete(name);
      this.#known.set(name, known);
      if (this.#nowMs - known.askedMs > AGAIN_MS) this.#search(name, place);
      return known.entry;
    }
    if (this.#searched.has(name)) return "looking";
    const unfound = this.#unfound.get(name);
    if (unfound !== undefined && unfound.untilMs > this.#nowMs) return unfound.why;
    if (this.#search(name, place)) return "looking";
    this.counters.refused += 1;
    return "unavailable";
  }

  /** Whether nobody answered the last search for a name. */
  isUnanswered(name: string): boolean {
    return this.#unfound.get(name)?.why === "unavailable";
  }

  /** Calls once when the search for a name has ended, at once if there is none. Returns what takes the wish back. */
  whenKnown(name: string, done: () => void): () => void {
    const waiting = this.#searches.get(this.#searched.get(name) ?? "")?.waiting;
    if (waiting === undefined) {
      done();
      return () => undefined;
    }
    waiting.add(done);
    return () => void waiting.delete(done);
  }

  /** The end of a search. False: it was none of ours. */
  handleRecord(nowMs: number, event: RecordEvent): boolean {
    this.#nowMs = nowMs;
    const key = bytesKey(event.ringKey);
    const search = event.kind === "record" ? this.#searches.get(key) : undefined;
    if (event.kind !== "record" || search === undefined) return false;
    this.#searches.delete(key);
    this.#searched.delete(search.name);
    const record = event.record === null ? null : this.#usable(search, event.record);
    if (record !== null) this.#take(search, record);
    else this.#missed(search, event.why === "absent" ? "absent" : "unavailable");
    for (const done of [...search.waiting]) done();
    return true;
  }

  /** Tells of names whose records have ended. To be called every few seconds. */
  sweep(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const known of this.#known.values()) {
      if (known.isOver || !this.#isOver(known)) continue;
      this.#env.log("warn", "zone-name-ended", { name: known.entry.name, remedy: `Whoever has the key of the zone ${known.entry.suffix} must sign the name again: i3-proxy zone sign.` });
      this.#end(known);
    }
  }

  /** Undefined: in no zone. The label is empty where no record can be. */
  #placeOf(name: string): Place | undefined {
    const zone = this.#zones.find(({ suffix }) => name.endsWith(suffix) && name.charAt(name.length - suffix.length - 1) === ".");
    return zone === undefined ? undefined : { zone, label: labelOf(name.slice(0, -zone.suffix.length - 1)) };
  }

  #isOver({ isOver, record }: Known): boolean {
    return isOver || record.notAfterS * 1_000 <= this.#env.wallMs();
  }

  #restore(record: SignedRecord): void {
    const zone = this.#zones.find(({ key }) => sameBytes(key, record.signer));
    if (zone === undefined) return;
    const name = `${record.label}.${zone.suffix}`;
    // A zone within this one may have come between.
    if (this.#placeOf(name)?.zone !== zone || (this.#known.get(name)?.record.sequence ?? -1) >= record.sequence) return;
    try {
      this.#set(name, zone.suffix, checkNameRecord(record, zone.key), -Infinity);
    } catch (error) {
      if (!(error instanceof RecordProblem)) throw error;
    }
  }

  /** False: there are too many already. */
  #search(name: string, place: Place): boolean {
    if (this.#searched.has(name)) return true;
    if (this.#searches.size >= MAX_SEARCHES) return false;
    const ringKey = recordKey({ kind: RECORD_KIND.name, signer: place.zone.key, label: place.label });
    try {
      this.#env.find(this.#nowMs, ringKey, this.#known.get(name)?.record.sequence ?? 0);
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
    this.#searches.set(bytesKey(ringKey), { ...place, name, waiting: new Set() });
    this.#searched.set(name, bytesKey(ringKey));
    return true;
  }

  /** Null, and a line in the log: it is signed, and says what cannot be used; or it is older than what we know. */
  #usable({ name, label, zone }: Search, record: SignedRecord): SignedRecord | null {
    const known = this.#known.get(name)?.record;
    const isOlder = known !== undefined && (record.sequence < known.sequence || (record.sequence === known.sequence && !sameBytes(record.bytes, known.bytes)));
    try {
      if (record.label !== label) throw new RecordProblem(`is about the name "${record.label}"`);
      if (isOlder) throw new RecordProblem("is older than the one that is known");
      return checkNameRecord(record, zone.key);
    } catch (error) {
      if (!(error instanceof RecordProblem)) throw error;
      this.counters.unusable += 1;
      this.#env.log("warn", "zone-record", { name, why: `the record in the ring ${error.message}`, remedy: `It is not used. Whoever has the key of the zone ${zone.suffix} must sign the name again: i3-proxy zone sign.` });
      return null;
    }
  }

  #take({ name, zone }: Search, record: SignedRecord): void {
    this.counters.found += 1;
    this.#unfound.delete(name);
    const old = this.#known.get(name);
    const isNew = old === undefined || old.record.sequence !== record.sequence;
    const before = old === undefined || old.isOver ? null : old.entry.hit;
    if (old !== undefined) this.#forget(old);
    const { entry } = this.#set(name, zone.suffix, record, this.#nowMs);
    if (!isNew) return;
    if (before === null || !sameBytes(before, entry.hit)) {
      this.#env.log("info", "zone-name", { name, hit: formatIpText(entry.hit), ...(before === null ? {} : { before: formatIpText(before) }) });
      this.#env.onChange(name, before, entry.hit);
    }
    this.#makeRoom();
    this.#env.onKept();
  }

  /** What is known goes on until its end: its host may be away, and its record with it. */
  #missed({ name }: Search, why: "absent" | "unavailable"): void {
    this.counters[why === "absent" ? "absent" : "noAnswer"] += 1;
    const known = this.#known.get(name);
    if (known !== undefined && !this.#isOver(known)) {
      known.askedMs = why === "absent" ? this.#nowMs : this.#nowMs - AGAIN_MS + AGAIN_SOON_MS;
      return;
    }
    this.#unfound.delete(name);
    if (this.#unfound.size >= MAX_UNFOUND) this.#unfound.delete(this.#unfound.keys().next().value as string);
    this.#unfound.set(name, { why, untilMs: this.#nowMs + (why === "absent" ? ABSENT_MS : UNANSWERED_MS) });
  }

  #set(name: string, suffix: string, record: SignedRecord, askedMs: number): Known {
    const known: Known = { entry: Object.freeze({ name, hit: record.value, suffix }), record, askedMs, isOver: record.notAfterS * 1_000 <= this.#env.wallMs() };
    this.#known.set(name, known);
    if (known.isOver) return known;
    const names = this.#byHit.get(bytesKey(record.value));
    if (names === undefined) this.#byHit.set(bytesKey(record.value), new Set([name]));
    else names.add(name);
    return known;
  }

  #makeRoom(): void {
    for (const known of this.#known.values()) {
      if (this.#known.size <= MAX_ZONE_NAMES) return;
      this.counters.forgotten += 1;
      this.#forget(known);
      if (!known.isOver) this.#env.onChange(known.entry.name, known.entry.hit, null);
    }
  }

  #end(known: Known): void {
    this.#unlist(known);
    known.isOver = true;
    this.#env.onChange(known.entry.name, known.entry.hit, null);
  }

  #forget(known: Known): void {
    this.#unlist(known);
    this.#known.delete(known.entry.name);
  }

  #unlist({ entry: { name, hit } }: Known): void {
    const names = this.#byHit.get(bytesKey(hit));
    names?.delete(name);
    if (names?.size === 0) this.#byHit.delete(bytesKey(hit));
  }
}

/** Empty: no record can have it. */
function labelOf(text: string): string {
  const label = zoneLabel(text);
  return label === text ? label : "";
}
