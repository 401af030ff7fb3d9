import { mkdtempSync, rmSync, writeFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { bytesKey, decodeRecord, errorLine, makeLocator, RECORD_KIND, recordKey, type SignedRecord, type ZoneConfig } from "@i3/common";
import { signRecord, triggerKeyFromSeed } from "@i3/hip";
import type { I3Client } from "@i3/i3-client";

import { checkPublishedRecords, PublishedRecords } from "../../src/io/published-records.js";
import { nameRecordToText } from "../../src/zones/name-record.js";

const WALL_MS = 1_800_000_000_000;
const DAY_S = 86_400;
const KEY = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const HIT = Uint8Array.from([0x20, 1, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const record = (label: string, sequence: number, days = 365, key = KEY): SignedRecord => signRecord(key, { kind: RECORD_KIND.name, label, sequence, notAfterS: WALL_MS / 1_000 + days * DAY_S, value: HIT });

let folder = "";
let opened: PublishedRecords[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "i3-records-"));
  opened = [];
});
afterEach(() => {
  for (const each of opened) each.close();
  rmSync(folder, { recursive: true, force: true });
});

const at = (file: string): string => join(folder, file);
/** As `zone sign` does. */
function write(file: string, content: SignedRecord | string): void {
  writeFileSync(at(`${file}.new`), typeof content === "string" ? content : nameRecordToText(content));
  renameSync(at(`${file}.new`), at(file));
}
const zone = (...files: readonly string[]): ZoneConfig => ({ suffix: "corp.i3", key: KEY.publicKey, records: files.map((file) => ({ file: at(file) })) });

function bed(...files: readonly string[]) {
  const kept = new Map<string, SignedRecord>();
  const lines: string[] = [];
  const client = {
    keepRecord: (_nowMs: number, bytes: Uint8Array) => {
      const each = decodeRecord(bytes);
      kept.set(bytesKey(recordKey(each)), each);
      return each;
    },
    dropRecord: (key: Uint8Array) => void kept.delete(bytesKey(key)),
  } as unknown as I3Client;
  const records = new PublishedRecords({ zones: [zone(...files)], wallMs: () => WALL_MS, run: (work) => work(client, 0), log: (level, event, fields) => void lines.push(`${level} ${event} ${JSON.stringify(fields)}`) });
  opened.push(records);
  return { records, lines, kept: () => [...kept.values()].map(({ label, sequence }) => `${label} ${sequence}`) };
}

describe("records that this host keeps", () => {
  it("are put into the ring, the newer in the place of the older, also under another name", async () => {
    write("a", record("a", 1));
    const { records, kept } = bed("a");
    await records.start();
    expect(kept()).toEqual(["a 1"]);
    write("a", record("a", 2));
    await vi.waitFor(() => expect(kept()).toEqual(["a 2"]), 5_000);
    write("a", record("b", 3));
    await vi.waitFor(() => expect(kept()).toEqual(["b 3"]), 5_000);
  });

  it("stay when the file is bad, with a line in the log; one that is bad at the start does not keep others back", async () => {
    write("b", record("b", 1));
    write("a", "garbage");
    const { records, kept, lines } = bed("a", "missing", "b");
    await records.start();
    expect(kept()).toEqual(["b 1"]);
    expect(lines.filter((line) => line.startsWith("error zone-record"))).toEqual([expect.stringContaining("does not begin with"), expect.stringContaining("missing")]);
    write("b", record("b", 2, 365, triggerKeyFromSeed(new Uint8Array(32).fill(2))));
    await vi.waitFor(() => expect(lines.at(-1)).toContain("is of the key"), 5_000);
    expect(kept()).toEqual(["b 1"]);
  });

  it("are told of in time: 30 days before their end, and when their name has the suffix of the zone in it", async () => {
    for (const [file, each] of [["a", record("a", 1, 31)], ["b", record("b", 1, 30)], ["c", record("c.corp.i3", 1)]] as const) write(file, each);
    const { records, lines } = bed("a", "b", "c");
    await records.start();
    expect(lines.filter((line) => line.startsWith("warn"))).toEqual([expect.stringMatching(/zone-record-ends .*of \\"b\\" ends on 2027-02-14/), expect.stringContaining("c.corp.i3.corp.i3: sign the name without the zone's suffix")]);
  });

  it("are told of when servers have them, and when one refuses", async () => {
    write("a", record("a", 1));
    const { records, lines } = bed("a");
    await records.start();
    const ringKey = recordKey(record("a", 1));
    const servers = [makeLocator(Uint8Array.of(192, 0, 2, 1), 1)];
    for (let n = 0; n < 2; n++) records.handleRecord({ kind: "record-kept", ringKey, servers });
    records.handleRecord({ kind: "record-refused", ringKey, code: 4 });
    records.handleRecord({ kind: "record-refused", ringKey: new Uint8Array(16), code: 4 });
    expect(lines.slice(1)).toEqual([expect.stringMatching(/^info zone-record-kept .*a\.corp\.i3/), expect.stringMatching(/^debug zone-record-kept/), expect.stringMatching(/^warn zone-record .*the ring has a newer one/)]);
  });
});

describe("--check", () => {
  it("warns of what may be a mistake, and refuses what cannot be used", () => {
    write("a", record("a", 1, 29));
    write("b", record("b.corp.i3", 1, -1));
    expect(checkPublishedRecords([zone("a", "b")], WALL_MS)).toEqual([
      `${at("a")}: the record of "a" ends on 2027-02-13`, `${at("b")}: the record of "b.corp.i3" has ended on 2027-01-14`, `${at("b")}: the record is about b.corp.i3.corp.i3: sign the name without the zone's suffix`,
    ]);
    write("b", "garbage");
    for (const [file, why] of [["b", /does not begin with.*zone sign/], ["c", /c is not there/]] as const) {
      let said = "";
      try {
        checkPublishedRecords([zone(file)], WALL_MS);
      } catch (error) {
        said = errorLine(error);
      }
      expect(said).toMatch(why);
    }
  });
});
