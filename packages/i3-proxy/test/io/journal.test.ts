/** The journal's first line: what a proxy must know of its earlier runs before it speaks to anybody. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, it } from "vitest";

import { generateTriggerKey } from "@i3/hip";

import { Journal, type JournalContent } from "../../src/io/journal.js";

const directory = mkdtempSync(join(tmpdir(), "i3-journal-"));
const file = join(directory, "mappings.journal");

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function run(work: (journal: Journal) => void = () => undefined): JournalContent {
  const { journal, content } = Journal.open(directory);
  work(journal);
  journal.close();
  return content;
}

const firstLine = (): Record<string, unknown> => JSON.parse(readFileSync(file, "utf8").split("\n")[0] ?? "") as Record<string, unknown>;

it("never gives a generation again that an R1 had, and seldom writes for it", () => {
  expect(run((journal) => journal.keepGeneration(1_800_000_000n)).generation).toBe(0n);
  const second = run((journal) => {
    for (let used = 1_800_000_001n; used < 1_800_001_000n; used += 1n) journal.keepGeneration(used);
    expect(firstLine()["generation"]).toBe("1800001000");
    journal.keepGeneration(1_800_001_000n);
    expect(firstLine()["generation"]).toBe("1800002000");
  });
  expect([second.generation, run().generation]).toEqual([1_800_001_000n, 1_800_002_000n]);
});

it("reads a first line of before there were generations, and of none that could be one", () => {
  const { sharedKey } = run();
  const line = firstLine();
  for (const generation of [undefined, 7, "-1", "1e9", "9".repeat(19), null]) {
    writeFileSync(file, `${JSON.stringify({ ...line, generation })}\n`);
    const content = run();
    expect([content.generation, content.damage, content.sharedKey.publicKey]).toEqual([0n, null, sharedKey.publicKey]);
  }
});

it("knows the nearer keys of the last run, the newest four, and none of a first line that has something else there", () => {
  expect(run().nearerKeys).toEqual([]);
  const keys = Array.from({ length: 5 }, () => generateTriggerKey());
  run((journal) => journal.keepNearerKeys(keys));
  expect(run().nearerKeys.map(({ publicKey }) => publicKey)).toEqual(keys.slice(1).map(({ publicKey }) => publicKey));
  const line = firstLine();
  for (const nearer of [undefined, "x", [7, "00", null]]) {
    writeFileSync(file, `${JSON.stringify({ ...line, nearer })}\n`);
    const content = run();
    expect([content.nearerKeys, content.damage]).toEqual([[], null]);
  }
});

it("quotes nothing of a line that is not JSON: a secret may stand there", () => {
  run();
  const { shared } = firstLine() as { readonly shared: string };
  writeFileSync(file, `${JSON.stringify(firstLine()).slice(0, -1)} "${shared}"\n`);
  const { damage } = run();
  expect(damage).toBe(`${file}:1: not JSON.`);
  for (let at = 0; at + 4 <= shared.length; at += 4) expect(damage).not.toContain(shared.slice(at, at + 4));
});
