import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { RECORD_KIND, type SignedRecord } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";

import { readZoneRecords, ZoneRecordFile, zoneRecordFileOf } from "../../src/io/zone-record-file.js";

const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const record = (label: string): SignedRecord => signRecord(KEY, { kind: RECORD_KIND.name, label, sequence: 1, notAfterS: 2_000_000_000, value: Uint8Array.from([0x20, 1, 0, 0x22, ...new Uint8Array(12)]) });

let folder = "";
let file = "";
let records: readonly SignedRecord[] = [];
let logged: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "i3-zone-names-"));
  file = zoneRecordFileOf(join(folder, "state"));
  records = [record("a")];
  logged = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});
const open = (): ZoneRecordFile => new ZoneRecordFile(file, (level, event) => void logged.push(`${level} ${event}`), () => records);

it("is written a second after changes, once for several, for its owner only", () => {
  const kept = open();
  expect(readZoneRecords(file)).toEqual([]);
  kept.changed();
  records = [record("a"), record("b")];
  kept.changed();
  vi.advanceTimersByTime(999);
  expect(existsSync(file)).toBe(false);
  vi.advanceTimersByTime(1);
  expect([readZoneRecords(file), statSync(file).mode & 0o777, readdirSync(join(folder, "state"))]).toEqual([records, 0o600, ["zone-names"]]);
});

it("is written when the proxy stops in that second, and not when nothing has changed", () => {
  const kept = open();
  kept.close();
  expect(existsSync(file)).toBe(false);
  kept.changed();
  kept.close();
  expect(readZoneRecords(file)).toEqual(records);
  records = [];
  vi.advanceTimersByTime(10_000);
  expect(readZoneRecords(file)).toHaveLength(1);
});

it("is refused when others may read it or it is damaged, and left as it is", () => {
  const kept = open();
  kept.changed();
  kept.close();
  chmodSync(file, 0o640);
  expect(() => readZoneRecords(file)).toThrow(/can be read or changed by others \(mode 640\)/);
  chmodSync(file, 0o600);
  writeFileSync(file, "i3 zone records 1\nrecord 00\n");
  expect(() => readZoneRecords(file)).toThrow(/zone-names:2: not the record of a name/);
  expect(readFileSync(file, "utf8")).toContain("record 00");
});

it("that cannot be written is said, and tried again with the next change", () => {
  writeFileSync(join(folder, "state"), "");
  const kept = open();
  kept.changed();
  vi.advanceTimersByTime(1_000);
  expect(logged).toEqual(["error zone-names-failed"]);
  rmSync(join(folder, "state"));
  kept.changed();
  vi.advanceTimersByTime(1_000);
  expect(readZoneRecords(file)).toEqual(records);
});
