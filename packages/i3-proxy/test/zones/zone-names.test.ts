import { describe, expect, it } from "vitest";

import { bytesKey, I3Error, recordKey, RECORD_KIND, type SignedRecord } from "@i3/common";
import { signRecord, triggerKeyFromSeed, type TriggerKey } from "@i3/hip";
import type { RecordEvent } from "@i3/i3-client";

import { MAX_ZONE_NAMES, ZoneNames } from "../../src/zones/zone-names.js";
import { zoneRecordsFromText, zoneRecordsToText } from "../../src/zones/zone-record-text.js";

const START_MS = 1_800_000_000_000;
const CORP = triggerKeyFromSeed(new Uint8Array(32).fill(1));
const LAB = triggerKeyFromSeed(new Uint8Array(32).fill(2));
const STRANGER = triggerKeyFromSeed(new Uint8Array(32).fill(3));
const ZONES = [{ suffix: "corp.i3", key: CORP.publicKey }, { suffix: "lab.corp.i3", key: LAB.publicKey }];

const hit = (n: number, suite = 2): Uint8Array => Uint8Array.from([0x20, 0x01, 0, 0x20 | suite, n >> 8, n & 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
const record = (label: string, sequence: number, value: Uint8Array, { key = CORP, lifeS = 86_400 }: { readonly key?: TriggerKey; readonly lifeS?: number } = {}): SignedRecord =>
  signRecord(key, { kind: RECORD_KIND.name, label, sequence, notAfterS: START_MS / 1_000 + lifeS, value });
const HOME = record("home", 5, hit(1));
const ringKeyOf = (label: string, key = CORP): Uint8Array => recordKey({ kind: RECORD_KIND.name, signer: key.publicKey, label });

function bed(restored: readonly SignedRecord[] = [], zones = ZONES) {
  const asked: { readonly ringKey: Uint8Array; readonly least: number }[] = [];
  const changes: (readonly (string | number | null)[])[] = [];
  const lines: string[] = [];
  const time = { nowMs: 0 };
  let kept = 0;
  const byte = (value: Uint8Array | null): number | null => (value === null ? null : (value[4] ?? 0) * 256 + (value[5] ?? 0));
  const names = new ZoneNames({
    zones, restored, find: (_nowMs, ringKey, least) => void asked.push({ ringKey, least }), wallMs: () => START_MS + time.nowMs,
    onChange: (name, before, now) => void changes.push([name, byte(before), byte(now)]), onKept: () => void (kept += 1), log: (level, event, fields) => void lines.push(`${level} ${event} ${JSON.stringify(fields)}`),
  });
  const answer = (ringKey: Uint8Array, found: SignedRecord | null, why: Extract<RecordEvent, { kind: "record" }>["why"] = found === null ? "absent" : "found"): boolean =>
    names.handleRecord(time.nowMs, { kind: "record", ringKey, record: found, why });
  const wait = (ms: number): void => {
    time.nowMs += ms;
    names.sweep(time.nowMs);
  };
  /** Asks, and the ring answers. */
  const find = (name: string, found: SignedRecord): void => {
    expect(names.resolve(name)).toBe("looking");
    expect(answer(recordKey(found), found)).toBe(true);
  };
  return { names, asked, changes, lines, time, answer, wait, find, kept: () => kept };
}
type Bed = ReturnType<typeof bed>;
const told = ({ names }: Bed, name: string): number | string | undefined => {
  const entry = names.resolve(name);
  return typeof entry === "string" ? entry : entry.hit[5];
};

describe("a name of a zone", () => {
  it("is looked for under its zone's key and its label, and known from then on", () => {
    const at = bed();
    expect([at.names.lookup("home.corp.i3"), at.names.resolve("home.corp.i3"), at.names.resolve("home.corp.i3")]).toEqual([undefined, "looking", "looking"]);
    expect(at.asked).toEqual([{ ringKey: ringKeyOf("home"), least: 0 }]);
    expect(at.answer(ringKeyOf("home"), HOME)).toBe(true);
    expect(at.names.resolve("home.corp.i3")).toEqual({ name: "home.corp.i3", hit: hit(1), suffix: "corp.i3" });
    expect([at.names.lookup("HOME.corp.i3.")?.hit, at.names.namesOf(hit(1)), [...at.names.hits()]]).toEqual([hit(1), ["home.corp.i3"], [hit(1)]]);
    expect([at.changes, at.kept(), at.asked.length, at.names.counters.found]).toEqual([[["home.corp.i3", null, 1]], 1, 1, 1]);
  });

  it("is that of the zone with the longest suffix", () => {
    const at = bed([], [...ZONES].reverse());
    at.names.resolve("a.lab.corp.i3");
    at.names.resolve("lab.corp.i3");
    at.names.resolve("a.b.corp.i3");
    expect(at.asked.map(({ ringKey }) => bytesKey(ringKey))).toEqual([ringKeyOf("a", LAB), ringKeyOf("lab"), ringKeyOf("a.b")].map(bytesKey));
  });

  it.each(["corp.i3", "xcorp.i3", "home.other.i3", "home.corp.i3.org", ""])("is not %j", (name) => {
    const at = bed();
    expect([at.names.resolve(name), at.asked]).toEqual(["outside", []]);
  });

  it.each([`${"a".repeat(60)}.abcd.corp.i3`, "a\\032b.corp.i3", "-.corp.i3", ".corp.i3", "*.corp.i3"])("%j cannot have a record, and is not looked for", (name) => {
    const at = bed();
    expect([at.names.resolve(name), at.asked]).toEqual(["absent", []]);
  });

  it("that the ring does not have is not looked for again for ten seconds; one about which nobody answered for two", () => {
    const at = bed();
    at.names.resolve("home.corp.i3");
    at.answer(ringKeyOf("home"), null);
    expect([told(at, "home.corp.i3"), at.names.isUnanswered("home.corp.i3")]).toEqual(["absent", false]);
    at.wait(9_999);
    expect(told(at, "home.corp.i3")).toBe("absent");
    at.wait(1);
    expect(told(at, "home.corp.i3")).toBe("looking");
    at.answer(ringKeyOf("home"), null, "no-answer");
    expect([told(at, "home.corp.i3"), at.names.isUnanswered("home.corp.i3")]).toEqual(["unavailable", true]);
    at.wait(2_000);
    expect([told(at, "home.corp.i3"), at.names.isUnanswered("home.corp.i3")]).toEqual(["looking", true]);
    at.answer(ringKeyOf("home"), HOME);
    expect([told(at, "home.corp.i3"), at.names.isUnanswered("home.corp.i3"), at.names.counters]).toEqual([1, false, { found: 1, absent: 1, noAnswer: 1, unusable: 0, refused: 0, forgotten: 0 }]);
  });

  it("in use is asked for again after ten minutes, and used meanwhile and when there is no answer, until its end", () => {
    const at = bed();
    at.find("home.corp.i3", HOME);
    at.wait(600_000);
    expect([told(at, "home.corp.i3"), at.asked.length]).toEqual([1, 1]);
    at.wait(1);
    expect([told(at, "home.corp.i3"), told(at, "home.corp.i3"), at.asked.slice(1)]).toEqual([1, 1, [{ ringKey: ringKeyOf("home"), least: 5 }]]);
    at.answer(ringKeyOf("home"), null, "no-answer");
    at.wait(60_000);
    expect([told(at, "home.corp.i3"), at.asked.length]).toEqual([1, 2]);
    at.wait(1);
    expect([told(at, "home.corp.i3"), at.asked.length]).toEqual([1, 3]);
    at.answer(ringKeyOf("home"), null, "absent");
    at.wait(600_000);
    expect([told(at, "home.corp.i3"), at.asked.length]).toEqual([1, 3]);
    at.wait(86_400_000);
    expect([at.names.lookup("home.corp.i3"), at.names.namesOf(hit(1)), [...at.names.hits()], told(at, "home.corp.i3")]).toEqual([undefined, [], [], "looking"]);
    expect([at.changes.at(-1), at.lines.at(-1)]).toEqual([["home.corp.i3", 1, null], expect.stringContaining("warn zone-name-ended") as unknown]);
  });

  it("ends at its not-after, to the second, before anybody has swept", () => {
    const at = bed();
    at.find("home.corp.i3", record("home", 1, hit(1), { lifeS: 60 }));
    at.time.nowMs = 59_999;
    expect(told(at, "home.corp.i3")).toBe(1);
    at.time.nowMs = 60_000;
    expect([at.names.lookup("home.corp.i3"), told(at, "home.corp.i3")]).toEqual([undefined, "looking"]);
  });
});

describe("a newer record", () => {
  it("moves the name to another host; the same one again changes nothing", () => {
    const at = bed();
    at.find("home.corp.i3", HOME);
    at.wait(600_001);
    at.names.resolve("home.corp.i3");
    at.answer(ringKeyOf("home"), HOME);
    expect([at.changes.length, at.kept()]).toEqual([1, 1]);
    at.wait(600_001);
    at.names.resolve("home.corp.i3");
    at.answer(ringKeyOf("home"), record("home", 6, hit(2)));
    expect([told(at, "home.corp.i3"), at.changes.at(-1), at.names.namesOf(hit(1)), at.names.namesOf(hit(2)), at.kept()]).toEqual([2, ["home.corp.i3", 1, 2], [], ["home.corp.i3"], 2]);
  });

  it("for the same host goes on without a word to its connections", () => {
    const at = bed([record("home", 4, hit(1))]);
    expect(told(at, "home.corp.i3")).toBe(1);
    at.answer(ringKeyOf("home"), HOME);
    expect([at.changes, at.kept(), at.names.records()[0]?.sequence]).toEqual([[], 1, 5]);
  });

  it.each([["older", record("home", 4, hit(2))], ["another of the same number", record("home", 5, hit(2))]])("does not come when it is %s", (_, other) => {
    const at = bed();
    at.find("home.corp.i3", HOME);
    at.wait(600_001);
    at.names.resolve("home.corp.i3");
    at.answer(ringKeyOf("home"), other);
    expect([told(at, "home.corp.i3"), at.changes.length, at.names.counters.unusable, at.lines.at(-1)]).toEqual([1, 1, 1, expect.stringContaining("is older than the one that is known") as unknown]);
  });

  it("that has ended is not followed by an older one, over a restart too", () => {
    const first = bed();
    first.find("home.corp.i3", record("home", 9, hit(1), { lifeS: 60 }));
    const again = bed(zoneRecordsFromText(zoneRecordsToText(first.names.records()), "f"));
    for (const at of [first, again]) {
      at.wait(60_000);
      expect(told(at, "home.corp.i3")).toBe("looking");
      expect(at.asked.at(-1)?.least).toBe(9);
      at.answer(ringKeyOf("home"), HOME);
      expect([told(at, "home.corp.i3"), at.names.lookup("home.corp.i3"), at.names.counters.unusable]).toEqual(["unavailable", undefined, 1]);
      at.wait(10_000);
      at.find("home.corp.i3", record("home", 10, hit(3)));
      expect(told(at, "home.corp.i3")).toBe(3);
    }
  });
});

describe("what comes from the ring is used when it is", () => {
  const bad: readonly (readonly [string, SignedRecord, string])[] = [
    ["of the zone's key", record("home", 9, hit(1), { key: STRANGER }), "is of the key"],
    ["signed", { ...HOME, signature: new Uint8Array(64) }, "its signature is wrong"],
    ["about a HIT that we know", record("home", 9, hit(1, 3)), "a HIT of an unknown suite"],
  ];
  it.each(bad)("%s", (_, wrong, why) => {
    const at = bed();
    at.names.resolve("home.corp.i3");
    // As if a server, or a fault of ours, had said that this is what stands there.
    at.answer(ringKeyOf("home"), wrong);
    expect([told(at, "home.corp.i3"), at.names.size, at.changes, at.names.counters.unusable]).toEqual(["unavailable", 0, [], 1]);
    expect(at.lines.join()).toContain(why);
  });

  it("what was looked for", () => {
    const at = bed();
    at.names.resolve("home.corp.i3");
    expect(at.answer(ringKeyOf("other"), record("other", 1, hit(2)))).toBe(false);
    expect(at.names.handleRecord(0, { kind: "record-refused", ringKey: ringKeyOf("home"), code: 4 })).toBe(false);
    expect([told(at, "home.corp.i3"), at.names.size]).toEqual(["looking", 0]);
  });

  it("about this very label", () => {
    const at = bed();
    at.names.resolve("home.corp.i3");
    at.answer(ringKeyOf("home"), record("nas", 9, hit(1)));
    expect([told(at, "home.corp.i3"), at.names.lookup("home.corp.i3"), at.names.lookup("nas.corp.i3"), at.names.counters.unusable]).toEqual(["unavailable", undefined, undefined, 1]);
  });
});

describe("bounds", () => {
  it("48 names are looked for at a time; the others hear so", () => {
    const at = bed();
    const all = Array.from({ length: 50 }, (_, n) => told(at, `n${n}.corp.i3`));
    expect([all.filter((each) => each === "looking").length, all.at(-1), at.asked.length, at.names.counters.refused]).toEqual([48, "unavailable", 48, 2]);
    at.answer(ringKeyOf("n0"), null);
    expect(told(at, "n49.corp.i3")).toBe("looking");
  });

  it("a client that has no room is asked later", () => {
    const at = bed();
    const full = new ZoneNames({ zones: ZONES, restored: [HOME], find: () => { throw new RangeError("full"); }, wallMs: () => START_MS, onChange: () => undefined, onKept: () => undefined, log: () => undefined });
    expect([full.resolve("nas.corp.i3"), full.resolve("home.corp.i3")]).toEqual(["unavailable", { name: "home.corp.i3", hit: hit(1), suffix: "corp.i3" }]);
    expect(at.names.counters.refused).toBe(0);
  });

  it("of 4,096 names the one used longest ago makes room, and its host loses it", () => {
    const many = Array.from({ length: MAX_ZONE_NAMES }, (_, n) => record(`n${n}`, 1, hit(n)));
    const at = bed(many);
    expect(at.names.size).toBe(MAX_ZONE_NAMES);
    told(at, "n0.corp.i3");
    at.find("new.corp.i3", record("new", 1, hit(5_000)));
    expect([at.names.size, at.names.counters.forgotten, at.changes]).toEqual([MAX_ZONE_NAMES, 1, [["new.corp.i3", null, 5_000], ["n1.corp.i3", 1, null]]]);
    expect([at.names.lookup("n0.corp.i3") !== undefined, at.names.lookup("n1.corp.i3"), at.names.namesOf(hit(1))]).toEqual([true, undefined, []]);
  }, 60_000);

  it("1,024 names that were not found are remembered", () => {
    const at = bed();
    for (let n = 0; n < 1_025; n++) {
      told(at, `n${n}.corp.i3`);
      at.answer(ringKeyOf(`n${n}`), null);
    }
    expect([told(at, "n1024.corp.i3"), told(at, "n1.corp.i3"), told(at, "n0.corp.i3")]).toEqual(["absent", "absent", "looking"]);
  });
});

describe("who waits for a name", () => {
  it("is told once when the search has ended, however it ends, and not when the wish was taken back", () => {
    const at = bed();
    const heard: string[] = [];
    at.names.resolve("home.corp.i3");
    at.names.whenKnown("home.corp.i3", () => void heard.push(String(told(at, "home.corp.i3"))));
    at.names.whenKnown("home.corp.i3", () => void heard.push("never"))();
    expect(heard).toEqual([]);
    at.answer(ringKeyOf("home"), HOME);
    expect(heard).toEqual(["1"]);
    at.names.whenKnown("home.corp.i3", () => void heard.push("at once"));
    expect(heard).toEqual(["1", "at once"]);
  });
});

describe("what was known before a restart", () => {
  it("is used at once, and asked for again", () => {
    const at = bed([HOME]);
    expect([at.names.lookup("home.corp.i3")?.hit, told(at, "home.corp.i3"), at.asked.length, at.changes]).toEqual([hit(1), 1, 1, []]);
  });

  it("is left out where the zone is another's now, another zone has come between, or it is not signed", () => {
    const stranger = record("a", 1, hit(1), { key: STRANGER });
    expect(bed([stranger, { ...HOME, signature: new Uint8Array(64) }, record("x.lab", 1, hit(2))]).names.size).toBe(0);
    expect(bed([record("x.lab", 1, hit(2))], ZONES.slice(0, 1)).names.lookup("x.lab.corp.i3")?.hit).toEqual(hit(2));
  });

  it("is the newer of two records of a name", () => {
    for (const both of [[HOME, record("home", 6, hit(2))], [record("home", 6, hit(2)), HOME]]) expect(told(bed(both), "home.corp.i3")).toBe(2);
  });
});

describe("its file", () => {
  const text = zoneRecordsToText([HOME, record("nas", 1, hit(2))]);
  it("is read as it was written", () => {
    expect(zoneRecordsFromText(text, "f")).toEqual([HOME, record("nas", 1, hit(2))]);
    expect(zoneRecordsFromText(zoneRecordsToText([]), "f")).toEqual([]);
  });

  it.each([
    ["", ":1: not the line"], ["i3 zone records 2\n", ":1: not the line"], [text.slice(0, -1), ":3: the last line is cut off"], [text.replace("record 01", "record 02"), ":2: not the record of a name"],
    [`${text}\n`, ":4: not the record of a name"], [text + "record 0102\n".repeat(MAX_ZONE_NAMES), ":4098: more than 4096 records"],
  ])("is refused with its line: %#", (wrong, why) => {
    expect(() => zoneRecordsFromText(wrong, "f")).toThrow(I3Error);
    expect(() => zoneRecordsFromText(wrong, "f")).toThrow(`f${why}`);
  });
});
