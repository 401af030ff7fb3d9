import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, it } from "vitest";

import { errorLine, formatIpText, fromHex, I3Error, toHex } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { zoneCommand } from "../../src/io/zone-command.js";
import { nameRecordFromText } from "../../src/zones/name-record.js";

const NOW_MS = 1_800_000_000_000;
const HIT = formatIpText(generateHostIdentity().hit);
const OTHER = formatIpText(generateHostIdentity().hit);

let folder = "";
let key: Uint8Array = new Uint8Array();
const at = (file: string): string => join(folder, file);
const zone = (...args: readonly string[]): string => zoneCommand(args, NOW_MS);
const make = (file: string): Uint8Array => fromHex(/key="([0-9a-f]{64})"/.exec(zone("make", at(file)))?.[1] ?? "");
const record = (file = "out") => nameRecordFromText(readFileSync(at(file), "utf8"), key);
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof I3Error) return `${error.code} ${errorLine(error)}`;
    throw error;
  }
  return "nothing";
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "i3-zone-"));
  key = make("key");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("makes a key for nobody else to read, and never over another", () => {
  expect(statSync(at("key")).mode & 0o777).toBe(0o600);
  const text = readFileSync(at("key"), "utf8");
  expect(text.split("\n")[0]).toBe("i3 zone key 1");
  expect(text).toContain(`public-key ${toHex(key)}`);
  expect(refusal(() => zone("make", at("key")))).toMatch(/^ERR_I3_ZONE .*key is there already/);
  expect(refusal(() => zone("make", at("no/key")))).toMatch(/cannot write .*folder/);
  expect(readFileSync(at("key"), "utf8")).toBe(text);
});

it("signs what a name stands for, each time newer, for the days that are asked for", () => {
  expect(zone("sign", at("key"), "NAS.Office", HIT, at("out"))).toContain(`nas.office of the zone ${toHex(key)} is ${HIT}, until 2028-01-15`);
  expect(record()).toMatchObject({ label: "nas.office", sequence: NOW_MS, notAfterS: NOW_MS / 1_000 + 365 * 86_400 });
  expect(statSync(at("out")).mode & 0o777).toBe(0o644);
  zone("sign", at("key"), "nas.office", OTHER, at("out"), "--days", "3");
  const again = record();
  expect([formatIpText(again.value), again.sequence, again.notAfterS]).toEqual([OTHER, NOW_MS + 1, NOW_MS / 1_000 + 3 * 86_400]);
  const secret = /private-key ([0-9a-f]{64})/.exec(readFileSync(at("key"), "utf8"))?.[1] ?? "?";
  expect(readFileSync(at("out"), "utf8")).not.toContain(secret);
});

it("does not overwrite another file, another name's record, or that of another key", () => {
  writeFileSync(at("out"), "precious");
  expect(refusal(() => zone("sign", at("key"), "nas", HIT, at("out")))).toMatch(/out does not begin with .*It would be overwritten/);
  expect(readFileSync(at("out"), "utf8")).toBe("precious");
  zone("sign", at("key"), "nas", HIT, at("nas"));
  expect(refusal(() => zone("sign", at("key"), "box", HIT, at("nas")))).toMatch(/is about the name "nas".*It would be overwritten/);
  make("key2");
  expect(refusal(() => zone("sign", at("key2"), "nas", HIT, at("nas")))).toMatch(/is of the key .*It would be overwritten/);
  expect(record("nas")).toMatchObject({ label: "nas", sequence: NOW_MS });
  expect(refusal(() => zone("sign", at("key"), "nas", HIT, at("no/out")))).toMatch(/cannot write .*folder/);
});

it("takes no key that others can read, that is damaged, or that is not there", () => {
  const good = readFileSync(at("key"), "utf8");
  const sign = (): string => refusal(() => zone("sign", at("key"), "nas", HIT, at("out")));
  chmodSync(at("key"), 0o644);
  expect(sign()).toMatch(/can be read by others \(mode 644\).*chmod 600/);
  chmodSync(at("key"), 0o600);
  for (const [text, why] of [
    ["i3 ring authority 1\n", /does not begin with the line "i3 zone key 1"/], [good.replace(/public-key ../, "public-key 00"), /keys do not belong together/],
    [good.replace(/private-key .*/, ""), /no private-key/], [`${good}more 00\n`, /a line that is not known/],
  ] as const) {
    writeFileSync(at("key"), text);
    expect(sign()).toMatch(why);
  }
  rmSync(at("key"));
  expect(sign()).toMatch(/cannot read the key of a zone/);
  expect(existsSync(at("out"))).toBe(false);
});

it.each([[[]], [["make"]], [["make", "a", "b"]], [["make", "a", "--days", "1"]], [["sign", "KEY", "nas", HIT]], [["sign", "KEY", "nas", HIT, "OUT", "x"]], [["sign", "KEY", "nas", HIT, "OUT", "--days", "0"]], [["revoke", "a"]], [["make", "a", "--force"]], [["sign", "KEY", "na_s.", "2001:23::1", "OUT"]], [["sign", "KEY", "nas", "192.0.2.1", "OUT"]], [["sign", "KEY", "n*", HIT, "OUT"]], [["sign", "KEY", `${"a".repeat(60)}.abc`, HIT, "OUT"]]])("does not understand %j", (args) => {
  const named = args.map((arg) => (arg === "KEY" ? at("key") : arg === "OUT" ? at("out") : arg));
  expect(refusal(() => zone(...named))).toMatch(/^ERR_I3_USAGE /);
  expect([existsSync("a"), existsSync(at("out"))]).toEqual([false, false]);
});
