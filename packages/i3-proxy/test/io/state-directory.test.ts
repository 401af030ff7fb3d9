import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { I3Error } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkJournal, Journal } from "../../src/io/journal.js";
import { checkStateDirectory } from "../../src/io/state-directory.js";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "i3-state-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const inside = (name: string): string => join(folder, name);
const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return `${(error as I3Error).code} ${(error as Error).message} ${(error as I3Error).remedy ?? ""}`;
  }
  return "nothing";
};

function folderOf(mode: number): string {
  mkdirSync(inside("state"));
  chmodSync(inside("state"), mode);
  return inside("state");
}

function linkToNothing(): string {
  symlinkSync(inside("nothing/here"), inside("state"));
  return inside("state");
}

function below(name: string): string {
  writeFileSync(inside("file"), "");
  return inside(name);
}

describe("a state directory", () => {
  it("is made by the start with those above it, and not by the check", () => {
    const directory = inside("a/b/state");
    checkStateDirectory(directory);
    expect(existsSync(inside("a"))).toBe(false);
    Journal.open(directory).journal.close();
    expect([statSync(inside("a")).mode & 0o777, statSync(directory).mode & 0o777]).toEqual([0o700, 0o700]);
    checkStateDirectory(directory);
    checkJournal(directory);
  });

  it.each([
    ["may be written to by everybody", (): string => folderOf(0o777), /others may change .*mode 777.*chmod 700/],
    ["may be written to by a group", (): string => folderOf(0o770), /others may change .*mode 770/],
    ["is a link that leads nowhere", linkToNothing, /cannot use/],
    ["lies under a plain file", (): string => below("file/state"), /cannot use/],
    ["is a plain file", (): string => below("file"), /cannot use/],
    ["lies in /proc", (): string => "/proc/nope/state", /cannot use/],
  ] as const)("that %s is refused, by the check as by the start", (_, make, expected) => {
    const directory = make();
    for (const work of [(): unknown => checkStateDirectory(directory), (): unknown => Journal.open(directory)]) expect(refusal(work)).toMatch(expected);
  });

  it.each([["the journal", "mappings.journal"], ["its next version", "mappings.journal.new"]])("in which %s is a directory is refused, by the check as by the start", (_, name) => {
    mkdirSync(inside(name));
    for (const work of [(): unknown => checkJournal(folder), (): unknown => Journal.open(folder)]) expect(refusal(work)).toMatch(/^ERR_I3_STATE/);
  });
});
