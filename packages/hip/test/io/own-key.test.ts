/** A daemon's own key is made once: what shows that there was one keeps it from being made again. */
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { formatIpText } from "@i3/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkOwnKey, markerFile, openOwnKey, readOrCreateHostKey, type OwnKeyOptions } from "../../src/index.js";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "i3-own-key-"))));
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true, force: true });
});

const options = (name = "host.key"): OwnKeyOptions => ({ keyFile: join(folder, name), algorithm: "ecdsa-p256" });
const all = (): readonly (readonly [string, string])[] => readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name), "latin1")]);

/** Opening and checking are refused alike, and nothing is written. */
function expectRefused(made: OwnKeyOptions, message: RegExp, remedy: RegExp): void {
  const before = all();
  for (const open of [openOwnKey, checkOwnKey]) {
    expect(() => open(made)).toThrow(expect.objectContaining({ code: "ERR_I3_KEY_FILE", message: expect.stringMatching(message) as unknown, remedy: expect.stringMatching(remedy) as unknown }) as Error);
  }
  expect(all()).toEqual(before);
}

describe("the first start", () => {
  it("makes the key, and notes its HIT beside it for the next one", () => {
    checkOwnKey(options());
    expect(readdirSync(folder)).toEqual([]);
    const { identity, created } = openOwnKey(options());
    expect(created).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["host.key", "host.key.hit"]);
    expect(readFileSync(markerFile(options().keyFile), "utf8")).toBe(`${formatIpText(identity.hit)}\n`);
    expect(openOwnKey(options())).toMatchObject({ created: false, identity: { hit: identity.hit } });
    checkOwnKey(options());
  });

  it("with a key of before this note was made notes it too", () => {
    const { identity } = readOrCreateHostKey(options().keyFile);
    expect(openOwnKey(options()).created).toBe(false);
    expect(readFileSync(markerFile(options().keyFile), "utf8")).toBe(`${formatIpText(identity.hit)}\n`);
  });
});

describe("a key that is lost", () => {
  it("is not made anew: the message says whose it was and what to do", () => {
    const { identity } = openOwnKey(options());
    renameSync(options().keyFile, join(folder, "away"));
    const marker = markerFile(options().keyFile);
    expectRefused(options(), new RegExp(`host\\.key does not exist, and this machine was ${formatIpText(identity.hit)}$`), new RegExp(`backup.*remove ${marker}\\.$`));
    expectRefused({ ...options(), advice: ", and tell everybody" }, /does not exist/, /remove .*host\.key\.hit, and tell everybody\.$/);
    rmSync(marker);
    expect(openOwnKey(options()).created).toBe(true);
  });

  it.each([["empty", ""], ["cut off", "2001:22:"], ["of another kind", "10.0.0.1\n"], ["far too long", "2001:22::1".padEnd(1_000)]])("is not made anew either when the note is %s", (_, text) => {
    const { identity } = openOwnKey(options());
    writeFileSync(markerFile(options().keyFile), text);
    // While the key is there it is as good as none, and mended.
    expect(openOwnKey(options()).identity.hit).toEqual(identity.hit);
    expect(readFileSync(markerFile(options().keyFile), "utf8")).toBe(`${formatIpText(identity.hit)}\n`);
    writeFileSync(markerFile(options().keyFile), text);
    rmSync(options().keyFile);
    expectRefused(options(), /does not exist, and this machine had a key before$/, /host\.key\.hit/);
  });

  it("is noticed by what else the caller knows", () => {
    const [journal, hit] = [join(folder, "journal"), Uint8Array.of(0x20, 1, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)];
    expectRefused({ ...options(), witnesses: [{ file: journal, hit }] }, /does not exist, and this machine was 2001:22::1$/, /remove .*journal\.$/);
    expectRefused({ ...options(), witnesses: [{ file: journal, hit: null }] }, /does not exist, and this machine had a key before$/, /remove .*journal\.$/);
    openOwnKey(options());
    expectRefused({ ...options(), witnesses: [{ file: journal, hit }] }, /holds the key of 2001:2.*, and this machine was 2001:22::1$/, /remove .*journal\.$/);
    expect(openOwnKey({ ...options(), witnesses: [{ file: journal, hit: null }] }).created).toBe(false);
  });
});

describe("a key that is there", () => {
  it("is not another machine's", () => {
    openOwnKey(options());
    openOwnKey(options("other.key"));
    renameSync(options("other.key").keyFile, options().keyFile);
    expectRefused(options(), /holds the key of 2001:2.*and this machine was 2001:2/, /backup.*host\.key\.hit\.$/);
  });

  it("is used in a folder where nothing can be noted", () => {
    const { identity } = readOrCreateHostKey(options().keyFile);
    mkdirSync(markerFile(options().keyFile));
    appendFileSync(join(markerFile(options().keyFile), "in the way"), "");
    expect(openOwnKey(options()).identity.hit).toEqual(identity.hit);
    expect(readdirSync(folder).sort()).toEqual(["host.key", "host.key.hit"]);
  });

  it("is refused when it belongs to another user", (ctx) => {
    openOwnKey(options());
    try {
      chownSync(options().keyFile, 12_345, 12_345);
    } catch {
      // Whoever is no root, or root of a namespace with one user.
      ctx.skip("this user cannot give files away");
    }
    expectRefused(options(), /host\.key belongs to the user 12345, who can read and change it$/, /run: chown 0 .*host\.key$/);
    expect(existsSync(options().keyFile)).toBe(true);
  });
});
