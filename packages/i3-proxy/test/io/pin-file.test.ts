import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { I3Error } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { pinFileOf, readPins, writePins } from "../../src/io/pin-file.js";
import { Pins } from "../../src/policy/pins.js";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "i3-pins-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const HIT = new Uint8Array(16).fill(0x22);
function some(...names: readonly string[]): Pins {
  const pins = new Pins();
  for (const name of names) pins.add(name, HIT, 1_000);
  return pins;
}
const names = (pins: Pins): readonly string[] => Array.from(pins.all(), ({ name }) => name);

describe("the pin file", () => {
  it("is empty while there is none, and is not made by reading", () => {
    const file = pinFileOf(join(folder, "state"));
    expect(readPins(file).size).toBe(0);
    expect(existsSync(file)).toBe(false);
  });

  it("is for its owner only, with its folder, and is read again", () => {
    const file = pinFileOf(join(folder, "state"));
    writePins(file, some("a.i3"));
    expect([statSync(file).mode & 0o777, statSync(join(folder, "state")).mode & 0o777]).toEqual([0o600, 0o700]);
    writePins(file, some("a.i3", "b.i3"));
    expect(names(readPins(file))).toEqual(["a.i3", "b.i3"]);
    expect(readdirSync(join(folder, "state"))).toEqual(["pins"]);
  });

  it("does not follow what lies in the way of the new one", () => {
    const file = pinFileOf(folder);
    writeFileSync(join(folder, "other"), "mine", { mode: 0o644 });
    symlinkSync(join(folder, "other"), `${file}.new`);
    writePins(file, some("a.i3"));
    expect(readFileSync(join(folder, "other"), "utf8")).toBe("mine");
    expect(names(readPins(file))).toEqual(["a.i3"]);
  });

  it("stays as it was when the new one cannot be put in its place", () => {
    const file = pinFileOf(folder);
    mkdirSync(join(file, "not-empty"), { recursive: true });
    expect(() => writePins(file, some("a.i3"))).toThrow(expect.objectContaining({ code: "ERR_I3_STATE", message: `cannot write the pinned host keys ${file}` }) as Error);
    expect(readdirSync(folder)).toEqual(["pins"]);
  });

  it.each([
    ["is damaged", (file: string) => writeFileSync(file, "x", { mode: 0o600 }), "pins:1: not a list of pinned host keys"],
    ["is empty", (file: string) => writeFileSync(file, "", { mode: 0o600 }), "pins:1: not a list of pinned host keys"],
    ["can be read by others", (file: string) => chmodSync((writePins(file, some("a.i3")), file), 0o640), "pins can be read or changed by others (mode 640)"],
    ["is a folder", (file: string) => mkdirSync(file, { mode: 0o700 }), "pins is not a regular file"],
    ["is too large", (file: string) => writeFileSync(file, Buffer.alloc(4_194_305, "\n"), { mode: 0o600 }), "pins is too large: 4194305 bytes"],
    ["is a link to itself", (file: string) => symlinkSync(file, file), "cannot read the pinned host keys"],
  ])("is refused, and stays, when it %s", (_, make, message) => {
    const file = pinFileOf(folder);
    make(file);
    expect(() => readPins(file)).toThrow(I3Error);
    expect(() => readPins(file)).toThrow(message);
    expect(readdirSync(folder)).toEqual(["pins"]);
  });
});
