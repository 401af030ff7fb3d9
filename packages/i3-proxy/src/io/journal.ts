/**
 * Mappings on disk (paper §7.2): one JSON line a change, read back after a crash. Holds trigger keys, so only the owner may read
 * it; ESP keys never come here. A last line that was cut off by a crash is ignored; anything else that cannot be read is set
 * aside, never overwritten.
 *
 *     {"journal": 1, "shared": "<Ed25519 seed>", "own4": "<hex>" or null, "hit": "<hex>" or null, "generation": "<decimal>", "nearer": ["<Ed25519 seed>", …]}
 *                                          first line: the first key of the private prefix, our address, whose journal it is, a generation that no R1 of ours has
 *                                          reached, and nearer keys of the prefix, oldest first
 *     {"put": "<key>", "mapping": {…}}             {"remove": "<key>"}
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";

import { errorLine, I3Error, toHex, fromHex } from "@i3/common";
import { generateTriggerKey, triggerKeyFromSeed, triggerKeySeed, type KeyWitness, type TriggerKey } from "@i3/hip";

import { mappingFromJson, mappingToJson, type Mapping } from "../mappings/mapping.js";
import { MAX_NEARER_KEYS } from "../mappings/shared-keys.js";
import { openStateDirectory } from "./state-directory.js";

/** Rewritten when it is this much longer than what lives in it. */
const REWRITE_FACTOR = 4;
const MIN_REWRITE_LINES = 1_000;
const VERSION = 1;
const HIT_TEXT = /^[0-9a-f]{32}$/;
const SEED_TEXT = /^[0-9a-f]{64}$/;
/** Generations of R1 that are set aside at once: most of a day at one a minute, and at least 80 minutes. */
const GENERATIONS_RESERVED = 1_000n;

/** Throws what write(2) throws, ENOSPC for one. */
function writeWhole(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

export const journalFile = (directory: string): string => join(directory, "mappings.journal");

/** Whose journal lies in a directory; null when there is none. Only a machine with a key makes one, so one that cannot be read says that there was a key, too. */
export function journalWitness(directory: string): KeyWitness | null {
  const file = journalFile(directory);
  try {
    const [first = ""] = readFileSync(file, "utf8").split("\n", 1);
    const { hit } = JSON.parse(first) as { readonly hit?: unknown };
    return { file, hit: typeof hit === "string" && HIT_TEXT.test(hit) ? fromHex(hit) : null };
  } catch (error) {
    // {@link Journal.open} says what else is wrong with it.
    return error instanceof Error && ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "") ? null : { file, hit: null };
  }
}

/** For `--check`: what {@link Journal.open} would refuse of the files; nothing is made or read. Throws I3Error ERR_I3_STATE. */
export function checkJournal(directory: string): void {
  for (const file of [journalFile(directory), `${journalFile(directory)}.new`]) {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isFile()) throw new I3Error("ERR_I3_STATE", `${file} is not a regular file, so that the journal cannot be written`, { remedy: "Move it away." });
    if (stats !== undefined && file === journalFile(directory)) requireOwnMode(file, stats.mode);
  }
}

function requireOwnMode(file: string, mode: number): void {
  if ((mode & 0o077) !== 0) throw new I3Error("ERR_I3_STATE", `${file} can be read by others`, { remedy: `Run: chmod 600 ${file}` });
}

export interface JournalContent {
  readonly sharedKey: TriggerKey;
  /** Keys at nearer servers than the shared one, oldest first. */
  readonly nearerKeys: readonly TriggerKey[];
  readonly mappings: readonly Mapping[];
  /** Our own virtual IPv4 address of the last run, which peers were told; null at the first start. */
  readonly own4: Uint8Array | null;
  /** Greater than those that R1s had in earlier runs, whatever the clock says now (RFC 7401 §4.1.4); 0 when nothing is known. */
  readonly generation: bigint;
  /** What could not be read, for the log; null when all is well. */
  readonly damage: string | null;
}

export class Journal {
  readonly #file: string;
  readonly #live = new Map<string, string>();
  /** Not written yet; true: as it is then, false: removed. */
  readonly #changed = new Map<Mapping, boolean>();
  readonly #onError: (error: unknown) => void;
  #sharedSeed = "";
  #nearer: readonly string[] = [];
  #own4: string | null = null;
  #hit: string | null = null;
  #generation = 0n;
  #hasFailed = false;
  #fd = -1;
  #lines = 0;

  private constructor(file: string, onError: (error: unknown) => void) {
    this.#file = file;
    this.#onError = onError;
  }

  /**
   * Opens (or makes) `mappings.journal` in a directory, which is made with mode 0700. Throws I3Error ERR_I3_STATE. Later errors, as of a
   * full disk, go to `onError` once; writing is tried again with each change.
   */
  static open(directory: string, onError: (error: unknown) => void = () => undefined): { readonly journal: Journal; readonly content: JournalContent } {
    const journal = new Journal(journalFile(directory), onError);
    try {
      openStateDirectory(directory);
      const content = journal.#read();
      journal.#rewrite();
      return { journal, content };
    } catch (cause) {
      if (cause instanceof I3Error) throw cause;
      throw new I3Error("ERR_I3_STATE", `cannot use the state directory ${directory}`, { cause, remedy: "It must be a directory that this user may write to." });
    }
  }

  /** Who we are, and what peers are told from now on (16 and 4 bytes). */
  setOwn(hit: Uint8Array, own4: Uint8Array): void {
    if (this.#hit === toHex(hit) && this.#own4 === toHex(own4)) return;
    this.#hit = toHex(hit);
    this.#own4 = toHex(own4);
    this.#guarded(() => this.#rewrite());
  }

  /** Keys of ids that peers are told from now on, and of those that they have. */
  keepNearerKeys(keys: readonly TriggerKey[]): void {
    this.#nearer = keys.map((key) => toHex(triggerKeySeed(key)));
    this.#guarded(() => this.#rewrite());
  }

  /** An R1 of this generation is about to go out. Written only when those set aside are used up. */
  keepGeneration(generation: bigint): void {
    if (generation < this.#generation) return;
    this.#generation = generation + GENERATIONS_RESERVED;
    this.#guarded(() => this.#rewrite());
  }

  /** Written, as it then is, at the end of this turn of the event loop. */
  put(mapping: Mapping): void {
    this.#later(mapping, true);
  }

  remove(mapping: Mapping): void {
    this.#later(mapping, false);
  }

  close(): void {
    this.#flush();
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #later(mapping: Mapping, isLive: boolean): void {
    if (this.#changed.size === 0) setImmediate(() => this.#flush());
    this.#changed.set(mapping, isLive);
  }

  #flush(): void {
    const lines = [...this.#changed].flatMap(([mapping, isLive]) => this.#lineOf(mapping, isLive));
    this.#changed.clear();
    if (lines.length > 0) this.#append(lines);
  }

  #lineOf(mapping: Mapping, isLive: boolean): string[] {
    const key = toHex(Buffer.from(mapping.key, "latin1"));
    if (!isLive) return this.#live.delete(key) ? [JSON.stringify({ remove: key })] : [];
    const line = JSON.stringify({ put: key, mapping: mappingToJson(mapping) });
    this.#live.set(key, line);
    return [line];
  }

  #append(lines: readonly string[]): void {
    if (this.#fd < 0) return;
    this.#lines += lines.length;
    const isLong = this.#lines > MIN_REWRITE_LINES && this.#lines > this.#live.size * REWRITE_FACTOR;
    // After an error the end of the file is not known: it is written anew.
    this.#guarded(() => (isLong || this.#hasFailed ? this.#rewrite() : writeWhole(this.#fd, `${lines.join("\n")}\n`)));
  }

  #guarded(write: () => void): void {
    try {
      write();
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) this.#onError(error);
      this.#hasFailed = true;
    }
  }

  /** A new file with only what lives, in the place of the old one. */
  #rewrite(): void {
    const next = `${this.#file}.new`;
    rmSync(next, { force: true });
    const fd = openSync(next, "wx", 0o600); // a file of our own making, whatever lay there
    try {
      writeWhole(fd, [JSON.stringify({ journal: VERSION, shared: this.#sharedSeed, own4: this.#own4, hit: this.#hit, generation: String(this.#generation), nearer: this.#nearer }), ...this.#live.values(), ""].join("\n"));
      fsyncSync(fd);
      renameSync(next, this.#file);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = fd;
    this.#lines = this.#live.size + 1;
  }

  #read(): JournalContent {
    const mappings = new Map<string, Mapping>();
    let sharedKey: TriggerKey | null = null;
    let damage: string | null = null;
    const lines = this.#text().split("\n");
    const isCutOff = lines.at(-1) !== "";
    for (const [i, line] of lines.entries()) {
      if (line === "" || (isCutOff && i === lines.length - 1)) continue;
      try {
        sharedKey = this.#readLine(JSON.parse(line) as unknown, mappings) ?? sharedKey;
      } catch (error) {
        // What V8 says of text that is no JSON quotes it, and the first line has a secret.
        damage ??= `${this.#file}:${i + 1}: ${error instanceof SyntaxError ? "not JSON." : errorLine(error)}`;
      }
    }
    if (damage !== null) renameSync(this.#file, `${this.#file}.damaged`);
    sharedKey ??= generateTriggerKey();
    this.#sharedSeed = toHex(triggerKeySeed(sharedKey));
    for (const [key, mapping] of mappings) this.#live.set(key, JSON.stringify({ put: key, mapping: mappingToJson(mapping) }));
    return { sharedKey, nearerKeys: this.#nearer.map((seed) => triggerKeyFromSeed(fromHex(seed))), mappings: [...mappings.values()], own4: this.#own4 === null ? null : fromHex(this.#own4), generation: this.#generation, damage };
  }

  #readLine(json: unknown, mappings: Map<string, Mapping>): TriggerKey | null {
    const record = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
    if (typeof record["shared"] === "string") {
      if (record["journal"] !== VERSION) throw new I3Error("ERR_I3_STATE", "a journal of another version");
      const own4 = record["own4"];
      this.#own4 = typeof own4 === "string" && /^[0-9a-f]{8}$/.test(own4) ? own4 : null;
      const hit = record["hit"];
      this.#hit = typeof hit === "string" && HIT_TEXT.test(hit) ? hit : null;
      const generation = record["generation"];
      const nearer: readonly unknown[] = Array.isArray(record["nearer"]) ? record["nearer"] : [];
      this.#nearer = nearer.filter((seed): seed is string => typeof seed === "string" && SEED_TEXT.test(seed)).slice(-MAX_NEARER_KEYS);
      // Of 64 bits, and far from their end.
      this.#generation = typeof generation === "string" && /^[0-9]{1,18}$/.test(generation) ? BigInt(generation) : 0n;
      return triggerKeyFromSeed(fromHex(record["shared"]));
    }
    if (typeof record["put"] === "string") mappings.set(record["put"], mappingFromJson(record["mapping"]));
    else if (typeof record["remove"] === "string") mappings.delete(record["remove"]);
    else throw new I3Error("ERR_I3_STATE", "a line of an unknown kind");
    return null;
  }

  #text(): string {
    try {
      requireOwnMode(this.#file, statSync(this.#file).mode);
      return readFileSync(this.#file, "utf8");
    } catch (error) {
      if (error instanceof Error && (error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    }
  }
}
