/** The signed names that this host keeps in the ring (`<record>` of `<zones>`): their files are watched, and their ends are told beforehand. */
import { bytesKey, errorLine, formatIpText, I3Error, recordKey, REFUSAL, WatchedFile, type FileUpdate, type Log, type SignedRecord, type ZoneConfig } from "@i3/common";
import { MAX_RECORD_FILE_BYTES, readRecordFile, recordEndText, RecordProblem, type I3Client, type RecordEvent } from "@i3/i3-client";

import { nameRecordFromText } from "../zones/name-record.js";

const DAY_MS = 86_400_000;
/** Of a record that ends this soon people are told, once a day. */
const WARN_DAYS = 30;
/** A file that could not be read at the start is looked at again. */
const AGAIN_MS = 5_000;
const SIGN = "Whoever has the zone's key signs it: i3-proxy zone sign KEY_FILE NAME HIT OUT_FILE.";

export interface PublishedRecordsInit {
  readonly zones: readonly ZoneConfig[];
  readonly log: Log;
  readonly wallMs: () => number;
  /** Calls the client of the running proxy. */
  readonly run: (work: (client: I3Client, nowMs: number) => void) => void;
}

interface Published {
  readonly name: string;
  readonly file: string;
  readonly record: SignedRecord;
  isKept: boolean;
}

/** For `--check`: what may be a mistake. Throws I3Error ERR_I3_ZONE for a file that cannot be used. */
export function checkPublishedRecords(zones: readonly ZoneConfig[], wallMs: number): readonly string[] {
  return zones.flatMap((zone) => zone.records.flatMap(({ file }) => {
    try {
      const text = readRecordFile(file);
      if (text === undefined) throw new RecordProblem("is not there");
      const record = nameRecordFromText(text, zone.key);
      return [endingText(record, wallMs), doubleSuffixText(record, zone)].filter((warning) => warning !== null).map((warning) => `${file}: ${warning}`);
    } catch (cause) {
      if (cause instanceof RecordProblem) throw new I3Error("ERR_I3_ZONE", `${file} ${cause.message}`, { cause: cause.cause, remedy: SIGN });
      throw cause;
    }
  }));
}

/** What is to be known of a record that ends soon, or has ended; null for others. */
function endingText(record: SignedRecord, wallMs: number): string | null {
  const leftMs = record.notAfterS * 1_000 - wallMs;
  if (leftMs > WARN_DAYS * DAY_MS) return null;
  return `the record of "${record.label}" ${leftMs > 0 ? "ends" : "has ended"} on ${recordEndText(record)}`;
}

/** The name was signed with the suffix of its zone in it: nobody looks for it there. */
const doubleSuffixText = ({ label }: SignedRecord, { suffix }: ZoneConfig): string | null =>
  label.endsWith(`.${suffix}`) ? `the record is about ${label}.${suffix}: sign the name without the zone's suffix` : null;

export class PublishedRecords {
  readonly #init: PublishedRecordsInit;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #watched: WatchedFile<SignedRecord>[] = [];
  /** By ring key. */
  readonly #published = new Map<string, Published>();
  #isClosed = false;

  constructor(init: PublishedRecordsInit) {
    this.#init = init;
  }

  async start(): Promise<void> {
    for (const zone of this.#init.zones) for (const { file } of zone.records) await this.#open(zone, file, "");
    this.#timers.add(setInterval(() => this.#tellEnds(), DAY_MS).unref());
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const watched of this.#watched) watched.close();
  }

  /** Of the ring. */
  handleRecord(event: RecordEvent): void {
    const published = this.#published.get(bytesKey(event.ringKey));
    if (published === undefined || event.kind === "record") return;
    const { name, file } = published;
    if (event.kind === "record-kept") {
      this.#init.log(published.isKept ? "debug" : "info", "zone-record-kept", { name, servers: event.servers.length });
      published.isKept = true;
      return;
    }
    published.isKept = false;
    const why = event.code === REFUSAL.oldCounter ? "the ring has a newer one" : `a server refused it with code ${event.code}`;
    this.#init.log("warn", "zone-record", { name, file, why, remedy: event.code === REFUSAL.oldCounter ? `Bring that one here. ${SIGN}` : SIGN });
  }

  /** @param before what was told of it last */
  async #open(zone: ZoneConfig, file: string, before: string): Promise<void> {
    try {
      const watched = await WatchedFile.open<SignedRecord>({
        file, maxBytes: MAX_RECORD_FILE_BYTES, parse: (bytes) => nameRecordFromText(new TextDecoder().decode(bytes), zone.key), onUpdate: (update) => this.#onUpdate(zone, file, update),
      });
      if (this.#isClosed) return watched.close();
      this.#watched.push(watched);
      this.#publish(zone, file, watched.current);
    } catch (error) {
      if (this.#isClosed) return;
      const why = errorLine(error);
      if (why !== before) this.#complain(zone, file, error);
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.#open(zone, file, why);
      }, AGAIN_MS).unref();
      this.#timers.add(timer);
    }
  }

  #onUpdate(zone: ZoneConfig, file: string, update: FileUpdate<SignedRecord>): void {
    if (update.ok) this.#publish(zone, file, update.value);
    else this.#complain(zone, file, update.error);
  }

  #complain({ suffix }: ZoneConfig, file: string, error: unknown): void {
    this.#init.log("error", "zone-record", { zone: suffix, file, why: errorLine(error), remedy: `It is not used; the last good one, if there was one, stays in the ring. ${SIGN}` });
  }

  #publish(zone: ZoneConfig, file: string, record: SignedRecord): void {
    const { log, run } = this.#init;
    const key = recordKey(record);
    const name = `${record.label}.${zone.suffix}`;
    run((client, nowMs) => {
      for (const [text, other] of this.#published) {
        if (other.file !== file || text === bytesKey(key)) continue;
        this.#published.delete(text);
        client.dropRecord(recordKey(other.record));
      }
      client.keepRecord(nowMs, record.bytes);
    });
    this.#published.set(bytesKey(key), { name, file, record, isKept: false });
    log("info", "zone-record", { name, hit: formatIpText(record.value), until: recordEndText(record), file });
    const doubled = doubleSuffixText(record, zone);
    if (doubled !== null) log("warn", "zone-record", { file, why: doubled, remedy: SIGN });
    this.#tellEnd(record, file);
  }

  #tellEnds(): void {
    for (const { record, file } of this.#published.values()) this.#tellEnd(record, file);
  }

  #tellEnd(record: SignedRecord, file: string): void {
    const ending = endingText(record, this.#init.wallMs());
    if (ending !== null) this.#init.log("warn", "zone-record-ends", { file, why: ending, remedy: SIGN });
  }
}
