/**
 * The files of i3-proxy's state directory: any bytes as list of pins, as names of zones or as journal give a value or an I3Error that is clear, in bounded time, and what could not be read of a journal is set aside.
 * And `<key file>.hit`: whatever stands in it, no key is made where one was lost.
 * Runs I3_FUZZ_SECONDS (default 2) from I3_FUZZ_SEED.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomInt } from "node:crypto";

import { formatIpText, I3Error, parseIpText, RECORD_KIND, toHex, type SignedRecord } from "@i3/common";
import { mutated, Random } from "@i3/common/testing";
import { checkOwnKey, generateTriggerKey, markerFile, openOwnKey, signRecord, type OwnKeyOptions } from "@i3/hip";
import { RecordProblem } from "@i3/i3-client";
import { afterAll, expect, it } from "vitest";

import { Journal, journalFile } from "../../packages/i3-proxy/src/io/journal.js";
import { makeMapping, mappingFromJson, mappingKey, mappingToJson, type Mapping } from "../../packages/i3-proxy/src/mappings/mapping.js";
import { PLAIN_POLICY } from "../../packages/i3-proxy/src/policy/policy.js";
import { Pins, pinsFromText, pinsToText } from "../../packages/i3-proxy/src/policy/pins.js";
import { nameRecordFromText, nameRecordToText } from "../../packages/i3-proxy/src/zones/name-record.js";
import { ZoneNames } from "../../packages/i3-proxy/src/zones/zone-names.js";
import { zoneRecordsFromText, zoneRecordsToText } from "../../packages/i3-proxy/src/zones/zone-record-text.js";

const SECONDS = Number(process.env["I3_FUZZ_SECONDS"] ?? "2");
const SEED = Number(process.env["I3_FUZZ_SEED"] ?? randomInt(2 ** 32)) >>> 0;
/** Of the processor's time; no file here is as long as 10 kB. */
const MAX_READ_MS = 2_000;

/** However slow the machine is. */
const MIN_INPUTS = 200;

const directory = mkdtempSync(join(tmpdir(), "i3-state-fuzz-"));
afterAll(() => rmSync(directory, { recursive: true }));

const LIKELY = [...Buffer.from('{}[]":,\\\n\r\t 0123456789-+eE.abcdefnultrs'), 0, 0x7f, 0x80, 0xc3, 0xff];
const WORDS = ["pins", "name", "hit", "since", "journal", "shared", "own4", "generation", "put", "remove", "mapping", "peerId", "peer", "peerHit", "local4", "local6", "ownPrivateId", "ownSeed", "security", "lastUseMs", "__proto__", "constructor"];

/** A value in the place of another: what a person, a disk or an enemy with a text editor writes. */
function anyJson(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 8 : 10)) {
    case 0: return null;
    case 1: return random.below(2) === 0;
    case 2: return random.pick([0, 1, -1, 0.5, 1e308, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER + 2, random.below(2 ** 32)]);
    case 3: return random.pick(["", "esp", "auth", "none", "box.try.i3", "a..b", `${"x".repeat(64)}.i3`, "2001:22::1", "::ffff:1.2.3.4", "1.2.3.4", "2026-01-31T12:00:00.000Z", "-000001-01-01T00:00:00Z", "now", "9".repeat(19)]);
    case 4: case 5: return toHex(random.bytes(random.pick([0, 1, 4, 16, 31, 32, 33])));
    case 6: case 7: return random.pick(WORDS);
    case 8: return Array.from({ length: random.below(6) }, () => anyJson(random, depth + 1));
    default: return Object.fromEntries(Array.from({ length: random.below(5) }, () => [random.pick(WORDS), anyJson(random, depth + 1)]));
  }
}

/** One field of one line another value, or gone, or there twice. */
function rewritten(random: Random, line: string): string {
  if (line === "") return line;
  const value = JSON.parse(line) as Record<string, unknown>;
  const inner = random.below(2) === 0 && typeof value["mapping"] === "object" ? (value["mapping"] as Record<string, unknown>) : value;
  const field = random.pick([...Object.keys(inner), random.pick(WORDS)]);
  if (random.below(5) === 0) delete inner[field];
  else Object.defineProperty(inner, field, { value: anyJson(random), enumerable: true, configurable: true, writable: true });
  return JSON.stringify(value);
}

function damaged(random: Random, good: string): Uint8Array {
  const lines = good.split("\n");
  const at = random.below(lines.length);
  switch (random.below(6)) {
    case 0: return random.bytes(random.below(300));
    case 1: return Buffer.from(lines.with(at, rewritten(random, lines[at] as string)).join("\n"));
    case 2: return Buffer.from(lines.with(at, JSON.stringify(anyJson(random))).join("\n"));
    case 3: return Buffer.from(lines.toSpliced(at, random.below(2), lines[random.below(lines.length)] as string).join("\n"));
    default: return mutated(random, Buffer.from(good), LIKELY);
  }
}

/** The value, or null for an I3Error that people can use. Anything else that is thrown ends the test with its seed. */
function readWith<T>(input: Uint8Array, read: () => T, code = "ERR_I3_STATE"): T | null {
  const began = process.cpuUsage();
  try {
    return read();
  } catch (error) {
    const isClear = error instanceof I3Error && error.code === code && error.message.length > 0 && error.message.length < 1_000 && (error.remedy ?? "").length > 0;
    if (isClear) return null;
    throw new Error(`seed ${SEED}: ${JSON.stringify(Buffer.from(input).toString("latin1"))}`, { cause: error });
  } finally {
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(MAX_READ_MS);
  }
}

it(`pins, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  const random = new Random(SEED);
  const some = new Pins();
  for (const name of ["box.try.i3", "nas.try.i3", "x.i3"]) some.add(name, random.bytes(16), random.below(2 ** 31) * 1_000);
  const good = pinsToText(some);
  let [values, refused] = [0, 0];
  for (let n = 0, endMs = performance.now() + SECONDS * 500; n < MIN_INPUTS || performance.now() < endMs; n++) {
    const input = damaged(random, good);
    const pins = readWith(input, () => pinsFromText(Buffer.from(input).toString("utf8"), "pins", random.pick([2, 4_096])));
    if (pins === null) refused++;
    else {
      values++;
      // What was read is written, and read as the same.
      expect([...pinsFromText(pinsToText(pins), "pins").all()]).toEqual([...pins.all()]);
    }
  }
  expect([values > 0, refused > 0]).toEqual([true, true]);
});

it(`names of zones, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  const random = new Random(SEED);
  const key = generateTriggerKey();
  const hit = Uint8Array.from([0x20, 1, 0, 0x22, ...random.bytes(12)]);
  const records = ["home", "nas.office", "x"].map((label, sequence) => signRecord(key, { kind: RECORD_KIND.name, label, sequence, notAfterS: 2 ** 32, value: hit }));
  const good = zoneRecordsToText(records);
  const one = nameRecordToText(records[0] as SignedRecord);
  const inputs = { zones: [{ suffix: "corp.i3", key: key.publicKey }], wallMs: () => 0, find: () => undefined, onChange: () => undefined, onKept: () => undefined, log: () => undefined };
  let [values, refused, signed] = [0, 0, 0];
  for (let n = 0, endMs = performance.now() + SECONDS * 500; n < MIN_INPUTS || performance.now() < endMs; n++) {
    const input = random.below(2) === 0 ? mutated(random, Buffer.from(good), [...LIKELY, ...Buffer.from("0123456789abcdef")]) : Buffer.from(spliced(random, good));
    const read = readWith(input, () => zoneRecordsFromText(Buffer.from(input).toString("utf8"), "zone-names"));
    if (read === null) refused++;
    else {
      values++;
      expect(zoneRecordsFromText(zoneRecordsToText(read), "zone-names")).toEqual(read);
      // Nothing that was not signed is a name.
      for (const { bytes } of new ZoneNames({ ...inputs, restored: read }).records()) {
        signed++;
        expect(records.some((record) => Buffer.compare(record.bytes, bytes) === 0)).toBe(true);
      }
    }
    const file = mutated(random, Buffer.from(one), LIKELY);
    try {
      expect(nameRecordFromText(Buffer.from(file).toString("utf8"), key.publicKey)).toEqual(records[0]);
    } catch (error) {
      if (!(error instanceof RecordProblem)) throw new Error(`seed ${SEED}: ${JSON.stringify(Buffer.from(file).toString("latin1"))}`, { cause: error });
    }
  }
  expect([values > 0, refused > 0, signed > 0]).toEqual([true, true, true]);
});

/** Lines left out, twice, or in another order. */
function spliced(random: Random, good: string): string {
  const lines = good.split("\n");
  const at = random.below(lines.length);
  return lines.toSpliced(at, random.below(2), lines[random.below(lines.length)] as string).join("\n");
}

function mappingOf(random: Random): Mapping {
  const peerId = random.bytes(32);
  const mapping = makeMapping({
    key: mappingKey(peerId), peerId, peerHit: random.bytes(16), name: "home.i3", local4: random.bytes(4), local6: random.bytes(16), ownPrivateId: random.bytes(32),
    ownKey: random.below(2) === 0 ? generateTriggerKey() : null, policy: PLAIN_POLICY, isStranger: false, isNameOnly: false, lastUseMs: 5,
  });
  mapping.peer = { privateId: random.bytes(32), own4: random.bytes(4), peer4: random.bytes(4), own6: random.bytes(16), peer6: random.bytes(16) };
  return mapping;
}

it(`journals, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  const random = new Random(SEED);
  const file = journalFile(directory);
  const { journal } = Journal.open(directory);
  for (let n = 0; n < 3; n++) journal.put(mappingOf(random));
  journal.setOwn(random.bytes(16), random.bytes(4));
  journal.close();
  const good = readFileSync(file, "utf8");
  expect(good.split("\n")).toHaveLength(5);
  let [whole, mended] = [0, 0];
  for (let n = 0, endMs = performance.now() + SECONDS * 500; n < MIN_INPUTS || performance.now() < endMs; n++) {
    const input = damaged(random, good);
    writeFileSync(file, input, { mode: 0o600 });
    rmSync(`${file}.damaged`, { force: true });
    const opened = readWith(input, () => Journal.open(directory));
    if (opened === null) continue;
    opened.journal.close();
    const { content } = opened;
    // Set aside as it was, and said; else nothing is.
    expect(existsSync(`${file}.damaged`)).toBe(content.damage !== null);
    if (content.damage === null) whole++;
    else {
      mended++;
      expect(Buffer.compare(readFileSync(`${file}.damaged`), input)).toBe(0);
    }
    expect([content.own4 === null || content.own4.length === 4, content.generation >= 0n && content.generation < 1n << 63n]).toEqual([true, true]);
    for (const mapping of content.mappings) expect(mappingToJson(mappingFromJson(mappingToJson(mapping)))).toEqual(mappingToJson(mapping));
    // What is there now is read again without damage, as the same.
    const again = Journal.open(directory);
    again.journal.close();
    expect([again.content.damage, again.content.mappings.map(mappingToJson), again.content.sharedKey.publicKey]).toEqual([null, content.mappings.map(mappingToJson), content.sharedKey.publicKey]);
  }
  expect([whole > 0, mended > 0]).toEqual([true, true]);
});

/** Text of an address, of this host or others, and what editors and disks make of it. */
function damagedMarker(random: Random, hit: Uint8Array): Uint8Array {
  const text = formatIpText(random.pick([hit, hit, random.bytes(16), random.bytes(4)]));
  switch (random.below(6)) {
    case 0: return random.bytes(random.below(100));
    case 1: return Buffer.from(random.pick([`${text}\r\n`, `  ${text}`, `${text}\n${text}\n`, `${text}%lo\n`, text.toUpperCase(), `${text}${" ".repeat(random.below(70))}`, ""]));
    default: return mutated(random, Buffer.from(`${text}\n`), LIKELY);
  }
}

it(`HITs beside keys, seed ${SEED}`, { timeout: (SECONDS + 60) * 1_000 }, () => {
  const random = new Random(SEED);
  const keyFile = join(directory, "host.key");
  const options: OwnKeyOptions = { keyFile, algorithm: "ecdsa-p256" };
  const { identity } = openOwnKey(options);
  const mine = formatIpText(identity.hit);
  const lost: OwnKeyOptions = { ...options, keyFile: join(directory, "lost.key") };
  let [others, unread, same] = [0, 0, 0];
  for (let n = 0, endMs = performance.now() + SECONDS * 500; n < MIN_INPUTS || performance.now() < endMs; n++) {
    const input = damagedMarker(random, identity.hit);
    for (const { keyFile: file } of [options, lost]) writeFileSync(markerFile(file), input, { mode: 0o600 });
    // What a reader of one short line may take from it, told apart from how it is done.
    const text = input.length > 64 ? "" : Buffer.from(input).toString("utf8").trim();
    const found = parseIpText(text);
    const hit = found?.length === 16 ? formatIpText(found) : null;
    // Nothing that stands there leads to another key.
    let why = "";
    expect(readWith(input, () => {
      try {
        return openOwnKey(lost);
      } catch (error) {
        why = (error as Error).message;
        throw error;
      }
    }, "ERR_I3_KEY_FILE")).toBeNull();
    expect(why.endsWith(hit === null ? "this machine had a key before" : `this machine was ${hit}`)).toBe(true);
    expect(existsSync(lost.keyFile)).toBe(false);
    // A key that is there is taken, unless another's HIT stands beside it.
    const isOther = hit !== null && hit !== mine;
    expect(readWith(input, () => (checkOwnKey(options), true), "ERR_I3_KEY_FILE")).toBe(isOther ? null : true);
    if (isOther) {
      others++;
      continue;
    }
    if (hit === null) unread++;
    else same++;
    expect([openOwnKey(options).created, formatIpText(parseIpText(readFileSync(markerFile(keyFile), "utf8").trim()) as Uint8Array)]).toEqual([false, mine]);
  }
  expect([others > 0, unread > 0, same > 0]).toEqual([true, true, true]);
});
